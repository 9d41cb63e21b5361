"""One line of keepalived's log as a typed value: when, and what it says.

Pure: text in, values out; reading files and finding the year that a line does not name belong to ``sources.keepalived_log``.
Everything here takes any text and raises nothing. Only whole messages that are known are kept, so that nothing secret passes.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from observer.model.host import LogKind
from observer.model.time import MICROSECOND, SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 2**63
"""Times are nanoseconds in 64 bits: until April 2262."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DEPTH = 4
"""Stamps around stamps: JSON around a container runtime around syslog around the console."""
_TIMED_OUT = 124
"""Exit status of timeout(1) when it ended its command."""


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
class Message:
    """What a line says; the fields are those of ``LogEvent``."""

    kind: LogKind
    detail: str
    instance: str | None = None
    router: str | None = None
    check: str | None = None
    status: int | None = None
    before: int | None = None
    after: int | None = None
    seconds: float | None = None
    subject: str | None = None


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


class _Form(NamedTuple):
    needle: str
    """What every such message holds: looked for first, for most lines hold none of them."""
    pattern: re.Pattern[str]
    kind: LogKind
    anyone: bool
    """Nobody else says that: the program's name need not be looked at."""


def _form(needle: str, pattern: str, kind: LogKind, *, anyone: bool = True) -> _Form:
    return _Form(needle, re.compile(pattern), kind, anyone)


# keepalived 1.x wrote VRRP_Instance before the parenthesis.
_INSTANCE = r"(?:VRRP_Instance)?\((?P<instance>[^\x00-\x1f]{1,128}?)\):? "
_FROM = r"(?:from (?P<router>\S{1,64}) )?"
_SCRIPT = r"VRRP_Script\((?P<check>[^\x00-\x1f]{1,128}?)\) "
_NUMBER = r"[0-9]{1,9}"
_OUTCOMES = rf"(?: \((?:exited with status (?P<status>{_NUMBER})|due to signal {_NUMBER})\))?"

