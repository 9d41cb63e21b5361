"""Connections as keys: what a set and the memory hold is what a plain dictionary would, however batches are cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as how
from hypothesis import strategies as st

from observer.engine.flows import (
    CLOSED,
    NEVER,
    Distinct,
    Finishes,
    FlowMemory,
    Openings,
    Signs,
    client_keys,
    flow_keys,
    service_keys,
)
from observer.model.time import SECOND

KEYS = st.lists(st.integers(0, 12), max_size=60)
CUTS = st.lists(st.integers(0, 60), max_size=8)


def column(values, kind=np.uint64):
    return np.array(list(values), dtype=kind)


NO_OPENINGS = Openings(column([]), column([], np.int64), column([], np.uint32), column([]))
NO_FINISHES = Finishes(column([]), column([], np.int64), column([], np.uint32), column([]))


def pieces(rows, cuts):
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    return [rows[begin:end] for begin, end in itertools.pairwise(edges)]


@given(KEYS, CUTS, st.integers(1, 15))
def test_a_set_holds_the_first_comers_with_their_times(keys, cuts, limit):
    found = Distinct(limit)
    for piece in pieces(list(enumerate(keys)), cuts):
        found.add(column(key for _, key in piece), column((time for time, _ in piece), np.int64))
    expected: dict[int, int] = {}
    beyond = 0
    for time, key in enumerate(keys):
        if key not in expected and len(expected) == limit:
            beyond += 1
        expected.setdefault(key, time) if len(expected) < limit else None
    assert dict(zip(found.keys.tolist(), found.times.tolist(), strict=True)) == expected
    assert (found.beyond, len(found)) == (beyond, len(expected) + beyond)


def test_keys_tell_connections_apart():
    """A million neighbouring ports and addresses, on two services."""
    hosts = np.arange(1000, dtype=np.uint64)
    clients = client_keys(np.stack([np.zeros_like(hosts), (np.uint64(0xFFFF) << np.uint64(32)) | hosts], axis=1))
    ports = np.arange(40_000, 41_000, dtype=np.uint16)
    every = [
        flow_keys(
            np.repeat(clients, 1000), np.tile(ports, 1000), np.repeat(service_keys((0, 7), column([service], np.uint16)), 10**6)
        )
        for service in (443, 6443)
    ]
    assert len(np.unique(np.concatenate(every))) == 2 * 10**6


EVENTS = st.lists(st.tuples(st.sampled_from("sfq"), st.integers(0, 4), st.integers(0, 2), st.integers(1, 5)), max_size=40)
LONG = CLOSED // 2 + 1


def told(events, cuts):
    """What the memory answers to every question; events are a SYN+ACK with its number, a FIN, a question."""
    memory, answers = FlowMemory(), []
    for piece in pieces(events, cuts):
        at = {kind: [event for event in piece if event[0] == kind] for kind in "sfq"}
        openings = Openings(
            column(key for _, key, _, _ in at["s"]),
            column((time for *_, time in at["s"]), np.int64),
            column((number for _, _, number, _ in at["s"]), np.uint32),
            column(number + 1 for _, _, number, _ in at["s"]),
        )
        finishes = Finishes(
            column(key for _, key, _, _ in at["f"]),
            column((time for *_, time in at["f"]), np.int64),
            column((number for _, _, number, _ in at["f"]), np.uint32),
            column(number + 1 for _, _, number, _ in at["f"]),
        )
        asked = Signs(column(key for _, key, _, _ in at["q"]), column((time for *_, time in at["q"]), np.int64))
        history = memory.before(asked, openings, finishes)
        memory.note(openings, finishes)
        columns = (history.opened, history.holder, history.finished, history.behind, history.finisher)
        answers += zip(*(column.tolist() for column in columns), strict=True)
    return answers


def expected(events):
    opened, finished, answers = {}, {}, []
    for kind, key, number, time in events:
        if kind == "s":
            forget_closed(opened, finished, key, time)
        if kind == "s" and (key not in opened or opened[key][1] != number + 1):
            opened[key] = (time, number + 1)
        elif kind == "f":
            forget_closed(opened, finished, key, time)
            finished[key] = (time, number, number + 1)
        elif kind == "q":
            forget_closed(opened, finished, key, time)
            answers.append((*opened.get(key, (NEVER, 0)), *finished.get(key, (NEVER, 0, 0))))
    return answers


def forget_closed(opened, finished, key, time):
    if key in finished and finished[key][0] >= opened.get(key, (NEVER,))[0] and time - finished[key][0] > CLOSED:
        finished.pop(key)
        opened.pop(key, None)


@how(max_examples=300)
@given(EVENTS)
def test_a_connection_is_known_for_minutes_after_its_end(events):
    """Steps of half that time; each event in a batch of its own, which spans less."""
    clock = itertools.accumulate(step // 3 * LONG + step for *_, step in events)
    events = [(kind, key, number, time) for (kind, key, number, _), time in zip(events, clock, strict=True)]
    answers, wanted = ([of_this(answer) for answer in found] for found in (told(events, range(len(events))), expected(events)))
    assert answers == wanted


def of_this(answer):
    """Without the end of an earlier connection of the same ports."""
    opened, holder, finished, *_ = answer
    return answer if finished >= opened else (opened, holder)


def test_what_was_closed_long_ago_takes_no_room():
    memory = FlowMemory()
    for begin in range(0, 3000, 100):
        keys, times = np.arange(begin, begin + 100, dtype=np.uint64), np.arange(begin, begin + 100, dtype=np.int64) * SECOND
        memory.note(Openings(keys, times, keys.astype(np.uint32), keys), Finishes(keys, times, keys.astype(np.uint32), keys))
        assert len(memory) <= 100 + CLOSED // SECOND * 1.1


@how(max_examples=300)
@given(EVENTS, CUTS)
@example([("s", 0, 0, 1), ("s", 0, 1, 1), ("s", 0, 0, 1), ("q", 0, 0, 1)], [1])
def test_the_memory_is_a_dictionary_wherever_batches_are_cut(events, cuts):
    clock = itertools.accumulate(step for *_, step in events)
    events = [(kind, key, number, time) for (kind, key, number, _), time in zip(events, clock, strict=True)]
    assert told(events, cuts) == expected(events)


def test_the_memory_forgets_what_was_silent_longest_and_says_so():
    memory = FlowMemory(limit=100)
    for begin in range(0, 150, 10):
        keys = np.arange(begin, begin + 10, dtype=np.uint64)
        times = np.arange(begin, begin + 10, dtype=np.int64)
        memory.note(Openings(keys, times, keys.astype(np.uint32), keys), NO_FINISHES)
        assert len(memory) <= 100
    asked = Signs(np.arange(150, dtype=np.uint64), np.full(150, 1000, dtype=np.int64))
    opened = memory.before(asked, NO_OPENINGS, NO_FINISHES).opened
    known = np.flatnonzero(opened > NEVER)
    assert known.tolist() == list(range(int(known[0]), 150))
    assert memory.horizon == known[0] - 1


@pytest.mark.parametrize("rows", [1, 3])
def test_nothing_in_nothing_out(rows):
    history = FlowMemory().before(Signs(column(range(rows)), column(range(rows), np.int64)), NO_OPENINGS, NO_FINISHES)
    assert history.opened.tolist() == history.finished.tolist() == [NEVER] * rows
