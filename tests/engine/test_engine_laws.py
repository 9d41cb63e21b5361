"""Laws of the engine that hold whatever the rules say: of time, of batches, of copies, of healthy routers."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import assume, given, note
from hypothesis import settings as how
from hypothesis import strategies as st
from rules.stories import STORIES, random_setting
from rules.stories import settings as story_settings
from traces import A6, B6, EPOCH, VIP, A, B, Trace, at, flaps, ordered, told

from observer.engine.engine import Engine
from observer.model.flaps import BurstSeen, FlapJudged, FlapStage, ResetsSeen
from observer.model.observations import Advert, Family, TimePassed
from observer.model.segments import Tcp, TcpSegments
from observer.model.time import MILLISECOND, SECOND


@st.composite
def tellings(draw, *, clear=False):
    """A story told in some setting, with clients' traffic in some."""
    setting = draw(story_settings(clear=clear))
    name = draw(st.sampled_from(sorted(STORIES)))
    note(f"{name}: {setting}")
    trace = setting.trace()
    STORIES[name](setting, trace)
    if draw(st.booleans()) and setting.family is Family.IPV4:
        traffic(trace, draw(st.integers(0, 1000)))
    return trace


def traffic(trace, seed, count=40, kinds=4):
    """Clients that are served and reset, routers that check each other's backends, and refusals; at random over the trace."""
    dice = random.Random(seed)
    for number in range(count):
        when, router, client = dice.random() * trace.clock, dice.choice((A, B)), f"198.51.100.{dice.randrange(20)}"
        match dice.randrange(kinds):
            case 0:
                trace.served(router, client, when, client_port=30000 + number)
            case 1:
                trace.orphaned(router, client, when, client_port=30000 + number)
            case 2:
                trace.probe(router, B if router == A else A, when)
            case 3:
                trace.refused(router, client, when, client_port=30000 + number)


def essence(found):
    return [(flap.verdict.cause, flap.former, flap.current) for flap in found]


# Time


