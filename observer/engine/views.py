"""From what the engine remembers to what a rule may see of one flap. Nothing is judged here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from observer.model.time import SECOND
from observer.rules.view import FlapView, LifeSigns, ServiceCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from observer.engine.coverage import Coverage
    from observer.engine.flaps import OpenFlap
    from observer.engine.hosts import Host, Hosts
    from observer.engine.journal import Journal
    from observer.engine.ownership import Ownership
    from observer.engine.samples import Samples
    from observer.engine.service import Service
    from observer.engine.vantage import Vantage
    from observer.engine.virtual_router import VirtualRouterTracker
    from observer.model.flaps import VirtualRouter
    from observer.model.host import LogEvent
    from observer.rules.view import Run

AFTER = 5 * SECOND
"""How long after the move life signs of the former router's host are looked for."""

MINUTE = 60 * SECOND
"""How far before the first sign of trouble it is looked whether the former router's host is seen here, apart from its adverts."""

BEFORE = 10 * SECOND
"""How far before the first sign of trouble on the wire the proxy's state is looked at: checks take some seconds to fail."""


class Explain(Protocol):
    """What the nodes' configurations of keepalived tell; None for a node or virtual router that they do not name."""

    def step(self, node: str, router: VirtualRouter, before: int, after: int) -> tuple[tuple[str, ...], ...] | None:
        """Sets of checks whose failure takes the priority from one value to the other."""

    def faulting(self, node: str, router: VirtualRouter) -> tuple[str, ...] | None:
        """Checks whose failure puts the virtual router in FAULT."""

    def named(self, node: str, router: VirtualRouter) -> tuple[str, str | None] | None:
        """What the virtual router is called in keepalived's log, and the interface that it works on."""


