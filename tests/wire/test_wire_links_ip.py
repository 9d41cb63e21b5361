"""Link layers and IP headers: where the payload is, and what was said on the way."""

from __future__ import annotations

import struct

import pytest
from wire_building import LINKS, ROUTER_MAC, ah, decode, ethernet, ipv4, ipv6, sll, sll2, v2, v6

from observer.model.observations import CUT, UNNAMED, Advert
from observer.wire import ip
from observer.wire.errors import DecodeError, Reason
from observer.wire.links import ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkType, link_layer, supported

NETWORK = ipv4(v2())


@pytest.mark.parametrize("name", LINKS)
def test_where_the_network_header_is(name):
    linktype, build = LINKS[name]
    for network, ethertype in ((NETWORK, ETHERTYPE_IPV4), (ipv6(v6()), ETHERTYPE_IPV6)):
        frame = build(network)
        link = link_layer(linktype, frame)
        assert link.ethertype == ethertype
        assert frame[link.offset :] == network


def test_vlan_identifiers_from_the_outermost():
    frame = ethernet(NETWORK, vlans=[(0x88A8, 100), (0x8100, 4095)])
    assert link_layer(LinkType.ETHERNET, frame).vlans == (100, 4095)


def test_what_cooked_captures_say():
    assert link_layer(LinkType.LINUX_SLL, sll(NETWORK)).outgoing is False
    assert link_layer(LinkType.LINUX_SLL, sll(NETWORK, kind=4)).outgoing is True
    link = link_layer(LinkType.LINUX_SLL2, sll2(NETWORK, kind=4, ifindex=300))
    assert (link.outgoing, link.ifindex, link.mac) == (True, 300, ROUTER_MAC)
    assert link_layer(LinkType.LINUX_SLL, sll(NETWORK)).ifindex == UNNAMED
    assert (link := link_layer(LinkType.ETHERNET, ethernet(NETWORK))).outgoing is None
    assert link.ifindex is None


def test_link_layer_addresses_of_other_lengths_are_not_mac_addresses():
    assert link_layer(LinkType.LINUX_SLL, sll(NETWORK, mac=b"")).mac is None
    assert link_layer(LinkType.LINUX_SLL2, sll2(NETWORK, mac=bytes(8))).mac is None


def test_an_advert_tells_its_interface_in_a_capture_of_several():
    assert decode(sll2(ipv4(v2()), ifindex=300), LinkType.LINUX_SLL2).ifindex == 300
    assert decode(sll(ipv4(v2())), LinkType.LINUX_SLL).ifindex == UNNAMED
    assert decode(ethernet(ipv4(v2()))).ifindex is None


def test_direction_of_the_source_goes_before_the_link_layers():
    assert decode(sll(NETWORK, kind=4), LinkType.LINUX_SLL).outgoing is True
    assert decode(sll(NETWORK, kind=4), LinkType.LINUX_SLL, outgoing=False).outgoing is False


@pytest.mark.parametrize("name", LINKS)
def test_every_cut_within_the_link_layer_is_truncated(name):
    linktype, build = LINKS[name]
    size = link_layer(linktype, build(NETWORK)).offset
    for length in range(max(size, 1)):
        with pytest.raises(DecodeError) as error:
            link_layer(linktype, build(NETWORK)[:length])
        assert error.value.reason is Reason.TRUNCATED
        assert error.value.reason == CUT


def test_unsupported_link_types_are_known_beforehand():
    assert all(supported(linktype) for linktype in (0, 1, 12, 14, 101, 108, 113, 228, 229, 276))
    assert not supported(107)
    assert decode(NETWORK, 107) is None
    with pytest.raises(ValueError, match="107"):
        link_layer(107, NETWORK)


OPTIONS = bytes.fromhex("94040000")
NONE_NEXT = 59


def hop_by_hop(payload, following=112):
    return bytes([following, 1, 1, 12]) + bytes(12) + payload


def fragment_header(payload, field, following=112):
    return struct.pack("!BBHI", following, 0, field, 9) + payload


@pytest.mark.parametrize(
    "network",
    [
        ipv4(v2(), options=OPTIONS),
        ipv4(v2(), options=bytes(40)),
        ipv4(ah(v2()), protocol=51, options=OPTIONS),
        ipv6(hop_by_hop(v6()), protocol=0),
        ipv6(hop_by_hop(hop_by_hop(v6(), following=112), following=60), protocol=43),
        ipv6(fragment_header(v6(), 0), protocol=44),
        ipv6(ah(v6()), protocol=51),
        ipv6(hop_by_hop(ah(v6()), following=51), protocol=0),
    ],
)
@pytest.mark.parametrize("padding", [0, 1, 30])
def test_headers_on_the_way_to_an_advert(network, padding):
    assert isinstance(decode(ethernet(network) + bytes(padding)), Advert)


def test_the_security_parameters_index_is_noted():
    packet = ip.packet(ETHERTYPE_IPV4, ipv4(ah(v2(), spi=77), protocol=51), 0)
    assert (packet.protocol, packet.spi, packet.length) == (112, 77, len(v2()))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (ipv6(fragment_header(v6(), 1), protocol=44), "fragment"),
        (ipv6(fragment_header(v6(), 8), protocol=44), "fragment"),
        (ipv6(fragment_header(fragment_header(v6(), 8), 0, following=44), protocol=44), "fragment"),
        (ipv4(ah(v2()), protocol=51, fragment=9), None),
        (ipv4(ah(v2(), following=6), protocol=51), None),
        (ipv4(bytes([112, 255]) + bytes(60), protocol=51), None),
        (ipv4(bytes([112, 0]) + bytes(60), protocol=51), None),
        (ipv6(bytes([112, 200]) + bytes(60), protocol=0), None),
        (ipv4(v2(), protocol=17), None),
        (ipv6(b"", protocol=NONE_NEXT), None),
    ],
)
def test_near_misses(network, expected):
    got = decode(ethernet(network))
    assert (got and got.reason) == expected


def test_a_header_that_lies_about_itself():
    for broken in (b"\x55" + NETWORK[1:], b"\x44" + NETWORK[1:]):
        assert decode(ethernet(broken, ethertype=0x0800)).reason == "ip_header"
        other = broken[:9] + b"\x11" + broken[10:]
        assert decode(ethernet(other, ethertype=0x0800)) is None
    six = b"\x50" + ipv6(v6())[1:]
    assert decode(ethernet(six, ethertype=0x86DD)).reason == "ip_header"


def test_other_ethertypes_are_nothing():
    assert decode(ethernet(NETWORK, ethertype=0x88CC)) is None
    assert decode(ethernet(NETWORK, ethertype=40)) is None


def test_an_advert_tells_its_vlans_and_a_tag_of_priority_alone_is_none():
    frame = ethernet(ipv4(v2()), vlans=[(0x8100, 0), (0x8100, 20)])
    assert decode(frame).vlans == (20,)
