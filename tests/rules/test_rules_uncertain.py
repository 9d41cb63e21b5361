"""Stories that look like a decisive sign and are something else: each beside the one that the sign is decisive for."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from traces import A, B, C, Trace, at, flaps, mac

from observer.model.observations import Advert, LinkChange
from observer.model.verdicts import Cause, Confidence, Warranted

CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY
VIP = "192.0.2.100"


def verdict(trace):
    flap = flaps(trace)[0]
    return flap.verdict.cause, flap.verdict.confidence


def fresh(trace, router):
    """The router's process has sent nothing yet."""
    trace._idents[router] = 0
    return trace


def tapped(trace, router):
    """The capture is the router's own, and knows directions."""
    trace.items = [
        replace(item, outgoing=True) if isinstance(item, Advert) and item.router == router else item for item in trace.items
    ]
    return trace


# preempted


@pytest.mark.parametrize(("begin", "confidence"), [(20.5, LIKELY), (10.5, CERTAIN)], ids=["right before", "long before"])
def test_a_priority_may_have_fallen_before_the_observation_began(begin, confidence):
    trace = fresh(Trace().source(begin), B).adverts(A, 45, int(begin) + 1, 22 - int(begin)).adverts(B, 60, 22.4, 30)
    assert verdict(trace) == (Cause.PREEMPTED, confidence)


# receiver_deaf


def claims(priority, when, *, claimant=100, stays=False):
    """At the taps of both, A is heard on schedule, and B, which has never sent an advert, claims the address."""

    def tap(node):
        trace = fresh(Trace(node).adverts(A, priority, 0, 40 if stays else 20), B)
        return trace.adverts(B, claimant, when, 15 if stays else 30)

    return tapped(tap("m0"), A) + tapped(tap("m1"), B)


PATIENCE = 3 + 156 / 256
"""Active_Down_Interval at priority 100 and 1 s."""


@pytest.mark.parametrize(
    ("trace", "confidence"),
    [
        (claims(100, 19.3), LIKELY),
        (claims(255, 19.3, claimant=255), LIKELY),
        (claims(100, 16 + PATIENCE), CERTAIN),
        (claims(110, 19.3, stays=True), CERTAIN),
    ],
    ids=["at any time", "an owner at any time", "when its patience ends", "beside a better one, and it stays"],
)
def test_a_router_that_has_just_started_may_claim_the_address_before_it_listens(trace, confidence):
    assert verdict(trace) == (Cause.RECEIVER_DEAF, confidence)


@pytest.mark.parametrize(("taken", "certain"), [(19.9, True), (20.219, False)], ids=["on its beat", "an advert is due"])
def test_a_dead_router_is_not_on_schedule_however_soon_another_takes_over(taken, certain):
    def tap(node):
        return Trace(node).adverts(A, 210, 0, 20).adverts(B, 200, taken, 30)

    assert (verdict(tapped(tap("m0"), A) + tapped(tap("m1"), B))[1] is CERTAIN) == certain


@pytest.mark.parametrize("same", [False, True], ids=["another host", "one host"])
def test_a_host_whose_address_changes_claims_nothing(same):
    other = "192.0.2.21"
    trace = Trace("m0").adverts(A, 65, 0, 20)
    if same:
        trace._idents[other] = trace._idents[A]
    trace.adverts(other, 65, 20, 30)
    if same:
        trace.items = [replace(item, mac=mac(A), outgoing=True) for item in trace.items]
    trace.address(-0.5, present=True, address=A, initial=True).address(19.7, present=True, address=other)
    assert (verdict(trace)[0] is Cause.RECEIVER_DEAF) != same


# partition


@pytest.mark.parametrize(("adverts", "confidence"), [(1, LIKELY), (8, CERTAIN)], ids=["once", "on and on"])
def test_a_node_that_thaws_claims_the_address_once(adverts, confidence):
    """A's adverts left it while B's whole node stood still; a partition goes on."""
    owner = fresh(Trace("m0").adverts(A, 65, 0, 50), B).adverts(B, 60, 25.3, adverts)
    other = Trace("m1").adverts(A, 65, 0, 20).sent_elsewhere(A, 5 + adverts)
    fresh(other, B).adverts(B, 60, 25.3, adverts).adverts(A, 65, 25 + adverts, 24)
    assert verdict(tapped(owner, A) + tapped(other, B)) == (Cause.PARTITION, confidence)


