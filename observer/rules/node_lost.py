"""The node or its power is gone.

On the wire: silence; and nothing at all from that node any more, no ARP, no TCP, while others ask for it in vain. When it is
back, keepalived is a new process. Its own capture ends with its last advert, its link up until then.

What to do: look at the node's power, console and switch port. The move is what VRRP is for.

Not to be confused with: `daemon_killed` (the node still answers), `daemon_stalled` (the sender resumes), `link_down`: only the
node itself can tell a lost link from a lost node. From elsewhere, and until it is back, the verdict is `unexplained`; the move is
warranted all the same.
"""

from observer.model.time import SECOND, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules import link_down
from observer.rules.process import restarted, unheard
from observer.rules.silence import BOOT, fell_silent, vanished, was_away
from observer.rules.view import FlapView, Run


def find(view: FlapView) -> Finding | str | None:
    """A lost node as the cause, why not, or None where too little was seen of it before, other than adverts, to miss it."""
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
    if view.life.first is not None and not was_away(view, last):
        later = view.life.first - last.last
        if later > BOOT and back is not None and restarted(last, back):
            late = Evidence(view.life.first, f"the node of {last.router} was not seen again until {duration(later)} later")
            return Finding(Cause.NODE_LOST, Confidence.POSSIBLE, (evidence, late))
        return f"{view.life.frames} other frames from the node of {last.router} came when its next advert was overdue"
    own = _own_end(view, last) if view.life.first is None else None
    gone = vanished(view, last)
    if own is not None and gone is not None:
        return Finding(Cause.NODE_LOST, Confidence.CERTAIN, (evidence, own, gone))
    if own is not None:
        alike = "a keepalived that was killed together with the capture on its node would look the same"
        return Finding(Cause.NODE_LOST, Confidence.LIKELY, (evidence, own), (alike,))
    if gone is None:
        return None
    if back is not None and restarted(last, back):
        again = f"{back.router} came back as a new process: its count began anew ({back.first_ident})"
        alike = "a link that was lost, and a keepalived restarted meanwhile, would look the same"
        return Finding(Cause.NODE_LOST, Confidence.LIKELY, (evidence, gone, Evidence(back.first, again, back.node)), (alike,))
    if isinstance(lost := link_down.find(view), Finding) and lost.confidence >= Confidence.LIKELY:
        return f"its link was lost: {lost.evidence[-1].statement}"
    if _link_seen(view, last):
        return Finding(Cause.NODE_LOST, Confidence.LIKELY, (evidence, gone))
    return Finding(Cause.NODE_LOST, Confidence.POSSIBLE, (evidence, gone))


def _link_seen(view: FlapView, last: Run) -> bool:
    """Whether the node's own kernel told of its links, and so would have told of one that was lost."""
    node = view.local.get(last.router)
    return any(change.node == node for change in view.link_changes)


def _own_end(view: FlapView, last: Run) -> Evidence | None:
    """The node's own capture ended with its last advert, and up to then its kernel reported no lost link: it did not go on."""
    node = view.local.get(last.router)
    if node is None or view.tap_ended is None or not last.last <= view.tap_ended < last.last + last.interval + SECOND:
        return None
    links = [change for change in view.link_changes if change.node == node]
    if not links or not links[-1].up:
        return None
    return Evidence(view.tap_ended, "its own capture ended then, with its link up")
