"""The wide road: the columns agree with a frame-by-frame reference, which is scapy's reading of the same octets."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from wire_building import LINKS, ROUTER_MAC, ah, decode, ethernet, ipv4, ipv6, packed, sll2, v2, v6

from observer.model.addresses import words_text
from observer.wire.frames import FrameDecoder
from observer.wire.links import LinkType
from observer.wire.tcp import select

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def tcp(flags=SYN, payload=b"", ports=(443, 5000), sequence=7, acknowledgement=8, window=9, options=b""):
    words = 5 + len(options) // 4
    return struct.pack("!HHIIBBHI", *ports, sequence, acknowledgement, words << 4, flags, window, 0) + options + payload


def tcp4(flags=SYN, payload=b"", source="10.0.0.1", destination="10.0.0.100", **header):
    return ipv4(tcp(flags, payload), source=source, destination=destination, protocol=6, **header)


def tcp6(flags=SYN, payload=b"", **header):
    return ipv6(tcp(flags, payload), source="2001:db8::1", destination="2001:db8::2", protocol=6, **header)


def choose(frames, linktype=LinkType.ETHERNET, data_segments=False, gap=b"\xff" * 5, times=None):
    """All frames in one buffer, with octets between them that belong to none."""
    buffer, offsets = b"", []
    for frame in frames:
        buffer += gap
        offsets.append(len(buffer))
        buffer += frame
    return select(
        node="a",
        interface="eth0",
        linktype=linktype,
        data=np.frombuffer(buffer, np.uint8),
        offsets=np.array(offsets, np.int64),
        lengths=np.array([len(frame) for frame in frames], np.int64),
        times=np.array(range(len(frames)) if times is None else times, np.int64),
        data_segments=data_segments,
    )


def rows(segments):
    """Each segment as a tuple of plain values."""
    return [] if segments is None else list(
        zip(
            segments.times.tolist(),
            [words_text(*words) for words in segments.sources.tolist()],
            [words_text(*words) for words in segments.destinations.tolist()],
            segments.source_ports.tolist(),
            segments.destination_ports.tolist(),
            segments.flags.tolist(),
            segments.sequence.tolist(),
            segments.acknowledgement.tolist(),
            segments.windows.tolist(),
            segments.payloads.tolist(),
            strict=True,
        )
    )  # fmt: skip


def by_scapy(networks, data_segments):
    """The reference: one packet after the other."""
    result = []
    for time, network in enumerate(networks):
        layer = (IP if network[0] >> 4 == 4 else IPv6)(network)
        if TCP not in layer or (IP in layer and layer[IP].frag):
            continue
        segment = layer[TCP]
        inside = layer.len - layer.ihl * 4 if IP in layer else layer.plen - (len(layer.payload) - len(layer[TCP]))
        payload = inside - segment.dataofs * 4
        if int(segment.flags) & 7 or (data_segments and payload > 0):
            result.append(
                (
                    time,
                    layer.src,
                    layer.dst,
                    segment.sport,
                    segment.dport,
                    int(segment.flags),
                    segment.seq,
                    segment.ack,
                    segment.window,
                    payload,
                )
            )
    return result


# Mapped addresses stand for IPv4 in the columns, and are not on the wire (RFC 6890 2.2.3).
addresses6 = st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None)


@st.composite
def segments(draw):
    flags = draw(st.integers(0, 255))
    ports = draw(st.tuples(*[st.integers(0, 65535)] * 2))
    sequence, acknowledgement = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))
    options = b"\1" * 4 * draw(st.integers(0, 10))
    payload = draw(st.binary(max_size=12))
    body = tcp(flags, payload, ports, sequence, acknowledgement, draw(st.integers(0, 65535)), options)
    if draw(st.booleans()):
        source, destination = (str(draw(addresses6)) for _ in range(2))
        if draw(st.booleans()):
            # Destination options with padding (RFC 8200 4.2).
            return ipv6(bytes([6, 0, 1, 4]) + bytes(4) + body, source, destination, protocol=60)
        return ipv6(body, source, destination, protocol=6)
    source, destination = (str(draw(st.ip_addresses(v=4))) for _ in range(2))
    options = b"\1" * 4 * draw(st.integers(0, 2))
    fragment = draw(st.sampled_from([0, 0, 0, 0x4000, 5]))
    return ipv4(body, source, destination, ttl=64, protocol=6, options=options, fragment=fragment)


others = st.sampled_from([ipv4(v2()), ipv6(v6()), ipv4(b"\0" * 30, protocol=17), ipv6(b"\x80" + bytes(7), protocol=58)])
mixtures = st.lists(st.one_of(segments(), segments(), others), max_size=12)


@settings(deadline=None)
@given(networks=mixtures, name=st.sampled_from(sorted(set(LINKS) - {"twelve tags"})), data_segments=st.booleans())
def test_columns_agree_with_scapy_over_every_link_layer(networks, name, data_segments):
    linktype, link = LINKS[name]
    selection = choose([link(network) for network in networks], linktype, data_segments)
    assert rows(selection.segments) == by_scapy(networks, data_segments)
    assert selection.truncated == 0


@settings(deadline=None)
@given(networks=mixtures, padding=st.binary(max_size=40), data_segments=st.booleans())
def test_padding_does_not_matter(networks, padding, data_segments):
    bare = choose([ethernet(network) for network in networks], data_segments=data_segments)
    padded = choose([ethernet(network) + padding for network in networks], data_segments=data_segments)
    assert rows(bare.segments) == rows(padded.segments)
    assert bare.rare.tolist() == padded.rare.tolist()


@settings(deadline=None)
@given(networks=mixtures, cuts=st.lists(st.integers(0, 90), min_size=12, max_size=12))
def test_octets_behind_a_frames_end_are_never_read(networks, cuts):
    frames = [ethernet(network)[:cut] for network, cut in zip(networks, cuts, strict=False)]
    for data_segments in (True, False):
        one, other = (choose(frames, data_segments=data_segments, gap=gap * 40) for gap in (b"\0", b"\xff"))
        assert rows(one.segments) == rows(other.segments)
        assert (one.rare.tolist(), one.truncated) == (other.rare.tolist(), other.truncated)


@pytest.mark.parametrize("flags", range(32))
def test_which_flags_are_wanted(flags):
    assert bool(choose([ethernet(tcp4(flags))]).segments) == bool(flags & (SYN | FIN | RST))
    assert bool(choose([ethernet(tcp4(flags, b"data"))], data_segments=True).segments)
    assert bool(choose([ethernet(tcp4(flags))], data_segments=True).segments) == bool(flags & (SYN | FIN | RST))


def test_segments_are_in_order_of_time():
    chosen = choose([ethernet(tcp4(sequence)) for sequence in (SYN, RST, FIN)], times=[30, 10, 20])
    assert chosen.segments.times.tolist() == [10, 20, 30]
    assert chosen.segments.flags.tolist() == [RST, FIN, SYN]


def test_link_layer_sources():
    assert choose([ethernet(tcp4())]).segments.macs.tolist() == [int.from_bytes(ROUTER_MAC)]
    assert choose([sll2(tcp4())], LinkType.LINUX_SLL2).segments.macs.tolist() == [int.from_bytes(ROUTER_MAC)]
    assert choose([sll2(tcp4(), mac=b"")], LinkType.LINUX_SLL2).segments.macs.tolist() == [0]
    assert choose([tcp4()], LinkType.RAW).segments.macs.tolist() == [0]


def test_frames_cut_before_the_flags_are_counted():
    frame = ethernet(tcp4(RST))
    for length in range(len(frame) + 1):
        chosen = choose([frame[:length]])
        assert chosen.truncated == (34 <= length < 48)
        assert (chosen.segments is not None) == (length >= 48)


def test_payload_is_from_the_ip_header_and_not_from_the_capture():
    frame = ethernet(tcp4(ACK, bytes(1000)))[:60]
    assert choose([frame], data_segments=True).segments.payloads.tolist() == [1000]


def test_segments_longer_than_64_kib_have_length_0():
    assert choose([ethernet(tcp4(ACK, bytes(10), total=0))], data_segments=True).segments.payloads.tolist() == [10]


@pytest.mark.parametrize("network", [tcp4(fragment=1), tcp4(total=39), tcp4(total=30)])
def test_no_tcp_header_in_the_packet(network):
    chosen = choose([ethernet(network)])
    assert (chosen.segments, chosen.truncated) == (None, 0)


@pytest.mark.parametrize("words", [0, 4, 6, 15])
def test_a_data_offset_that_cannot_be(words):
    network = tcp4(SYN)
    assert choose([ethernet(network[:32] + bytes([words << 4]) + network[33:])]).segments is None


def test_more_extension_headers_than_the_columns_walk_go_the_rare_road():
    options = bytes([60, 0, 1, 4]) + bytes(4)
    last = bytes([112, 0, 1, 4]) + bytes(4)
    frame = ethernet(ipv6(options * 20 + last + v6(), protocol=60))
    assert choose([frame]).rare.tolist() == [0]
    assert decode(frame).vrid == 44


def test_an_empty_batch():
    chosen = choose([])
    assert (chosen.rare.tolist(), chosen.segments, chosen.truncated) == ([], None, 0)


def test_positions_outside_the_buffer_are_not_frames():
    frame = np.frombuffer(ethernet(tcp4()), np.uint8)
    for offset, length, found in ((0, 10**9, 1), (-1, 60, 0), (10**9, 60, 0), (0, -5, 0)):
        chosen = select(
            node="a", interface=None, linktype=1, data=frame, offsets=np.array([offset]), lengths=np.array([length]),
            times=np.array([0]), data_segments=False,
        )  # fmt: skip
        assert (len(chosen.segments) if chosen.segments else 0) == found


def neighbour(kind):
    return ipv6(bytes([kind, 0]) + bytes(6) + packed("fe80::1"), protocol=58)


@pytest.mark.parametrize(
    ("frame", "rare"),
    [
        (ethernet(ipv4(v2())), True),
        (ethernet(ipv4(v2(), fragment=8)), True),
        (ethernet(ipv4(ah(v2()), protocol=51)), True),
        (ethernet(ipv6(v6())), True),
        (ethernet(ipv6(bytes([112, 0]) + bytes(6) + v6(), protocol=0)), True),
        (ethernet(ipv6(bytes([112, 0, 0, 8]) + bytes(4) + v6(), protocol=44)), True),
        (ethernet(bytes(28), ethertype=0x0806), True),
        (ethernet(neighbour(135)), True),
        (ethernet(neighbour(136)), True),
        (ethernet(neighbour(134)), False),
        (ethernet(tcp4(SYN)), False),
        (ethernet(tcp6(SYN)), False),
        (ethernet(bytes(40), ethertype=0x88CC), False),
    ],
)
def test_which_frames_go_the_rare_road(frame, rare):
    assert choose([frame]).rare.tolist() == ([0] if rare else [])


octets = st.one_of(
    st.binary(max_size=120),
    st.builds(
        lambda network, tags, at, octet: _changed(ethernet(network, vlans=[(0x8100, 1)] * tags), at, octet),
        st.one_of(segments(), others, st.sampled_from([ipv4(ah(v2()), protocol=51), neighbour(135), neighbour(136)])),
        st.integers(0, 11),
        st.integers(0, 200),
        st.one_of(st.sampled_from([0, 6, 43, 44, 51, 58, 60, 112]), st.integers(0, 255)),
    ),
)


def _changed(frame, at, octet):
    at %= len(frame)
    return frame[:at] + bytes([octet]) + frame[at + 1 :]


@settings(max_examples=400, deadline=None)
@given(frames=st.lists(octets, max_size=6), linktype=st.sampled_from([1, 101, 113, 276, 0, 108, 228, 229]))
def test_whatever_the_decoder_has_something_to_say_about_is_rare(frames, linktype):
    rare = set(choose(frames, linktype).rare.tolist())
    decoder = FrameDecoder()
    for index, frame in enumerate(frames):
        seen = decoder.decode(time=0, node="a", interface=None, linktype=linktype, frame=frame)
        assert seen is None or index in rare
