"""What `adverts_rejected` and `receiver_deaf` have in common: a router claims the address though the Active one is on schedule.

No cause of its own is decided here.
"""

from dataclasses import dataclass

from observer.rules.silence import SILENT
from observer.rules.view import FlapView, Run


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
    router = view.current if took else (view.contenders[0] if view.contenders else None)
    start = view.taken_over if view.taken_over is not None else view.time
    claimant = next((run for run in view.runs.get(router or "", ()) if run.priority > 0 and run.last >= start), None)
    if claimant is None:
        return "nobody claimed the address"
    if start - held.last >= SILENT * held.interval:
        return f"{held.router} had fallen silent"
    drop = view.drop()
    if drop is not None and held.priority < drop[0].priority:
        return f"the priority of {held.router} had fallen"
    if took and claimant.priority > held.priority:
        return f"{claimant.router} outranks {held.router}"
    soon = start + held.interval + held.interval // 2
    went_on = any(run.first <= soon and run.last > start and run.priority > 0 for run in view.runs.get(held.router, ()))
    node = view.taps.get(claimant.router)
    recent = start - held.interval - held.interval // 2
    heard = None if node is None else view.heard_at(held.router, node, recent, start) > 0
    return Claim(held, claimant, heard, went_on or (held.router in view.taps and view.lossless))
