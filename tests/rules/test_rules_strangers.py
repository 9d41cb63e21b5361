"""What other programs, links lost for a moment and lone routers leave on the wire: each trace with its near miss."""

from __future__ import annotations

from dataclasses import replace

import pytest
from traces import A, B, C, Trace, at, flaps, virtual

from observer.model.observations import Advert, GroupLeft, LinkChange
from observer.model.verdicts import Cause, Confidence, Warranted

D = "192.0.2.14"


def verdict(trace):
    flap = flaps(trace)[0]
    return flap.verdict.cause, flap.verdict.confidence


def two_groups(*vlans):
    """Two groups that share nothing but their VRID."""
    trace = Trace().adverts(A, 100, 0, 40, vlans=vlans[0])
    return trace + Trace().adverts(B, 100, 0.5, 40, addresses=("198.51.100.1",), vlans=vlans[1])


@pytest.mark.parametrize("vlans", [((10,), (20,)), ((), (20,)), ((10, 1), (10, 2))])
def test_groups_on_different_vlans_are_no_conflict(vlans):
    assert flaps(two_groups(*vlans)) == []


@pytest.mark.parametrize("vlans", [((), ()), ((10,), (10,))])
def test_groups_on_one_vlan_are_a_conflict(vlans):
    """For certain only where a node of the segment heard them: a mirror port may show several segments without their tags."""
    trace = two_groups(*vlans)
    assert verdict(trace) == (Cause.VRID_CONFLICT, Confidence.LIKELY)
    assert verdict(trace.address(-0.5, present=True, initial=True, address=C)) == (Cause.VRID_CONFLICT, Confidence.LIKELY)
    trace.items.append(LinkChange(time=at(-0.4), node=trace.node, interface="eth0", up=True, initial=True))
    assert verdict(trace) == (Cause.VRID_CONFLICT, Confidence.CERTAIN)


def over(first, second):
    """Two groups as a capture of all interfaces of a node on both segments, or on one, shows them: each is captured on these."""
    trace = Trace(interface="any")
    trace.items.append(LinkChange(time=at(-0.4), node=trace.node, interface="any", up=True, initial=True))
    for router, begin, links, addresses in ((A, 0, first, ("192.0.2.100",)), (B, 0.5, second, ("198.51.100.1",))):
        one = Trace(interface="any").adverts(router, 100, begin, 40, addresses=addresses, ifindex=links[0])
        for place, index in enumerate(links):
            for item in one.items:
                trace.items.append(replace(item, ifindex=index, time=item.time + place * 5_000))
    return trace + Trace()


@pytest.mark.parametrize(
    ("first", "second", "confidence"),
    [
        pytest.param((2,), (3,), None, id="two segments of a node"),
        pytest.param((2, 4), (3, 5), None, id="a bridge on each"),
        pytest.param((2, 4), (3, 4), Confidence.CERTAIN, id="two ports of one bridge"),
        pytest.param((2,), (2,), Confidence.CERTAIN, id="one segment"),
        pytest.param((0,), (0,), Confidence.LIKELY, id="interfaces without names"),
    ],
)
def test_groups_over_several_interfaces_of_one_capture(first, second, confidence):
    found = [(flap.verdict.cause, flap.verdict.confidence) for flap in flaps(over(first, second))]
    assert found == ([] if confidence is None else [(Cause.VRID_CONFLICT, confidence)])


def test_groups_that_share_a_password_may_be_one_whose_addresses_change():
    trace = Trace().adverts(A, 100, 0, 40, authentication=1).address(-0.5, present=True, initial=True, address="192.0.2.100")
    trace += Trace().adverts(B, 100, 0.5, 40, addresses=("198.51.100.1",), authentication=1)
    assert verdict(trace) == (Cause.VRID_CONFLICT, Confidence.LIKELY)


def segment(vlans, former, new, begin=0.0):
    """On one of the VLANs that a mirror port shows, a router is stopped, and its backup has the same address after it."""
    trace = Trace(ident=int(4000 + 100 * begin)).adverts(former, 65, begin, 20, vlans=vlans)
    trace.advert(former, 0, begin + 19.5, vlans=vlans)
    return trace.adverts(new, 60, begin + 20.3, 30, vlans=vlans).arp(new, begin + 20.31, count=3)


