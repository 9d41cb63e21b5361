"""TCP segments as frames of headers alone, for a recording: Ethernet, IP and TCP from the columns, without options or data.

What is not in the columns is zero: the link-layer destination, the TCP checksum, the IPv4 identification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from observer.wire import ip
from observer.wire.errors import DecodeError
from observer.wire.links import ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkType, link_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observer.model.segments import TcpSegments

_TCP = 20
_MAPPED = 0xFFFF


def synthesised(segments: TcpSegments) -> Iterator[tuple[bytes, int]]:
    """Each segment's headers, and the length of its frame on the wire."""
    rows = zip(
        segments.sources.tolist(),
        segments.destinations.tolist(),
        segments.source_ports.tolist(),
        segments.destination_ports.tolist(),
        segments.sequence.tolist(),
        segments.acknowledgement.tolist(),
        segments.flags.tolist(),
        segments.windows.tolist(),
        segments.payloads.tolist(),
        segments.macs.tolist(),
        strict=True,
    )
    for source, destination, port, other, sequence, acknowledgement, flags, window, payload, mac in rows:
        tcp = (
            port.to_bytes(2) + other.to_bytes(2) + sequence.to_bytes(4) + acknowledgement.to_bytes(4)
            + bytes((_TCP // 4 << 4, flags)) + window.to_bytes(2) + bytes(4)
        )  # fmt: skip
        network, ethertype = _network(source, destination, _TCP + payload)
        octets = bytes(6) + mac.to_bytes(6) + ethertype.to_bytes(2) + network + tcp
        yield octets, len(octets) + payload


def _network(source: list[int], destination: list[int], length: int) -> tuple[bytes, int]:
    """An IP header for ``length`` octets of TCP; addresses as two words (``TcpSegments``)."""
    if source[0] == 0 and source[1] >> 32 == _MAPPED:
        head = bytes((0x45, 0)) + min(20 + length, 0xFFFF).to_bytes(2) + bytes(4) + bytes((64, ip.TCP))
        ends = (source[1] & 0xFFFFFFFF).to_bytes(4) + (destination[1] & 0xFFFFFFFF).to_bytes(4)
        total = sum((head + ends)[1::2]) + (sum((head + ends)[::2]) << 8)
        # The complement of the sum with end-around carry (RFC 1071 1).
        return head + (0xFFFE - (total - 1) % 0xFFFF).to_bytes(2) + ends, ETHERTYPE_IPV4
    head = bytes((0x60, 0, 0, 0)) + min(length, 0xFFFF).to_bytes(2) + bytes((ip.TCP, 64))
    words = b"".join(word.to_bytes(8) for word in (*source, *destination))
    return head + words, ETHERTYPE_IPV6


def without_data(frame: bytes, original: int) -> bytes | None:
    """A captured frame up to the end of its TCP header; None where that is not in it."""
    try:
        link = link_layer(LinkType.ETHERNET, frame)
        packet = ip.packet(link.ethertype, frame, link.offset, original)
    except DecodeError:
        return None
    if packet is None or packet.protocol != ip.TCP or packet.offset + _TCP > len(frame):
        return None
    end = packet.offset + (frame[packet.offset + 12] >> 4) * 4
    return frame[:end] if end <= len(frame) else None


def captured(segments: TcpSegments) -> Iterator[tuple[bytes, int, bool] | None]:
    """Each segment's frame as it was captured, without its data; length on the wire; outgoing. None where it was not kept."""
    frames = segments.frames
    if frames is None or frames.linktype != LinkType.ETHERNET:
        yield from (None for _ in range(len(segments)))
        return
    for begin, length, original, outgoing in zip(
        frames.offsets.tolist(), frames.lengths.tolist(), frames.original_lengths.tolist(), frames.outgoing.tolist(), strict=True
    ):
        octets = without_data(np.asarray(frames.octets[begin : begin + length]).tobytes(), original)
        yield None if octets is None else (octets, original, outgoing)
