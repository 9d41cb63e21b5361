"""Sifting leaves out only what says nothing, and thinning changes no sum: compared with a closer look at every frame."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire.test_wire_tcp import _changed, choose, others, segments, tcp4, tcp6
from wire_building import LINKS, ROUTER_MAC, ethernet, ipv4, sll, sll2, v2

from observer.model.addresses import address_words
from observer.model.segments import Tcp
from observer.model.time import MILLISECOND
from observer.wire import sift as module
from observer.wire.links import LinkType
from observer.wire.sift import Interest, sift, thin
from observer.wire.tcp import plain, select

VIP, ROUTER, OTHER = "10.0.0.100", "10.0.0.1", "10.0.0.9"
SIX = "2001:db8::1"
INTEREST = Interest(
    frozenset({address_words(VIP), address_words(SIX)}),
    frozenset({address_words(ROUTER)}),
    frozenset({int.from_bytes(b"\2\0\0\0\0\7")}),
)
CONTROL = int(Tcp.SYN | Tcp.FIN | Tcp.RST)


def buffered(frames, gap=40):
    data, offsets = bytes(gap), []
    for frame in frames:
        offsets.append(len(data))
        data += frame + b"\xff" * gap
    lengths = np.array([len(frame) for frame in frames], np.int64)
    return np.frombuffer(data + bytes(gap), np.uint8), np.array(offsets, np.int64), lengths


def sifted(frames, linktype, times, interest=INTEREST):
    """Rare frames, cut ones, and segments with their weights, as a replay gets them."""
    data, offsets, lengths = buffered(frames)
    found = sift(linktype, data, offsets, lengths, interest)
    selection = select(
        node="a", interface=None, linktype=linktype, data=data, offsets=offsets[found.careful], lengths=lengths[found.careful],
        times=times[found.careful], data_segments=True,
    )  # fmt: skip
    thinned = thin(found, lambda rows: times[rows])
    rows = np.concatenate((found.control, found.data[thinned.chosen]))
    shapes = np.concatenate((found.control_shapes, found.data_shapes[thinned.chosen]))
    weights = np.concatenate((np.ones(len(found.control), np.uint32), thinned.weights))
    parts = [] if selection.segments is None else [selection.segments]
    if len(rows):
        parts.append(
            plain(
                node="a", interface=None, linktype=linktype, data=data, offsets=offsets[rows], times=times[rows],
                shapes=shapes, weights=weights,
            )
        )  # fmt: skip
    return found.careful[selection.rare].tolist(), selection.truncated, parts


def closely(frames, linktype, times):
    selection = choose(frames, linktype, data_segments=True, times=times)
    return selection.rare.tolist(), selection.truncated, [] if selection.segments is None else [selection.segments]


def lines(parts, *, control):
    """Each segment as a tuple of plain values, in an order that does not depend on how they were found."""
    found = []
    for part in parts:
        columns = (
            part.times, part.source_ports, part.destination_ports, part.flags, part.sequence, part.acknowledgement,
            part.windows, part.payloads, part.macs,
        )  # fmt: skip
        weights = np.ones(len(part)) if part.weights is None else part.weights
        ends = zip(part.sources.tolist(), part.destinations.tolist(), weights.tolist(), strict=True)
        for (source, target, weight), values in zip(ends, zip(*(c.tolist() for c in columns), strict=True), strict=True):
            if bool(values[3] & CONTROL) == control:
                found.append((values, tuple(source), tuple(target), int(weight)))
    return sorted(found)


def sums(parts):
    """What the engine makes of data segments: by everything that matters to it, how many, the first and the last."""
    result = defaultdict(list)
    for values, source, target, weight in lines(parts, control=False):
        time, port, peer, *_, mac = values
        served, between = source in INTEREST.virtual, bool({source, target} & INTEREST.routers)
        if not (served or between or mac in INTEREST.macs):
            continue
        spans = time // (100 * MILLISECOND), time // (250 * MILLISECOND)
        kind = mac, served and (source, port, port < peer), between and not served and (source, target)
        result[spans, kind].append((time, weight))
    return {key: (sum(w for _, w in found), min(found)[0], max(found)[0]) for key, found in result.items()}


def near(frame):
    """The same from a router's own MAC."""
    return frame[:6] + b"\2\0\0\0\0\7" + frame[12:]


