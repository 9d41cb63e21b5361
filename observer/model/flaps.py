"""A flap and its cost, and the other events that the engine tells its sinks."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from observer.model.observations import Family
    from observer.model.verdicts import Verdict


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


@dataclass(frozen=True, slots=True)
class Connections:
    """What a flap cost in TCP connections to its addresses; None where nothing of the kind could be seen."""

    reset: int | None
    """Distinct connections that the addresses' new holder reset."""
    refused: int | None
    """Connection attempts refused because nothing listened."""
    clients: int | None
    """Distinct client addresses among both; the addresses themselves are never told."""


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


Event: TypeAlias = FlapJudged | FlapWithdrawn | Elected | ActiveChanged
