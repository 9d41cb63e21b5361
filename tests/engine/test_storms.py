"""Flaps that drive each other are a storm with its figures; flaps that merely follow each other are not said to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from traces import VIP, A, B, C, Told, Trace, told

from observer.engine.engine import Engine
from observer.engine.storms import KEPT, TURNS
from observer.model.flaps import StormSeen
from observer.model.observations import Advert
from observer.model.segments import Tcp
from observer.model.time import SECOND
from observer.run import run

SA = Tcp.SYN | Tcp.ACK


def storm(turns, *, period=8.0, wave=50, lag=2.0, after=0.05, waves=lambda _: True, clients=True):
    """The address goes round; each time clients reconnect, and seconds later the new owner's check fails."""
    trace, order, when = Trace(), (A, B, C), 0.0
    trace.adverts(A, 65, 0, 10)
    when, owner = 9.0, 0
    for turn in range(turns):
        low = when + (1.0 if turn == 0 else lag)
        trace.adverts(order[owner], 45, low, 3)
        owner = (owner + 1) % 3
        when = low + 3.766
        trace.adverts(order[owner], 65, when, int(period - 3.766))
        # What the next turn's adverts go on from.
        for number in range(wave if waves(turn) and clients else 2 * clients):
            port, at = 30000 + turn * 200 + number, when + after + number / 100
            trace.orphaned(order[owner], "198.51.100.1", at, client_port=port)
            trace.tcp("198.51.100.1", VIP, Tcp.SYN, at + 0.1, ports=(port + 10000, 6443), sequence=number)
            trace.tcp(VIP, "198.51.100.1", SA, at + 0.101, ports=(6443, port + 10000), by=order[owner], sequence=number)
        when += max(0, int(period - 3.766) - 1)
        when -= lag - 1.0
    return trace.adverts(order[owner], 65, trace.clock + 1, 70)


def storms(trace):
    return [event for event in told(trace.observations()) if isinstance(event, StormSeen)]


def test_a_storm_is_measured_turn_by_turn():
    seen = storms(storm(4))
    assert [event.counts for event in seen] == [True, *[False] * (len(seen) - 1)]
    assert [event.over for event in seen] == [*[False] * (len(seen) - 1), True]
    last = seen[-1].storm
    assert (last.flaps, last.reset, last.refused) == (4, 200, 0)
    assert [(turn.former, turn.current) for turn in last.turns] == [(A, B), (B, C), (C, A), (A, B)]
    assert [turn.resets for turn in last.turns] == [50] * 4
    assert [turn.reconnects for turn in last.turns] == [50] * 4
    assert all(turn.delay is not None and 0 < turn.delay < 5 * SECOND for turn in last.turns[:-1])
    assert last.turns[-1].delay is None
    assert last.driven
    assert "3 of 3 later flaps followed a failed check" in last.statement
    assert "50 to 50 reconnects" in last.statement


def test_what_sets_a_storm_off_does_not_speak_against_the_loop():
    last = storms(storm(6, waves=lambda turn: turn != 0))[-1].storm
    assert last.turns[0].failed is not None
    assert last.turns[0].delay is None
    assert last.driven
    assert "5 of 5 later flaps followed a failed check" in last.statement
    assert "4 of these" in last.statement
    assert last.statement.endswith("; before them 1 without one, perhaps of what set it off")


def test_a_check_that_failed_before_the_wave_did_not_fail_for_it():
    last = storms(storm(5, after=4.6))[-1].storm
    assert any(turn.failed is not None for turn in last.turns)
    assert [turn.delay for turn in last.turns] == [None] * 5
    assert not last.driven


def test_it_is_told_while_it_goes_on():
    seen = storms(storm(5))
    assert [event.storm.flaps for event in seen] == [3, 4, 5, 5]
    assert len({event.storm.id for event in seen}) == 1
    third = seen[0].storm.turns[-1].time
    assert seen[0].time - third <= 5 * SECOND


def two_flaps():
    return storm(2)


