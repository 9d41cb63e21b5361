"""VRRP: what a correct advert says, and which rung of the ladder each incorrect one fails."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRP, VRRPv3
from wire_building import (
    LINKS,
    SECRET,
    ah,
    decode,
    ethernet,
    ipv4,
    ipv6,
    packed,
    pseudo,
    v2,
    v3,
    v3_blank,
    v3_message_only,
    v6,
    with_checksum,
)

from observer.model.observations import Advert, Authentication, ChecksumForm, Family, Malformed
from observer.wire import vrrp
from observer.wire.errors import DecodeError, Reason
from observer.wire.links import LinkType

CARP = bytes([0x21, 42, 100, 7, 0, 1, 0, 0]) + bytes(28)
SEVEN = tuple(f"10.0.0.{n}" for n in range(1, 8))


def test_every_field_of_version_2():
    assert decode(ethernet(ipv4(v2(addresses=("10.4.42.1", "10.4.42.2"), interval=10)))) == Advert(
        time=1,
        node="a",
        interface="eth0",
        router="10.0.0.5",
        destination="224.0.0.18",
        mac="02:00:00:00:00:0a",
        family=Family.IPV4,
        version=2,
        vrid=42,
        priority=100,
        interval=10_000_000_000,
        addresses=("10.4.42.1", "10.4.42.2"),
        authentication=Authentication.NONE,
        authentication_group=0,
        checksum=ChecksumForm.MESSAGE,
        ttl=255,
        ident=7,
        outgoing=None,
    )


def test_every_field_of_version_3_over_ipv6():
    advert = decode(ethernet(ipv6(v6(vrid=45, priority=255, centiseconds=4095))), outgoing=True)
    assert (advert.router, advert.destination, advert.family) == ("fe80::5", "ff02::12", Family.IPV6)
    assert (advert.version, advert.vrid, advert.priority, advert.interval) == (3, 45, 255, 40_950_000_000)
    assert advert.addresses == ("fe80::100", "2001:db8::100")
    assert (advert.checksum, advert.ttl, advert.ident, advert.outgoing) == ("pseudo_header", 255, None, True)


@pytest.mark.parametrize("name", LINKS)
def test_the_link_layer_changes_nothing(name):
    linktype, link = LINKS[name]
    for network in (ipv4(v2()), ipv6(v6())):
        plain = decode(network, LinkType.RAW)
        linked = decode(link(network), linktype)
        assert isinstance(linked, Advert)
        assert (linked.router, linked.vrid, linked.addresses) == (plain.router, plain.vrid, plain.addresses)


@pytest.mark.parametrize(
    ("reason", "network"),
    {
        "carp": ("carp", ipv4(CARP)),
        "carp over IPv6": ("carp", ipv6(CARP)),
        "carp before its TTL": ("carp", ipv4(CARP, ttl=1)),
        "ttl": ("ttl", ipv4(v2(), ttl=254)),
        "hop limit": ("ttl", ipv6(v6(), hop_limit=64)),
        "version 1": ("version", ipv4(v2(first=0x11))),
        "version 4": ("version", ipv4(v2(first=0x41))),
        "version 2 over IPv6": ("version", ipv6(v6(first=0x21))),
        "type 2": ("type", ipv4(v2(first=0x22))),
        "type 0": ("type", ipv4(v3(first=0x30))),
        "vrid 0": ("vrid_zero", ipv4(v2(vrid=0))),
        "count 0 in version 3": ("count_zero", ipv4(v3(addresses=()))),
        "count 5 and one address": ("length", ipv4(v2(count=5))),
        "count 0 and one address": ("length", ipv4(v3(count=0))),
        "an octet too many": ("length", ipv4(v2() + b"\0")),
        "an octet too few": ("length", ipv4(v2()[:-1])),
        "version 2 without authentication data": ("length", ipv4(v2(auth=b""))),
        "version 3 with it": ("length", ipv4(v3_message_only() + bytes(8))),
        "27 octets of trailer": ("length", ipv4(v3() + bytes(27))),
        "only four octets": ("length", ipv4(v2()[:4])),
        "no payload": ("length", ipv4(b"")),
        "checksum": ("checksum", ipv4(v2()[:6] + b"\x12\x34" + v2()[8:])),
        "checksum in IPv6 without pseudo-header": ("checksum", ipv6(v3_message_only(addresses=("fe80::1",)))),
        "authentication type 3": ("authentication_type", ipv4(v2(auth_type=3))),
        "interval 0 in version 2": ("interval_zero", ipv4(v2(interval=0))),
        "interval 0 in version 3": ("interval_zero", ipv4(v3(centiseconds=0, reserved=15))),
        "first fragment": ("fragment", ipv4(v2(), fragment=0x2000)),
        "later fragment": ("fragment", ipv4(v2(), fragment=3)),
        "total length below the header": ("ip_header", ipv4(v2(), total=19)),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_each_rung(reason, network):
    expected, octets = network
    got = decode(octets, LinkType.IPV4 if octets[0] >> 4 == 4 else LinkType.IPV6)
    assert isinstance(got, Malformed), reason
    assert got.reason == expected


def test_every_reason_is_explained_and_a_label():
    for reason in Reason:
        assert reason.meaning
        assert reason.value.replace("_", "").isalpha()
        assert str(DecodeError(reason)).count("\n") == 0
    assert {reason for reason, _ in vrrp.LADDER} == set(Reason) - {Reason.IP_HEADER}


def test_a_malformed_frame_names_its_sender_where_that_is_known():
    named = decode(ethernet(ipv4(v2(vrid=9), ttl=1)))
    assert (named.router, named.vrid) == ("10.0.0.5", 9)
    assert decode(ethernet(ipv4(CARP))).vrid is None


@pytest.mark.parametrize("priority", [0, 1, 100, 254, 255])
def test_every_priority_is_valid(priority):
    assert decode(ethernet(ipv4(v2(priority=priority)))).priority == priority


class TestNearCarp:
    def test_version_2_with_seven_addresses_has_44_octets(self):
        message = v2(addresses=SEVEN)
        assert len(message) == 44
        assert decode(ethernet(ipv4(message))).addresses == SEVEN

    def test_version_2_with_five_addresses_has_36_octets(self):
        message = v2(addresses=SEVEN[:5])
        assert len(message) == 36
        assert decode(ethernet(ipv4(message))).addresses == SEVEN[:5]

    def test_version_3_with_seven_addresses_has_36_octets(self):
        message = v3(addresses=SEVEN)
        assert len(message) == 36
        assert decode(ethernet(ipv4(message))).addresses == SEVEN


class TestChecksumForms:
    """Version 3 over IPv4 is sent with either; the pseudo-header is RFC 5798's, its absence RFC 9568's."""

    def test_pseudo_header(self):
        assert decode(ethernet(ipv4(v3()))).checksum == ChecksumForm.PSEUDO_HEADER

    def test_message(self):
        assert decode(ethernet(ipv4(v3_message_only()))).checksum == ChecksumForm.MESSAGE

    def test_old_keepalived_in_unicast(self):
        message = v3(destination="10.0.0.9", covered="224.0.0.18")
        advert = decode(ethernet(ipv4(message, destination="10.0.0.9")))
        assert advert.checksum == ChecksumForm.PSEUDO_HEADER_MULTICAST
        assert advert.unicast

    def test_unicast(self):
        message = v3(destination="10.0.0.9")
        assert decode(ethernet(ipv4(message, destination="10.0.0.9"))).checksum == ChecksumForm.PSEUDO_HEADER

    def test_version_2_has_no_pseudo_header(self):
        message = with_checksum(v2(), pseudo("10.0.0.5", "224.0.0.18", len(v2())))
        assert decode(ethernet(ipv4(message))).reason == "checksum"

    def test_reserved_bits_are_ignored(self):
        assert decode(ethernet(ipv4(v3(reserved=15, centiseconds=300)))).interval == 3_000_000_000


class TestUnicast:
    def test_keepalived_does_not_check_its_ttl(self):
        advert = decode(ethernet(ipv4(v2(), destination="10.0.0.9", ttl=63)))
        assert (advert.ttl, advert.unicast) == (63, True)

    def test_nor_its_hop_limit(self):
        assert decode(ethernet(ipv6(v6(destination="fd00::9"), destination="fd00::9", hop_limit=7))).ttl == 7


class TestAuthentication:
    def test_equal_passwords_are_one_group(self):
        decoder = vrrp.AuthenticationGroups()
        simple = Authentication.SIMPLE
        assert [decoder.ordinal(simple, data) for data in (b"a", b"b", b"a", b"c", b"b")] == [1, 2, 1, 3, 2]

    def test_groups_are_bounded(self):
        groups = vrrp.AuthenticationGroups(limit=4)
        ordinals = [groups.ordinal(Authentication.SIMPLE, bytes([n])) for n in range(9)]
        assert ordinals == [1, 2, 3, 4, 5, 5, 5, 5, 5]
        assert groups.ordinal(Authentication.SIMPLE, b"\2") == 3

    def test_simple_text(self):
        advert = decode(ethernet(ipv4(v2(auth_type=1, auth=SECRET))))
        assert (advert.authentication, advert.authentication_group) == (Authentication.SIMPLE, 1)

    def test_unused_authentication_data_is_ignored(self):
        advert = decode(ethernet(ipv4(v2(auth=SECRET))))
        assert (advert.authentication, advert.authentication_group) == (Authentication.NONE, 0)

    def test_authentication_header(self):
        advert = decode(ethernet(ipv4(ah(v2(auth_type=2)), protocol=51)))
        assert (advert.authentication, advert.vrid) == (Authentication.AH, 42)

    def test_type_2_without_authentication_header(self):
        assert decode(ethernet(ipv4(v2(auth_type=2)))).authentication == Authentication.OTHER

    @pytest.mark.parametrize("digest", [b"", b"\x5a" * 16])
    def test_cisco_md5(self, digest):
        assert decode(ethernet(ipv4(v2(auth_type=254) + digest))).authentication == Authentication.MD5

    @pytest.mark.parametrize("network", [ipv4(v2() + b"\1\7" + bytes(26)), ipv4(v3() + b"\1\7" + bytes(26))])
    def test_hmac_trailer_of_keepalived(self, network):
        advert = decode(ethernet(network))
        assert (advert.authentication, advert.authentication_group) == (Authentication.HMAC, 1)
        assert len(advert.addresses) == 1

    def test_hmac_trailer_under_the_kernels_checksum(self):
        message = v3_blank(addresses=("fe80::1",)) + b"\1\7" + b"\x5a" * 26
        message = with_checksum(message, pseudo("fe80::5", "ff02::12", len(message)))
        advert = decode(ethernet(ipv6(message)))
        assert (advert.authentication, advert.checksum) == (Authentication.HMAC, ChecksumForm.PSEUDO_HEADER)

    def test_no_password_is_in_anything_that_can_be_printed(self):
        groups = vrrp.AuthenticationGroups()
        groups.ordinal(Authentication.SIMPLE, SECRET)
        good = ethernet(ipv4(v2(auth_type=1, auth=SECRET)))
        bad = ethernet(ipv4(v2(auth_type=3, auth=SECRET)))
        cut = ethernet(ipv4(v2(auth_type=1, auth=SECRET) + b"\0"))
        printed = repr(groups) + "".join(repr(decode(frame)) for frame in (good, bad, cut))
        for secret in (SECRET.decode(), SECRET.hex(), repr(SECRET)):
            assert secret not in printed


class TestSnapLength:
    """What a capture cut off is not known; what it kept is."""

    frame = ethernet(ipv4(v2(addresses=("10.4.42.1", "10.4.42.2"), auth_type=1, auth=SECRET)))

    def cut(self, octets):
        return decode(self.frame[:octets], original_length=len(self.frame))

    def test_without_all_authentication_data(self):
        for lost in range(1, 9):
            advert = self.cut(len(self.frame) - lost)
            assert advert.checksum == ChecksumForm.UNVERIFIED
            assert advert.addresses == ("10.4.42.1", "10.4.42.2")
            assert advert.authentication_group == 0

    def test_lost_octets_are_not_taken_for_zeros(self):
        frame = ethernet(ipv4(v2()))
        assert decode(frame[:-8], original_length=len(frame)).checksum == ChecksumForm.UNVERIFIED

    def test_without_all_addresses(self):
        for lost in range(9, 25):
            assert self.cut(len(self.frame) - lost).reason == "truncated"

    def test_without_the_header_of_ip(self):
        assert self.cut(14 + 19).reason == "truncated"
        assert self.cut(14 + 9) is None

    def test_a_frame_shorter_than_its_ip_packet_was_not_cut_by_the_capture(self):
        assert decode(self.frame[:-3], original_length=len(self.frame) - 3).reason == "ip_header"

    def test_an_unknown_length_on_the_wire_is_taken_for_cut(self):
        assert decode(self.frame[:-3]).checksum == ChecksumForm.UNVERIFIED


addresses4 = st.ip_addresses(v=4).map(str)
addresses6 = st.ip_addresses(v=6).map(str)


@given(
    vrid=st.integers(1, 255),
    priority=st.integers(0, 255),
    interval=st.integers(1, 255),
    addresses=st.lists(addresses4, max_size=20),
    source=addresses4,
    padding=st.binary(max_size=20),
)
def test_scapy_builds_version_2(vrid, priority, interval, addresses, source, padding):
    layer = VRRP(vrid=vrid, priority=priority, adv=interval, addrlist=addresses, auth1=0, auth2=0)
    frame = bytes(
        Ether(src="02:00:00:00:00:0a", dst="01:00:5e:00:00:12")
        / IP(src=source, dst="224.0.0.18", ttl=255, proto=112, id=9)
        / layer
    )
    advert = decode(frame + padding)
    assert (advert.version, advert.vrid, advert.priority) == (2, vrid, priority)
    assert (advert.interval, advert.addresses) == (interval * 10**9, tuple(addresses))
    assert (advert.router, advert.ident, advert.checksum) == (source, 9, ChecksumForm.MESSAGE)


@given(
    vrid=st.integers(1, 255),
    priority=st.integers(0, 255),
    interval=st.integers(1, 4095),
    addresses=st.lists(addresses4, min_size=1, max_size=20),
    source=addresses4,
    padding=st.binary(max_size=20),
)
def test_scapy_builds_version_3(vrid, priority, interval, addresses, source, padding):
    layer = VRRPv3(vrid=vrid, priority=priority, adv=interval, addrlist=addresses)
    frame = bytes(
        Ether(src="02:00:00:00:00:0a", dst="01:00:5e:00:00:12") / IP(src=source, dst="224.0.0.18", ttl=255, proto=112) / layer
    )
    advert = decode(frame + padding)
    assert (advert.version, advert.vrid, advert.priority) == (3, vrid, priority)
    assert (advert.interval, advert.addresses) == (interval * 10**7, tuple(addresses))
    assert advert.checksum == ChecksumForm.PSEUDO_HEADER


@given(addresses=st.lists(addresses6, min_size=1, max_size=5), source=addresses6)
def test_scapy_builds_version_3_over_ipv6(addresses, source):
    # scapy's VRRPv3 knows the IPv6 pseudo-header but not IPv6 addresses in its list: its header, our list.
    blank = bytes([0x31, 9, 100, len(addresses)]) + struct.pack("!HH", 100, 0) + b"".join(map(packed, addresses))
    message = with_checksum(blank, pseudo(source, "ff02::12", len(blank)))
    frame = (
        bytes(Ether(src="02:00:00:00:00:0a", dst="01:00:5e:00:00:12") / IPv6(src=source, dst="ff02::12", hlim=255, nh=112))
        + message
    )
    frame = frame[: 14 + 4] + struct.pack("!H", len(message)) + frame[14 + 6 :]
    advert = decode(frame)
    assert (advert.router, advert.addresses) == (source, tuple(addresses))


@given(flip=st.integers(0, 8 * 16 - 1))
def test_one_flipped_bit_is_never_a_different_advert(flip):
    message = bytearray(v3())[:12]
    before = decode(ethernet(ipv4(bytes(message))))
    message[flip // 8 % len(message)] ^= 1 << flip % 8
    after = decode(ethernet(ipv4(bytes(message))))
    assert isinstance(before, Advert)
    assert isinstance(after, Malformed)
