"""Many connections reset at once without a flap: one event with its cause; and what must not be one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from traces import VIP, A, B, Trace, at, ordered, told

from observer.engine import bursts as module
from observer.engine.bursts import LONGEST, MANY
from observer.model.flaps import BurstCause, BurstSeen, ResetReason
from observer.model.segments import Tcp
from observer.model.time import SECOND
from observer.model.verdicts import Confidence
from observer.rules import DESCRIPTIONS as FLAPS
from observer.rules.bursts import DESCRIPTIONS
from observer.sinks.text import BURST_MEANING

RA, SA, FA = Tcp.RST | Tcp.ACK, Tcp.SYN | Tcp.ACK, Tcp.FIN | Tcp.ACK
COUNT = 40


def client(number):
    return f"198.51.100.{number % 20}"


def connected(trace=None, begin=2.0, count=COUNT):
    """Connections to A, which is Active all the time."""
    trace = trace or Trace().adverts(A, 65, 0, 60)
    for number in range(count):
        trace.tcp(client(number), VIP, Tcp.SYN, begin + number / 100, ports=(40000 + number, 6443), sequence=number)
        trace.tcp(VIP, client(number), SA, begin + 0.001 + number / 100, ports=(6443, 40000 + number), by=A, sequence=number)
    return trace


def sent(trace, flags, begin, *, count=COUNT, spread=0.5, **fields):
    for number in range(count):
        when = begin + number * spread / count
        trace.tcp(VIP, client(number), flags, when, ports=(6443, 40000 + number), by=A, **fields)
    return trace


def refused(trace, begin, count=COUNT):
    for number in range(count):
        trace.refused(A, client(number), begin + number / 100, client_port=42000 + number)
    return trace


def served(trace, begin):
    return trace.served(A, client(0), begin, client_port=45000)


def proxy_killed():
    return refused(sent(connected(), FA, 10, spread=0.01), 10.1)


def proxy_killed_with_data_unread():
    return refused(sent(connected(), RA, 10, spread=0.01, sequence=5), 10.1)


def refuses_new_ones():
    return refused(connected(), 10.1)


def sessions_shut_down():
    return served(sent(connected(), RA, 10, sequence=5), 11)


def closed_by_the_proxy_and_clients_still_sent():
    return served(sent(sent(connected(), FA, 10, spread=0.1), Tcp.RST, 10.3, window=0), 11)


def all_idle_after_the_shutdown():
    return sent(connected(), RA, 10, sequence=5)


def redirect_removed():
    return sent(connected(), Tcp.RST, 10, window=0)


def redirect_removed_and_new_ones_refused():
    return refused(redirect_removed(), 10.2, count=15)


def client_killed():
    trace = connected()
    for number in range(COUNT):
        trace.tcp(client(number), VIP, RA, 10 + number / 1000, ports=(40000 + number, 6443), sequence=9)
    return trace


def older_than_the_observation():
    return sent(Trace().adverts(A, 65, 0, 60), Tcp.RST, 10, window=0)


def old_ones_go_on_and_new_ones_are_refused():
    trace = refuses_new_ones()
    for number in range(COUNT):
        trace.tcp(VIP, client(number), FA, 9.5 + number / 20, ports=(6443, 40000 + number), by=A)
    return trace


def proxy_restarted():
    return served(proxy_killed(), 11)


STORIES = {
    proxy_restarted: (BurstCause.PROXY_DOWN, Confidence.CERTAIN),
    old_ones_go_on_and_new_ones_are_refused: (BurstCause.PROXY_DOWN, Confidence.LIKELY),
    proxy_killed: (BurstCause.PROXY_DOWN, Confidence.CERTAIN),
    proxy_killed_with_data_unread: (BurstCause.PROXY_DOWN, Confidence.CERTAIN),
    refuses_new_ones: (BurstCause.PROXY_DOWN, Confidence.LIKELY),
    sessions_shut_down: (BurstCause.BACKEND_SHUTDOWN, Confidence.LIKELY),
    closed_by_the_proxy_and_clients_still_sent: (BurstCause.BACKEND_SHUTDOWN, Confidence.LIKELY),
    all_idle_after_the_shutdown: (BurstCause.BACKEND_SHUTDOWN, Confidence.POSSIBLE),
    redirect_removed: (BurstCause.REDIRECT_LOST, Confidence.LIKELY),
    redirect_removed_and_new_ones_refused: (BurstCause.REDIRECT_LOST, Confidence.LIKELY),
    client_killed: (BurstCause.CLIENT_ABORT, Confidence.LIKELY),
    older_than_the_observation: (BurstCause.UNATTRIBUTED, Confidence.POSSIBLE),
}


def bursts(items):
    seen = told(items.observations() if isinstance(items, Trace) else items)
    return [event.burst for event in seen if isinstance(event, BurstSeen)]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_burst_has_its_cause(story):
    (burst,) = bursts(story())
    assert (burst.cause, burst.confidence) == STORIES[story]
    assert burst.addresses == (VIP,)
    assert at(10) <= burst.time <= burst.end < at(11.5)
    assert burst.clients == 20
    assert burst.evidence
    assert burst.blind_spots or burst.confidence is not Confidence.POSSIBLE


def test_what_there_is_no_room_for_is_counted_all_the_same(monkeypatch):
    monkeypatch.setattr(module, "FLOWS", COUNT // 4)
    (burst,) = bursts(sessions_shut_down())
    assert dict(burst.connections) == {ResetReason.ABORTED: COUNT}


def a_few():
    return sent(connected(), RA, 10, count=MANY - 1, sequence=5)


def one_connection_many_times():
    trace = connected(count=1)
    for number in range(100):
        trace.tcp(VIP, client(0), Tcp.RST, 10 + number / 200, ports=(6443, 40000), by=A, window=0)
    return trace


def spread_over_a_minute():
    return sent(connected(count=60), RA, 5, count=60, spread=50, sequence=5)


def a_flap():
    trace = Trace().adverts(A, 65, 0, 10).resign(A, 9.5).adverts(B, 60, 10.2, 50)
    for number in range(COUNT):
        trace.orphaned(B, client(number), 10.5 + number / 100, client_port=40000 + number)
    return trace


def in_a_silence_that_turns_out_to_be_a_flap():
    """A is silent from 10 s on, which is known at its end only."""
    trace = connected(Trace().adverts(A, 65, 0, 11))
    for number in range(COUNT):
        trace.tcp(VIP, client(number), RA, 12 + number / 100, ports=(6443, 40000 + number), by=A, sequence=5)
    return trace.passed(20)


def a_scan_of_ports():
    trace = served(Trace().adverts(A, 65, 0, 60), 5)
    for number in range(200):
        trace.refused(A, client(0), 10 + number / 1000, client_port=50000, port=100 + number)
    return trace


def between_other_hosts():
    trace = Trace().adverts(A, 65, 0, 60)
    for number in range(100):
        trace.tcp(A, B, RA, 10 + number / 200, ports=(40000 + number, 6443), sequence=5)
    return trace


@pytest.mark.parametrize(
    "story",
    [
        a_few,
        one_connection_many_times,
        spread_over_a_minute,
        a_flap,
        in_a_silence_that_turns_out_to_be_a_flap,
        a_scan_of_ports,
        between_other_hosts,
    ],
    ids=lambda story: story.__name__,
)
def test_what_is_no_burst(story):
    assert bursts(story()) == []


def test_a_flap_ends_a_burst_which_keeps_what_came_before():
    trace = Trace().adverts(A, 65, 0, 11).resign(A, 10.6).adverts(B, 60, 10.7, 50)
    refused(sent(connected(trace), FA, 10, spread=0.01), 10.1)
    for number in range(COUNT):
        trace.orphaned(B, client(number), 10.8 + number / 200, client_port=40000 + number)
    (burst,) = bursts(trace)
    assert burst.cause is BurstCause.PROXY_DOWN
    assert burst.end <= at(10.6)
    assert ResetReason.ORPHANED not in dict(burst.connections)


def test_a_burst_across_a_second_is_one():
    """Few of it in the first one."""
    (burst,) = bursts(sent(connected(), RA, 10.97, spread=0.2, sequence=5))
    assert dict(burst.connections) == {ResetReason.ABORTED: COUNT}


def test_two_bursts_apart_are_two():
    trace = sent(sent(connected(), RA, 10, sequence=5), RA, 20, sequence=5)
    assert [burst.time // SECOND - at(0) // SECOND for burst in bursts(trace)] == [10, 20]


def test_a_burst_without_end_is_told_in_parts():
    trace = connected(Trace().adverts(A, 65, 0, 200))
    for number in range(1500):
        trace.tcp(VIP, client(number), RA, 10 + number / 10, ports=(6443, 30000 + number), by=A, sequence=5)
        trace.tcp(VIP, client(number), RA, 10.05 + number / 10, ports=(6443, 32000 + number), by=A, sequence=5)
    found = bursts(trace)
    assert len(found) >= 150 * SECOND // LONGEST
    assert sum(dict(burst.connections)[ResetReason.ABORTED] for burst in found) == 3000


def test_a_burst_is_told_soon_after_it():
    (event,) = [event for event in told(proxy_killed().observations()) if isinstance(event, BurstSeen)]
    assert event.time - event.burst.end <= 3 * SECOND


@how(max_examples=40, deadline=None)
@given(st.sampled_from(list(STORIES)), st.lists(st.integers(0, 300), max_size=20))
def test_where_batches_are_cut_does_not_matter(story, places):
    trace = story()
    whole = trace.segments()
    edges = sorted({0, len(whole), *(place % len(whole) for place in places)})
    pieces = [whole.rows(slice(begin, end)) for begin, end in itertools.pairwise(edges)]
    assert told(ordered([*trace.items, *pieces])) == told(ordered([*trace.items, whole]))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_capture_given_twice_counts_once(story):
    trace = story()
    whole = trace.segments()
    once, twice = bursts(trace), bursts(ordered([*trace.items, whole, whole]))
    assert [(burst.cause, burst.connections, burst.clients) for burst in twice] == [
        (burst.cause, burst.connections, burst.clients) for burst in once
    ]


def test_every_cause_of_a_burst_is_described_once():
    assert list(BURST_MEANING) == [BurstCause(name) for name in BURST_MEANING]
    assert set(DESCRIPTIONS) == {cause.value for cause in BurstCause} == {cause.value for cause in BURST_MEANING}
    assert not set(DESCRIPTIONS) & set(FLAPS)


@pytest.mark.parametrize("cause", DESCRIPTIONS)
def test_a_cause_says_what_an_operator_needs(cause):
    paragraphs = DESCRIPTIONS[cause].split("\n\n")
    assert paragraphs[0].endswith(".")
    for lead in ("On the wire:", "What to do:", "Not to be confused with:"):
        assert any(paragraph.startswith(lead) for paragraph in paragraphs)
