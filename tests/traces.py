"""Traces of a segment for tests: adverts, resignations, ARP and TCP as keepalived and HAProxy hosts leave them.

Times are seconds since ``EPOCH``. Each router counts the identification of its adverts up by itself, as keepalived does;
what nobody hears is counted too. ``observations`` puts everything in order with the merge that the program itself uses.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from observer.engine.engine import Engine
from observer.model.addresses import address_words, mac_number
from observer.model.host import HostSample
from observer.model.observations import (
    AddressChange,
    Advert,
    Authentication,
    ChecksumForm,
    Family,
    FramesLost,
    Neighbour,
    NeighbourKind,
    SourceChange,
    SourceState,
    TimePassed,
)
from observer.model.segments import Tcp, TcpSegments
from observer.model.time import SECOND, nanoseconds
from observer.run import run
from observer.sinks.report import Report
from observer.sources.merge import Merger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from observer.model.flaps import Event, Flap
    from observer.model.observations import Observation

EPOCH = 1_795_000_000 * SECOND
A, B, C = "192.0.2.11", "192.0.2.12", "192.0.2.13"
VIP = "192.0.2.100"
A6, B6, C6 = "fe80::11", "fe80::12", "fe80::13"
VIP6 = "fe80::100"
GROUPS = {Family.IPV4: "224.0.0.18", Family.IPV6: "ff02::12"}
FAULT_GAP = 0.000_58
"""keepalived 2.2.7 sends the two priority-0 adverts of a FAULT this far apart."""


def at(seconds: float) -> int:
    """Seconds of a trace as nanoseconds since the epoch."""
    return EPOCH + nanoseconds(seconds)


def mac(address: str) -> str:
    """The MAC address of a host of these tests."""
    return f"52:54:00:00:00:{int(ipaddress.ip_address(address)) & 0xFF:02x}"


class Trace:
    """What one vantage point saw of one virtual router; the sum of two is what both saw."""

    def __init__(
        self,
        node: str = "m1",
        *,
        interface: str | None = "eth0",
        vrid: int = 51,
        version: int = 2,
        family: Family = Family.IPV4,
        interval: float = 1,
        addresses: tuple[str, ...] | None = None,
        ident: int = 4000,
        numbering: Callable[[], int] = lambda: 1,
        members: tuple[str, ...] = (),
        here: str | None = None,
    ) -> None:
        """A trace; ``members`` makes it unicast among these routers, as seen at ``here``, which is one of them.

        ``numbering`` is the step of the identification from one advert to the next: keepalived's own is always 1.
        """
        self._numbering = numbering
        self.node = node
        self.interface = interface
        self.vrid = vrid
        self.version = version
        self.family = family
        self.interval = interval
        self.addresses = addresses or ((VIP,) if family is Family.IPV4 else (VIP6,))
        self.items: list[Observation | TimePassed] = []
        self.clock = 0.0
        """Where the last advert was."""
        self._first_ident = ident
        self._members = members
        self._here = here
        self._idents: dict[str, int] = {}
        self._rows: list[tuple[int, ...]] = []

    # Adverts

    def advert(
        self,
        router: str,
        priority: int,
        when: float,
        *,
        heard: bool = True,
        destination: str | None = None,
        addresses: tuple[str, ...] | None = None,
        authentication: int = 0,
        vlans: tuple[int, ...] = (),
        ifindex: int | None = None,
    ) -> Trace:
        """One advert (in unicast: one for each peer, microseconds apart); unheard ones count too."""
        self.clock = when
        peers = [member for member in self._members if member != router] or [destination or GROUPS[self.family]]
        for place, peer in enumerate(peers):
            ident = self._idents[router] = (self._idents.get(router, self._first_ident) + self._numbering()) % 65536
            if not heard or (self._members and self._here not in (router, peer)):
                continue
            self.items.append(
                Advert(
                    time=at(when) + place * 30_000,
                    node=self.node,
                    interface=self.interface,
                    router=router,
                    destination=peer,
                    mac=mac(router),
                    family=self.family,
                    version=self.version,
                    vrid=self.vrid,
                    priority=priority,
                    interval=nanoseconds(self.interval),
                    addresses=addresses or self.addresses,
                    authentication=Authentication.SIMPLE if authentication else Authentication.NONE,
                    authentication_group=authentication,
                    checksum=ChecksumForm.MESSAGE,
                    ttl=255,
                    ident=ident if self.family is Family.IPV4 else None,
                    vlans=vlans,
                    ifindex=ifindex,
                )
            )
        return self

    def adverts(
        self,
        router: str,
        priority: int,
        start: float,
        count: int,
        *,
        heard: Callable[[], bool] = lambda: True,
        jitter: Callable[[], float] = lambda: 1.0,
        **fields: object,
    ) -> Trace:
        """``count`` adverts on schedule; ``heard`` says of each whether it was, ``jitter`` by how much to stretch an interval."""
        when = start
        for _ in range(count):
            self.advert(router, priority, when, heard=heard(), **fields)  # type: ignore[arg-type]
            when += self.interval * jitter()
        return self

    def resign(self, router: str, when: float, *, times: int = 1, heard: Callable[[], bool] = lambda: True) -> Trace:
        """Priority 0: once for an orderly stop, twice for FAULT."""
        for number in range(times):
            self.advert(router, 0, when + number * FAULT_GAP, heard=heard())
        return self

    def restart(self, router: str) -> Trace:
        """A new process on the router counts from 1."""
        self._idents[router] = 0
        return self

    def sent_elsewhere(self, router: str, count: int) -> Trace:
        """Adverts that the router sent where this vantage point is deaf."""
        for _ in range(count * max(1, len(self._members) - 1)):
            self._idents[router] = (self._idents.get(router, self._first_ident) + self._numbering()) % 65536
        return self

    # Neighbours, kernel, sources

    def arp(
        self,
        router: str,
        when: float,
        *,
        address: str | None = None,
        kind: NeighbourKind = NeighbourKind.ANNOUNCEMENT,
        count: int = 1,
        asked: str | None = None,
    ) -> Trace:
        """The router claims an address: a virtual one unless told otherwise."""
        claimed = address or self.addresses[0]
        for number in range(count):
            self.items.append(
                Neighbour(
                    time=at(when) + number * 100_000,
                    node=self.node,
                    interface=self.interface,
                    kind=kind,
                    mac=mac(router),
                    sender=claimed,
                    target=asked or claimed,
                )
            )
        return self

    def ask(self, asker: str, target: str, when: float) -> Trace:
        """A host asks who has an address."""
        return self.arp(asker, when, address=asker, kind=NeighbourKind.REQUEST, asked=target)

    def address(self, when: float, *, present: bool, address: str | None = None, initial: bool = False) -> Trace:
        """The kernel of the observing node has an address, or no longer."""
        self.items.append(
            AddressChange(
                time=at(when),
                node=self.node,
                interface=self.interface or "eth0",
                address=address or self.addresses[0],
                present=present,
                initial=initial,
            )
        )
        return self

    def source(self, when: float, state: SourceState = SourceState.STARTED, name: str = "capture") -> Trace:
        """A source starts or stops."""
        self.items.append(SourceChange(time=at(when), node=self.node, source=name, state=state))
        return self

    def frames_lost(self, when: float, count: int, name: str = "capture") -> Trace:
        """A source says that it lost frames."""
        self.items.append(FramesLost(time=at(when), node=self.node, source=name, count=count))
        return self

    def sample(self, when: float, source: str, subject: str = "", **fields: object) -> Trace:
        """A look at the observing node itself."""
        self.items.append(
            HostSample(time=at(when), node=self.node, source=source, subject=subject, **fields)  # type: ignore[arg-type]
        )
        return self

    # TCP

    def tcp(
        self,
        source: str,
        destination: str,
        flags: Tcp,
        when: float,
        *,
        ports: tuple[int, int],
        sequence: int = 1,
        acknowledgement: int = 0,
        window: int = 64240,
        payload: int = 0,
        by: str | None = None,
    ) -> Trace:
        """One segment; ``by`` is the host whose MAC address it carries."""
        words = (*address_words(source), *address_words(destination))
        link = mac_number(mac(by or source))
        self._rows.append((at(when), *words, *ports, int(flags), sequence, acknowledgement, window, payload, link))
        return self

    def served(self, router: str, client: str, when: float, *, client_port: int = 40000, port: int = 6443) -> Trace:
        """A connection to the virtual address, from handshake to FIN, with an answer in between; takes 30 ms."""
        vip, ports, back = self.addresses[0], (client_port, port), (port, client_port)
        self.tcp(client, vip, Tcp.SYN, when, ports=ports)
        self.tcp(vip, client, Tcp.SYN | Tcp.ACK, when + 0.001, ports=back, by=router)
        self.tcp(vip, client, Tcp.PSH | Tcp.ACK, when + 0.010, ports=back, by=router, payload=500)
        return self.tcp(vip, client, Tcp.FIN | Tcp.ACK, when + 0.030, ports=back, by=router)

    def refused(self, router: str, client: str, when: float, *, client_port: int = 40000, port: int = 6443) -> Trace:
        """A connection attempt where nothing listens."""
        vip = self.addresses[0]
        self.tcp(client, vip, Tcp.SYN, when, ports=(client_port, port))
        flags = Tcp.RST | Tcp.ACK
        return self.tcp(vip, client, flags, when + 0.0002, ports=(port, client_port), by=router, sequence=0, window=0)

    def orphaned(self, router: str, client: str, when: float, *, client_port: int = 40000, port: int = 6443) -> Trace:
        """The new holder resets a connection that it does not know."""
        return self.tcp(self.addresses[0], client, Tcp.RST, when, ports=(port, client_port), by=router, window=0)

    def probe(self, router: str, other: str, when: float, *, port: int = 6443) -> Trace:
        """The proxy on one router's host checks a backend on another's."""
        self.tcp(router, other, Tcp.SYN, when, ports=(50000, port))
        return self.tcp(other, router, Tcp.SYN | Tcp.ACK, when + 0.0005, ports=(port, 50000))

    # What it all is

    def passed(self, when: float) -> Trace:
        """Everything until then has been delivered."""
        self.items.append(TimePassed(at(when)))
        return self

    def segments(self) -> TcpSegments | None:
        """All segments as one batch in order of time, or None."""
        if not self._rows:
            return None
        columns = list(zip(*sorted(self._rows), strict=True))

        def column(index: int, kind: type[np.generic]) -> np.ndarray:
            return np.array(columns[index], dtype=kind)

        return TcpSegments(
            node=self.node,
            interface=self.interface,
            times=column(0, np.int64),
            sources=np.stack([column(1, np.uint64), column(2, np.uint64)], axis=1),
            destinations=np.stack([column(3, np.uint64), column(4, np.uint64)], axis=1),
            source_ports=column(5, np.uint16),
            destination_ports=column(6, np.uint16),
            flags=column(7, np.uint8),
            sequence=column(8, np.uint32),
            acknowledgement=column(9, np.uint32),
            windows=column(10, np.uint16),
            payloads=column(11, np.uint32),
            macs=column(12, np.uint64),
        )

    def observations(self) -> list[Observation | TimePassed]:
        """Everything in order of time, batches cut where something else falls into them; time that passes comes last."""
        segments = self.segments()
        return ordered([*self.items, *([segments] if segments is not None else [])])

    def __add__(self, other: Trace) -> Trace:
        """What two vantage points saw together."""
        both = Trace(self.node)
        both.items = [*self.observations(), *other.observations()]
        return both


def ordered(items: Iterable[Observation | TimePassed]) -> list[Observation | TimePassed]:
    """Observations as the merge gives them; ``TimePassed`` after what it covers."""
    merger, marks = Merger(), []
    for item in items:
        if isinstance(item, TimePassed):
            marks.append(item)
        else:
            merger.push(item)
    result: list[Observation | TimePassed] = []
    for mark in sorted(marks, key=lambda mark: mark.time):
        result += [*merger.release(mark.time), mark]
    return [*result, *merger.flush()]


def virtual(trace: Trace) -> Trace:
    """The same trace, its adverts from the Virtual Router MAC address and unnumbered, as of a router that is not keepalived."""
    trace.items = [
        replace(item, mac="00:00:5e:00:01:33", ident=7919 * place % 65536) if isinstance(item, Advert) else item
        for place, item in enumerate(trace.items)
    ]
    return trace


class Told:
    """A sink that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def observed(self, observation: Observation) -> None:
        """Nothing."""

    def happened(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)


def told(items: Iterable[Observation | TimePassed]) -> list[Event]:
    """Every event of an engine that is fed these."""
    sink = Told()
    run(items, Engine(), [sink])
    return sink.events


def flaps(trace: Trace | Iterable[Observation | TimePassed]) -> list[Flap]:
    """The flaps of a trace as a replay reports them."""
    report = Report()
    run(trace.observations() if isinstance(trace, Trace) else trace, Engine(), [report])
    return report.ordered()