# link_down


@pytest.mark.parametrize(
    ("interface", "links", "confidence"),
    [
        (None, ("eth0",), CERTAIN),
        (None, ("bond0", "eth0", "eth1"), LIKELY),
        ("eth0", ("eth0", "eth0.7"), CERTAIN),
    ],
    ids=["the link itself", "one of a bond's", "the one of the adverts, beside a VLAN's"],
)
def test_a_link_of_a_bond_may_go_down_without_the_bond(interface, links, confidence):
    node = Trace("m0", interface=interface).source(-1).address(-0.5, present=True, address=A, initial=True)
    for name in links:
        node.items.append(LinkChange(time=at(-0.4), node="m0", interface=name, up=True, mac=mac(A), initial=True))
    node.items.append(LinkChange(time=at(19.3), node="m0", interface="eth0", up=False, mac=mac(A)))
    seen = Trace("m1", interface=interface).source(-1).adverts(A, 65, 0, 20).adverts(B, 60, 22.766, 30)
    assert verdict(node + seen) == (Cause.LINK_DOWN, confidence)


# Other makes


@pytest.mark.parametrize("random_numbers", [False, True], ids=["keepalived's numbers", "random numbers"])
def test_another_program_may_resign_several_times(random_numbers):
    dice = random.Random(3)
    trace = Trace(numbering=lambda: dice.randint(1, 60000)) if random_numbers else Trace()
    trace.adverts(A, 100, 0, 20)
    for number in range(3 if random_numbers else 2):
        trace.advert(A, 0, 19.4 + number * 0.0006)
    assert verdict(trace.adverts(B, 90, 20.05, 30)) == (Cause.CHECK_FAILED, LIKELY if random_numbers else CERTAIN)


def test_a_router_that_speaks_both_versions_resigns_once_in_each():
    trace = Trace()
    for number in range(20):
        for version in (2, 3):
            trace.version = version
            trace.advert(A, 0 if number == 19 else 100, number + version / 1000)
    trace.version = 2
    assert verdict(trace.adverts(B, 90, 19.66, 20))[0] is Cause.STOPPED


def test_the_order_of_addresses_makes_no_other_group():
    both = VIP, "192.0.2.101"
    trace = Trace().adverts(A, 65, 0, 20, addresses=both).adverts(A, 45, 20, 3, addresses=both)
    assert verdict(trace.adverts(B, 60, 22.766, 30, addresses=both[::-1])) == (Cause.CHECK_FAILED, CERTAIN)


# Warranted


@pytest.mark.parametrize("other", [False, True], ids=["the only port", "another port serves"])
def test_one_port_that_refuses_does_not_speak_for_the_others(other):
    trace = Trace("m0").adverts(A, 68, 0, 14).adverts(A, 40, 14, 3).adverts(B, 65, 16.746, 30)
    for second in range(8):
        trace.served(A, C, second + 0.3, client_port=41000 + second, port=22623)
    for second in range(9, 16):
        trace.refused(A, C, second + 0.5, client_port=42000 + second, port=22623)
        if other:
            trace.served(A, C, second + 0.4, client_port=40000 + second)
    found = flaps(tapped(trace, A))[0].verdict.warranted
    assert found is (Warranted.UNKNOWN if other else Warranted.YES)


# Memory


def test_what_was_heard_around_a_flap_is_not_forgotten_before_it_is_closed():
    """At ten adverts a second a minute is more than is remembered; the last word rests on what the first one saw."""
    trace = fresh(Trace(interval=0.1, version=3).source(-1), B).address(-0.5, present=True, address=B, initial=True)
    trace.adverts(A, 100, 0, 1000).adverts(B, 100, 20.05, 60)
    (flap, *_) = flaps(trace)
    assert flap.verdict.cause is Cause.RECEIVER_DEAF


@pytest.mark.parametrize(("heard", "confidence"), [(3, LIKELY), (20, CERTAIN)])
def test_a_better_router_soon_after_the_first_advert_ever_heard(heard, confidence):
    """However long there was nothing to hear: the adverts at a higher priority were lost, or all have just started."""
    trace = Trace().source(-60).adverts(A, 90, 0, heard).restart(B).adverts(B, 110, heard - 0.6, 40)
    assert verdict(trace) == (Cause.PREEMPTED, confidence)
