"""What was seen, when, and by which node: the only input of the engine.

Every observation carries ``time`` (nanoseconds since the epoch) and ``node`` (the name of the vantage point). Addresses are
strings in their canonical form (RFC 5952 for IPv6), MAC addresses are lower case with colons. ``None`` means not observed.
Nothing here holds VRRP authentication data: see ``Advert.authentication_group``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


class Tcp(enum.IntFlag):
    """TCP header flags (RFC 9293 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frames:
    """The first octets of captured frames, for recording: row *i* is ``octets[offsets[i] : offsets[i] + lengths[i]]``.

    A copy that nobody changes; at most 128 octets a frame, so headers and hardly any data.
    """

    octets: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    original_lengths: NDArray[np.int64]
    """Octets on the wire."""
    linktype: int
    """LINKTYPE_ number of all of them."""
    outgoing: NDArray[np.bool_]
    """Sent by the observing node."""

    def rows(self, selection: Any) -> Frames:
        """The frames of a slice, a mask or an index array; the octets are shared."""
        return Frames(
            octets=self.octets,
            offsets=self.offsets[selection],
            lengths=self.lengths[selection],
            original_lengths=self.original_lengths[selection],
            linktype=self.linktype,
            outgoing=self.outgoing[selection],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TcpSegments:
    """TCP segments of one vantage point as columns, in order of time; row *i* of every column is one segment.

    Holds segments with SYN, FIN or RST, and in replay those that carry data. Addresses are two 64-bit words, high and low, IPv4
    mapped into IPv6 (RFC 4291 2.5.5.2), so that both families go the same way.
    """

    node: str
    interface: str | None
    times: NDArray[np.int64]
    sources: NDArray[np.uint64]
    """Shape (n, 2)."""
    destinations: NDArray[np.uint64]
    """Shape (n, 2)."""
    source_ports: NDArray[np.uint16]
    destination_ports: NDArray[np.uint16]
    flags: NDArray[np.uint8]
    sequence: NDArray[np.uint32]
    acknowledgement: NDArray[np.uint32]
    windows: NDArray[np.uint16]
    payloads: NDArray[np.uint32]
    """Bytes of data, from the IP header's length and not from what was captured."""
    macs: NDArray[np.uint64]
    """Link-layer source as a number, 0 where the link layer has none."""
    frames: Frames | None = None
    """The frames themselves, row by row, where a live source was asked to keep them; None in replay."""
    weights: NDArray[np.uint32] | None = None
    """How many segments each row stands for, where a reader left out others of its kind (see ``wire.sift``); None for one."""

    @property
    def time(self) -> int:
        """Time of the first segment."""
        return int(self.times[0])

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, selection: Any) -> TcpSegments:
        """The segments of a slice, a mask or an index array."""
        return TcpSegments(
            node=self.node,
            interface=self.interface,
            times=self.times[selection],
            sources=self.sources[selection],
            destinations=self.destinations[selection],
            source_ports=self.source_ports[selection],
            destination_ports=self.destination_ports[selection],
            flags=self.flags[selection],
            sequence=self.sequence[selection],
            acknowledgement=self.acknowledgement[selection],
            windows=self.windows[selection],
            payloads=self.payloads[selection],
            macs=self.macs[selection],
            frames=None if self.frames is None else self.frames.rows(selection),
            weights=None if self.weights is None else self.weights[selection],
        )


def joined(parts: list[TcpSegments]) -> TcpSegments:
    """Batches of one vantage point that follow one another in time, as one."""
    if len(parts) == 1:
        return parts[0]
    # Not at the top: what needs only the names in this module starts faster without it.
    import numpy as np

    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    if any(part.weights is not None for part in parts):
        weights = [np.ones(len(part), np.uint32) if part.weights is None else part.weights for part in parts]
        columns["weights"] = np.concatenate(weights)
    return TcpSegments(node=parts[0].node, interface=parts[0].interface, **columns)


_COLUMNS = [field.name for field in fields(TcpSegments) if field.name not in ("node", "interface", "frames", "weights")]


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


class LogKind(enum.StrEnum):
    """What a line of keepalived's log says; its own words are in ``wire.log_lines``."""

    ENTERED_ACTIVE = "entered_active"
    ENTERED_BACKUP = "entered_backup"
    ENTERED_FAULT = "entered_fault"
    ADVERTISEMENT_TIMEOUT = "advertisement_timeout"
    """Active_Down_Interval (or Skew_Time after a priority 0) passed without an accepted advert."""
    PRIORITY_ZERO_RECEIVED = "priority_zero_received"
    PRIORITY_ZERO_SENT = "priority_zero_sent"
    PRIORITY_CHANGED = "priority_changed"
    """Effective priority; during a reload it is logged although the wire never shows it."""
    LOWER_PRIORITY_DISCARDED = "lower_priority_discarded"
    ELECTION_FORCED = "election_forced"
    """An Active router heard a lower one and advertises at once."""
    HIGHER_PRIORITY_RECEIVED = "higher_priority_received"
    HIGHER_ADDRESS_RECEIVED = "higher_address_received"
    """Of the same priority."""
    CHECK_RETURNED = "check_returned"
    """A script's exit status is another than last time; what that means depends on ``rise`` and ``fall``."""
    CHECK_FAILED = "check_failed"
    CHECK_TIMED_OUT = "check_timed_out"
    """keepalived ended it, or timeout(1) did (status 124): nothing is known about the checked thing."""
    CHECK_SUCCEEDED = "check_succeeded"
    TIMER_EXPIRED = "timer_expired"
    """keepalived did not run for a while (``seconds``)."""
    LINK_DOWN = "link_down"
    LINK_UP = "link_up"
    ADDRESS_REMOVED = "address_removed"
    """By somebody else: keepalived 2 does not log its own removals so."""
    ADDRESS_ADDED = "address_added"
    AUTHENTICATION_FAILED = "authentication_failed"
    ADDRESS_MISSING = "address_missing"
    """An advert does not list an address that is configured here."""
    ADDRESS_COUNT_MISMATCH = "address_count_mismatch"
    INTERVAL_MISMATCH = "interval_mismatch"
    UNKNOWN_VRID = "unknown_vrid"
    STARTING = "starting"
    STOPPING = "stopping"
    RELOADING = "reloading"
    CHILD_DIED = "child_died"
    """The VRRP process died and its parent starts another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """A line of keepalived's log that is understood. Lines that are not are kept nowhere: they may hold secrets."""

    time: int
    """As good as the log's time stamps: often to the second only, rounded down."""
    node: str
    kind: LogKind
    instance: str | None = None
    """keepalived's name for the virtual router."""
    router: str | None = None
    """Source address of the advert that it is about."""
    check: str | None = None
    """Name of the script or process that is tracked."""
    status: int | None = None
    """Exit status of the script."""
    before: int | None = None
    """Old priority; own priority, address count or interval (seconds) where the line compares."""
    after: int | None = None
    """New priority; the received priority, address count or interval (seconds); the VRID that is unknown."""
    seconds: float | None = None
    """How late a timer was."""
    subject: str | None = None
    """Interface of LINK_* and UNKNOWN_VRID, address of ADDRESS_REMOVED, ADDRESS_ADDED and ADDRESS_MISSING."""
    detail: str = ""
    """keepalived's own words, for evidence to quote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """What one look at the node itself showed. Each source fills its own fields; ``None`` means that it was not looked at.

    What a sample says holds until the next one of the same source and ``subject``: those that say the same again are told only
    once in a while, and each one while there is trouble.
    """

    time: int
    node: str
    source: str
    """Which look it was: ``sockets``, ``raw``, ``process``, ``pressure``, ``haproxy``, ``redirect``."""
    subject: str = ""
    """What was looked at, where a source looks at several things: a port of the proxy, a program's name."""

    listening: bool | None = None
    """sockets: whether something listens at the proxy's port."""
    listener: int | None = None
    """sockets: inode of the oldest listening socket: another number is another process."""
    queued: int | None = None
    """sockets: connections that the kernel completed and that no process has accepted yet."""
    backlog: int | None = None
    """sockets: how many may wait so."""
    established: int | None = None
    """sockets: accepted connections of other hosts at the port."""
    sending: int | None = None
    """sockets: of these, how many were sent data within the last second and a half, retransmissions left out."""

    vrrp_queued: int | None = None
    """raw: bytes that wait in keepalived's VRRP sockets."""
    vrrp_dropped: int | None = None
    """raw: packets that these sockets have dropped so far."""

    running: int | None = None
    """process: how many processes of the program run in this network namespace."""
    states: str | None = None
    """process: their states, one letter each in order of age, as proc(5) has them: ``T`` is stopped."""
    started: int | None = None
    """process: when the youngest of them started."""

    pressure_cpu: float | None = None
    """pressure: share of the time since the sample before in which some task waited for a CPU (PSI)."""
    pressure_io: float | None = None
    pressure_memory: float | None = None
    lag: int | None = None
    """pressure: nanoseconds for which the agent itself was not run although it was due."""

    answers: bool | None = None
    """haproxy: whether HAProxy answered at its stats socket in time."""
    servers: int | None = None
    """haproxy: servers of the backend that is worst off."""
    servers_up: int | None = None
    """haproxy: of these, those that are up, by a last check that succeeded."""

    redirected: bool | None = None
    """redirect: whether a rule sends connections to a virtual address to the proxy's own port."""


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
