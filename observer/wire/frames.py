"""The rare road: one frame in, one observation out. Adverts, ARP, ND, and ICMP about VRRP; everything else is None.

Never raises, whatever the bytes: what the wire sends is not an exception outside ``wire``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeAlias

from observer.model.addresses import address_text, mac_text
from observer.model.observations import Advert, GroupLeft, Malformed, Neighbour, Refused
from observer.wire import arp, groups, icmp, ip, ndp, vrrp
from observer.wire.errors import DecodeError, Reason
from observer.wire.links import ETHERTYPE_ARP, ETHERTYPE_IPV4, Link, LinkType, link_layer, supported

Heard: TypeAlias = Advert | Malformed | Neighbour | Refused | GroupLeft
"""What a frame may say."""

KNOWN: Final = 256
"""Frames whose meaning is remembered: a router sends the same advert again and again."""
_LONGEST: Final = 512
"""Octets of such a frame."""
_IPV4_IN_ETHERNET: Final = ETHERTYPE_IPV4.to_bytes(2)
_UNREADABLE = frozenset({Reason.CARP, Reason.FRAGMENT, Reason.VERSION})
"""Where the second octet is not known to be a VRID."""


class FrameDecoder:
    """Decodes frames of one program run; holds the authentication groups, and what the last different frames said."""

    def __init__(self) -> None:
        self._groups = vrrp.AuthenticationGroups()
        self._known: dict[tuple[object, ...], Heard] = {}

    def decode(
        self,
        *,
        time: int,
        node: str,
        interface: str | None,
        linktype: int,
        frame: bytes,
        original_length: int | None = None,
        outgoing: bool | None = None,
    ) -> Heard | None:
        """Read one captured frame; ``original_length`` is its length on the wire, if the capture says it.

        ``outgoing`` is what the source knows about the direction; without it, the link layer may say. Malformed only
        for IP packets that name protocol 112; None for other protocols and for unsupported link types.
        """
        octets, ident = frame, None
        if linktype == LinkType.ETHERNET and frame[12:14] == _IPV4_IN_ETHERNET:
            # All that differs between an advert and the next: IP's identification, and its header checksum.
            octets, ident = frame[:18] + frame[20:24] + frame[26:], int.from_bytes(frame[18:20])
        key = octets, node, interface, linktype, original_length, outgoing
        known = self._known.get(key)
        if isinstance(known, Advert) and ident is not None:
            return replace(known, time=time, ident=ident)
        if known is not None:
            return replace(known, time=time)
        heard = self._read(time, node, interface, linktype, frame, original_length, outgoing)
        if heard is not None and len(frame) <= _LONGEST:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = heard
        return heard

    def _read(
        self,
        time: int,
        node: str,
        interface: str | None,
        linktype: int,
        frame: bytes,
        original_length: int | None,
        outgoing: bool | None,
    ) -> Heard | None:
        if not supported(linktype):
            return None
        try:
            link = link_layer(linktype, frame)
        except DecodeError:
            return None
        if outgoing is None:
            outgoing = link.outgoing
        if link.ethertype == ETHERTYPE_ARP:
            claim = arp.decode(frame[link.offset :])
            return claim and _neighbour(claim, time, node, interface, outgoing)
        try:
            packet = ip.packet(link.ethertype, frame, link.offset, original_length)
        except DecodeError as error:
            if ip.first_protocol(link.ethertype, frame, link.offset) != ip.VRRP:
                return None
            return Malformed(time=time, node=node, interface=interface, reason=error.reason.value)
        if packet is None:
            return None
        if packet.protocol in (ip.ICMP, ip.ICMPV6) and icmp.refuses_vrrp(packet, packet.payload(frame)):
            return Refused(time=time, node=node, interface=interface, router=address_text(packet.source))
        if packet.protocol in (groups.IGMP, ip.ICMPV6) and groups.leaves_vrrp(packet, packet.payload(frame)):
            return GroupLeft(time=time, node=node, interface=interface, router=address_text(packet.source))
        if packet.protocol == ip.ICMPV6:
            claim = ndp.decode(packet, packet.payload(frame), link.mac)
            return claim and _neighbour(claim, time, node, interface, outgoing)
        if packet.protocol != ip.VRRP:
            return None
        return self._advert(packet, packet.payload(frame), link, time, node, interface, outgoing)

    def _advert(
        self,
        packet: ip.Packet,
        payload: bytes,
        link: Link,
        time: int,
        node: str,
        interface: str | None,
        outgoing: bool | None,
    ) -> Advert | Malformed:
        router = address_text(packet.source)
        try:
            message = vrrp.decode(packet, payload, self._groups)
        except DecodeError as error:
            return Malformed(
                time=time,
                node=node,
                interface=interface,
                reason=error.reason.value,
                router=router,
                vrid=payload[1] if len(payload) > 1 and error.reason not in _UNREADABLE else None,
            )
        return Advert(
            time=time,
            node=node,
            interface=interface,
            router=router,
            destination=address_text(packet.destination),
            mac=None if link.mac is None else mac_text(link.mac),
            family=packet.family,
            version=message.version,
            vrid=message.vrid,
            priority=message.priority,
            interval=message.interval,
            addresses=message.addresses,
            authentication=message.authentication,
            authentication_group=message.authentication_group,
            checksum=message.checksum,
            ttl=packet.ttl,
            ident=packet.ident,
            outgoing=outgoing,
            # Identifier 0 tags a priority, and no VLAN (IEEE 802.1Q 9.6).
            vlans=tuple(vlan for vlan in link.vlans if vlan),
            ifindex=link.ifindex,
        )


def _neighbour(claim: arp.Claim, time: int, node: str, interface: str | None, outgoing: bool | None) -> Neighbour:
    return Neighbour(
        time=time,
        node=node,
        interface=interface,
        kind=claim.kind,
        mac=claim.mac,
        sender=claim.sender,
        target=claim.target,
        outgoing=outgoing,
    )
