"""The short way and the long way find the same segments in the same frames."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from test_wire_tcp import tcp as segment
from test_wire_tcp import tcp4, tcp6
from wire_building import ethernet, ipv4, v2

from observer.model.segments import TcpSegments
from observer.wire import tcp
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
