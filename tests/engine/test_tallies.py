"""Sums by tenths of a second, however they come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.engine.tallies import BIN, BINS, PIECES, Tallies, Tally

times = st.lists(st.integers(0, 50 * BIN), min_size=1, max_size=60)


def column(values):
    return np.array(sorted(values), dtype=np.int64)


@given(st.lists(times, min_size=1, max_size=2 * PIECES), st.integers(0, 50), st.integers(0, 50))
def test_batches_of_any_order_add_up(batches, begin, length):
    """At the borders of bins nothing is uncertain."""
    tallies, every = Tallies(), [time for batch in batches for time in batch]
    for batch in batches:
        tallies.add(column(batch), None)
    begin, end = begin * BIN, (begin + length + 1) * BIN - 1
    within = [time for time in every if begin <= time <= end]
    assert tallies.between(begin, end) == (Tally(len(within), min(within), max(within)) if within else None)


@given(times, st.integers(0, 50 * BIN), st.integers(0, 10 * BIN))
def test_a_bin_counts_whole_where_some_of_it_is_within(seen, begin, length):
    tallies, end = Tallies(), begin + length
    tallies.add(column(seen), None)
    tally = tallies.between(begin, end)
    inside = [time for time in seen if begin <= time <= end]
    around = [time for time in seen if begin // BIN <= time // BIN <= end // BIN]
    assert len(inside) <= (tally.total if tally else 0) <= len(around)


@pytest.mark.parametrize("weights", [None, np.array([2, 3], dtype=np.uint32)], ids=["single", "thinned"])
def test_a_segment_may_stand_for_several(weights):
    tallies = Tallies()
    tallies.add(column([5, 9]), weights)
    assert tallies.between(0, BIN) == Tally(2 if weights is None else 5, 5, 9)


def test_the_oldest_bins_are_forgotten():
    tallies = Tallies()
    for number in range(4 * BINS):
        tallies.add(column([number * BIN]), None)
    tally = tallies.between(0, 4 * BINS * BIN)
    assert tally.last == (4 * BINS - 1) * BIN
    assert BINS <= tally.total <= BINS + PIECES


def test_nothing_seen_is_none():
    tallies = Tallies()
    tallies.add(column([]), None)
    assert tallies.between(0, BIN) is None
