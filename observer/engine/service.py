"""What TCP shows of the virtual routers' addresses: whether their proxy serves, and what was reset. Sums, by time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from observer.model.addresses import address_words
from observer.model.observations import Tcp
from observer.model.time import MILLISECOND
from observer.rules.view import ServiceCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.model.observations import TcpSegments

BIN = 100 * MILLISECOND
BINS = 1800
"""Three minutes of bins with something in them, for each address."""

PORTS = 64
"""Service ports kept for each address."""

FLOWS = 65536
"""Connections and clients remembered for one flap; what is beyond is counted with each segment."""

KINDS = ("syn", "syn_ack", "finished", "aborted", "data", "refused", "orphaned")


@dataclass(slots=True)
class _Bin:
    index: int
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Resets:
    """Connections that the addresses' holder broke or refused since a flap began."""

    reset: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    clients: set[int] = field(default_factory=set)
    beyond: int = 0

    def add(self, flows: set[int], found: NDArray[np.uint64]) -> None:
        """Note connections by their key, up to the limit."""
        for key in found.tolist():
            if len(flows) < FLOWS:
                flows.add(key)
            elif key not in flows:
                self.beyond += 1


class Service:
    """The TCP of one virtual address, from every vantage point that saw it."""

    def __init__(self, address: str) -> None:
        self.words = address_words(address)
        self.seen = False
        """Any segment from or to the address was seen."""
        self.ports: dict[int, int] = {}
        """Ports at which the address was seen to serve, and since when."""
        self._bins: dict[int, _Bin] = {}

    def segments(self, segments: TcpSegments, resets: Resets | None) -> None:
        """Sum a batch; ``resets`` of the flap under way gets the connections broken."""
        high, low = np.uint64(self.words[0]), np.uint64(self.words[1])
        incoming = (segments.destinations[:, 0] == high) & (segments.destinations[:, 1] == low)
        outgoing = (segments.sources[:, 0] == high) & (segments.sources[:, 1] == low)
        if not (incoming.any() or outgoing.any()):
            return
        self.seen = True
        flags = segments.flags & (Tcp.SYN | Tcp.ACK | Tcp.RST | Tcp.FIN)
        syn_ack = outgoing & (flags == Tcp.SYN | Tcp.ACK)
        reset = outgoing & ((flags & Tcp.RST) != 0)
        acked = (flags & Tcp.ACK) != 0
        # The holder opens connections of its own from the address too: there it is a client, from a high port.
        low_port = segments.source_ports < segments.destination_ports
        closing = outgoing & ~reset & ~syn_ack & low_port & (((flags & Tcp.FIN) != 0) | (segments.payloads > 0))
        served = self._served(segments.source_ports, segments.times, syn_ack | closing)
        server = served | low_port
        refused = reset & acked & (segments.sequence == 0) & (segments.windows == 0)
        orphaned = reset & ~acked & server
        kinds = {
            "syn": incoming & (flags == Tcp.SYN),
            "syn_ack": syn_ack,
            "finished": outgoing & served & ((flags & (Tcp.FIN | Tcp.RST)) == Tcp.FIN),
            "aborted": reset & acked & ~refused & served,
            "data": outgoing & served & (segments.payloads > 0) & ~reset,
            # A port where nothing ever listened says nothing of the proxy.
            "refused": refused & served,
            "orphaned": orphaned,
        }
        for name, mask in kinds.items():
            self._sum(name, segments.times[mask])
        if resets is not None:
            for flows, mask in ((resets.reset, orphaned), (resets.refused, refused & server)):
                if mask.any():
                    clients = _key(segments.destinations[mask])
                    resets.add(flows, _with_port(clients, segments.destination_ports[mask]))
                    resets.add(resets.clients, np.unique(clients))

    def between(self, begin: int, end: int) -> ServiceCounts:
        """What was seen from ``begin`` to ``end``; a tenth of a second is the resolution at the borders."""
        totals: dict[str, int] = {}
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for entry in self._bins.values():
            if entry.index * BIN + BIN <= begin or entry.index * BIN > end:
                continue
            for name, count in entry.counts.items():
                if entry.last[name] < begin or entry.first[name] > end:
                    continue
                totals[name] = totals.get(name, 0) + count
                first[name] = min(first.get(name, entry.first[name]), entry.first[name])
                last[name] = max(last.get(name, 0), entry.last[name])
        actions = [last[name] for name in ("finished", "aborted", "data") if name in last]
        return ServiceCounts(
            **{name: totals.get(name, 0) for name in KINDS},
            first_refused=first.get("refused"),
            last_refused=last.get("refused"),
            last_syn_ack=last.get("syn_ack"),
            last_action=max(actions, default=None),
        )

    def _served(self, ports: NDArray[np.uint16], times: NDArray[np.int64], shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which segments come from a port at which the address serves, or had served by then."""
        found, first = np.unique(ports[shown], return_index=True)
        for port, index in zip(found.tolist(), first.tolist(), strict=True):
            if len(self.ports) < PORTS:
                self.ports.setdefault(port, int(times[shown][index]))
        served = np.zeros(len(ports), dtype=np.bool_)
        for port, since in self.ports.items():
            served |= (ports == port) & (times >= since)
        return served

    def _sum(self, name: str, times: NDArray[np.int64]) -> None:
        if not len(times):
            return
        indices, starts, counts = np.unique(times // BIN, return_index=True, return_counts=True)
        for index, start, count in zip(indices.tolist(), starts.tolist(), counts.tolist(), strict=True):
            entry = self._bin(index)
            entry.counts[name] = entry.counts.get(name, 0) + count
            entry.first.setdefault(name, int(times[start]))
            entry.last[name] = int(times[start + count - 1])

    def _bin(self, index: int) -> _Bin:
        entry = self._bins.get(index)
        if entry is None:
            entry = self._bins[index] = _Bin(index)
            if len(self._bins) > BINS:
                del self._bins[min(self._bins)]
        return entry


def _key(addresses: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One word for each address; two IPv6 clients share one with a chance of 2**-64."""
    keys: NDArray[np.uint64] = np.bitwise_xor(addresses[:, 0] * np.uint64(0x9E3779B97F4A7C15), addresses[:, 1])
    return keys


def _with_port(keys: NDArray[np.uint64], ports: NDArray[np.uint16]) -> NDArray[np.uint64]:
    turned = np.bitwise_or(keys << np.uint64(16), keys >> np.uint64(48))
    flows: NDArray[np.uint64] = np.bitwise_xor(turned, ports.astype(np.uint64))
    return flows
