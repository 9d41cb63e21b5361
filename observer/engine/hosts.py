"""Life signs of the routers' hosts, apart from VRRP: any ARP, ND or TCP segment, and who asks for them in vain."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from observer.engine.bins import bins
from observer.model.addresses import VIRTUAL_MAC, address_words, mac_number
from observer.model.observations import GroupLeft, Neighbour, NeighbourKind, Refused
from observer.model.segments import Tcp, TcpSegments
from observer.model.time import SECOND
from observer.rules.view import LifeSigns, Probe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

BIN = SECOND // 4

BINS = 720
"""Quarters of seconds with a life sign kept for each host: at least three minutes."""

ASKED = 64
"""Requests remembered for each host."""

ASKERS = 16
"""Questions for a host of which a repetition is recognised."""

COPIED = SECOND // 2
"""The same question within this time is the same one, captured twice or at two nodes."""

REPEATED = 3 * SECOND
"""The same question within this time is a repetition: ARP and ND ask three times, 1 s apart, and TCP repeats a SYN after 1 s."""

PORTS = 32
"""Destination ports kept for each host; one more forgets the one not used for longest."""

PROBES = 128
"""Connections kept for each port."""

FOLLOWED = 256
"""Segments of a host looked at one by one in a second; one with more is a flood, and no proxy's checks."""


@dataclass(slots=True)
class _Bin:
    first: int
    last: int
    frames: int


@dataclass(slots=True)
class Flow:
    """A connection that a router's host opened."""

    opened: int
    peer: int
    """The opener's port and the other's address, as one number."""
    closed: int | None = None
    finished: bool = False
    """Closed with FIN first."""
    answered: bool = False


