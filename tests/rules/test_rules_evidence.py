"""What the wire shows beside adverts, and what it must not be taken for: each trace with its near miss."""

from __future__ import annotations

from dataclasses import replace

import pytest
from traces import A6, B6, C6, A, B, C, Trace, at, flaps, mac, virtual

from observer.model.host import LogEvent, LogKind
from observer.model.observations import (
    CUT,
    Family,
    GroupLeft,
    LinkChange,
    Malformed,
    Neighbour,
    NeighbourKind,
    Refused,
    SourceState,
)
from observer.model.verdicts import Cause, Confidence, Warranted
from observer.rules.rejected import OF_THE_SENDER
from observer.wire.errors import Reason

TAKEN = 22.766
"""When B, at priority 60, takes over from A after its last advert at 19."""


def verdict(trace):
    (flap,) = flaps(trace)
    return flap.verdict.cause, flap.verdict.confidence


def silent():
    return Trace().adverts(A, 65, 0, 20).adverts(B, 60, TAKEN, 60)


def talking(trace, host, begin, end, step=0.5):
    """The host asks for a third one, every half second."""
    when = begin
    while when < end:
        trace.ask(host, C, when)
        when += step
    return trace


def test_a_node_that_is_never_seen_but_by_its_adverts_is_not_missed():
    assert verdict(silent())[0] is Cause.UNEXPLAINED


def test_a_node_that_was_seen_all_the_time_is_missed():
    vanished(talking(silent(), A, 0, 19))


def vanished(trace):
    """The node is gone, or its link: from elsewhere nobody can tell, and either way the move was right."""
    (flap,) = flaps(trace)
    assert (flap.verdict.cause, flap.verdict.warranted) == (Cause.UNEXPLAINED, Warranted.YES)
    assert {spot for spot in flap.verdict.blind_spots if "would fit as well" in spot} == {
        "node_lost would fit as well (possible)",
        "link_down would fit as well (possible)",
    }


def test_a_node_whose_own_kernel_told_of_no_lost_link_is_lost():
    trace = talking(silent(), A, 0, 19)
    trace.items.append(replace_node(trace.address(-0.5, present=True, address=A, initial=True), "m0"))
    trace.items.append(LinkChange(time=at(-0.4), node="m0", interface="eth0", up=True, mac=mac(A), initial=True))
    assert verdict(trace) == (Cause.NODE_LOST, Confidence.LIKELY)


def own_end(*, seen, ends=19.5):
    """A's own capture ends right after its last advert, its link up; whether its node was seen before, other than by adverts."""
    own = Trace("m0").source(-1).adverts(A, 65, 0, 20).address(-0.5, present=True, address=A, initial=True)
    own.items.append(LinkChange(time=at(-0.4), node="m0", interface="eth0", up=True, mac=mac(A), initial=True))
    other = silent().source(-1)
    return own.source(ends, SourceState.STOPPED) + (talking(other, A, 0, 19) if seen else other)


def test_a_node_whose_own_capture_ends_with_it_is_lost_for_certain_only_if_it_is_missed():
    """Whatever kills keepalived and the capture on its node leaves a node that shows itself."""
    assert verdict(own_end(seen=True)) == (Cause.NODE_LOST, Confidence.CERTAIN)
    assert verdict(own_end(seen=False)) == (Cause.NODE_LOST, Confidence.LIKELY)
    assert verdict(own_end(seen=False, ends=21.5))[0] is Cause.UNEXPLAINED
    assert verdict(talking(own_end(seen=True), A, 20.3, 60))[0] is not Cause.NODE_LOST


def replace_node(trace, node):
    """The last observation of a trace as another node's."""
    return replace(trace.items.pop(), node=node)


def test_a_question_that_is_repeated_got_no_answer():
    trace = silent()
    for number in range(3):
        trace.ask(B, A, 24 + number)
    vanished(trace)


def test_a_question_asked_once_may_have_been_answered_where_we_do_not_listen():
    assert verdict(silent().ask(B, A, 24))[0] is Cause.UNEXPLAINED


def test_a_node_that_was_away_as_a_whole_and_is_back_was_not_only_without_keepalived():
    trace = Trace().adverts(A, 65, 0, 20).adverts(B, 60, TAKEN, 6).restart(A).adverts(A, 65, 28.5, 40)
    talking(talking(trace, A, 0, 19), A, 28, 60)
    cause, _ = verdict_of_first(trace)
    assert cause is Cause.NODE_LOST


def verdict_of_first(trace):
    flap = flaps(trace)[0]
    return flap.verdict.cause, flap.verdict.confidence


@pytest.mark.parametrize(("one", "other"), [(A, B), (B, A)], ids=["the better one second", "the better one first"])
def test_a_first_election_that_is_contested_is_no_flap(one, other):
    """Equals that start together claim the addresses in the same milliseconds; the higher address stays."""
    trace = Trace(ident=0).advert(one, 100, 8).advert(other, 100, 8.0001)
    assert flaps(trace.adverts(B, 100, 9, 30)) == []


def stood_again(former, other, claim, *, count=30, resigned=True, lasts=1):
    """At the tap of the other: the former router gives up, or falls silent, and stands again at 24; so does its equal."""
    trace = Trace().adverts(former, 100, 0, 20).address(-0.5, present=True, address=other, initial=True)
    if resigned:
        trace.adverts(former, 100, 20, 3).resign(former, 23.39)
    return trace.adverts(former, 100, 24, lasts).adverts(other, 100, claim, count)


@pytest.mark.parametrize("resigned", [True, False], ids=["after a resignation", "after a silence"])
def test_an_election_for_which_the_former_router_stands_first_is_one_flap(resigned):
    """Whose timers end together stand together, and the higher address stays: nobody is deaf."""
    (flap,) = flaps(stood_again(A, B, 24.004, resigned=resigned))
    assert (flap.former, flap.current) == (A, B)
    assert flap.verdict.cause is not Cause.RECEIVER_DEAF
    assert not resigned or flap.verdict.cause is Cause.ADDRESS_REMOVED


@pytest.mark.parametrize("resigned", [True, False], ids=["after a resignation", "after a silence"])
def test_the_loser_of_an_election_that_the_former_router_wins_again_is_no_flap_of_its_own(resigned):
    (flap,) = flaps(stood_again(B, A, 24.004, count=1, resigned=resigned, lasts=30))
    assert (flap.former, flap.current) == (B, B)


@pytest.mark.parametrize(
    ("winner", "claims"), [(B, [(A, 1), (B, 30)]), (C, [(A, 1), (B, 1), (C, 30)]), (C, [(A, 1), (C, 30)])], ids=["B", "all", "C"]
)
def test_an_election_of_equals_is_one_flap_whoever_stands_first(winner, claims):
    """B had resigned, and stands with the others; the highest address of those that stand stays."""
    trace = Trace().adverts(B, 100, 0, 20).resign(B, 19.39)
    for number, (router, count) in enumerate(claims):
        trace.adverts(router, 100, 20 + number * 0.004, count)
    (flap,) = flaps(trace)
    assert (flap.former, flap.current) == (B, winner)
    assert flap.verdict.cause is (Cause.STOPPED if B not in dict(claims) else Cause.ADDRESS_REMOVED)


def test_a_router_that_only_fell_silent_takes_the_address_back():
    """No election: its successor had it, and gives way."""
    trace = Trace().adverts(B, 100, 0, 20).adverts(A, 100, 22.61, 1).adverts(B, 100, 22.65, 30)
    assert [(flap.former, flap.current) for flap in flaps(trace)] == [(B, A), (A, B)]


def test_a_claim_long_after_the_former_router_stood_again_is_another_flap():
    first, second = flaps(stood_again(A, B, 32.1, lasts=9))
    assert (first.former, first.current) == (A, A)
    assert (second.former, second.current, second.verdict.cause) == (A, B, Cause.RECEIVER_DEAF)


