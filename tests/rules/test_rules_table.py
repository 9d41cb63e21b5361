"""Traces by name: each cause's own, and those that look much like it and are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rules.stories import (
    Setting,
    address_removed_and_resumed,
    check_failed,
    daemon_killed,
    daemon_stalled,
    fault,
    node_lost,
    preempted_by_a_newcomer,
    random_setting,
    stopped,
)
from traces import FAULT_GAP, A, B, Trace, flaps

from observer.model.observations import Family
from observer.model.verdicts import Cause, Confidence, Warranted

PLAIN = Setting()
FAST = Setting(version=3, interval=0.1)
SIX = Setting(version=3, family=Family.IPV6)
LIVELY = Setting(life=True, watched=60)


def told(story, setting):
    trace = setting.trace()
    story(setting, trace)
    return trace


def worse_router():
    """The better router goes silent just when a worse one speaks: no election gives that."""
    return Trace().adverts(A, 65, 0, 20).adverts(B, 60, 19.3, 30)


POSITIVE = {
    "a weighted check fails": (told(check_failed, PLAIN), Cause.CHECK_FAILED),
    "a weighted check fails, intervals of 100 ms": (told(check_failed, FAST), Cause.CHECK_FAILED),
    "a weighted check fails, IPv6": (told(check_failed, SIX), Cause.CHECK_FAILED),
    "a check without weight fails": (told(fault, PLAIN), Cause.CHECK_FAILED),
    "keepalived is stopped": (told(stopped, PLAIN), Cause.STOPPED),
    "keepalived is stopped, IPv6": (told(stopped, SIX), Cause.STOPPED),
    "a better router joins": (told(preempted_by_a_newcomer, PLAIN), Cause.PREEMPTED),
    "a better router joins, intervals of 100 ms": (told(preempted_by_a_newcomer, FAST), Cause.PREEMPTED),
    "keepalived is killed, its node goes on": (told(daemon_killed, LIVELY), Cause.DAEMON_KILLED),
    "a node loses its power, or its link": (told(node_lost, replace(PLAIN, watched=60)), Cause.UNEXPLAINED),
    "a worse router takes over for no reason": (worse_router(), Cause.UNEXPLAINED),
}


@pytest.mark.parametrize("name", POSITIVE)
def test_each_cause_is_found(name):
    trace, cause = POSITIVE[name]
    (flap,) = flaps(trace)
    assert flap.verdict.cause is cause
    assert (flap.former[-2:], flap.current[-2:]) == ("11", "12")


def test_every_cause_that_a_story_is_told_of_has_one_here():
    named = {cause for _, cause in POSITIVE.values()}
    # A lost node cannot be told from a lost link by what others see of it.
    basic = {"check_failed", "stopped", "preempted", "daemon_killed", "unexplained"}
    assert {cause.value for cause in named} == basic


def regained():
    """The priority fell, came back, and then the router fell silent."""
    trace = Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 2).adverts(A, 65, 22, 5)
    return trace.adverts(B, 60, 26 + 3.766, 30)


def fell_but_the_taker_is_no_higher():
    return Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 40, 22 + 3.844, 30)


def lower_from_the_start():
    """The lower priority was there all along; nothing fell."""
    return Trace().adverts(A, 45, 0, 20).restart(B).adverts(B, 60, 19.4, 30)


def fell():
    """A better router took over, but only because the Active one's priority had fallen."""
    return told(check_failed, PLAIN)


def copies_of_one_resignation():
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5)
    trace.items.append(replace(trace.items[-1], time=trace.items[-1].time + 580_000))
    return trace.adverts(B, 60, 20.3, 30)


def foreign_group():
    trace = Trace().adverts(A, 60, 0, 20).restart(B)
    return trace.adverts(B, 65, 19.4, 30, addresses=("198.51.100.1",), authentication=7)


def foreign_group_after_a_fall():
    trace = Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).restart(B)
    return trace.adverts(B, 60, 22.8, 30, addresses=("198.51.100.1",), authentication=7)


def silence_with_life_signs():
    return told(daemon_killed, LIVELY)


def silence_without():
    return told(node_lost, replace(PLAIN, watched=60))


def same_process_resumes():
    return told(daemon_stalled, replace(LIVELY, sequel=True, watched=20))


def resigned_and_resumed():
    return told(address_removed_and_resumed, PLAIN)


def resigned():
    return told(stopped, PLAIN)


def same_address_other_authentication():
    """A better router claims the very address, with a password of its own."""
    trace = Trace().adverts(A, 60, 0, 20, authentication=1).restart(B)
    return trace.adverts(B, 65, 19.4, 30, authentication=2)


def same_address_other_authentication_after_a_fall():
    trace = Trace().adverts(A, 65, 0, 20, authentication=1).adverts(A, 45, 20, 3, authentication=1).restart(B)
    return trace.adverts(B, 60, 22.766, 30, authentication=2)


def silence_of_a_host_that_asks():
    """The node sends ARP of its own, and nothing shows who holds the address."""
    trace = Trace().adverts(A, 65, 0, 20).adverts(B, 60, 22.766, 60)
    for number in range(50):
        trace.ask(A, B, 19.5 + number)
    return trace


