"""The merge: any order of delivery within the hold-back is sorted order, for one stream and for several, live and from files."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from traces import EPOCH, A, B, Trace

import observer.sources.live as live_module
from observer.model.observations import Advert, FramesLost, TimePassed
from observer.model.segments import Tcp, TcpSegments
from observer.model.time import MILLISECOND, SECOND
from observer.sources.live import Live
from observer.sources.merge import HOLD_BACK, Merger, merged

MODEL = Trace().advert(A, 100, 0).items[0]


def advert(time, router=A, ident=1):
    return replace(MODEL, time=EPOCH + time, router=router, ident=ident)


def batch(times, port=1):
    trace = Trace()
    for index in range(len(times)):
        trace.tcp(A, B, Tcp.SYN, 0, ports=(port, index % 65536))
    return replace(trace.segments(), times=np.array(sorted(times), dtype=np.int64) + EPOCH)


def rows(items):
    """(time, what) of every observation, a segment each; the passing of time left out."""
    for item in items:
        if isinstance(item, TcpSegments):
            ports = zip(item.source_ports.tolist(), item.destination_ports.tolist(), strict=True)
            yield from ((time - EPOCH, "segment", *pair) for time, pair in zip(item.times.tolist(), ports, strict=True))
        elif isinstance(item, Advert):
            yield item.time - EPOCH, "advert", item.router, item.ident


def is_ordered(items):
    times = [row[0] for row in rows(items)]
    return times == sorted(times)


TIMES = st.integers(0, 3 * SECOND)
OBSERVATIONS = st.lists(
    st.one_of(
        st.tuples(TIMES, st.integers(0, HOLD_BACK - 1)).map(lambda pair: (advert(pair[0]), pair[1])),
        st.tuples(st.lists(TIMES, min_size=1, max_size=5), st.integers(1, 60000)).map(lambda pair: (batch(*pair), 0)),
    ),
    max_size=30,
)


@how(max_examples=200, deadline=None)
@given(OBSERVATIONS)
def test_any_delivery_within_the_hold_back_is_sorted_order(deliveries):
    """Each is delivered when it ends or somewhat later; what is due is released in between."""
    merger, seen = Merger(), []
    arrivals = []
    for observation, delay in deliveries:
        # A batch is delivered when its first segment is still within the hold-back.
        first = observation.time
        arrivals.append((first + (delay if isinstance(observation, Advert) else HOLD_BACK - 1), observation))
    for arrival, observation in sorted(arrivals, key=lambda pair: pair[0]):
        merger.push(observation)
        seen += merger.release(arrival - HOLD_BACK)
    seen += merger.flush()
    assert merger.late == 0
    assert len(merger) == 0
    assert is_ordered(seen)
    assert sorted(rows(seen)) == sorted(rows(observation for observation, _ in deliveries))


@how(max_examples=100, deadline=None)
@given(st.lists(TIMES, min_size=1, max_size=20), st.integers(0, 2**16))
def test_the_order_of_delivery_leaves_no_trace(times, seed):
    """Observations of one time too come in an order of their own."""
    observations = [advert(time, router, ident) for time in times for router in (A, B) for ident in (1, 2)]
    observations += [FramesLost(time=EPOCH + time, node="m1", source="capture", count=1) for time in times]
    orders = []
    for number in range(3):
        random.Random(seed + number).shuffle(observations)
        merger = Merger()
        for observation in observations:
            merger.push(observation)
        orders.append(list(merger.flush()))
    assert orders[0] == orders[1] == orders[2]


def test_a_batch_is_cut_where_something_else_falls_into_it():
    merger = Merger()
    merger.push(batch([1, 2, 5, 9]))
    merger.push(advert(4))
    merger.push(batch([3, 6], port=2))
    seen = list(merger.flush())
    assert [type(item).__name__ for item in seen].count("TcpSegments") >= 3
    assert [row[0] for row in rows(seen)] == [1, 2, 3, 4, 5, 6, 9]


def test_segments_come_after_what_else_happened_at_their_time():
    """Wherever the batch begins that they are in: what a segment means may depend on it."""
    for segments in ([batch([1, 5])], [batch([1]), batch([5])]):
        merger = Merger()
        for item in (*segments, advert(5)):
            merger.push(item)
        assert [row[:2] for row in rows(merger.flush())] == [(1, "segment"), (5, "advert"), (5, "segment")]


def test_a_batch_waits_for_the_part_that_is_due():
    merger = Merger()
    merger.push(batch([1, 2, 5, 9]))
    assert [row[0] for row in rows(merger.release(EPOCH + 4))] == [1, 2]
    assert merger.head == EPOCH + 5
    assert [row[0] for row in rows(merger.release(EPOCH + 8))] == [5]
    assert [row[0] for row in rows(merger.release(EPOCH + 9))] == [9]
    assert (len(merger), merger.head, merger.late) == (0, None, 0)


def test_what_comes_late_is_counted_and_moved():
    merger = Merger()
    assert list(merger.release(EPOCH + 100)) == []
    merger.push(advert(99))
    merger.push(batch([50, 98, 150]))
    merger.push(advert(100))
    seen = list(merger.flush())
    assert merger.late == 2
    assert [row[0] for row in rows(seen)] == [100, 100, 100, 100, 150]


@how(max_examples=100, deadline=None)
@given(OBSERVATIONS, st.lists(st.integers(0, 3 * SECOND), max_size=10))
def test_however_late_nothing_is_lost_and_time_never_goes_back(deliveries, releases):
    merger, seen = Merger(), []
    for number, (observation, _) in enumerate(deliveries):
        merger.push(observation)
        if number < len(releases):
            seen += merger.release(EPOCH + releases[number])
    seen += merger.flush()
    assert is_ordered(seen)
    assert sorted(row[1:] for row in rows(seen)) == sorted(row[1:] for row in rows(item for item, _ in deliveries))


TENTH = st.integers(0, 100 * MILLISECOND)
NEARLY_ORDERED = st.lists(
    st.one_of(
        st.tuples(TIMES, TENTH).map(lambda pair: (advert(pair[0]), pair[1])),
        st.tuples(TIMES, st.lists(TENTH, min_size=1, max_size=5)).map(
            lambda pair: (batch([pair[0] + offset for offset in pair[1]]), 0)
        ),
    ),
    max_size=30,
)


@how(max_examples=150, deadline=None)
@given(st.lists(NEARLY_ORDERED, max_size=4), st.integers(1, 5))
def test_several_streams_are_one_sorted_stream(streams, size):
    """Each stream is nearly in order, as a capture file is."""
    nearly = [
        [item for item, _ in sorted(stream, key=lambda pair: pair[0].time + pair[1])] if stream else [] for stream in streams
    ]
    chunked = [iter([stream[at : at + size] for at in range(0, len(stream), size)]) for stream in nearly]
    seen = list(merged(chunked))
    assert sorted(rows(seen)) == sorted(rows(item for stream in nearly for item in stream))
    assert is_ordered(seen)


@how(max_examples=60, deadline=None)
@given(st.lists(TIMES, max_size=30), st.integers(1, 4), st.integers(0, 2**16))
def test_how_a_stream_is_dealt_out_does_not_matter(times, count, seed):
    dice, everything = random.Random(seed), sorted((advert(time) for time in times), key=lambda item: item.time)
    dealt = [[] for _ in range(count)]
    for item in everything:
        dealt[dice.randrange(count)].append([item])
    assert list(merged([iter(stream) for stream in dealt])) == everything


def test_a_stream_that_lags_is_read_first_and_nothing_is_read_ahead_of_it():
    """Memory is bounded by the hold-back and a batch, not by the files."""
    taken = {"fast": 0, "slow": 0}

    def stream(name, step):
        for number in range(100):
            taken[name] += 1
            yield [advert(number * step)]

    furthest = 0
    for _ in merged([stream("fast", SECOND), stream("slow", SECOND)]):
        furthest = max(furthest, abs(taken["fast"] - taken["slow"]))
    assert furthest <= 2


def test_an_empty_stream_and_none():
    assert list(merged([])) == []
    assert list(merged([iter([]), iter([[advert(1)]]), iter([[]])])) == [advert(1)]


# Live


class Clock:
    def __init__(self):
        self.now = EPOCH

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_live_holds_back_and_tells_the_time(clock):
    live = Live(250 * MILLISECOND, clock)
    stream = live.stream(lambda: None)
    live.deliver(advert(100 * MILLISECOND))
    live.deliver(advert(50 * MILLISECOND))
    clock.now = EPOCH + 200 * MILLISECOND
    assert next(stream) == TimePassed(EPOCH - 50 * MILLISECOND)
    clock.now = EPOCH + 300 * MILLISECOND
    assert [next(stream), next(stream)] == [advert(50 * MILLISECOND), TimePassed(EPOCH + 50 * MILLISECOND)]
    clock.now = EPOCH + 350 * MILLISECOND
    assert [next(stream), next(stream)] == [advert(100 * MILLISECOND), TimePassed(EPOCH + 100 * MILLISECOND)]
    live.deliver(advert(99 * MILLISECOND))
    assert next(stream) == advert(100 * MILLISECOND)
    assert (live.late, live.dropped) == (1, 0)


def test_live_wakes_for_a_deadline_of_the_engine(clock):
    """Long before the second that it would wait otherwise."""
    live = Live(250 * MILLISECOND, clock)
    clock.now = EPOCH + SECOND
    stream = live.stream(lambda: EPOCH + 750 * MILLISECOND)
    assert next(stream) == TimePassed(EPOCH + 750 * MILLISECOND)


def test_live_ends_after_what_was_delivered(clock):
    live = Live(250 * MILLISECOND, clock)
    for when in (5 * SECOND, SECOND, 3 * SECOND):
        live.deliver(advert(when))
    live.stop()
    seen = [item for item in live.stream(lambda: None) if isinstance(item, Advert)]
    assert seen == [advert(SECOND), advert(3 * SECOND), advert(5 * SECOND)]


def test_live_never_blocks_a_source(clock, monkeypatch):
    monkeypatch.setattr(live_module, "QUEUED", 3)
    live = Live(250 * MILLISECOND, clock)
    for number in range(5):
        live.deliver(advert(number))
    assert live.dropped == 2


def test_live_stops_though_its_queue_is_full(clock, monkeypatch):
    """The agent's signal handler calls it, in the thread that would make room."""
    monkeypatch.setattr(live_module, "QUEUED", 3)
    live = Live(250 * MILLISECOND, clock)
    for number in range(5):
        live.deliver(advert(number))
    live.stop()
    assert len([item for item in live.stream(lambda: None) if isinstance(item, Advert)]) == 3


