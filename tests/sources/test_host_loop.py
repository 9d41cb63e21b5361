"""The looks in turn: when each is taken, what of it is told, and what happens when one fails."""

from __future__ import annotations

import time

import pytest

from observer.model.errors import SourceError
from observer.model.host import HostSample, LogEvent, LogKind
from observer.model.observations import SourceChange, SourceState
from observer.model.time import SECOND
from observer.sources.host.loop import REPEAT, RETRY, TROUBLE, Host


class Clock:
    def __init__(self):
        self.now = 1000.0

    def nanoseconds(self):
        return int(self.now * SECOND)

    def seconds(self):
        return self.now


class Stub:
    """A look that gives, or raises, whatever is next; the last for ever."""

    def __init__(self, *answers, name="raw", interval=1.0):
        self.name, self.interval = name, interval
        self.answers = list(answers)
        self.times = []
        self.closed = False

    def look(self, now):
        self.times.append(now / SECOND)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        fields = answer if isinstance(answer, dict) else {"vrrp_queued": answer}
        return [HostSample(time=now, node="m0", source=self.name, **fields)]

    def close(self):
        self.closed = True


def turns(host, clock, seconds):
    """Run the loop for so long, as its thread would."""
    end = clock.now + seconds
    while clock.now < end:
        clock.now += max(0.001, min(host.turn(), end - clock.now))


def built(*looks):
    clock, told = Clock(), []
    return Host("m0", looks, told.append, clock=clock.nanoseconds, monotonic=clock.seconds), clock, told


def samples(told):
    return [each for each in told if isinstance(each, HostSample)]


def states(told):
    return [(each.source, each.state, each.detail) for each in told if isinstance(each, SourceChange)]


def test_each_look_comes_in_its_own_time():
    often, seldom = Stub(0, name="raw"), Stub(0, name="process", interval=5.0)
    host, clock, _ = built(often, seldom)
    turns(host, clock, 20.5)
    assert len(often.times) == 21
    assert len(seldom.times) == 5


def test_what_is_the_same_is_told_once_in_a_while():
    host, clock, told = built(Stub(0))
    turns(host, clock, 3 * REPEAT / SECOND + 0.5)
    assert len(samples(told)) == 4


def test_what_is_new_is_told():
    host, clock, told = built(Stub(0, 0, 4096, 4096, 0))
    turns(host, clock, 5.5)
    assert [each.vrrp_queued for each in samples(told)] == [0, 4096, 0]


def test_small_changes_of_what_always_changes_are_not_new():
    host, clock, told = built(Stub({"established": 100}, {"established": 101}, {"established": 99}, {"established": 200}))
    turns(host, clock, 4.5)
    assert [each.established for each in samples(told)] == [100, 200]


@pytest.mark.parametrize("last", ["ST", "tS"])
def test_a_process_that_works_is_no_trouble_and_one_that_is_stopped_is(last):
    """Seen while it runs, or waits for a disk: a busy proxy would make every look one of many."""
    seen = [{"running": 2, "states": states} for states in ("SS", "RS", "SR", "SD", "IS", "SS", last)]
    look = Stub(*seen, name="process")
    host, clock, told = built(look)
    turns(host, clock, 5.5)
    assert len(look.times) == 6
    assert [each.states for each in samples(told)] == ["SS"]
    turns(host, clock, 3)
    assert [each.states for each in samples(told)] == ["SS", last, last, last]


def test_in_trouble_the_looks_come_at_once_and_everything_is_told():
    look, slow = Stub(0), Stub(0, name="redirect", interval=60.0)
    host, clock, told = built(look, slow)
    turns(host, clock, 4.5)
    before = len(samples(told))
    host.hurry()
    host.turn()
    assert look.times[-1] == clock.now
    turns(host, clock, TROUBLE)
    assert len(samples(told)) - before >= TROUBLE
    assert len(slow.times) == 1


def test_trouble_without_end_does_not_make_it_busy():
    look = Stub(0)
    host, clock, _ = built(look)
    for _ in range(1000):
        host.hurry()
        host.turn()
        clock.now += 0.01
    assert len(look.times) < 20


def test_signs_that_follow_each_other_wake_it_once():
    """A segment full of new routers must not keep the thread awake."""
    host, _, _ = built(Stub(0))
    host.hurry()
    assert host._wake.is_set()
    host.turn()
    host._wake.clear()
    host.hurry()
    assert not host._wake.is_set()


def test_a_look_that_cannot_be_had_is_told_once_and_tried_again_later():
    look = Stub(SourceError("not\npermitted"))
    host, clock, told = built(look)
    turns(host, clock, 3 * RETRY + 0.5)
    assert states(told) == [("raw", SourceState.FAILED, "not permitted")]
    assert len(look.times) == 4


def test_a_look_that_comes_back_is_told():
    host, clock, told = built(Stub(0, OSError(2, "No such file", "/a"), 0))
    turns(host, clock, RETRY + 2.5)
    assert states(told) == [
        ("raw", SourceState.STARTED, ""),
        ("raw", SourceState.FAILED, "No such file: /a"),
        ("raw", SourceState.STARTED, ""),
    ]


def test_whatever_a_look_raises_the_others_go_on():
    well = Stub(0, name="process")
    host, clock, told = built(Stub(ZeroDivisionError("division by zero")), well)
    turns(host, clock, 5.5)
    assert len(well.times) == 6
    assert ("raw", SourceState.FAILED, "ZeroDivisionError: division by zero") in states(told)


def test_what_is_no_sample_is_told_always():
    event = LogEvent(time=1, node="m0", kind=LogKind.STOPPING)

    class Log(Stub):
        def look(self, now):
            self.times.append(now)
            return [event]

    host, clock, told = built(Log(0, name="log"))
    turns(host, clock, 2.5)
    assert told.count(event) == 3


def test_a_thread_that_is_woken_late_says_so(monkeypatch):
    """The clock jumps while the thread waits."""
    clock, told = Clock(), []
    host = Host("m0", [Stub(0, name="pressure")], told.append, clock=clock.nanoseconds, monotonic=clock.seconds)

    def wait(timeout):
        clock.now += timeout + (7 if len(told) < 4 else 0)
        host._stopped = len(told) >= 4
        return False

    monkeypatch.setattr(host._wake, "wait", wait)
    host._work()
    (lag, *_) = [each for each in samples(told) if each.lag is not None]
    assert 6.9 * SECOND < lag.lag < 7.1 * SECOND


def test_it_ends_and_lets_go():
    look = Stub(0)
    host = Host("m0", [look], lambda _: None)
    host.start()
    host.stop()
    assert look.closed
    assert host._thread is not None
    assert not host._thread.is_alive()
    assert time.monotonic() > 0
