"""The wide road's ring: blocks decoded for any octets, and in namespaces of our own what the kernel really puts into them."""

from __future__ import annotations

import os
import queue
import struct
import threading
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from lab import flood
from lab.veth import INTERFACE, Veth, inside
from wire.wire_building import ethernet, ipv4, ipv6, v2

import observer.sources.capture as capture_module
import observer.sources.ring as ring_module
from observer.model.observations import Advert, FramesLost, Neighbour, SourceChange, SourceState
from observer.model.segments import Tcp, TcpSegments
from observer.sources.capture import Capture
from observer.sources.packet_socket import Frame
from observer.sources.ring_blocks import FEW, KEPT, read_block, read_few

SIZE = 1 << 14
NOW = 1_700_000_000

# Blocks, without a kernel


@dataclass(frozen=True)
class Put:
    """A frame as the kernel would put it into a block."""

    octets: bytes
    second: int = NOW
    nano: int = 5
    length: int | None = None
    status: int = 1
    ifindex: int = 3
    hardware: int = 1
    kind: int = 0

    @property
    def step(self):
        return (82 + len(self.octets) + 7) & ~7


def block(frames, size=SIZE, stale=0):
    """As prb_fill_curr_block and prb_close_block leave it; behind what is used lie the octets of the round before."""
    octets = bytearray(bytes([stale]) * size)
    at, last = 48, 48
    for frame in frames:
        assert at + frame.step <= size
        length = len(frame.octets) if frame.length is None else frame.length
        head = (frame.step, frame.second, frame.nano, len(frame.octets), length, frame.status, 82, 96)
        struct.pack_into("=6I2H", octets, at, *head)
        struct.pack_into("=HHiHBB", octets, at + 48, 17, 8, frame.ifindex, frame.hardware, frame.kind, 6)
        octets[at + 82 : at + 82 + len(frame.octets)] = frame.octets
        last, at = at, at + frame.step
    if frames:
        struct.pack_into("=I", octets, last, 0)
    seconds = [frame.second for frame in frames] or [NOW]
    struct.pack_into("=6IQ4I", octets, 0, 1, 48, 1, len(frames), 48, at, 1, min(seconds), 0, max(seconds), 0)
    return np.frombuffer(bytes(octets), dtype=np.uint8)


def seen(read):
    return [
        (bytes(read.octets[at : at + length]), original, time_, index, hardware, outgoing, tagged)
        for at, length, original, time_, index, hardware, outgoing, tagged in zip(
            *(getattr(read, name).tolist() for name in ("offsets", "lengths", "original_lengths", "times")),
            *(getattr(read, name).tolist() for name in ("interfaces", "hardware", "outgoing", "tagged")),
            strict=True,
        )
    ]


def expected(frames):
    return [
        (
            frame.octets[:KEPT],
            len(frame.octets) if frame.length is None else frame.length,
            frame.second * 10**9 + frame.nano,
            frame.ifindex,
            frame.hardware,
            frame.kind == 4,
            bool(frame.status & 16),
        )
        for frame in frames
    ]


FRAME = st.builds(
    Put,
    octets=st.one_of(
        st.binary(min_size=1, max_size=200),
        # Frames that hold what looks like the beginning of a header, at any place.
        st.integers(0, 40).map(lambda zeros: bytes(zeros) + struct.pack("=4I", 144, NOW, 5, 54) * 4),
    ),
    second=st.sampled_from([NOW, NOW, NOW + 1]),
    nano=st.integers(0, 999_999_999),
    length=st.none() | st.integers(0, 70000),
    status=st.sampled_from([1, 17]),
    ifindex=st.integers(1, 2**31 - 1),
    hardware=st.sampled_from([1, 772, 65534]),
    kind=st.integers(0, 4),
)
UNIFORM = st.tuples(FRAME, st.integers(1, 3 * FEW)).map(lambda pair: [pair[0]] * pair[1])
FRAMES = st.one_of(st.lists(FRAME, max_size=FEW), st.lists(FRAME, min_size=FEW + 1, max_size=FEW + 8), UNIFORM)


