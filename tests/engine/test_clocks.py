"""Clocks of several nodes compared by the packets that more than one of them captured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces import A6, B6, A, Trace

from observer.engine.clocks import PATH, Sightings, compared, put_right, sightings
from observer.model.observations import Family
from observer.model.segments import Tcp
from observer.model.time import MILLISECOND, SECOND


def taps(**ahead: int):
    """One minute of adverts as nodes with other clocks capture them."""
    adverts = Trace().adverts(A, 100, 0, 60).items
    return {node: [[replace(item, node=node, time=item.time + by) for item in adverts]] for node, by in ahead.items()}


@pytest.mark.parametrize("by", [2 * SECOND, -2 * SECOND, 3600 * SECOND, 15 * MILLISECOND])
def test_a_clock_that_is_ahead_is_found_and_put_right(by):
    nodes = taps(m0=0, m1=by, m2=-by)
    found = compared({node: sightings(stream) for node, stream in nodes.items()})
    assert {node: clock.put_right for node, clock in found.items()} == {"m0": 0, "m1": by, "m2": -by}
    times = [[item.time for batch in put_right(iter(nodes[node]), found[node].put_right) for item in batch] for node in nodes]
    assert times[0] == times[1] == times[2]


def test_without_identification_the_handshakes_of_backend_checks_tell():
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 100, 0, 9)
    for number in range(4):
        trace.tcp(A6, B6, Tcp.SYN, number + 0.5, ports=(50000 + number, 6443), sequence=1000 * number)
    seen = trace.observations()
    nodes = {"m0": [seen], "m1": list(put_right(iter([seen]), -2 * SECOND))}
    found = compared({node: sightings(stream) for node, stream in nodes.items()})
    assert {node: clock.put_right for node, clock in found.items()} == {"m0": 0, "m1": 2 * SECOND}


def test_what_the_path_takes_is_no_difference_of_clocks():
    nodes = taps(m0=0, m1=3 * MILLISECOND)
    found = compared({node: sightings(stream) for node, stream in nodes.items()})
    assert {node: clock.put_right for node, clock in found.items()} == {"m0": 0, "m1": 0}


def test_a_node_that_saw_none_of_the_adverts_cannot_be_compared():
    nodes = taps(m0=0) | {"m1": [[replace(item, node="m1") for item in Trace(ident=30000).adverts(A, 100, 0, 9).items]]}
    found = compared({node: sightings(stream) for node, stream in nodes.items()})
    assert (found["m1"].ahead, found["m1"].error, found["m1"].put_right) == (None, None, 0)


def test_a_number_that_was_used_again_is_left_out():
    """A process that restarts numbers from 1 again."""
    first = Trace(ident=0).adverts(A, 100, 0, 5).items
    again = [replace(item, time=item.time + 30 * SECOND) for item in first]
    assert sightings([first, again]).times == {}


A_WORDS, B_WORDS, C_WORDS = (1, 11), (1, 12), (1, 21)
SPAN = 3600 * SECOND


@st.composite
def crossings(draw):
    """Packets between two hosts, and of a third that both hear: when each was captured by the clock of either node."""
    offset = draw(st.integers(-SPAN, SPAN))
    ways = draw(st.lists(st.sampled_from((A_WORDS, B_WORDS, C_WORDS)), min_size=3, max_size=30))
    times: dict[str, dict[tuple[int, ...], int]] = {"a": {}, "b": {}}
    for number, sender in enumerate(ways):
        sent = number * SECOND
        # By its sender's own tap a packet passes at once.
        at_a, at_b = (0 if own == sender else draw(st.integers(0, PATH)) for own in (A_WORDS, B_WORDS))
        times["a"][*sender, number] = sent + at_a
        times["b"][*sender, number] = sent + at_b + offset
    return offset, {"a": Sightings(times["a"], frozenset({A_WORDS})), "b": Sightings(times["b"], frozenset({B_WORDS}))}


@given(crossings())
def test_the_true_difference_lies_within_the_bounds_whatever_the_path_takes(crossed):
    offset, nodes = crossed
    for first, second, truth in (("a", "b", offset), ("b", "a", -offset)):
        clock = compared({first: nodes[first], second: nodes[second]})[second]
        assert clock.least <= truth <= clock.most
        assert clock.least <= clock.ahead <= clock.most
        assert abs(truth - clock.put_right) <= clock.error


@given(crossings(), st.integers(0, 50 * MILLISECOND))
def test_with_both_directions_the_bounds_are_no_wider_than_the_fastest_packets_took(crossed, fastest):
    offset, nodes = crossed
    for sender, number in ((A_WORDS, 1000), (B_WORDS, 1001)):
        for node, own, ahead in (("a", A_WORDS, 0), ("b", B_WORDS, offset)):
            nodes[node].times[*sender, number] = SPAN + ahead + (0 if own == sender else fastest)
    clock = compared(nodes)["b"]
    assert clock.most - clock.least <= 2 * fastest
    assert abs(offset - clock.ahead) <= fastest


def test_bounds_add_up_over_a_node_between():
    first = {(*A_WORDS, n): n * SECOND for n in range(3)}
    last = {(*C_WORDS, n): n * SECOND + 5 * SECOND for n in range(3)}
    middle = {key: time + 2 * SECOND for key, time in first.items()} | {(*C_WORDS, n): n * SECOND for n in range(3)}
    found = compared({"a": Sightings(first), "b": Sightings(middle), "c": Sightings(last)})
    assert found["c"].ahead == 7 * SECOND
    assert found["c"].most - found["c"].least == 2 * (found["b"].most - found["b"].least) == 4 * PATH


def test_a_clock_that_was_set_meanwhile_has_bounds_that_hold_both():
    """Until the middle it is right, then two seconds ahead."""
    items = Trace().adverts(A, 100, 0, 60).items
    stepped = [replace(item, node="m1", time=item.time + (2 * SECOND if item.time > items[30].time else 0)) for item in items]
    clock = compared({"m0": sightings([items]), "m1": sightings([stepped])})["m1"]
    assert clock.least <= PATH
    assert clock.most >= 2 * SECOND - PATH
    assert clock.error >= SECOND
