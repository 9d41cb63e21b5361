"""The short ways and the long way find the same segments in the same frames."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from test_wire_tcp import tcp as segment
from test_wire_tcp import tcp4, tcp6
from wire_building import ethernet, ipv4, ipv6, v2

from observer.model.segments import TcpSegments
from observer.wire import few, tcp
from observer.wire.links import LinkType


def select(way, frames, times, data_segments, linktype=LinkType.ETHERNET):
    lengths = np.array([len(frame) for frame in frames], dtype=np.int64)
    return way(
        node="m0",
        interface="eth0",
        linktype=linktype,
        data=np.frombuffer(b"".join(frames), dtype=np.uint8),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        times=np.array(times, dtype=np.int64),
        data_segments=data_segments,
    )


def told(selection):
    """Everything that a selection says."""
    columns = {}
    if selection.segments is not None:
        names = [field.name for field in fields(TcpSegments)]
        columns = {name: np.asarray(getattr(selection.segments, name)) for name in names}
    return {
        "rare": selection.rare.tolist(),
        "chosen": selection.chosen.tolist(),
        "truncated": selection.truncated,
        **{name: (str(column.dtype), column.tolist()) for name, column in columns.items()},
    }


SEGMENT = st.builds(
    segment,
    st.integers(0, 63),
    st.binary(max_size=20),
    ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    options=st.sampled_from([b"", b"", bytes(4), bytes(12)]),
)
SOUND = SEGMENT.map(lambda octets: ethernet(ipv4(octets, protocol=6)))


@st.composite
def nearly(draw):
    """A usual frame with an octet or two of its headers changed, or with an end that comes too soon or too late."""
    frame = bytearray(draw(SOUND))
    for at in draw(st.lists(st.sampled_from([12, 13, 14, 16, 17, 20, 21, 23, 46, 47, *range(54)]), max_size=2)):
        frame[at] = draw(st.sampled_from([0, 0x45, 0x46, 0x50, 0xF0, 6, 0x20, 0x40, 255]))
    return bytes(frame[: draw(st.sampled_from([len(frame), len(frame), 53, 54, 48, 20]))]) + bytes(
        draw(st.sampled_from([0, 0, 6]))
    )


OTHER = st.sampled_from([ethernet(tcp6()), ethernet(ipv4(v2())), ethernet(tcp4(), vlans=[(0x8100, 7)]), b"\1" * 60])
FRAMES = st.lists(st.tuples(st.one_of(SOUND, nearly(), nearly(), OTHER), st.integers(0, 9)), min_size=1, max_size=12)


@how(max_examples=600, deadline=None)
@given(FRAMES, st.booleans(), st.booleans())
def test_both_ways_say_the_same(frames, ordered, data_segments):
    octets, times = [frame for frame, _ in frames], [time for _, time in frames]
    times = sorted(times) if ordered else times
    assert told(select(tcp.select, octets, times, data_segments)) == told(select(tcp._select, octets, times, data_segments))


@pytest.mark.parametrize("linktype", [LinkType.RAW, LinkType.LINUX_SLL, LinkType.NULL])
def test_frames_of_other_link_layers_are_not_taken_for_ethernet(linktype):
    frame = ethernet(tcp4())
    assert told(select(tcp.select, [frame], [1], False, linktype)) == told(select(tcp._select, [frame], [1], False, linktype))


V6 = SEGMENT.map(lambda octets: ethernet(ipv6(octets, protocol=6)))


@st.composite
def nearly_v6(draw):
    """The same in IPv6."""
    frame = bytearray(draw(V6))
    for at in draw(st.lists(st.sampled_from([12, 13, 14, 18, 19, 20, 66, 67, *range(74)]), max_size=2)):
        frame[at] = draw(st.sampled_from([0, 0x45, 0x60, 0x50, 0xF0, 6, 44, 20, 255]))
    return bytes(frame[: draw(st.sampled_from([len(frame), len(frame), 73, 74, 68, 20, 3]))])


ANY = st.one_of(SOUND, V6, nearly(), nearly_v6(), OTHER)


def one_by_one(frames, times, linktype=LinkType.ETHERNET):
    """The segments found frame by frame: None for frames of other shapes, or for no segment."""
    data, begins = b"".join(frames), np.cumsum([0, *map(len, frames)]).tolist()
    placed = [(time, at, len(frame)) for time, at, frame in zip(times, begins, frames, strict=False)]
    found = few.segments(linktype, memoryview(data), placed)
    return found and few.columns("m0", "eth0", found)


@how(max_examples=600, deadline=None)
@given(st.lists(st.tuples(ANY, st.integers(0, 9)), min_size=1, max_size=4))
def test_frame_by_frame_the_segments_are_the_same(frames):
    octets, times = [frame for frame, _ in frames], [time for _, time in frames]
    segments = one_by_one(octets, times)
    if segments is not None and not isinstance(segments, list):
        expected = told(select(tcp._select, octets, times, False))
        assert told(tcp.Selection(np.array([], int), segments, 0, np.array(expected["chosen"]))) == expected
    elif segments is not None:
        assert select(tcp._select, octets, times, False).segments is None


def changed(frame, **octets):
    """A frame with the octet at ``at_16`` and so on set."""
    frame = bytearray(frame)
    for place, value in octets.items():
        frame[int(place.removeprefix("at_"))] = value
    return bytes(frame)


@pytest.mark.parametrize(
    ("frame", "payloads"),
    [
        (ethernet(tcp4(payload=b"abc")), [3]),
        (ethernet(tcp6(payload=b"abc")), [3]),
        (changed(ethernet(tcp4(payload=b"abc")), at_16=0, at_17=0), [3]),
        (changed(ethernet(tcp6(payload=b"abc")), at_18=0, at_19=0), [3]),
        (changed(ethernet(tcp4(payload=bytes(8))), at_46=0xF0), None),
        (changed(ethernet(tcp6(payload=bytes(8))), at_66=0xF0), None),
        (changed(ethernet(tcp4(payload=bytes(8))), at_46=0x40), None),
        (changed(ethernet(tcp6(payload=bytes(8))), at_66=0x40), None),
        (changed(ethernet(tcp4()), at_14=0x55), None),
        (changed(ethernet(tcp6()), at_14=0x50), None),
    ],
    ids=[
        *("IPv4", "IPv6", "longer than IPv4 tells", "longer than IPv6 tells", "no room, IPv4", "no room, IPv6"),
        *("too short a header, IPv4", "too short a header, IPv6", "version 5 as IPv4", "version 5 as IPv6"),
    ],
)
def test_frame_by_frame_and_in_columns_what_headers_claim(frame, payloads):
    columns = select(tcp._select, [frame], [1], False).segments
    assert (columns and columns.payloads.tolist()) == payloads
    segments = one_by_one([frame], [1])
    assert (segments.payloads.tolist() if segments else None) == payloads


@pytest.mark.parametrize("frame", [ethernet(tcp4()), ethernet(tcp6())], ids=["IPv4", "IPv6"])
def test_frame_by_frame_the_usual_shapes_are_read(frame):
    """Else everything would go the long way, and nobody would see it."""
    segments = one_by_one([frame, frame], [2, 1])
    assert segments.times.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("frame", "linktype"),
    [
        (ethernet(tcp4(), vlans=[(0x8100, 7)]), LinkType.ETHERNET),
        (ethernet(ipv4(v2())), LinkType.ETHERNET),
        (ethernet(tcp4()), LinkType.LINUX_SLL),
        (tcp4(), LinkType.RAW),
    ],
    ids=["a tag", "no TCP", "another link layer", "no link layer"],
)
def test_frame_by_frame_other_shapes_are_left_to_the_columns(frame, linktype):
    assert one_by_one([ethernet(tcp4()), frame], [1, 2], linktype) is None