@how(max_examples=150, deadline=None)
@given(
    st.one_of(st.lists(FRAME, max_size=FEW), st.lists(FRAME, min_size=FEW + 1, max_size=FEW + 8), UNIFORM), st.integers(0, 255)
)
def test_every_frame_of_a_block_is_read(frames, stale):
    size = max(SIZE, (48 + sum(frame.step for frame in frames) + 4095) & ~4095)
    read = read_block(block(frames, size, stale))
    assert seen(read) == expected(frames)
    assert seen(read.copied()) == expected(frames)


def placed(read):
    """The frames of a block as ``read_few`` has them."""
    columns = (read.offsets, read.lengths, read.times, read.interfaces, read.hardware, read.tagged)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@how(max_examples=150, deadline=None)
@given(FRAMES, st.integers(0, 255))
def test_a_few_frames_are_read_one_by_one_as_well(frames, stale):
    size = max(SIZE, (48 + sum(frame.step for frame in frames) + 4095) & ~4095)
    octets = block(frames, size, stale)
    assert read_few(octets) == (placed(read_block(octets)) if len(frames) <= FEW else None)


def test_frames_up_to_the_very_end_of_a_block():
    """The copy of a frame is longer than what is left of the block."""
    for octets in (54, 128, 130):
        frame = Put(os.urandom(octets))
        frames = [frame] * ((SIZE - 48) // frame.step)
        size = 48 + len(frames) * frame.step
        assert seen(read_block(block(frames, size)).copied()) == expected(frames)


def test_what_the_round_before_left_is_no_frame():
    before = [Put(os.urandom(40 + number % 3 * 8), nano=number) for number in range(100)]
    octets = block(before).copy()
    after = [Put(os.urandom(48 + number % 2 * 8), nano=number) for number in range(FEW + 10)]
    used = 48 + sum(frame.step for frame in after)
    octets[:used] = block(after)[:used]
    assert seen(read_block(octets)) == expected(after)


def test_a_clock_that_was_set_back_hides_no_frame_behind_what_looks_like_one():
    """As many places look like headers as there are headers, and one of them is none."""
    frames = [Put(bytes(50 + number % 3 * 8), nano=number) for number in range(FEW + 10)]
    frames[5] = Put(bytes(22) + struct.pack("=4I", 144, NOW, 5, 54) + bytes(20), nano=5)
    frames[9] = Put(bytes(60), second=NOW - 3600)
    octets = block(frames).copy()
    octets.view(np.uint32)[[8, 10]] = NOW
    assert seen(read_block(octets)) == expected(frames)


SOUND = [Put(bytes(range(40 + number % 5)), nano=number) for number in range(FEW + 30)]


@how(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 2**32 - 1)), min_size=1, max_size=12),
    st.sampled_from([SOUND, SOUND[:3], [SOUND[0]] * 60]),
)
def test_no_block_leads_outside_of_it(changes, frames):
    """Whatever its words say: no exception, no endless chain, no octet of another block."""
    octets = block(frames).copy()
    words = octets.view(np.uint32)
    for at, value in changes:
        # Near the beginning, where all headers are.
        words[at % (at % 200 + 4) if at % 2 else at] = value
    read = read_block(octets)
    assert read_few(octets) in (None, placed(read))
    assert len(read) <= SIZE // 64
    assert (read.offsets >= 0).all()
    assert (read.offsets + read.lengths <= SIZE).all()
    copied = read.copied()
    assert len(copied.octets) == KEPT * len(read)
    assert (copied.offsets + copied.lengths <= len(copied.octets)).all()