@dataclass(frozen=True, slots=True)
class Views:
    """Puts together the view of a flap from the engine's memories, which it shares."""

    coverage: Coverage
    services: Mapping[str, Service]
    hosts: Hosts
    ownership: Ownership
    vantage: Vantage
    journal: Journal
    explain: Explain | None
    samples: Samples

    def of(
        self,
        tracker: VirtualRouterTracker,
        flap: OpenFlap,
        now: int,
        *,
        since: int | None,
        foreign: tuple[Run, ...],
        siblings: tuple[Run, ...],
    ) -> FlapView:
        """What was seen of a flap up to ``now``, in an observation since ``since``.

        ``foreign`` is what other groups advertise, ``siblings`` how the former router resigned elsewhere at the same time.
        """
        silent = self.coverage.silent(flap.base)
        concluded = self.vantage.taps(tracker.tracks)
        taps = {router: node for router, node in concluded.items() if node not in silent}
        local = self.ownership.owners({router: track.mac for router, track in tracker.tracks.items()}, concluded)
        view = FlapView(
            virtual_router=tracker.virtual_router,
            addresses=tracker.addresses,
            now=now,
            time=flap.time,
            former=flap.former,
            current=flap.current,
            taken_over=flap.taken_over,
            runs={router: tuple(track.runs) for router, track in tracker.tracks.items()},
            heard={
                router: {node: tuple(times) for node, times in track.heard.items()} for router, track in tracker.tracks.items()
            }
            | flap.heard,
            contenders=tuple(flap.contenders),
            foreign=foreign,
            siblings=siblings,
            outside=flap.outside,
            ended=flap.ended,
            address_changes=self.ownership.changes(tracker.addresses),
            link_changes=self.ownership.links(),
            neighbours=self.ownership.claims(tracker.addresses),
            life=LifeSigns(),
            life_before=LifeSigns(),
            service_before=ServiceCounts(),
            service_during=ServiceCounts(),
            probes_around=(),
            probes=(),
            log=(),
            claimant_log=(),
            steps=None,
            faulting=None,
            local=local,
            taps=taps | {router: node for router, node in local.items() if node not in silent},
            left=None,
            tap_ended=None,
            malformed=self.journal.failures(tracker.virtual_router.vrid, flap.opened - BEFORE, now),
            trouble=flap.opened,
            observed_since=since if since is not None else flap.opened,
            missed=sum(track.missed for track in tracker.tracks.values()),
            frames_lost=self.coverage.lost_between(flap.opened - BEFORE, now),
        )
        last = view.last_before
        drop = view.fall()
        trouble = drop[1].first if drop is not None else last.first if last is not None and last.priority == 0 else None
        if trouble is None:
            # One that goes on advertises later than that too.
            trouble = min(last.last, flap.opened) if last is not None else flap.opened
        moved = flap.taken_over if flap.taken_over is not None else now
        host = self.hosts.get(flap.former)
        services = serving(self.services, tracker.addresses)
        ports = {port for service in services for port in service.ports}
        whose = concluded | local
        took = flap.taken_over is not None and flap.current != flap.former
        other = flap.current if took else next(iter(flap.contenders), None)
        former, claimant = whose.get(flap.former or ""), whose.get(other or "")
        key = tracker.virtual_router
        (name, interface), (its_name, _) = self._named(former, key), self._named(claimant, key)
        return replace(
            view,
            trouble=trouble,
            log=self._log(view.runs.get(flap.former or "", ()), former, name, trouble - BEFORE, now),
            claimant_log=self._log(view.runs.get(other or "", ()), claimant, its_name, trouble - BEFORE, now),
            own_interface=interface,
            samples=self.samples.between(former, trouble - BEFORE, now),
            claimant_samples=self.samples.between(claimant, trouble - BEFORE, now),
            missing=self.coverage.missing(former, now),
            clocks=self.coverage.clocks,
            steps=self.explain.step(former, key, drop[0].priority, drop[1].priority)
            if self.explain and drop and former
            else None,
            faulting=self.explain.faulting(former, key) if self.explain and former else None,
            life=self._life(host, last, moved),
            life_before=self._life_before(host, last, max(view.observed_since, trouble - MINUTE)),
            left=host.group_left(last.last, now) if host is not None and last is not None else None,
            tap_ended=self.coverage.ended(former) if former is not None else None,
            service_before=together(services, trouble - BEFORE, trouble - 1),
            service_during=together(services, trouble, moved),
            probes_around=host.checked(ports, trouble - 3 * BEFORE, min(now, moved + BEFORE)) if host is not None else (),
            probes=host.checked(ports, trouble, moved) if host is not None else (),
        )

    def _named(self, node: str | None, router: VirtualRouter) -> tuple[str | None, str | None]:
        named = self.explain.named(node, router) if self.explain is not None and node is not None else None
        return (None, None) if named is None else named

    def _log(self, runs: Iterable[Run], node: str | None, name: str | None, begin: int, end: int) -> tuple[LogEvent, ...]:
        """The lines of a router's node about this virtual router, whatever it is called there, or about none in particular."""
        if name is None:
            name = self.journal.instance(node, became_active(runs))
        return self.journal.between(node, begin, end, name)

    @staticmethod
    def _life(host: Host | None, last: Run | None, moved: int) -> LifeSigns:
        """Life signs from when its next advert was overdue until some seconds after the move; refusals from its last one on."""
        if host is None or last is None:
            return LifeSigns()
        overdue = last.last + (last.interval + last.interval // 8 if last.priority > 0 else 0)
        end = max(moved, overdue) + AFTER
        refusals = host.between(last.last, end)
        return replace(host.between(overdue, end), refused_vrrp=refusals.refused_vrrp, first_refused=refusals.first_refused)

    @staticmethod
    def _life_before(host: Host | None, last: Run | None, begin: int) -> LifeSigns:
        return host.between(begin, last.last) if host is not None and last is not None else LifeSigns()


def became_active(runs: Iterable[Run]) -> Iterator[int]:
    """When a router's adverts began after a silence or a resignation."""
    before: Run | None = None
    for run in runs:
        if run.priority > 0 and (before is None or before.priority == 0 or run.first - before.last > 3 * before.interval):
            yield run.first
        before = run


def serving(services: Mapping[str, Service], addresses: Iterable[str]) -> list[Service]:
    """The TCP of the addresses that are followed."""
    return [services[address] for address in addresses if address in services]


def together(services: list[Service], begin: int, end: int) -> ServiceCounts:
    """The counts of the address that saw most: the virtual addresses of one router share a proxy."""
    counts = [service.between(begin, end) for service in services]
    return max(counts, key=lambda entry: entry.syn_ack + entry.data + entry.refused, default=ServiceCounts())
