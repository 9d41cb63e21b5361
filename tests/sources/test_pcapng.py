"""pcapng files: sections, interfaces and their clocks, every packet block, losses, directions; and what is broken in them."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.model.errors import SourceError
from observer.sources.pcap import NO_TIME, FrameBatch, LostFrames, Truncated, read_capture
from observer.sources.pcap_interfaces import Clock

CAPTURES = Path(__file__).resolve().parents[2].parent / "shared" / "captures"
T = 1_700_000_000_000_000
"""A time in microseconds, the default of pcapng."""


def padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)


@dataclass
class Writer:
    """Blocks of one section in one byte order."""

    order: str = "<"
    written: bytearray = field(default_factory=bytearray)

    def pack(self, form: str, *values: int) -> bytes:
        return struct.pack(self.order + form, *values)

    def block(self, kind: int, body: bytes) -> Writer:
        length = self.pack("I", 12 + len(padded(body)))
        self.written += self.pack("I", kind) + length + padded(body) + length
        return self

    def options(self, *pairs: tuple[int, bytes], end: bool = True) -> bytes:
        octets = b"".join(self.pack("HH", code, len(value)) + padded(value) for code, value in pairs)
        return octets + self.pack("HH", 0, 0) if pairs and end else octets

    def section(self, major: int = 1) -> Writer:
        return self.block(0x0A0D0D0A, self.pack("IHHq", 0x1A2B3C4D, major, 0, -1) + self.options((4, b"a test")))

    def interface(self, name: str | None = None, link: int = 1, snaplen: int = 0, *more: tuple[int, bytes]) -> Writer:
        named = [(2, name.encode())] if name is not None else []
        return self.block(1, self.pack("HHI", link, 0, snaplen) + self.options(*named, *more))

    def enhanced(
        self, interface: int, ticks: int, data: bytes, wire: int = 0, *more: tuple[int, bytes], end: bool = True
    ) -> Writer:
        head = self.pack("IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire or len(data))
        return self.block(6, head + padded(data) + self.options(*more, end=end))

    def obsolete(self, interface: int, ticks: int, data: bytes, drops: int = 0xFFFF, *more: tuple[int, bytes]) -> Writer:
        head = self.pack("HHIIII", interface, drops, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
        return self.block(2, head + padded(data) + self.options(*more))

    def simple(self, data: bytes, wire: int = 0) -> Writer:
        return self.block(3, self.pack("I", wire or len(data)) + data)

    def statistics(self, interface: int, ticks: int, *more: tuple[int, int]) -> Writer:
        values = [(code, self.pack("Q", value)) for code, value in more]
        return self.block(5, self.pack("III", interface, ticks >> 32, ticks & 0xFFFFFFFF) + self.options(*values))


def read(octets: bytes | bytearray | Writer, window: int = 1 << 20) -> list[object]:
    octets = octets.written if isinstance(octets, Writer) else octets
    return list(read_capture("test", io.BytesIO(octets), window=window))


def rows(items: list[object]) -> list[object]:
    """(interface, linktype, time, captured bytes, length on the wire, direction) of every frame; other items as they are."""
    found: list[object] = []
    for item in items:
        if not isinstance(item, FrameBatch):
            found.append(item)
            continue
        assert len(item) > 0
        directions = item.directions if item.directions is not None else np.zeros(len(item), dtype=np.int8)
        columns = (item.offsets, item.lengths, item.originals, item.times, directions)
        for offset, length, original, time, way in zip(*(column.tolist() for column in columns), strict=True):
            assert 0 <= offset <= offset + length <= len(item.data)
            octets = item.data[offset : offset + length].tobytes()
            found.append((item.interface, item.linktype, time, octets, original, way))
    return found


orders = st.sampled_from("<>")
block_specs = st.one_of(
    st.tuples(
        st.just("enhanced"),
        st.integers(0, 2),
        st.integers(0, 2**62 // 1000),
        st.binary(max_size=30),
        st.integers(0, 3),
        st.integers(0, 2),
        st.booleans(),
    ),
    st.tuples(st.just("obsolete"), st.integers(0, 2), st.integers(0, 2**62 // 1000), st.binary(max_size=30), st.integers(0, 2)),
    st.tuples(st.just("simple"), st.binary(max_size=70)),
    st.tuples(st.just("statistics"), st.integers(0, 2), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("unknown"), st.sampled_from([4, 9, 10, 0x0BAD, 0x40000BAD, 0x80000001]), st.binary(max_size=50)),
)
sections = st.lists(st.tuples(orders, st.lists(block_specs, max_size=10)), min_size=1, max_size=3)


def build(described: list[tuple[str, list[tuple]]]) -> tuple[bytes, list[object]]:
    """A file and what must be read from it."""
    octets, expected = b"", []
    for order, specs in described:
        out = Writer(order).section().interface("lan0", 1, 40).interface(None, 113).interface("lan2", 276)
        names = [("lan0", 1), (None, 113), ("lan2", 276)]
        told = [0, 0, 0]
        for kind, *spec in specs:
            if kind == "enhanced":
                at, ticks, data, way, drops, end = spec
                more = [(1, b"comment"), (2, out.pack("I", 0xFFFFFFF0 | way))] if way else []
                more += [(4, out.pack("Q", drops))] if drops else []
                out.enhanced(at, ticks, data, 99, *more, end=end)
                told[at] += drops
                expected += [LostFrames(names[at][0], ticks * 1000, drops)] if drops else []
                expected.append((*names[at], ticks * 1000, data, 99, way % 3))
            elif kind == "obsolete":
                at, ticks, data, drops = spec
                out.obsolete(at, ticks, data, drops, (2, out.pack("I", 1)))
                told[at] += drops
                expected += [LostFrames(names[at][0], ticks * 1000, drops)] if drops else []
                expected.append((*names[at], ticks * 1000, data, len(data), 1))
            elif kind == "simple":
                (data,) = spec
                out.simple(data)
                expected.append(("lan0", 1, NO_TIME, data[:40], len(data), 0))
            elif kind == "statistics":
                at, first, second = spec
                out.statistics(at, T, (4, 10**6), (5, first), (7, second))
                if first + second > told[at]:
                    expected.append(LostFrames(names[at][0], T * 1000, first + second - told[at]))
                    told[at] = first + second
            else:
                out.block(*spec)
        octets += out.written
    return octets, expected


@settings(deadline=None, max_examples=300)
@given(sections, st.integers(1, 300))
def test_items_are_as_written_whatever_the_window(described, window):
    octets, expected = build(described)
    assert rows(read(octets, window)) == expected
    assert rows(read(octets)) == expected


@settings(deadline=None, max_examples=300)
@given(sections, st.data())
def test_a_file_cut_anywhere_gives_all_whole_blocks_before(described, data):
    octets, expected = build(described)
    cut = data.draw(st.integers(44, len(octets) - 1))  # from the end of the first section header
    *before, last = [*rows(read(octets[:cut], 64)), None]
    if before and isinstance(before[-1], Truncated):
        last = before.pop()
    assert before == expected[: len(before)]
    if last is not None:
        assert "ends within" in last.detail
        # What was not read is one block, cut short.
        order = {b"\x4d\x3c": "<", b"\x1a\x2b": ">"}
        at, way = 0, "<"
        while at < last.offset:
            way = order[octets[at + 8 : at + 10]] if octets[at : at + 4] == b"\n\r\r\n" else way
            at += struct.unpack_from(way + "I", octets, at + 4)[0]
        assert at == last.offset


def test_one_interface_is_one_batch_and_many_are_cut_where_they_change():
    out = Writer().section().interface("a").interface("b")
    for number, interface in enumerate([0] * 100 + [1] * 50 + [0] * 25):
        out.enhanced(interface, T + number, b"x" * 60)
    batches = read(out)
    assert [(item.interface, len(item)) for item in batches if isinstance(item, FrameBatch)] == [("a", 100), ("b", 50), ("a", 25)]


def test_directions_are_none_where_none_is_known():
    out = Writer().section().interface("a")
    out.enhanced(0, T, b"x", 1).enhanced(0, T, b"x", 1, (2, out.pack("I", 3)))
    (batch,) = read(out)
    assert isinstance(batch, FrameBatch)
    assert batch.directions is None


def test_losses_that_packets_told_are_not_told_again_by_statistics():
    out = Writer().section().interface("a").interface("b")
    out.enhanced(0, T, b"x", 1, (4, out.pack("Q", 5))).statistics(0, T + 1, (5, 5)).statistics(0, T + 2, (5, 4), (7, 3))
    out.statistics(0, T + 3, (5, 4), (7, 3)).statistics(1, T + 4, (5, 1)).statistics(0, T + 5)
    losses = [item for item in read(out) if isinstance(item, LostFrames)]
    assert losses == [
        LostFrames("a", T * 1000, 5),
        LostFrames("a", (T + 2) * 1000, 2),
        LostFrames("b", (T + 4) * 1000, 1),
    ]


def test_sections_number_their_interfaces_anew():
    little = Writer("<").section().interface("a", 1).enhanced(0, T, b"1")
    big = Writer(">").section().interface("b", 113).enhanced(0, T, b"2")
    found = rows(read(little.written + big.written))
    assert found == [("a", 1, T * 1000, b"1", 1, 0), ("b", 113, T * 1000, b"2", 1, 0)]


def test_interface_names():
    out = Writer().section()
    for octets in (b"eth0", b"eth0\0\0", b"", b"\xff\xfe", "Büro".encode()):
        out.block(1, out.pack("HHI", 1, 0, 0) + out.options((2, octets)))
    for number in range(5):
        out.enhanced(number, T, b"x")
    assert [row[0] for row in rows(read(out))] == ["eth0", "eth0", None, "\ufffd\ufffd", "Büro"]


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(-(2**33), 2**33), st.data())
def test_clocks_of_every_resolution(resolution, offset, data):
    base, exponent = (2, resolution - 128) if resolution > 127 else (10, resolution)
    clock = Clock(base, exponent, offset)
    ticks = data.draw(st.lists(st.integers(0, clock.last), min_size=1, max_size=5) if clock.last >= 0 else st.just([]))
    exact = [Fraction(number, base**exponent) * 10**9 // 1 + offset * 10**9 for number in ticks]
    assert clock.nanoseconds(np.array(ticks, dtype=np.uint64)).tolist() == exact
    out = Writer().section().interface("a", 1, 0, (9, bytes([resolution])), (14, struct.pack("<q", offset)))
    for number in ticks:
        out.enhanced(0, number, b"x")
    assert [row[2] for row in rows(read(out))] == exact


@pytest.mark.parametrize(("resolution", "offset"), [(6, 0), (0, 0), (9, 10**9), (0x80, -(10**9)), (0xFF, 5), (10, 0), (0xA3, 1)])
def test_the_last_time_a_clock_shows(resolution, offset):
    base, exponent = (2, resolution - 128) if resolution > 127 else (10, resolution)
    last = Clock(base, exponent, offset).last
    assert Clock(base, exponent, offset).nanoseconds(np.array([last], dtype=np.uint64))[0] <= 2**63 - 1
    out = Writer().section().interface("a", 1, 0, (9, bytes([resolution])), (14, struct.pack("<q", offset)))
    out.enhanced(0, 5, b"x").enhanced(0, last, b"y")
    assert len(rows(read(out))) == 2
    if last < 2**64 - 1:
        good = len(out.written)
        out.enhanced(0, last + 1, b"z").enhanced(0, 7, b"w")
        assert rows(read(out))[2:] == [Truncated(good, "a time that no clock shows")]


def test_an_offset_beyond_every_clock_is_corrupt():
    for offset in (2**62, -(2**62)):
        out = Writer().section().interface("a", 1, 0, (14, struct.pack("<q", offset)))
        assert read(out.enhanced(0, 1, b"x")) == [Truncated(44, "an interface whose clock shows no time that can be")]


def broken(kind: str) -> bytes:
    """A block that cannot be read."""
    out = Writer()
    if kind == "length":
        return out.pack("III", 6, 33, 0) + bytes(30)
    if kind == "short":
        return out.pack("III", 6, 28, 0) + bytes(12) + out.pack("I", 28)
    if kind == "long":
        return out.pack("II", 99, 2**31)
    if kind == "zeros":
        return bytes(400)
    if kind == "trailer":
        return bytes(out.enhanced(0, T, b"x").written[:-4]) + out.pack("I", 40)
    if kind == "trailer of another":
        return bytes(out.block(99, b"").written[:-4]) + out.pack("I", 16)
    if kind == "interface":
        return bytes(out.enhanced(7, T, b"x").written)
    if kind == "statistics":
        return bytes(out.statistics(7, T).written)
    if kind == "captured":
        return bytes(out.block(6, out.pack("IIIII", 0, T >> 32, T & 0xFFFFFFFF, 5, 5) + b"abcd").written)
    if kind == "snaplen":
        return bytes(out.enhanced(0, T, bytes(262145)).written)
    if kind == "simple":
        return bytes(out.block(3, out.pack("I", 400)).written)
    if kind == "order":
        return bytes(out.block(0x0A0D0D0A, bytes(16)).written)
    assert kind == "version"
    return bytes(out.section(2).written)


BROKEN = {
    "length": "a block of type 6 claims 33 bytes",
    "short": "a block of type 6 claims 28 bytes",
    "long": "a block of type 99 claims 2147483648 bytes",
    "zeros": "a block of type 0 claims 0 bytes",
    "trailer": "a block whose two lengths differ",
    "trailer of another": "a block whose two lengths differ",
    "interface": "a packet of an interface that is not described",
    "statistics": "statistics of interface 7, which is not described",
    "captured": "a packet that is longer than its block",
    "snaplen": "a packet longer than any capture holds (262144 bytes)",
    "simple": "a packet that is longer than its block",
    "order": "a section header without byte order",
    "version": "version 2.0 of pcapng is unknown",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("window", [1, 1 << 20])
def test_what_is_corrupt_is_told_and_what_came_before_is_kept(kind, window):
    before = Writer().section().interface("a").enhanced(0, T, b"1").enhanced(0, T + 1, b"2").written
    after = Writer().enhanced(0, T + 2, b"3").enhanced(0, T + 2, b"4").written
    found = rows(read(before + broken(kind) + after, window))
    assert [row[3] for row in found if isinstance(row, tuple)] == [b"1", b"2"]
    assert found[2:] == [Truncated(len(before), BROKEN[kind])]


def test_packets_before_any_interface():
    for out in (
        Writer().section().enhanced(0, T, b"x"),
        Writer().section().simple(b"x"),
        Writer().section().obsolete(0, T, b"x"),
    ):
        assert read(out) == [Truncated(28 + 16, "a packet of an interface that is not described")]


def test_an_unknown_version_is_refused():
    with pytest.raises(SourceError, match=r"^test: version 2\.0 of pcapng is unknown; "):
        read(Writer().section(2))


def test_options_without_end_do_not_take_forever():
    out = Writer().section().interface("a")
    out.block(6, out.pack("IIIII", 0, T >> 32, T & 0xFFFFFFFF, 0, 0) + out.pack("HH", 1, 0) * 1_000_000)
    assert len(rows(read(out))) == 1


def test_options_that_run_beyond_their_block_are_left_out():
    out = Writer().section().interface("a")
    out.block(6, out.pack("IIIII", 0, T >> 32, T & 0xFFFFFFFF, 0, 0) + out.pack("HH", 2, 400))
    out.block(6, out.pack("IIIII", 0, T >> 32, T & 0xFFFFFFFF, 0, 0) + out.pack("HHI", 2, 4, 1))
    assert [row[5] for row in rows(read(out))] == [0, 1]


def test_an_endless_list_of_interfaces_is_corrupt():
    out = Writer().section()
    for _ in range(4097):
        out.interface()
    assert [item.detail for item in read(out) if isinstance(item, Truncated)] == ["more than 4096 interfaces"]


@settings(deadline=None, max_examples=400)
@given(sections, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8), st.integers(1, 300))
def test_mutated_captures_are_read_alike_in_every_window(described, changes, window):
    octets = bytearray(build(described)[0])
    for place, value in changes:
        octets[place % len(octets)] = value
    outcomes = []
    for size in (window, 1 << 20):
        try:
            outcomes.append(rows(read(octets, size)))
        except SourceError as error:
            assert "\n" not in str(error)  # noqa: PT017
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), orders)
def test_random_bytes_after_an_interface_give_items(noise, order):
    rows(read(Writer(order).section().interface("a").written + noise, 50))


@pytest.mark.parametrize("name", ["ndpi-vrrp3-ipv6.pcapng", "networklessons-vrrp-gratuitous-arp.pcapng"])
@pytest.mark.parametrize("window", [1, 100, 1 << 20])
def test_scapy_reads_the_same(name, window):
    path = CAPTURES / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    from scapy.utils import RawPcapNgReader

    with RawPcapNgReader(str(path)) as reader:
        expected = [
            (meta.linktype, (meta.tshigh << 32 | meta.tslow) * 10**9 // meta.tsresol, octets, meta.wirelen)
            for octets, meta in reader
        ]
    found = [row[1:5] for row in rows(list(read_capture(str(path), window=window))) if isinstance(row, tuple)]
    assert found == expected
    assert len(found) > 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2**60), st.binary(min_size=1, max_size=40)), max_size=10), orders)
def test_scapy_reads_the_same_of_what_is_written_here(packets, order):
    from scapy.utils import RawPcapNgReader

    out = Writer(order).section().interface("a", 1, 65535, (9, b"\x09")).interface("b", 113, 65535, (9, b"\x8a"))
    for interface, ticks, data in packets:
        out.enhanced(interface, ticks if interface == 0 else ticks >> 22, data, 77)
    with RawPcapNgReader(io.BytesIO(out.written)) as reader:
        expected = [
            (meta.ifname.decode(), meta.linktype, (meta.tshigh << 32 | meta.tslow) * 10**9 // meta.tsresol, octets, meta.wirelen)
            for octets, meta in reader
        ]
    assert [row[:5] for row in rows(read(out))] == expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_tshark_reads_the_same(order, tmp_path):
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark")
    out = Writer(order).section()
    for number, (resolution, offset) in enumerate([(6, 0), (9, 0), (0x9E, 0), (3, 1000), (9, -7200)]):
        out.interface(f"lan{number}", 1, 0, (9, bytes([resolution])), (14, out.pack("q", offset)))
    for number in range(30):
        interface = number % 5
        ticks = [T, T * 1000, (T << 30) // 10**6, T // 1000, T * 1000][interface] + number
        out.enhanced(interface, ticks, bytes([number]) * (14 + number), 90 + number, (2, out.pack("I", number % 3)))
    out.obsolete(1, T * 1000 + 1, b"o" * 20, 3, (2, out.pack("I", 2)))
    path = tmp_path / "capture"
    path.write_bytes(out.written)
    fields = ["frame.time_epoch", "frame.interface_name", "frame.cap_len", "frame.len", "frame.packet_flags_direction"]
    command = ["tshark", "-n", "-r", path, "-T", "json", *(word for one in fields for word in ("-e", one))]
    told = json.loads(subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout)
    expected = [[packet["_source"]["layers"].get(one, ["0x00000000"])[0] for one in fields] for packet in told]
    found = [
        [f"{row[2] // 10**9}.{row[2] % 10**9:09d}", row[0], str(len(row[3])), str(row[4]), f"0x{row[5]:08x}"]
        for row in rows(read(out))
        if isinstance(row, tuple)
    ]
    assert found == expected


@pytest.mark.parametrize("order", ["<", ">"])  # libpcap keeps to the byte order of the first section
def test_tcpdump_reads_the_same_of_several_sections(order, tmp_path):
    if shutil.which("tcpdump") is None:
        pytest.skip("needs tcpdump")
    out = b""
    for sections in range(2):
        section = Writer(order).section().interface("a", 1, 60)
        for number in range(5):
            section.enhanced(0, T + number + sections, bytes([number]) * 20)
        out += section.block(0x0BAD, b"custom").simple(b"s" * 30).simple(b"t" * 60, 100).written
    path, target = tmp_path / "capture", tmp_path / "rewritten"
    path.write_bytes(out)
    subprocess.run(["tcpdump", "-r", path, "-w", target], check=True, timeout=60, capture_output=True)
    rewritten = [row[1:5] for row in rows(list(read_capture(str(target)))) if isinstance(row, tuple)]
    assert [row[1:5] for row in rows(read(out)) if isinstance(row, tuple)] == rewritten
    assert len(rewritten) == 14


def test_losses_of_obsolete_blocks_and_what_they_do_not_know():
    out = Writer().section().interface("a").obsolete(0, T, b"x", 0xFFFF).obsolete(0, T, b"y", 0xFFFE)
    assert [item.count for item in read(out) if isinstance(item, LostFrames)] == [0xFFFE]


def test_simple_packets_of_an_interface_without_limit():
    (row,) = rows(read(Writer().section().interface("a", 1, 0).simple(b"s" * 60, 60)))
    assert row == ("a", 1, NO_TIME, b"s" * 60, 60, 0)


def test_flags_count_only_before_the_end_of_options_and_among_the_first():
    flags = (2, struct.pack("<I", 1))
    for others, direction in (([(1, b"")] * 31, 1), ([(1, b"")] * 40, 0), ([(0, b"")], 0)):
        out = Writer().section().interface("a").enhanced(0, T, b"x", 1, *others, flags)
        assert [row[5] for row in rows(read(out))] == [direction]


def test_statistics_at_a_time_that_no_clock_shows_still_count():
    out = Writer().section().interface("a").statistics(0, 2**64 - 1, (5, 3))
    assert read(out) == [LostFrames("a", (2**63 - 1) // 1000 * 1000, 3)]
