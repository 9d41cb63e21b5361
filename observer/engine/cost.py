"""What a flap costs in connections, as it adds up: distinct connections broken, attempts to connect anew, who answers them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from observer.engine.flows import Distinct
from observer.model.flaps import Connections, Reconnects, ResetReason
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observer.engine.resets import Control

SETTLED = 0.1
"""Share of the wave's peak below which it is over."""

ANSWERERS = 64
"""Link-layer addresses that answer handshakes kept for each flap."""


class SocketsSeen(Protocol):
    """A look at a node's sockets."""

    @property
    def time(self) -> int:
        """When."""

    @property
    def subject(self) -> str:
        """Which port of the proxy."""

    @property
    def established(self) -> int | None:
        """Connections of other hosts at that port; None where something else was looked at."""


def established(looks: Iterable[SocketsSeen], moved: int) -> int | None:
    """Connections that lived at the former holder when the address moved, by the last look at each port before; None without."""
    last = {look.subject: look.established for look in looks if look.established is not None and look.time <= moved}
    return sum(last.values()) if last else None


@dataclass(slots=True)
class Cost:
    """Of one flap, since its first sign."""

    reset: Distinct = field(default_factory=Distinct)
    refused: Distinct = field(default_factory=Distinct)
    aborted: Distinct = field(default_factory=Distinct)
    clients: Distinct = field(default_factory=Distinct)
    attempts: Distinct = field(default_factory=Distinct)
    answered: dict[int, int] = field(default_factory=dict)
    """Link-layer address to when it first answered a handshake since the move."""
    established: int | None = None
    """Connections that lived at the former holder when the address moved, where its sockets were looked at."""

    def add(self, control: Control) -> None:
        """Count a batch."""
        counted = np.zeros(len(control.times), dtype=np.bool_)
        for reason, flows in (
            (ResetReason.ORPHANED, self.reset),
            (ResetReason.REFUSED, self.refused),
            (ResetReason.ABORTED, self.aborted),
        ):
            mask = control.of(reason)
            if mask.any():
                flows.add(control.flows[mask], control.times[mask])
                counted |= mask
        if counted.any():
            self.clients.add(control.clients[counted], control.times[counted])
        if len(control.attempts.keys):
            self.attempts.add(control.attempts.keys, control.attempts.times)
        if len(control.answered):
            found, first = np.unique(control.answerers, return_index=True)
            for mac, time in zip(found.tolist(), control.answered[first].tolist(), strict=True):
                if len(self.answered) < ANSWERERS:
                    self.answered.setdefault(mac, time)

    def moved(self) -> None:
        """A router took over: handshakes answered before were not the new holder's."""
        self.answered.clear()

    @property
    def seen(self) -> bool:
        """The new holder's TCP could be seen: only there connections are opened and reset."""
        return bool(self.answered or len(self.reset) or len(self.refused))

    def connections(self) -> Connections:
        """The sums."""
        if not self.seen:
            return Connections(None, None, None, established=self.established)
        told = len(self.reset) + len(self.aborted)
        return Connections(
            reset=len(self.reset),
            refused=len(self.refused),
            clients=len(self.clients),
            aborted=len(self.aborted),
            established=self.established,
            left=None if self.established is None else max(0, self.established - told),
        )

    def first_answer(self, mac: int | None) -> int | None:
        """When the host of a link-layer address (any, where it is unknown) first answered a handshake since the move."""
        if not mac or 0 in self.answered:
            return min(self.answered.values(), default=None)
        return self.answered.get(mac)

    def reconnects(self, begin: int, end: int) -> Reconnects | None:
        """The wave of attempts between the move and ``end``; None where the new holder's TCP was not seen."""
        if not self.seen:
            return None
        times = np.sort(self.attempts.times[(self.attempts.times >= begin) & (self.attempts.times <= end)])
        if not len(times):
            return Reconnects(0, 0, begin, 0)
        following = np.searchsorted(times, times + SECOND) - np.arange(len(times))
        peak = int(following.max())
        busy = np.flatnonzero(following >= max(2.0, SETTLED * peak))
        last = int(times[busy[-1]]) if len(busy) else begin
        settled = last - begin if end - last >= SECOND else None
        return Reconnects(len(times), peak, int(times[int(following.argmax())]), settled)
