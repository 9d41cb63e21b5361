"""ARP and Neighbour Discovery: who asks, who answers, who tells everybody."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from wire_building import ROUTER_MAC, VIRTUAL_MAC, decode, ethernet, ipv4, ipv6, packed, pseudo, sll, with_checksum

from observer.model.observations import Neighbour, NeighbourKind
from observer.wire.links import LinkType

ASKER, VIP, HOST = "10.0.0.7", "10.0.0.100", "10.0.0.9"
ASKER6, VIP6 = "fe80::7", "2001:db8::100"
REQUEST, REPLY, ANNOUNCEMENT = NeighbourKind.REQUEST, NeighbourKind.REPLY, NeighbourKind.ANNOUNCEMENT


def arp(operation, sender, target, mac=VIRTUAL_MAC, start="0001080006 04"):
    return bytes.fromhex(start) + struct.pack("!H", operation) + mac + packed(sender) + bytes(6) + packed(target)


@pytest.mark.parametrize(
    ("operation", "sender", "target", "kind"),
    [
        (1, ASKER, VIP, REQUEST),
        (2, VIP, ASKER, REPLY),
        (1, VIP, VIP, ANNOUNCEMENT),
        (2, VIP, VIP, ANNOUNCEMENT),
        (1, "0.0.0.0", VIP, REQUEST),
        (1, "0.0.0.0", "0.0.0.0", REQUEST),
    ],
)
def test_arp(operation, sender, target, kind):
    assert decode(ethernet(arp(operation, sender, target), ethertype=0x0806) + bytes(18)) == Neighbour(
        time=1, node="a", interface="eth0", kind=kind, mac="00:00:5e:00:01:2a", sender=sender, target=target
    )


def test_arp_in_a_cooked_capture():
    seen = decode(sll(arp(1, VIP, VIP), kind=4, ethertype=0x0806), LinkType.LINUX_SLL)
    assert (seen.kind, seen.outgoing) == (ANNOUNCEMENT, True)


@pytest.mark.parametrize(
    "message",
    [
        arp(1, VIP, VIP)[:-1],
        b"",
        arp(3, VIP, VIP),
        arp(0, VIP, VIP),
        arp(2, "0.0.0.0", VIP),
        arp(2, "0.0.0.0", "0.0.0.0"),
        arp(1, VIP, VIP, start="0006080006 04"),
        arp(1, VIP, VIP, start="000186dd06 04"),
        arp(1, VIP, VIP, start="0001080008 04"),
        arp(1, VIP, VIP, start="0001080006 10"),
    ],
)
def test_garbage_in_arp_is_nothing(message):
    assert decode(ethernet(message, ethertype=0x0806)) is None


def icmp(kind, target=VIP6, flags=0, options=b"", code=0, source=ASKER6, destination="ff02::1", **header):
    message = bytes([kind, code, 0, 0, flags, 0, 0, 0]) + packed(target) + options
    message = with_checksum(message, pseudo(source, destination, len(message), 58), at=2)
    return ipv6(message, source=source, destination=destination, protocol=58, **header)


def option(kind, mac=VIRTUAL_MAC):
    return bytes([kind, 1]) + mac


NS, NA = 135, 136
SOLICITED, OVERRIDE = 0x40, 0x20


@pytest.mark.parametrize(
    ("network", "kind", "mac", "sender", "target"),
    [
        (icmp(NS, options=option(1), destination="ff02::1:ff00:100"), REQUEST, VIRTUAL_MAC, ASKER6, VIP6),
        (icmp(NS, source="::", destination="ff02::1:ff00:100"), REQUEST, ROUTER_MAC, "::", VIP6),
        (icmp(NA, flags=SOLICITED, destination=ASKER6, options=option(2)), REPLY, VIRTUAL_MAC, VIP6, ASKER6),
        (icmp(NA, flags=OVERRIDE, options=option(2)), ANNOUNCEMENT, VIRTUAL_MAC, VIP6, VIP6),
        (icmp(NA, flags=OVERRIDE), ANNOUNCEMENT, ROUTER_MAC, VIP6, VIP6),
        (icmp(NA, options=option(1) + option(2, ROUTER_MAC)), ANNOUNCEMENT, ROUTER_MAC, VIP6, VIP6),
        (icmp(NA, options=b"\x0e\0" + bytes(6) + option(2)), ANNOUNCEMENT, ROUTER_MAC, VIP6, VIP6),
    ],
)
def test_neighbour_discovery(network, kind, mac, sender, target):
    assert decode(ethernet(network) + bytes(4)) == Neighbour(
        time=1, node="a", interface="eth0", kind=kind, mac=mac.hex(":"), sender=sender, target=target
    )


GOOD = icmp(NA, options=option(2))


@pytest.mark.parametrize(
    "network",
    [
        icmp(NA, hop_limit=254),
        icmp(NA, code=1),
        icmp(NA, target="ff02::1"),
        icmp(NA, flags=SOLICITED),
        icmp(133),
        icmp(137),
        GOOD[:-1] + b"\0",
        ipv4(GOOD[40:], protocol=58),
        ipv6(GOOD[40:63], protocol=58),
    ],
)
def test_what_a_receiver_discards_is_nothing(network):
    assert decode(ethernet(network)) is None


def test_a_cut_option_leaves_the_frames_own_address():
    frame = ethernet(GOOD)
    seen = decode(frame[:-1], original_length=len(frame))
    assert (seen.kind, seen.mac) == (ANNOUNCEMENT, ROUTER_MAC.hex(":"))


def test_without_any_link_layer_address_there_is_nothing_to_say():
    assert decode(icmp(NA), LinkType.RAW) is None
    assert decode(GOOD, LinkType.RAW).mac == VIRTUAL_MAC.hex(":")


macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
addresses4 = st.ip_addresses(v=4).map(str).filter(lambda address: address != "0.0.0.0")
addresses6 = st.ip_addresses(v=6).map(str).filter(lambda address: not address.startswith("ff"))

# With both addresses given, for scapy asks the network for those it lacks.
ETHER = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")


@given(mac=macs, sender=addresses4, target=addresses4, operation=st.sampled_from([1, 2]), vlan=st.booleans())
def test_scapy_builds_arp(mac, sender, target, operation, vlan):
    link = ETHER / Dot1Q(vlan=3) if vlan else ETHER
    seen = decode(bytes(link / ARP(op=operation, hwsrc=mac, psrc=sender, pdst=target)))
    expected = ANNOUNCEMENT if sender == target else {1: REQUEST, 2: REPLY}[operation]
    assert (seen.kind, seen.mac, seen.sender, seen.target) == (expected, mac, sender, target)


@given(mac=macs, source=addresses6, target=addresses6, solicited=st.booleans(), query=st.booleans())
def test_scapy_builds_neighbour_discovery(mac, source, target, solicited, query):
    head = ETHER / IPv6(src=source, dst="fe80::1" if solicited else "ff02::1", hlim=255)
    if query:
        frame = bytes(head / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac))
        expected = (REQUEST, mac, source, target)
    else:
        frame = bytes(head / ICMPv6ND_NA(tgt=target, S=solicited, R=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac))
        expected = (REPLY, mac, target, "fe80::1") if solicited else (ANNOUNCEMENT, mac, target, target)
    seen = decode(frame)
    assert (seen.kind, seen.mac, seen.sender, seen.target) == expected
