"""pcap files: frames as written, for every variant, window and compression; what is broken is told and never raised."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.model.errors import SourceError
from observer.sources.pcap import FrameBatch, Truncated, read_capture

CAPTURES = Path(__file__).resolve().parents[2].parent / "shared" / "captures"

Frame = tuple[int, int, bytes, int]
"""Seconds, fraction, captured bytes, length on the wire."""


def pcap(
    frames: list[Frame], magic: int = 0xA1B2C3D4, order: str = "<", link: int = 1, version: tuple[int, int] = (2, 4)
) -> bytes:
    written = [struct.pack(f"{order}IHHiIII", magic, *version, 0, 0, 262144, link)]
    extra = bytes(8) if magic == 0xA1B2CD34 else b""
    written += [struct.pack(f"{order}IIII", s, f, len(data), wire) + extra + data for s, f, data, wire in frames]
    return b"".join(written)


def read(octets: bytes, window: int = 1 << 20) -> list[object]:
    return list(read_capture("test", io.BytesIO(octets), window=window))


def rows(items: list[object]) -> list[tuple[int, bytes, int]]:
    """(time, captured bytes, length on the wire) of every frame."""
    found = []
    for item in items:
        if isinstance(item, FrameBatch):
            columns = (item.offsets, item.lengths, item.originals, item.times)
            assert {len(column) for column in columns} == {len(item)}
            assert len(item) > 0
            for offset, length, original, time in zip(*(column.tolist() for column in columns), strict=True):
                assert 0 <= offset <= offset + length <= len(item.data)
                found.append((time, item.data[offset : offset + length].tobytes(), original))
    return found


def endings(items: list[object]) -> list[Truncated]:
    return [item for item in items if isinstance(item, Truncated)]


frames_of_a_file = st.lists(
    st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 999_999), st.binary(max_size=40), st.integers(0, 2**32 - 1)),
    max_size=12,
)
variants = st.sampled_from([(magic, order) for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34) for order in "<>"])


@settings(deadline=None)
@given(frames_of_a_file, variants, st.integers(1, 200))
def test_frames_are_as_written_whatever_the_variant_and_the_window(frames, variant, window):
    magic, order = variant
    tick = 1 if magic == 0xA1B23C4D else 1000
    items = read(pcap(frames, magic, order), window)
    assert rows(items) == [(s * 10**9 + f * tick, data, wire) for s, f, data, wire in frames]
    assert endings(items) == []


@settings(deadline=None)
@given(frames_of_a_file.filter(bool), variants, st.integers(1, 200), st.data())
def test_a_file_cut_anywhere_gives_all_whole_records_before(frames, variant, window, data):
    octets = pcap(frames, *variant)
    cut = data.draw(st.integers(24, len(octets) - 1))
    header = 24 if variant[0] == 0xA1B2CD34 else 16
    ends, at = [], 24
    for frame in frames:
        at += header + len(frame[2])
        ends.append(at)
    whole = sum(end <= cut for end in ends)
    items = read(octets[:cut], window)
    assert rows(items) == rows(read(octets))[:whole]
    start = [24, *ends][whole]
    assert [ending.offset for ending in endings(items)] == ([] if start == cut else [start])
    assert all("ends within" in ending.detail for ending in endings(items))


@settings(deadline=None)
@given(st.lists(st.tuples(st.just(5), st.just(6), st.binary(max_size=300), st.just(7)), min_size=2, max_size=30))
def test_buffers_are_not_written_again(frames):
    octets = pcap(frames)
    kept = read(octets, 64)
    assert [data for _, data, _ in rows(kept)] == [data for _, _, data, _ in frames]
    for item in kept:
        assert isinstance(item, FrameBatch)
        assert not item.data.flags.writeable


def test_one_window_is_one_batch():
    items = read(pcap([(1, 0, bytes(60), 60)] * 1000))
    assert [len(item) for item in items if isinstance(item, FrameBatch)] == [1000]


class Dribble(io.BytesIO):
    """A pipe: every read gives a little, whatever was asked for."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(min(size or 7, 7))

    def readinto1(self, buffer, /) -> int:
        return super().readinto1(memoryview(buffer)[:7])


def test_a_pipe_that_gives_a_little_at_a_time():
    octets = pcap([(9, n, bytes([n]) * n, n) for n in range(50)])
    assert rows(list(read_capture("-", Dribble(octets)))) == rows(read(octets))


class Failing(io.BytesIO):
    def readinto1(self, buffer, /) -> int:
        if self.tell() >= 100:
            raise OSError(5, "Input/output error")
        return super().readinto1(memoryview(buffer)[:50])


def test_a_disk_that_fails_is_told():
    items = list(read_capture("x", Failing(pcap([(1, 0, bytes(60), 60)] * 10))))
    assert len(rows(items)) >= 1
    assert endings(items)[0].detail == "reading failed: Input/output error"


@pytest.mark.parametrize(("upper", "link"), [(0, 113), (0x14000000, 1), (0xF0000000, 101)])
def test_linktype_without_what_the_upper_half_says(upper, link):
    (batch,) = read(pcap([(1, 0, b"x", 1)], link=upper | link))
    assert isinstance(batch, FrameBatch)
    assert (batch.linktype, batch.interface, batch.directions) == (link, None, None)


