"""Capture files as operators hand them over: missing, compressed, on standard input, or something else altogether."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import re
import struct
import sys
import tracemalloc
import types
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.model.errors import SourceError
from observer.sources.pcap import FrameBatch, Truncated, read_capture

FORMATS = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.ZstdCompressor(write_checksum=True).compress}
SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"abcd"


def pcap(count: int, size: int = 60) -> bytes:
    """Frames of noise, so that compressed files are about as long."""
    noise = random.Random(7)
    heads = [struct.pack("<IIII", 1_700_000_000 + number, 0, size, size) for number in range(count)]
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(head + noise.randbytes(size) for head in heads)


def summary(octets: bytes, window: int = 1 << 16) -> tuple[list[bytes], list[str]]:
    """The frames, and how it ended."""
    frames, ends = [], []
    for item in read_capture("test", io.BytesIO(octets), window=window):
        if isinstance(item, FrameBatch):
            spans = zip(item.offsets.tolist(), item.lengths.tolist(), strict=True)
            frames += [item.data[offset : offset + length].tobytes() for offset, length in spans]
        elif isinstance(item, Truncated):
            ends.append(item.detail)
    return frames, ends


PLAIN = pcap(500)
FRAMES, _ = summary(PLAIN)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("window", [1, 1000, 1 << 20])
def test_compressed(form, window):
    assert summary(FORMATS[form](PLAIN), window) == (FRAMES, [])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("padding", [0, 4, 20_000])
def test_compressed_in_several_members(form, padding):
    compress = FORMATS[form]
    parts = [compress(PLAIN[:10]), compress(b""), compress(PLAIN[10:9000]), compress(PLAIN[9000:])]
    assert summary(bytes(padding).join(parts) + bytes(padding)) == (FRAMES, [])


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.integers(100, 2000))
def test_members_that_end_anywhere_in_a_piece(form, size):
    compress = FORMATS[form]
    octets = b"".join(compress(PLAIN[at : at + size]) for at in range(0, len(PLAIN), size))
    assert summary(octets) == (FRAMES, [])


def test_skippable_frames_of_zstd():
    octets = SKIPPABLE + zstandard.compress(PLAIN[:9000]) + SKIPPABLE + zstandard.compress(PLAIN[9000:]) + SKIPPABLE
    assert summary(octets) == (FRAMES, [])


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_a_compressed_file_cut_anywhere_gives_what_can_be_had(form, data):
    octets = FORMATS[form](PLAIN)
    cut = data.draw(st.integers(6, len(octets) - 1))
    try:
        frames, ends = summary(octets[:cut])
    except SourceError as error:
        assert f"the {form} data ends early" in str(error)  # noqa: PT017
    else:
        assert frames == FRAMES[: len(frames)]
        assert ends == [f"the {form} data ends early"]


@pytest.mark.parametrize("octets", range(4))
def test_a_compressed_file_cut_within_the_magic_number_is_said_to_end_early(octets):
    packer = zlib.compressobj(wbits=31)
    cut = packer.compress(PLAIN[:octets]) + packer.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(SourceError, match="the gzip data ends early; there is nothing to read"):
        summary(cut)


def test_cutting_a_gzip_file_that_is_being_written_loses_no_more_than_the_cut():
    frames, _ = summary(gzip.compress(PLAIN, 0)[:-20])
    assert len(frames) == 499


@pytest.mark.parametrize("form", FORMATS)
def test_damage_in_compressed_data(form):
    octets = bytearray(FORMATS[form](pcap(20_000)))
    octets[len(octets) // 2] ^= 0x55
    frames, ends = summary(bytes(octets))
    assert len(ends) == 1
    assert re.match(rf"the {form} data (is damaged|ends early)", ends[0])
    assert len(frames) < 20_001


@pytest.mark.parametrize("form", FORMATS)
def test_what_follows_compressed_data_is_told(form):
    frames, ends = summary(FORMATS[form](PLAIN) + b"something else")
    assert frames == FRAMES
    assert ends == [f"bytes that are not {form} follow the {form} data"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.lists(st.tuples(st.integers(4, 10**6), st.integers(0, 255)), max_size=5))
def test_mutated_compressed_captures(form, changes):
    octets = bytearray(FORMATS[form](PLAIN[:2000]))
    for place, value in changes:
        octets[place % len(octets)] = value
    try:
        summary(bytes(octets))
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("form", FORMATS)
def test_memory_does_not_grow_with_the_file(form):
    record = struct.pack("<IIII", 1_700_000_000, 0, 65_000, 65_000) + bytes(65_000)
    octets = FORMATS[form](pcap(0) + record * 2000)  # 130 MB, most of it from one compressed piece
    tracemalloc.start()
    count = 0
    for item in read_capture("test", io.BytesIO(octets), window=1 << 20):
        assert isinstance(item, FrameBatch)
        count += len(item)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2000
    assert peak < {"gzip": 10, "xz": 20, "zstd": 300}[form] * 10**6  # xz has a dictionary of 8 MiB


def failure(octets: bytes) -> str:
    with pytest.raises(SourceError) as caught:
        summary(octets)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "test: nothing at all, an empty file; wait until something is captured"),
        (b"Nov 23 08:12:03 node keepalived", "test: not a capture but text; give a pcap or pcapng file"),
        (b"{}\n", "not a capture but text"),
        (b"snoop\0\0\0\0\0\0\2\0\0\0\4", "a snoop capture; convert it with editcap"),
        (b"BZh91AY&SY", "bzip2 data; decompress it first"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", "unknown data (it begins with 00 01 02 03 04 05 06 07)"),
        (PLAIN[:3], "unknown data (it begins with d4 c3 b2)"),
        (PLAIN[:23], "test: the file ends within its file header; "),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0\0\0\0\0", "a section header without byte order"),
        (b"\x0a\x0d\x0d\x0a\x1c", "ends within a block's header"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(octets, words):
    assert words in failure(octets)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_compressed_is_said_too(form):
    compress = FORMATS[form]
    assert f"not a capture but {form} of text" in failure(compress(b"Nov 23 08:12:03 node"))
    assert f"{form} of gzip data; decompress it first" in failure(compress(gzip.compress(PLAIN)))
    assert f"{form} of nothing at all" in failure(compress(b""))
    assert f"the {form} data ends early" in failure(compress(PLAIN)[:7])


def test_a_file_by_its_name(tmp_path):
    path = tmp_path / "misleading.txt"
    path.write_bytes(gzip.compress(PLAIN))
    assert sum(len(item) for item in read_capture(str(path)) if isinstance(item, FrameBatch)) == 500


def test_a_file_is_closed_when_the_reader_is(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(PLAIN)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    items = read_capture(str(path), window=100)
    next(items)
    assert len(os.listdir("/proc/self/fd")) == before + 1  # noqa: PTH208
    items.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_paths_that_cannot_be_opened(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="no such file; check the path"):
        list(read_capture(str(tmp_path / "missing")))
    with pytest.raises(SourceError, match="is a directory; name the capture files in it"):
        list(read_capture(str(tmp_path)))
    with pytest.raises(SourceError, match="cannot be opened"):
        list(read_capture("a\0b"))

    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, to whom nothing is denied.
    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(SourceError, match=r"^/x: permission denied; "):
        list(read_capture("/x"))


def test_a_stream_that_is_given_stays_open():
    stream = io.BytesIO(PLAIN)
    list(read_capture("x", stream))
    assert not stream.closed


@pytest.mark.parametrize("form", [None, *FORMATS])
def test_standard_input_through_a_pipe(form, monkeypatch):
    octets = FORMATS[form](PLAIN) if form else PLAIN
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb") as feed:
        feed.write(octets)  # less than a pipe holds
        feed.close()
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=stdin))
        assert sum(len(item) for item in read_capture("-") if isinstance(item, FrameBatch)) == 500
        assert not stdin.closed


def test_standard_input_is_named_in_words(monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(SourceError, match=r"^standard input: nothing at all"):
        list(read_capture("-"))


def test_frames_of_a_pipe_come_before_it_ends():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb") as feed:
        feed.write(PLAIN[:1000])
        feed.flush()
        batch = next(read_capture("-", pipe))
        assert isinstance(batch, FrameBatch)
        assert len(batch) == (1000 - 24) // 76