def test_a_better_router_right_after_the_observation_began_is_a_flap():
    """The identification of the first one shows that it had been Active before."""
    trace = Trace().advert(A, 60, 0).restart(B).adverts(B, 65, 0.1, 30)
    assert [(flap.former, flap.current) for flap in flaps(trace)] == [(A, B)]


def test_two_that_go_on_side_by_side_from_the_first_are_a_flap():
    trace = Trace(ident=0).adverts(A, 100, 8, 30).adverts(B, 100, 8.0001, 30)
    assert len(flaps(trace)) == 1


def started(trace, when):
    """The log of A's node, whose addresses are known: keepalived starts."""
    trace.address(-0.5, present=True, address=A, initial=True)
    trace.items.append(LogEvent(time=at(when), node="m1", kind=LogKind.STARTING, detail="Starting Keepalived"))
    return trace


def test_a_log_that_starts_anew_proves_a_killed_daemon_only_on_a_node_that_lived():
    assert verdict(started(talking(silent(), A, 0, 60), 31)) == (Cause.DAEMON_KILLED, Confidence.CERTAIN)
    assert verdict(started(silent(), 31)) != (Cause.DAEMON_KILLED, Confidence.CERTAIN)


@pytest.mark.parametrize(("before", "confidence"), [(60, Confidence.CERTAIN), (101, Confidence.LIKELY)])
def test_a_preemption_is_not_certain_where_the_former_router_had_outranked_the_new_one(before, confidence):
    """Between the two, adverts of A were not heard: its priority may have fallen."""
    trace = Trace().adverts(A, before, 0, 10).sent_elsewhere(A, 5).adverts(A, 60, 15, 6).restart(B).adverts(B, 65, 20.4, 30)
    flap = flaps(trace)[-1]
    assert (flap.verdict.cause, flap.verdict.confidence) == (Cause.PREEMPTED, confidence)


def joined():
    """Without identification: a better router than A comes; B's node is the one that observes, and its addresses are known."""
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 60, 0, 20).adverts(B6, 65, 19.4, 30)
    return trace.address(-0.5, present=True, address=B6, initial=True)


def link_up(trace, when, link):
    """An interface of the observing node comes up."""
    trace.items.append(LinkChange(time=at(when), node="m1", interface="vrrp6-2-51", up=True, mac=link))
    return trace


@pytest.mark.parametrize(
    ("trace", "confidence"),
    [
        (joined().address(19.41, present=True), Confidence.CERTAIN),
        (joined().address(19.39, present=True), Confidence.CERTAIN),
        (joined(), Confidence.LIKELY),
        (joined().address(-0.5, present=True, initial=True), Confidence.LIKELY),
        (joined().address(12, present=True), Confidence.LIKELY),
    ],
    ids=[
        "it got the address then",
        "just before",
        "its addresses are not told",
        "it had it all the time",
        "it got it long before",
    ],
)
def test_a_better_router_whose_kernel_gets_the_address_was_not_active_elsewhere(trace, confidence):
    flap = flaps(trace)[-1]
    assert (flap.verdict.cause, flap.verdict.confidence) == (Cause.PREEMPTED, confidence)


def spoilt(reason, count=3, node="m1"):
    """A's adverts go on and arrive damaged; B takes over."""
    trace = silent()
    for number in range(count):
        trace.items.append(
            Malformed(time=at(20 + number), node=node, interface="eth0", reason=reason, router=A, vrid=51),
        )
    return trace


@pytest.mark.parametrize("reason", sorted(OF_THE_SENDER))
def test_adverts_that_arrive_damaged_are_rejected_and_no_silence(reason):
    assert verdict(spoilt(reason)) == (Cause.ADVERTS_REJECTED, Confidence.CERTAIN)


@pytest.mark.parametrize(("reason", "count"), [("checksum", 1), ("truncated", 3), ("carp", 3)])
def test_one_flipped_bit_and_what_is_not_the_senders_fault_are_no_rejection(reason, count):
    assert verdict(spoilt(reason, count))[0] is not Cause.ADVERTS_REJECTED


def test_reasons_are_the_decoders():
    assert {reason.value for reason in Reason} >= OF_THE_SENDER


def links(*changes):
    """A's own node watches its links: (when, interface, MAC address)."""
    trace = Trace("m0", interface=None).adverts(A, 65, 0, 20).adverts(B, 60, TAKEN, 30)
    trace.address(-0.5, present=True, address=A, initial=True)
    for when, interface, link in changes:
        trace.items.append(LinkChange(time=at(when), node="m0", interface=interface, up=False, mac=link))
    return trace


def test_the_link_of_the_adverts_went_down():
    assert verdict(links((19.3, "ens3", mac(A)))) == (Cause.LINK_DOWN, Confidence.CERTAIN)


@pytest.mark.parametrize(
    ("interface", "link"),
    [("vrrp.51", "00:00:5e:00:01:33"), ("vrrp6-2-51", "00:00:5e:00:02:33"), ("veth12", "02:42:00:00:00:07")],
)
def test_links_that_vrrp_takes_down_itself_and_those_of_containers_are_others(interface, link):
    assert verdict(links((19.3, interface, link)))[0] is not Cause.LINK_DOWN


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        (("vrrp4-2-51", "00:00:5e:00:01:33"), 0.001, Cause.LINK_DOWN),
        (("vrrp4-2-51", "00:00:5e:00:01:33"), -0.3, Cause.NODE_LOST),
        (("vrrp4-2-52", "00:00:5e:00:01:34"), 0.001, Cause.NODE_LOST),
        (("vrrp6-2-51", "00:00:5e:00:02:33"), 0.001, Cause.NODE_LOST),
    ],
    ids=["with it", "before it", "of another group", "of the other family"],
)
def test_the_link_below_that_of_the_virtual_mac_went_down(upper, lower, expected):
    """Adverts from the Virtual Router MAC bear no link's own, and the capture names no interface."""
    (flap,) = flaps(virtual(talking(links((19.3, "ens3", mac(A)), (19.3 + lower, *upper)), A, 0, 19)))
    assert (flap.verdict.cause, flap.verdict.confidence) == (expected, Confidence.LIKELY)
    assert not [spot for spot in flap.verdict.blind_spots if "node_lost" in spot or "link_down" in spot]


def test_a_router_that_resigned_may_have_taken_its_virtual_link_down_itself():
    """Another link that it watches went down; on the one of its adverts it resigned, and one of the two was lost."""
    trace = Trace("m0", interface=None).adverts(A, 65, 0, 20).resign(A, 19.31).adverts(B, 60, 20.1, 30)
    trace.address(-0.5, present=True, address=A, initial=True)
    for when, interface, link in ((19.3, "ens4", "02:00:00:00:00:77"), (19.301, "vrrp.51", "00:00:5e:00:01:33")):
        trace.items.append(LinkChange(time=at(when), node="m0", interface=interface, up=False, mac=link))
    assert verdict(virtual(trace))[0] is not Cause.LINK_DOWN


def left(trace, router, when):
    """The router's kernel leaves the group of VRRP."""
    trace.items.append(GroupLeft(time=at(when), node="m1", interface="eth0", router=router))
    return trace


@pytest.mark.parametrize(
    ("begin", "end", "told"),
    [
        pytest.param(0, 40, (Cause.DAEMON_KILLED, Confidence.CERTAIN), id="its node lives on"),
        pytest.param(0, 0, (Cause.DAEMON_KILLED, Confidence.LIKELY), id="its node is never seen"),
        pytest.param(0, 19.4, (Cause.UNEXPLAINED, Confidence.POSSIBLE), id="its node is missed"),
    ],
)
def test_a_kernel_that_leaves_the_group_tells_of_a_process_that_ended(begin, end, told):
    """For certain of keepalived alone where the node lives on: a forced power-off kills every process first."""
    assert verdict(left(talking(silent(), A, begin, end), A, 19.4)) == told


