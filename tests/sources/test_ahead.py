"""A file that several processes glean gives the observations that one process gives, and so it does when they fail."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest
from sources.test_pcapng import Writer
from wire.wire_building import ethernet, ipv4, v2

from observer.model.observations import Advert
from observer.model.segments import TcpSegments
from observer.model.time import SECOND
from observer.sources import ahead
from observer.sources.capture_file import observe_capture
from observer.sources.census import Census
from observer.sources.merge import merged
from observer.wire.frames import FrameDecoder

BEGIN = 1_795_000_000


def segment(flags, port, payload=b"", source="10.0.0.100", destination="198.51.100.7"):
    header = struct.pack("!HHIIBBHI", 6443, port, 1, 0, 0x50, flags, 64240, 0)
    return ethernet(ipv4(header + payload, source=source, destination=destination, protocol=6))


def traffic(count, seed=1):
    """Data of the address, some control, adverts, and frames that hold captures."""
    dice = random.Random(seed)
    for number in range(count):
        time = number * SECOND // 500
        if number % 250 == 0:
            yield time, ethernet(ipv4(v2(addresses=["10.0.0.100"], priority=100), ident=number % 65535 + 1))
        elif number % 97 == 0:
            record = struct.pack("<IIII", BEGIN + time // SECOND, 5, 60, 60) + bytes(60)
            yield time, segment(0x18, 40000, record * 4)
        elif number % 10 == 0:
            yield time, segment(dice.choice((2, 0x12, 0x11, 4)), 40000 + number % 50)
        else:
            yield time, segment(0x18, 40000 + number % 50, bytes(dice.choice((10, 60))))


def with_a_gap(count, seconds):
    """Without the frames that hold captures, for in these a process finds a time to go by."""
    for number, (time, octets) in enumerate(traffic(count)):
        if len(octets) < 200:
            yield time + (number > count // 2) * seconds * SECOND, octets


def pcap(frames):
    records = [
        struct.pack("<IIII", BEGIN + at // SECOND, at % SECOND, len(octets), len(octets)) + octets for at, octets in frames
    ]
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1) + b"".join(records)


def pcapng(frames, change_at=None):
    writer = Writer().section().interface("eth0", 1, 0, (9, b"\x09"))
    for number, (at, octets) in enumerate(frames):
        if number == change_at:
            writer.section().interface("eth1", 1, 0, (9, b"\x09"))
        writer.enhanced(0, BEGIN * SECOND + at, octets)
    return bytes(writer.written)


def observed(path, processes):
    census = Census(str(path), "m1")
    seen = []
    for item in merged([observe_capture(census, FrameDecoder(), ahead=processes)]):
        if not isinstance(item, TcpSegments):
            seen.append((item.time, repr(item)))
            continue
        weights = item.weights.tolist() if item.weights is not None else [1] * len(item)
        for row, time in enumerate(item.times.tolist()):
            data = not item.flags[row] & 7
            seen += [(time, repr((item.interface, item.source_ports[row], item.destination_ports[row] if not data else 0, data)))]
            seen += [(time, "one more")] * (weights[row] - 1)
    kinds = [what for _, what in seen]
    return census, kinds


def total(seen):
    """How many of each; which segment stands for others depends on how many are looked at together."""
    return {what: seen.count(what) for what in set(seen) if "Advert" in what or "False" in what or "Source" in what}, len(seen)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, value in {"STRETCH": 65536, "FIRST": 16384, "SMALL": 1, "REACH": 4096}.items():
        monkeypatch.setattr(ahead, name, value)


@pytest.fixture
def accepted(monkeypatch):
    """How many stretches were taken from another process, and how many read here."""
    counts = {"here": 0, "all": 0}
    here, following = ahead.Large._here, ahead.Large.next

    def counted_here(self, *arguments):
        counts["here"] += 1
        return here(self, *arguments)

    def counted_next(self, *arguments):
        found = following(self, *arguments)
        counts["all"] += found is not None
        return found

    monkeypatch.setattr(ahead.Large, "_here", counted_here)
    monkeypatch.setattr(ahead.Large, "next", counted_next)
    return counts


FILES = {
    "pcap": lambda: pcap(traffic(12_000)),
    "pcapng": lambda: pcapng(traffic(12_000)),
    "cut short": lambda: pcap(traffic(12_000))[:-31],
    "another section in the middle": lambda: pcapng(traffic(12_000), 6000),
    "a broken record in the middle": lambda: pcap(traffic(6000)) + b"\xff" * 64 + pcap(traffic(6000))[24:],
}


@pytest.mark.parametrize("name", FILES)
def test_several_processes_see_what_one_sees(name, accepted, tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(FILES[name]())
    one, alone = observed(path, 0)
    several, together = observed(path, 2)
    assert total(together) == total(alone)
    assert (several.broken, several.begin, several.end, several.frames) == (one.broken, one.begin, one.end, one.frames)
    assert accepted["all"] > accepted["here"] + 3


def test_a_day_without_traffic_leaves_no_process_at_a_loss(accepted, tmp_path):
    """Records are found by their time; the process that did not read the gap itself has to be told."""
    path = tmp_path / "capture"
    path.write_bytes(pcap(with_a_gap(24_000, 86_400)))
    assert total(observed(path, 2)[1]) == total(observed(path, 0)[1])
    assert accepted["all"] > 30
    assert accepted["here"] <= 6


def test_processes_that_die_are_not_missed(monkeypatch, tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(pcap(traffic(6000)))
    expected = total(observed(path, 0)[1])
    monkeypatch.setattr(ahead, "_stretch", dying(ahead._stretch))
    assert total(observed(path, 2)[1]) == expected


def dying(stretch):
    """As the kernel kills a process that reads where the file was cut off."""

    def die(*arguments, exact):
        if not exact and arguments[3].begin > 200_000:
            os._exit(9)
        return stretch(*arguments, exact=exact)

    return die


def test_an_address_that_becomes_known_late_is_known_in_the_stretch_that_names_it(tmp_path):
    frames = list(traffic(8000))
    late = [(at, octets) for at, octets in frames if at > 8 * SECOND or octets[23] != 112]
    path = tmp_path / "capture"
    path.write_bytes(pcap(late))
    alone, together = observed(path, 0), observed(path, 2)
    first = next(item for item in alone[1] if item.startswith("Advert"))
    for _, seen in (alone, together):
        after = seen[seen.index(first) :]
        assert sum("True" in what for what in after) > 100


def test_no_process_is_left_behind(tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(pcap(traffic(6000)))
    observations = observe_capture(Census(str(path), "m1"), FrameDecoder(), ahead=2)
    for _ in range(5):
        next(observations)
    assert children()
    observations.close()
    assert not children()


def children():
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="ascii").split()


def test_adverts_are_what_was_written(tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(pcap(traffic(12_000)))
    items = merged([observe_capture(Census(str(path), "m1"), FrameDecoder(), ahead=2)])
    assert sum(isinstance(item, Advert) for item in items) == 48
