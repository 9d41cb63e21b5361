"""Numbers of frames: as Wireshark counts them, in captures of any kind and in recordings."""

from __future__ import annotations

import gzip
import subprocess
from collections import defaultdict

import pytest
from cases import cases
from recorder.tape import captured, frame_of, recorded
from traces import A, B, Trace

from observer.cli import main
from observer.model.observations import Advert
from observer.model.packets import PacketKind, Wanted
from observer.model.time import SECOND
from observer.sinks.html_packets import PacketWords
from observer.sources.census import Census
from observer.sources.packets import located
from observer.wire import pcapng

CAPTURE = next(case for case in cases() if case.name == "check_failed/original_bug").captures["m2"]


def tshark(path, *words):
    done = subprocess.run(
        ("tshark", "-r", path, "-T", "fields", "-e", "frame.number", "-e", "frame.time_epoch", "-e", "vrrp.prio", *words),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    rows = [row.split("\t") for row in done.stdout.splitlines()]
    return [(int(number), int(time.replace(".", "")), priority) for number, time, priority in rows]


def find(path, times, seconds=(), ahead=0, node="m1"):
    return located([Census(str(path), node)], Wanted(set(times), set(seconds)), {node: ahead})


def check_against_tshark(path):
    rows = tshark(path)
    by_time = defaultdict(list)
    for number, time, _ in rows:
        by_time[time].append(number)
    found = find(path, by_time)
    adverts = [(number, time) for number, time, priority in rows if priority]
    assert adverts
    for number, time in adverts:
        packet = found.at(time, "m1")
        assert (packet.kind, packet.number in by_time[time]) == (PacketKind.ADVERT, True), number
    assert [found.at(time, "m1").number for number, time in adverts if len(by_time[time]) == 1] == [
        number for number, time in adverts if len(by_time[time]) == 1
    ]
    return rows


def test_of_a_capture():
    check_against_tshark(CAPTURE)


def test_of_a_compressed_one(tmp_path):
    path = tmp_path / "one.pcap.gz"
    octets = CAPTURE.read_bytes()
    path.write_bytes(octets if octets[:2] == b"\x1f\x8b" else gzip.compress(octets))
    check_against_tshark(path)


def test_of_pcapng(tmp_path):
    path = tmp_path / "one.pcapng"
    subprocess.run(("editcap", "-F", "pcapng", CAPTURE, path), check=True, capture_output=True, timeout=60)
    check_against_tshark(path)


def test_journal_entries_among_frames_are_counted(tmp_path):
    """A capture that is no recording: a journal's lines stand between the frames, and Wireshark numbers them too."""
    adverts = [item for item in Trace().adverts(A, 100, 0, 5).items if isinstance(item, Advert)]
    octets = pcapng.section("", "") + pcapng.interface("eth0", "")
    for advert in adverts:
        frame = frame_of(advert)
        octets += pcapng.packet(0, advert.time, frame, len(frame), outgoing=False, comments=[])
        octets += pcapng.journal({"__REALTIME_TIMESTAMP": str(advert.time // 1000), "MESSAGE": "a line"})
    path = tmp_path / "mixed.pcapng"
    path.write_bytes(octets)
    rows = tshark(path)
    assert len(rows) == 10
    found = find(path, {advert.time for advert in adverts})
    assert [found.at(advert.time, "m1").number for advert in adverts] == [1, 3, 5, 7, 9]
    assert [number for number, _, priority in rows if priority] == [1, 3, 5, 7, 9]


@pytest.fixture
def recording(tmp_path):
    trace = Trace().source(-1).address(-0.5, present=True, initial=True)
    trace.adverts(A, 100, 0, 20).adverts(B, 90, 22.65, 70).address(22.66, present=True)
    for number in range(400):
        trace.orphaned(B, f"198.51.100.{number % 250}", 23 + number / 1000, client_port=30000 + number)
    items, frames = captured(trace.observations())
    tape, flaps = recorded(items, before=60, after=90, frames=frames)
    path = tmp_path / "vrrp-m1.pcapng"
    path.write_bytes(tape.done[0])
    return path, flaps, items


def test_of_a_recording_with_its_entries(recording):
    path, _, items = recording
    rows = check_against_tshark(path)
    change = next(item for item in items if type(item).__name__ == "AddressChange" and not item.initial)
    packet = find(path, {change.time}).at(change.time, "m1")
    assert packet.kind is PacketKind.ENTRY
    assert rows[packet.number - 1][1] // 1000 == change.time // 1000
    many = [item for item in items if type(item).__name__ == "TcpSegments"]
    last = int(many[-1].times[-1])
    assert find(path, {last}).at(last, "m1").kind is PacketKind.CONTROL


def test_the_clock_that_was_put_right(recording):
    path, _, items = recording
    advert = next(item for item in items if isinstance(item, Advert))
    here = find(path, {advert.time}).at(advert.time, "m1")
    assert find(path, {advert.time - 5 * SECOND}, ahead=5 * SECOND).at(advert.time - 5 * SECOND, "m1") == here


@pytest.mark.parametrize("of", ["capture", "recording"])
def test_what_lies_within_a_second(of, recording):
    path = CAPTURE if of == "capture" else recording[0]
    rows = tshark(path)
    begin = rows[len(rows) // 2][1] // SECOND * SECOND
    found = find(path, (), {begin})
    expected = [number for number, time, _ in rows if begin <= time < begin + SECOND]
    first, last = found.spans["m1"][begin][str(path)]
    # Of a journal entry only an observation counts, and not what was said of it.
    assert expected[0] <= first <= last <= expected[-1]
    assert of == "recording" or (first, last) == (expected[0], expected[-1])


def test_files_are_called_by_what_tells_them_apart(tmp_path):
    for name in ("m0/one.pcap", "m1/one.pcap", "m1/two.pcap"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(CAPTURE.read_bytes())
    censuses = [Census(str(tmp_path / name), name[:2]) for name in ("m0/one.pcap", "m1/one.pcap", "m1/two.pcap")]
    words = PacketWords(located(censuses, Wanted(), {}))
    assert words.captures == [("m0", "m0/one.pcap"), ("m1", "m1/one.pcap"), ("m1", "m1/two.pcap")]
    assert PacketWords(located(censuses[1:], Wanted(), {})).captures == [("m1", "one.pcap"), ("m1", "two.pcap")]


def test_the_report_names_the_packet_and_the_json_does_not(recording, capsys):
    path, flaps, _ = recording
    assert main(["replay", "--format", "html", str(path)]) == 0
    page = capsys.readouterr().out
    number = next(number for number, time, _ in tshark(path) if time == flaps[0].time)
    assert page.count(f"packet {number} of vrrp-m1.pcapng") >= 2, "at the flap's mark and in its evidence"
    assert main(["replay", "--format", "json", str(path)]) == 0
    assert "packet" not in capsys.readouterr().out


def test_standard_input_cannot_be_read_again():
    assert located([Census("-", "m1")], Wanted({1}), {}).files == []