@pytest.mark.parametrize(("router", "when"), [(A, 12.0), (B, 19.4)], ids=["long before", "another router's"])
def test_another_leave_says_nothing(router, when):
    trace = talking(silent(), A, 0, 40)
    assert verdict(left(trace, router, when)) != (Cause.DAEMON_KILLED, Confidence.CERTAIN)


def test_a_stop_is_certain_where_the_kernel_left_the_group():
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 30)
    assert verdict(trace) == (Cause.STOPPED, Confidence.LIKELY)
    assert verdict(left(trace, A, 19.52)) == (Cause.STOPPED, Confidence.CERTAIN)


def with_sibling(times):
    """Two virtual routers of A resign together: VRID 51 once, VRID 52 so many times."""
    one = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 30)
    other = Trace(vrid=52, addresses=("192.0.2.101",), ident=9000).adverts(A, 65, 0.1, 20)
    other.resign(A, 19.5003, times=times).adverts(B, 60, 20.31, 30)
    return one + other


@pytest.mark.parametrize(("times", "cause"), [(2, Cause.CHECK_FAILED), (1, Cause.STOPPED)])
def test_a_fault_of_one_member_of_a_sync_group_is_the_others_too(times, cause):
    assert {flap.verdict.cause for flap in flaps(with_sibling(times))} == {cause}


def healed(**setting):
    """A goes on where B does not hear it, and is heard again, better, ten seconds later."""
    trace = Trace(**setting).adverts(A, 65, 0, 20).adverts(B, 60, TAKEN, 8)
    return trace.sent_elsewhere(A, 11).adverts(A, 65, 31, 30)


def test_a_partition_that_heals_is_one_flap():
    (flap,) = flaps(healed())
    assert (flap.former, flap.current, flap.verdict.cause) == (A, B, Cause.PARTITION)


def test_routers_that_would_reject_each_other_are_not_parted():
    """The same silence and return, but the two have other passwords."""
    trace = Trace().adverts(A, 65, 0, 20, authentication=1).adverts(B, 60, TAKEN, 8, authentication=2)
    trace.sent_elsewhere(A, 11).adverts(A, 65, 31, 30, authentication=1)
    assert Cause.PARTITION not in {flap.verdict.cause for flap in flaps(trace)}


def test_without_identification_a_partition_and_a_stall_that_end_are_not_told_apart():
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 65, 0, 20).adverts(B6, 60, TAKEN, 8).adverts(A6, 65, 31, 30)
    assert {flap.verdict.cause for flap in flaps(trace)} == {Cause.UNEXPLAINED}


def announced(when, link, address="192.0.2.100", node="m1"):
    return Neighbour(
        time=at(when),
        node=node,
        interface="eth0",
        kind=NeighbourKind.ANNOUNCEMENT,
        mac=link,
        sender=address,
        target=address,
    )


def added(trace, when, *, kept=True):
    """The kernel of B's node gains the address, and B advertises nothing."""
    trace.address(-0.5, present=True, address=B, initial=True).address(when, present=True)
    return trace if kept else trace.address(when + 0.03, present=False)


def test_an_address_added_elsewhere_while_the_owner_goes_on():
    (flap,) = flaps(added(Trace().adverts(A, 65, 0, 60), 30))
    assert (flap.former, flap.current) == (A, A)
    assert (flap.verdict.cause, flap.verdict.warranted) == (Cause.MOVED_OUTSIDE_VRRP, Warranted.NO)


def test_the_loser_of_an_election_has_the_address_for_a_moment():
    assert flaps(added(Trace().adverts(A, 65, 0, 60), 30, kept=False)) == []


def test_the_new_owner_gains_the_address_by_vrrp():
    trace = added(Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 60), 20.305)
    assert verdict(trace)[0] is Cause.STOPPED


def test_an_address_with_no_vrrp_moves_from_one_steady_announcer_to_another():
    trace = Trace().source(-10)
    for number in range(10):
        trace.items.append(announced(number * 2, mac(A)))
    for number in range(10):
        trace.items.append(announced(20.5 + number * 2, mac(B)))
    trace.ask(A, C, 3).ask(B, C, 4)
    (flap,) = flaps(trace)
    assert (flap.virtual_router.vrid, flap.former, flap.current) == (0, A, B)
    assert (flap.verdict.cause, flap.verdict.warranted) == (Cause.MOVED_OUTSIDE_VRRP, Warranted.UNKNOWN)
    # Routers that advertise to each other in unicast leave no more than this where neither of them observes.
    assert flap.verdict.confidence is Confidence.POSSIBLE


@pytest.mark.parametrize(("reason", "told"), [(CUT, 0), ("checksum", 1)])
def test_adverts_that_were_captured_too_short_may_be_behind_a_move(reason, told):
    """A snap length of 128 octets cuts an advert of more than 20 addresses."""
    trace = Trace().source(-10)
    for number in range(10):
        trace.items += [announced(number * 2, mac(A)), announced(20.5 + number * 2, mac(B))]
        trace.items.append(Malformed(time=at(number * 2 + 0.5), node="m1", interface="eth0", reason=reason, router=A, vrid=51))
    assert len(flaps(trace)) == told


@pytest.mark.parametrize(("holder", "begin", "end"), [(A, -0.5, 20.4), (B, 20.4, None)], ids=["the former", "the new one"])
def test_it_is_told_with_more_confidence_at_one_of_the_two(holder, begin, end):
    trace = Trace().source(-10).address(-0.6, present=True, address=holder, initial=True)
    trace.address(begin, present=True, initial=begin < 0)
    if end is not None:
        trace.address(end, present=False)
    for number in range(10):
        trace.items += [announced(number * 2, mac(A)), announced(20.5 + number * 2, mac(B))]
    (flap,) = flaps(trace)
    assert (flap.verdict.cause, flap.verdict.confidence) == (Cause.MOVED_OUTSIDE_VRRP, Confidence.LIKELY)


def test_hosts_that_announce_an_address_once_when_they_start_are_no_move():
    """Addresses of containers are given to one after the other."""
    trace = Trace().source(-10)
    for number in range(6):
        trace.items.append(announced(number * 5, mac(f"192.0.2.{20 + number}"), "10.1.0.7"))
    assert flaps(trace) == []


def test_two_groups_that_starve_each_other_are_one_disturbance():
    trace = Trace().adverts(A, 60, 0, 12)
    trace.adverts(C, 200, 11.4, 6, addresses=("192.0.2.200",))
    trace.adverts(B, 50, 15.2, 1).adverts(A, 60, 16.1, 30)
    found = [flap for flap in flaps(trace) if flap.former == A]
    assert [flap.verdict.cause for flap in found] == [Cause.VRID_CONFLICT]


def test_a_certain_verdict_is_not_said_of_a_copy():
    """Every frame twice, as at a mirror port: nothing changes."""
    trace = talking(silent(), A, 0, 19)
    trace.items += [replace(item, time=item.time + 40_000) for item in trace.items]
    vanished(trace)


def back_again(*, taken=True, burst=1):
    """A falls silent and is back, between two of its beats, with so many adverts at once."""
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 100, 0, 20)
    if taken:
        trace.adverts(B6, 90, 22.65, 5)
    for number in range(burst):
        trace.advert(A6, 100, 26.7 + number * 0.002)
    return trace.adverts(A6, 100, 27.7, 30)


def test_a_return_between_two_beats_may_be_anothers_process():
    """Only what was due meanwhile, sent at once, tells of one that had been frozen."""
    assert {flap.verdict.cause for flap in flaps(back_again())} == {Cause.UNEXPLAINED}
    assert flaps(back_again(burst=4))[0].verdict.cause is Cause.DAEMON_STALLED


