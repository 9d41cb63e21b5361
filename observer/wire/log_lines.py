"""One line of keepalived's log as a typed value: when, and what it says. keepalived's own words are in ``wire.log_messages``.

Pure: text in, values out; reading files and finding the year that a line does not name belong to ``sources.keepalived_log``.
Everything here takes any text and raises nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from observer.model.time import MICROSECOND, SECOND
from observer.wire.log_messages import Message, parse_message

__all__ = ["LogLine", "Message", "Stamp", "console_time", "iso_time", "moment", "read_line", "stamp_at"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 2**63
"""Times are nanoseconds in 64 bits: until April 2262."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DEPTH = 4
"""Stamps around stamps: JSON around a container runtime around syslog around the console."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time stamp: either ``time``, or a date without a year."""

    resolution: int
    """Nanoseconds of its last digit."""
    time: int | None
    """Nanoseconds since the epoch."""
    month: int = 0
    day: int = 0
    clock: int = 0
    """Nanoseconds since midnight, of a date without a year."""
    zoned: bool = False
    """It names its own offset from UTC."""

    def in_year(self, year: int, zone: tzinfo) -> int | None:
        """The time, of a date without a year in this one; None for a 29 February that the year does not have."""
        return self.time if self.time is not None else moment(year, self.month, self.day, self.clock, zone)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that carries a time; ``message`` is None where what it says is not known here."""

    stamp: Stamp
    message: Message | None


def moment(year: int, month: int, day: int, clock: int, zone: tzinfo) -> int | None:
    """A wall clock's date and nanoseconds since midnight as nanoseconds since the epoch; None if there is no such time."""
    whole, fraction = divmod(clock, SECOND)
    try:
        # Added as a number: a leap second is written :60, which datetime does not know.
        midnight = datetime(year, month, day, tzinfo=zone)
        hour, rest = divmod(min(whole, 86399), 3600)
        local = midnight.replace(hour=hour, minute=rest // 60, second=rest % 60)
        time = (local - _EPOCH) // timedelta(seconds=1) * SECOND + (whole - min(whole, 86399)) * SECOND + fraction
    except (ValueError, OverflowError):
        return None
    return time if 0 <= time < _LATEST else None


_MONTH = rf"(?P<name>{'|'.join(_MONTHS)})"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9})[0-9]*)?"
_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_OFFSET = r"(?P<offset>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)"

_ISO = re.compile(rf"{_DATE}[Tt ]{_CLOCK}(?: ?{_OFFSET})?(?=[\s:,]|$)")
_CONSOLE = re.compile(rf"{_WEEKDAY} {_MONTH} +(?P<day>[0-9]{{1,2}}) {_CLOCK} (?P<year>[0-9]{{4}})(?:: ?|$)")
_STAMPS = (
    _ISO,
    _CONSOLE,
    # RFC 3164, and the journal's short and short-precise.
    re.compile(rf"{_MONTH} +(?P<day>[0-9]{{1,2}}) {_CLOCK}(?=\s|$)"),
    # The journal's short-full. Of the abbreviations of zones only UTC says something everywhere.
    re.compile(rf"{_WEEKDAY} {_DATE} {_CLOCK} (?:(?P<offset>UTC)|[A-Z]{{1,5}}|[+-][0-9]{{2,4}})(?=\s|$)"),
    # The journal's short-unix.
    re.compile(r"(?P<unix>[0-9]{9,10})\.(?P<fraction>[0-9]{1,9})(?=\s|$)"),
)
_BEFORE_STAMP = re.compile(
    r"(?:\[pod/[^\]\s]+\] )?"  # kubectl logs --prefix
    r"(?:<[0-9]{1,3}>)?(?P<version>1 )?"  # syslog's priority, and its version in RFC 5424
)
_BEGINNINGS = frozenset("0123456789ADFJMNOSTW[<{")
"""Of months, weekdays and everything else that a stamp or what is before it begins with: a quick look, for logs are long."""
_RUNTIME = re.compile(r"(?:stdout|stderr) [FP](?::[^ ]*)? ")
# A word before a colon, perhaps after a host. No message begins so; a stamp of RFC 3339 and JSON would.
_HEADER = re.compile(r"(?:[^\s:{]\S* )?(?P<tag>(?![0-9]{4}-)[^\s:\[\](){]+)(?:\[[^\]\s]*\])?: *")
_HEADER_5424 = re.compile(
    r"\S+ (?P<tag>\S+) \S+ \S+ "
    r"(?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?\ufeff?"  # structured data (RFC 5424 6.3), and the mark before UTF-8
)


def stamp_at(text: str, zone: tzinfo) -> tuple[Stamp, int] | None:
    """The time stamp that a text begins with, and where it ends; ``zone`` holds where it names none."""
    for form in _STAMPS:
        match = form.match(text)
        if match is not None:
            stamp = _stamp(match, zone)
            return None if stamp is None else (stamp, match.end())
    return None


def iso_time(text: str, zone: tzinfo) -> int | None:
    """A text that is a time in the form of RFC 3339 and nothing else, as nanoseconds since the epoch."""
    match = _ISO.fullmatch(text)
    stamp = None if match is None else _stamp(match, zone)
    return None if stamp is None else stamp.time