@how(max_examples=60, deadline=None)
@given(tellings(), st.integers(0, 2**16), st.integers(0, 40))
def test_one_jump_is_many_steps(trace, seed, extra):
    dice, items = random.Random(seed), trace.observations()
    end = max(item.time if not isinstance(item, TcpSegments) else int(item.times[-1]) for item in items) + extra * 3 * SECOND
    jump = told([*items, TimePassed(end)])
    steps, now = [], items[0].time
    for item in items:
        steps += [
            TimePassed(moment) for moment in sorted(dice.randint(now, max(now, item.time)) for _ in range(dice.randrange(4)))
        ]
        steps.append(item)
        now = int(item.times[-1]) if isinstance(item, TcpSegments) else item.time
    steps += [TimePassed(now + (end - now) * part // 20) for part in range(21)]
    assert told(steps) == jump


@how(max_examples=60, deadline=None)
@given(tellings())
def test_advancing_to_each_deadline_changes_nothing(trace):
    items = trace.observations()
    engine, events = Engine(), []
    for item in items:
        while (deadline := engine.next_deadline()) is not None and deadline <= item.time:
            events += engine.advance(deadline)
            assert engine.next_deadline() is None or engine.next_deadline() > deadline
        events += engine.observe(item)
    assert events + engine.finish() == told(items)


def shifted(items, by):
    for item in items:
        yield replace(item, times=item.times + by) if isinstance(item, TcpSegments) else replace(item, time=item.time + by)


def without_times(flap, by):
    """A flap with its times moved back, and without the sentences, which name times of day."""
    verdict = flap.verdict
    evidence = tuple((entry.time - by, entry.node) for entry in verdict.evidence)
    kept = (verdict.cause, verdict.confidence, verdict.warranted, verdict.check, evidence, len(verdict.ruled_out))
    wave = flap.reconnects and replace(flap.reconnects, peak_time=flap.reconnects.peak_time - by)
    spells = tuple(replace(spell, begin=spell.begin - by, end=spell.end - by) for spell in flap.misdirections)
    return kept, replace(flap, id="", time=flap.time - by, verdict=None, reconnects=wave, misdirections=spells)


@how(max_examples=60, deadline=None)
@given(tellings(), st.integers(-EPOCH // 2, EPOCH))
def test_at_another_time_it_is_the_same(trace, by):
    items = trace.observations()
    if any(isinstance(item, TcpSegments) for item in items):
        # Connections are summed in tenths of a second.
        by -= by % (100 * MILLISECOND)
    # And life signs in parts of one.
    by -= by % SECOND
    before = [without_times(flap, 0) for flap in flaps(items)]
    assert [without_times(flap, by) for flap in flaps(shifted(items, by))] == before


@how(max_examples=60, deadline=None)
@given(tellings(clear=True), st.integers(-EPOCH // 2, EPOCH))
def test_at_any_other_time_the_verdict_on_adverts_is_the_same(trace, by):
    items = [item for item in trace.observations() if isinstance(item, Advert)]
    before = [without_times(flap, 0) for flap in flaps(items)]
    assert [without_times(flap, by) for flap in flaps(shifted(items, by))] == before


@how(max_examples=40, deadline=None)
@given(tellings(), tellings())
def test_what_comes_after_the_close_does_not_change_a_flap(trace, later):
    items = trace.observations()
    end = items[-1].time
    gap = 120 * SECOND
    first = [*items, TimePassed(end + gap)]
    alone = [event for event in told(first) if isinstance(event, FlapJudged) and event.stage is FlapStage.CLOSED]
    sequel = list(shifted(later.observations(), end + gap - EPOCH + SECOND))
    both = [event for event in told([*first, *sequel]) if isinstance(event, FlapJudged) and event.stage is FlapStage.CLOSED]
    within = [event for event in alone if event.time <= end + gap - SECOND]
    assert both[: len(within)] == within


# Batches


def cut(segments, places):
    edges = sorted({0, len(segments), *(place % (len(segments) + 1) for place in places)})
    return [segments.rows(slice(begin, end)) for begin, end in itertools.pairwise(edges)]


def told_with_traffic(count):
    """Stories by number, each with traffic, and dice for what else is done to them."""
    for seed in range(count):
        setting, dice = random_setting(seed), random.Random(seed)
        if setting.family is Family.IPV4:
            trace, name = setting.trace(), dice.choice(sorted(STORIES))
            STORIES[name](setting, trace)
            traffic(trace, seed)
            yield f"{name} {seed}", trace, dice


def test_where_batches_are_cut_does_not_matter():
    """Numbered stories, each with traffic, which is cut at random."""
    differing = []
    for name, trace, dice in told_with_traffic(200):
        whole = trace.segments()
        pieces = cut(whole, [dice.randrange(10_000) for _ in range(dice.randrange(1, 30))])
        if flaps(ordered([*trace.items, *pieces])) != flaps(ordered([*trace.items, whole])):
            differing.append(name)
    assert differing == []


def test_how_often_the_engine_is_called_does_not_matter():
    """Live, time passes all the while; a replay looks at segments when something depends on them, or when they are many."""
    differing = []
    for name, trace, dice in told_with_traffic(150):
        for _ in range(3):
            begin = dice.random() * trace.clock
            for number in range(dice.randrange(40)):
                trace.refused(dice.choice((A, B)), f"198.51.100.{number}", begin + dice.random() * 3, client_port=50000 + number)
        items = trace.observations()
        passing = [TimePassed(items[0].time + dice.randrange(items[-1].time - items[0].time)) for _ in range(200)]
        if essence_of_all(told(ordered([*items, *passing]))) != essence_of_all(told(items)):
            differing.append(name)
    assert differing == []


def essence_of_all(events):
    """Flaps as judged last, bursts, and the sums of resets."""
    judged = {event.flap.id: event.flap for event in events if isinstance(event, FlapJudged)}
    return judged, [event.burst for event in events if isinstance(event, BurstSeen)], sums(events)


def sums(events):
    return [(event.time, event.counts) for event in events if isinstance(event, ResetsSeen)]


def test_where_batches_are_cut_does_not_matter_to_life_signs():
    """Two segments of the silent router's host, three seconds apart."""
    trace = Trace().adverts(A, 65, 0, 1).adverts(B, 60, 3.992, 20)
    for when in (0.646, 3.902):
        trace.tcp(VIP, "198.51.100.2", Tcp.FIN | Tcp.ACK, when, ports=(6443, 40000), by=A)
    whole = trace.segments()
    assert flaps(ordered([*trace.items, *cut(whole, [1])])) == flaps(ordered([*trace.items, whole]))


def test_where_batches_are_cut_does_not_matter_to_refusals():
    trace = Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 60, 22.766, 30)
    whole = trace.refused(A, "198.51.100.2", 19.5).served(A, "198.51.100.1", 19.6).segments()
    for place in range(1, len(whole)):
        assert flaps(ordered([*trace.items, *cut(whole, [place])])) == flaps(ordered([*trace.items, whole]))


# Copies


@how(max_examples=100, deadline=None)
@given(tellings(), st.integers(0, 2**16), st.sampled_from((0, 1_000, 50_000)), st.floats(0, 1))
def test_a_mirror_port_changes_nothing(trace, seed, delay, share):
    """Frames of keepalived over IPv4 tell by their identification that they are the same."""
    assume(trace.family is Family.IPV4)
    dice, items = random.Random(seed), trace.observations()
    copies = [replace(item, time=item.time + delay) for item in items if isinstance(item, Advert) and dice.random() < share]
    assert essence(flaps(ordered([*items, *copies]))) == essence(flaps(items))


@how(max_examples=100, deadline=None)
@given(tellings(), st.integers(0, 20_000_000))
def test_a_second_tap_changes_nothing(trace, delay):
    """Its clock is off by some milliseconds, as clocks of nodes are."""
    assume(trace.family is Family.IPV4)
    items = trace.observations()
    copies = [replace(item, time=item.time + delay, node="tap") for item in items if isinstance(item, Advert)]
    assert essence(flaps(ordered([*items, *copies]))) == essence(flaps(items))


@pytest.mark.parametrize("delay", [0, 0.000_05, 0.001, 0.02, 0.2])
@pytest.mark.parametrize("node", ["m1", "tap"])
def test_a_resignation_soon_after_an_advert_and_copies_of_both(node, delay):
    """Copies of the advert come after the resignation."""
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.000_5).adverts(B, 60, 19.8, 20)
    copies = [replace(item, time=item.time + at(delay) - EPOCH, node=node) for item in trace.items]
    assert essence(flaps(ordered([*trace.items, *copies]))) == essence(flaps(trace))


@pytest.mark.parametrize("delay", [0, 0.000_05, 0.01])
def test_a_second_tap_in_ipv6(delay):
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 65, 0, 20).resign(A6, 19.5).adverts(B6, 60, 20.3, 20)
    copies = [replace(item, time=item.time + at(delay) - EPOCH, node="tap") for item in trace.items]
    assert essence(flaps(ordered([*trace.items, *copies]))) == essence(flaps(trace))


def test_taps_on_interfaces_of_other_names_see_one_virtual_router():
    """Each node has its own names for its interfaces."""
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 20)
    copies = [replace(item, node="m2", interface="ens192") for item in trace.items]
    assert essence(flaps(ordered([*trace.items, *copies]))) == essence(flaps(trace))


# Healthy routers


@how(max_examples=60, deadline=None)
@given(
    st.sampled_from(((2, 1), (2, 5), (2, 10), (3, 0.01), (3, 0.1), (3, 1), (3, 40.95))),
    st.integers(1, 255),
    st.integers(0, 2**16),
    st.integers(0, 65535),
)
def test_jitter_is_no_flap(timing, priority, seed, ident):
    dice, (version, interval) = random.Random(seed), timing
    trace = Trace(version=version, interval=interval, ident=ident)
    assert flaps(trace.adverts(A, priority, 0, 200, jitter=lambda: dice.uniform(0.8, 1.2))) == []


@how(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 100), max_size=60))
def test_refreshed_announcements_are_no_flap(times):
    trace = Trace().adverts(A, 65, 0, 100)
    for when in times:
        trace.arp(A, when, count=5)
    assert flaps(trace) == []


