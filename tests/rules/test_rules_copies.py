"""Captures that hold frames more than once, as those of mirror ports do: a copy is no second frame, and no second question."""

from __future__ import annotations

from dataclasses import replace

import pytest
from traces import A6, B6, A, B, C, Trace, flaps

from observer.model.observations import Family
from observer.model.verdicts import Cause, Confidence, Warranted

SIX = {"version": 3, "family": Family.IPV6}


def copied(trace, lag, *, begin=0):
    """Every frame again, so many milliseconds later, from a time on."""
    first = min(item.time for item in trace.items) + begin * 1_000_000_000
    trace.items += [replace(item, time=item.time + int(lag * 1_000_000)) for item in trace.items if item.time >= first]
    return trace


def given_up(times, *, before=20):
    """A resigns with so many adverts, and B takes over; nothing numbers the adverts."""
    last = before - 1
    return Trace(**SIX).adverts(A6, 100, 0, before).resign(A6, last + 0.4, times=times).adverts(B6, 90, last + 1.05, 30)


def verdict(trace):
    (flap,) = flaps(trace)
    return flap.verdict.cause, flap.verdict.confidence


@pytest.mark.parametrize("lag", [0.02, 0.3, 0.58, 1, 20])
def test_a_resignation_that_was_captured_twice_like_all_before_it_is_one(lag):
    assert verdict(copied(given_up(1), lag)) == (Cause.STOPPED, Confidence.LIKELY)
    assert verdict(copied(given_up(2), lag))[0] is Cause.CHECK_FAILED


def test_one_of_two_resignations_is_no_copy_where_nothing_before_was_captured_twice():
    assert verdict(given_up(2)) == (Cause.CHECK_FAILED, Confidence.CERTAIN)


@pytest.mark.parametrize(("before", "cause"), [(20, Cause.CHECK_FAILED), (3, Cause.STOPPED)], ids=["of many", "of few"])
def test_two_resignations_at_once_are_no_copies_either(before, cause):
    """keepalived was seen to send those of a FAULT 0.1 ms apart."""
    trace = Trace(**SIX).adverts(A6, 100, 0, before)
    for behind in (0, 0.0001):
        trace.advert(A6, 0, before - 0.6 + behind)
    assert verdict(trace.adverts(B6, 90, before + 0.05, 30))[0] is cause


@pytest.mark.parametrize(
    "trace",
    [
        given_up(2, before=3),
        Trace(**SIX).adverts(A6, 100, 0, 10).adverts(A6, 100, 11, 10).resign(A6, 20.4, times=2).adverts(B6, 90, 21.05, 30),
        copied(given_up(1), 1, begin=19.2),
        copied(given_up(2), 1, begin=16.5),
    ],
    ids=["too few before", "adverts were lost before", "copies began with it", "copies began shortly before"],
)
def test_it_is_not_excluded_where_that_was_not_seen_for_long(trace):
    assert verdict(trace) != (Cause.CHECK_FAILED, Confidence.CERTAIN)


def test_a_burst_of_what_was_due_does_not_pass_for_copies():
    """A frozen keepalived sends it once; who then resigns twice has entered FAULT."""
    trace = Trace(**SIX).adverts(A6, 100, 0, 10)
    for number in range(5):
        trace.advert(A6, 100, 9.5 + number * 0.001)
    trace.adverts(A6, 100, 10.5, 3).resign(A6, 12.9, times=2).adverts(B6, 90, 13.55, 30)
    assert verdict(trace)[0] is Cause.CHECK_FAILED


def silent(*questions):
    """A falls silent; C asks for it at these times, and where it answers we do not listen."""
    trace = Trace().adverts(A, 65, 0, 20).adverts(B, 60, 22.766, 60)
    for when in questions:
        trace.ask(C, A, when)
    return trace


@pytest.mark.parametrize(
    ("questions", "warranted"),
    [((24, 25), Warranted.YES), ((24, 24.001), Warranted.UNKNOWN), ((24, 24.001, 25, 25.001), Warranted.YES)],
    ids=["asked again", "captured twice", "asked again, captured twice"],
)
def test_a_copy_of_a_question_is_not_asked_again(questions, warranted):
    (flap,) = flaps(silent(*questions))
    assert flap.verdict.warranted is warranted


def test_a_question_that_two_nodes_capture_is_asked_once():
    other = Trace("m2").ask(C, A, 24.000_05)
    (flap,) = flaps(silent(24) + other)
    assert flap.verdict.warranted is Warranted.UNKNOWN


@pytest.mark.parametrize("interval", [0.03, 0.1, 0.2, 1.0])
def test_what_one_tap_missed_and_another_heard_is_no_copy_of_the_advert_before(interval):
    """In IPv6 adverts have no number to tell them by, and several are sent in the time in which a slow tap may bring a copy."""
    taps = [Trace(version=3, family=Family.IPV6, interval=interval, node=node) for node in ("m1", "m2")]
    for number in range(80):
        taps[number % 5 > 0].advert(A6, 100, number * interval)
    assert flaps(taps[0] + taps[1]) == []
