"""The law: what a recorder wrote, replayed, gives the same flaps to the byte, however long ago what they rest on was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine.test_engine_laws import tellings, traffic
from hypothesis import Phase, given
from hypothesis import settings as how
from hypothesis import strategies as st
from recorder.tape import captured, observations, recorded, replayed, said
from rules.stories import STORIES, random_setting
from traces import A, B, Tcp, Trace

from observer.engine.engine import Engine
from observer.engine.memory import recall, remember
from observer.model.observations import Family, TimePassed
from observer.model.segments import TcpSegments
from observer.model.time import SECOND
from observer.run import run
from observer.sinks import recorder, recording
from observer.sinks.report import Report

WHOLE = (Phase.explicit, Phase.reuse, Phase.generate)
"""Making a whole story smaller takes minutes, and tells little."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module", autouse=True)
def _short_chapters():
    before, recorder.CHAPTER = recorder.CHAPTER, 4 * SECOND
    yield
    recorder.CHAPTER = before


def check(tape, flaps, directory):
    """Each recording says of the flaps that closed in it what the engine said, and all flaps closed in one of them."""
    told, path = said(flaps), directory / "one.pcapng"
    for octets, closed in zip(tape.done, tape.closed, strict=True):
        path.write_bytes(octets)
        again = said(replayed(path))
        assert {name: again.get(name) for name in said(closed)} == {name: told[name] for name in said(closed)}
    assert {name for closed in tape.closed for name in said(closed)} == told.keys()


def watched(trace):
    """With a source that listens, as every live stream has."""
    trace.source(-0.5)
    return trace


@how(max_examples=40, deadline=None, phases=WHOLE)
@given(tellings(), st.integers(1, 30), st.integers(0, 10), st.booleans())
def test_a_recording_replays_to_the_same_flaps(directory, trace, before, after, always):
    tape, flaps = recorded(watched(trace).observations(), before=before, after=after, always=always)
    check(tape, flaps, directory)


@how(max_examples=20, deadline=None, phases=WHOLE)
@given(tellings(), st.integers(1, 30), st.integers(0, 1000))
def test_so_does_one_made_of_frames(directory, trace, before, seed):
    if trace.family is Family.IPV4:
        traffic(trace, seed)
    items, frames = captured(watched(trace).observations())
    tape, flaps = recorded(items, before=before, frames=frames)
    check(tape, flaps, directory)


@how(max_examples=15, deadline=None, phases=WHOLE)
@given(tellings(), st.integers(0, 3))
def test_so_does_one_that_fills_file_after_file(directory, trace, every):
    """A file that is full goes on in another, in the middle of a flap."""
    engine, tape, report = Engine(), recorder_tape(every), Report()
    sink = recorder.Recorder(engine, tape, before=10 * SECOND, after=SECOND)
    run(watched(trace).observations(), engine, [report, sink])
    sink.close()
    check(tape, report.flaps, directory)


def recorder_tape(every):
    from recorder.tape import Tape

    class Filling(Tape):
        count = 0

        @property
        def full(self):
            type(self).count += 1
            return self.count % (17 + every) == 0

        @full.setter
        def full(self, value):
            pass

    return Filling()


@how(max_examples=30, deadline=None, phases=WHOLE)
@given(tellings(), st.floats(0, 1))
def test_an_engine_that_remembers_goes_on_as_if_nothing_had_been(trace, where):
    items = [item for item in trace.observations() if not isinstance(item, TimePassed)]
    place = int(len(items) * where)
    one = Engine()
    for item in items[:place]:
        one.observe(item)
    other = recall(remember(one))
    events = [(one.observe(item), other.observe(item)) for item in items[place:]]
    events.append((one.finish(), other.finish()))
    assert [mine for mine, _ in events] == [theirs for _, theirs in events]


