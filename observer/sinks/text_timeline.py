"""A flap as a line of text: the former router's priorities, the time between two adverts, and the new router's priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.model.time import SECOND, duration

if TYPE_CHECKING:
    from observer.model.flaps import Flap
    from observer.sinks.timeline import Run, Timeline

BEFORE = 60 * SECOND
"""How far back priorities are told."""

BESIDE = SECOND
"""How far from the flap's time another router's adverts may begin or end to be told as its disturbance."""

TOLD = 4
"""Priorities told of the former router, the last ones."""


def timeline_line(timeline: Timeline, flap: Flap) -> str | None:
    """``192.0.2.12  65 > 45  |-- 0.748 s --|  65  192.0.2.13``; None where adverts of neither side were heard."""
    heard = timeline.routers.get(flap.virtual_router)
    if heard is None:
        return None
    former = heard.runs.get(flap.former or "", [])
    before = [run for run in former if run.first < flap.time and run.last >= flap.time - BEFORE]
    current = heard.runs.get(flap.current or "", [])
    # The holder that came back after an interruption begins a run anew; a new holder may have begun a moment before the move.
    after = [run for run in current if run not in before and run.last >= flap.time]
    if flap.current == flap.former and before and before[-1].last >= flap.time and not after:
        # It went on advertising all the time; what disturbed it is what another one advertised, or nothing on this wire.
        others = (
            f"{name} at {run.priority} too"
            for name, runs in heard.runs.items()
            if name != flap.former
            for run in runs
            if run.first <= flap.time + BESIDE <= run.last + 2 * BESIDE and run.priority
        )
        return f"{flap.former}  {_priorities(before[-TOLD:])}  |-- {next(others, 'went on')} --|"
    left, right = _priorities(before[-TOLD:]), str(after[0].priority) if after else "nobody"
    if not before and not after:
        return None
    between = "--"
    if before and after:
        gap = after[0].first - before[-1].last
        between = f"-- {duration(gap)} --" if gap >= 0 else "-- both --"
    return f"{flap.former or 'unknown'}  {left}  |{between}|  {right}" + (f"  {flap.current}" if flap.current else "")


def _priorities(runs: list[Run]) -> str:
    told = [str(run.priority) for run in runs]
    return " > ".join(priority for place, priority in enumerate(told) if not place or priority != told[place - 1]) or "not heard"