def test_the_greatest_frame_and_one_byte_more():
    good = pcap([(1, 0, bytes(262144), 262144)])
    assert [len(data) for _, data, _ in rows(read(good, 16))] == [262144]
    bad = good + struct.pack("<IIII", 1, 0, 262145, 262145) + bytes(262145) + good[24:]
    for window in (16, 4 << 20):
        items = read(bad, window)
        assert len(rows(items)) == 1
        (ending,) = endings(items)
        assert ending.offset == len(good)
        assert "262145" in ending.detail


def test_an_impossible_length_stops_even_if_the_file_goes_on():
    octets = pcap([(1, 0, b"abc", 3)]) + struct.pack("<IIII", 1, 0, 2**32 - 1, 60) + bytes(100)
    items = read(octets)
    assert rows(items) == [(10**9, b"abc", 3)]
    assert [ending.offset for ending in endings(items)] == [24 + 16 + 3]


@pytest.mark.parametrize("window", [1, 40, 1 << 20])
def test_zeros_that_a_crash_left_are_no_frames(window):
    octets = pcap([(1, 0, b"abc", 3)])
    items = read(octets + bytes(4096), window)
    assert rows(items) == [(10**9, b"abc", 3)]
    assert endings(items) == [Truncated(len(octets), "zeros in place of a record")]


def test_a_capture_of_nothing_is_a_capture():
    assert read(pcap([])) == []


def test_an_unknown_version_is_refused():
    with pytest.raises(SourceError, match=r"^test: version 1\.2 of pcap is unknown; "):
        read(pcap([], version=(1, 2)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 100))
def test_random_bytes_after_a_header_give_items(noise, window):
    for magic in (0xA1B2C3D4, 0xA1B2CD34):
        items = read(pcap([], magic) + noise, window)
        rows(items)
        assert all(isinstance(item, Truncated) is (item is items[-1]) for item in items if isinstance(item, Truncated))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
def test_random_bytes_raise_one_line_or_give_items(noise):
    try:
        read(noise)
    except SourceError as error:
        assert re.fullmatch(r"test: .+", str(error))  # noqa: PT017


mutations = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8)


@settings(max_examples=300, deadline=None)
@given(frames_of_a_file, variants, mutations, st.integers(1, 300))
def test_mutated_captures_are_read_alike_in_every_window(frames, variant, changes, window):
    octets = bytearray(pcap(frames, *variant))
    for place, value in changes:
        octets[place % len(octets)] = value
    outcomes = []
    for size in (window, 1 << 20):
        try:
            items = read(bytes(octets), size)
            outcomes.append((rows(items), endings(items)))
        except SourceError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", ["tcpdump-vrrp.pcap", "tcpdump-vrrp-oobr.pcap", "tcpdump-vrrp-oobr-2.pcap"])
@pytest.mark.parametrize("window", [1, 100, 1 << 20])
def test_scapy_reads_the_same(name, window):
    path = CAPTURES / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    from scapy.utils import RawPcapReader

    with RawPcapReader(str(path)) as reader:
        link = reader.linktype
        expected = [(meta.sec * 10**9 + meta.usec * 1000, octets, meta.wirelen) for octets, meta in reader]
    items = list(read_capture(str(path), window=window))
    whole = rows(items)
    # scapy gives what is left of a frame that the file ends within.
    assert whole == (expected[: len(whole)] if endings(items) else expected)
    assert len(expected) - len(whole) <= len(endings(items))
    assert {item.linktype for item in items if isinstance(item, FrameBatch)} <= {link}
    assert name != "tcpdump-vrrp.pcap" or len(whole) == 165


@settings(deadline=None)
# scapy takes a frame without bytes for the end of the file.
@given(
    frames_of_a_file.filter(lambda frames: all(frame[2] for frame in frames)),
    st.sampled_from([0xA1B2C3D4, 0xA1B23C4D]),
    st.sampled_from("<>"),
)
def test_scapy_reads_the_same_of_what_is_written_here(frames, magic, order):
    from scapy.utils import RawPcapReader

    octets = pcap(frames, magic, order)
    tick = 1 if magic == 0xA1B23C4D else 1000
    with RawPcapReader(io.BytesIO(octets)) as reader:
        expected = [(meta.sec * 10**9 + meta.usec * tick, data, meta.wirelen) for data, meta in reader]
    assert rows(read(octets)) == expected


@pytest.mark.parametrize("form", ["pcap", "nsecpcap", "modpcap", "pcapng"])
def test_what_editcap_converts(form, tmp_path):
    source = CAPTURES / "tcpdump-vrrp.pcap"
    if not source.exists() or shutil.which("editcap") is None:
        pytest.skip("needs editcap and the shared captures")
    target = tmp_path / "converted"
    subprocess.run(["editcap", "-F", form, source, target], check=True, timeout=60)
    items = list(read_capture(str(target)))
    assert rows(items) == rows(list(read_capture(str(source))))
    assert endings(items) == []


@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tshark_reads_the_same(magic, order, tmp_path):
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark")
    octets = pcap([(1_700_000_000 + n, 999_999 - n, bytes([n]) * (n + 14), n + 100) for n in range(40)], magic, order)
    path = tmp_path / "capture"
    path.write_bytes(octets)
    command = ["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len"]
    told = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    expected = [line.split("\t") for line in told.splitlines()]
    found = [[f"{time // 10**9}.{time % 10**9:09d}", str(len(data)), str(wire)] for time, data, wire in rows(read(octets))]
    assert found == expected