@pytest.mark.parametrize("taken", [True, False])
def test_a_silence_in_which_nobody_took_over_may_have_been_ours(taken):
    """In IPv6 nothing numbers the adverts: what was not heard may have been sent."""
    first = flaps(back_again(taken=taken, burst=5))[0]
    assert first.verdict.cause is (Cause.DAEMON_STALLED if taken else Cause.UNEXPLAINED)


@pytest.mark.parametrize(
    ("members", "verdict"),
    [((), (Cause.DAEMON_STALLED, Confidence.LIKELY)), ((A6, B6), (Cause.UNEXPLAINED, Confidence.POSSIBLE))],
    ids=["multicast", "unicast"],
)
def test_adverts_that_were_due_are_no_sign_of_a_stall_where_they_wait_for_a_link_layer_address(members, verdict):
    """In unicast the first ones after any silence go out together, when the peer's neighbour advertisement has come."""
    trace = Trace(version=3, family=Family.IPV6, members=members, here=B6).adverts(A6, 65, 0, 20).adverts(B6, 60, TAKEN, 6)
    trace.advert(A6, 65, 28.3).adverts(A6, 65, 28.301, 30)
    assert verdict_of_first(trace) == verdict


@pytest.mark.parametrize("lives", [False, True], ids=["nothing from anybody", "the node itself lives"])
def test_a_node_that_was_cut_off_hears_of_the_move_when_it_is_back(lives):
    """At the former router's own tap: the link, or the whole node, and not keepalived alone."""
    trace = talking(Trace(version=3, family=Family.IPV6).adverts(A6, 65, 0, 20), A6, 0, 19.4)
    trace.address(-0.5, present=True, address=A6, initial=True)
    talking(trace, A6, 20.5 if lives else 26.2, 40)
    trace.adverts(B6, 60, 26.4, 3).advert(A6, 65, 28.9).adverts(A6, 65, 28.901, 20)
    (cause, _), stalled = verdict_of_first(trace), Cause.DAEMON_STALLED
    assert (cause is stalled) == lives


@pytest.mark.parametrize(
    ("extra", "fallen", "expected"),
    [
        ([], 20.0, (Cause.CHECK_FAILED, Confidence.CERTAIN)),
        ([], 20.03, (Cause.CHECK_FAILED, Confidence.CERTAIN)),
        ([], 20.2, (Cause.UNEXPLAINED, Confidence.POSSIBLE)),
        ([], 21.7, (Cause.UNEXPLAINED, Confidence.POSSIBLE)),
        ([(19.2, 65)], 20.2, (Cause.UNEXPLAINED, Confidence.POSSIBLE)),
        ([(19.2, 65), (19.204, 45)], 20.205, (Cause.RELOADED, Confidence.LIKELY)),
    ],
    ids=["on schedule", "a little late", "a new schedule", "one lost as well", "one early advert", "all of a reload"],
)
def test_a_reload_of_which_adverts_are_lost_is_no_failed_check(extra, fallen, expected):
    """Over IPv6 nothing numbers adverts. keepalived's check leaves the schedule alone, its reload begins another."""
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 65, 0, 20)
    for when, priority in extra:
        trace.advert(A6, priority, when)
    assert verdict(trace.adverts(A6, 45, fallen, 3).adverts(B6, 60, fallen + 2.6, 30)) == expected


@pytest.mark.parametrize(
    ("caught", "confidence"),
    [
        (lambda _: True, Confidence.CERTAIN),
        (lambda number: number % 3 > 0, Confidence.LIKELY),
        (lambda _: False, Confidence.LIKELY),
    ],
    ids=["it caught all before", "it lost every third", "it never caught any"],
)
def test_adverts_that_a_lossy_tap_did_not_catch_may_have_arrived(caught, confidence):
    """Seen by both: B claims the address after three adverts of A that its own tap does not show."""
    here, there = (Trace(node).address(-0.5, present=True, address=own, initial=True) for node, own in (("m0", A), ("m1", B)))
    here.adverts(A, 65, 0, 30).adverts(B, 60, 20.2, 8)
    for number in range(17):
        there.advert(A, 65, number, heard=caught(number))
    there.sent_elsewhere(A, 3).adverts(B, 60, 20.2, 8)
    assert verdict_of_first(here + there) == (Cause.PARTITION, confidence)


@pytest.mark.parametrize(("heard", "cause"), [(22.65, Cause.DAEMON_STALLED), (26.65, Cause.UNEXPLAINED)], ids=["in time", "late"])
def test_a_router_whose_own_tap_heard_of_the_move_late_was_not_frozen_alone(heard, cause):
    trace = Trace(version=3, family=Family.IPV6, members=(A6, B6, C6), here=A6).adverts(A6, 100, 0, 20)
    assert verdict_of_first(trace.adverts(B6, 90, heard, 28 - int(heard)).adverts(A6, 100, 29.7, 30))[0] is cause


@pytest.mark.parametrize(("unheard", "cause"), [(0, Cause.ADDRESS_REMOVED), (1, Cause.CHECK_FAILED), (2, Cause.ADDRESS_REMOVED)])
def test_the_second_resignation_of_a_fault_may_be_known_by_its_number_alone(unheard, cause):
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.4).sent_elsewhere(A, unheard).adverts(B, 65, 20.2, 9).resign(B, 29)
    assert verdict_of_first(trace.adverts(A, 65, 29.8, 30)) == (cause, Confidence.LIKELY)


@pytest.mark.parametrize("holds", [True, False], ids=["it still holds the address", "nobody saw whether it does"])
def test_whether_a_frozen_process_or_a_new_one_takes_adverts_is_told_by_who_holds_the_address(holds):
    """keepalived's parent starts another child at once, which removes the address and waits as a backup."""
    trace = Trace(members=(A, B, C), here=A).adverts(A, 65, 0, 20).adverts(B, 60, TAKEN, 30)
    talking(trace, A, 0, 50)
    if holds:
        trace.arp(A, 30, kind=NeighbourKind.REPLY, asked=C)
    assert verdict(trace)[0] is (Cause.DAEMON_STALLED if holds else Cause.UNEXPLAINED)
    would_fit = {spot.split()[0] for spot in flaps(trace)[0].verdict.blind_spots if "would fit as well" in spot}
    assert holds or would_fit == {"daemon_stalled", "daemon_killed"}


CHECK, LINK = Cause.CHECK_FAILED, Cause.LINK_DOWN
CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("here", "when", "gap", "expected"),
    [
        (B, 19.9, 0.000_58, (CHECK, CERTAIN)),
        (B, 19.9, 0.000_03, (CHECK, LIKELY)),
        (B, 19.9, 0.000_003, (CHECK, LIKELY)),
        (A, 19.9, 0.000_58, (CHECK, CERTAIN)),
        (A, 19.9, 0.000_03, (CHECK, LIKELY)),
        (A, 19.9, 0.000_003, (LINK, POSSIBLE)),
        (B, 20.3, 0.000_003, (LINK, POSSIBLE)),
        (B, 20.3, 0.000_58, (LINK, POSSIBLE)),
    ],
)
def test_two_resignations_that_waited_for_a_link(here, when, gap, expected):
    """They leave it at once, and later than the next advert was due; what is received at once need not be sent so."""
    trace = Trace(members=(A, B, C), here=here).adverts(A, 65, 0, 20).resign(A, when).resign(A, when + gap)
    assert verdict(trace.adverts(B, 60, when + 0.8, 30)) == expected


def test_a_resignation_after_an_advert_that_was_lost_is_not_late():
    trace = Trace().adverts(A, 65, 0, 20).sent_elsewhere(A, 1).resign(A, 20.3, times=2).adverts(B, 60, 21.1, 30)
    assert verdict(trace)[0] is Cause.CHECK_FAILED


def thawed(*, ident_gap=0, silent=8):
    """The better of equals is frozen; when it goes on, it claims the address of the new owner, which is on schedule."""
    trace = Trace(ident=1000).adverts(C, 100, 0, 20).adverts(A, 100, 22.6, 6)
    begin = 19 + silent
    for _ in range(ident_gap):
        trace.advert(C, 100, begin - 1, heard=False)
    return trace.adverts(C, 100, begin + 0.1, 30)


