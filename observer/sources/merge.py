"""Puts observations of several sources in order of time, holding them back for as long as one may be late.

The same code serves live and replay, so that any order of delivery within the hold-back gives the same result.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from observer.model.segments import TcpSegments
from observer.model.time import MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from observer.model.observations import Observation

HOLD_BACK = 250 * MILLISECOND
"""Sources differ by some milliseconds (netlink has no time stamps of its own); a loaded machine adds some tens."""


class _Entry:
    """Orders by time, then by what the observation says, so that the order of delivery does not matter."""

    __slots__ = ("begin", "observation", "time")

    def __init__(self, observation: Observation, time: int, begin: int = 0) -> None:
        self.time = time
        self.observation = observation
        self.begin = begin
        """Of a batch of segments, the first that was not handed on."""

    def __lt__(self, other: _Entry) -> bool:
        if self.time != other.time:
            return self.time < other.time
        mine, theirs = self.observation, other.observation
        if isinstance(mine, TcpSegments) or isinstance(theirs, TcpSegments):
            # Sums do not depend on the order; what a segment means may depend on a change at the same time.
            return not isinstance(mine, TcpSegments)
        return (type(mine).__name__, repr(mine)) < (type(theirs).__name__, repr(theirs))


class Merger:
    """Holds observations until a time is released."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._released = 0
        self.late = 0
        """Observations that came after their time was released; they are handled at the time released."""

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def head(self) -> int | None:
        """Time of the earliest observation held."""
        return self._heap[0].time if self._heap else None

    def push(self, observation: Observation) -> None:
        """Take an observation."""
        if observation.time < self._released:
            self.late += 1
            observation = _delayed(observation, self._released)
        heapq.heappush(self._heap, _Entry(observation, observation.time))

    def release(self, until: int) -> Iterator[Observation]:
        """Everything up to ``until`` (inclusive), in order; batches of segments are cut at the next observation's time."""
        self._released = max(self._released, until)
        while self._heap and self._heap[0].time <= until:
            entry = heapq.heappop(self._heap)
            observation = entry.observation
            if isinstance(observation, TcpSegments):
                times, cut = observation.times, len(observation)
                if self._heap and self._heap[0].time <= until:
                    # Segments come after what else happened at their time.
                    if int(times[-1]) >= self._heap[0].time:
                        side: Literal["left", "right"] = "right" if isinstance(self._heap[0].observation, TcpSegments) else "left"
                        cut = int(times.searchsorted(self._heap[0].time, side=side))
                elif int(times[-1]) > until:
                    cut = int(times.searchsorted(until, side="right"))
                if cut < len(observation):
                    heapq.heappush(self._heap, _Entry(observation, int(times[cut]), cut))
                if (entry.begin, cut) != (0, len(observation)):
                    observation = observation.rows(slice(entry.begin, cut))
            yield observation

    def flush(self) -> Iterator[Observation]:
        """Everything that is held."""
        while self._heap:
            yield from self.release(max(_end(entry.observation) for entry in self._heap))


def merged(streams: Iterable[Iterator[list[Observation]]], hold_back: int = HOLD_BACK) -> Iterator[Observation]:
    """Several streams, each nearly in order, as one in order: the stream that lags is read first."""
    merger = Merger()
    progress: dict[int, int] = {}
    active = dict(enumerate(streams))
    for index in active:
        progress[index] = 0
    while active:
        index = min(active, key=lambda candidate: (progress[candidate], candidate))
        batch = next(active[index], None)
        if batch is None:
            del active[index], progress[index]
        else:
            for observation in batch:
                progress[index] = max(progress[index], _end(observation))
                merger.push(observation)
        if progress:
            yield from merger.release(min(progress.values()) - hold_back)
    yield from merger.flush()


def _end(observation: Observation) -> int:
    return int(observation.times[-1]) if isinstance(observation, TcpSegments) else observation.time


def _delayed(observation: Observation, time: int) -> Observation:
    if isinstance(observation, TcpSegments):
        return replace(observation, times=np.maximum(observation.times, time))
    return replace(observation, time=time)