_FORMS = (
    _form("Entering MASTER", rf"{_INSTANCE}Entering MASTER STATE", LogKind.ENTERED_ACTIVE),
    _form("Entering BACKUP", rf"{_INSTANCE}Entering BACKUP STATE(?: \(init\))?", LogKind.ENTERED_BACKUP),
    _form("Entering FAULT", rf"{_INSTANCE}Entering FAULT STATE(?: \(init\))?", LogKind.ENTERED_FAULT),
    _form(
        "entering FAULT",
        rf"{_INSTANCE}entering FAULT state due to script (?P<check>[^\x00-\x1f]{{1,128}})",
        LogKind.ENTERED_FAULT,
    ),
    _form("Now in FAULT", rf"{_INSTANCE}Now in FAULT state", LogKind.ENTERED_FAULT),
    _form("Receive advertisement", rf"{_INSTANCE}Receive advertisement timeout", LogKind.ADVERTISEMENT_TIMEOUT),
    _form(
        "received priority 0",
        rf"{_INSTANCE}(?:Backup|Master) received priority 0 (?:advertisement|message)",
        LogKind.PRIORITY_ZERO_RECEIVED,
    ),
    _form(" 0 priority", rf"{_INSTANCE}(?:sent|sending) 0 priority", LogKind.PRIORITY_ZERO_SENT),
    _form(
        "effective priority",
        rf"{_INSTANCE}Changing effective priority from (?P<before>{_NUMBER}) to (?P<after>{_NUMBER})",
        LogKind.PRIORITY_CHANGED,
    ),
    _form(
        "effective priority",
        rf"{_INSTANCE}Setting effective priority to (?P<after>{_NUMBER})",
        LogKind.PRIORITY_CHANGED,
    ),
    _form(
        "- discarding",
        rf"{_INSTANCE}received lower priority \((?P<after>{_NUMBER})\) advert {_FROM}- discarding",
        LogKind.LOWER_PRIORITY_DISCARDED,
    ),
    _form(
        "forcing new election",
        rf"{_INSTANCE}Received advert {_FROM}with lower priority (?P<after>{_NUMBER}), ours (?P<before>{_NUMBER})"
        r", forcing new election",
        LogKind.ELECTION_FORCED,
    ),
    _form(
        "forcing new election",
        rf"{_INSTANCE}Received lower prio advert(?: (?P<after>{_NUMBER}))?, forcing new election",
        LogKind.ELECTION_FORCED,
    ),
    # An Active router that is told not to answer (lower_prio_no_advert).
    _form(
        "with lower priority",
        rf"{_INSTANCE}Received advert {_FROM}with lower priority (?P<after>{_NUMBER}), ours (?P<before>{_NUMBER})",
        LogKind.LOWER_PRIORITY_DISCARDED,
    ),
    _form(
        "with higher priority",
        rf"{_INSTANCE}(?:Master received|Received) advert {_FROM}with higher priority (?P<after>{_NUMBER})"
        rf", ours (?P<before>{_NUMBER})",
        LogKind.HIGHER_PRIORITY_RECEIVED,
    ),
    _form(
        "higher prio advert",
        rf"{_INSTANCE}Received higher prio advert(?: (?P<after>{_NUMBER}))?",
        LogKind.HIGHER_PRIORITY_RECEIVED,
    ),
    _form(
        "higher IP address",
        rf"{_INSTANCE}Master received advert {_FROM}with same priority (?P<both>{_NUMBER}) but higher IP address than ours",
        LogKind.HIGHER_ADDRESS_RECEIVED,
    ),
    _form(
        "now returning",
        rf"Script [`']?(?P<check>[^\x00-\x1f]{{1,128}}?)[`']? now returning (?P<status>{_NUMBER})",
        LogKind.CHECK_RETURNED,
    ),
    _form(") failed", rf"{_SCRIPT}failed{_OUTCOMES}", LogKind.CHECK_FAILED),
    _form(") timed", rf"{_SCRIPT}timed[_ ]out", LogKind.CHECK_TIMED_OUT),
    _form(") succeeded", rf"{_SCRIPT}succeeded", LogKind.CHECK_SUCCEEDED),
    _form(
        "for tracked process",
        r"Quorum lost for tracked process (?P<check>[^\x00-\x1f]{1,128})",
        LogKind.CHECK_FAILED,
    ),
    _form(
        "for tracked process",
        r"Quorum gained for tracked process (?P<check>[^\x00-\x1f]{1,128})",
        LogKind.CHECK_SUCCEEDED,
    ),
    _form(
        "timer expired",
        r"A thread timer expired (?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,9})?) seconds ago",
        LogKind.TIMER_EXPIRED,
    ),
    _form("Netlink reports", r"Netlink reports (?P<subject>\S{1,64}) down", LogKind.LINK_DOWN),
    _form("Netlink reports", r"Netlink reports (?P<subject>\S{1,64}) up", LogKind.LINK_UP),
    _form("Kernel is reporting", r"Kernel is reporting: interface (?P<subject>\S{1,64}) DOWN", LogKind.LINK_DOWN),
    _form("Kernel is reporting", r"Kernel is reporting: interface (?P<subject>\S{1,64}) UP", LogKind.LINK_UP),
    _form(
        "Netlink reflector",
        r"Netlink reflector reports IP (?P<address>\S{1,64}) removed(?: from \S{1,64})?",
        LogKind.ADDRESS_REMOVED,
    ),
    _form(
        "Netlink reflector",
        r"Netlink reflector reports IP (?P<address>\S{1,64}) added(?: to \S{1,64})?",
        LogKind.ADDRESS_ADDED,
    ),
    _form(
        "invalid passwd",
        rf"{_INSTANCE}received an invalid passwd(?:!| from (?P<router>\S{{1,64}}))",
        LogKind.AUTHENTICATION_FAILED,
    ),
    _form(
        "IPSEC-AH",
        rf"{_INSTANCE}IPSEC-AH : invalid IPSEC HMAC-MD5 value\. Due to fields mutation or bad password !",
        LogKind.AUTHENTICATION_FAILED,
    ),
    _form(
        "not present in",
        rf"{_INSTANCE}ip address associated with VRID {_NUMBER} not present in (?:MASTER )?advert ?: (?P<address>\S{{1,64}})",
        LogKind.ADDRESS_MISSING,
    ),
    _form(
        "VIPs but received",
        rf"{_INSTANCE}expected (?P<before>{_NUMBER}) VIPs but received (?P<after>{_NUMBER})",
        LogKind.ADDRESS_COUNT_MISMATCH,
    ),
    _form(
        "invalid ip number",
        rf"{_INSTANCE}received an invalid ip number count (?P<after>{_NUMBER}), expected (?P<before>{_NUMBER})!",
        LogKind.ADDRESS_COUNT_MISMATCH,
    ),
    _form(
        "interval mismatch",
        rf"(?:{_INSTANCE})?advertisement interval mismatch mine=(?P<before>{_NUMBER}) sec rcv(?:'d|ed)=(?P<after>{_NUMBER}) sec",
        LogKind.INTERVAL_MISMATCH,
    ),
    _form(
        "Unknown VRID",
        rf"Unknown VRID\((?P<after>{_NUMBER})\) received on interface\((?P<subject>[^\s)]{{1,64}})\)"
        r"(?: from (?P<router>\S{1,64}?))?\. ignoring\.\.\.",
        LogKind.UNKNOWN_VRID,
    ),
    _form("Starting Keepalived", r"Starting Keepalived v\S{1,32}(?: \([0-9/,]{1,16}\))?.{0,64}", LogKind.STARTING),
    _form("Stopping", r"Stopping(?: Keepalived v\S{1,32}(?: \([0-9/,]{1,16}\))?.{0,64})?", LogKind.STOPPING, anyone=False),
    _form("Reloading", r"Reloading(?: \.\.\.)?", LogKind.RELOADING, anyone=False),
    _form("Respawning", rf"(?:Keepalived_vrrp|VRRP) child process\({_NUMBER}\) died: Respawning", LogKind.CHILD_DIED),
)