def test_a_frozen_router_that_goes_on_was_not_deaf():
    first, second = flaps(thawed())
    assert (first.verdict.cause, first.former, first.current) == (Cause.DAEMON_STALLED, C, A)
    assert (second.verdict.cause, second.former, second.current) == (Cause.DAEMON_STALLED, A, C)
    assert second.verdict.confidence is Confidence.LIKELY


def test_one_that_had_gone_on_unheard_was_not_frozen():
    """Its identification has moved on: the link between them was broken."""
    assert all(flap.verdict.cause is not Cause.DAEMON_STALLED for flap in flaps(thawed(ident_gap=7)))


def gave_up(*, refused=False, here=B):
    """In unicast, A resigns once, and B takes over and sends it its adverts."""
    trace = Trace(members=(A, B, C), here=here).adverts(A, 100, 0, 20).resign(A, 19.5).adverts(B, 100, 20.2, 30)
    if refused:
        for number in range(20):
            trace.items.append(Refused(time=at(20.3 + number), node=trace.node, interface=trace.interface, router=A))
    return trace


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (gave_up(), (Cause.UNEXPLAINED, Confidence.POSSIBLE)),
        (gave_up(refused=True), (Cause.STOPPED, Confidence.CERTAIN)),
        (gave_up(here=C), (Cause.STOPPED, Confidence.LIKELY)),
    ],
    ids=["its kernel takes adverts", "its kernel refuses them", "seen where they do not pass"],
)
def test_after_a_stop_the_kernel_refuses_adverts(trace, expected):
    """One resignation is a stop, unless a process still listens there."""
    assert verdict_of_first(trace) == expected


def test_a_former_router_that_goes_on_claiming_is_another_flap():
    """C gave way to the better A; some seconds later it claims the address again, and hears nobody."""
    trace = Trace(ident=0).adverts(C, 100, 0, 20).adverts(A, 101, 19.4, 40).adverts(C, 100, 28.2, 6)
    first, second = flaps(trace)
    assert (first.verdict.cause, first.current) == (Cause.PREEMPTED, A)
    assert (second.time, second.former, second.current) == (at(28.2), A, A)


def test_one_that_claims_once_more_when_it_comes_back_is_none():
    trace = Trace(ident=0).adverts(C, 100, 0, 20).adverts(A, 101, 19.4, 40).adverts(C, 100, 28.2, 2)
    assert len(flaps(trace)) == 1


def returned(when, *, kind=NeighbourKind.ANNOUNCEMENT, alive=None):
    """In a new process A takes the address back at 40; before, it says once that it has it, and is seen from a time on."""
    trace = Trace().adverts(A, 65, 0, 20).adverts(B, 60, TAKEN, 18).restart(A).sent_elsewhere(A, 1).adverts(A, 65, 40.9, 40)
    trace.arp(A, when, kind=kind, asked=B)
    return trace if alive is None else talking(trace, A, alive, 40)


@pytest.mark.parametrize(
    ("trace", "proven"),
    [
        (returned(25, kind=NeighbourKind.REPLY), True),
        (returned(39.9), False),
        (returned(39.9, kind=NeighbourKind.REPLY), False),
        (returned(39.9, alive=22), True),
        (returned(39.9, alive=26), False),
    ],
    ids=["it answers for it", "it announces its return", "it is back", "its node was seen", "its node was seen late"],
)
def test_a_node_that_lost_its_power_and_is_back_is_no_killed_daemon(trace, proven):
    """The first advert after its return is not heard; a node that boots shows itself before its keepalived does."""
    found = verdict_of_first(trace)
    assert (found == (Cause.DAEMON_KILLED, Confidence.CERTAIN)) is proven
    assert proven or found[0] is not Cause.DAEMON_KILLED


def refusing(late, *, interval=1):
    """In unicast A falls silent; its kernel refuses the adverts of B, which takes over, so many seconds after the first."""
    trace = Trace(members=(A, B, C), here=B, interval=interval).adverts(A, 65, 0, 20)
    taken = trace.clock + 3 * interval + 0.766
    trace.adverts(B, 60, taken, 40)
    for number in range(20):
        refusal = Refused(time=at(taken + late + number), node=trace.node, interface=trace.interface, router=A)
        trace.items.append(refusal)
    return trace


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (refusing(0.1), (Cause.DAEMON_KILLED, Confidence.CERTAIN)),
        (refusing(0.1, interval=2), (Cause.DAEMON_KILLED, Confidence.LIKELY)),
        (talking(refusing(0.1, interval=2), A, 40.5, 60), (Cause.DAEMON_KILLED, Confidence.CERTAIN)),
        (refusing(4.1), (Cause.UNEXPLAINED, Confidence.POSSIBLE)),
    ],
    ids=["at once", "after so long that it may have booted", "it was seen before that", "after it took some"],
)
def test_a_kernel_that_refuses_adverts(trace, expected):
    assert verdict(trace) == expected


def test_a_node_whose_own_events_end_is_not_known_to_hold_the_address():
    trace = own_end(seen=False, ends=21.5)
    trace.items.insert(0, replace_node(trace.address(-0.3, present=True, initial=True), "m0"))
    assert verdict(trace)[0] is Cause.UNEXPLAINED


def claims_first(count):
    """B, whose node observes, claims the address though it hears A; at 36.5 its priority is higher than A's."""
    trace = Trace().adverts(A, 102, 0, 40).address(-0.5, present=True, address=B, initial=True)
    return trace.adverts(B, 101, 28.5, count).adverts(B, 161, 36.5, 30)


def test_a_claim_that_was_given_up_is_not_the_beginning_of_a_later_move():
    first, second = flaps(claims_first(1))
    assert (first.current, first.verdict.cause, second.current, second.verdict.cause) == (
        A,
        Cause.RECEIVER_DEAF,
        B,
        Cause.PREEMPTED,
    )


def test_a_claim_that_goes_on_until_the_address_moves_is():
    assert [(flap.former, flap.current) for flap in flaps(claims_first(8))] == [(A, B)]


@pytest.mark.parametrize("down", [False, True], ids=["it only falls silent", "its link goes down"])
def test_a_claim_has_nothing_to_do_with_what_silences_the_owner_later(down):
    """B claims the address at 20.5 and gives way; A falls silent after 33, and B takes over."""
    trace = Trace().adverts(A, 102, 0, 34).advert(B, 101, 20.5).adverts(B, 101, 36.61, 30)
    trace.items.append(replace_node(trace.address(-0.5, present=True, address=A, initial=True), "m0"))
    if down:
        trace.items.append(LinkChange(time=at(33.4), node="m0", interface="eth0", up=False, mac=mac(A)))
    claim, move = flaps(trace)
    assert claim.verdict.cause is Cause.UNEXPLAINED
    assert (move.verdict.cause is Cause.LINK_DOWN) is down


@pytest.mark.parametrize(
    ("lasts", "cause"),
    [(19.4, Cause.DAEMON_KILLED), (20.1, Cause.DAEMON_KILLED), (24.4, Cause.UNEXPLAINED)],
    ids=["at once", "just before its next advert", "some seconds later"],
)
def test_a_process_that_ends_after_its_adverts_were_due_was_not_killed_before(lasts, cause):
    """A stopped backup leaves the group as well: it may have been cut off while it was Active."""
    assert verdict(left(talking(silent(), A, 0, 40), A, lasts))[0] is cause


def test_a_kernel_takes_its_time_to_leave_the_group_however_short_intervals_are():
    trace = Trace(version=3, interval=0.1).adverts(A, 65, 0, 40)
    assert verdict(left(trace.adverts(B, 60, 3.9 + 0.376, 60), A, 3.9 + 0.12)) == (Cause.DAEMON_KILLED, Confidence.CERTAIN)


