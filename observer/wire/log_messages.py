"""What keepalived says in a line of its log, as a typed value: its own words, version by version.

Pure: text in, values out; the stamps and names around a message are read in ``wire.log_lines``. Any text is taken and nothing
raised. Only whole messages that are known are kept, so that nothing secret passes.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NamedTuple

from observer.model.host import LogKind

_TIMED_OUT = 124
"""Exit status of timeout(1) when it ended its command."""


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
    _form("(init)", rf"{_INSTANCE}Entering BACKUP STATE \(init\)", LogKind.BEGAN_AS_BACKUP),
    _form("Entering BACKUP", rf"{_INSTANCE}Entering BACKUP STATE", LogKind.ENTERED_BACKUP),
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