@pytest.mark.parametrize("vlans", [((10,), (20,)), ((5, 10), (5, 20)), ((10, 5), (20, 5))])
@pytest.mark.parametrize(("former", "new"), [(A, B), (A, C), (C, D)], ids=["its routers", "one of them", "others"])
def test_equal_addresses_on_two_vlans_are_two_stories(vlans, former, new):
    found = flaps(segment(vlans[0], A, B) + segment(vlans[1], former, new, 1.25))
    assert [(flap.former, flap.current, flap.verdict.cause) for flap in found] == [
        (A, B, Cause.STOPPED),
        (former, new, Cause.STOPPED),
    ]


@pytest.mark.parametrize("vlans", [((10,), ()), ((), (10,)), ((5, 10), (10,))])
def test_tags_taken_off_on_the_way_leave_one_story(vlans):
    """Both ends of a path are mirrored: one of them has the tag no more."""
    whole, less = segment(vlans[0], A, B), segment(vlans[1], A, B)
    less.items = [replace(item, time=item.time + 50_000) for item in less.items]
    assert verdict(whole + less) == (Cause.STOPPED, Confidence.LIKELY)
    assert len(flaps(whole + less)) == 1


def test_one_vrid_on_many_vlans_is_followed_on_each():
    stories = [segment((number,), A, B, number / 20) for number in range(10, 22)]
    whole = Trace()
    for story in stories:
        whole = whole + story
    assert [flap.verdict.cause for flap in flaps(whole)] == [Cause.STOPPED] * len(stories)


def test_a_conflict_on_one_vlan_hides_no_flap_on_another():
    trace = two_groups((10,), (10,)) + segment((20,), C, D)
    found = {(flap.former, flap.verdict.cause) for flap in flaps(trace)}
    assert found >= {(A, Cause.VRID_CONFLICT), (C, Cause.STOPPED)}


def lowered():
    return Trace(version=3).adverts(A, 150, 0, 20).adverts(A, 50, 20, 4).adverts(B, 100, 23.3, 30)


def test_a_priority_that_falls_on_schedule_may_have_been_set_by_hand_where_no_keepalived_runs():
    assert verdict(virtual(lowered())) == (Cause.CHECK_FAILED, Confidence.LIKELY)
    assert verdict(lowered()) == (Cause.CHECK_FAILED, Confidence.CERTAIN)


def faulted():
    return Trace().adverts(A, 110, 0, 20).resign(A, 19.4, times=2).adverts(B, 100, 20, 30)


def test_two_resignations_are_a_fault_for_certain_of_keepalived_only():
    assert verdict(virtual(faulted())) == (Cause.CHECK_FAILED, Confidence.LIKELY)
    assert verdict(faulted()) == (Cause.CHECK_FAILED, Confidence.CERTAIN)


def away(unsent, *, alive=20.5):
    """A is not heard for 5 s but for a question, B takes over, and yields to A when it is heard again."""
    trace = Trace().adverts(A, 65, 0, 20).sent_elsewhere(A, unsent)
    trace.adverts(B, 60, 22.77, 1).adverts(A, 65, 23.78, 40)
    return trace if alive is None else trace.ask(A, C, alive)


def test_a_fault_numbers_two_adverts_that_a_lost_link_kept_from_being_sent():
    """A partition lasts until Active_Down_Interval is over: three adverts at least go unheard."""
    assert verdict(away(2))[0] is Cause.UNEXPLAINED
    assert verdict(away(3)) == (Cause.PARTITION, Confidence.CERTAIN)


@pytest.mark.parametrize("alive", [None, 22.9], ids=["at no time", "when its link is back"])
def test_a_router_of_which_nothing_was_heard_may_have_been_off_the_network(alive):
    """Where keepalived does not see its link go, it numbers adverts that nobody gets, nor any client an answer."""
    (flap,) = flaps(away(3, alive=alive))
    assert (flap.verdict.cause, flap.verdict.confidence) == (Cause.PARTITION, Confidence.LIKELY)
    assert flap.verdict.warranted is Warranted.UNKNOWN
    (parted,) = flaps(away(3))
    assert parted.verdict.warranted is Warranted.NO


def at_home(*sent, begin=0, end=60):
    """The capture of A's own node, with A's adverts but for those from 20 s to 23 s, of which it has some."""
    own = Trace("m0").address(-0.5, present=True, address=A, initial=True)
    own.adverts(A, 65, 0, 20, heard=lambda: not begin)
    for number in range(3):
        own.advert(A, 65, 20.4 + number, heard=number in sent)
    return own.adverts(A, 65, 23.78, 40 if end > 23 else 0)


