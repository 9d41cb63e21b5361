"""Elections in which several routers claim the addresses: which claims belong to one that is told already, and who lost it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observer.engine.flaps import OpenFlap
    from observer.engine.groups import Group
    from observer.engine.virtual_router import Step

GIVES_WAY = 1.5
"""Intervals for which a router that was frozen or cut off claims the addresses: then it has heard who has them."""


def expected(group: Group, step: Step) -> bool:
    """Whether a claim by a router that the Active one outranks is the end of a flap rather than one of its own.

    The loser of an election goes on for some milliseconds; a router that was frozen or cut off claims once more.
    """
    for flap in group.flaps:
        if flap.contested(step.time):
            return True
        if step.router == flap.former and flap.taken_over is not None and flap.current == group.tracker.active:
            runs = group.tracker.tracks[step.router or ""].runs
            if runs[-1].first > flap.taken_over and step.time - runs[-1].first > GIVES_WAY * runs[-1].interval:
                return False
            if not any(flap.taken_over < run.first < step.time and run.last < step.time for run in runs):
                return True
    return False


def claimed_since(group: Group, step: Step) -> int:
    """When a claim began that was expected to end at once, and did not."""
    run = group.tracker.tracks[step.router or ""].runs[-1]
    taken = [flap.taken_over for flap in group.flaps if flap.taken_over is not None and flap.former == step.router]
    return run.first if any(time < run.first for time in taken) else step.time


def goes_on_claiming(group: Group, flap: OpenFlap, step: Step) -> bool:
    """Whether a router that takes over had claimed the addresses until then, rather than some time before, and given way."""
    if step.router not in flap.contenders:
        return False
    track = group.tracker.tracks[step.router or ""]
    before = [run.last for run in track.runs if run.first < step.time]
    # A contest that became a succession is told as of its beginning.
    now = track.last.time if track.last is not None else step.time
    return step.time < now or (bool(before) and step.time - max(before) <= 2 * track.runs[-1].interval)


def stands_again(group: Group, flap: OpenFlap, step: Step) -> bool:
    """Whether a router that had resigned wins the election for its successor, in which another was the first to stand."""
    if step.router != flap.former or not flap.contested(step.time):
        return False
    runs = group.tracker.tracks[step.router or ""].runs
    return len(runs) > 1 and runs[-2].priority == 0


def add_contenders(group: Group, flap: OpenFlap) -> None:
    """Add to a flap the routers that claimed the addresses in its election and lost it."""
    if flap.taken_over is None:
        return
    for router, track in group.tracker.tracks.items():
        if router in (flap.former, flap.current, *flap.contenders):
            continue
        for run in track.runs:
            if run.priority > 0 and run.last >= flap.taken_over and flap.contested(run.first):
                flap.contenders.append(router)
                break
