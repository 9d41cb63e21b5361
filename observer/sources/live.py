"""This node's sources as one stream in order of time, held back until none can be late, with the passing of time told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from observer.model.errors import SourceError
from observer.model.observations import FramesLost, TimePassed
from observer.model.segments import TcpSegments
from observer.model.time import SECOND, duration
from observer.sources.merge import Merger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from observer.model.observations import Observation

SEGMENTS = "segments"
"""The source whose losses these are."""

QUEUED = 100_000
"""Observations (or batches of segments) that may wait; beyond them the newest are dropped and counted."""

WAITING = 48 << 20
"""Octets of segments that may wait, the hold-back included: 0.7 s of a million a second, or of 270,000 whose frames are kept.
What is beyond counts as lost frames."""

SEGMENT = 72
"""Octets that a segment takes, columns of ``TcpSegments``; kept frames take ``FRAME`` more."""

FRAME = 192
"""128 octets and four columns."""

REST = 0.1
"""Seconds for which what is due waits for what is due next: a turn costs as much for one observation as for some, and more than
they do. No verdict waits for it, for another router may contest an election for longer (``engine.flaps``)."""

FULL = WAITING // 2
"""With so many octets waiting it rests half as long: in a flood the room is for the hold-back."""

BACK = SECOND
"""A clock that is set back by more ends the stream: all that comes would wait until the clock is there again."""


class Live:
    """Collects from the sources' threads; iterate over ``stream`` in one."""

    def __init__(self, hold_back: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._hold_back = hold_back
        self._clock = clock
        self._arrived: deque[Observation] = deque()
        self._stopping = False
        self._merger = Merger()
        # Taken to sleep, released to wake: of the locks in Python this one alone may be used in a signal handler.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._idle = False
        """The stream sleeps with nothing to wait for but what arrives."""
        self._lock = threading.Lock()
        self._waiting = 0
        self._lost: dict[str, int] = {}
        """Segments by node that found no room."""
        self.dropped = 0
        """Observations that found no room."""

    @property
    def late(self) -> int:
        """Observations that came after the hold-back."""
        return self._merger.late

    def deliver(self, observation: Observation) -> None:
        """Take an observation from any thread, without ever blocking it."""
        if isinstance(observation, TcpSegments) and not self._admitted(observation):
            return
        if len(self._arrived) < QUEUED:
            self._arrived.append(observation)
            if self._idle:
                self._wake()
        elif isinstance(observation, TcpSegments):
            self._handed_on(observation)
            self._refused(observation)
        else:
            self.dropped += 1

    def stop(self) -> None:
        """Let the stream end, after everything that was delivered; never waits, so that a signal handler may call it."""
        self._stopping = True
        self._wake()

    def stream(self, next_deadline: Callable[[], int | None]) -> Iterator[Observation | TimePassed]:
        """Observations in order of time; in between, time that has passed, at the latest when ``next_deadline`` is due.

        Raises SourceError, after everything held, where the clock was set back: what is known is of a time to come.
        """
        reached = 0
        while True:
            woken = self._sleep(next_deadline())
            last = self._stopping
            # As many as there are: in a flood there are always more.
            for _ in range(len(self._arrived)):
                self._merger.push(self._arrived.popleft())
            if last:
                break
            until = self._clock() - self._hold_back
            if until < reached - BACK:
                yield from self._merger.flush()
                raise SourceError(f"the node's clock was set back by {duration(reached - until)}: the agent has to start anew")
            reached = max(reached, until)
            if woken and self._merger.head is not None and self._merger.head > until:
                # Something to wait for, which is all that had to be known.
                continue
            self._tell_losses()
            for observation in self._merger.release(until):
                self._handed_on(observation)
                yield observation
            yield TimePassed(until)
        yield from self._merger.flush()

    def _sleep(self, deadline: int | None) -> bool:
        """Until something is due; what arrives meanwhile is due later, so only a stream that holds nothing is woken by it.

        Whether it was woken.
        """
        self._idle = self._merger.head is None
        woken = False
        if not self._stopping and not (self._idle and self._arrived):
            woken = self._bell.acquire(timeout=self._wait(deadline))
        self._idle = False
        return woken

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._bell.release()

    def _admitted(self, segments: TcpSegments) -> bool:
        """Whether there is room for a batch, which is then taken."""
        octets = _octets(segments)
        with self._lock:
            room = self._waiting + octets <= WAITING
            if room:
                self._waiting += octets
        if not room:
            self._refused(segments)
        return room

    def _refused(self, segments: TcpSegments) -> None:
        with self._lock:
            self._lost[segments.node] = self._lost.get(segments.node, 0) + len(segments)

    def _handed_on(self, observation: Observation) -> None:
        if isinstance(observation, TcpSegments):
            with self._lock:
                self._waiting -= _octets(observation)

    def _tell_losses(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, {}
        for node, count in lost.items():
            self._merger.push(FramesLost(time=self._clock(), node=node, source=SEGMENTS, count=count))

    def _wait(self, deadline: int | None) -> float:
        """Seconds until something held or a deadline is due."""
        waits = [1.0]
        rest = REST if self._waiting < FULL else REST / 2
        for due, more in ((self._merger.head, rest), (deadline, 0.0)):
            if due is not None:
                waits.append(max(0.001, (due + self._hold_back - self._clock()) / SECOND + more))
        return min(waits)


def _octets(segments: TcpSegments) -> int:
    return len(segments) * (SEGMENT if segments.frames is None else SEGMENT + FRAME)
