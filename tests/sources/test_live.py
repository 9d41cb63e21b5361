"""What waits between the sources and the engine is bounded in octets, and what finds no room is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from traces import EPOCH, A, B, Trace

import observer.sources.live as live_module
from observer.engine.flaps import CONTEST
from observer.model.errors import SourceError
from observer.model.observations import FramesLost, TimePassed
from observer.model.segments import Frames, Tcp, TcpSegments
from observer.model.time import MILLISECOND, SECOND
from observer.sources.live import FRAME, SEGMENT, Live

HOLD_BACK = 250 * MILLISECOND


class Clock:
    now = EPOCH

    def __call__(self):
        return self.now


@pytest.fixture
def live(monkeypatch):
    monkeypatch.setattr(live_module, "WAITING", 100 * SEGMENT)
    made = Live(HOLD_BACK, Clock())
    made.at = made._clock
    return made


def batch(count, time=0, *, frames=False):
    trace = Trace()
    for _ in range(count):
        trace.tcp(A, B, Tcp.RST, 0, ports=(6443, 5000))
    made = replace(trace.segments(), times=np.full(count, EPOCH + time))
    if not frames:
        return made
    numbers, nothing = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    octets = np.zeros(0, np.uint8)
    kept = {"octets": octets, "offsets": numbers, "lengths": numbers, "original_lengths": numbers, "outgoing": nothing}
    return replace(made, frames=Frames(**kept, linktype=1))


def handed_on(live, now):
    """What the stream gives until it has given everything that is due."""
    live.at.now = EPOCH + now
    stream, found = live.stream(lambda: None), []
    for item in stream:
        if isinstance(item, TimePassed):
            return found
        found.append(item)
    raise AssertionError("the stream ended")


def told(found):
    return [(item.source, item.node, item.count) for item in found if isinstance(item, FramesLost)]


def segments(found):
    return sum(len(item) for item in found if isinstance(item, TcpSegments))


def test_segments_that_find_no_room_are_told_as_lost(live):
    for count in (60, 40, 1, 7):
        live.deliver(batch(count))
    assert segments(handed_on(live, SECOND)) == 100
    live.deliver(batch(1, SECOND))
    assert told(handed_on(live, 2 * SECOND)) == [("segments", batch(1).node, 8)]
    live.deliver(batch(1, 3 * SECOND))
    assert told(handed_on(live, 4 * SECOND)) == []


def test_room_is_free_again_when_segments_were_handed_on(live):
    for number in range(10):
        live.deliver(batch(100, number * SECOND))
        found = handed_on(live, (number + 1) * SECOND)
        assert (segments(found), told(found)) == (100, [])


def test_what_is_held_back_takes_room(live):
    live.deliver(batch(100))
    assert handed_on(live, 100 * MILLISECOND) == []
    live.deliver(batch(1, 100 * MILLISECOND))
    assert segments(handed_on(live, SECOND)) == 100


def test_kept_frames_take_more_room(live):
    most = 100 * SEGMENT // (SEGMENT + FRAME)
    live.deliver(batch(most + 1, frames=True))
    live.deliver(batch(most, frames=True))
    assert segments(handed_on(live, SECOND)) == most


def test_other_observations_always_find_room(live):
    live.deliver(batch(100))
    loss = FramesLost(time=EPOCH, node="m0", source="adverts", count=3)
    live.deliver(loss)
    assert loss in handed_on(live, SECOND)


def test_a_batch_that_found_the_queue_full_takes_no_room_and_is_lost(live, monkeypatch):
    monkeypatch.setattr(live_module, "QUEUED", 2)
    small = Live(HOLD_BACK, live.at)
    small.at = live.at
    for _ in range(5):
        small.deliver(batch(20))
    assert segments(handed_on(small, SECOND)) == 40
    small.deliver(batch(100, SECOND))
    assert small.dropped == 0
    assert told(small._merger.flush()) == [("segments", batch(1).node, 60)]
    assert segments(handed_on(small, 2 * SECOND)) == 100


class Bell:
    """In place of the lock that the stream sleeps on: time passes at once, or somebody delivers meanwhile."""

    def __init__(self, live, *deliveries):
        self.live, self.deliveries, self.slept = live, list(deliveries), []

    def acquire(self, timeout):
        self.slept.append(timeout)
        if self.deliveries:
            self.live.deliver(self.deliveries.pop(0))
            return True
        self.live.at.now += int(timeout * SECOND)
        return False

    def release(self):
        pass


def test_what_arrives_is_only_noted_until_it_is_due(live):
    """To be told that time passed costs the engine and the agent more than a look at the clock."""
    live._bell = bell = Bell(live, batch(1))
    stream = live.stream(lambda: None)
    found = [next(stream), next(stream)]
    assert [type(item) for item in found] == [TcpSegments, TimePassed]
    assert bell.slept == [1.0, pytest.approx(0.25 + live_module.REST)]


def test_a_flood_is_handed_on_sooner(live, monkeypatch):
    """The room is for what has to be held back."""
    monkeypatch.setattr(live_module, "FULL", live_module.SEGMENT)
    live._bell = bell = Bell(live, batch(1))
    stream = live.stream(lambda: None)
    assert [type(next(stream)), type(next(stream))] == [TcpSegments, TimePassed]
    assert bell.slept == [1.0, pytest.approx(0.25 + live_module.REST / 2)]


def test_no_verdict_waits_for_what_is_due_next():
    assert CONTEST > live_module.REST * SECOND


def test_what_follows_closely_is_handed_on_together(live):
    for time in (0, 40 * MILLISECOND, 200 * MILLISECOND):
        live._merger.push(batch(1, time))
    live._bell = Bell(live)
    stream = live.stream(lambda: None)
    found = [next(stream) for _ in range(5)]
    assert [len(item) if isinstance(item, TcpSegments) else None for item in found] == [1, 1, None, 1, None]


@pytest.mark.parametrize(("back", "ends"), [(0.9, False), (1.1, True), (3600, True)], ids=["a little", "more", "an hour"])
def test_a_clock_that_is_set_back_ends_the_stream_and_nothing_waits_for_it_to_return(live, back, ends):
    """As after a virtual machine was put back, or the time was first asked for."""
    live.deliver(batch(1))
    live._bell = Bell(live)
    stream = live.stream(lambda: None)
    assert [type(next(stream)) for _ in range(3)] == [TimePassed, TcpSegments, TimePassed]
    held = batch(1, SECOND)
    live.deliver(held)
    live.at.now -= int(back * SECOND)
    if not ends:
        assert held in [next(stream) for _ in range(5)]
        return
    assert next(stream) == held
    with pytest.raises(SourceError, match="set back by"):
        next(stream)
