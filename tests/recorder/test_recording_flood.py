"""A flood for minutes: memory and files stay bounded, and every flap that closes in it can be replayed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recorder.tape import replayed, said
from traces import A, B, Tcp, Trace

from observer.engine.engine import Engine
from observer.model.time import SECOND
from observer.run import run
from observer.sinks import recorder as recorders
from observer.sinks.recorder import Recorder
from observer.sinks.recording_files import Limits, RecordingFiles
from observer.sinks.report import Report

RATE = 3_000
"""A second. Limits are made as much smaller as it is below a million."""
SCALE = 1_000_000 // RATE
SIZE = 2_500_000
"""Of a file: the engine's memory does not shrink with the rate."""


@pytest.fixture(autouse=True)
def _smaller(monkeypatch):
    monkeypatch.setattr(recorders, "WEIGHT", recorders.WEIGHT // SCALE)
    monkeypatch.setattr(recorders, "CALM", recorders.CALM // SCALE)
    monkeypatch.setattr(recorders, "FILLED", 600 * SECOND)


def resets(begin, seconds, seed):
    """Resets of connections to the address that nobody has, evenly, in batches of a hundredth of a second."""
    dice = np.random.default_rng(seed)
    one = Trace().tcp("192.0.2.100", "198.51.100.7", Tcp.RST, 0, ports=(6443, 40000)).segments()
    for hundredth in range(seconds * 100):
        count = RATE // 100
        times = one.time + int((begin + hundredth / 100) * SECOND) + np.arange(count) * (SECOND // RATE)
        yield replace(
            one.rows(np.zeros(count, np.int64)),
            times=times,
            destination_ports=dice.integers(1024, 65535, count).astype(np.uint16),
            sequence=dice.integers(0, 2**32, count).astype(np.uint32),
        )


def story():
    """Two flaps, the second while the first is open; the flood begins before both and ends long after they closed."""
    trace = Trace().source(-1).adverts(A, 100, 0, 30).adverts(B, 90, 33.65, 20).adverts(A, 100, 57.3, 170)
    trace.arp(B, 33.66).arp(A, 57.31)
    trace.passed(228)
    return sorted([*trace.observations(), *resets(10, 115, 1)], key=lambda item: item.time)


def kept(sink):
    return sum(chapter.weight for chapter in sink._chapters)


@pytest.mark.slow
@pytest.mark.parametrize("always", [False, True])
def test_the_law_holds_in_a_flood_and_few_files_are_written(always, tmp_path):
    files = RecordingFiles(str(tmp_path), "m1", Limits(size=SIZE, count=50), lambda *_: None)
    files.start()
    engine, report = Engine(), Report()
    sink = Recorder(engine, files, before=60 * SECOND, after=60 * SECOND, always=always)
    most = 0

    def watched():
        nonlocal most
        for item in story():
            yield item
            most = max(most, kept(sink))

    run(watched(), engine, [report, sink])
    sink.close()
    files.stop()
    told = said(report.flaps)
    assert len(told) == 2
    paths = sorted(tmp_path.iterdir())
    again = {}
    for path in paths:
        assert path.stat().st_size <= SIZE
        again |= {name: flap for name, flap in said(replayed(path)).items() if flap == told.get(name)}
    assert again == told
    assert len(paths) <= 12
    assert most <= 2 * recorders.WEIGHT + RATE // 100 + 100


def test_a_flood_is_not_followed_by_one_more_memory_for_each_full_chapter(monkeypatch, tmp_path):
    """The engine's memory costs tens of milliseconds to write down: at most one a second, whatever comes."""
    taken = []
    monkeypatch.setattr(recorders, "remember", lambda engine: taken.append(engine) or "{}")
    files = RecordingFiles(str(tmp_path), "m1", Limits(), lambda *_: None)
    engine = Engine()
    sink = Recorder(engine, files, before=60 * SECOND, after=60 * SECOND)
    run([*Trace().source(-1).items, *resets(0, 12, 2)], engine, [sink])
    assert 6 <= len(taken) <= 13
