"""What TCP segments show, told to whoever counts it: hosts, vantage points, services, flaps, and the resets of each second.

When segments are looked at, and what else happens meanwhile, is the engine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.engine.agenda import Agenda
from observer.engine.flows import FlowMemory
from observer.engine.resets import sort_out
from observer.engine.service import Service
from observer.engine.views import serving, together

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observer.engine.groups import Group, Groups
    from observer.engine.hosts import Hosts
    from observer.engine.outside import Outsiders
    from observer.engine.vantage import Vantage
    from observer.model.flaps import Event
    from observer.model.segments import TcpSegments

ADDRESSES = 1024
"""Virtual addresses whose TCP is followed."""


class Traffic:
    """Takes segments in order of time."""

    def __init__(self, groups: Groups, hosts: Hosts, outsiders: Outsiders, vantage: Vantage) -> None:
        """These are told what the segments show of them."""
        self.services: dict[str, Service] = {}
        """By virtual address."""
        self.flows = FlowMemory()
        self.seconds: Agenda[Group] = Agenda()
        """When seconds end in which there were resets. These wait with the segments for what is not told in a hurry."""
        self._groups = groups
        self._hosts = hosts
        self._outsiders = outsiders
        self._vantage = vantage

    def follow(self, addresses: Iterable[str]) -> None:
        """Virtual addresses whose segments matter from now on."""
        for address in addresses:
            if address not in self.services and len(self.services) < ADDRESSES:
                self.services[address] = Service(address)

    def take(self, segments: TcpSegments, nodes: Iterable[TcpSegments]) -> None:
        """A batch, and the same batch by the nodes that saw it."""
        self._hosts.segments(segments, {port for service in self.services.values() for port in service.ports})
        self._outsiders.segments(segments)
        routers = [router for group in self._groups.all() for router in group.tracker.tracks]
        for mine in nodes:
            self._vantage.segments(mine, routers, self.services)
        for address, service in self.services.items():
            self._serviced(address, service, segments)

    def tick(self, now: int) -> list[Event]:
        """Seconds of the clock are over."""
        events = [event for group in self.seconds.due(now) for event in self.summed(group, now)]
        return sorted(events, key=lambda event: event.time)

    def summed(self, group: Group, now: int, *, last: bool = False) -> list[Event]:
        """The resets of the seconds that are over; nothing will follow after the ``last`` ones."""
        services = serving(self.services, group.tracker.addresses)
        events = group.bursts.tick(
            now,
            group.tracker.virtual_router,
            group.tracker.addresses,
            flap=group.open.opened if group.open is not None else None,
            service=lambda begin, end: together(services, begin, end),
            last=last,
        )
        self.seconds.set(group, group.bursts.deadline)
        return events

    def _serviced(self, address: str, service: Service, segments: TcpSegments) -> None:
        """What a batch shows of one address: connections broken count for the newest flap of its virtual router."""
        marks = service.segments(segments)
        if marks is None:
            return
        groups = [group for group in self._groups.all() if address in group.tracker.addresses]
        group = next((group for group in groups if group.open), groups[0] if groups else None)
        flap = group.open if group is not None else None
        control = sort_out(segments, marks, service.words, self.flows, flap.opened if flap is not None else None)
        if control is None or group is None:
            return
        if flap is not None:
            flap.cost.add(control)
        group.bursts.add(control, flap=flap is not None)
        self.seconds.set(group, group.bursts.deadline)
