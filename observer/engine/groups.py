"""Groups of routers that share addresses, and which of them an advert belongs to. What happens in one is the engine's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.engine.bursts import Bursts
from observer.engine.flaps import CONTEST, OpenFlap
from observer.engine.storms import Storms
from observer.engine.virtual_router import VirtualRouterTracker
from observer.model.flaps import VirtualRouter
from observer.model.observations import Family
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observer.model.observations import Advert
    from observer.rules.view import Outside

VIRTUAL_ROUTERS = 512
"""Virtual routers followed at once: two VRIDs' worth of one segment in both families. Further ones are counted only."""

GROUPS = 4
"""Groups that share no address told apart within one VRID on one segment."""

LINKS = 16
"""Interfaces of one node told apart that have one name in a capture."""

SEGMENTS = 64
"""Groups of one VRID told apart on all the segments that a mirror port sees; many routers use one VRID on every VLAN."""

NO_VRRP = 0
"""Stands for the VRID of an address that no virtual router has; VRIDs are 1 to 255 (RFC 9568 5.2.3)."""

WANDERING = 64
"""Addresses without VRRP whose moves are followed on one interface."""


@dataclass(slots=True, eq=False)
class Group:
    """A virtual router with its open flaps, newest last."""

    tracker: VirtualRouterTracker
    flaps: list[OpenFlap] = field(default_factory=list)
    elected: int | None = None
    """When its first Active Router was elected, unless that had been Active before the observation."""
    claims: list[Outside] = field(default_factory=list)
    """Claims with no VRRP behind them, so far, and not yet looked into."""
    bursts: Bursts = field(default_factory=Bursts)
    storms: Storms = field(default_factory=Storms)
    vlans: dict[tuple[str, str | None], tuple[int, ...]] = field(default_factory=dict)
    """By node and interface, the most VLAN tags that its adverts had there."""
    links: dict[tuple[str, str | None], set[int]] = field(default_factory=dict)
    """By the same, over which interfaces its adverts came where one name stands for several (see ``Advert.ifindex``)."""

    @property
    def deadline(self) -> int | None:
        """When it wants to be called next, or None."""
        times = [self.tracker.deadline(), *(flap.deadline for flap in self.flaps)]
        times += [claim.time + self.patience for claim in self.claims]
        return min((time for time in times if time is not None), default=None)

    @property
    def open(self) -> OpenFlap | None:
        """The flap to which resets belong now: the newest, until it is closed."""
        return self.flaps[-1] if self.flaps and self.flaps[-1].ended is None else None

    def electing(self, time: int) -> bool:
        """Whether the first election may still be contested: several routers that start together claim the addresses at once."""
        return self.elected is not None and time - self.elected < CONTEST

    def parted(self, advert: Advert) -> bool:
        """Whether an advert is of another segment, by its VLAN tags: those that were taken off on the way are the outer ones."""
        mine = self.vlans.get((advert.node, advert.interface), advert.vlans)
        return any(one != other for one, other in zip(reversed(mine), reversed(advert.vlans), strict=False))

    def here(self, advert: Advert) -> Group:
        """The same; it remembers where an advert of it was seen."""
        place = advert.node, advert.interface
        if len(advert.vlans) > len(self.vlans.get(place, ())) and len(self.vlans) < SEGMENTS:
            self.vlans[place] = advert.vlans
        if advert.ifindex is not None and len(self.links) < SEGMENTS:
            links = self.links.setdefault(place, set())
            if len(links) < LINKS:
                links.add(advert.ifindex)
        return self

    def apart(self, other: Group) -> bool:
        """Whether one tap showed this and another group on two segments: with other tags, or over other interfaces.

        A tap may stand below VLAN interfaces, or at a mirror port. A bridge and its ports show a frame once each, so groups
        on one segment have an interface in common there.
        """
        shared = [(links, other.links[place]) for place, links in self.links.items() if place in other.links]
        if shared and all(mine.isdisjoint(its) for mine, its in shared):
            return True
        one, two = self.tracker.last, other.tracker.last
        return one is not None and two is not None and one.node == two.node and one.vlans != two.vlans

    @property
    def patience(self) -> int:
        """How long a claim waits for an advert that explains it, and for the Active Router to go on."""
        last = self.tracker.last
        return max(2 * SECOND, 3 * last.interval if last is not None else 0)


