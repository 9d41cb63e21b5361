"""The node or its power is gone.

On the wire: silence; and nothing at all from that node any more, no ARP, no TCP, while others ask for it in vain.

What to do: look at the node's power, console and switch port. The move is what VRRP is for.

Not to be confused with: `daemon_killed` (the node still answers), `link_down` (only the node itself can tell a lost link from a
lost node), `daemon_stalled` (the sender resumes).
"""

from observer.model.time import SECOND, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.process import unheard
from observer.rules.silence import MISSED, fell_silent, missing_signs, was_away
from observer.rules.view import FlapView, Run

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
    if last.router in view.taps and not was_away(view, last):
        return f"this is the capture of {last.router} itself, which went on"
    back = view.came_back
    if back is not None and unheard(last, back) is not None:
        return f"the same process went on at {last.router}"
    if view.life.first is not None:
        if not was_away(view, last):
            return f"{view.life.frames} other frames from the node of {last.router} came when its next advert was overdue"
        gone = duration(view.life.first - last.last)
        away = Evidence(
            view.life.first, f"nothing at all came from {last.router} for {gone}, then it was there again, too long for chance"
        )
        alike = "a link that was lost for a while looks the same from here"
        return Finding(Cause.NODE_LOST, Confidence.LIKELY, (evidence, away), (alike,))
    if view.now - view.taken_over < QUIET:
        return f"too early to say: {last.router} may still show that it lives"
    own = _own_end(view, last)
    if own is not None:
        return Finding(Cause.NODE_LOST, Confidence.CERTAIN, (evidence, own))
    alike = "a lost link of that node looks the same from here"
    if view.life.unanswered_requests:
        asked = Evidence(
            view.taken_over,
            f"nothing at all came from {last.router} any more; questions for it were repeated"
            f" {view.life.unanswered_requests} times and stayed unanswered",
        )
        return Finding(Cause.NODE_LOST, Confidence.LIKELY, (evidence, asked), (alike,))
    missing = missing_signs(view, last, view.now)
    if missing < MISSED:
        return f"too little was seen of the node of {last.router} before, other than adverts, to miss it now"
    quiet = Evidence(
        view.taken_over,
        f"nothing at all came from {last.router} any more, where about {missing:.0f} signs of life were to be expected",
    )
    return Finding(Cause.NODE_LOST, Confidence.LIKELY, (evidence, quiet), (alike,))


def _own_end(view: FlapView, last: Run) -> Evidence | None:
    """The node's own capture ended with its last advert, and up to then its kernel reported no lost link: it did not go on."""
    node = view.local.get(last.router)
    if node is None or view.tap_ended is None or not last.last <= view.tap_ended < last.last + last.interval + SECOND:
        return None
    links = [change for change in view.link_changes if change.node == node]
    if not links or not links[-1].up:
        return None
    return Evidence(
        view.tap_ended, f"its own capture ended then, with its link up; nothing at all came from {last.router} any more"
    )