def lossy_at_home():
    """The same of a capture that lost others before as well, which those of another node hold."""
    own = at_home()
    own.items = [item for item in own.items if not (isinstance(item, Advert) and item.time in (at(3), at(9), at(14)))]
    return own


@pytest.mark.parametrize(
    ("own", "alive", "cause", "warranted"),
    [
        (at_home(), None, Cause.LINK_DOWN, Warranted.YES),
        (at_home(0, 1, 2), None, Cause.PARTITION, Warranted.NO),
        (at_home(), 20.5, Cause.PARTITION, Warranted.NO),
        (at_home(begin=21), None, Cause.PARTITION, Warranted.UNKNOWN),
        (at_home(end=20), None, Cause.PARTITION, Warranted.UNKNOWN),
        (lossy_at_home(), None, Cause.PARTITION, Warranted.UNKNOWN),
    ],
    ids=["none left", "all left", "others left", "the capture began meanwhile", "it ended before", "it loses adverts"],
)
def test_adverts_that_never_left_were_handed_to_a_link_without_carrier(own, alive, cause, warranted):
    trace = away(3, alive=alive).address(-0.5, present=True, address=B, initial=True)
    flap = flaps(trace + own)[0]
    assert (flap.verdict.cause, flap.verdict.warranted) == (cause, warranted)
    if cause is Cause.LINK_DOWN:
        assert flap.verdict.confidence is Confidence.LIKELY
        assert not [spot for spot in flap.verdict.blind_spots if "would fit" in spot]


def alone(back, *, anew=False):
    """A resigns once, nobody else is there, and it resumes."""
    trace = Trace().adverts(A, 100, 0, 20).resign(A, 19.4)
    return (trace.restart(A) if anew else trace).adverts(A, 100, back, 30)


def test_a_lone_router_that_comes_back_as_a_new_process_was_stopped():
    assert verdict(alone(23.1, anew=True)) == (Cause.STOPPED, Confidence.CERTAIN)


def test_a_lone_router_whose_address_was_removed_is_back_after_its_skew_time():
    """Later is the end of a FAULT of its sync group, for one."""
    assert verdict(alone(20.01)) == (Cause.ADDRESS_REMOVED, Confidence.CERTAIN)
    assert verdict(alone(28.1))[0] is Cause.UNEXPLAINED


@pytest.mark.parametrize(("burst", "confidence"), [(1, Confidence.LIKELY), (5, Confidence.CERTAIN)])
def test_a_clock_put_forward_looks_like_a_stall_that_nobody_else_noticed(burst, confidence):
    """Frozen, keepalived sends what was due at once when it goes on."""
    trace = Trace().adverts(A, 65, 0, 20)
    for number in range(burst):
        trace.advert(A, 65, 25 + number * 0.002)
    assert verdict(trace.adverts(A, 65, 26, 20)) == (Cause.DAEMON_STALLED, confidence)


@pytest.mark.parametrize(("taken", "cause"), [(22.766, Cause.DAEMON_KILLED), (21.9, Cause.UNEXPLAINED)])
def test_who_takes_over_before_its_patience_ends_did_not_do_so_for_the_silence(taken, cause):
    """The resignation of a router that was stopped in order may have been lost."""
    trace = Trace().adverts(A, 65, 0, 20)
    trace.items.append(GroupLeft(time=at(19.5), node="m1", interface="eth0", router=A))
    assert verdict(trace.adverts(B, 60, taken, 40))[0] is cause


@pytest.mark.parametrize(
    ("priority", "low", "cause"), [(70, 2, Cause.UNEXPLAINED), (50, 2, Cause.PREEMPTED), (70, 7, Cause.PREEMPTED)]
)
def test_a_priority_that_fell_while_it_was_not_heard_may_be_why_another_took_over(priority, low, cause):
    """It does not where the new router was never outranked, or let the lower priority pass for longer than a backup waits."""
    trace = Trace().adverts(A, priority, 0, 20).sent_elsewhere(A, 5).adverts(A, 45, 25, low)
    assert verdict(trace.restart(B).adverts(B, 60, 24.7 + low, 40))[0] is cause