class Groups:
    """By virtual router; more than one where groups that share no address use the same VRID on a segment."""

    def __init__(self) -> None:
        self._groups: dict[VirtualRouter, list[Group]] = {}
        self._names: dict[tuple[str, VirtualRouter], VirtualRouter] = {}
        """Node and virtual router as seen there to the name under which it is followed."""

    def all(self) -> Iterator[Group]:
        """Every one."""
        return (group for groups in self._groups.values() for group in groups)

    def within(self, router: VirtualRouter) -> Sequence[Group]:
        """Those of one virtual router, in the order in which they were first heard."""
        return self._groups[router]

    def beside(self, group: Group) -> list[Group]:
        """The others of its virtual router, without those that a tap showed of other segments."""
        others = (other for other in self._groups[group.tracker.virtual_router] if other is not group)
        return [other for other in others if not group.apart(other)]

    def only(self, advert: Advert) -> Group | None:
        """The group of an advert's virtual router, if there is one and no other."""
        groups = self._groups.get(self._key(advert), ())
        return groups[0] if len(groups) == 1 and not groups[0].parted(advert) else None

    def of(self, advert: Advert) -> Group | None:
        """The group on its segment that an advert belongs to: its router is one of them, or it has an address of theirs.

        None for too many.
        """
        key = self._key(advert)
        groups = self._groups.get(key)
        if groups is None:
            if len(self._groups) >= VIRTUAL_ROUTERS:
                return None
            groups = self._groups[key] = []
        near = [group for group in groups if not group.parted(advert)]
        for group in near:
            if advert.router in group.tracker.tracks:
                return group.here(advert)
        for group in near:
            if not group.tracker.addresses or not advert.addresses or set(advert.addresses) & set(group.tracker.addresses):
                return group.here(advert)
        return self._new(key).here(advert) if len(near) < GROUPS and len(groups) < SEGMENTS else None

    def wandering(self, address: str, interface: str | None) -> tuple[Group | None, bool]:
        """What stands for an address that no virtual router has (None for too many), and whether it is new."""
        router = VirtualRouter(NO_VRRP, Family.IPV6 if ":" in address else Family.IPV4, interface)
        groups = self._groups.setdefault(router, [])
        for group in groups:
            if address in group.tracker.addresses:
                return group, False
        if len(groups) >= WANDERING:
            return None, False
        group = self._new(router)
        group.tracker.addresses = (address,)
        return group, True

    def _new(self, router: VirtualRouter) -> Group:
        group = Group(VirtualRouterTracker(router))
        self._groups[router].append(group)
        return group

    def _key(self, advert: Advert) -> VirtualRouter:
        """Which virtual router an advert is about: nodes on one segment may call it by other interface names."""
        here = VirtualRouter(advert.vrid, advert.family, advert.interface)
        seen = advert.node, here
        known = self._names.get(seen)
        if known is None:
            elsewhere = (key for key in self._groups if self._same_segment(key, advert))
            known = here if here in self._groups else next(elsewhere, here)
            if len(self._names) < VIRTUAL_ROUTERS:
                self._names[seen] = known
        return known

    def _same_segment(self, key: VirtualRouter, advert: Advert) -> bool:
        """Whether a virtual router seen by other nodes only is the one that an advert is about."""
        if (key.vrid, key.family) != (advert.vrid, advert.family):
            return False
        if any(node == advert.node for (node, _), name in self._names.items() if name == key):
            return False
        return any(advert.router in group.tracker.tracks for group in self._groups[key])
