"""How many segments of one kind there were, by tenths of a second, exact at the ends, bounded. Not what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from observer.engine.bins import bins
from observer.model.time import MILLISECOND

if TYPE_CHECKING:
    from numpy.typing import NDArray

BIN = 100 * MILLISECOND
BINS = 1800
"""Three minutes of bins with something in them."""

PIECES = 32
"""Batches after which their sums are put together."""


class Tally(NamedTuple):
    """What was seen within a span."""

    total: int
    first: int
    last: int


class Tallies:
    """Sums of one kind of segments."""

    def __init__(self) -> None:
        self._pieces: list[NDArray[np.int64]] = []
        """Of each batch: number, first time, last time and sum, in rows; a column for each bin."""

    def add(self, times: NDArray[np.int64], weights: NDArray[np.uint32] | None) -> None:
        """Segments in order of time; ``weights`` says for how many each stands, None for one."""
        if not len(times):
            return
        self._pieces.append(np.array(bins(times, weights, BIN), dtype=np.int64))
        if len(self._pieces) > PIECES:
            self._whole()

    def between(self, begin: int, end: int) -> Tally | None:
        """What was seen from ``begin`` to ``end``; a tenth of a second is the resolution at the borders. None for nothing."""
        if not self._pieces:
            return None
        whole = self._whole()
        near = whole[:, slice(*np.searchsorted(whole[0], (begin // BIN, end // BIN + 1)))]
        _, first, last, sums = near[:, (near[2] >= begin) & (near[1] <= end)]
        return Tally(int(sums.sum()), int(first.min()), int(last.max())) if len(sums) else None

    def _whole(self) -> NDArray[np.int64]:
        """All of it in one piece, the oldest bins forgotten."""
        if len(self._pieces) > 1:
            whole = np.concatenate(self._pieces, axis=1)
            if not (np.diff(whole[0]) > 0).all():
                # Two batches share a bin, or were seen at nodes whose batches come in turn.
                whole = whole[:, np.argsort(whole[0], kind="stable")]
                starts = np.flatnonzero(np.diff(whole[0], prepend=-1))
                numbers, first, last, sums = whole
                whole = np.array(
                    (
                        numbers[starts],
                        np.minimum.reduceat(first, starts),
                        np.maximum.reduceat(last, starts),
                        np.add.reduceat(sums, starts),
                    )
                )
            self._pieces = [whole[:, -BINS:]]
        return self._pieces[0]