@pytest.mark.parametrize(
    ("when", "expected"),
    [(19.7, (Cause.STOPPED, Confidence.CERTAIN)), (21.9, (Cause.STOPPED, Confidence.LIKELY)), (24.2, (Cause.UNEXPLAINED, None))],
    ids=["at once", "after its scripts", "later"],
)
def test_a_process_that_ends_long_after_it_resigned_was_not_stopped_then(when, expected):
    cause, confidence = verdict(left(Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 30), A, when))
    assert (cause, confidence if expected[1] else None) == expected


@pytest.mark.parametrize(("back", "confidence"), [(30.2, Confidence.CERTAIN), (50.2, Confidence.LIKELY)])
def test_a_new_process_long_after_a_resignation_may_be_the_remedy(back, confidence):
    """A FAULT of its sync group, say, which a restart mends."""
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, int(back - 20)).restart(A).adverts(A, 65, back, 30)
    assert verdict_of_first(trace) == (Cause.STOPPED, confidence)


def parted(priority, *, missed=()):
    """At the taps of both: A's adverts reach B until 17, but for some that B's tap misses, and B claims the address at 20.6."""
    own = Trace("m0").adverts(A, 100, 0, 40).address(-0.5, present=True, address=A, initial=True)
    other = Trace("m1").address(-0.5, present=True, address=B, initial=True)
    for number in range(18):
        other.advert(A, 100, number + 0.000_1, heard=number not in missed)
    for number in range(5):
        own.advert(B, priority, 20.600_1 + number)
    return own + other.adverts(B, priority, 20.6, 5)


@pytest.mark.parametrize(
    ("trace", "confidence"),
    [(parted(100), Confidence.CERTAIN), (parted(90), Confidence.CERTAIN), (parted(100, missed=(11, 13)), Confidence.LIKELY)],
    ids=["an equal", "a worse one", "its tap misses others as well"],
)
def test_adverts_that_do_not_arrive_are_a_partition(trace, confidence):
    assert verdict_of_first(trace) == (Cause.PARTITION, confidence)


def test_a_better_router_that_hears_no_adverts_any_more_may_only_be_told_not_to_preempt():
    assert verdict_of_first(parted(110)) == (Cause.PARTITION, Confidence.LIKELY)
    assert verdict_of_first(parted(110, missed=range(18)))[0] is Cause.UNEXPLAINED


def better(*, until=20, lossy=()):
    """A better router takes over from A at 20.6, as three nodes see it; at one of them A's adverts end before."""
    trace = Trace("m0").adverts(A, 60, 0, 21).restart(B).adverts(B, 65, 20.6, 30)
    third, own = Trace("m2").adverts(A, 60, 0, 21), Trace("m1")
    for number in range(until + 1):
        own.advert(A, 60, number + 0.000_1, heard=number not in lossy)
    return trace + third + own.restart(B).adverts(B, 65, 20.599_9, 30)


@pytest.mark.parametrize(
    ("trace", "confidence"),
    [(better(), Confidence.CERTAIN), (better(lossy=(18,)), Confidence.CERTAIN), (better(until=17), Confidence.LIKELY)],
    ids=["everybody hears A", "but for one advert", "one hears A no more"],
)
def test_a_preemption_is_not_certain_where_the_former_router_is_not_heard_everywhere(trace, confidence):
    assert verdict_of_first(trace) == (Cause.PREEMPTED, confidence)


@pytest.mark.parametrize("lost", [True, False], ids=["its resignation is lost", "it is stopped later"])
def test_a_better_router_does_not_preempt_one_that_had_ended(lost):
    """It may be told not to preempt, and take over for a resignation that the capture lacks."""
    trace = Trace().adverts(A, 60, 0, 20).restart(B).adverts(B, 65, 20.25, 30)
    found = verdict(left(trace, A, 19.5 if lost else 20.5))
    assert found[0] is (Cause.UNEXPLAINED if lost else Cause.PREEMPTED)


@pytest.mark.parametrize("late", [0.001, 4], ids=["at once", "later"])
def test_a_better_router_does_not_preempt_one_that_refuses_its_adverts(late):
    trace = Trace(members=(A, B, C), here=B).adverts(A, 60, 0, 20).restart(B).adverts(B, 65, 19.6, 30)
    for number in range(5):
        trace.items.append(Refused(time=at(19.6 + late + number), node=trace.node, interface=trace.interface, router=A))
    assert verdict(trace)[0] is (Cause.UNEXPLAINED if late < 1 else Cause.PREEMPTED)


@pytest.mark.parametrize(("count", "confidence"), [(1, Confidence.LIKELY), (2, Confidence.CERTAIN)])
def test_a_receiver_that_claims_once_may_have_been_better_for_a_moment(count, confidence):
    trace = Trace().adverts(A, 102, 0, 60).address(-0.5, present=True, address=B, initial=True)
    assert verdict(trace.adverts(B, 101, 28.5, count)) == (Cause.RECEIVER_DEAF, confidence)


def yielded(first):
    """B yields to A, of which the first adverts may be lost; when A is lost, B takes over again."""
    trace = Trace().adverts(B, 100, 0, 20).restart(A).sent_elsewhere(A, int(first - 19.6))
    return trace.adverts(A, 150, first, 4).adverts(B, 100, first + 3 + 3.61, 30)


@pytest.mark.parametrize("first", [19.6, 20.6, 21.6])
def test_a_router_that_yielded_and_takes_over_again_was_not_frozen(first):
    certain = [flap for flap in flaps(yielded(first)) if flap.verdict.confidence is Confidence.CERTAIN]
    assert all(flap.verdict.cause is not Cause.DAEMON_STALLED for flap in certain)


PATIENCE = 3 + 191 / 256
"""Active_Down_Interval at priority 65 and 1 s."""


def comes(when, *, fallen=None, log=None):
    """B, better than A and on the node that observes, takes over; before, it may have been Active at a lower priority."""
    trace = Trace().address(-0.5, present=True, address=B, initial=True)
    if fallen is None:
        trace.restart(B)
    else:
        trace.adverts(B, fallen, -20, 16)
    if log is not None:
        trace.items.append(LogEvent(time=at(when - 2), node="m1", kind=log, detail="as its log says"))
    return trace.adverts(A, 60, 0, int(when) + 1).adverts(B, 65, when, 30)


@pytest.mark.parametrize(
    ("trace", "confidence"),
    [
        (comes(19.4), Confidence.CERTAIN),
        (comes(16 + PATIENCE), Confidence.LIKELY),
        (comes(16 + PATIENCE + 0.03), Confidence.CERTAIN),
        (comes(16 + PATIENCE, fallen=45), Confidence.CERTAIN),
        (comes(16 + PATIENCE, fallen=65), Confidence.LIKELY),
        (comes(16 + PATIENCE, log=LogKind.PRIORITY_CHANGED), Confidence.CERTAIN),
    ],
    ids=["at any time", "after an advert", "too late for that", "it regains its priority", "it had it", "its log tells why"],
)
def test_a_better_router_that_comes_when_its_patience_would_end_may_be_deaf(trace, confidence):
    """One that is told not to preempt takes over so, where it does not hear an Active Router that is worse any more."""
    flap = flaps(trace)[-1]
    assert (flap.current, flap.verdict.cause, flap.verdict.confidence) == (B, Cause.PREEMPTED, confidence)


