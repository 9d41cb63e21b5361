"""keepalived's log as observations of one node. What a line says is read in ``wire.log_lines``.

Syslog's stamps have no year; it comes from the caller, or is the one that fits the time known otherwise.
"""

from __future__ import annotations

import calendar
import time
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from observer.model.errors import SourceError
from observer.model.host import LogEvent
from observer.model.time import SECOND
from observer.sources.address_events import PATIENCE, LineCensus, text_lines
from observer.wire.log_lines import Message, Stamp, read_line

if TYPE_CHECKING:
    from collections.abc import Iterator

UNDERSTOOD = "syslog, RFC 3339, journalctl (short, short-iso, json ...), container runtimes, keepalived's console"

_DAY = 86400 * SECOND
_MARCH = 60 * _DAY
"""1 March of a leap year, as a place in it."""
_LEAP = 8
"""A 29 February may be eight years from the next."""


class _Undated(NamedTuple):
    stamp: Stamp
    years: int
    """After the year of the file's first line."""
    message: Message


def read_log(
    path: str,
    node: str,
    *,
    year: int | None = None,
    zone: tzinfo = UTC,
    reference: int | None = None,
    census: LineCensus | None = None,
) -> Iterator[LogEvent]:
    """The events of a log file, or of standard input ("-"), in its order.

    ``year`` is that of the first line, for stamps that name none; it counts on at each New Year. Without it the years are chosen
    so that the log lies nearest to ``reference`` (nanoseconds since the epoch: a time within the capture); without that so that
    it ends before the file was last changed. Such events come only when the whole file has been read. ``zone`` holds for stamps
    that name no offset. Lines without a time are skipped and counted in ``census``.

    Raises SourceError, at the first item and not at the call, for a file in which no line has a time.
    """
    census = LineCensus() if census is None else census
    almanac = _Almanac()
    waiting: list[_Undated] = []
    any_text = False
    for text in text_lines(path, census):
        any_text = any_text or bool(text.strip())
        line = read_line(text, zone)
        if line is None:
            census.skipped += bool(text.strip())
            if not census.understood and census.lines >= PATIENCE:
                break
            continue
        census.understood += 1
        census.unzoned += not line.stamp.zoned
        years = almanac.add(line.stamp) if line.stamp.time is None else 0
        if line.message is None:
            continue
        if line.stamp.time is not None:
            instant: int | None = line.stamp.time
        elif year is not None:
            instant = line.stamp.in_year(year + years, zone)
        else:
            waiting.append(_Undated(line.stamp, years, line.message))
            continue
        if instant is None:
            census.skipped += 1
        else:
            census.events += 1
            yield log_event(instant, node, line.message)
    if any_text and not census.understood:
        raise SourceError(
            f"{'standard input' if path == '-' else path}: no line has a time stamp that is understood; these are: {UNDERSTOOD}"
        )
    if waiting:
        first = almanac.first_year(zone, reference, _changed(path))
        for undated in waiting:
            instant = undated.stamp.in_year(first + undated.years, zone)
            if instant is None:
                census.skipped += 1
            else:
                census.events += 1
                yield log_event(instant, node, undated.message)


class _Almanac:
    """Follows stamps without a year through a file, and tells in which year it may have begun."""

    def __init__(self) -> None:
        self._first: Stamp | None = None
        self._last: Stamp | None = None
        self._years = 0
        self._place = 0
        self._leap: set[int] = set()
        """Years after the first line's that have a 29 February."""

    def add(self, stamp: Stamp) -> int:
        """Years after the first line's. Forward unless less than a day back: logs are quiet for months, but hardly disordered."""
        place = _place(stamp)
        if self._first is None:
            self._first = stamp
        elif place < self._place - (2 * _DAY if place < _MARCH <= self._place else _DAY):
            # Across the end of February another day: places are of a leap year, and this one may have no 29th.
            self._years += 1
        elif place > self._place + 365 * _DAY:
            # 31 December after 1 January: a line that came late.
            return self._years - 1
        elif place < self._place:
            return self._years
        self._place, self._last = place, stamp
        if (stamp.month, stamp.day) == (2, 29):
            self._leap.add(self._years)
        return self._years

    def first_year(self, zone: tzinfo, reference: int | None, changed: int) -> int:
        """The year of the first line that puts the file nearest to ``reference``, or just before ``changed``."""
        goal = changed if reference is None else reference
        latest = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=goal // SECOND)).year + 1
        best, least = latest - 1 - self._years, None
        for year in range(latest, latest - self._years - _LEAP - 2, -1):
            begin = None if self._first is None else self._first.in_year(year, zone)
            end = None if self._last is None else self._last.in_year(year + self._years, zone)
            if begin is None or end is None or not all(calendar.isleap(year + years) for years in self._leap):
                continue
            if reference is None and end > changed + _DAY:
                continue
            away = max(begin - goal, goal - end) if reference is not None else abs(goal - end)
            if least is None or away < least:
                best, least = year, away
        return best


def _place(stamp: Stamp) -> int:
    """Nanoseconds after the beginning of a leap year."""
    days = (datetime(2000, stamp.month, stamp.day, tzinfo=UTC) - datetime(2000, 1, 1, tzinfo=UTC)).days
    return days * _DAY + stamp.clock


def _changed(path: str) -> int:
    """When the file was last written to: what comes through a pipe, just now."""
    try:
        return time.time_ns() if path == "-" else Path(path).stat().st_mtime_ns
    except OSError:
        return time.time_ns()


def log_event(instant: int, node: str, message: Message) -> LogEvent:
    """What a line says, at a time and on a node."""
    return LogEvent(
        time=instant,
        node=node,
        kind=message.kind,
        instance=message.instance,
        router=message.router,
        check=message.check,
        status=message.status,
        before=message.before,
        after=message.after,
        seconds=message.seconds,
        subject=message.subject,
        detail=message.detail,
    )