def test_what_no_recording_holds_still_counts(directory):
    """The last flap of the priority was an hour ago: only the engine's memory knows of it."""
    trace = watched(Trace())
    trace.adverts(A, 100, 0, 10).adverts(A, 60, 10, 3600)
    trace.adverts(B, 90, 3613.65, 80)
    tape, flaps = recorded(trace.observations(), before=20)
    assert [flap.verdict.cause for flap in flaps]
    check(tape, flaps, directory)
    [octets] = tape.done
    assert len(octets) < 300_000


class Configured:
    """A configuration that answers otherwise each time it is asked: somebody edits it."""

    asked = 0

    def step(self, _node, _router, before, after):
        self.asked += 1
        return ((f"check_{before}_{after}_{self.asked}",),)

    def faulting(self, _node, _router):
        self.asked += 1
        return (f"script_{self.asked}",)

    def named(self, _node, _router):
        self.asked += 1
        return (f"VI_{self.asked}", "eth0")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["check_failed", "fault"])
def test_what_the_configuration_answered_is_answered_again(name, seed, directory):
    """Only the live agent has the node's configuration, which holds the passwords: the recording has what it said."""
    setting = replace(random_setting(seed, clear=True), vantage="former", family=Family.IPV4)
    trace = setting.trace()
    STORIES[name](setting, trace)
    trace.address(-0.4, present=True, initial=True, address=A)
    tape, flaps = recorded(watched(trace).observations(), before=10, explain=Configured())
    assert flaps[0].verdict.check is not None
    check(tape, flaps, directory)


# Segments


@how(max_examples=40, deadline=None, phases=WHOLE)
@given(st.integers(0, 10_000), st.integers(1, 400), st.booleans())
def test_segments_come_back_as_they_were_in_the_batches_that_they_were(directory, seed, count, together):
    trace = Trace().source(-1)
    traffic(trace.adverts(A, 100, 0, 3), seed, count)
    trace.items = trace.items[:1]
    whole = trace.segments()
    cuts = (
        [len(whole)] if together else sorted({*np.random.default_rng(seed).integers(1, len(whole) + 1, 5).tolist(), len(whole)})
    )
    batches = [whole.rows(slice(begin, end)) for begin, end in zip([0, *cuts], cuts, strict=False)]
    tape, _ = recorded([trace.items[0], *batches], always=True)
    path = directory / "segments.pcapng"
    path.write_bytes(tape.done[-1])
    again = [item for item in observations(path) if isinstance(item, TcpSegments)]
    assert [len(batch) for batch in again] == [len(batch) for batch in batches]
    for mine, theirs in zip(batches, again, strict=True):
        for name in ("times", "sources", "destinations", "source_ports", "destination_ports", "flags", "sequence",
                     "acknowledgement", "windows", "payloads", "macs"):  # fmt: skip
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name


def test_a_flood_is_kept_as_columns_at_a_few_octets_a_segment(directory):
    dice = np.random.default_rng(1)
    count = 50_000
    one = Trace().tcp("198.51.100.7", "192.0.2.100", Tcp.SYN, 0, ports=(40000, 6443)).segments()
    flood = one.rows(np.zeros(count, dtype=np.int64))
    flood = replace(
        flood,
        times=np.sort(dice.integers(0, SECOND, count)) + one.time,
        source_ports=dice.integers(1024, 65535, count).astype(np.uint16),
        sequence=dice.integers(0, 2**32, count).astype(np.uint32),
    )
    start = Trace().source(-1).items[0]
    tape, _ = recorded([start, *(flood.rows(slice(at, at + 4096)) for at in range(0, count, 4096))], always=True)
    path = directory / "flood.pcapng"
    path.write_bytes(tape.done[-1])
    again = [item for item in observations(path) if isinstance(item, TcpSegments)]
    assert np.array_equal(np.concatenate([batch.sequence for batch in again]), flood.sequence)
    assert len(tape.done[-1]) < 16 * count
    assert count > recording.PACKETS
