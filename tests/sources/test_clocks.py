"""Clocks of several nodes compared by the packets that more than one of them captured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from traces import A6, B6, A, Trace

from observer.model.observations import Family, Tcp
from observer.model.time import MILLISECOND, SECOND
from observer.sources.clocks import offsets, put_right, sightings


def taps(**ahead: int):
    """One minute of adverts as nodes with other clocks capture them."""
    adverts = Trace().adverts(A, 100, 0, 60).items
    return {node: [[replace(item, node=node, time=item.time + by) for item in adverts]] for node, by in ahead.items()}


@pytest.mark.parametrize("by", [2 * SECOND, -2 * SECOND, 3600 * SECOND, 15 * MILLISECOND])
def test_a_clock_that_is_ahead_is_found_and_put_right(by):
    nodes = taps(m0=0, m1=by, m2=-by)
    found = offsets({node: sightings(stream) for node, stream in nodes.items()})
    assert found == {"m0": 0, "m1": by, "m2": -by}
    times = [[item.time for batch in put_right(iter(nodes[node]), found[node]) for item in batch] for node in nodes]
    assert times[0] == times[1] == times[2]


def test_without_identification_the_handshakes_of_backend_checks_tell():
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 100, 0, 9)
    for number in range(4):
        trace.tcp(A6, B6, Tcp.SYN, number + 0.5, ports=(50000 + number, 6443), sequence=1000 * number)
    seen = trace.observations()
    nodes = {"m0": [seen], "m1": list(put_right(iter([seen]), -2 * SECOND))}
    assert offsets({node: sightings(stream) for node, stream in nodes.items()}) == {"m0": 0, "m1": 2 * SECOND}


def test_what_the_path_takes_is_no_difference_of_clocks():
    nodes = taps(m0=0, m1=3 * MILLISECOND)
    assert offsets({node: sightings(stream) for node, stream in nodes.items()}) == {"m0": 0, "m1": 0}


def test_a_node_that_saw_none_of_the_adverts_cannot_be_compared():
    nodes = taps(m0=0) | {"m1": [[replace(item, node="m1") for item in Trace(ident=30000).adverts(A, 100, 0, 9).items]]}
    assert offsets({node: sightings(stream) for node, stream in nodes.items()}) == {"m0": 0}


def test_a_number_that_was_used_again_is_left_out():
    """A process that restarts numbers from 1 again."""
    first = Trace(ident=0).adverts(A, 100, 0, 5).items
    again = [replace(item, time=item.time + 30 * SECOND) for item in first]
    assert sightings([first, again]) == {}
