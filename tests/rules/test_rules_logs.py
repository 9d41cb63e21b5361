"""What a node's log tells of one virtual router, and lines of the same log that are about something else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from traces import A6, B6, A, B, C, Trace, at, flaps

from observer.engine.engine import Engine
from observer.model.host import LogEvent, LogKind
from observer.model.observations import AddressChange, Advert, Family, LinkChange
from observer.model.verdicts import Cause, Confidence, Warranted
from observer.run import run
from observer.sinks.report import Report

OURS, OTHERS = "VI_1", "VI_2"
CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE


def line(when, kind, *, node="m1", **fields):
    return LogEvent(time=at(when), node=node, kind=kind, detail="as it says", **fields)


def here(router=A, **setting):
    """A trace on the node of a router."""
    return Trace(**setting).source(-1).address(-0.5, present=True, address=router, initial=True)


def logged(trace, *lines):
    trace.items += lines
    return trace


def verdicts(trace, explain=None):
    """Cause and confidence of each flap."""
    report = Report()
    run(trace.observations(), Engine(explain), [report])
    return [(flap.verdict.cause, flap.verdict.confidence) for flap in report.ordered()]


class Named:
    """A configuration that knows what the virtual router is called, and where it works."""

    def __init__(self, name, interface="eth0"):
        self._named = name, interface

    def named(self, _node, _router):
        return self._named

    def step(self, _node, _router, _before, _after):
        return None

    def faulting(self, _node, _router):
        return None


# Instances


def stops():
    """A resigns at 19.5 with one advert; B takes over."""
    return here().adverts(A, 100, 0, 20).resign(A, 19.5).adverts(B, 90, 20.15, 60)


FAULT, BECAME = LogKind.ENTERED_FAULT, LogKind.ENTERED_ACTIVE
STOPPING = line(19.4, LogKind.STOPPING)


@pytest.mark.parametrize(
    ("lines", "explain", "expected"),
    [
        ((STOPPING, line(19.5, FAULT, instance=OTHERS)), Named(OURS), (Cause.STOPPED, CERTAIN)),
        ((line(19.5, FAULT, instance=OURS), line(9, BECAME, instance=OTHERS)), Named(OURS), (Cause.CHECK_FAILED, CERTAIN)),
        ((line(19.5, FAULT, instance=OURS),), None, (Cause.CHECK_FAILED, CERTAIN)),
        ((STOPPING, line(0, BECAME, instance=OURS), line(19.5, FAULT, instance=OTHERS)), None, (Cause.STOPPED, CERTAIN)),
        ((line(0, BECAME, instance=OURS), line(19.5, FAULT, instance=OURS), line(5, FAULT, instance=OTHERS)), None,
         (Cause.CHECK_FAILED, CERTAIN)),
        ((line(0, BECAME, instance=OURS), line(-0.5, BECAME, instance=OTHERS), line(19.5, FAULT, instance=OURS)), None,
         (Cause.STOPPED, LIKELY)),
    ],
    ids=[
        "another's, by the configuration",
        "its own, by the configuration",
        "the only one",
        "another's, by who became Active",
        "its own, by who became Active",
        "whose it is cannot be told",
    ],
)  # fmt: skip
def test_a_line_about_another_instance_is_none_about_this_one(lines, explain, expected):
    assert verdicts(logged(stops(), *lines), explain) == [expected]


def returns(*lines):
    """The better A is silent for 14 s, B takes over, and A is back; IPv6 does not tell whether its process went on meanwhile."""
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 100, 0, 20).adverts(B6, 90, 22.65, 10).adverts(A6, 100, 32.1, 30)
    node = Trace("m0").source(-1).address(-0.5, present=True, address=A6, initial=True)
    return trace + logged(node, *lines)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), Cause.UNEXPLAINED),
        ((line(32.1, BECAME, node="m0"),), Cause.PREEMPTED),
        ((line(31, BECAME, node="m0"),), Cause.PREEMPTED),
        ((line(29, BECAME, node="m0"),), Cause.UNEXPLAINED),
        ((line(34, BECAME, node="m0"),), Cause.UNEXPLAINED),
        ((line(32.1, LogKind.STARTING, node="m0"),), Cause.UNEXPLAINED),
        ((line(32.1, BECAME, node="m1"),), Cause.UNEXPLAINED),
        ((line(32.1, BECAME, node="m0", instance=OTHERS), line(-1, BECAME, node="m0", instance=OURS)), Cause.UNEXPLAINED),
    ],
    ids=["no log", "then", "then, to the second", "before", "after", "another word", "on another node", "of another instance"],
)
def test_a_router_that_became_active_when_it_came_was_not_active_unheard(lines, expected):
    found = verdicts(returns(*lines), None if len(lines) < 2 else Named(OURS))
    assert found[-1][0] is expected
    assert expected is not Cause.PREEMPTED or found[-1][1] is CERTAIN


def deaf(*lines):
    """At B's tap A's adverts arrive on schedule, and B takes over all the same."""
    trace = here(B).adverts(A, 100, 0, 40).adverts(B, 90, 20.4, 15)
    return logged(trace, *lines)


@pytest.mark.parametrize(
    ("rejection", "cause"),
    [
        (line(20, LogKind.AUTHENTICATION_FAILED, instance=OURS, router=A), Cause.ADVERTS_REJECTED),
        (line(20, LogKind.AUTHENTICATION_FAILED, instance=OURS), Cause.ADVERTS_REJECTED),
        (line(20, LogKind.AUTHENTICATION_FAILED, instance=OURS, router=C), Cause.RECEIVER_DEAF),
        (line(20, LogKind.AUTHENTICATION_FAILED, instance=OTHERS), Cause.RECEIVER_DEAF),
    ],
    ids=["of the owner's adverts", "of whose is not said", "of a third router's", "of another instance"],
)
def test_adverts_that_a_log_says_were_rejected(rejection, cause):
    assert verdicts(deaf(rejection), Named(OURS))[0] == (cause, CERTAIN)


# Links


def falls_silent(**setting):
    return here(**setting).adverts(A, 100, 0, 20).adverts(B, 90, 22.65, 60)


@pytest.mark.parametrize(
    ("interface", "explain", "down", "expected"),
    [
        ("eth0", None, line(19.2, LogKind.LINK_DOWN, subject="eth0"), (Cause.LINK_DOWN, CERTAIN)),
        ("eth0", None, line(19.2, LogKind.LINK_DOWN, subject="eth1"), None),
        ("eth0", None, line(17.6, LogKind.LINK_DOWN, subject="eth0"), None),
        (None, Named(OURS, "eth0"), line(19.2, LogKind.LINK_DOWN, subject="eth0"), (Cause.LINK_DOWN, CERTAIN)),
        (None, Named(OURS, "eth0"), line(19.2, LogKind.LINK_DOWN, subject="eth1"), None),
    ],
    ids=["its own", "another", "adverts left it later", "by the configuration", "another, by the configuration"],
)
def test_a_log_that_says_that_a_link_went_down(interface, explain, down, expected):
    found = verdicts(logged(falls_silent(interface=interface), down), explain)[0]
    assert found == expected if expected else found[0] is not Cause.LINK_DOWN


@pytest.mark.parametrize("virtual", [False, True], ids=["a link", "a link that VRRP itself takes down"])
def test_a_macvlan_of_vrrp_is_not_the_link_that_went_down(virtual):
    """With ``use_vmac`` the addresses are on a link that goes whenever the process does."""
    trace = falls_silent(interface=None).address(-0.4, present=True, initial=True)
    trace.items = [replace(item, interface="vrrp.51") if isinstance(item, AddressChange) else item for item in trace.items]
    link = "00:00:5e:00:01:33" if virtual else "02:00:00:00:00:51"
    trace.items.append(LinkChange(time=at(-0.5), node="m1", interface="vrrp.51", up=True, mac=link, initial=True))
    found = verdicts(logged(trace, line(19.2, LogKind.LINK_DOWN, subject="vrrp.51")))[0]
    assert found[0] is not Cause.LINK_DOWN if virtual else found == (Cause.LINK_DOWN, CERTAIN)


def test_a_link_of_which_nobody_says_whose_it_is():
    """A capture file names no interface, and where the router advertises is nowhere said."""
    nowhere = Trace(interface=None).source(-1).adverts(A, 100, 0, 20).adverts(B, 90, 22.65, 60)
    for number in range(10):
        nowhere.served(A, C, number, client_port=40000 + number)
    trace = nowhere + Trace("m0", interface=None).source(-1).sample(0, "pressure")
    outgoing(trace, A)
    assert verdicts(logged(trace, line(19.2, LogKind.LINK_DOWN, subject="eth0")))[0] == (Cause.LINK_DOWN, LIKELY)


def outgoing(trace, router):
    """The tap is the router's own, as a capture that knows directions tells."""
    trace.items = [
        replace(item, outgoing=True) if isinstance(item, Advert) and item.router == router else item for item in trace.items
    ]


