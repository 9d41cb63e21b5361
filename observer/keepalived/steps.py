"""From a priority step on the wire back to the checks that made it, by their weights.

keepalived: effective priority = base + the weights of all checks by their state, within 1..254; 255 is never changed. A positive
weight is added while its check passes, a negative one taken off while it fails; ``reverse`` turns the sign of what is added.
A ``track_file`` adds the number in the file times its weight, so a step by any multiple of the weight may be its work.
"""

from __future__ import annotations

from itertools import combinations, islice
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from observer.keepalived.model import CheckKind
from observer.keepalived.resolve import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observer.keepalived.model import Configuration, Instance, Track

LOWEST, HIGHEST = 1, 254
"""What checks can make of a priority."""
MOST = 16
"""Weighted checks of which every subset is tried; of more, only single ones and pairs."""

ANSWERS = 256
"""Explanations that are given at most; with so many, the priority says nothing."""

Candidates = tuple[tuple[str, ...], ...]


class _Lever(NamedTuple):
    """A weighted track as what it can do to the priority."""

    name: str
    low: int
    """What it adds in the state that is worse for the priority."""
    high: int
    """What it adds in the state that is better; in a file's case, the next multiple of its weight."""
    free: bool
    """Any multiple of the weight: a ``track_file``."""

    @property
    def reach(self) -> int:
        return self.high - self.low


def explain_step(configuration: Configuration, instance: Instance, before: int, after: int) -> Candidates:
    """The smallest sets of checks whose change of state takes the priority from ``before`` to ``after``.

    For a fall, checks that failed (under ``reverse``: passed); for a rise, the contrary. Each set is one explanation, none holds
    another, smaller sets come first, then in the order of the configuration; several sets mean that the wire alone does not
    decide. Only where no such set exists, a pair of which one failed and the other recovered. Empty: these weights do not
    explain it (another configuration, a reload, or another router).
    """
    levers = [_lever(track) for track in instance.tracks if track.weight]
    if before == after or instance.priority == OWNER or instance not in configuration.instances:
        return ()
    if not all(LOWEST <= value <= HIGHEST for value in (before, after)):
        return ()
    floor = instance.priority + sum(lever.low for lever in levers)
    most = len(levers) if len(levers) <= MOST else 2
    found: list[tuple[int, ...]] = []
    for chosen in (each for size in range(1, most + 1) for each in combinations(range(len(levers)), size)):
        if not _together(levers, chosen, floor, before, after):
            continue
        if not any(set(smaller).issubset(chosen) for smaller in found):
            found.append(chosen)
        if len(found) == ANSWERS:
            break
    if not found:
        pairs = combinations(range(len(levers)), 2)
        found.extend(islice((pair for pair in pairs if _against(levers, pair, floor, before, after)), ANSWERS))
    return tuple(tuple(levers[index].name for index in chosen) for chosen in found)


def faulting(instance: Instance) -> tuple[str, ...]:
    """The checks that put the instance in FAULT (priority 0 on the wire) rather than change its priority: weight 0 or none."""
    return tuple(dict.fromkeys(track.name for track in instance.tracks if not track.weight))


def _lever(track: Track) -> _Lever:
    if track.kind is CheckKind.FILE:
        return _Lever(track.name, 0, abs(track.weight), free=True)
    other = -track.weight if track.reverse else track.weight
    # Positive: added (reverse: taken off) while passing. Negative: taken off (reverse: added) while failing. Else nothing.
    return _Lever(track.name, min(other, 0), max(other, 0), free=False)


def _together(levers: Sequence[_Lever], chosen: tuple[int, ...], floor: int, before: int, after: int) -> bool:
    """Whether these can have changed in one direction, and no other, between the two priorities."""
    fixed = sum(levers[index].reach for index in chosen if not levers[index].free)
    start, end = (fixed, 0) if after < before else (0, fixed)
    return _possible(levers, chosen, (floor + start, floor + end), before, after)


def _against(levers: Sequence[_Lever], pair: tuple[int, int], floor: int, before: int, after: int) -> bool:
    """Whether one of the two can have failed while the other recovered."""
    if any(levers[index].free for index in pair):
        return False
    first, second = (levers[index].reach for index in pair)
    return any(
        _possible(levers, pair, (floor + start, floor + end), before, after) for start, end in ((first, second), (second, first))
    )


def _possible(levers: Sequence[_Lever], chosen: tuple[int, ...], sums: tuple[int, int], before: int, after: int) -> bool:
    """Whether the levers not chosen have states in which both priorities come out; ``sums`` is the priority without them."""
    moving = gcd(*(levers[index].reach for index in chosen if levers[index].free))
    if before not in (LOWEST, HIGHEST) and after not in (LOWEST, HIGHEST):
        rest = (after - before) - (sums[1] - sums[0])
        if (rest % moving != 0 or rest == 0) if moving else rest != 0:
            return False
    elif not moving and abs(sums[1] - sums[0]) < abs(after - before):
        return False
    others = [lever for index, lever in enumerate(levers) if index not in chosen]
    still = gcd(*(lever.reach for lever in others if lever.free))
    if moving or still:
        # A file may hold any number: where one is about, ask for the remainder only.
        step = gcd(moving, still)
        return _clamped(before) or any((before - sums[0] - extra) % step == 0 for extra in _totals(others))
    return any(_clamp(sums[0] + extra) == before and _clamp(sums[1] + extra) == after for extra in _totals(others))


def _totals(levers: Sequence[_Lever]) -> Iterator[int]:
    """What the levers that are no files can add together, over their floor."""
    possible = 1
    for lever in levers:
        if not lever.free:
            possible |= possible << lever.reach
    while possible:
        lowest = possible & -possible
        yield lowest.bit_length() - 1
        possible ^= lowest


def _clamp(priority: int) -> int:
    return max(LOWEST, min(priority, HIGHEST))


def _clamped(priority: int) -> bool:
    return priority in (LOWEST, HIGHEST)
