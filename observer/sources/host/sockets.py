"""The proxy's sockets on this node, from the kernel (sock_diag(7)): who listens, what waits to be accepted, who is served.

No connection is made. Behind a redirect rule the proxy's port is another than the virtual address's: see ``_learn``.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from observer.model.addresses import address_text
from observer.model.errors import SourceError
from observer.model.host import HostSample
from observer.sources.host.netlink import Netlink, attributes, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from observer.sources.host.services import Services

PORTS = 4
"""Ports that are looked at."""

ADDRESSES = 64
"""Local addresses of connections that are told apart."""

RECENT = 1500
"""Milliseconds within which a connection that was sent data counts as being served: more than from look to look."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_ESTABLISHED, _LISTEN = 1 << 1, 1 << 10
_TCP = 6
_INFO = 2
"""INET_DIAG_INFO, and the bit that asks for it is one lower."""
_S_GE, _S_LE = 2, 3
"""inet_diag_bc_op codes: local port at least, at most (linux/inet_diag.h)."""
_MESSAGE = struct.Struct("=BBBB2s2s16s16sIIIIIIII")
"""inet_diag_msg: family, state, timer, retransmissions; ports, addresses, interface, cookie; expires, queues, uid, inode."""
_V6ONLY = 11
"""INET_DIAG_SKV6ONLY."""
_MAPPED = bytes(10) + b"\xff\xff"
_RETRANSMITS, _LAST_DATA_SENT, _DATA_SEGMENTS_OUT = 2, 44, 156
"""Offsets in tcp_info (linux/tcp.h); the last since Linux 4.6."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: int
    queued: int
    backlog: int
    family: socket.AddressFamily
    """Also of the connections that it accepts: those from IPv4 at an IPv6 socket are IPv6 sockets."""
    both: bool = False
    """It takes IPv4 as well as IPv6."""

    @property
    def loopback(self) -> bool:
        """Reached from this node only."""
        return self.address == "::1" or self.address.startswith("127.")

    def serves(self, address: str) -> bool:
        """Whether connections to an address reach it."""
        wildcard = self.address == ("::" if ":" in address else "0.0.0.0")  # noqa: S104 - compared, not bound
        return self.address == address or wildcard or (self.address == "::" and self.both)


@dataclass(frozen=True, slots=True)
class Served:
    """Accepted connections of other hosts at a port."""

    established: int
    sending: int
    local: frozenset[str]
    """Addresses of this node that they came to."""


class Sockets:
    """Looks at the ports where the virtual addresses are served on this node."""

    name = "sockets"
    interval = 2.0

    def __init__(self, node: str, services: Services) -> None:
        self._node = node
        self._services = services
        self._netlink = Netlink(_NETLINK_SOCK_DIAG)
        self._known: dict[int, str | None] = dict.fromkeys(services.configured)
        """Ports of the proxy, with the virtual address that a listener must serve; None behind a redirect, or as configured."""
        self._families: dict[int, set[socket.AddressFamily]] = {}
        """Of those who have listened at a port: the kernel looks through all of its sockets for each."""

    def look(self, now: int) -> Iterator[HostSample]:
        """A sample for each port of the proxy. Raises SourceError while its port cannot be told."""
        services = self._services
        if not (services.virtual or services.configured):
            return
        listeners = self._listeners()
        served = self._learn(listeners)
        for port, address in sorted(self._known.items()):
            here = [
                each
                for each in listeners
                if each.port == port and (not each.loopback if address is None else each.serves(address))
            ]
            clients = served.get(port) or self._served(port, listeners)
            yield HostSample(
                time=now,
                node=self._node,
                source=self.name,
                subject=str(port),
                listening=bool(here),
                listener=min((each.inode for each in here), default=None),
                queued=sum(each.queued for each in here) if here else None,
                backlog=sum(each.backlog for each in here) if here else None,
                established=clients.established,
                sending=clients.sending,
            )
        unseen = [address for address, ports in services.virtual.items() if ports and not self._known]
        if unseen:
            raise SourceError(f"at which port the proxy of {unseen[0]} listens could not be told: set service_ports")

    def close(self) -> None:
        """Close the netlink socket."""
        self._netlink.close()

    def _learn(self, listeners: list[Listener]) -> dict[int, Served]:
        """Find ports of the proxy; what was looked at on the way is given back.

        A port is kept once it is known: that nothing listens there any more is what is to be seen. Where rules cannot be read,
        connections whose local address is the virtual one show that no rule redirects them.
        """
        services, served = self._services, dict[int, Served]()
        if services.configured:
            return served
        redirects = services.redirects
        for target in (redirects or {}).values():
            self._keep(target, None, any(each.port == target and not each.loopback for each in listeners))
        for address, ports in services.virtual.items():
            for port in ports:
                if port in self._known or (redirects and (address, port) in redirects):
                    continue
                listening = any(each.port == port and each.serves(address) for each in listeners)
                if listening and redirects is None:
                    served[port] = self._served(port, listeners)
                    listening = address in served[port].local
                # A rule that is gone leaves the clients to whatever listens here: that is not the proxy.
                if not any(known is None for known in self._known.values()):
                    self._keep(port, address, listening)
        return served

    def _keep(self, port: int, address: str | None, listening: bool) -> None:
        if listening and len(self._known) < PORTS:
            self._known.setdefault(port, address)

    def _listeners(self) -> list[Listener]:
        found = []
        for family in _FAMILIES:
            for piece in self._netlink.dump(_SOCK_DIAG_BY_FAMILY, _request(family, _LISTEN)):
                for body in messages(piece):
                    fields = _MESSAGE.unpack_from(body)
                    address, queued, backlog, inode = fields[6], fields[12], fields[13], fields[15]
                    found.append(
                        Listener(
                            address=address_text(address[:4] if family == socket.AF_INET else address),
                            port=int.from_bytes(fields[4], "big"),
                            inode=inode,
                            family=family,
                            queued=queued,
                            backlog=backlog,
                            both=family == socket.AF_INET6 and (_V6ONLY, b"\0") in attributes(body, _MESSAGE.size),
                        )
                    )
        return found

    def _served(self, port: int, listeners: list[Listener]) -> Served:
        """The connections at a port that listeners have accepted; whoever listens no more may have left some."""
        established, sending, local = 0, 0, set[str]()
        first, families = port not in self._families, self._families.setdefault(port, set())
        families.update(each.family for each in listeners if each.port == port)
        # Who listened before this agent was started may have left connections of the other family.
        for family in _FAMILIES if first or not families else sorted(families):
            request = _request(family, _ESTABLISHED, info=True) + _at_port(port)
            for piece in self._netlink.dump(_SOCK_DIAG_BY_FAMILY, request):
                for batch in _batches(piece):
                    accepted, active, addresses = _counted(batch, family)
                    if accepted:
                        families.add(family)
                    established += accepted
                    sending += active
                    if len(local) < ADDRESSES:
                        local |= addresses
        return Served(established, sending, frozenset(local))


def _request(family: int, states: int, *, info: bool = False) -> bytes:
    """inet_diag_req_v2: family, protocol, extensions, states, and a socket of no meaning in a dump."""
    extensions = 1 << (_INFO - 1) if info else 0
    return struct.pack("=BBBBI", family, _TCP, extensions, 0, states) + bytes(48)


def _at_port(port: int) -> bytes:
    """The attribute INET_DIAG_REQ_BYTECODE for one local port, which the kernel then looks for by itself.

    Each condition is two words: where to go on if it holds and where if not (past the end: no), and the port.
    """
    code = struct.pack("=BBHBBH", _S_GE, 8, 20, 0, 0, port) + struct.pack("=BBHBBH", _S_LE, 8, 12, 0, 0, port)
    return struct.pack("=HH", 4 + len(code), 1) + code


def _batches(piece: bytes) -> Iterator[NDArray[np.uint8]]:
    """The messages of a piece as rows of octets, headers included, in as few arrays as their lengths allow."""
    at = 0
    octets = np.frombuffer(piece, dtype=np.uint8)
    while at + 16 <= len(piece):
        (length,) = struct.unpack_from("=I", piece, at)
        if length < 16 + _MESSAGE.size:
            return
        stride = (length + 3) & ~3
        rows = octets[at : at + (len(piece) - at) // stride * stride].reshape(-1, stride)
        same = (rows[:, :4].copy().view("=u4").ravel() == length).cumprod(dtype=np.int64)
        alike = int(same.sum())
        if not alike:
            # The last message, without its padding.
            yield octets[at : at + length].reshape(1, -1)
            return
        yield rows[:alike]
        at += alike * stride


def _counted(rows: NDArray[np.uint8], family: int) -> tuple[int, int, set[str]]:
    """Accepted connections of other hosts among sockets, those being sent data, and the local addresses."""
    first = rows[0].tobytes()
    info = next((at for at, kind, size in _places(first) if kind == _INFO and size >= _DATA_SEGMENTS_OUT + 4), None)
    octets = 4 if family == socket.AF_INET else 16
    source, peer = rows[:, 16 + 8 : 16 + 8 + octets], rows[:, 16 + 24 : 16 + 24 + octets]
    # A connection that waits to be accepted belongs to no process and has no inode yet.
    mask = (_words(rows, 16 + 68) != 0) & ~_loopback(peer)
    local = source[mask].tobytes()
    addresses = {_unmapped(each) for each in sorted({local[at : at + octets] for at in range(0, len(local), octets)})[:ADDRESSES]}
    if info is None:
        return int(mask.sum()), 0, addresses
    active = mask & (_words(rows, info + _LAST_DATA_SENT) <= RECENT) & (rows[:, info + _RETRANSMITS] == 0)
    # A connection just opened has the time of its opening there.
    active &= _words(rows, info + _DATA_SEGMENTS_OUT) > 0
    return int(mask.sum()), int(active.sum()), addresses


def _places(message: bytes) -> Iterator[tuple[int, int, int]]:
    """Offset, type and size of the values of a message's attributes; rows of one length have them at the same places."""
    at = 16 + _MESSAGE.size
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if length < 4:
            return
        yield at + 4, kind & 0x3FFF, length - 4
        at += (length + 3) & ~3


def _words(rows: NDArray[np.uint8], at: int) -> NDArray[np.uint32]:
    words: NDArray[np.uint32] = rows[:, at : at + 4].copy().view("=u4").ravel()
    return words


def _loopback(peers: NDArray[np.uint8]) -> NDArray[np.bool_]:
    if peers.shape[1] == 4:
        return np.asarray(peers[:, 0] == 127)
    mapped = (peers[:, :12] == np.frombuffer(_MAPPED, dtype=np.uint8)).all(axis=1) & (peers[:, 12] == 127)
    return np.asarray(mapped | ((peers[:, :15] == 0).all(axis=1) & (peers[:, 15] == 1)))


def _unmapped(octets: bytes) -> str:
    return address_text(octets[12:] if octets.startswith(_MAPPED) and len(octets) == 16 else octets)
