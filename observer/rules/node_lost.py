"""The node or its power is gone.

On the wire: silence; and nothing at all from that node any more, no ARP, no TCP, while others ask for it in vain.

What to do: look at the node's power, console and switch port. The move is what VRRP is for.

Not to be confused with: `daemon_killed` (the node still answers), `link_down` (only the node itself can tell a lost link from a
lost node), `daemon_stalled` (the sender resumes).
"""

from observer.model.time import SECOND
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.process import unheard
from observer.rules.silence import fell_silent
from observer.rules.view import FlapView

REBOOT = 15 * SECOND
"""A node that is back sooner was not lost: no machine with a control plane starts faster."""

QUIET = 2 * SECOND
"""Nothing from the node for this long after the take-over, beside the silence that led to it, is worth saying."""


def find(view: FlapView) -> Finding | str:
    """A lost node as the cause, or why not."""
    silent = fell_silent(view)
    if isinstance(silent, str):
        return silent
    last, evidence = silent
    if view.taken_over is None or view.current == view.former:
        return f"no other router took over from {last.router}"
    if last.router in view.taps:
        return f"this is the capture of {last.router} itself, which went on"
    if view.life.frames:
        return f"{view.life.frames} other frames from the node of {last.router} came when its next advert was overdue"
    back = view.came_back
    if back is not None and unheard(last, back) is not None:
        return f"the same process went on at {last.router}"
    if back is not None and back.first - last.last < REBOOT:
        return f"{last.router} was back sooner than a node can start"
    if view.now - view.taken_over < QUIET:
        return f"too early to say: {last.router} may still show that it lives"
    same = "a lost link of that node looks the same from here"
    if view.life.unanswered_requests:
        asked = Evidence(
            view.taken_over,
            f"nothing at all came from {last.router} any more, though it was asked for {view.life.unanswered_requests} times",
        )
        return Finding(Cause.NODE_LOST, Confidence.LIKELY, (evidence, asked), (same,))
    quiet = Evidence(view.taken_over, f"nothing at all came from {last.router} any more")
    return Finding(Cause.NODE_LOST, Confidence.POSSIBLE, (evidence, quiet), (same, f"nobody was seen to ask for {last.router}"))
