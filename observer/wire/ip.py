"""IPv4 and IPv6 headers down to the upper-layer payload, through extension headers and an Authentication Header.

Says where the payload is and how much of it was captured. No reassembly, no upper-layer protocol, and no IPv4 header
checksum: a receiver's kernel has dropped what fails it, and none of our facts rest on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from observer.model.observations import Family
from observer.wire.errors import DecodeError, Reason
from observer.wire.links import ETHERTYPE_IPV4, ETHERTYPE_IPV6

HOP_BY_HOP, ICMP, TCP, ROUTING, FRAGMENT, AH, ICMPV6, DESTINATION_OPTIONS, VRRP = 0, 1, 6, 43, 44, 51, 58, 60, 112
"""Protocol and next header numbers (IANA)."""

_OPTION_HEADERS = frozenset({HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS})


@dataclass(frozen=True, slots=True)
class Packet:
    """One IP packet: who, to whom, and where its payload lies in the frame."""

    family: Family
    source: bytes
    destination: bytes
    ttl: int
    """TTL, or hop limit."""
    ident: int | None
    """IPv4 identification."""
    protocol: int
    """Of the payload, behind extension headers and AH."""
    offset: int
    """Of the payload, in octets from the start of the frame; may lie behind the end of a truncated one."""
    length: int
    """Of the payload on the wire, from the IP header: link-layer padding is not in it."""
    truncated: bool
    """The capture ends before the payload does."""
    fragment: bool
    """One of several fragments; where its fragment offset is not 0, ``protocol`` belongs to data that is elsewhere."""
    spi: int | None
    """Security Parameters Index of the Authentication Header (RFC 4302 2.4); None without one."""

    @property
    def multicast(self) -> bool:
        """Sent to a group (RFC 1112 4, RFC 4291 2.7)."""
        first = self.destination[0]
        return first == 0xFF if self.family is Family.IPV6 else first >> 4 == 0xE

    def payload(self, frame: bytes) -> bytes:
        """What was captured of the payload, without padding."""
        return frame[self.offset : self.offset + self.length]


def packet(ethertype: int, frame: bytes, offset: int, original_length: int | None = None) -> Packet | None:
    """Read the IP header at ``offset``; None if the ethertype is neither IPv4 nor IPv6.

    ``original_length`` is the frame's length on the wire where the capture says it. Raises DecodeError(truncated) where
    the capture ends within the headers, DecodeError(ip_header) where they contradict themselves or the frame
    (RFC 791 3.1, RFC 8200 3 and 4, RFC 4302 2).
    """
    wire_end = None if original_length is None else max(original_length, len(frame))
    if ethertype == ETHERTYPE_IPV4:
        return _ipv4(frame, offset, wire_end)
    if ethertype == ETHERTYPE_IPV6:
        return _ipv6(frame, offset, wire_end)
    return None


def first_protocol(ethertype: int, frame: bytes, offset: int) -> int | None:
    """The protocol (first next header) that an IP header names, whatever else is wrong; None if not captured."""
    at = {ETHERTYPE_IPV4: 9, ETHERTYPE_IPV6: 6}.get(ethertype)
    return None if at is None or offset + at >= len(frame) else frame[offset + at]


def _ipv4(frame: bytes, offset: int, wire_end: int | None) -> Packet:
    _need(frame, offset + 20)
    header = (frame[offset] & 0x0F) * 4
    total = int.from_bytes(frame[offset + 2 : offset + 4])
    _agree(frame[offset] >> 4 == 4, "the version is not 4")
    _agree(20 <= header <= total, f"header length {header}, total length {total}")
    end = offset + total
    _agree(wire_end is None or end <= wire_end, "the total length is more than the frame")
    flags = int.from_bytes(frame[offset + 6 : offset + 8])
    protocol, at, spi = frame[offset + 9], offset + header, None
    if protocol == AH and not flags & 0x1FFF:
        protocol, at, spi = _authentication_header(frame, at, end)
    return Packet(
        family=Family.IPV4,
        source=frame[offset + 12 : offset + 16],
        destination=frame[offset + 16 : offset + 20],
        ttl=frame[offset + 8],
        ident=int.from_bytes(frame[offset + 4 : offset + 6]),
        protocol=protocol,
        offset=at,
        length=end - at,
        truncated=len(frame) < end,
        # More Fragments, or a fragment offset.
        fragment=bool(flags & 0x3FFF),
        spi=spi,
    )


def _ipv6(frame: bytes, offset: int, wire_end: int | None) -> Packet:
    _need(frame, offset + 40)
    _agree(frame[offset] >> 4 == 6, "the version is not 6")
    protocol, at = frame[offset + 6], offset + 40
    end = at + int.from_bytes(frame[offset + 4 : offset + 6])
    _agree(wire_end is None or end <= wire_end, "the payload length is more than the frame")
    fragment, later, spi = False, False, None
    while not later:
        if protocol in _OPTION_HEADERS:
            _need(frame, at + 8)
            protocol, at = frame[at], at + (frame[at + 1] + 1) * 8
        elif protocol == FRAGMENT:
            _need(frame, at + 8)
            field = int.from_bytes(frame[at + 2 : at + 4])
            # An atomic fragment (offset 0, nothing to follow) is a whole packet (RFC 6946).
            fragment, later = fragment or bool(field & 0xFFF9), bool(field & 0xFFF8)
            protocol, at = frame[at], at + 8
        elif protocol == AH and spi is None:
            protocol, at, spi = _authentication_header(frame, at, end)
        else:
            break
        _agree(at <= end, "an extension header is longer than the packet")
    return Packet(
        family=Family.IPV6,
        source=frame[offset + 8 : offset + 24],
        destination=frame[offset + 24 : offset + 40],
        ttl=frame[offset + 7],
        ident=None,
        protocol=protocol,
        offset=at,
        length=end - at,
        truncated=len(frame) < end,
        fragment=fragment,
        spi=spi,
    )


def _authentication_header(frame: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Next header, offset behind the AH, and SPI (RFC 4302 2: the length counts 4-octet words, minus 2)."""
    _need(frame, at + 8)
    behind = at + (frame[at + 1] + 2) * 4
    _agree(at + 12 <= behind <= end, "the Authentication Header is longer or shorter than it can be")
    return frame[at], behind, int.from_bytes(frame[at + 4 : at + 8])


def _need(frame: bytes, length: int) -> None:
    if len(frame) < length:
        raise DecodeError(Reason.TRUNCATED, f"{len(frame)} octets captured, the IP headers need {length}")


def _agree(holds: bool, detail: str) -> None:
    if not holds:
        raise DecodeError(Reason.IP_HEADER, detail)
