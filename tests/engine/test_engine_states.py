"""The state table against every sequence of adverts that can be thought of, and against those who mean harm."""

from __future__ import annotations

import gc
import random
import time
from collections import Counter, deque
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from traces import A, B, C, Trace, flaps, told

import observer.engine.groups as groups_module
import observer.engine.traffic as traffic_module
import observer.engine.virtual_router as virtual_router_module
from observer.engine.engine import Engine
from observer.engine.flaps import OpenFlap
from observer.engine.states import TRANSITIONS, Action, Signal, State, outranks
from observer.model.addresses import address_words
from observer.model.flaps import FlapJudged, FlapStage, FlapWithdrawn
from observer.model.time import SECOND

PRIORITIES = (0, 0, 1, 40, 65, 65, 254, 255)
GAPS = (0.000_5, 0.03, 0.3, 1.0, 1.0, 1.0, 2.6, 4.2, 12.0)


def test_every_state_can_be_reached_and_left():
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert {state for state, _ in TRANSITIONS.values()} == set(State) - {State.UNKNOWN}
    assert {signal for _, signal in TRANSITIONS} == set(Signal)
    assert {action for _, action in TRANSITIONS.values()} == set(Action)


class Recorder(dict):
    """A table that notes what was looked up."""

    def __init__(self, table):
        super().__init__(table)
        self.asked = Counter()

    def __getitem__(self, key):
        self.asked[key] += 1
        return super().__getitem__(key)


def walk(seed, length, routers=(A, B, C)):
    dice = random.Random(seed)
    trace, now = Trace(ident=0), 0.0
    for _ in range(length):
        now += dice.choice(GAPS)
        trace.advert(dice.choice(routers), dice.choice(PRIORITIES), now)
    return trace.items


def test_no_walk_leaves_the_table_and_none_of_it_is_dead(monkeypatch):
    table = Recorder(TRANSITIONS)
    monkeypatch.setattr(virtual_router_module, "TRANSITIONS", table)
    for seed in range(150):
        told(walk(seed, 40))
    # While the Active Router is down or has resigned, whoever comes is a successor, whatever its rank.
    never = {(state, signal) for state in (State.RESIGNED, State.DOWN) for signal in (Signal.BETTER, Signal.WORSE)}
    assert set(TRANSITIONS) - set(table.asked) <= never


@st.composite
def walks(draw):
    version = draw(st.sampled_from((2, 3)))
    trace = Trace(version=version, interval=draw(st.sampled_from((1, 2, 10) if version == 2 else (0.01, 0.1, 1, 40.95))))
    now = 0.0
    for router, priority, gap in draw(
        st.lists(
            st.tuples(
                st.sampled_from((A, B, C)),
                st.one_of(st.sampled_from(PRIORITIES), st.integers(0, 255)),
                st.one_of(st.sampled_from(GAPS), st.floats(0.000_001, 200)),
            ),
            max_size=40,
        )
    ):
        now += gap
        trace.advert(router, priority, now)
    return trace


@how(max_examples=200, deadline=None)
@given(walks())
def test_whatever_is_sent_the_story_holds_together(trace):
    events = told(trace.items)
    judged = [event for event in events if isinstance(event, FlapJudged)]
    closed = [event.flap.id for event in judged if event.stage is FlapStage.CLOSED]
    assert sorted(event.flap.id for event in judged if event.counts) == sorted(closed)
    withdrawn = [event.flap.id for event in events if isinstance(event, FlapWithdrawn)]
    assert {event.flap.id for event in judged} == {*closed, *withdrawn}
    for event in judged:
        flap = event.flap
        assert flap.time <= event.time
        for bounds in (flap.outage, flap.dual_active):
            assert bounds.minimum >= 0
            assert bounds.maximum is None or bounds.maximum >= bounds.minimum
        assert flap.misdirected is None or flap.misdirected >= 0
        assert {router for router in (flap.former, flap.current) if router} <= {A, B, C}


def test_a_router_that_takes_over_and_dies_at_once_has_two_flaps_of_different_names():
    trace = Trace().adverts(A, 60, 0, 20).advert(B, 65, 19.4).passed(100)
    names = [flap.id for flap in flaps(trace.observations())]
    assert len(names) == 2
    assert len(set(names)) == 2


def test_events_are_told_in_order_of_time():
    late = []
    for seed in range(80):
        times = [event.time for event in told(walk(seed, 40)) if isinstance(event, FlapJudged)]
        if times != sorted(times):
            late.append(seed)
    assert late == []


def test_a_loss_is_not_told_before_it_can_be_known():
    """Its deadlines count from the last advert, which is long ago when the silence is noticed."""
    trace = Trace(interval=10).adverts(A, 65, 0, 5).passed(200)
    events = [event for event in told(trace.observations()) if isinstance(event, FlapJudged)]
    assert events
    silence_noticed = trace.items[-2].time + 31 * SECOND
    assert all(event.time >= silence_noticed for event in events)


