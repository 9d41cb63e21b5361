"""keepalived's log as the observing nodes tell it, and adverts that failed a check, bounded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from observer.model.host import LogKind
from observer.model.observations import CUT
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observer.model.host import LogEvent
    from observer.model.observations import Malformed

LINES = 512
"""Lines kept for each node."""

NODES = 64

AT_ONCE = SECOND // 10
"""A router advertises so soon after it became Active; the stamp of the line that says so may be rounded down to its second."""

FAILED = 512
"""Adverts that failed a check, of all routers."""

UNREAD = 300 * SECOND
"""For so long after an advert that was captured too short VRRP may be behind what happens: adverts are at most 255 s apart."""


class Journal:
    """What each node's keepalived logged lately."""

    def __init__(self) -> None:
        self._nodes: dict[str, deque[LogEvent]] = {}
        self._failed: deque[Malformed] = deque(maxlen=FAILED)
        self._cut: int | None = None
        """When an advert was seen last that the capture had cut short."""

    def logged(self, event: LogEvent) -> None:
        """A line of a node's log."""
        if event.node in self._nodes or len(self._nodes) < NODES:
            self._nodes.setdefault(event.node, deque(maxlen=LINES)).append(event)

    def between(self, node: str | None, begin: int, end: int, instance: str | None = None) -> tuple[LogEvent, ...]:
        """A node's lines within a span; of those about one instance only the ones about this."""
        lines = (event for event in self._nodes.get(node or "", ()) if begin <= event.time <= end)
        return tuple(event for event in lines if instance is None or event.instance in (None, instance))

    def instance(self, node: str | None, began: Iterable[int]) -> str | None:
        """The name of a virtual router in a node's log, which became Active there at these times; None if all lines may be its.

        Where there are several names, and not one alone became Active at such times, it is one that no line has.
        """
        lines = self._nodes.get(node or "", ())
        names = {event.instance for event in lines} - {None}
        if len(names) < 2:
            return None
        times = list(began)
        active = {
            event.instance
            for event in lines
            if event.kind is LogKind.ENTERED_ACTIVE and any(-AT_ONCE <= time - event.time <= SECOND + AT_ONCE for time in times)
        }
        return active.pop() if len(active) == 1 else ""

    def failed(self, advert: Malformed) -> None:
        """An advert that failed a check."""
        if advert.reason == CUT:
            self._cut = advert.time
        if advert.router is not None:
            self._failed.append(advert)

    def unread(self, time: int) -> bool:
        """Whether there are adverts of which it is not known what they say, the capture having cut them short."""
        return self._cut is not None and time - self._cut <= UNREAD

    def failures(self, vrid: int, begin: int, end: int) -> tuple[Malformed, ...]:
        """Adverts for a VRID (or for one that could not be read) that failed a check within a span."""
        return tuple(advert for advert in self._failed if advert.vrid in (vrid, None) and begin <= advert.time <= end)

    def nodes(self) -> set[str]:
        """Nodes whose log is read."""
        return set(self._nodes)
