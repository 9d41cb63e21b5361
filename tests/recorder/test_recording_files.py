"""Recordings on disk: named and limited, readable by few; a full disk or a crash costs one of them, and never the agent."""

from __future__ import annotations

import os
import stat
import threading
import time

import pytest
from recorder.tape import observations
from traces import A, Trace

from observer.model.errors import SourceError
from observer.model.observations import Advert, FramesLost, SourceState
from observer.sinks import recording_files
from observer.sinks.recorder import Chapter
from observer.sinks.recording_files import Limits, RecordingFiles


class Told(list):
    """What the files said of themselves."""

    def __call__(self, state, detail):
        self.append((state, detail))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def make(tmp_path, told):
    made = []

    def build(limits=None, node="m1"):
        files = RecordingFiles(str(tmp_path / "recordings"), node, limits or Limits(), told)
        files.start()
        made.append(files)
        return files

    yield build
    for files in made:
        files.stop()


def adverts(count):
    return [(item, None) for item in Trace().source(-1).adverts(A, 100, 0, count).items]


def chapter(entries=()):
    return Chapter(begin=1_795_000_000 * 10**9, memory=None, state=(), interface="eth0", entries=list(entries))


def write(files, count, *, at=0):
    entries = adverts(count)
    files.begin(1_795_000_000 * 10**9 + at * 10**9, "a test", [chapter(entries[:2])])
    for entry in entries[2:]:
        files.add(entry)
    files.end("it was enough")


def names(tmp_path):
    return sorted(path.name for path in (tmp_path / "recordings").iterdir())


def test_a_recording_is_complete_when_it_has_its_name_and_few_may_read_it(make, tmp_path, told):
    files = make()
    write(files, 5)
    files.stop()
    [path] = (tmp_path / "recordings").iterdir()
    assert path.name == "vrrp-m1-20261118T110640.000000000Z.pcapng"
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0
    assert [type(item) for item in observations(path)].count(Advert) == 5
    assert told == [(SourceState.STARTED, str(tmp_path / "recordings"))]


def test_under_way_it_has_another_name(make, tmp_path):
    files = make()
    files.begin(10**18, "a test", [chapter(adverts(3))])
    _wait(lambda: names(tmp_path) == ["vrrp-m1-20010909T014640.000000000Z.pcapng.part"])
    files.end("it was enough")
    files.stop()
    assert names(tmp_path) == ["vrrp-m1-20010909T014640.000000000Z.pcapng"]


def test_it_ends_at_its_size_and_says_so(make, tmp_path):
    files = make(Limits(size=20_000))
    write(files, 200)
    files.stop()
    [path] = (tmp_path / "recordings").iterdir()
    assert path.stat().st_size <= 20_000
    assert b"it was cut at its size" in path.read_bytes()
    assert files.full


def test_the_oldest_go_where_there_are_too_many_and_others_files_stay(make, tmp_path):
    files = make(Limits(count=3))
    others = ["notes.txt", "vrrp-other-20261118T110640.000000000Z.pcapng", "vrrp-m1-by-hand.pcap"]
    for name in others:
        (tmp_path / "recordings" / name).touch()
    for number in range(5):
        write(files, 3, at=number)
    files.stop()
    assert [name for name in names(tmp_path) if name not in others] == [
        f"vrrp-m1-20261118T11064{number}.000000000Z.pcapng" for number in (2, 3, 4)
    ]
    assert set(others) <= set(names(tmp_path))


def test_those_that_are_too_old_go_at_the_start(make, tmp_path):
    make().stop()
    old = tmp_path / "recordings" / "vrrp-m1-20201118T110640.000000000Z.pcapng"
    old.touch()
    os.utime(old, (10**9, 10**9))
    make(Limits(age=3600))
    assert names(tmp_path) == []


def test_what_a_crash_left_is_completed_at_the_next_start(make, tmp_path):
    files = make()
    write(files, 20)
    files.stop()
    [path] = (tmp_path / "recordings").iterdir()
    whole = observations(path)
    octets = path.read_bytes()
    path.unlink()
    path.with_name(path.name + ".part").write_bytes(octets[: len(octets) * 2 // 3 + 1])
    make()
    assert names(tmp_path) == [path.name]
    again = observations(path)
    assert 5 < len(again) < len(whole)
    assert again[:-1] == whole[: len(again) - 1]


def test_a_full_disk_costs_the_recording_under_way_and_is_told_once(make, tmp_path, told, monkeypatch):
    files = make()
    fails = threading.Event()
    fails.set()
    real = os.fdopen

    def full(handle, mode):
        stream = real(handle, mode)
        if not fails.is_set():
            return stream

        class Full:
            def write(self, _octets):
                raise OSError(28, "No space left on device")

            def close(self):
                stream.close()

        return Full()

    monkeypatch.setattr(recording_files.os, "fdopen", full)
    write(files, 5)
    write(files, 5, at=1)
    _wait(lambda: len(told) == 2)
    fails.clear()
    write(files, 5, at=2)
    files.stop()
    assert names(tmp_path) == ["vrrp-m1-20261118T110642.000000000Z.pcapng"]
    assert [state for state, _ in told] == [SourceState.STARTED, SourceState.FAILED, SourceState.STARTED]
    assert "No space left on device" in told[1][1]


def test_a_directory_that_went_away_costs_no_more(make, tmp_path, told):
    files = make()
    (tmp_path / "recordings").rmdir()
    write(files, 5)
    _wait(lambda: len(told) == 2)
    (tmp_path / "recordings").mkdir()
    write(files, 5)
    files.stop()
    assert len(names(tmp_path)) == 1


def test_a_slow_disk_holds_up_nobody_and_what_was_left_out_is_told(make, tmp_path, monkeypatch):
    """While the disk stands still, adding returns at once; the recording says how much is missing, and where."""
    monkeypatch.setattr(recording_files, "WAITING", 17 * 50)
    gate = threading.Event()
    real = recording_files.RecordingFiles._write

    def slow(self, octets):
        gate.wait(20)
        real(self, octets)

    monkeypatch.setattr(recording_files.RecordingFiles, "_write", slow)
    files = make()
    entries = adverts(240)
    files.begin(10**18, "a test", [chapter(entries[:1])])
    for entry in entries[1:200]:
        files.add(entry)
    gate.set()
    _wait(lambda: files._waiting == 0)
    for entry in entries[200:]:
        files.add(entry)
    files.end("it was enough")
    files.stop()
    [path] = (tmp_path / "recordings").iterdir()
    found = observations(path)
    [loss] = [item for item in found if isinstance(item, FramesLost)]
    kept = sum(isinstance(item, Advert) for item in found)
    assert loss.source == "recorder"
    assert kept == 1 + 50 + 40
    assert loss.count == 240 - kept


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path, told):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="file/recordings: Not a directory"):
        RecordingFiles(str(tmp_path / "file" / "recordings"), "m1", Limits(), told).start()


def test_a_node_named_with_a_slash_stays_in_the_directory(make, tmp_path):
    files = make(node="../m1")
    write(files, 3)
    files.stop()
    assert names(tmp_path) == ["vrrp-.._m1-20261118T110640.000000000Z.pcapng"]


def _wait(happens, seconds=10):
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
