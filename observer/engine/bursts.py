"""Resets of a virtual router's addresses, second by second: sums by reason, and bursts while no flap is under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from observer.engine.flows import FLOWS, Distinct, first_of_each, keyed
from observer.engine.resets import REASONS
from observer.model.flaps import BurstSeen, Event, ResetBurst, ResetReason, ResetsSeen
from observer.model.time import SECOND, rfc3339
from observer.rules.bursts import BurstView, explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

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
"""How long after a burst the addresses' handshakes and FINs are looked at, where it is not told earlier."""

_REFUSED = REASONS.index(ResetReason.REFUSED)


@dataclass(slots=True, eq=False)
class _Resets:
    """Some of a batch's resets, in columns."""

    times: NDArray[np.int64]
    flows: NDArray[np.uint64]
    clients: NDArray[np.uint64]
    reasons: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> NDArray[np.int64]:
        """In which second of the clock each was."""
        return self.times // SECOND

    def rows(self, chosen: slice | NDArray[np.int64] | NDArray[np.bool_]) -> _Resets:
        return _Resets(self.times[chosen], self.flows[chosen], self.clients[chosen], self.reasons[chosen])

    def within(self, begin: int, end: int) -> _Resets:
        """Those of the seconds from ``begin`` to before ``end``; the rows are in order of time."""
        return self.rows(slice(*self.times.searchsorted((begin * SECOND, end * SECOND)).tolist()))

    def by_second(self) -> dict[int, int]:
        """How many different connections were reset in each second, for each reason anew."""
        seconds, numbers = np.unique(self.first().seconds, return_counts=True)
        return dict(zip(seconds.tolist(), numbers.tolist(), strict=True))

    def first(self) -> _Resets:
        """The first of each connection for each reason in each second."""
        kinds = (self.seconds * len(REASONS) + self.reasons).astype(np.uint64)
        return self.rows(first_of_each(keyed(self.flows, kinds)))


def _joined(parts: list[_Resets]) -> _Resets:
    """In order of time."""
    columns = [[getattr(part, name) for part in parts] for name in _Resets.__slots__]
    whole = _Resets(*(np.concatenate(column) for column in columns))
    if (whole.times[1:] >= whole.times[:-1]).all():
        return whole
    return whole.rows(np.argsort(whole.times, kind="stable"))


_NONE = _Resets(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint8))


@dataclass(slots=True)
class _Burst:
    """Distinct connections by reason, and clients."""

    flows: dict[ResetReason, Distinct] = field(default_factory=dict)
    clients: Distinct = field(default_factory=Distinct)

    def add(self, resets: _Resets) -> None:
        for code in np.unique(resets.reasons).tolist():
            mask = resets.reasons == code
            self.flows.setdefault(REASONS[code], Distinct()).add(resets.flows[mask], resets.times[mask])
        if len(resets):
            self.clients.add(resets.clients, resets.times)

    def crowd(self, beyond: NDArray[np.int64]) -> None:
        """Count, by reason, what there was no room for."""
        for reason, number in zip(REASONS, beyond.tolist(), strict=True):
            if number and reason in self.flows:
                self.flows[reason].beyond += number

    @property
    def connections(self) -> dict[ResetReason, int]:
        return {reason: len(self.flows[reason]) for reason in ResetReason if reason in self.flows}

    @property
    def span(self) -> tuple[int, int]:
        """First and last time."""
        begins, ends = zip(*self.spans().values(), strict=True)
        return min(begins), max(ends)

    def spans(self) -> dict[ResetReason, tuple[int, int]]:
        """First and last time by reason."""
        return {reason: (int(flows.times.min()), int(flows.times.max())) for reason, flows in self.flows.items()}


