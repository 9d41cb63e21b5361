"""A flap and its cost, resets without one, storms, and the other events that the engine tells its sinks."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from observer.model.observations import Family
    from observer.model.verdicts import Cause, Confidence, Evidence, Verdict


@dataclass(frozen=True, slots=True, order=True)
class VirtualRouter:
    """Which virtual router: VRID and family on one segment (RFC 9568 1.7)."""

    vrid: int
    """0 stands for an address that no virtual router has."""
    family: Family
    interface: str | None
    """The interface where it was seen; None where the capture does not tell."""

    @property
    def label(self) -> str:
        """``VRID 51 (ipv4) on eth0``."""
        where = f" on {self.interface}" if self.interface else ""
        return f"VRID {self.vrid} ({self.family.label}){where}" if self.vrid else f"no VRRP ({self.family.label}){where}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """A length of time in nanoseconds of which only limits are known; ``maximum`` None: not over when last looked."""

    minimum: int
    maximum: int | None


class ResetReason(enum.StrEnum):
    """Why a TCP reset was sent from or to a virtual address (RFC 9293 3.5.2, 3.10.7; Linux ``tcp_v4_send_reset``)."""

    ORPHANED = "orphaned"
    """The address moved here, and the client sent on a connection that another router's host had."""
    REFUSED = "refused"
    """Nothing listened where a client wanted to connect."""
    ABORTED = "aborted"
    """The process behind the address ended a connection that it had."""
    LATE_DATA = "late_data"
    """The client sent after the address had closed the connection in order."""
    REDIRECT_LOST = "redirect_lost"
    """The holder had the connection, did not close it and does not know it any more: its address translation is gone."""
    CLIENT = "client"
    """Sent by the client."""
    UNATTRIBUTED = "unattributed"
    """A condition of the others is unknown, most often because the connection is older than the observation."""


@dataclass(frozen=True, slots=True)
class Connections:
    """What a flap cost in TCP connections to its addresses; None where nothing of the kind could be seen.

    Each connection is counted once, however many segments or vantage points show it.
    """

    reset: int | None
    """Connections of another router's host that were reset (``ResetReason.ORPHANED``)."""
    refused: int | None
    """Connection attempts refused because nothing listened."""
    clients: int | None
    """Client addresses with a connection reset, refused or aborted; the addresses themselves are never told."""
    aborted: int | None = None
    """Connections that the process behind the address ended with a reset."""
    established: int | None = None
    """Connections that lived at the former holder when the address moved, by its kernel's sockets."""
    left: int | None = None
    """Of these, the ones that nothing told that they are gone: neither reset nor aborted in the flap's window."""


@dataclass(frozen=True, slots=True)
class Reconnects:
    """The wave of new connections after a flap; each attempt is counted once, however often its SYN is repeated."""

    attempts: int
    peak: int
    """Most attempts within any one second."""
    peak_time: int
    """Where that second begins."""
    settled: int | None
    """Nanoseconds from the move until attempts stay below a tenth of the peak; None: they had not yet."""


@dataclass(frozen=True, slots=True)
class Misdirection:
    """A time in which the last announcement told clients to send to a router that does not hold the addresses."""

    begin: int
    end: int
    router: str
    """Where they were sent."""
    instead_of: str
    """Where they should have been."""


class FlapStage(enum.StrEnum):
    """How far the judgement of a flap has come."""

    PROVISIONAL = "provisional"
    """The best that can be said now; later observations may change it."""
    STANDING = "standing"
    """The verdict will not change any more; the cost may still grow."""
    CLOSED = "closed"
    """Verdict and cost are final."""


@dataclass(frozen=True, slots=True)
class Flap:
    """One disturbance of one virtual router's addresses: they changed hands, were claimed by two, or were lost."""

    id: str
    time: int
    """When the addresses changed hands; where they did not, when they were lost or claimed."""
    virtual_router: VirtualRouter
    addresses: tuple[str, ...]
    former: str | None
    """Router that held the addresses before (``from`` in JSON)."""
    current: str | None
    """Router that holds them after (``to`` in JSON); None when nobody took over, the former one when it came back."""
    verdict: Verdict
    outage: Bounds
    """How long nobody answered for the addresses, as far as adverts tell."""
    dual_active: Bounds
    """How long more than one router claimed them."""
    misdirected: int | None
    """Nanoseconds in which clients were sent to a router that had lost the election; None where no announcement was seen."""
    connections: Connections
    served_again: Bounds | None = None
    """How long until the new holder first answered a handshake; None where no such handshake was seen."""
    reconnects: Reconnects | None = None
    """None where no handshake with the new holder was seen."""
    misdirections: tuple[Misdirection, ...] = ()
    """When ``misdirected`` was, and to whom, without what lasted some milliseconds."""
    window: int = 0
    """Nanoseconds after the move for which connections were counted: until the next flap, the close, or the end."""


