"""keepalived was reloaded or its configuration changed, and the address moved for it.

On the wire: an advert off schedule, the identification of the adverts begins anew, and from then on another priority or
address list, without a resignation. Where the reload takes the virtual router away, or changes how it speaks, one priority-0
advert.

What to do: nothing is broken; change priorities when a move is welcome.

Not to be confused with: `check_failed` (the schedule and the count go on), `preempted` (nothing changed on the former router).
"""

from observer.model.host import LogKind
from observer.model.time import SECOND, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.check_failed import twice_at_once
from observer.rules.process import counts, off_schedule, restarted, two_at_once
from observer.rules.resignation import reloads
from observer.rules.silence import active_down_interval, for_its_fall
from observer.rules.view import FlapView, Run


def find(view: FlapView) -> Finding | str:
    """A reload as the cause, or why not."""
    held, takeover = view.held, view.takeover
    if held is None or takeover is None or view.taken_over is None or view.current == view.former:
        return "no move from one router to another was seen"
    if view.resignation is not None:
        return _resigned(view, view.resignation)
    return _lowered(view, held, takeover) or "no router changed its configuration before the move"


def _resigned(view: FlapView, resignation: Run) -> Finding | str:
    """A reload takes a virtual router away with one priority-0 advert, or changes how it speaks."""
    logged = reloads(view, resignation)
    if logged is None or twice_at_once(resignation):
        return f"{resignation.router} had resigned"
    gave_up = Evidence(resignation.first, f"{resignation.router} resigned with priority 0", resignation.node)
    said = Evidence(logged.time, f"its log says: {logged.detail}", logged.node)
    unseen = "what the reload changed was not seen"
    return Finding(Cause.RELOADED, Confidence.LIKELY, (said, gave_up), (unseen,))


def _lowered(view: FlapView, held: Run, takeover: Run) -> Finding | None:
    drop = view.fall()
    if drop is None or not held.priority < takeover.priority <= drop[0].priority:
        return None
    before, after = drop
    if not for_its_fall(view, before, held):
        return None
    anew = restarted(before, after)
    logged = view.logged(LogKind.RELOADING, begin=before.last - SECOND, end=after.first + SECOND)
    if not (off_schedule(before, after) or anew or logged is not None):
        return None
    gap = after.first - before.last
    evidence = [
        Evidence(
            after.first,
            f"{after.router} changed its priority from {before.priority} to {after.priority}, {duration(gap)} after"
            f" its last advert (interval {duration(before.interval)}), without a resignation",
            after.node,
        )
    ]
    if anew:
        evidence.append(
            Evidence(after.first, f"the identification of its adverts began anew ({before.last_ident} to {after.first_ident})")
        )
    evidence.append(Evidence(takeover.first, f"{takeover.router} took over at {takeover.priority}", takeover.node))
    if takeover.first - after.first > active_down_interval(takeover) + after.interval + after.interval // 2:
        late = f"{takeover.router} let more time pass than a backup does: it may have come later, or is told to wait"
        return Finding(Cause.RELOADED, Confidence.LIKELY if anew or logged else Confidence.POSSIBLE, tuple(evidence), (late,))
    if logged is not None:
        evidence.append(Evidence(logged.time, f"its log says: {logged.detail}", logged.node))
        return Finding(Cause.RELOADED, Confidence.CERTAIN, tuple(evidence))
    if anew and gap < 2 * before.interval:
        # A process that was started anew is Backup first, and waits for Active_Down_Interval (RFC 9568 6.4.1).
        return Finding(Cause.RELOADED, Confidence.CERTAIN, tuple(evidence))
    if not counts(before) and two_at_once(before, after):
        twice = f"{after.router} advertised twice at once, off schedule: no check does that"
        return Finding(Cause.RELOADED, Confidence.LIKELY, (*evidence, Evidence(after.first, twice, after.node)))
    return Finding(Cause.RELOADED, Confidence.LIKELY if anew else Confidence.POSSIBLE, tuple(evidence))
