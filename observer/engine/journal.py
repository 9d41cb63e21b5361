"""keepalived's log as the observing nodes tell it, and adverts that failed a check, bounded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observer.model.host import LogEvent
    from observer.model.observations import Malformed

LINES = 512
"""Lines kept for each node."""

NODES = 64

FAILED = 512
"""Adverts that failed a check, of all routers."""


class Journal:
    """What each node's keepalived logged lately."""

    def __init__(self) -> None:
        self._nodes: dict[str, deque[LogEvent]] = {}
        self._failed: deque[Malformed] = deque(maxlen=FAILED)

    def logged(self, event: LogEvent) -> None:
        """A line of a node's log."""
        if event.node in self._nodes or len(self._nodes) < NODES:
            self._nodes.setdefault(event.node, deque(maxlen=LINES)).append(event)

    def between(self, node: str | None, begin: int, end: int) -> tuple[LogEvent, ...]:
        """A node's lines within a span."""
        return tuple(event for event in self._nodes.get(node or "", ()) if begin <= event.time <= end)

    def failed(self, advert: Malformed) -> None:
        """An advert of a known sender that failed a check."""
        if advert.router is not None:
            self._failed.append(advert)

    def failures(self, vrid: int, begin: int, end: int) -> tuple[Malformed, ...]:
        """Adverts for a VRID (or for one that could not be read) that failed a check within a span."""
        return tuple(advert for advert in self._failed if advert.vrid in (vrid, None) and begin <= advert.time <= end)

    def nodes(self) -> set[str]:
        """Nodes whose log is read."""
        return set(self._nodes)
