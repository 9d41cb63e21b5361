"""Looks at the observing nodes themselves, bounded: see ``HostSample``."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from observer.model.time import SECOND

if TYPE_CHECKING:
    from observer.model.host import HostSample

SAMPLES = 1024
"""Samples kept for each node: some minutes in trouble, longer when quiet."""

NODES = 64

HOLDS = 12 * SECOND
"""For so long a sample is taken to hold while no other comes: a source that works repeats itself within 10 s."""


class Samples:
    """What each node's own sources saw lately."""

    def __init__(self) -> None:
        self._nodes: dict[str, deque[HostSample]] = {}

    def sampled(self, sample: HostSample) -> None:
        """A look at a node."""
        if sample.node in self._nodes or len(self._nodes) < NODES:
            self._nodes.setdefault(sample.node, deque(maxlen=SAMPLES)).append(sample)

    def between(self, node: str | None, begin: int, end: int) -> tuple[HostSample, ...]:
        """A node's samples within a span, and of each source and subject the one that held at its begin."""
        held: dict[tuple[str, str], HostSample] = {}
        within: list[HostSample] = []
        for sample in self._nodes.get(node or "", ()):
            if begin <= sample.time <= end:
                within.append(sample)
            elif begin - HOLDS <= sample.time < begin:
                held[sample.source, sample.subject] = sample
        return (*sorted(held.values(), key=lambda sample: sample.time), *within)
