"""The walk in lanes and the walk record by record find the same frames and stop at the same place, whatever the file holds."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources.test_pcap import endings, pcap, read, rows
from sources.test_pcapng import Writer

from observer.model.errors import SourceError
from observer.sources import pcap_lanes, pcap_records

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER = 10**9
HOSTILE = ("ordinary", "nested", "empty", "large", "past", "future", "random")


def frames(seed: int, kinds: list[str], count: int = 400) -> list[tuple[int, int, bytes, int]]:
    """Frames of a capture, of some kinds each; most are ordinary."""
    dice = random.Random(seed)
    written = []
    second = 1_700_000_000
    for number in range(count):
        second += dice.random() < 0.1
        kind = dice.choice(kinds) if dice.random() < 0.2 else "ordinary"
        data = bytes([number % 256]) * dice.choice((60, 66, 74, 128))
        if kind == "nested":
            # Records as an inner capture of the same time has them, some with lengths that lead astray.
            inner = struct.pack("<IIII", second, number, dice.choice((10, 60, 65535, 2**20)), 60) + bytes(60)
            data = inner * dice.randrange(1, 5) + data
        elif kind == "empty":
            data = b""
        elif kind == "large":
            data = dice.randbytes(dice.choice((1514, 9014, 65535, 70000)))
        elif kind == "past":
            second -= 7200
        elif kind == "future":
            second += 200_000
        elif kind == "random":
            data = dice.randbytes(dice.randrange(300))
        written.append((second, number, data, len(data)))
    return written


def by_lanes(octets: bytes, window: int, patch: pytest.MonkeyPatch) -> list[object]:
    patch.setattr(pcap_lanes, "FEWEST", 2)
    patch.setattr(pcap_lanes, "LANE", 8)
    patch.setattr(pcap_records, "_SHORT", 4096)
    patch.setattr(pcap_records, "_SAMPLE", 2048)
    return read(octets, window)


def one_by_one(octets: bytes, window: int, patch: pytest.MonkeyPatch) -> list[object]:
    patch.setattr(pcap_lanes, "FEWEST", NEVER)
    return read(octets, window)


def outcome(reader: Callable[[bytes, int, pytest.MonkeyPatch], list[object]], octets: bytes, window: int) -> object:
    with pytest.MonkeyPatch.context() as patch:
        try:
            items = reader(octets, window, patch)
        except SourceError as error:
            return str(error)
    return rows(items), endings(items)


kinds = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=4)
windows = st.sampled_from([8192, 50_000, 1 << 20])
harm = st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 255)), max_size=2)


def spoiled(octets: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    changed = bytearray(octets)
    for place, value in changes:
        changed[24 + place % (len(changed) - 24)] = value
    return bytes(changed[: len(changed) - cut])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), kinds, st.sampled_from([0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34]), st.sampled_from("<>"), windows, harm,
    st.integers(0, 90),
)  # fmt: skip
def test_pcap(seed, what, magic, order, window, changes, cut):
    octets = spoiled(pcap(frames(seed, what), magic, order), changes, cut)
    assert outcome(by_lanes, octets, window) == outcome(one_by_one, octets, window)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), kinds, st.sampled_from("<>"), windows, harm, st.integers(0, 90))
def test_pcapng(seed, what, order, window, changes, cut):
    writer = Writer(order).section().interface("eth0").interface("eth1")
    for number, (second, micro, data, _) in enumerate(frames(seed, what, 300)):
        more = [(2, struct.pack(f"{order}I", 1))] if number % 50 == 0 else []
        writer.enhanced(int(number % 90 == 0), second * 10**6 + micro, data, 0, *more)
        if number % 120 == 0:
            writer.statistics(0, second * 10**6, (5, number))
    octets = spoiled(bytes(writer.written), changes, cut)
    assert outcome(by_lanes, octets, window) == outcome(one_by_one, octets, window)


@pytest.mark.parametrize("order", "<>")
def test_lanes_are_walked_where_the_file_is_ordinary(order, monkeypatch):
    """Else the tests above would compare the slow walk with itself."""
    singly = 0
    following = pcap_records.Records.following

    def counted(self, *arguments):
        nonlocal singly
        singly += 1
        return following(self, *arguments)

    octets = pcap(frames(1, ["ordinary"], 20_000), order=order)
    monkeypatch.setattr(pcap_records.Records, "following", counted)
    assert len(rows(read(octets))) == 20_000
    assert singly < 1000


def test_a_nested_capture_leads_lanes_astray_and_not_the_walk(monkeypatch):
    """Each frame holds records that look as real as the real ones."""
    inner = b"".join(struct.pack("<IIII", 1_700_000_000, n, 64, 64) + bytes(64) for n in range(16))
    octets = pcap([(1_700_000_000, n, inner[n % 7 :], 1280) for n in range(3000)])
    items = by_lanes(octets, 1 << 20, monkeypatch)
    assert [data for _, data, _ in rows(items)] == [inner[n % 7 :] for n in range(3000)]


def test_an_impossible_record_ends_the_walk(monkeypatch):
    octets = pcap(frames(5, ["ordinary"], 1000))
    items = by_lanes(octets + b"\xff" * 16 + octets[24:], 1 << 20, monkeypatch)
    assert len(rows(items)) == 1000
    assert [ending.offset for ending in endings(items)] == [len(octets)]
