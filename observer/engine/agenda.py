"""Who wants to be called when: the earliest deadline of many, without looking at all of them each time."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Deadlines of things that have one or none at a time."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._due: dict[int, int | None] = {}

    def set(self, thing: T, deadline: int | None) -> None:
        """Say when a thing is due next; None: no more."""
        key = id(thing)
        if self._due.get(key) == deadline:
            return
        self._due[key] = deadline
        if deadline is not None:
            heapq.heappush(self._heap, (deadline, key, thing))
        if len(self._heap) > 64 + 4 * len(self._due):
            # What was put off leaves entries behind.
            self._heap = [entry for entry in self._heap if self._due.get(entry[1]) == entry[0]]
            heapq.heapify(self._heap)

    def next(self) -> int | None:
        """The earliest deadline."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def entries(self) -> list[tuple[int, T]]:
        """Every deadline and whose it is, in order."""
        return [(time, thing) for time, key, thing in sorted(self._heap, key=_order) if self._due.get(key) == time]

    def due(self, now: int) -> list[T]:
        """The things due at ``now``, in order of their deadlines; they are asked again by ``set`` only."""
        found: list[T] = []
        while (deadline := self.next()) is not None and deadline <= now:
            _, key, thing = heapq.heappop(self._heap)
            self._due[key] = None
            found.append(thing)
        return found


def _order(entry: tuple[int, int, object]) -> tuple[int, int]:
    return entry[:2]