class Bursts:
    """Of one virtual router."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, ...]] = {}
        """By second of the clock that was not told yet: segments for each of ``REASONS``."""
        self._waiting: list[_Resets] = []
        """The resets of these that no flap accounts for."""
        self._beyond = np.zeros(len(REASONS), np.int64)
        """Of these, by reason, what there was no room for: counted with each segment, as in ``Distinct``."""
        self._before = _NONE
        """Those of the last second told, while no burst is under way: a burst need not begin with a second of the clock."""
        self._burst: _Burst | None = None
        self._next: int | None = None
        """The second that is told next."""
        self._began = 0
        self._busy = 0

    @property
    def deadline(self) -> int | None:
        """The end of the earliest second that was not told; None while there is nothing to sum."""
        return None if self._next is None else (self._next + 1) * SECOND

    def add(self, control: Control, *, flap: bool) -> None:
        """Resets, later than those told; those of a flap count in the sums alone."""
        if not len(control.times):
            return
        seconds = control.times // SECOND
        first = int(seconds[0])
        kinds = (seconds - first) * len(REASONS) + control.reasons
        sums = np.bincount(kinds, minlength=(int(seconds[-1]) - first + 1) * len(REASONS)).reshape(-1, len(REASONS))
        for offset in np.flatnonzero(sums.any(axis=1)).tolist():
            here = tuple(sums[offset].tolist())
            before = self._counts.get(first + offset)
            self._counts[first + offset] = here if before is None else tuple(map(sum, zip(before, here, strict=True)))
        if not flap:
            # Refusals of ports where nothing ever listened are somebody's scan.
            counted = (control.reasons != _REFUSED) | control.served
            resets = _Resets(control.times, control.flows, control.clients, control.reasons).rows(counted)
            self._waiting.append(resets)
            if sum(map(len, self._waiting)) > FLOWS:
                different = _joined(self._waiting).first()
                self._waiting = [different.rows(slice(FLOWS))]
                self._beyond += np.bincount(different.reasons[FLOWS:], minlength=len(REASONS))
        self._next = first if self._next is None else min(first, self._next)

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
        """Seconds are over. ``flap`` is when the flap under way began, which ends a burst; ``last`` ends it too."""
        if self.deadline is None or (now < self.deadline and not last):
            return []
        over = now // SECOND + last
        waiting = _joined([self._before, *self._waiting])
        cut = int(waiting.times.searchsorted(over * SECOND))
        told, self._waiting = waiting.rows(slice(cut)), [waiting.rows(slice(cut, None))]
        connections = told.by_second()
        events: list[Event] = []
        begin, free = self._next or 0, 0
        while self._next is not None and self._next < over:
            second, end = self._next, min((self._next + 1) * SECOND, now)
            if counts := self._counts.pop(second, None):
                seen = tuple((reason, number) for reason, number in zip(REASONS, counts, strict=True) if number)
                events.append(ResetsSeen(end, router, seen))
            if connections.get(second, 0) >= MANY:
                if self._burst is None:
                    self._burst, self._began, begin = _Burst(), end, max(second - 1, free)
                self._busy = end
            if (burst := self._burst) is not None:
                quiet = end - self._busy >= QUIET or (last and not self._counts)
                if quiet or flap is not None or end - self._began >= LONGEST:
                    burst.add(told.within(begin, second + 1))
                    burst.crowd(self._beyond)
                    self._beyond[:] = 0
                    if flap is None or burst.span[0] < flap:
                        events.append(BurstSeen(end, _judged(burst, end, router, addresses, service)))
                    self._burst, free = None, second + 1
            self._next = second + 1 if self._burst is not None else min(self._counts, default=None)
        if self._burst is not None:
            self._burst.add(told.within(begin, over))
        self._before = _NONE if self._burst is not None else told.within(max(over - 1, free), over)
        return events


def _judged(
    burst: _Burst, now: int, router: VirtualRouter, addresses: tuple[str, ...], service: Callable[[int, int], ServiceCounts]
) -> ResetBurst:
    begin, end = burst.span
    # What came later may be known by now, or not: it depends on how many segments were looked at together.
    around = service(begin - SECOND, min(end + AROUND, now - 1))
    finding = explain(BurstView(begin, end, burst.connections, burst.spans(), around))
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