NEAR_MISSES = (
    (regained, Cause.CHECK_FAILED),
    (fell_but_the_taker_is_no_higher, Cause.CHECK_FAILED),
    (lower_from_the_start, Cause.CHECK_FAILED),
    (copies_of_one_resignation, Cause.CHECK_FAILED),
    (resigned, Cause.CHECK_FAILED),
    (resigned_and_resumed, Cause.CHECK_FAILED),
    (resigned_and_resumed, Cause.STOPPED),
    (silence_without, Cause.STOPPED),
    (fell, Cause.PREEMPTED),
    (foreign_group, Cause.PREEMPTED),
    (foreign_group_after_a_fall, Cause.CHECK_FAILED),
    (foreign_group_after_a_fall, Cause.PREEMPTED),
    (same_address_other_authentication, Cause.PREEMPTED),
    (same_address_other_authentication_after_a_fall, Cause.CHECK_FAILED),
    (silence_of_a_host_that_asks, Cause.NODE_LOST),
    (silence_without, Cause.PREEMPTED),
    (silence_without, Cause.DAEMON_KILLED),
    (resigned, Cause.DAEMON_KILLED),
    (same_process_resumes, Cause.DAEMON_KILLED),
    (silence_with_life_signs, Cause.NODE_LOST),
    (resigned, Cause.NODE_LOST),
    (same_process_resumes, Cause.NODE_LOST),
)


@pytest.mark.parametrize(("trace", "cause"), NEAR_MISSES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_near_misses(trace, cause):
    found = flaps(trace())
    assert found
    assert cause is not found[0].verdict.cause


def test_a_copied_resignation_is_a_stop():
    (flap,) = flaps(copies_of_one_resignation())
    assert flap.verdict.cause is Cause.STOPPED


@pytest.mark.parametrize("interval", [0.1, 1, 10])
def test_two_resignations_are_a_fault_whatever_the_interval(interval):
    (flap,) = flaps(told(fault, Setting(version=3, interval=interval)))
    assert (flap.verdict.cause, flap.verdict.confidence) == (Cause.CHECK_FAILED, Confidence.CERTAIN)


@pytest.mark.parametrize(("version", "interval"), [(2, 1), (2, 10), (3, 0.1), (3, 1)])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_silence_shorter_than_any_backup_waits_is_no_flap(version, interval, missing):
    trace = Trace(version=version, interval=interval).adverts(A, 65, 0, 20)
    assert flaps(trace.adverts(A, 65, (20 + missing) * interval, 20)) == []


def test_the_address_is_with_the_same_router_again():
    (flap,) = flaps(resigned_and_resumed())
    assert flap.former == flap.current == A


def test_a_fault_and_a_stop_differ_by_one_frame_only():
    """The pair of traces on which everything about FAULT hangs."""
    one = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 30)
    two = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).resign(A, 19.5 + FAULT_GAP).adverts(B, 60, 20.3, 30)
    assert [flap.verdict.cause for trace in (one, two) for flap in flaps(trace)] == [Cause.STOPPED, Cause.CHECK_FAILED]


def test_a_fault_rules_out_a_stop_and_names_no_cause_it_ruled_out():
    (flap,) = flaps(told(fault, PLAIN))
    assert Cause.STOPPED in {entry.cause for entry in flap.verdict.ruled_out}
    assert flap.verdict.cause not in {entry.cause for entry in flap.verdict.ruled_out}


def test_a_host_that_lives_rules_out_that_it_is_lost():
    (flap,) = flaps(silence_of_a_host_that_asks())
    assert Cause.NODE_LOST in {entry.cause for entry in flap.verdict.ruled_out}


def with_clients(answer):
    """A check fails at 20 s, the address moves at 22.766 s, and clients come all the while."""
    trace = fell()
    for number in range(80):
        when = 12 + number / 8
        getattr(trace, "served" if when < 19.9 else answer)(A, "198.51.100.7", when, client_port=30000 + number)
    return trace


@pytest.mark.parametrize(("answer", "warranted"), [("served", Warranted.NO), ("refused", Warranted.YES)])
def test_whether_the_move_was_warranted_is_what_the_proxy_did_after_the_check_failed(answer, warranted):
    (flap,) = flaps(with_clients(answer))
    assert (flap.verdict.cause, flap.verdict.warranted) == (Cause.CHECK_FAILED, warranted)


def test_what_the_proxy_did_after_the_move_says_nothing_of_before():
    """Refusals by the new router's own proxy, seconds later."""
    trace = fell()
    for number in range(20):
        trace.refused(B, "198.51.100.7", 26 + number / 8, client_port=30000 + number)
    (flap,) = flaps(trace)
    assert flap.verdict.warranted is Warranted.UNKNOWN


@pytest.mark.parametrize("seed", range(40))
def test_a_fall_of_the_priority_is_certain_in_any_clear_setting(seed):
    setting = random_setting(seed, clear=True)
    (flap,) = flaps(told(check_failed, replace(setting, sequel=False)))
    assert (flap.verdict.cause, flap.verdict.confidence) == (Cause.CHECK_FAILED, Confidence.CERTAIN)