_BY_NEEDLE = {
    needle: tuple(form for form in _FORMS if form.needle == needle) for needle in dict.fromkeys(form.needle for form in _FORMS)
}


def parse_message(text: str, tag: str | None) -> Message | None:
    """What keepalived says, without stamp and name; None if that is not known here.

    ``tag`` is the program's name as the log gives it, None where the log is of one program: others stop and reload too.
    """
    for needle, forms in _BY_NEEDLE.items():
        if needle not in text:
            continue
        for form in forms:
            match = form.pattern.fullmatch(text)
            if match is not None and (form.anyone or tag is None or "keepalived" in tag.lower()):
                return _message(form.kind, match)
    return None


def _message(kind: LogKind, match: re.Match[str]) -> Message:
    parts = match.groupdict()
    status = _int(parts.get("status"))
    both = _int(parts.get("both"))
    seconds = parts.get("seconds")
    address = parts.get("address")
    if kind is LogKind.CHECK_FAILED and status == _TIMED_OUT:
        kind = LogKind.CHECK_TIMED_OUT
    return Message(
        kind=kind,
        detail=match[0],
        instance=parts.get("instance"),
        router=_address(parts.get("router")),
        check=parts.get("check"),
        status=status,
        before=both if both is not None else _int(parts.get("before")),
        after=both if both is not None else _int(parts.get("after")),
        seconds=None if seconds is None else float(seconds),
        subject=_address(address) if address is not None else parts.get("subject"),
    )


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


def _address(text: str | None) -> str | None:
    """Canonical; None for what is none, as people write when they hide theirs."""
    try:
        return None if text is None else str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None
