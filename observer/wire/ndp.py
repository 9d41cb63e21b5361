"""Neighbour Discovery for IPv6 (RFC 4861): solicitations and advertisements. Garbage is None, not an error."""

from __future__ import annotations

from observer.model.addresses import address_text, mac_text
from observer.model.observations import Family, NeighbourKind
from observer.wire import ip
from observer.wire.arp import Claim
from observer.wire.checksum import checks, pseudo_header

SOLICITATION, ADVERTISEMENT = 135, 136
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2
_SOLICITED = 0x40
_FIXED = 24


def decode(packet: ip.Packet, message: bytes, mac: bytes | None) -> Claim | None:
    """Read what was captured of an ICMPv6 message; ``mac`` is the frame's source, for messages without the option.

    None for other messages, for what a receiver must discard (RFC 4861 7.1.1, 7.1.2: hop limit, checksum, code, target,
    solicited flag), and where no link-layer address is known.
    """
    if (
        packet.family is not Family.IPV6
        or packet.fragment
        or packet.ttl != 255
        or len(message) < _FIXED
        or message[1] != 0
        or message[8] == 0xFF
    ):
        return None
    if not packet.truncated and not checks(pseudo_header(packet.source, packet.destination, packet.length, ip.ICMPV6), message):
        return None
    target = address_text(message[8:24])
    if message[0] == SOLICITATION:
        kind, option, sender, other = (
            NeighbourKind.REQUEST, _SOURCE_LINK_LAYER, address_text(packet.source), target,
        )  # fmt: skip
    elif message[0] == ADVERTISEMENT and message[4] & _SOLICITED:
        if packet.multicast:
            return None
        kind, option, sender, other = (
            NeighbourKind.REPLY, _TARGET_LINK_LAYER, target, address_text(packet.destination),
        )  # fmt: skip
    elif message[0] == ADVERTISEMENT:
        kind, option, sender, other = NeighbourKind.ANNOUNCEMENT, _TARGET_LINK_LAYER, target, target
    else:
        return None
    mac = _link_layer_option(message, option) or mac
    return None if mac is None else Claim(kind, mac_text(mac), sender, other)


def _link_layer_option(message: bytes, wanted: int) -> bytes | None:
    """The Ethernet address in the first option of this type (RFC 4861 4.6.1), None if it is not there."""
    at = _FIXED
    while at + 8 <= len(message) and message[at + 1]:
        if message[at] == wanted and message[at + 1] == 1:
            return message[at + 2 : at + 8]
        at += message[at + 1] * 8
    return None
