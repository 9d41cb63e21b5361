"""What was seen, when, and by which node: the only input of the engine.

Every observation carries ``time`` (nanoseconds since the epoch) and ``node`` (the name of the vantage point). Addresses are
strings in their canonical form (RFC 5952 for IPv6), MAC addresses are lower case with colons. ``None`` means not observed.
Nothing here holds VRRP authentication data: see ``Advert.authentication_group``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from observer.model.host import HostSample, LogEvent
from observer.model.segments import TcpSegments


class Family(enum.IntEnum):
    """Address family of a virtual router."""

    IPV4 = 4
    IPV6 = 6

    @property
    def label(self) -> str:
        """As metrics and JSON name it."""
        return "ipv4" if self is Family.IPV4 else "ipv6"


class Authentication(enum.StrEnum):
    """How an advertisement was authenticated (RFC 3768 5.3.6; RFC 2338 for the first three)."""

    NONE = "none"
    SIMPLE = "simple"
    AH = "ah"
    MD5 = "md5"
    """Cisco's type 254."""
    HMAC = "hmac"
    """The 28-byte trailer of keepalived 2.4's ``auth_hmac``."""
    OTHER = "other"


class ChecksumForm(enum.StrEnum):
    """What the VRRP checksum was computed over; both are legal for VRRPv3 over IPv4 in the field."""

    MESSAGE = "message"
    PSEUDO_HEADER = "pseudo_header"
    PSEUDO_HEADER_MULTICAST = "pseudo_header_multicast"
    """Old keepalived in unicast: the pseudo-header of 224.0.0.18 on a packet sent elsewhere."""
    UNVERIFIED = "unverified"
    """The capture holds less than the checksum covers."""


class NeighbourKind(enum.StrEnum):
    """What an ARP or Neighbour Discovery message says."""

    REQUEST = "request"
    """Who has the target address?"""
    REPLY = "reply"
    """The sender holds the address, told to the one who asked."""
    ANNOUNCEMENT = "announcement"
    """The sender holds the address, told to everybody: gratuitous ARP (either operation), unsolicited advertisement."""


class SourceState(enum.StrEnum):
    """Whether a source of observations is listening."""

    STARTED = "started"
    STOPPED = "stopped"
    FAILED = "failed"


CUT = "truncated"
"""The ``reason`` of an advert that the capture cut short: ``wire.errors.Reason.TRUNCATED``, by the name that the engine knows."""

UNNAMED = 0
"""Stands for the interface in a capture of several that does not tell them apart; Linux numbers interfaces from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advert:
    """A VRRP Advertisement that passed every check of ``wire.vrrp``."""

    time: int
    node: str
    interface: str | None
    router: str
    """Source address: the sender's primary address (its link-local address in IPv6)."""
    destination: str
    mac: str | None
    """Link-layer source; often the Virtual Router MAC in routers, the interface's own in keepalived."""
    family: Family
    version: int
    vrid: int
    priority: int
    interval: int
    """Advertised interval in nanoseconds."""
    addresses: tuple[str, ...]
    authentication: Authentication
    authentication_group: int
    """Equal for adverts with equal authentication data: a small ordinal in order of appearance, 0 for none."""
    checksum: ChecksumForm
    ttl: int
    ident: int | None
    """IPv4 identification, which keepalived counts up by itself; None in IPv6."""
    outgoing: bool | None = None
    vlans: tuple[int, ...] = ()
    """VLAN identifiers of the frame, outermost first; empty where it had no tag, or the kernel took it off."""
    ifindex: int | None = None
    """Which of the node's interfaces, in a capture of several with one name (``any``); ``UNNAMED`` where that is not told."""

    @property
    def unicast(self) -> bool:
        """Sent to one peer rather than to the group."""
        return self.destination not in ("224.0.0.18", "ff02::12")


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A frame for VRRP (or one that looks like it) that failed a check; ``reason`` is a ``wire.errors.Reason`` value."""

    time: int
    node: str
    interface: str | None
    reason: str
    router: str | None = None
    vrid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """An ARP or Neighbour Discovery message."""

    time: int
    node: str
    interface: str | None
    kind: NeighbourKind
    mac: str
    """Link-layer address that the message binds to ``sender`` (or, in a REQUEST, that asks)."""
    sender: str
    """Address that the sender says is its own: the claimed one in REPLY and ANNOUNCEMENT, the asker's in REQUEST."""
    target: str
    """REQUEST: the address asked for. REPLY and ANNOUNCEMENT: the asker's address, or ``sender`` again."""
    outgoing: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A host's kernel says that no process takes VRRP there (ICMP protocol unreachable): it lives, its keepalived does not."""

    time: int
    node: str
    interface: str | None
    router: str
    """The host, by the source address of the ICMP message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLeft:
    """A host's kernel leaves the group of VRRP: its last process that listened there has ended, in order or not."""

    time: int
    node: str
    interface: str | None
    router: str
    """The host, by the source address of the IGMP or MLD message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChange:
    """The kernel added or removed an address of this node (RTM_NEWADDR, RTM_DELADDR)."""

    time: int
    node: str
    interface: str
    address: str
    present: bool
    initial: bool = False
    """Part of the state found at the start (or after lost messages), not a change seen to happen."""
    requester: int | None = None
    """Netlink port of who asked for it (nlmsg_pid); 0 is the kernel itself."""
    requester_name: str | None = None
    """Name of that process; None where it was gone or hidden when looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """The kernel reported an interface of this node (RTM_NEWLINK, RTM_DELLINK)."""

    time: int
    node: str
    interface: str
    up: bool
    """Administratively up and with carrier (IFF_UP and IFF_LOWER_UP)."""
    mac: str | None = None
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """A source began or ceased to listen; what is silent in between was really silent."""

    time: int
    node: str
    source: str
    state: SourceState
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesLost:
    """A source lost frames or messages since its last report: silence around here is weak evidence."""

    time: int
    node: str
    source: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How a node's clock compares with another's, in a replay of several nodes; lengths of time are nanoseconds."""

    time: int
    node: str
    reference: str
    ahead: int | None = None
    """Best estimate of how far it is ahead; None where the two could not be compared."""
    least: int | None = None
    most: int | None = None
    """The packets that both captured allow no less, and no more."""
    put_right: int = 0
    """What has been taken off the node's times."""

    @property
    def error(self) -> int | None:
        """By how much its times may still be wrong, either way; None: nobody knows."""
        if self.least is None or self.most is None:
            return None
        return max(abs(self.least - self.put_right), abs(self.most - self.put_right))


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Not seen anywhere: everything up to this time has been delivered, so silence until then is real."""

    time: int


Observation: TypeAlias = (
    Advert
    | Malformed
    | Neighbour
    | Refused
    | GroupLeft
    | TcpSegments
    | AddressChange
    | LinkChange
    | LogEvent
    | HostSample
    | SourceChange
    | FramesLost
    | Clock
)
