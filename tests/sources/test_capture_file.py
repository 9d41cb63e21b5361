"""A capture as observations: everything in it once, in order within the hold-back, and a census of what was in it."""

from __future__ import annotations

import random
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from wire.wire_building import ethernet, ipv4, sll, v2

import observer.sources.capture_file as module
from observer.model.errors import SourceError
from observer.model.observations import Advert, Malformed, SourceChange, SourceState
from observer.model.segments import TcpSegments
from observer.model.time import SECOND
from observer.sources.capture_file import observe_capture
from observer.sources.census import Census
from observer.sources.merge import merged
from observer.wire.frames import FrameDecoder

START = 1_795_000_000


def vrrp(priority=100, ident=7):
    return ethernet(ipv4(v2(priority=priority), ident=ident))


def syn(port, source="198.51.100.7"):
    return ethernet(ipv4(struct.pack("!HHIIBBHHH", port, 6443, 1, 0, 0x50, 2, 64240, 0, 0), source=source, protocol=6))


def pcap(frames, linktype=1):
    """``frames``: (nanoseconds since the start, octets)."""
    records = [
        struct.pack("<IIII", START + time // SECOND, time % SECOND, len(octets), len(octets)) + octets for time, octets in frames
    ]
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, linktype) + b"".join(records)