@dataclass(slots=True)
class Host:
    """One router's host."""

    address: str
    words: tuple[int, int]
    mac: int = 0
    """As a number; 0 while unknown or a Virtual Router MAC, which is no host's own."""
    bins: dict[int, _Bin] = field(default_factory=dict)
    """By number of the quarter of a second."""
    asked: deque[int] = field(default_factory=lambda: deque(maxlen=ASKED))
    """When somebody asked for it again who had asked shortly before."""
    askers: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=ASKERS))
    """Time and identity of the last questions."""
    refused: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    """When its kernel said that no process takes VRRP there."""
    left: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    """When its kernel left the group of VRRP."""
    probes: OrderedDict[int, deque[Flow]] = field(default_factory=OrderedDict)
    """Connections opened to other hosts, by destination port."""

    def sign(self, first: int, last: int, frames: int) -> None:
        """Note frames of the host within a quarter of a second; earlier ones than those noted may follow."""
        here = self.bins.get(first // BIN)
        if here is None:
            self.bins[first // BIN] = _Bin(first, last, frames)
            if len(self.bins) >= 2 * BINS:
                self.bins = {number: self.bins[number] for number in sorted(self.bins)[-BINS:]}
        else:
            here.first, here.last = min(here.first, first), max(here.last, last)
            here.frames += frames

    def question(self, time: int, asker: int) -> None:
        """Somebody asks for the host; ``asker`` is who, or which connection."""
        before = [abs(time - earlier) for earlier, who in self.askers if who == asker]
        if any(gap < COPIED for gap in before):
            return
        if any(gap <= REPEATED for gap in before):
            self.asked.append(time)
        self.askers.append((time, asker))

    def group_left(self, begin: int, end: int) -> int | None:
        """When its kernel first left the group of VRRP within a span."""
        return next((time for time in self.left if begin < time <= end), None)

    def between(self, begin: int, end: int) -> LifeSigns:
        """What was seen of the host within a span; a quarter of a second is the resolution at its borders."""
        bins = [entry for entry in self.bins.values() if begin < entry.last and begin <= entry.first <= end]
        last = max((min(entry.last, end) for entry in bins), default=None)
        refused = [time for time in self.refused if begin < time <= end]
        return LifeSigns(
            frames=sum(entry.frames for entry in bins),
            first=min((entry.first for entry in bins), default=None),
            last=last,
            moments=len(bins),
            unanswered_requests=sum(1 for time in self.asked if max(begin, last or 0) < time <= end),
            refused_vrrp=len(refused),
            first_refused=refused[0] if refused else None,
        )

    def checked(self, ports: Iterable[int], begin: int, end: int) -> tuple[Probe, ...]:
        """Connections that the host opened to one of the ports within a span and did not close in order, oldest first."""
        every = (flow for port in ports for flow in self.probes.get(port, ()))
        flows = (flow for flow in every if begin <= flow.opened <= end and not flow.finished)
        found = (Probe(flow.opened, flow.closed, flow.answered) for flow in flows)
        return tuple(sorted(found, key=lambda probe: probe.opened))

    def opened(self, time: int, port: int, peer: int) -> None:
        """A connection was opened to a port of another router; ``peer`` stands for the rest of its identity."""
        flows = self.probes.get(port)
        if flows is None:
            if len(self.probes) >= PORTS:
                self.probes.popitem(last=False)
            flows = self.probes[port] = deque(maxlen=PROBES)
        self.probes.move_to_end(port)
        if self._flow(port, peer) is None:
            flows.append(Flow(time, peer))

    def closed(self, time: int, port: int, peer: int, *, finished: bool) -> None:
        """The host closed a connection in order (``finished``), or aborted it."""
        flow = self._flow(port, peer)
        if flow is not None:
            flow.closed, flow.finished = time, finished

    def answered(self, time: int, port: int, peer: int, *, refused: bool) -> None:
        """The other side answered a connection; one that it refused is over."""
        flow = self._flow(port, peer)
        if flow is not None:
            flow.answered = True
            flow.closed = time if refused else None

    def _flow(self, port: int, peer: int) -> Flow | None:
        for flow in reversed(self.probes.get(port, ())):
            if flow.peer == peer and flow.closed is None:
                return flow
        return None


class Hosts:
    """The hosts of the routers heard; only these are followed, so what other hosts send costs nothing."""

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._hosts: dict[str, Host] = {}

    def learn(self, router: str, mac: str | None) -> None:
        """A router advertised."""
        host = self._hosts.get(router)
        if host is None:
            if len(self._hosts) >= self._limit:
                return
            host = self._hosts[router] = Host(router, address_words(router))
        if mac is not None and not mac.startswith(VIRTUAL_MAC):
            host.mac = mac_number(mac)

    def get(self, router: str | None) -> Host | None:
        """The host of a router, or None."""
        return self._hosts.get(router) if router is not None else None

    def neighbour(self, message: Neighbour) -> None:
        """An ARP or ND message: a sign of its sender, and perhaps a question for another."""
        number = mac_number(message.mac)
        for host in self._hosts.values():
            if host.mac == number or (host.address == message.sender and not host.mac):
                host.sign(message.time, message.time, 1)
            elif message.kind is NeighbourKind.REQUEST and message.target == host.address:
                host.question(message.time, number)

    def refusal(self, refusal: Refused) -> None:
        """A host's kernel answered an advert: no process takes it there."""
        host = self._hosts.get(refusal.router)
        if host is not None:
            host.refused.append(refusal.time)
            host.sign(refusal.time, refusal.time, 1)

    def left(self, report: GroupLeft) -> None:
        """A host's kernel leaves the group of VRRP."""
        host = self._hosts.get(report.router)
        if host is not None:
            host.left.append(report.time)
            host.sign(report.time, report.time, 1)

    def segments(self, segments: TcpSegments, ports: Collection[int]) -> None:
        """TCP segments: signs of their senders; connections that they open to ``ports`` (any, if none is known) are followed."""
        hosts = list(self._hosts.values())
        sent = [_is(segments.sources, host.words) for host in hosts]
        told = [_is(segments.destinations, host.words) for host in hosts]
        flags = segments.flags & _OPENING
        for host, mine, theirs in zip(hosts, sent, told, strict=True):
            signs = mine | (segments.macs == np.uint64(host.mac)) if host.mac else mine
            if signs.any():
                weights = None if segments.weights is None else segments.weights[signs]
                _, first, last, counts = bins(segments.times[signs], weights, BIN)
                for signed in zip(first.tolist(), last.tolist(), counts.tolist(), strict=True):
                    host.sign(*signed)
            asking = np.flatnonzero(theirs & (flags == Tcp.SYN))
            for index in _newest(asking, segments.times, ASKED).tolist():
                # A repeated SYN has the same sequence number, and its opener the same port (RFC 9293 3.8.1).
                opener = int(segments.sources[index, 1]) << 16 | int(segments.source_ports[index])
                host.question(int(segments.times[index]), opener << 32 | int(segments.sequence[index]))
            _follow(host, segments, mine, theirs, ports)


_OPENING = Tcp.SYN | Tcp.ACK | Tcp.RST | Tcp.FIN


def _is(column: NDArray[np.uint64], words: tuple[int, int]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (column[:, 0] == np.uint64(words[0])) & (column[:, 1] == np.uint64(words[1]))
    return same


def _newest(rows: NDArray[np.int64], times: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """So many rows of each second, the last ones."""
    if len(rows) <= most:
        return rows
    seconds = times[rows] // SECOND
    return rows[np.searchsorted(seconds, seconds, side="right") - np.arange(len(rows)) <= most]


def _follow(host: Host, segments: TcpSegments, out: NDArray[np.bool_], back: NDArray[np.bool_], ports: Collection[int]) -> None:
    """The connections of a host to others: when it opened them, whether they were answered, when it closed them."""
    flags = segments.flags & _OPENING
    opening = out & (flags == Tcp.SYN)
    closing = out & ((flags & (Tcp.FIN | Tcp.RST)) != 0) & ((flags & Tcp.SYN) == 0)
    answer = back & ((flags == Tcp.SYN | Tcp.ACK) | (flags == Tcp.RST | Tcp.ACK))
    chosen = np.flatnonzero(opening | closing | answer)
    if ports and len(chosen):
        theirs = np.where(back[chosen], segments.source_ports[chosen], segments.destination_ports[chosen])
        chosen = chosen[np.isin(theirs, list(ports))]
    for index in _newest(chosen, segments.times, FOLLOWED).tolist():
        time = int(segments.times[index])
        if answer[index]:
            peer = int(segments.sources[index, 1]) << 16 | int(segments.destination_ports[index])
            host.answered(time, int(segments.source_ports[index]), peer, refused=bool(flags[index] & Tcp.RST))
            continue
        peer = int(segments.destinations[index, 1]) << 16 | int(segments.source_ports[index])
        port = int(segments.destination_ports[index])
        if opening[index]:
            host.opened(time, port, peer)
        else:
            host.closed(time, port, peer, finished=not flags[index] & Tcp.RST)