def minutes_apart():
    trace = Trace().adverts(A, 65, 0, 10)
    for turn in range(4):
        owner, heir = (A, B) if turn % 2 == 0 else (B, A)
        trace.resign(owner, trace.clock + 0.5).adverts(heir, 65, trace.clock + 0.8, 130)
    return trace


@pytest.mark.parametrize("story", [two_flaps, minutes_apart], ids=lambda story: story.__name__)
def test_what_is_no_storm(story):
    assert storms(story()) == []


def flapping_partition():
    """B claims the addresses again and again, deaf to A; clients reconnect each time."""
    trace = Trace().adverts(A, 65, 0, 80)
    for number in range(4):
        begin = 10 + number * 12
        trace.adverts(B, 70, begin, 4)
        for client in range(50):
            trace.tcp("198.51.100.1", VIP, Tcp.SYN, begin + client / 100, ports=(30000 + client, 6443), sequence=number)
            trace.tcp(VIP, "198.51.100.1", SA, begin + 0.001 + client / 100, ports=(6443, 30000 + client), by=B, sequence=number)
    return trace


def stopped_again_and_again():
    trace = Trace().adverts(A, 65, 0, 10)
    for turn in range(5):
        owner, heir = (A, B) if turn % 2 == 0 else (B, A)
        trace.resign(owner, trace.clock + 0.5).adverts(heir, 65, trace.clock + 0.8, 10)
        for number in range(30):
            trace.tcp("198.51.100.1", VIP, Tcp.SYN, trace.clock - 8 + number / 100, ports=(30000 + number, 6443), sequence=turn)
            trace.tcp(
                VIP, "198.51.100.1", SA, trace.clock - 8 + number / 100, ports=(6443, 30000 + number), by=heir, sequence=turn
            )
    return trace.adverts(A, 65, trace.clock + 1, 0)


def checks_that_fail_without_a_wave():
    return storm(5, waves=lambda turn: turn == 1)


def some_checks_that_fail_without_a_wave():
    return storm(6, waves=lambda turn: turn != 2)


def more_checks_that_fail_before_the_first_wave_than_after():
    return storm(6, waves=lambda turn: turn > 2)


def clients_not_seen():
    return storm(5, clients=False)


@pytest.mark.parametrize(
    "story",
    [
        flapping_partition,
        stopped_again_and_again,
        checks_that_fail_without_a_wave,
        some_checks_that_fail_without_a_wave,
        more_checks_that_fail_before_the_first_wave_than_after,
        clients_not_seen,
    ],
    ids=lambda story: story.__name__,
)
def test_where_the_loop_is_not_shown_it_is_not_claimed(story):
    seen = storms(story())
    assert seen
    assert seen[-1].over
    assert not seen[-1].storm.driven
    assert "not shown" in seen[-1].storm.statement


def test_a_storm_of_any_length_is_bounded():
    """A router that resigns and resumes for an hour."""
    trace = Trace(interval=1)
    for number in range(KEPT + 100):
        trace.advert(A, 65, number * 10).resign(A, number * 10 + 0.5)
    engine, sink = Engine(), Told()
    run(trace.observations(), engine, [sink])
    seen = [event for event in sink.events if isinstance(event, StormSeen)]
    assert sum(event.counts for event in seen) == sum(event.over for event in seen) == 1
    assert all(len(event.storm.turns) <= KEPT for event in seen)
    assert seen[-1].storm.flaps >= KEPT + 99
    assert len(seen) <= KEPT - TURNS + 3


def test_a_second_storm_is_another():
    later = [replace(item, time=item.time + 200 * SECOND) for item in storm(3).observations() if isinstance(item, Advert)]
    sink = Told()
    run([*(item for item in storm(3).observations() if isinstance(item, Advert)), *later], Engine(), [sink])
    seen = [event for event in sink.events if isinstance(event, StormSeen)]
    assert sum(event.counts for event in seen) == sum(event.over for event in seen) == 2
    assert len({event.storm.id for event in seen}) == 2