@how(max_examples=300, deadline=None)
@given(st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_of_two_routers_one_outranks_the_other(priority, number, other_priority, other_number):
    one, other = (priority, (0, number)), (other_priority, (0, other_number))
    assert outranks(*one, *other) + outranks(*other, *one) == (one != other)


def test_the_higher_address_is_compared_as_a_number():
    assert outranks(100, address_words("10.0.0.10"), 100, address_words("10.0.0.9"))
    assert outranks(100, address_words("fe80::10"), 100, address_words("fe80::9"))
    assert outranks(100, address_words("200.0.0.1"), 100, address_words("9.0.0.1"))


# Those who mean harm


def hostile(count, rate, *, vrids=255, routers=2000, seed=1):
    """Adverts with everything at random, ``rate`` a second."""
    dice = random.Random(seed)
    model = Trace().advert(A, 100, 0).items[0]
    for number in range(count):
        router = dice.randrange(routers)
        yield replace(
            model,
            time=model.time + number * SECOND // rate,
            vrid=dice.randint(1, vrids),
            router=f"10.1.{router // 250}.{router % 250}",
            mac=f"52:54:{dice.randrange(256):02x}:{dice.randrange(256):02x}:00:00",
            priority=dice.choice((0, 1, 50, 100, 254, 255)),
            ident=dice.randrange(65536),
            addresses=tuple(f"10.2.{dice.randrange(4)}.{dice.randrange(250)}" for _ in range(dice.randrange(3))),
            authentication_group=dice.randrange(3),
        )


def weight(thing, seen=None):
    """How many values an object holds on to, those of its containers included."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, (str, int, float, bytes, type(None))):
        return 1
    seen.add(id(thing))
    if isinstance(thing, dict):
        return sum(weight(key, seen) + weight(value, seen) for key, value in thing.items())
    if isinstance(thing, (list, tuple, set, frozenset, deque)):
        return 1 + sum(weight(entry, seen) for entry in thing)
    if not type(thing).__module__.startswith("observer"):
        return 1
    names = [*getattr(thing, "__dict__", ()), *(name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()))]
    return 1 + sum(weight(getattr(thing, name, None), seen) for name in names)


def test_memory_is_bounded_under_hostile_adverts(monkeypatch):
    """With small limits, so that all of them are reached; 100,000 adverts, at a rate that opens a flap with most of them."""
    monkeypatch.setattr(groups_module, "VIRTUAL_ROUTERS", 4)
    monkeypatch.setattr(traffic_module, "ADDRESSES", 16)
    monkeypatch.setattr(virtual_router_module, "ROUTERS", 4)
    engine, weights = Engine(), []
    for number, advert in enumerate(hostile(100_000, 2), 1):
        engine.observe(advert)
        if number in (25_000, 100_000):
            weights.append(weight(engine))
    assert engine.adverts == 100_000
    assert engine.overflow > 90_000
    assert weights[1] < 1.2 * weights[0]


def test_a_router_whose_priority_never_rests_is_remembered_in_part():
    engine, model, weights = Engine(), Trace().advert(A, 100, 0).items[0], []
    for number in range(2000):
        engine.observe(replace(model, time=model.time + number * SECOND, priority=100 + number % 2, ident=number))
        if number in (500, 1999):
            weights.append(weight(engine))
    assert weights[1] < 1.2 * weights[0]


def test_the_limits_are_kept_as_they_are():
    """Addresses, virtual routers and routers beyond the limits are counted and not kept."""
    engine = Engine()
    model = Trace().advert(A, 100, 0).items[0]
    for number in range(700):
        family_vrid = replace(model, vrid=number % 255 + 1, interface=f"eth{number // 255}", time=model.time + number)
        engine.observe(replace(family_vrid, addresses=tuple(f"10.3.{number // 64}.{index}" for index in range(5))))
    trackers = list(engine.trackers)
    assert len(trackers) <= groups_module.VIRTUAL_ROUTERS
    assert engine.overflow == 700 - len(trackers)
    for number in range(300):
        router = f"10.9.{number // 250}.{number % 250}"
        engine.observe(replace(model, router=router, time=model.time + SECOND + number))
    assert all(len(tracker.tracks) <= virtual_router_module.ROUTERS for tracker in engine.trackers)
    assert len(engine.watched) <= traffic_module.ADDRESSES + len(trackers) * virtual_router_module.ROUTERS


def resigning(count):
    """One sender that resigns and resumes a thousand times a second."""
    model = Trace().advert(A, 100, 0).items[0]
    for number in range(count):
        yield replace(model, time=model.time + number * SECOND // 1000, priority=100 * (number % 2 == 0), ident=number % 65536)


OPEN = 128
"""More open flaps than that in one virtual router nobody reads."""


def test_open_flaps_are_bounded():
    engine = Engine()
    gc.collect()
    before = sum(isinstance(thing, OpenFlap) for thing in gc.get_objects())
    for advert in resigning(2000):
        engine.observe(advert)
    assert sum(isinstance(thing, OpenFlap) for thing in gc.get_objects()) - before <= OPEN


def test_the_work_for_an_advert_does_not_grow_with_those_before():
    engine, spent = Engine(), []
    adverts = list(resigning(3000))
    for begin in range(0, 3000, 500):
        started = time.perf_counter()
        for advert in adverts[begin : begin + 500]:
            engine.observe(advert)
        spent.append(time.perf_counter() - started)
    assert min(spent[3:]) < 4 * spent[0]


@pytest.mark.slow
def test_a_minute_of_a_hostile_segment_takes_less_than_a_minute():
    started = time.perf_counter()
    for _ in flaps(hostile(60_000, 1000)):
        pass
    assert time.perf_counter() - started < 60
