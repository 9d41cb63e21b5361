"""Resets of a virtual router's addresses, second by second: sums by reason, and bursts while no flap is under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.engine.flows import Distinct
from observer.model.flaps import BurstSeen, Event, ResetBurst, ResetReason, ResetsSeen
from observer.model.time import SECOND, rfc3339
from observer.rules.bursts import BurstView, explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from observer.engine.resets import Control
    from observer.model.flaps import VirtualRouter
    from observer.rules.view import ServiceCounts

MANY = 10
"""Distinct connections reset within one second of the clock that make a burst; clients and proxies reset single ones all day."""

QUIET = 2 * SECOND
"""A burst is over when so long no second had many."""

LONGEST = 60 * SECOND
"""A burst that goes on for longer is told in parts."""

AROUND = 5 * SECOND
"""How long after a burst the addresses' handshakes and FINs are looked at."""


@dataclass(slots=True)
class _Sums:
    """Distinct connections by reason, and clients."""

    flows: dict[ResetReason, Distinct] = field(default_factory=dict)
    clients: Distinct = field(default_factory=Distinct)

    def add(self, control: Control) -> None:
        for reason in control.counts():
            mask = control.of(reason)
            if reason is ResetReason.REFUSED:
                # Ports where nothing ever listened are somebody's scan.
                mask &= control.served
            if mask.any():
                self.flows.setdefault(reason, Distinct()).add(control.flows[mask], control.times[mask])
                self.clients.add(control.clients[mask], control.times[mask])

    def join(self, other: _Sums) -> None:
        for reason, flows in other.flows.items():
            mine = self.flows.setdefault(reason, Distinct())
            mine.add(flows.keys, flows.times)
            mine.beyond += flows.beyond
        self.clients.add(other.clients.keys, other.clients.times)

    @property
    def connections(self) -> dict[ResetReason, int]:
        return {reason: len(self.flows[reason]) for reason in ResetReason if reason in self.flows}

    @property
    def span(self) -> tuple[int, int]:
        times = [flows.times for flows in self.flows.values()]
        return min(int(each.min()) for each in times), max(int(each.max()) for each in times)


class Bursts:
    """Of one virtual router."""

    def __init__(self) -> None:
        self._counts: dict[ResetReason, int] = {}
        self._second: int | None = None
        """End of the second that is being summed."""
        self._now = _Sums()
        self._before = _Sums()
        """The second before, while no burst is under way: a burst need not begin with a second of the clock."""
        self._burst: _Sums | None = None
        self._began = 0
        self._busy = 0

    @property
    def deadline(self) -> int | None:
        """The end of the second; None while there is nothing to sum."""
        return self._second

    def add(self, control: Control, *, flap: bool) -> None:
        """Resets within one second of the clock; those of a flap count in the sums alone."""
        if not len(control.times):
            return
        for reason, number in control.counts().items():
            self._counts[reason] = self._counts.get(reason, 0) + number
        self._second = (int(control.times[0]) // SECOND + 1) * SECOND
        if not flap:
            self._now.add(control)

    def tick(
        self,
        now: int,
        router: VirtualRouter,
        addresses: tuple[str, ...],
        *,
        flap: int | None,
        service: Callable[[int, int], ServiceCounts],
        last: bool = False,
    ) -> list[Event]:
        """A second is over. ``flap`` is when the flap under way began, which ends a burst; ``last`` ends it too."""
        if self._second is None or (now < self._second and not last):
            return []
        events: list[Event] = []
        if self._counts:
            counts = tuple((reason, self._counts[reason]) for reason in ResetReason if reason in self._counts)
            events.append(ResetsSeen(now, router, counts))
        self._counts = {}
        summed, self._now = self._now, _Sums()
        busy = sum(summed.connections.values()) >= MANY
        if self._burst is None and busy:
            self._burst = self._before
            self._began = self._second
        if busy:
            self._busy = self._second
        if self._burst is not None:
            self._burst.join(summed)
            over = last or flap is not None or now - self._busy >= QUIET or now - self._began >= LONGEST
            if over:
                burst, self._burst, summed = self._burst, None, _Sums()
                begin, end = burst.span
                if flap is None or begin < flap:
                    events.append(BurstSeen(now, _judged(burst, begin, end, router, addresses, service)))
        self._before = summed
        idle = self._burst is None and not summed.flows
        self._second = None if idle or last else self._second + SECOND
        return events


def _judged(
    burst: _Sums,
    begin: int,
    end: int,
    router: VirtualRouter,
    addresses: tuple[str, ...],
    service: Callable[[int, int], ServiceCounts],
) -> ResetBurst:
    spans = {}
    for reason, flows in burst.flows.items():
        spans[reason] = int(flows.times.min()), int(flows.times.max())
    view = BurstView(begin, end, burst.connections, spans, service(begin - SECOND, end + AROUND))
    finding = explain(view)
    return ResetBurst(
        id=f"{rfc3339(begin)}-{router.family.label}-{router.vrid}-resets",
        time=begin,
        end=end,
        virtual_router=router,
        addresses=addresses,
        cause=finding.cause,
        confidence=finding.confidence,
        connections=tuple(burst.connections.items()),
        clients=len(burst.clients),
        evidence=finding.evidence,
        blind_spots=finding.blind_spots,
    )