def block(kind, body):
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def pcapng(interfaces, frames):
    """``interfaces``: link types; ``frames``: (interface, microseconds since the start, octets)."""
    octets = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for linktype in interfaces:
        octets += block(1, struct.pack("<HHI", linktype, 0, 0))
    for interface, time, frame in frames:
        ticks = START * 1_000_000 + time
        head = struct.pack("<IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        octets += block(6, head + frame + bytes(-len(frame) % 4))
    return octets


def replay(tmp_path, octets):
    path = tmp_path / "given"
    path.write_bytes(octets)
    census = Census(str(path), "m1")
    return census, list(merged([observe_capture(census, FrameDecoder())]))


def kinds(observations):
    return Counter(type(item).__name__ for item in observations)


def test_everything_is_observed_once(tmp_path):
    frames = [(number * SECOND, vrrp(ident=number)) for number in range(5)]
    frames += [(number * SECOND // 10 + 5, syn(40000 + number)) for number in range(30)]
    frames.append((SECOND // 3, ethernet(ipv4(v2()[:-1]))))
    census, seen = replay(tmp_path, pcap(sorted(frames)))
    assert kinds(seen) == {"Advert": 5, "Malformed": 1, "SourceChange": 2, "TcpSegments": kinds(seen)["TcpSegments"]}
    assert sum(len(item) for item in seen if isinstance(item, TcpSegments)) == 30
    assert (census.frames, census.adverts, census.malformed, census.segments) == (36, 5, 1, 30)
    assert {item.node for item in seen} == {"m1"}
    assert [item.time for item in seen] == sorted(item.time for item in seen)


def test_the_source_listens_from_the_first_frame_to_the_last(tmp_path):
    frames = [(SECOND, vrrp(ident=1)), (3 * SECOND, vrrp(ident=2))]
    _, seen = replay(tmp_path, pcap(frames))
    changes = {item.state: item.time for item in seen if isinstance(item, SourceChange)}
    assert changes == {SourceState.STARTED: (START + 1) * SECOND, SourceState.STOPPED: (START + 3) * SECOND}


def test_the_last_frame_is_the_latest_and_not_the_one_that_ends_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 1)
    census, _ = replay(tmp_path, pcap([(SECOND, vrrp(ident=1)), (SECOND // 10, vrrp(ident=2))]))
    assert census.end == (START + 1) * SECOND


def test_frames_out_of_order_are_put_in_order(tmp_path):
    """As several queues of a network card give them."""
    dice = random.Random(3)
    frames = [(number * SECOND // 50 + dice.randrange(SECOND // 10), vrrp(ident=number)) for number in range(100)]
    _, seen = replay(tmp_path, pcap(frames))
    times = [item.time for item in seen if isinstance(item, Advert)]
    assert times == sorted(START * SECOND + time for time, _ in frames)


@how(max_examples=25, deadline=None)
@given(st.integers(1, 40))
def test_how_many_frames_are_taken_at_once_does_not_matter(tmp_path_factory, size):
    frames = sorted((number * SECOND // 7, vrrp(ident=number) if number % 3 else syn(number)) for number in range(60))
    folder = tmp_path_factory.mktemp("sliced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLICE", size)
        _, sliced = replay(folder, pcap(frames))
    _, whole = replay(folder, pcap(frames))

    def rows(observations):
        for item in observations:
            if isinstance(item, TcpSegments):
                yield from zip(item.times.tolist(), item.source_ports.tolist(), strict=True)
            elif isinstance(item, Advert):
                yield item.time, -item.ident

    assert list(rows(sliced)) == list(rows(whole))


def test_a_link_type_that_is_not_understood_leaves_the_others(tmp_path):
    octets = pcapng([127, 113], [(0, 0, bytes(40)), (1, 10, sll(ipv4(v2()))), (0, 20, bytes(40))])
    census, seen = replay(tmp_path, octets)
    assert kinds(seen) == {"Advert": 1, "SourceChange": 2}
    assert (census.unsupported, census.frames) == ({127}, 3)


def test_nothing_but_link_types_that_are_not_understood(tmp_path):
    with pytest.raises(SourceError, match=r"link type 127, 147 is not supported; capture on"):
        replay(tmp_path, pcapng([127, 147], [(1, 0, bytes(40)), (0, 10, bytes(40))]))


def test_frames_without_a_time_are_left_out_and_counted(tmp_path):
    frame = vrrp()
    simple = block(3, struct.pack("<I", len(frame)) + frame + bytes(-len(frame) % 4))
    census, seen = replay(tmp_path, pcapng([1], [(0, 0, frame)]) + simple)
    assert (census.untimed, census.adverts) == (1, 1)
    assert kinds(seen)["Advert"] == 1


def test_frames_without_a_time_are_counted_whatever_they_are(tmp_path):
    def simple(frame):
        return block(3, struct.pack("<I", len(frame)) + frame + bytes(-len(frame) % 4))

    census, _ = replay(tmp_path, pcapng([1], []) + simple(vrrp()) + simple(syn(40000)) * 20)
    assert census.untimed == 21


def test_only_frames_without_a_time(tmp_path):
    frame = vrrp()
    simple = block(3, struct.pack("<I", len(frame)) + frame + bytes(-len(frame) % 4))
    census, seen = replay(tmp_path, pcapng([1], []) + simple)
    assert (census.untimed, seen) == (1, [])
    assert "no frames" in census.sentence()


def test_a_capture_cut_short_says_where(tmp_path):
    octets = pcap([(0, vrrp()), (SECOND, vrrp(ident=8))])
    census, seen = replay(tmp_path, octets[:-5])
    assert kinds(seen)["Advert"] == 1
    assert "stops at byte" in census.broken
    assert "what came before was used" in census.broken


@pytest.mark.parametrize("snap", [0, 13, 14, 20, 33, 34, 40, 45])
def test_frames_captured_too_short_never_stop_a_replay(tmp_path, snap):
    records = b""
    for number, frame in enumerate((vrrp(), syn(1), vrrp())):
        records += struct.pack("<IIII", START + number, 0, len(frame[:snap]), len(frame)) + frame[:snap]
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap or 1, 1)
    _, seen = replay(tmp_path, head + records)
    assert all(isinstance(item, (SourceChange, Malformed, TcpSegments)) for item in seen)


def test_two_nodes_share_one_decoder(tmp_path):
    """So that equal authentication data has one number in all captures."""
    decoder, paths = FrameDecoder(), []
    for name, word in (("a", b"first\0\0\0"), ("b", b"second\0\0"), ("c", b"first\0\0\0")):
        path = tmp_path / name
        path.write_bytes(pcap([(0, ethernet(ipv4(v2(auth_type=1, auth=word))))]))
        paths.append(path)
    censuses = [Census(str(path), path.name) for path in paths]
    seen = list(merged([observe_capture(census, decoder) for census in censuses]))
    groups = {item.node: item.authentication_group for item in seen if isinstance(item, Advert)}
    assert groups["a"] == groups["c"] != groups["b"]
    assert "first" not in repr(seen)


@pytest.mark.parametrize(
    ("steps", "back", "leap"),
    [((1, 1, 1), 0, 1), ((1, -3, 1), 3, 1), ((1, 7200, 1), 0, 7200), ((7200, -7000, -100), 7100, 7200)],
)
def test_steps_of_the_clock_are_noted(tmp_path, steps, back, leap):
    times = [10_000, *(10_000 + sum(steps[: number + 1]) for number in range(len(steps)))]
    census, seen = replay(tmp_path, pcap([(time * SECOND, vrrp(ident=number + 1)) for number, time in enumerate(times)]))
    assert (census.back, census.leap) == (back * SECOND, leap * SECOND)
    assert kinds(seen)["Advert"] == len(times)


def test_an_address_that_only_another_capture_names(tmp_path):
    """Of two captures one may show the adverts and the other the traffic."""
    advert, data = tmp_path / "adverts", tmp_path / "data"
    advert.write_bytes(pcap([(0, ethernet(ipv4(v2(addresses=["10.0.0.100"]))))]))
    header = struct.pack("!HHIIBBHHH", 6443, 40000, 1, 1, 0x50, 0x18, 64240, 0, 0)
    segment = ethernet(ipv4(header + b"data", source="10.0.0.100", protocol=6))
    segment = segment[:6] + b"\2\0\0\0\0\x77" + segment[12:]
    # The last frames of a buffer are looked at closely in any case.
    data.write_bytes(pcap([(0, segment), (SECOND, segment), (2 * SECOND, ethernet(ipv4(bytes(100), protocol=17)))]))
    known = module.Known()
    for _ in observe_capture(Census(str(advert), "m1"), FrameDecoder(), known, data=False):
        pass
    for what, found in ((known, 2), (module.Known(), 0)):
        batches = list(observe_capture(Census(str(data), "m2"), FrameDecoder(), what))
        assert sum(len(item) for batch in batches for item in batch if isinstance(item, TcpSegments)) == found


def test_the_first_look_sees_openings_and_no_data(tmp_path):
    """IPv6 adverts have no number: nodes' clocks are compared by the connections that begin."""
    header = struct.pack("!HHIIBBHHH", 6443, 40000, 1, 1, 0x50, 0x18, 64240, 0, 0)
    segment = ethernet(ipv4(header + b"data", source="10.0.0.100", protocol=6))
    frames = [(0, ethernet(ipv4(v2(addresses=["10.0.0.100"]))))]
    frames += [(SECOND, segment), (2 * SECOND, syn(40000)), (3 * SECOND, segment), (4 * SECOND, segment)]
    path = tmp_path / "given"
    path.write_bytes(pcap([*frames, (5 * SECOND, ethernet(ipv4(bytes(100), protocol=17)))]))
    for data, found in ((True, {0x18, 0x02}), (False, {0x02})):
        batches = observe_capture(Census(str(path), "m1"), FrameDecoder(), data=data)
        segments = [item for batch in batches for item in batch if isinstance(item, TcpSegments)]
        assert {flags for each in segments for flags in each.flags.tolist()} == found
