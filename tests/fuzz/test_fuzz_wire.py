"""Hostile octets: nothing leaves the frame decoder but observations, nothing leaves its parts but DecodeError."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vrrp import VRRP, VRRPv3

from observer.model.observations import Advert, Malformed, Neighbour
from observer.wire import ip, links, vrrp
from observer.wire.errors import DecodeError, Reason
from observer.wire.frames import FrameDecoder

SECRET = b"s3cr3t!!"
ETHER = Ether(src="02:00:00:00:00:0a", dst="01:00:5e:00:00:12")
GROUP = IP(src="10.0.0.5", dst="224.0.0.18", ttl=255, proto=112)
WORDS = {"auth1": int.from_bytes(SECRET[:4]), "auth2": int.from_bytes(SECRET[4:])}
MESSAGE = VRRP(vrid=42, addrlist=["10.4.42.1", "10.4.42.2"], authtype=1, **WORDS)
SEEDS = [
    bytes(frame)
    for frame in (
        ETHER / GROUP / MESSAGE,
        ETHER / Dot1Q(vlan=5) / GROUP / MESSAGE,
        ETHER / GROUP / VRRPv3(vrid=44, addrlist=["10.4.44.1"]),
        ETHER / IP(src="10.0.0.5", dst="224.0.0.18", ttl=255, proto=51) / AH(nh=112, payloadlen=4, icv=bytes(12)) / MESSAGE,
        ETHER / IPv6(src="fe80::5", dst="ff02::12", hlim=255, nh=112) / (bytes.fromhex("312a6401006400 00") + bytes(16)),
        ETHER / ARP(op=2, hwsrc="02:00:00:00:00:0a", psrc="10.4.42.1", pdst="10.4.42.1"),
        ETHER / IPv6(src="fe80::5", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt="fe80::9")
        / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:0a"),
    )
]  # fmt: skip
LINKTYPES = st.sampled_from([*links.LinkType, 107, 65535])


@st.composite
def mutated(draw):
    frame = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        # Headers are where the interesting octets are.
        frame[draw(st.integers(12, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))] if draw(st.booleans()) else frame)


frames = st.one_of(st.binary(max_size=200), mutated())


@settings(max_examples=1500, deadline=None)
@given(frame=frames, linktype=LINKTYPES, original=st.one_of(st.none(), st.integers(0, 300)))
def test_the_frame_decoder_never_raises(frame, linktype, original):
    seen = FrameDecoder().decode(time=1, node="a", interface=None, linktype=linktype, frame=frame, original_length=original)
    assert seen is None or isinstance(seen, Advert | Malformed | Neighbour)
    if isinstance(seen, Malformed):
        assert seen.reason in set(Reason)
    if isinstance(seen, Advert):
        assert 1 <= seen.vrid <= 255
        assert seen.interval > 0
        assert seen.unicast or seen.ttl == 255
    assert SECRET.decode() not in repr(seen)


@settings(max_examples=1000, deadline=None)
@given(frame=frames, linktype=st.sampled_from(links.LinkType))
def test_only_decode_errors_leave_the_parts(frame, linktype):
    with contextlib.suppress(DecodeError):
        link = links.link_layer(linktype, frame)
        assert 0 <= link.offset <= len(frame)
        packet = ip.packet(link.ethertype, frame, link.offset)
        if packet is not None:
            assert packet.length >= 0
            vrrp.decode(packet, packet.payload(frame), vrrp.AuthenticationGroups())


@settings(max_examples=300, deadline=None)
@given(frame=mutated())
def test_no_error_speaks_of_authentication_data(frame):
    try:
        packet = ip.packet(links.ETHERTYPE_IPV4, frame, 14)
        vrrp.decode(packet, packet.payload(frame), vrrp.AuthenticationGroups())
    except DecodeError as error:
        for text in (str(error), repr(error)):
            assert SECRET.decode() not in text
            assert SECRET.hex() not in text
            assert "\n" not in text


@settings(max_examples=300, deadline=None)
@given(seed=st.sampled_from(SEEDS), padding=st.binary(max_size=64))
def test_padding_does_not_matter(seed, padding):
    one, other = (
        FrameDecoder().decode(time=1, node="a", interface=None, linktype=1, frame=frame) for frame in (seed, seed + padding)
    )
    assert one is not None
    assert one == other
