"""This node's sources as one stream in order of time, held back until none can be late, with the passing of time told."""

from __future__ import annotations

import contextlib
import queue
import time
from typing import TYPE_CHECKING

from observer.model.observations import TimePassed
from observer.model.time import SECOND
from observer.sources.merge import Merger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from observer.model.observations import Observation

QUEUED = 100_000
"""Observations (or batches of segments) that may wait; beyond them the newest are dropped and counted."""


class Live:
    """Collects from the sources' threads; iterate over ``stream`` in one."""

    def __init__(self, hold_back: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._hold_back = hold_back
        self._clock = clock
        self._queue: queue.Queue[Observation | None] = queue.Queue(QUEUED)
        self._stopping = False
        self._merger = Merger()
        self.dropped = 0
        """Observations that found the queue full."""

    @property
    def late(self) -> int:
        """Observations that came after the hold-back."""
        return self._merger.late

    def deliver(self, observation: Observation) -> None:
        """Take an observation from any thread, without ever blocking it."""
        try:
            self._queue.put_nowait(observation)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Let the stream end, after everything that was delivered; never waits, so that a signal handler may call it."""
        self._stopping = True
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    def stream(self, next_deadline: Callable[[], int | None]) -> Iterator[Observation | TimePassed]:
        """Observations in order of time; in between, time that has passed, at the latest when ``next_deadline`` is due."""
        while True:
            try:
                item = self._queue.get(timeout=self._wait(next_deadline()))
            except queue.Empty:
                if self._stopping:
                    break
            else:
                if item is None:
                    break
                self._merger.push(item)
                # What else is there is taken at once, so that a burst is sorted once.
                for _ in range(self._queue.qsize()):
                    item = self._queue.get_nowait()
                    if item is None:
                        yield from self._merger.flush()
                        return
                    self._merger.push(item)
            if self._stopping and self._queue.empty():
                break
            until = self._clock() - self._hold_back
            yield from self._merger.release(until)
            yield TimePassed(until)
        yield from self._merger.flush()

    def _wait(self, deadline: int | None) -> float:
        """Seconds until something held or a deadline is due."""
        due = [time for time in (self._merger.head, deadline) if time is not None]
        if not due:
            return 1.0
        return min(1.0, max(0.001, (min(due) + self._hold_back - self._clock()) / SECOND))
