"""What tells of a router's process: the identification of its adverts, and looks at its node. No cause is decided here.

keepalived numbers its adverts in the IPv4 identification, one more for each, from 1 at its start and again after a reload.
Routers that number otherwise, and IPv6, where there is none, tell nothing.
"""

from itertools import pairwise

from observer.model.addresses import VIRTUAL_MAC
from observer.model.host import HostSample, LogKind
from observer.model.time import MILLISECOND, SECOND
from observer.model.verdicts import Evidence
from observer.rules.view import FlapView, Run

FRESH = 8
"""A process that has sent fewer adverts than this has just started."""

BURST = 20 * MILLISECOND
"""A thawed keepalived 2.2.7 sends the adverts that were due at once: five or six within 10 ms."""

LISTENED = 3 * SECOND
"""Adverts of so long went unrefused: a kernel refuses them once a second, whatever their rate (icmp_ratelimit of icmp(7))."""

CAME = frozenset({LogKind.PRIORITY_CHANGED, LogKind.STARTING, LogKind.LOWER_PRIORITY_DISCARDED})
"""What a better router logs before it takes over, and one that is told not to preempt, and hears nothing, does not."""

SLACK = 3
"""Adverts beyond its schedule that a router may have sent: it answers rivals at once, and a thawed one sends a burst."""


def unheard(before: Run, after: Run) -> int | None:
    """Adverts that the process sent between two runs without their being heard; None if it is another one, or cannot be told."""
    unseen = _continued(before, after)
    if unseen is None or before.last_ident is None or after.first_ident is None:
        return None
    # A count that has just passed 65535 and one that began anew look alike, and one advert does not tell how far it had come.
    fresh = after.first_ident <= FRESH and (after.first_ident < before.last_ident or not before.stride)
    return None if fresh else unseen


def restarted(before: Run, after: Run) -> bool:
    """Whether the count began anew between two runs: a new process, or a reload."""
    if before.last_ident is None or after.first_ident is None or not (before.stride or after.stride):
        return False
    return after.first_ident <= min(FRESH, before.last_ident) and _continued(before, after) is None


def _continued(before: Run, after: Run) -> int | None:
    """Adverts between two runs if the count goes on from one to the other, and no further than the time allows."""
    stride = before.stride or after.stride
    if not stride or before.last_ident is None or after.first_ident is None:
        return None
    step = (after.first_ident - before.last_ident) % 65536
    unseen = step // stride - 1
    possible = (after.first - before.last) // max(before.interval, 1) + SLACK
    return unseen if step % stride == 0 and 0 <= unseen <= possible else None


def counts(run: Run, after: Run | None = None) -> bool:
    """Whether the router numbers its adverts one by one; where one run is too short to show it, by the one ``after`` it."""
    return (run.stride or (after.stride if after is not None else 0)) == 1


def keepaliveds(run: Run) -> bool:
    """Whether adverts are keepalived's by their make: numbered one by one, or sent from the interface's own MAC address.

    RFC 9568 7.2 has a router send them from the Virtual Router MAC address, as FRR and routers of hardware do.
    """
    numbered = run.first_ident is None or bool(run.stride)
    return counts(run) or (numbered and run.mac is not None and not run.mac.startswith(VIRTUAL_MAC))


def resigned_after_gap(held: Run, resignation: Run) -> bool:
    """Whether an advert right before the resignation was lost, by its identification: there may have been two."""
    return counts(held) and bool(unheard(held, resignation))


def resigned_before_gap(resignation: Run, back: Run | None) -> bool:
    """Whether one advert was lost after the resignation, before the process went on: a FAULT sends two, and then none."""
    return back is not None and counts(resignation, back) and unheard(resignation, back) == 1


def burst(run: Run) -> bool:
    """Whether a run begins with several adverts at once, as those that had been due before."""
    return run.off_schedule is not None and 0 < run.off_schedule - run.first <= BURST


def off_schedule(before: Run, after: Run) -> bool:
    """Whether adverts around a change of priority came at other times than those before: keepalived reloads so.

    Where adverts are numbered, a process that began anew is known by that; elsewhere the last one at the old priority may be all
    that is left of it.
    """
    if after.off_schedule is not None and after.off_schedule - after.first < after.interval:
        return True
    return not counts(before) and before.slipped == before.last


def two_at_once(before: Run, after: Run) -> bool:
    """Whether the first advert of a run is one of two within some milliseconds, by one priority or by both."""
    return after.first - before.last <= BURST or burst(after)


def came_up(view: FlapView, takeover: Run, held: Run) -> bool:
    """Whether the new router's priority was too low when it was last Active, or its log says that it came."""
    earlier = view.preceding(takeover)
    logged = any(event.kind in CAME for event in view.claimant_log)
    return logged or (earlier is not None and 0 < earlier.priority <= held.priority)


def looks(view: FlapView, begin: int, end: int) -> tuple[tuple[HostSample, HostSample], ...]:
    """Looks at the former router's keepalived within a span, each with the one before it."""
    seen = [sample for sample in view.samples if (sample.source, sample.subject) == ("process", "keepalived")]
    return tuple((before, after) for before, after in pairwise(seen) if begin <= after.time <= end)


def gone(view: FlapView, begin: int, end: int) -> HostSample | None:
    """The look within a span at which a process of keepalived was there no more, or another had taken its place."""
    for before, after in looks(view, begin, end):
        if before.running and ((after.running or 0) < before.running or after.started != before.started):
            return after
    return None


def stopped(view: FlapView, begin: int, end: int) -> HostSample | None:
    """The look within a span at which keepalived's youngest process, which is the one for VRRP, was stopped by a signal."""
    if gone(view, begin, end) is not None:
        # A parent that is stopped does not see its child die.
        return None
    for before, after in looks(view, begin, end):
        if after.running == before.running and (after.states or "")[-1:] in ("T", "t"):
            return after
    return None


def taken(view: FlapView, router: str) -> Evidence | None:
    """Whether the kernel of a router that gave up the address takes the new one's unicast adverts: a process still listens there.

    Where none does, it answers them with ICMP, unless a firewall keeps it from that (``wire.icmp``).
    """
    start = view.taken_over
    if start is None or view.current in (None, router) or view.life.refused_vrrp:
        return None
    sent = [run for run in view.runs.get(view.current or "", ()) if router in run.peers and run.last - start >= LISTENED]
    if not sent:
        return None
    statement = f"the kernel of {router} did not refuse the adverts that were sent to it, as it does after a stop"
    return Evidence(sent[-1].last, statement, sent[-1].node)
