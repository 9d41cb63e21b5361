"""Frames without the secrets in them: the authentication data of adverts is replaced, its structure kept, the checksum put right.

What is malformed is blanked as well, and then more rather than less. Whether a frame still says what it said is for the caller
to try, with the decoder: a checksum may or may not cover what was replaced, so there are a few candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.wire import ip, vrrp
from observer.wire.errors import DecodeError
from observer.wire.links import ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkType, link_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHECKSUM = 6
_INTEGRITY = 12
"""Where the integrity check value begins in an Authentication Header (RFC 4302 2)."""
_MINIMUM = {ETHERTYPE_IPV4: 20, ETHERTYPE_IPV6: 40}
"""Octets of an IP header."""
_KEY_ID = 4
"""Octets of keepalived's HMAC trailer that are no secret: its type, and the key's identifier, which tells senders apart."""


def blanked(frame: bytes, original: int, group: int) -> Iterator[bytes]:
    """Ethernet frame of ``original`` octets on the wire, without secrets; ``group`` stands in for a password.

    The same octets where there is none.
    """
    try:
        link = link_layer(LinkType.ETHERNET, frame)
    except DecodeError:
        return
    if link.ethertype not in _MINIMUM:
        yield frame
        return
    behind = link.offset + _MINIMUM[link.ethertype]
    try:
        packet = ip.packet(link.ethertype, frame, link.offset, original)
    except DecodeError:
        yield frame[:behind]
        return
    if packet is None:
        return
    octets = bytearray(frame[: packet.offset + packet.length])
    if packet.protocol in (ip.ICMP, ip.ICMPV6):
        # An error quotes the packet that it is about (RFC 792, RFC 4443 2.4): its IP header says enough.
        quotes = frame[packet.offset : packet.offset + 1] in (b"\x03", b"\x04")
        yield bytes(octets[: packet.offset + 8 + _MINIMUM[link.ethertype]] if quotes else octets)
        return
    if packet.spi is not None:
        length = _authentication_header(frame, link.offset, packet.offset)
        octets[packet.offset - length + _INTEGRITY : packet.offset] = bytes(length - _INTEGRITY)
    if packet.protocol != ip.VRRP or packet.fragment:
        yield bytes(octets[: packet.offset])
        return
    for message in _messages(bytes(octets[packet.offset :]), packet, group):
        yield bytes(octets[: packet.offset]) + message


def _authentication_header(frame: bytes, begin: int, end: int) -> int:
    """Octets of the AH that ends at ``end``: the most that agrees with a length field (RFC 4302 2.2)."""
    return next((at for at in range(end - begin - 1, _INTEGRITY, -1) if (frame[end - at + 1] + 2) * 4 == at), _INTEGRITY)


def _messages(data: bytes, packet: ip.Packet, group: int) -> Iterator[bytes]:
    """The message of an advert, blanked after its addresses: RFC 3768 5.3.10, Cisco's digest, keepalived's HMAC trailer."""
    if len(data) < vrrp.HEADER:
        yield data
        return
    size, version = len(packet.source), data[0] >> 4
    end = vrrp.HEADER + data[3] * size
    own = vrrp.AUTHENTICATION_DATA if version == 2 else 0
    known = {end + own, end + own + vrrp.HMAC_TRAILER} | ({end + own + vrrp.MD5_DIGEST} if version == 2 else set())
    carp = packet.length == vrrp.CARP_LENGTH and data[3] == vrrp.CARP_AUTHENTICATION_WORDS
    if version not in (2, 3) or packet.length not in known or carp:
        # Nobody can say what is where.
        end = rest = vrrp.HEADER
    else:
        rest = end + own
    clean = bytearray(data[:end] + bytes(len(data) - end))
    if own and data[4] == 1 and rest <= len(data):
        clean[end:rest] = f"group{group % 1000:03d}".encode()
    if packet.length == rest + vrrp.HMAC_TRAILER:
        clean[rest : rest + _KEY_ID] = data[rest : rest + _KEY_ID]
    for covered in dict.fromkeys((rest, len(data), 0)):
        # RFC 1624 3: the checksum changes by what the octets did, and is as right, or as wrong, as it was.
        difference = _sum(data[:covered]) - _sum(clean[:covered])
        checksum = int.from_bytes(data[_CHECKSUM : _CHECKSUM + 2])
        clean[_CHECKSUM : _CHECKSUM + 2] = ((checksum + difference) % 0xFFFF if difference else checksum).to_bytes(2)
        yield bytes(clean)
        clean[_CHECKSUM : _CHECKSUM + 2] = data[_CHECKSUM : _CHECKSUM + 2]


def _sum(octets: bytes | bytearray) -> int:
    return sum(octets[1::2]) + (sum(octets[::2]) << 8)
