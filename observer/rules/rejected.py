"""What `adverts_rejected` and `receiver_deaf` have in common: a router claims the address though the Active one is on schedule.

Adverts of the Active one that fail a check of the frame itself are among it: they arrive, and no receiver may accept them.

No cause of its own is decided here.
"""

from dataclasses import dataclass

from observer.model.addresses import VIRTUAL_MAC
from observer.model.host import LogEvent, LogKind
from observer.model.observations import Malformed
from observer.model.time import SECOND, seconds
from observer.rules.silence import SILENT, TIMER, complete, on_beat, skew_time
from observer.rules.view import FlapView, Run

OF_THE_SENDER = frozenset(
    {"ttl", "version", "type", "length", "checksum", "vrid_zero", "count_zero", "authentication_type", "interval_zero"}
)
"""Failed checks (``wire.errors.Reason``) that make a receiver drop an advert; others are of the capture or of other protocols."""

REJECTIONS = frozenset(
    {
        LogKind.AUTHENTICATION_FAILED,
        LogKind.ADDRESS_MISSING,
        LogKind.ADDRESS_COUNT_MISMATCH,
        LogKind.INTERVAL_MISMATCH,
    }
)
"""What keepalived logs when it drops an advert."""

DAMAGED = 2
"""Adverts in a row that failed a check, rather than a bit that flipped once."""


def damaged(view: FlapView) -> tuple[Malformed, ...]:
    """Adverts of the former router that arrived after its last good one at the claimant's tap, or for all we know there.

    Empty if they were too few, or not heard in the time that a backup waits.
    """
    held, claimant = view.held, claimant_of(view)
    if held is None or view.resignation is not None or claimant is None:
        return ()
    tap, own = view.taps.get(claimant), view.taps.get(held.router)
    start = view.taken_over if view.taken_over is not None else view.time
    found = tuple(
        advert
        for advert in view.malformed
        if advert.router == held.router
        and advert.reason in OF_THE_SENDER
        and start - 3 * held.interval <= advert.time <= start
        and (advert.node == tap if tap is not None else advert.node != own)
    )
    good = 0 if tap is None else view.heard_at(held.router, tap, start - 3 * held.interval, start)
    return found if len(found) >= DAMAGED and not good else ()


def claimant_of(view: FlapView) -> str | None:
    """The router that took over, or the first that claims the addresses beside their owner."""
    if view.taken_over is not None and view.current != view.former:
        return view.current
    return next(iter(view.contenders), None)


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim on an address whose owner advertised on schedule, and does not rank below the claimant."""

    owner: Run
    claimant: Run
    heard: bool | None
    """The owner's adverts arrived at the claimant's tap; None where the tap is another's."""
    intact: bool
    """The owner had not resigned unheard: it advertised after the claim as well, or its own tap shows no resignation."""


def unfounded(view: FlapView) -> Claim | str:
    """The claim, or why there is none."""
    held = view.held
    if view.foreign:
        return "the other sender is of another group"
    if held is None or view.resignation is not None:
        return "the former Active Router had resigned, or was not heard"
    took = view.taken_over is not None and view.current != view.former
    router = claimant_of(view)
    start = view.taken_over if view.taken_over is not None else view.time
    claimant = next((run for run in view.runs.get(router or "", ()) if run.priority > 0 and run.last >= start), None)
    if claimant is None:
        return "nobody claimed the address"
    if held.mac is not None and held.mac == claimant.mac and not held.mac.startswith(VIRTUAL_MAC):
        return f"{claimant.router} and {held.router} send from one MAC address: one host, whose address changed"
    if start - held.last >= SILENT * held.interval:
        return f"{held.router} had fallen silent"
    if start - min((run.first for run in view.tenure()), default=held.first) < held.interval:
        return f"{held.router} had been Active for less than an interval: who claims it then could not have heard it in time"
    drop = view.drop()
    if drop is not None and held.priority < drop[0].priority:
        return f"the priority of {held.router} had fallen"
    others = (run for runs in view.runs.values() for run in runs if run.priority == 0)
    gave_up = next((run for run in others if 0 <= claimant.first - run.last <= skew_time(claimant) + TIMER), None)
    if gave_up is not None:
        return f"{gave_up.router} had resigned, and a backup that hears that waits for its Skew_Time only"
    if took and claimant.priority > held.priority:
        return f"{claimant.router} outranks {held.router}"
    soon = start + held.interval + held.interval // 2
    went_on = any(run.first <= soon and run.last > start and run.priority > 0 for run in view.runs.get(held.router, ()))
    node = view.taps.get(claimant.router)
    recent = start - held.interval - held.interval // 2
    heard = None if node is None else view.heard_at(held.router, node, recent, start) > 0
    return Claim(held, claimant, heard, went_on or (held.router in view.taps and complete(view, held) and on_beat(held, start)))


def estranged(view: FlapView) -> Run | None:
    """A router that advertises other addresses than the former one, and is of its group: each sends the other its adverts."""
    told = {peer for run in view.runs.get(view.former or "", ()) for peer in run.peers}
    return next((run for run in view.foreign if run.router in told and view.former in run.peers), None)


def dropped(view: FlapView, claim: Claim) -> LogEvent | None:
    """What the claimant's log says of adverts that it dropped, the owner's or of whom it does not say."""
    start = view.taken_over if view.taken_over is not None else view.time
    lines = (event for event in view.claimant_log if event.kind in REJECTIONS and event.router in (None, claim.owner.router))
    return next((event for event in lines if start - 4 * claim.owner.interval <= event.time <= start + SECOND), None)


def differences(owner: Run, claimant: Run) -> list[str]:
    """What a receiver must check (RFC 3768 7.1, RFC 9568 7.1) that is not equal in the adverts of two routers."""
    reasons = []
    if owner.version != claimant.version:
        reasons.append(f"version {owner.version} and {claimant.version}")
    if owner.authentication_group != claimant.authentication_group:
        reasons.append("authentication")
    if set(owner.addresses) != set(claimant.addresses):
        reasons.append(f"addresses {', '.join(owner.addresses)} and {', '.join(claimant.addresses)}")
    if owner.version == claimant.version == 2 and owner.interval != claimant.interval:
        reasons.append(f"interval {seconds(owner.interval):g} s and {seconds(claimant.interval):g} s")
    return reasons
