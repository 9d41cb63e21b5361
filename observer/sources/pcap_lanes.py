"""Where the records of a buffer begin, found by walking many stretches of it at once. Knows no file format.

A record says where the next one begins, so a walk is a chain of small reads, each of which waits for the one before. Here the
buffer is cut into lanes; each starts at a guess, and all take a step at a time with array operations. A guess is not trusted: a
lane counts only if the walk before it, itself proven, lands exactly on its start. Where none does, the walk goes on record by
record until it comes upon the start of a lane again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]
    Octets = NDArray[np.uint8]

LANE = 48
"""Records in a lane, more or less, at least: many make the guesses cheap, few keep the lanes' ends together."""

LONGEST = 128
"""The same at most."""

FEWEST = 64
"""Lanes below which single steps are faster."""

ENOUGH = 512
"""Lanes beyond which longer ones are better than more of them: of fewer an array is too small to be fast."""


class Format(Protocol):
    """What the walk needs to know of a file format."""

    def guess(self, octets: Octets, edges: Positions, reach: int) -> Positions:
        """For each edge where a record may begin, less than ``reach`` behind it; negative for no idea."""

    def steps(self, octets: Octets, positions: Positions) -> Positions:
        """Bytes from each position to the next record; 0 for what is no ordinary record. Positions may lie behind the end."""

    def following(self, buffer: memoryview, position: int, end: int) -> int:
        """Where the next record begins; -1 if this one is impossible or does not lie before ``end`` as a whole."""


def walk(form: Format, octets: Octets, begin: int, end: int, typical: int) -> tuple[Positions, int]:
    """Where the records begin that lie between two positions as a whole, and where the next one does.

    Stops at whatever is incomplete or impossible; which of the two is for the caller to find out. ``typical`` is the number
    of bytes of an ordinary record: a wrong one costs time.
    """
    if (end - begin) // (typical * LANE) < FEWEST:
        return _singly(form, octets, begin, end, {})
    lanes = _Lanes(form, octets, begin, end, typical)
    chain: list[Positions] = []
    position = begin
    while (lane := lanes.starts.get(position)) is not None:
        positions, position = lanes.proven(lane)
        singly, position = _singly(form, octets, position, end, lanes.starts)
        chain += (positions, singly)
        if not len(singly):
            break
    return np.concatenate(chain), position


def _singly(form: Format, octets: Octets, position: int, end: int, until: dict[int, int]) -> tuple[Positions, int]:
    """Record by record, at least one, until a record begins at one of the positions ``until``."""
    positions: list[int] = []
    buffer = octets.data
    while (following := form.following(buffer, position, end)) >= 0:
        positions.append(position)
        position = following
        if position in until:
            break
    return np.array(positions, dtype=np.int64), position


class _Lanes:
    """Stretches of a buffer, walked from guessed starts."""

    def __init__(self, form: Format, octets: Octets, begin: int, end: int, typical: int) -> None:
        records = (end - begin) // typical
        count = records // max(LANE, min(records // ENOUGH, LONGEST))
        edges = np.linspace(begin, end, count, endpoint=False).astype(np.int64)
        guessed = form.guess(octets, edges[1:], 2 * typical + 64)
        guessed = np.append(begin, guessed[(guessed > begin) & (guessed < end)])
        starts = guessed[np.append(True, np.diff(guessed) > 0)]
        ends = np.append(starts[1:], end)
        trail = _trail(form, octets, starts, ends)
        inside = (trail[:-1] < ends) & (trail[1:] > trail[:-1])
        self._ends = ends
        self._landed = trail[inside.sum(axis=0), np.arange(len(starts))]
        """Where each lane left its stretch, or stood still in it."""
        self._broken = np.flatnonzero(self._landed != ends)
        self._trail, self._inside = trail[:-1].T, inside.T
        self.starts = dict(zip(starts.tolist(), range(len(starts)), strict=True))
        """Position to number of the lane that starts there."""

    def proven(self, lane: int) -> tuple[Positions, int]:
        """The records of a lane whose start is proven and of those that it proves, and where the walk goes on."""
        index = int(np.searchsorted(self._broken, lane))
        last = int(self._broken[index]) if index < len(self._broken) else len(self._ends) - 1
        rows = slice(lane, last + 1)
        positions = self._trail[rows][self._inside[rows]]
        position = int(self._landed[last])
        if position > self._ends[-1]:
            # The last one is not there as a whole.
            positions, position = positions[:-1], int(positions[-1])
        return positions, position


def _trail(form: Format, octets: Octets, starts: Positions, ends: Positions) -> NDArray[np.int64]:
    """A row of positions for each step, a column for each lane, until all have left their stretches or stand still."""
    rows, positions = [starts], starts
    # A lane with far more records than the others is left to the walk record by record.
    while len(rows) < 4 * LONGEST:
        before = positions
        positions = positions + form.steps(octets, positions)
        rows.append(positions)
        if len(rows) % 4 == 0 and bool(((positions >= ends) | (positions == before)).all()):
            break
    return np.array(rows)