def console_time(text: str, zone: tzinfo) -> int | None:
    """A text that is a time in the form of asctime(3) and nothing else, as nanoseconds since the epoch."""
    match = _CONSOLE.fullmatch(text)
    stamp = None if match is None else _stamp(match, zone)
    return None if stamp is None else stamp.time


def _stamp(match: re.Match[str], zone: tzinfo) -> Stamp | None:
    parts = match.groupdict()
    fraction = parts["fraction"] or ""
    resolution = 10 ** (9 - len(fraction))
    below = int(fraction.ljust(9, "0"))
    if "unix" in parts:
        return _known(resolution, int(parts["unix"]) * SECOND + below)
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"])
    month = _MONTHS.index(parts["name"]) + 1 if "name" in parts else int(parts["month"])
    day = int(parts["day"])
    if hour > 23 or minute > 59 or second > 60 or not 1 <= month <= 12 or not 1 <= day <= 31:
        return None
    clock = (hour * 3600 + minute * 60 + second) * SECOND + below
    if "year" not in parts:
        if day > _DAYS[month - 1]:
            return None
        return Stamp(resolution, None, month, day, clock)
    offset = _offset(parts.get("offset"))
    time = moment(int(parts["year"]), month, day, clock, zone if offset is None else offset)
    return None if time is None else Stamp(resolution, time, zoned=offset is not None)


def _known(resolution: int, time: int) -> Stamp | None:
    """A stamp that counts from the epoch."""
    return Stamp(resolution, time, zoned=True) if time < _LATEST else None


def _offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in ("Z", "z", "UTC"):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    length = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if length >= timedelta(days=1):
        return None
    return timezone(-length if text[0] == "-" else length)


def read_line(text: str, zone: tzinfo) -> LogLine | None:
    """A line of a log in any of the forms that are understood; None if it carries no time.

    Of several stamps the finest counts; among equals the one that names its offset, then the innermost, which is keepalived's
    own. If that has no year, another's is taken.
    """
    stamps: list[Stamp] = []
    tag: str | None = None
    text = text.strip()
    message = None
    for _ in range(_DEPTH):
        front = _front(text, zone)
        if front is None:
            message = parse_message(text, tag)
            break
        stamps += front.stamps
        text, tag = front.rest, front.tag
    best = _best(stamps)
    return None if best is None else LogLine(_dated(best, stamps, zone), message)


class _Front(NamedTuple):
    stamps: list[Stamp]
    rest: str
    tag: str | None
    """The program that the line is of, where a log of several says so."""


def _front(text: str, zone: tzinfo) -> _Front | None:
    """What surrounds a message once: a stamp and who wrote it."""
    if text[:1] not in _BEGINNINGS:
        return None
    if text.startswith("{"):
        return _json(text, zone)
    before = _BEFORE_STAMP.match(text)
    begin = 0 if before is None else before.end()
    found = stamp_at(text[begin:], zone)
    if found is None:
        return None
    stamp, end = found
    rest = text[begin + end :].lstrip()
    runtime = _RUNTIME.match(rest)
    if runtime is not None:
        return _Front([stamp], rest[runtime.end() :].strip(), None)
    form = _HEADER_5424 if before is not None and before["version"] else _HEADER
    header = form.match(rest)
    if header is None:
        return _Front([stamp], rest, None)
    return _Front([stamp], rest[header.end() :].strip(), header["tag"])


def _json(text: str, zone: tzinfo) -> _Front | None:
    """A line of ``journalctl -o json`` or of Docker's json-file."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if "log" in value:
        time = value.get("time")
        stamp = stamp_at(time, zone) if isinstance(time, str) else None
        return None if stamp is None else _Front([stamp[0]], _text(value["log"]), None)
    # When it was sent, which is what journalctl prints too; failing that, when the journal got it.
    for name in ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"):
        digits = value.get(name)
        if isinstance(digits, str) and re.fullmatch(r"[0-9]{1,16}", digits):
            known, tag = _known(MICROSECOND, int(digits) * MICROSECOND), value.get("SYSLOG_IDENTIFIER")
            if known is not None:
                return _Front([known], _text(value.get("MESSAGE")), tag if isinstance(tag, str) else None)
    return None


def _text(value: object) -> str:
    """A message in JSON: the journal gives a list of octets for what is not plain text."""
    if isinstance(value, list) and all(isinstance(octet, int) and 0 <= octet < 256 for octet in value):
        return bytes(value).decode("utf-8", "replace").strip()
    return value.strip() if isinstance(value, str) else ""


def _best(stamps: list[Stamp]) -> Stamp | None:
    return min(reversed(stamps), key=lambda stamp: (stamp.resolution, not stamp.zoned), default=None)


def _dated(best: Stamp, stamps: list[Stamp], zone: tzinfo) -> Stamp:
    """A stamp without a year, with the year of another stamp of the line."""
    other = next((stamp.time for stamp in stamps if stamp.time is not None), None)
    if best.time is not None or other is None:
        return best
    year = (_EPOCH + timedelta(seconds=other // SECOND)).year
    times = [time for near in (year - 1, year, year + 1) if (time := best.in_year(near, zone)) is not None]
    return Stamp(best.resolution, min(times, key=lambda time: abs(time - other))) if times else best