def test_live_stops_though_its_sources_never_rest(clock):
    live = Live(250 * MILLISECOND, clock)
    clock.now = EPOCH + SECOND
    live.deliver(advert(0))
    for item in live.stream(lambda: EPOCH):
        live.deliver(advert(0))
        if isinstance(item, TimePassed):
            live.stop()


@pytest.fixture
def live_now():
    """With the machine's clock, which is long past the trace; a signal stops it, as in the agent."""
    live = Live(0)
    before = signal.signal(signal.SIGUSR1, lambda *_: live.stop())
    yield live
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    "wake",
    [lambda live: live.deliver(advert(0)), lambda _: os.kill(os.getpid(), signal.SIGUSR1)],
    ids=["something arrives", "it is stopped by a signal"],
)
def test_live_is_woken(live_now, wake):
    """With nothing to wait for it sleeps a second."""
    began = time.monotonic()
    source = threading.Timer(0.1, wake, [live_now])
    source.start()
    next(live_now.stream(lambda: None), None)
    assert 0.1 < time.monotonic() - began < 0.8
    source.join()


@how(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TIMES, st.integers(0, HOLD_BACK - 1)), min_size=1, max_size=20))
def test_live_is_replay(deliveries):
    """With a clock that stands where the next delivery comes in, the stream is in order and nothing is late."""
    clock = Clock()
    live = Live(HOLD_BACK, clock)
    pending = sorted(((EPOCH + time + delay, advert(time)) for time, delay in deliveries), key=lambda pair: pair[0])
    end = pending[-1][0] + HOLD_BACK
    seen = []
    # A deadline that is over, so that it never sleeps.
    stream = live.stream(lambda: 0)
    while True:
        if pending:
            clock.now, observation = pending.pop(0)
            live.deliver(observation)
        else:
            clock.now = end
            live.deliver(advert(end - EPOCH))
        for item in stream:
            if isinstance(item, TimePassed):
                assert item.time == clock.now - HOLD_BACK
                break
            assert item.time <= clock.now - HOLD_BACK
            seen.append(item)
        if clock.now == end:
            break
    assert live.late == 0
    assert seen == sorted((advert(time) for time, _ in deliveries), key=lambda item: item.time)