def fell_before(new, later, *, priority=100, rose=False):
    """The priority of A falls to 50 at 20, on schedule; the new router takes over so many seconds later."""
    trace = Trace().adverts(B, 40, -20, 16) if rose else Trace()
    trace.adverts(A, priority, 0, 20).adverts(A, 50, 20, int(later) + 1).restart(B)
    return trace.adverts(B, new, 20 + later, 30)


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (fell_before(90, 2.65), (Cause.CHECK_FAILED, Confidence.CERTAIN)),
        (fell_before(90, 9.65), (Cause.CHECK_FAILED, Confidence.LIKELY)),
        (fell_before(90, 9.65, rose=True), (Cause.CHECK_FAILED, Confidence.CERTAIN)),
        (fell_before(110, 9.65), (Cause.PREEMPTED, Confidence.CERTAIN)),
    ],
    ids=["a backup", "one that came later", "one whose own priority rose", "one that was better before as well"],
)
def test_a_priority_that_fell_is_not_why_a_better_router_takes_over(trace, expected):
    flap = flaps(trace)[-1]
    assert (flap.current, flap.verdict.cause, flap.verdict.confidence) == (B, *expected)


def fell_twice(first, then, *, high=65, to=50, heard=3):
    """A falls at 20 and B takes over so many seconds later; B falls at 60, A takes over, falls at 80, and B does again."""
    trace = (
        Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, int(first) + 1).restart(B).adverts(B, 60, 20 + first, round(40 - first))
    )
    trace.adverts(B, 40, 60, 3).adverts(A, high, 62.9, 17).adverts(A, to, 79.9, heard)
    return trace.adverts(B, 60, 79.9 + then, 20)


@pytest.mark.parametrize(
    ("trace", "confidence"),
    [
        (fell_twice(9.65, 2.9), Confidence.CERTAIN),
        (fell_twice(9.65, 9.65, heard=10), Confidence.LIKELY),
        (fell_twice(9.65, 4.8, heard=1), Confidence.LIKELY),
        (fell_twice(9.65, 2.9, to=62), Confidence.LIKELY),
        (fell_twice(9.65, 2.9, high=55), Confidence.LIKELY),
    ],
    ids=["at once", "late again", "after a silence", "from one that was still better", "from one that had been worse"],
)
def test_a_router_that_preempts_elsewhere_is_not_told_not_to(trace, confidence):
    """Then it came late because its own priority had been low, and not because it had gone deaf."""
    flap = flaps(trace)[0]
    assert (flap.former, flap.current, flap.verdict.cause, flap.verdict.confidence) == (A, B, Cause.CHECK_FAILED, confidence)


def then_late(trace, begin):
    """A falls to 45, and B, told not to preempt, lets it be; 9.65 s later it has gone deaf, and takes over."""
    return trace.adverts(A, 65, begin, 20).adverts(A, 45, begin + 20, 10).adverts(B, 60, begin + 29.65, 30)


def resigned_after_its_fall(*, lost):
    trace = Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).resign(A, 22.4, heard=lambda: not lost)
    trace.restart(B).adverts(B, 60, 23.166, 30).resign(B, 52.7).restart(A).adverts(A, 65, 53.4, 30)
    return then_late(trace, 83.4)


def rose_beside_it():
    """Both are Active for a while; the one falls as the other rises."""
    trace = Trace()
    for number in range(12):
        trace.advert(A, 65 if number < 10 else 45, number).advert(B, 50 if number < 10 else 60, number + 0.3)
    trace.resign(A, 12.2).adverts(B, 60, 12.3, 20).resign(B, 31.8).restart(A).adverts(A, 65, 32.5, 30)
    return then_late(trace, 62.5)


def told_otherwise_since():
    trace = Trace().restart(B).adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 60, 22.766, 30).resign(B, 52.3)
    trace.adverts(A, 65, 53, 50).restart(B)
    return then_late(trace, 103)


def unnumbered():
    """IPv6: whether B's process is the same is not on the wire."""
    trace = Trace(family=Family.IPV6).adverts(A6, 65, 0, 20).adverts(A6, 45, 20, 3).adverts(B6, 60, 22.766, 30).resign(B6, 52.3)
    trace.adverts(A6, 65, 53, 50)
    return trace.adverts(A6, 45, 103, 10).adverts(B6, 60, 112.65, 30)


@pytest.mark.parametrize(
    "trace",
    [
        resigned_after_its_fall(lost=False),
        resigned_after_its_fall(lost=True),
        rose_beside_it(),
        told_otherwise_since(),
        unnumbered(),
    ],
    ids=["it resigned", "it resigned unheard", "it was Active already", "a process before", "perhaps a process before"],
)
def test_a_router_that_took_over_elsewhere_may_be_told_not_to_preempt_all_the_same(trace):
    flap = flaps(trace)[-1]
    assert (flap.verdict.cause, flap.verdict.confidence) == (Cause.CHECK_FAILED, Confidence.LIKELY)


@pytest.mark.parametrize(
    ("until", "taken", "confidence"),
    [(23, 22.766, Confidence.CERTAIN), (22, 22.766, Confidence.CERTAIN), (23, 23.166, Confidence.LIKELY)],
    ids=["at once", "an advert before it is lost", "later than its patience, and A was due"],
)
def test_a_failed_check_is_not_certain_where_a_resignation_may_have_been_lost(until, taken, confidence):
    trace = Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, until - 20).restart(B).adverts(B, 60, taken, 30)
    assert verdict(trace) == (Cause.CHECK_FAILED, confidence)


def silent_after_a_fall(last, taken, *, anew=False):
    """The priority of A falls to 45 at 20, by a check or a reload; its last advert and the take-over of B, at 60."""
    trace = Trace().adverts(A, 65, 0, 20)
    trace = trace.restart(A).adverts(A, 45, 19.4, int(last - 18.4)) if anew else trace.adverts(A, 45, 20, int(last - 19))
    return trace.adverts(B, 60, taken, 30)


@pytest.mark.parametrize(
    ("trace", "cause"),
    [
        (silent_after_a_fall(22, 22.766), Cause.CHECK_FAILED),
        (silent_after_a_fall(20, 22.766), Cause.CHECK_FAILED),
        (silent_after_a_fall(30, 33.766), Cause.UNEXPLAINED),
        (silent_after_a_fall(22.4, 22.766, anew=True), Cause.RELOADED),
        (silent_after_a_fall(29.4, 33.166, anew=True), Cause.UNEXPLAINED),
    ],
    ids=[
        "a check",
        "a check, and then its link",
        "a check, and long after that its node",
        "a reload",
        "a reload, and then its node",
    ],
)
def test_a_priority_that_fell_is_not_why_a_silent_router_loses_the_address(trace, cause):
    """Told not to preempt, a better backup lets a lower priority be, and takes over when it hears nothing any more."""
    assert verdict(trace)[0] is cause


@pytest.mark.parametrize(("after", "cause"), [(0.61, Cause.UNEXPLAINED), (1.9, Cause.RECEIVER_DEAF)])
def test_a_backup_that_hears_a_resignation_claims_the_address_whose_ever_it_was(after, cause):
    """C gives up what it did not have; B, whose node observes, waits for its Skew_Time as if it had."""
    trace = Trace().adverts(A, 102, 0, 60).address(-0.5, present=True, address=B, initial=True).resign(C, 28.1)
    claim = 28.1 + after
    assert verdict(trace.adverts(B, 101, claim, 3))[0] is cause


@pytest.mark.parametrize(("lossy", "confidence"), [(0.3, Confidence.LIKELY), (0.02, Confidence.CERTAIN)])
def test_a_stall_is_not_certain_where_many_adverts_are_lost(lossy, confidence):
    """The first three of the new router may be, and then it came earlier, and outranked it."""
    heard = iter([number % round(1 / lossy) != 1 for number in range(60)])
    trace = Trace().adverts(A, 65, -40, 60, heard=lambda: next(heard)).adverts(B, 60, TAKEN, 10).adverts(A, 65, 33, 60)
    assert verdict_of_first(trace) == (Cause.DAEMON_STALLED, confidence)


@pytest.mark.parametrize(("again", "cause"), [(None, Cause.ADDRESS_REMOVED), (18.9, Cause.STOPPED)])
def test_an_address_that_was_added_again_was_not_removed_before_the_resignation(again, cause):
    """A had given it up to a better router, and has it back, when it is stopped."""
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 30)
    trace.address(-0.5, present=True, address=A, initial=True).address(18.1, present=False)
    assert verdict(trace if again is None else trace.address(again, present=True))[0] is cause


