"""TCP control segments of a few frames, read one by one: a quiet network brings a dozen at a time.

An operation on arrays costs as much for one frame as for a thousand, and where a processor mostly does something else, much of
that is finding its code in memory. The usual shapes only, Ethernet without a tag, IPv4 without options or IPv6 without extension
headers, TCP: the same segments as ``tcp.select`` finds, to which frames of any other shape are left.
"""

from __future__ import annotations

import struct
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from observer.model.segments import Tcp, TcpSegments
from observer.wire import ip
from observer.wire.links import ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkType

if TYPE_CHECKING:
    from collections.abc import Iterable

_ETHERNET: Final = struct.Struct(">6xHIH")
"""Source, ethertype."""
_FOUR: Final = struct.Struct(">BxHxxHxBxxII")
"""RFC 791 3.1: version and header length, total length, fragment, protocol, addresses."""
_SIX: Final = struct.Struct(">B3xHBxQQQQ")
"""RFC 8200 3: version, payload length, next header, addresses."""
_TCP: Final = struct.Struct(">HHIIBBH")
"""RFC 9293 3.1: ports, sequence, acknowledgement, offset, flags, window."""

_NETWORK: Final = _ETHERNET.size
_HEADER: Final = 20
_CONTROL: Final = int(Tcp.SYN | Tcp.FIN | Tcp.RST)
_MAPPED: Final = 0xFFFF << 32

_COLUMNS: Final = {
    "times": np.int64,
    "sources": np.uint64,
    "destinations": np.uint64,
    "source_ports": np.uint16,
    "destination_ports": np.uint16,
    "flags": np.uint8,
    "sequence": np.uint32,
    "acknowledgement": np.uint32,
    "windows": np.uint16,
    "payloads": np.uint32,
    "macs": np.uint64,
}
"""Of ``TcpSegments``, in the order of a ``Segment``."""

Segment = tuple[Any, ...]
"""A row of these columns."""


def segments(linktype: int, data: memoryview, frames: Iterable[tuple[int, int, int]]) -> list[Segment] | None:
    """The segments with SYN, FIN or RST, in order of time; None where a frame is of another shape, or was captured too short.

    ``frames`` are time (ns), position in ``data``, octets captured, all of which exist.
    """
    if linktype != LinkType.ETHERNET:
        return None
    found: list[Segment] = []
    for time, at, captured in frames:
        if captured < _NETWORK:
            return None
        mac_high, mac_low, ethertype = _ETHERNET.unpack_from(data, at)
        if ethertype == ETHERTYPE_IPV4 and captured >= _NETWORK + _FOUR.size + _HEADER:
            version, length, fragment, protocol, *addresses = _FOUR.unpack_from(data, at + _NETWORK)
            usual, header = version == 0x45 and fragment & 0x1FFF == 0, _FOUR.size
            source, destination = ((0, address | _MAPPED) for address in addresses)
        elif ethertype == ETHERTYPE_IPV6 and captured >= _NETWORK + _SIX.size + _HEADER:
            version, length, protocol, *words = _SIX.unpack_from(data, at + _NETWORK)
            usual, header = version >> 4 == 6, _SIX.size
            length = length and length + header
            source, destination = (words[0], words[1]), (words[2], words[3])
        else:
            return None
        if not usual or protocol != ip.TCP:
            return None
        *ports, sequence, acknowledgement, offset, flags, window = _TCP.unpack_from(data, at + _NETWORK + header)
        # Segments longer than 64 kB, which a host sees of its own before its card cuts them, have length 0.
        payload = (length or captured - _NETWORK) - header - (offset >> 4) * 4
        if flags & _CONTROL and offset >> 4 >= 5 and payload >= 0:
            mac = mac_high << 32 | mac_low
            found.append((time, source, destination, *ports, flags, sequence, acknowledgement, window, payload, mac))
    return sorted(found, key=itemgetter(0))


def columns(node: str, interface: str | None, found: list[Segment]) -> TcpSegments:
    """Some segments, at least one, as the rest of the program has them."""
    values = zip(*found, strict=True)
    arrays: dict[str, Any] = {name: np.array(column, kind) for (name, kind), column in zip(_COLUMNS.items(), values, strict=True)}
    return TcpSegments(node=node, interface=interface, **arrays)