# Reloads


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((line(19.4, LogKind.RELOADING),), (Cause.RELOADED, LIKELY)),
        ((line(19.4, LogKind.RELOADING), STOPPING), (Cause.STOPPED, CERTAIN)),
        ((line(12, LogKind.RELOADING),), (Cause.STOPPED, LIKELY)),
    ],
    ids=["at once", "and it stopped", "long before"],
)
def test_a_reload_takes_a_virtual_router_away_with_one_resignation(lines, expected):
    assert verdicts(logged(stops(), *lines)) == [expected]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((line(19.4, LogKind.ENTERED_BACKUP),), (Cause.UNEXPLAINED, POSSIBLE)),
        ((line(19.4, LogKind.BEGAN_AS_BACKUP),), (Cause.STOPPED, LIKELY)),
        ((line(12, LogKind.ENTERED_BACKUP),), (Cause.STOPPED, LIKELY)),
        ((STOPPING, line(19.6, LogKind.ENTERED_BACKUP)), (Cause.STOPPED, CERTAIN)),
    ],
    ids=["at once", "it has just started", "long before", "and it stopped"],
)
def test_a_router_that_enters_backup_was_not_stopped(lines, expected):
    """It gives way in its sync group, or its address was taken away: keepalived ends without entering another state."""
    assert verdicts(logged(stops(), *lines)) == [expected]