addresses = st.sampled_from([VIP, ROUTER, OTHER])
ours = st.builds(
    lambda flags, size, source, target: tcp4(flags, bytes(size), source=source, destination=target),
    st.sampled_from([0x10, 0x18, 0x18, 0x18, 2, 0x12, 0x11, 4]),
    st.sampled_from([0, 1, 40]),
    addresses,
    addresses,
)
leave = ipv4(bytes((0x17, 0, 0, 0, 224, 0, 0, 18)), protocol=2)
networks = st.lists(st.one_of(ours, ours, segments(), others, st.sampled_from([tcp6(0x18, b"data"), leave])), max_size=14)
stamps = st.lists(st.integers(0, 400 * MILLISECOND), min_size=14, max_size=14)


@settings(max_examples=300, deadline=None)
@given(networks, st.sampled_from(sorted(set(LINKS) - {"twelve tags"})), stamps, st.booleans(), st.integers(1, 20))
def test_nothing_is_lost_on_any_link_layer(packets, name, when, sort, at_once):
    linktype, link = LINKS[name]
    frames = [link(network) for network in packets]
    times = np.array((sorted(when) if sort else when)[: len(frames)], np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", at_once)
        quick = sifted(frames, linktype, times)
    close = closely(frames, linktype, times)
    assert quick[:2] == close[:2]
    assert lines(quick[2], control=True) == lines(close[2], control=True)
    assert sums(quick[2]) == sums(close[2])


octets = st.builds(
    lambda network, tags, at, octet, cut: _changed(ethernet(network, vlans=[(0x8100, 1)] * tags), at, octet)[:cut],
    st.one_of(ours, segments(), others),
    st.integers(0, 3),
    st.integers(0, 80),
    st.integers(0, 255),
    st.integers(1, 120),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(octets, max_size=10), st.sampled_from([1, 101, 113, 276, 0, 108, 228, 229]))
def test_nothing_is_lost_of_broken_frames(frames, linktype):
    times = np.arange(len(frames)) * 30 * MILLISECOND
    quick, close = sifted(frames, linktype, times), closely(frames, linktype, times)
    assert quick[:2] == close[:2]
    assert lines(quick[2], control=True) == lines(close[2], control=True)
    assert sums(quick[2]) == sums(close[2])


@pytest.mark.parametrize("protocol", [0, 2, 43, 44, 60], ids=lambda number: f"protocol {number}")
def test_protocols_of_the_other_family_are_looked_at_as_elsewhere(protocol):
    """They say nothing there, but both ways must agree on what is rare."""
    six, four = bytes((0x60, 0, 0, 0, 0, 8, protocol, 1)) + bytes(40), ipv4(bytes(12), protocol=protocol)
    times = np.array([0, 1])
    assert sifted([six, four], LinkType.RAW, times)[:2] == closely([six, four], LinkType.RAW, times)[:2]


def test_a_data_segment_of_nobody_is_left_out():
    frame = ethernet(tcp4(0x18, b"data", source=OTHER, destination=VIP))
    assert sifted([frame], 1, np.array([0]))[2] == []
    assert len(sums(sifted([near(frame)], 1, np.array([0]))[2])) == 1


def test_many_segments_of_a_kind_become_two():
    frames = [ethernet(tcp4(0x18, b"data", source=VIP, destination=OTHER))] * 1000
    _, _, (found,) = sifted(frames, 1, np.arange(1000) * 10**5 // 2)
    assert (found.times.tolist(), found.weights.tolist()) == ([0, 999 * 10**5 // 2], [999, 1])


@pytest.mark.parametrize(("link", "linktype"), [(ethernet, 1), (sll, 113), (sll2, 276), (lambda network: network, 101)])
def test_quiet_traffic_needs_no_closer_look(link, linktype):
    """Else all of this would be right, and slow."""
    quiet = [link(tcp4(0x10)), link(tcp6(0x10)), link(tcp4(2)), link(tcp6(4)), link(ipv4(bytes(30), protocol=17))]
    data, offsets, lengths = buffered([*quiet, link(ipv4(v2()))], gap=80)
    assert sift(linktype, data, offsets, lengths, INTEREST).careful.tolist() == [5]
    assert sift(linktype, data, offsets, lengths, INTEREST).control.tolist() == [2, 3]


def test_the_link_layers_own_source_is_read_alike():
    for link, linktype in ((ethernet, LinkType.ETHERNET), (sll2, LinkType.LINUX_SLL2)):
        _, _, (found,) = sifted([link(tcp4(2))], linktype, np.array([0]))
        assert found.macs.tolist() == [int.from_bytes(ROUTER_MAC)]
