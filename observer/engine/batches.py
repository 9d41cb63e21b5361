"""Segments of several vantage points put together, so that what is done for each batch is done once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from observer.model.segments import joined as concatenated
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observer.model.segments import TcpSegments

ROWS = 65536
"""Segments gathered before they are looked at."""

SPAN = 60 * SECOND
"""Of these."""

RIPE = SECOND
"""After so much time they are looked at where time is told to pass: somebody may watch."""

FEW = 64
"""Segments that may ripen for longer: proxies that check each other send as many in some seconds, all day long."""

LEISURE = 3 * SECOND
"""For so long: to look at a few costs nearly as much as to look at a thousand."""


class Gathered:
    """Batches that came one after another, with nothing else in between."""

    def __init__(self) -> None:
        self._batches: dict[str, list[TcpSegments]] = {}
        self._rows = 0
        self._begin = 0

    def __bool__(self) -> bool:
        return self._rows > 0

    @property
    def ripe(self) -> int:
        """When what was gathered is to be looked at, even if nothing depends on it."""
        return self._begin + (RIPE if self._rows > FEW else LEISURE)

    def full(self, segments: TcpSegments) -> bool:
        """These would be too many, or span too long a time."""
        if not self._rows:
            return False
        return self._rows + len(segments) > ROWS or int(segments.times[-1]) - self._begin > SPAN

    def add(self, segments: TcpSegments) -> None:
        """Put a batch with the others of its node."""
        if not len(segments):
            return
        if not self._rows:
            self._begin = segments.time
        self._rows += len(segments)
        self._batches.setdefault(segments.node, []).append(segments)

    def take(self) -> list[TcpSegments]:
        """One batch for each node, in order of time; nothing is left."""
        taken = [joined(batches) for batches in self._batches.values()]
        self._batches, self._rows = {}, 0
        return taken


def joined(batches: Sequence[TcpSegments]) -> TcpSegments:
    """Batches as one, in order of time; node and interface are the first one's."""
    together = concatenated(list(batches))
    times = together.times
    if (times[1:] >= times[:-1]).all():
        return together
    return together.rows(np.argsort(times, kind="stable"))