@pytest.mark.parametrize("changed", [False, True], ids=["as before", "in another way"])
def test_a_new_process_that_speaks_otherwise_may_be_a_reloaded_one(changed):
    trace = Trace().adverts(A, 100, 0, 20).resign(A, 20.3).adverts(B, 90, 20.95, 9).restart(A)
    addresses = ("192.0.2.100", "192.0.2.101") if changed else None
    for number in range(30):
        trace.advert(A, 100, 29.5 + number, addresses=addresses)
    assert verdicts(trace)[0] == (Cause.STOPPED, LIKELY if changed else CERTAIN)


# Addresses, timers


@pytest.mark.parametrize(
    ("address", "cause"),
    [("192.0.2.100", Cause.ADDRESS_REMOVED), ("192.0.2.200", Cause.STOPPED)],
    ids=["its own", "another"],
)
def test_an_address_that_a_log_says_was_removed(address, cause):
    assert verdicts(logged(stops(), line(19.4, LogKind.ADDRESS_REMOVED, subject=address)))[0][0] is cause


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ((line(24, LogKind.TIMER_EXPIRED, seconds=4.1),), Cause.DAEMON_STALLED),
        ((line(24, LogKind.TIMER_EXPIRED, seconds=1.2),), None),
        ((line(40, LogKind.TIMER_EXPIRED, seconds=1.2),), None),
        ((line(21, LogKind.TIMER_EXPIRED, seconds=1.2),), None),
        ((line(23, LogKind.STARTING), line(24, LogKind.TIMER_EXPIRED, seconds=4.1)), None),
    ],
    ids=["all the time", "begun too late", "long after", "over before the move", "a new process's"],
)
def test_a_late_timer_tells_of_a_stall_that_it_spans(lines, cause):
    found = verdicts(logged(falls_silent(), *lines))[0]
    assert found == (cause, CERTAIN) if cause else found[0] is not Cause.DAEMON_STALLED


# Peers


def peers(*, mutual):
    """In unicast, B advertises another address than A does; whether A sends its adverts to B as well."""
    members = (A, B, C) if mutual else (A, C)
    ours = Trace(members=members, here=A).adverts(A, 100, 0, 40)
    foreign = Trace(members=(A, B, C), here=A, addresses=("192.0.2.101",)).adverts(B, 110, 10.4, 20)
    ours.items += foreign.items
    return ours


@pytest.mark.parametrize(
    ("mutual", "expected"),
    [(False, (Cause.VRID_CONFLICT, CERTAIN)), (True, (Cause.ADVERTS_REJECTED, LIKELY))],
    ids=["one tells the other", "each tells the other"],
)
def test_routers_that_are_told_of_each_other_are_of_one_group(mutual, expected):
    assert verdicts(peers(mutual=mutual))[0] == expected


@pytest.mark.parametrize(("known", "confidence"), [((A, B, C), CERTAIN), ((B, C), LIKELY)], ids=["a peer", "a stranger"])
def test_a_router_that_does_not_know_the_owner_may_take_nothing_from_it(known, confidence):
    owner = Trace(members=(A, B, C), here=B).source(-1).address(-0.5, present=True, address=B, initial=True)
    owner.adverts(A, 100, 0, 40)
    claimant = Trace(members=known, here=B).adverts(B, 90, 20.4, 15)
    assert verdicts(owner + claimant)[0] == (Cause.RECEIVER_DEAF, confidence)


# Who refused


@pytest.mark.parametrize("until", [23, 60], ids=["the owner yields later", "they go on side by side"])
def test_connections_that_the_other_claimant_refused_say_nothing_of_the_owners_proxy(until):
    """A stranger takes the address, and nothing serves there; the owner goes on advertising for a while."""
    trace = Trace().adverts(A, 100, 0, until)
    trace.adverts(B, 200, 20.4, 40, authentication=7)
    for number in range(10):
        trace.served(A, C, 10 + number / 10, client_port=40000 + number)
        trace.refused(B, C, 21 + number / 10, client_port=41000 + number)
    verdict = flaps(trace)[0].verdict
    assert (verdict.cause, verdict.warranted) == (Cause.VRID_CONFLICT, Warranted.UNKNOWN)


def test_connections_that_a_contender_refused_do_not_make_its_claim_warranted():
    trace = deaf()
    for number in range(10):
        trace.served(A, C, 10 + number / 10, client_port=40000 + number)
        trace.refused(B, C, 21 + number / 10, client_port=41000 + number)
    verdict = flaps(trace)[0].verdict
    assert (verdict.cause, verdict.warranted) == (Cause.RECEIVER_DEAF, Warranted.NO)