@dataclass(frozen=True, slots=True)
class FlapJudged:
    """A flap was judged, for the first time or anew. A flap is counted once: at the first event that stands or closes."""

    time: int
    flap: Flap
    stage: FlapStage
    counts: bool
    """This event is the one at which the flap is to be counted."""


@dataclass(frozen=True, slots=True)
class FlapWithdrawn:
    """A flap that was told provisionally was none: the router had gone on, and only its adverts were not heard."""

    time: int
    flap: Flap


@dataclass(frozen=True, slots=True)
class Elected:
    """A router was first seen Active where none was before: no flap, counted apart."""

    time: int
    virtual_router: VirtualRouter
    router: str
    at_start: bool
    """It may have been Active before the observation began."""


@dataclass(frozen=True, slots=True)
class ActiveChanged:
    """Another router is Active now, or none is."""

    time: int
    virtual_router: VirtualRouter
    router: str | None
    priority: int | None
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResetsSeen:
    """Resets of a virtual router's addresses within a second, by reason; segments as they were seen, copies included."""

    time: int
    virtual_router: VirtualRouter
    counts: tuple[tuple[ResetReason, int], ...]


class BurstCause(enum.StrEnum):
    """Why many connections were reset at once without a flap; each is described in ``rules.bursts``."""

    PROXY_DOWN = "proxy_down"
    BACKEND_SHUTDOWN = "backend_shutdown"
    REDIRECT_LOST = "redirect_lost"
    CLIENT_ABORT = "client_abort"
    UNATTRIBUTED = "unattributed"


@dataclass(frozen=True, slots=True)
class ResetBurst:
    """Connections of a virtual router's addresses that were reset at once, while no flap was under way."""

    id: str
    time: int
    """The first of its resets."""
    end: int
    """The last."""
    virtual_router: VirtualRouter
    addresses: tuple[str, ...]
    cause: BurstCause
    confidence: Confidence
    connections: tuple[tuple[ResetReason, int], ...]
    """Distinct connections by why they were reset; a connection may have been reset for two reasons."""
    clients: int
    evidence: tuple[Evidence, ...]
    blind_spots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BurstSeen:
    """A reset burst is over."""

    time: int
    burst: ResetBurst


@dataclass(frozen=True, slots=True)
class Turn:
    """One flap of a storm."""

    flap: str
    """Its ``id``."""
    time: int
    former: str | None
    current: str | None
    cause: Cause
    resets: int | None
    reconnects: int | None
    peak: int | None
    """Most reconnects within a second."""
    failed: int | None
    """When the priority fell of the router that this flap made Active, which led to the next one."""
    delay: int | None
    """Nanoseconds from the peak of a wave to ``failed``; None where there was no wave, or the check failed before it."""


@dataclass(frozen=True, slots=True)
class Storm:
    """Flaps of one virtual router in close succession, and whether each drives the next."""

    id: str
    time: int
    """Of the first flap."""
    end: int
    """Of the last flap."""
    virtual_router: VirtualRouter
    addresses: tuple[str, ...]
    turns: tuple[Turn, ...]
    flaps: int
    """How many; more than ``turns`` where the storm was longer than what is kept."""
    period: int
    """Median nanoseconds from flap to flap."""
    driven: bool
    """The figures support that the reconnects after one flap fail the check that leads to the next."""
    statement: str
    """The figures in words."""
    reset: int | None
    """Connections reset in all."""
    refused: int | None
    unwarranted: int
    """Flaps that were not warranted."""


@dataclass(frozen=True, slots=True)
class StormSeen:
    """Flaps follow each other: first told at the third, again at further ones, and last when it is over."""

    time: int
    storm: Storm
    counts: bool
    """This event is the one at which the storm is to be counted."""
    over: bool


Event: TypeAlias = FlapJudged | FlapWithdrawn | Elected | ActiveChanged | ResetsSeen | BurstSeen | StormSeen
