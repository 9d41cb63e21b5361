"""The Internet checksum (RFC 1071) and the pseudo-headers it may cover. Which form a protocol uses is its own."""

from __future__ import annotations

import struct


def checks(*parts: bytes) -> bool:
    """Whether the parts, which hold the checksum itself, sum up to all ones (RFC 1071 1).

    Every part but the last has an even length.
    """
    octets = b"".join(parts)
    if len(octets) % 2:
        octets += b"\0"
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    # The end-around carry is arithmetic modulo 65535; a sum of nothing but zeros has no checksum in it.
    return total > 0 and total % 0xFFFF == 0


def pseudo_header(source: bytes, destination: bytes, length: int, protocol: int) -> bytes:
    """As TCP and VRRPv3 put it before the message (RFC 9293 3.1 for IPv4, RFC 8200 8.1 for IPv6)."""
    tail = struct.pack("!BBH", 0, protocol, length) if len(source) == 4 else struct.pack("!II", length, protocol)
    return source + destination + tail