@pytest.mark.parametrize(("lost", "confidence"), [((), Confidence.CERTAIN), ((5, 9), Confidence.LIKELY)])
def test_a_kill_is_not_certain_where_adverts_without_a_number_are_lost(lost, confidence):
    """The resignation may be lost as well."""
    trace = Trace(version=3, family=Family.IPV6)
    for number in range(20):
        trace.advert(A6, 65, number, heard=number not in lost)
    trace.adverts(B6, 60, 19 + 3 + 196 / 256, 30)
    assert verdict(left(talking(trace, A6, 0, 40), A6, 19.5)) == (Cause.DAEMON_KILLED, confidence)


@pytest.mark.parametrize(
    ("first", "second", "confidence"),
    [
        pytest.param((5,), (9,), Confidence.LIKELY, id="each loses another"),
        pytest.param((5, 9), (), Confidence.CERTAIN, id="one loses none"),
        pytest.param((5, 19), (3, 9), Confidence.LIKELY, id="the last one as well"),
    ],
)
def test_two_taps_that_lose_adverts_may_both_have_lost_the_resignation(first, second, confidence):
    """Together they heard every advert, so nothing seems to be missing."""
    both = Trace(version=3, family=Family.IPV6)
    for node, lost in (("m1", first), ("m2", second)):
        trace = Trace(version=3, family=Family.IPV6, node=node)
        for number in range(20):
            trace.advert(A6, 65, number, heard=number not in lost)
        both = both + trace.adverts(B6, 60, 19 + 3 + 196 / 256, 30)
    assert verdict(left(talking(both, A6, 0, 40), A6, 19.5)) == (Cause.DAEMON_KILLED, confidence)


def all_down(begin, *, resigned=True, anew=True):
    """B was Active once; A gives the address up, or falls silent, and is the first to be back."""
    trace = Trace().adverts(B, 60, -30, 20).restart(A).adverts(A, 65, -9.6, 28)
    if resigned:
        trace.resign(A, 18.9)
    return (trace.restart(A) if anew else trace.sent_elsewhere(A, int(begin - 18.9))).adverts(A, 65, begin, 30)


@pytest.mark.parametrize("begin", [19.7, 24.1, 40.3])
def test_an_outage_of_all_routers_is_a_flap(begin):
    """Everything was restarted at once, say."""
    flap = flaps(all_down(begin))[-1]
    assert (flap.former, flap.current, flap.time) == (A, A, at(18.9))
    assert flap.verdict.cause is Cause.STOPPED
    assert flap.outage.minimum >= (begin - 19) * 1e9


def test_a_silence_of_a_new_process_was_none_of_ours():
    assert [(flap.former, flap.current) for flap in flaps(all_down(30.1, resigned=False))] == [(B, A), (A, A)]
    assert [(flap.former, flap.current) for flap in flaps(all_down(30.1, resigned=False, anew=False))] == [(B, A)]


@pytest.mark.parametrize(("until", "confidence"), [(30, Confidence.CERTAIN), (29, Confidence.LIKELY)])
def test_a_partition_is_not_certain_where_the_capture_lost_its_end(until, confidence):
    """B is on schedule until A is heard again; if not, adverts of A were lost here, and by those it counts."""
    trace = Trace().adverts(A, 65, 0, 20).adverts(B, 60, TAKEN, int(until - TAKEN) + 1)
    trace.sent_elsewhere(A, 11).adverts(A, 65, 30.7, 30)
    assert verdict_of_first(talking(trace, A, 20, 30)) == (Cause.PARTITION, confidence)


def claims_again(*, lost=()):
    """B goes on when the better A takes the address, 17 times unheard, until it is heard again at 28."""
    trace = Trace().adverts(B, 60, 0, 11)
    for number in range(50):
        trace.advert(A, 65, 10.4 + number, heard=number not in lost)
    return trace.sent_elsewhere(B, 17).adverts(B, 60, 28, 10)


@pytest.mark.parametrize(("lost", "expected"), [((), True), (range(5, 10), False)], ids=["A is heard", "A is not heard either"])
def test_claims_are_unheard_for_certain_only_where_the_owner_is_heard_meanwhile(lost, expected):
    certain = {flap.verdict.cause for flap in flaps(claims_again(lost=lost)) if flap.verdict.confidence is Confidence.CERTAIN}
    assert (Cause.PARTITION in certain) is expected


def test_a_capture_that_lacks_the_claim_itself_may_have_lost_the_adverts():
    trace = parted(100)
    gap = range(at(17.5), at(23))
    trace.items = [item for item in trace.items if not (item.node == "m1" and item.time in gap)]
    assert verdict_of_first(trace) == (Cause.PARTITION, Confidence.LIKELY)


@pytest.mark.parametrize(("until", "confidence"), [(20, Confidence.CERTAIN), (19, Confidence.LIKELY)])
def test_a_preemption_is_not_certain_where_the_advert_before_it_is_missing(until, confidence):
    """With it a resignation may be lost, for which a better router that is told not to preempt takes over."""
    trace = Trace().adverts(A, 60, 0, until + 1).restart(B).adverts(B, 65, 20.4, 30)
    assert verdict(trace) == (Cause.PREEMPTED, confidence)


def back_as_before(priority, when, *, until=30):
    """A resigns once, B takes over at 60, and the same process of A is back, at a priority and a time."""
    trace = Trace().adverts(A, priority, 0, 20).resign(A, 19.5).adverts(B, 60, 20.2, until - 20)
    return trace.adverts(A, priority, when, 30)


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (back_as_before(65, 30.1), (Cause.CHECK_FAILED, Confidence.LIKELY)),
        (back_as_before(65, 20.36, until=21), (Cause.ADDRESS_REMOVED, Confidence.LIKELY)),
        (back_as_before(60, 33.5), (Cause.ADDRESS_REMOVED, Confidence.LIKELY)),
        (back_as_before(65, 40.1, until=37), (Cause.ADDRESS_REMOVED, Confidence.LIKELY)),
    ],
    ids=["it preempts late", "it preempts after its Skew_Time", "an equal", "nobody else is left"],
)
def test_a_better_router_that_stood_aside_was_in_fault(trace, expected):
    """A router whose address was only removed does not heed a worse one."""
    assert verdict_of_first(trace) == expected


def test_a_resignation_shows_that_a_router_of_which_nothing_else_is_heard_is_on_the_network():
    flap = flaps(back_as_before(65, 20.36, until=21))[0]
    assert (flap.verdict.cause, flap.verdict.warranted) == (Cause.ADDRESS_REMOVED, Warranted.NO)


def test_routers_that_would_reject_each_other_need_not_be_parted():
    """B has sent adverts before it is first heard; but A, reloaded with another interval, is none that it accepts."""
    trace = Trace().adverts(A, 100, 0, 20)
    slow = Trace(interval=2, ident=0).adverts(A, 100, 19.3, 20)
    (flap,) = flaps(trace + slow + Trace(ident=10).adverts(B, 90, 22.9, 30))
    assert flap.verdict.cause is Cause.ADVERTS_REJECTED


@pytest.mark.parametrize(
    ("claim", "confidence"), [(None, Confidence.CERTAIN), (20.2, Confidence.LIKELY), (22.75, Confidence.CERTAIN)]
)
def test_a_kill_is_not_certain_where_a_third_router_had_heard_a_resignation(claim, confidence):
    """C claims the address a Skew_Time after it, and not after a silence; neither B nor the capture heard it."""
    trace = left(talking(silent(), A, 0, 40), A, 19.4)
    if claim is not None:
        trace.advert(C, 50, claim)
    assert next(flap for flap in flaps(trace) if flap.current == B).verdict.confidence is confidence
