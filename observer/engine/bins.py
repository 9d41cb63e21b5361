"""Sums of segments by time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bins(
    times: NDArray[np.int64], weights: NDArray[np.uint32] | None, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of ascending times: the bins of ``width`` ns with something in them, first and last time and sum of weights in each."""
    indices = times // width
    starts = np.append(0, np.flatnonzero(indices[1:] != indices[:-1]) + 1)[: len(times)]
    ends = np.append(starts[1:], len(times))[: len(starts)]
    sums = ends - starts if weights is None or not len(starts) else np.add.reduceat(weights, starts).astype(np.int64)
    return indices[starts], times[starts], times[ends - 1], sums