def lossy(interval, lost, version=2):
    """A healthy router of whose adverts some were not heard."""
    trace = Trace(version=version, interval=interval)
    for number in range(100):
        trace.advert(A, 65, number * interval, heard=number not in lost)
    return trace


@how(max_examples=100, deadline=None)
@given(st.sampled_from(((2, 1), (2, 10), (3, 0.1), (3, 1))), st.integers(0, 2**16), st.floats(0, 0.3))
def test_lost_frames_are_no_flap(timing, seed, share):
    """As long as the router is not silent for as long as a backup waits."""
    dice, (version, interval), lost = random.Random(seed), timing, set()
    for number in range(1, 99):
        if dice.random() < share and not {number - 1, number - 2} <= lost:
            lost.add(number)
    assert flaps(lossy(interval, lost, version)) == []


@pytest.mark.parametrize(
    ("version", "interval", "lost"),
    [(3, 0.1, 4), (3, 0.1, 19), (2, 1, 4), (2, 1, 8), (2, 1, 19), (2, 3, 3), (2, 10, 3), (2, 10, 4), (3, 1, 4), (3, 1, 19)],
)
def test_lost_frames_in_a_row_are_no_flap(version, interval, lost):
    """The identification shows that the router went on sending."""
    assert flaps(lossy(interval, set(range(50, 50 + lost)), version)) == []


def test_a_healthy_group_with_traffic_is_no_flap():
    trace = Trace().adverts(A, 65, 0, 120)
    traffic(trace, 3, 300)
    assert VIP in trace.addresses
    assert flaps(trace) == []
