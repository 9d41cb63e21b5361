"""``vrrp_instance`` and ``vrrp_sync_group``: what stands in their blocks, before one is seen in the light of the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.keepalived.addresses import peers, virtual_addresses
from observer.keepalived.tracks import TRACK_BLOCKS, tracks
from observer.keepalived.values import address, integer, switch, timer
from observer.model.observations import Authentication, Family
from observer.model.time import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observer.keepalived.blocks import Statement
    from observer.keepalived.model import Check, CheckKind, Track, VirtualAddress
    from observer.keepalived.notes import Notes

INTERVAL = (10 * MILLISECOND, 255 * SECOND)
"""Limits of ``advert_int``."""
PREEMPT_DELAY = 1000 * SECOND
"""Largest ``preempt_delay``."""
_LONGEST = 2**31 * SECOND

_AUTHENTICATION = {"PASS": Authentication.SIMPLE, "AH": Authentication.AH}
GARP = ("garp_master_delay", "garp_master_repeat", "garp_master_refresh", "garp_master_refresh_repeat")
"""Keywords of announcements; globally they begin with ``vrrp_``."""


@dataclass(slots=True)
class RawInstance:
    """A ``vrrp_instance`` as written; None where nothing is said."""

    name: str
    file: str
    line: int
    interface: str | None = None
    vrid: int | None = None
    priority: int | None = None
    interval: int = SECOND
    version: int | None = None
    native_ipv6: bool = False
    addresses: list[VirtualAddress] = field(default_factory=list)
    excluded: list[VirtualAddress] = field(default_factory=list)
    source: str | None = None
    peers: list[str] = field(default_factory=list)
    nopreempt: bool = False
    preempt_delay: int = 0
    use_vmac: bool = False
    master: bool | None = None
    authentication: Authentication = Authentication.NONE
    tracks: list[Track] = field(default_factory=list)
    track_primary: bool = True
    garp: dict[str, int] = field(default_factory=dict)
    down_timer_adverts: int | None = None

    @property
    def family(self) -> Family:
        """By the first virtual address, else by where advertisements come from and go to."""
        known = [item.address for item in self.addresses] + [self.source or "", *self.peers]
        text = next(filter(None, known), "")
        return Family.IPV6 if ":" in text or (not text and self.native_ipv6) else Family.IPV4


@dataclass(slots=True)
class RawGroup:
    """A ``vrrp_sync_group`` as written."""

    name: str
    file: str
    line: int
    members: list[str] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    own_weights: bool = False
    """``sync_group_tracking_weight`` (or the older ``global_tracking``): members keep their weighted tracks."""


def group(statement: Statement, checks: Mapping[tuple[CheckKind, str], Check], notes: Notes) -> RawGroup:
    """A ``vrrp_sync_group`` block."""
    found = RawGroup(statement.word(1) or "", statement.file, statement.line)
    for item in statement.block:
        if item.keyword == "group":
            found.members.extend(word for line in item.block for word in line.words)
        elif item.keyword in TRACK_BLOCKS:
            _add(found.tracks, tracks(item, checks, notes), item, notes)
        elif item.keyword in ("sync_group_tracking_weight", "global_tracking"):
            found.own_weights = True
        else:
            notes.ignore(item)
    return found


def instance(statement: Statement, checks: Mapping[tuple[CheckKind, str], Check], notes: Notes) -> RawInstance:
    """A ``vrrp_instance`` block."""
    found = RawInstance(statement.word(1) or "", statement.file, statement.line)
    for item in statement.block:
        if item.keyword in TRACK_BLOCKS:
            _add(found.tracks, tracks(item, checks, notes), item, notes)
        elif item.keyword in GARP:
            if (value := garp(item, notes)) is not None:
                found.garp[item.keyword] = value
        elif not (_identity(found, item, notes) or _behaviour(found, item, notes)):
            notes.ignore(item)
    return found


def garp(item: Statement, notes: Notes) -> int | None:
    """A ``garp_master_*`` value: nanoseconds for delays, else a count; None where it is not valid."""
    if item.keyword.endswith("repeat"):
        return notes.value(item, integer(item.word(1), 1, 2**31 - 1), 1)
    seconds = integer(item.word(1), 0, 2**31 - 1)
    return notes.value(item, None if seconds is None else seconds * SECOND, None)


def _identity(found: RawInstance, item: Statement, notes: Notes) -> bool:
    """Who and where: keywords that set which virtual router this is and how it speaks."""
    match item.keyword:
        case "interface":
            found.interface = item.word(1)
        case "virtual_router_id":
            found.vrid = notes.value(item, integer(item.word(1), 1, 255), found.vrid)
        case "version":
            found.version = _version(found, item, notes)
        case "native_ipv6":
            found.native_ipv6, found.version = True, 3
        case "virtual_ipaddress":
            found.addresses.extend(_one_family(found, virtual_addresses(item, notes), item, notes))
        case "virtual_ipaddress_excluded":
            found.excluded.extend(virtual_addresses(item, notes))
        case "unicast_src_ip" | "mcast_src_ip":
            parsed = notes.value(item, address(item.word(1)), None)
            found.source = parsed[0] if parsed else found.source
        case "unicast_peer":
            found.peers.extend(peers(item, notes))
        case "authentication":
            for line in item.block:
                if line.keyword == "auth_type":
                    found.authentication = _AUTHENTICATION.get(line.word(1) or "", found.authentication)
        case _:
            return False
    return True


def _behaviour(found: RawInstance, item: Statement, notes: Notes) -> bool:
    """Keywords that set how the instance takes part in elections."""
    match item.keyword:
        case "priority":
            found.priority = notes.value(item, integer(item.word(1), 1, 255), 100)
        case "advert_int":
            found.interval = notes.value(item, timer(item.word(1), *INTERVAL), found.interval)
        case "state":
            found.master = item.word(1) == "MASTER"
        case "nopreempt":
            found.nopreempt = True
        case "preempt":
            found.nopreempt = False
        case "preempt_delay":
            found.preempt_delay = notes.value(item, timer(item.word(1), 0, PREEMPT_DELAY), 0)
        case "use_vmac":
            found.use_vmac = True
        case "dont_track_primary":
            found.track_primary = not switch(item.word(1))
        case "down_timer_adverts":
            found.down_timer_adverts = notes.value(item, integer(item.word(1), 1, 100), found.down_timer_adverts)
        case _:
            return False
    return True


def _version(found: RawInstance, item: Statement, notes: Notes) -> int | None:
    """``version``. keepalived refuses 2 where it knows already that this is IPv6, and not where it learns so later."""
    value = notes.value(item, integer(item.word(1), 2, 3), found.version)
    if value == 2 and (found.native_ipv6 or found.family is Family.IPV6):
        notes.problem(item, f"{found.name}: VRRPv2 is for IPv4", "3 is taken")
        return found.version
    return value


def _one_family(found: RawInstance, new: list[VirtualAddress], item: Statement, notes: Notes) -> list[VirtualAddress]:
    """All ``virtual_ipaddress`` entries are of the first one's family."""
    first = next((entry.address for entry in [*found.addresses, *new]), "")
    same = [entry for entry in new if (":" in entry.address) == (":" in first)]
    if len(same) < len(new):
        notes.problem(item, f"{found.name}: addresses of two families", "those unlike the first are left out")
    return same


def _add(known: list[Track], new: list[Track], item: Statement, notes: Notes) -> None:
    """Track entries, the first of each name only."""
    for track in new:
        if any((other.kind, other.name) == (track.kind, track.name) for other in known):
            notes.problem(item, f"{track.kind} {track.name} is tracked twice", "the first entry counts")
        else:
            known.append(track)
