"""What is at hand of a node beside its captures: keepalived's log and address events, and whether they are of the captures' time.

How a line is read belongs to ``keepalived_log`` and ``address_events``.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from datetime import UTC, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from observer.engine.flaps import WINDOW
from observer.model.errors import ConfigError
from observer.model.host import LogEvent
from observer.model.observations import AddressChange, LinkChange
from observer.model.time import SECOND, rfc3339
from observer.sources.address_events import LineCensus, read_address_events
from observer.sources.keepalived_log import read_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from observer.model.observations import Observation
    from observer.sources.census import Census

NEAR = 600 * SECOND
"""An event this long before or after the captures may well be of their time: that is how a node came to hold an address which
moves in them. Zones differ by a quarter of an hour at least."""

_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?")


def time_zone(text: str) -> tzinfo:
    """``UTC``, an offset from it such as ``+02:00``, or a name of the IANA's time zones. Raises ConfigError."""
    if text == "UTC":
        return UTC
    if (offset := _OFFSET.fullmatch(text)) is not None:
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(-length if offset[1] == "-" else length)
    try:
        return ZoneInfo(text)
    except (KeyError, OSError, ValueError):
        raise ConfigError(
            f"--zone {text!r}: no time zone that is known here; give a name such as Europe/Berlin, or an offset such as +02:00"
        ) from None


@dataclass(slots=True)
class Beside:
    """A file of one node, and what was found in it."""

    path: str
    node: str
    zone: tzinfo
    """Of time stamps that name none."""
    lines: LineCensus = field(default_factory=LineCensus)
    times: array[int] = field(default_factory=lambda: array("q"))
    """Of its events, nanoseconds since the epoch by the node's clock."""

    def addresses(self) -> Iterator[list[Observation]]:
        """Its events, if it has address events. Raises SourceError, as ``read_address_events``."""
        return self._counted(read_address_events(self.path, self.node, zone=self.zone, census=self.lines))

    def log(self, reference: int | None) -> Iterator[list[Observation]]:
        """Its events, if it is a log; ``reference`` is a time within the captures. Raises SourceError, as ``read_log``."""
        return self._counted(read_log(self.path, self.node, zone=self.zone, reference=reference, census=self.lines))

    def remarks(self, censuses: Iterable[Census]) -> Iterator[str]:
        """What a reader should know of it, a line each, when it and the captures have been read."""
        if self.lines.broken is not None:
            yield self.lines.broken
        captured = [(each.begin, each.end) for each in censuses if each.node == self.node]
        begins, ends = [begin for begin, _ in captured if begin is not None], [end for _, end in captured if end is not None]
        if not self.times or not begins or not ends:
            return
        earliest, latest = min(begins) - NEAR, max(ends) + NEAR
        if any(earliest <= time <= latest for time in self.times):
            return
        name = "standard input" if self.path == "-" else self.path
        yield (
            f"{name}: nothing in it is of the captures' time: its events are from {rfc3339(min(self.times))} to"
            f" {rfc3339(max(self.times))}, {self._taken()}"
        )

    def _taken(self) -> str:
        if not self.lines.unzoned:
            return "as it says itself; give the file that is of their time"
        return f"taken as {self.zone}; if it was written in another zone, give that as --zone"

    def _counted(self, events: Iterator[AddressChange | LinkChange] | Iterator[LogEvent]) -> Iterator[list[Observation]]:
        for event in events:
            self.times.append(event.time)
            yield [event]


def until(end: Callable[[], int | None], observations: Iterable[Observation]) -> Iterator[Observation]:
    """Observations in order of time, without what files say of a time at which every flap in the captures is closed.

    ``end`` tells when the captures end, as far as they are read. Nobody listened any more, and an address that comes or goes
    would pass for one that moves with no VRRP behind it.
    """
    for item in observations:
        if isinstance(item, AddressChange | LinkChange | LogEvent) and (last := end()) is not None and item.time > last + WINDOW:
            continue
        yield item
