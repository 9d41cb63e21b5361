"""keepalived, or the whole node, froze and came back.

On the wire: silence for longer than Active_Down_Interval, then the same process resumes at its old priority: the
identification of its adverts goes on where it stopped, often with a burst of adverts that were due meanwhile.

What to do: look for what starved the process: CPU pressure, a frozen virtual machine, disk stalls, a stopped container; its
log says "A thread timer expired". Give keepalived a real-time priority.

Not to be confused with: `daemon_killed` (a new process comes back, or none), `partition` (it had gone on advertising where it
was not heard, so its identification has moved on).
"""

from observer.model.host import LogEvent, LogKind
from observer.model.time import SECOND, duration, nanoseconds
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.process import burst, counts, restarted, stopped, unheard
from observer.rules.rejected import unfounded
from observer.rules.silence import SILENT, fell_silent, heard_late, interrupted, left_with, timely, too_soon, was_away
from observer.rules.view import FlapView, Run

LOST = 10
"""One of so many adverts lost at most, three in a row are not: one time in a thousand."""


def find(view: FlapView) -> Finding | str | None:
    """A frozen keepalived as the cause, why not, or None where the whole node was away."""
    silent = fell_silent(view)
    if isinstance(silent, str):
        return _went_on(view) or silent
    last, evidence = silent
    froze = _timer(view, last)
    if froze is not None:
        said = Evidence(froze.time, f"its log says: {froze.detail}", froze.node)
        return Finding(Cause.DAEMON_STALLED, Confidence.CERTAIN, (evidence, said))
    halted = stopped(view, last.last, view.taken_over or view.now)
    if halted is not None:
        state = Evidence(
            halted.time, f"keepalived was stopped by a signal on its node (process state {halted.states})", halted.node
        )
        return Finding(Cause.DAEMON_STALLED, Confidence.CERTAIN, (evidence, state))
    froze_too = _observer_froze(view, last)
    if froze_too is not None:
        return Finding(Cause.DAEMON_STALLED, Confidence.LIKELY, (evidence, froze_too))
    if left_with(view, last):
        return f"the kernel of {last.router} left the group of VRRP: the process had ended"
    if was_away(view, last):
        # Frozen as a whole, or cut off.
        return None
    if too_soon(view, last):
        return f"{view.current} took over before its patience could end, and so not for the silence of {last.router}"
    back = view.came_back
    if back is None:
        if not view.life.frames or view.life.refused_vrrp or view.current == view.former:
            return f"{last.router} did not come back while it was watched"
        lives = Evidence(view.trouble, f"the node of {last.router} lives, and no kernel said that no process takes VRRP there")
        return Finding(Cause.DAEMON_STALLED, Confidence.POSSIBLE, (evidence, lives))
    if back.priority != last.priority:
        return f"{last.router} came back at another priority ({back.priority})"
    if restarted(last, back):
        return f"another process came back at {last.router}: the identification began anew"
    unseen = unheard(last, back)
    if unseen:
        return f"{last.router} had gone on advertising unheard: the identification moved on by {unseen + 1}"
    resumed = Evidence(
        back.first, f"{back.router} resumed at {back.priority}, {duration(back.first - last.last)} after its last advert"
    )
    if unseen == 0 and counts(last, back) and view.current == view.former and not burst(back):
        # Nobody else's adverts show that the time really passed.
        stepped = "a clock of the capture that was put forward looks the same"
        return Finding(Cause.DAEMON_STALLED, Confidence.LIKELY, (evidence, resumed), (stepped,))
    if unseen == 0 and counts(last, back):
        same = Evidence(
            back.first, f"it is the same process: the identification goes on from {last.last_ident} to {back.first_ident}"
        )
        if view.current != view.former and not (timely(view, last) and _mostly_heard(view)):
            late = f"adverts were lost, and {view.current} may have taken over earlier and for another reason"
            return Finding(Cause.DAEMON_STALLED, Confidence.LIKELY, (evidence, resumed, same), (late,))
        return Finding(Cause.DAEMON_STALLED, Confidence.CERTAIN, (evidence, resumed, same))
    if last.last_ident is not None and back.first_ident is not None and counts(last, back):
        return f"another process came back at {last.router}: the identification began anew"
    if view.current == view.former:
        return f"nobody took over from {last.router}: the others may have heard it all the time"
    if burst(back) and not back.peers:
        # In unicast the first adverts wait for their peer's link-layer address, whatever was the matter, and go out together.
        return Finding(
            Cause.DAEMON_STALLED,
            Confidence.LIKELY,
            (evidence, resumed, Evidence(back.first, "with a burst of adverts that had been due")),
            ("whether it is the same process is not on the wire",),
        )
    if heard_late(view, last):
        return f"the node of {last.router} did not hear {view.current} either until long after the move: it was cut off"
    return Finding(
        Cause.DAEMON_STALLED,
        Confidence.POSSIBLE,
        (evidence, resumed),
        ("whether it is the same process is not on the wire", "a partition that healed looks the same"),
    )


def _timer(view: FlapView, last: Run) -> LogEvent | None:
    """The line that says that the same process did not run from when its next advert was due until the move."""
    moved = view.taken_over if view.taken_over is not None else view.time
    for event in view.log:
        if event.time < last.last:
            continue
        if event.kind in (LogKind.STARTING, LogKind.CHILD_DIED):
            return None
        late = nanoseconds(event.seconds or 0)
        begun = event.time - late <= last.last + last.interval + SECOND
        if event.kind is LogKind.TIMER_EXPIRED and begun and late >= last.interval and event.time + SECOND >= moved:
            return event
    return None


def _observer_froze(view: FlapView, last: Run) -> Evidence | None:
    """The observer on the same node was not run either, from the last adverts on: the node froze."""
    for sample in view.samples:
        lag = sample.lag or 0
        if lag >= SILENT * last.interval and last.last <= sample.time and sample.time - lag <= last.last + 2 * last.interval:
            whole = f"the whole node froze: the observer itself was not run for {duration(lag)}"
            return Evidence(sample.time - lag, whole, sample.node)
    return None


def _mostly_heard(view: FlapView) -> bool:
    """Whether so few adverts were lost that three in a row, the new router's first, were not."""
    return view.missed * LOST <= sum(run.count for runs in view.runs.values() for run in runs)


def _went_on(view: FlapView) -> Finding | None:
    """A frozen router goes on and claims the address, whose new owner it has not heard of yet."""
    claim = unfounded(view)
    before = None if isinstance(claim, str) else interrupted(view, claim.claimant)
    if isinstance(claim, str) or before is None or not counts(before) or unheard(before, claim.claimant) != 0:
        return None
    router, gap = claim.claimant.router, duration(claim.claimant.first - before.last)
    evidence = (
        Evidence(before.last, f"{router} had fallen silent at priority {before.priority}, without a resignation", before.node),
        Evidence(claim.claimant.first, f"it went on {gap} later, and claimed the address whose new owner was on schedule"),
        Evidence(
            claim.claimant.first,
            f"it is the same process: the identification goes on from {before.last_ident} to {claim.claimant.first_ident}",
        ),
    )
    return Finding(Cause.DAEMON_STALLED, Confidence.LIKELY, evidence)