@pytest.mark.parametrize("count", [0, 1, FEW + 1, 2**32 - 1])
@pytest.mark.parametrize("first", [0, 7, 48, SIZE - 8, SIZE, 2**32 - 8])
@pytest.mark.parametrize("used", [0, 48, SIZE, 2**32 - 1])
def test_a_descriptor_that_lies(count, first, used):
    octets = block(SOUND).copy()
    octets.view(np.uint32)[3:6] = count, first, used
    assert len(read_block(octets)) <= len(SOUND)
    assert len(read_few(octets) or []) <= len(SOUND)


@pytest.mark.parametrize("count", [FEW, FEW + 28], ids=["few", "many"])
@pytest.mark.parametrize("usual", [True, False], ids=["usual", "one with a tag of its own"])
def test_a_block_is_split_by_interface_and_tagged_frames_are_another_interfaces(monkeypatch, count, usual):
    names = {3: "eth0", 4: "eth1", 5: "veth9"}
    monkeypatch.setattr(capture_module.socket, "if_indextoname", names.__getitem__)
    frames = [
        Put(flood.tcp(number, Tcp.RST), nano=number, ifindex=3 + number % 3, status=17 if number % 5 == 0 else 1)
        for number in range(count)
    ]
    if not usual:
        octets = frames[3].octets
        frames[3] = replace(frames[3], octets=octets[:12] + b"\x81\x00\x00\x07" + octets[12:])
    if usual and count <= FEW:
        # The short way, or nothing would be saved.
        monkeypatch.setattr(capture_module, "read_block", None)
    got = []
    capture = Capture("m0", got.append, lambda name: name != "veth9")
    capture._block(block(frames))
    assert [(batch.interface, batch.source_ports[0]) for batch in got] == [("eth0", 6443), ("eth1", 6443)]
    for batch, rest in zip(got, (0, 1), strict=True):
        wanted = [number for number in range(count) if number % 3 == rest and number % 5]
        assert (batch.destination_ports - 20000).tolist() == wanted
        assert batch.times.tolist() == [NOW * 10**9 + number for number in wanted]


def test_a_frame_that_looks_usual_and_is_no_segment_costs_the_road_nothing():
    got = []
    frame = bytearray(flood.tcp(1, Tcp.RST))
    frame[46] = 0x40
    Capture("m0", got.append, lambda _: True)._block(block([Put(bytes(frame))]))
    assert got == []


@pytest.mark.parametrize(("length", "reason"), [(40, "ip_header"), (54, "truncated")], ids=["as sent", "cut by the capture"])
def test_a_short_advert_is_cut_only_if_it_was_longer_on_the_wire(length, reason):
    got = []
    frame = ethernet(ipv4(v2()))[:40]
    Capture("m0", got.append, lambda _: True)._rare(Frame(frame, NOW, "eth0", 1, outgoing=False, length=length))
    assert [malformed.reason for malformed in got] == [reason]


# The kernel's blocks

VIP, VIP6, OTHER = flood.VIP, "2001:db8::100", "192.0.2.77"


class Wire(Veth):
    """With captures in the node that watches."""

    def __init__(self):
        super().__init__()
        self._captures = []

    def capture(self, deliver, *, follow=(VIP, VIP6), **more):
        with inside(self.here):
            capture = Capture("m0", deliver, lambda name: name == INTERFACE, **more)
            capture.start()
        self._captures.append(capture)
        capture.follow(follow)
        return capture

    def close(self):
        for capture in self._captures:
            capture.stop()
        super().close()


@pytest.fixture
def wire():
    with Wire() as made:
        yield made


class Got(queue.Queue):
    """What a capture delivers."""

    def __init__(self):
        super().__init__()
        self.deliver = self.put

    def until(self, done, seconds=20):
        """Observations up to the first with which they are enough."""
        found, end = [], time.monotonic() + seconds
        # Asked only when nothing waits, so that many observations do not take ever longer.
        while not (self.empty() and done(found)):
            try:
                found.append(self.get(timeout=max(0.0, end - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"only {found}") from None
        return found


def segments(found):
    return sum(len(item) for item in found if isinstance(item, TcpSegments))


def lost(found, source="segments"):
    return sum(item.count for item in found if isinstance(item, FramesLost) and item.source == source)


def started(found):
    return {item.source: item.detail for item in found if isinstance(item, SourceChange) and item.state is SourceState.STARTED}


def rows(found):
    """Every segment with all that is known of it."""
    return sorted(
        row
        for batch in found
        if isinstance(batch, TcpSegments)
        for row in zip(
            batch.destination_ports.tolist(),
            [batch.interface] * len(batch),
            *(map(tuple, column.tolist()) for column in (batch.sources, batch.destinations)),
            *(
                getattr(batch, name).tolist()
                for name in ("times", "source_ports", "flags", "sequence", "acknowledgement", "windows", "payloads", "macs")
            ),
            strict=True,
        )
    )


def tcp(port, flags, payload=b""):
    return struct.pack("!HHIIBBHHH", 6443, port, 7000 + port, 9, 0x50, flags, 500, 0, 0) + payload


def four(port, flags, payload=b"", source=VIP):
    return ethernet(ipv4(tcp(port, flags, payload), source=source, destination="198.51.100.1", protocol=6))


MIXED = {
    # port: (frame, outgoing, seen)
    1: (four(1, Tcp.RST), False, True),
    2: (four(2, Tcp.SYN | Tcp.ACK), True, True),
    3: (four(3, Tcp.FIN | Tcp.ACK, bytes(1000)), False, True),
    4: (four(4, Tcp.ACK, bytes(100)), False, False),
    5: (four(5, Tcp.RST, source=OTHER), False, False),
    6: (ethernet(ipv6(tcp(6, Tcp.RST), source=VIP6, destination="2001:db8::9", protocol=6)), False, True),
    7: (ethernet(ipv6(tcp(7, Tcp.SYN), source="2001:db8::9", destination=VIP6, protocol=6)), True, True),
    8: (ethernet(ipv4(tcp(8, Tcp.RST), source=VIP, destination="198.51.100.1", protocol=6), vlans=[(0x8100, 5)]), False, False),
    9: (ethernet(ipv4(tcp(9, Tcp.RST), source=VIP, destination="198.51.100.1", protocol=6, options=bytes(8))), False, True),
    10: (ethernet(ipv4(tcp(10, Tcp.RST), source=VIP, destination="198.51.100.1", protocol=6, fragment=64)), False, False),
}


@pytest.mark.lab
def test_the_ring_and_the_plain_socket_see_the_same(wire, monkeypatch):
    ring, plain = Got(), Got()
    wire.capture(ring.deliver)
    monkeypatch.setattr(capture_module, "Ring", _refused)
    wire.capture(plain.deliver)
    for frame, outgoing, _ in MIXED.values():
        wire.sender(frame, out=outgoing).send()
    wanted = [port for port, (_, _, visible) in MIXED.items() if visible]
    one, other = (rows(got.until(lambda found: segments(found) >= len(wanted))) for got in (ring, plain))
    assert [row[0] for row in one] == wanted
    assert one == other
    assert next(row for row in one if row[0] == 3)[-2] == 1000


def _refused(_):
    raise OSError("Operation not permitted")


@pytest.mark.lab
def test_without_a_ring_it_says_so_and_goes_on(wire, monkeypatch):
    """The kernel itself refuses: blocks are pages."""
    monkeypatch.setattr(ring_module, "BLOCK", ring_module.BLOCK + 1)
    got = Got()
    wire.capture(got.deliver)
    details = started(got.until(lambda found: len(started(found)) == 3))
    assert (details["adverts"], details["neighbours"]) == ("", "")
    assert details["segments"].startswith("no ring from this kernel (")
    wire.sender(MIXED[1][0], MIXED[6][0]).send()
    assert [row[0] for row in rows(got.until(lambda found: segments(found) == 2))] == [1, 6]


@pytest.mark.lab
def test_the_filter_follows_the_addresses_and_loses_nothing_on_the_way(wire):
    got = Got()
    capture = wire.capture(got.deliver, follow=())
    sender, other = wire.sender(four(1, Tcp.RST)), wire.sender(four(2, Tcp.RST, source=OTHER))
    sender.send()
    capture.follow([OTHER])
    sender.send()
    sent = 0
    for number in range(200):
        other.send()
        sent += 1
        capture.follow([OTHER, f"192.0.2.{number + 1}"] if number % 2 else [OTHER])
    capture.follow([VIP])
    other.send()
    sender.send()
    found = rows(got.until(lambda found: any((batch.destination_ports == 1).any() for batch in batches(found))))
    assert [row[0] for row in found] == [1] + [2] * sent


def batches(found):
    return [item for item in found if isinstance(item, TcpSegments)]


@pytest.mark.lab
def test_what_finds_no_room_in_the_ring_is_counted_exactly(wire):
    """The reader stands still until more came than the ring holds."""
    got, first, go = Got(), [], threading.Event()

    def deliver(observation):
        if isinstance(observation, TcpSegments) and not first:
            first.append(observation)
            go.wait(30)
        got.put(observation)

    wire.capture(deliver)
    sender = wire.sender(*(flood.tcp(client, 4) for client in range(flood.BATCH)))
    room = ring_module.BLOCK * ring_module.BLOCKS // 136
    sent = 0
    while sent < 3 * room:
        sent += sender.send()
    go.set()
    found = got.until(lambda found: segments(found) + lost(found) >= sent)
    assert segments(found) + lost(found) == sent
    assert sent - room <= lost(found) + room // 4 < sent


@pytest.mark.lab
def test_a_flood_of_arp_costs_no_advert_and_its_own_losses_are_counted(wire):
    got = Got()
    wire.capture(got.deliver)
    sender = wire.sender(*map(flood.arp, range(flood.BATCH)))
    advert = wire.sender(ethernet(ipv4(v2())))
    asked = 0
    for _ in range(60):
        asked += sum(sender.send() for _ in range(4))
        assert advert.send() == 1

    def done(found):
        kinds = [type(item) for item in found]
        return kinds.count(Advert) == 60 and kinds.count(Neighbour) + lost(found, "neighbours") >= asked

    found = got.until(done)
    assert sum(isinstance(item, Neighbour) for item in found) + lost(found, "neighbours") == asked
    assert lost(found, "neighbours") > 0
    assert lost(found, "adverts") == 0


@pytest.mark.lab
@pytest.mark.parametrize("ring", [True, False], ids=["ring", "plain"])
def test_frames_are_kept_where_asked_for_and_rare_ones_handed_on_as_they_came(wire, monkeypatch, ring):
    if not ring:
        monkeypatch.setattr(capture_module, "Ring", _refused)
    got, rare = Got(), queue.Queue()
    wire.capture(got.deliver, keep_frames=True, frame_seen=lambda *frame: rare.put(frame))
    advert = ethernet(ipv4(v2()))
    wire.sender(advert, MIXED[3][0]).send()
    wire.sender(MIXED[2][0], out=True).send()
    found = {}
    for batch in batches(got.until(lambda found: segments(found) == 2)):
        frames = batch.frames
        for row, port in enumerate(batch.destination_ports.tolist()):
            at, length = int(frames.offsets[row]), int(frames.lengths[row])
            octets = bytes(frames.octets[at : at + length])
            found[port] = octets, int(frames.original_lengths[row]), bool(frames.outgoing[row]), frames.linktype
    assert found == {
        2: (MIXED[2][0], len(MIXED[2][0]), True, 1),
        3: (MIXED[3][0][:KEPT], len(MIXED[3][0]), False, 1),
    }
    moment, *frame = rare.get(timeout=10)
    assert frame == ["eth0", 1, advert, False, len(advert)]
    assert abs(moment - time.time_ns()) < 60 * 10**9
