"""Priority steps explained: the deployments of the field, and every small configuration against brute force."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keepalived_configs import INGRESS, KUBEADM, OPENSHIFT

from observer.keepalived import CheckKind, Configuration, Instance, Track, explain_step, faulting, parse_text
from observer.model.observations import Family


def only(text: str) -> tuple[Configuration, Instance]:
    found = parse_text(text)
    return found, found.instances[0]


def with_weights(*weights: int, priority: int = 100, kind: CheckKind = CheckKind.SCRIPT) -> tuple[Configuration, Instance]:
    found, instance = only("vrrp_instance a {\n interface eth0\n virtual_router_id 1\n}\n")
    tracks = tuple(Track(kind, f"c{index}", weight, reverse=False) for index, weight in enumerate(weights))
    instance = replace(instance, tracks=tracks, priority=priority)
    return replace(found, instances=(instance,)), instance


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (68, 48, (("chk_ocp_lb",),)),
        (68, 65, (("chk_mcs",),)),
        (68, 45, (("chk_ocp_lb", "chk_mcs"),)),
        (68, 43, (("chk_ocp_lb", "chk_ocp_both"),)),
        (65, 45, (("chk_ocp_lb",),)),
        (48, 43, (("chk_ocp_both",),)),
        (68, 40, (("chk_ocp_lb", "chk_ocp_both", "chk_mcs"),)),
        (40, 60, (("chk_ocp_lb",),)),
        (45, 65, (("chk_ocp_lb",),)),
        (45, 60, (("chk_ocp_lb", "chk_ocp_both"),)),  # one recovered as the other failed
        (68, 47, ()),
        (70, 50, ()),  # 20 is lb's weight, but none of the states is 70
        (68, 68, ()),
        (68, 0, ()),
        (255, 48, ()),
    ],
)
def test_openshift_api(before: int, after: int, expected: tuple[tuple[str, ...], ...]) -> None:
    found, instance = only(OPENSHIFT)
    assert explain_step(found, instance, before, after) == expected
    assert faulting(instance) == ()


def test_openshift_ingress_names_the_check_without_weight() -> None:
    found, instance = only(INGRESS)
    assert instance.family is Family.IPV6
    assert faulting(instance) == ("chk_ingress",)
    assert explain_step(found, instance, 80, 30) == (("chk_default_ingress",),)
    assert explain_step(found, instance, 80, 20) == (("chk_ingress_ready", "chk_default_ingress"),)


def test_kubeadm_takes_off_while_failing() -> None:
    found, instance = only(KUBEADM)
    assert explain_step(found, instance, 101, 99) == (("check_apiserver",),)
    assert explain_step(found, instance, 99, 101) == (("check_apiserver",),)
    assert explain_step(found, instance, 103, 101) == ()


def test_ambiguity_is_several_answers_in_the_configurations_order() -> None:
    found, instance = with_weights(15, 5, 20, -20)
    assert explain_step(found, instance, 140, 120) == (("c2",), ("c3",), ("c0", "c1"))


def test_limits_of_the_priority_hide_part_of_a_step() -> None:
    found, instance = with_weights(-60, -70, priority=50)
    assert explain_step(found, instance, 50, 1) == (("c0",), ("c1",))
    assert explain_step(found, instance, 1, 50) == (("c0",), ("c1",))
    found, instance = with_weights(100, 100, priority=200)
    assert explain_step(found, instance, 254, 200) == (("c0",), ("c1",))


def test_the_address_owner_never_steps() -> None:
    found, instance = with_weights(10, priority=255)
    assert explain_step(found, instance, 255, 245) == ()
    assert explain_step(found, instance, 110, 100) == ()


def test_a_file_may_hold_any_number() -> None:
    found, instance = with_weights(3, kind=CheckKind.FILE)
    assert explain_step(found, instance, 100, 91) == (("c0",),)
    assert explain_step(found, instance, 100, 90) == ()
    assert explain_step(found, instance, 103, 91) == (("c0",),)
    found, instance = with_weights(20, 6)
    mixed = replace(instance, tracks=(instance.tracks[0], replace(instance.tracks[1], kind=CheckKind.FILE)))
    found = replace(found, instances=(mixed,))
    assert explain_step(found, mixed, 120, 100) == (("c0",),)
    assert explain_step(found, mixed, 120, 114) == (("c1",),)
    assert explain_step(found, mixed, 120, 106) == (("c0", "c1"),)
    assert explain_step(found, mixed, 126, 106) == (("c0",),)
    assert explain_step(found, mixed, 121, 101) == ()


def test_work_and_answers_are_limited() -> None:
    start = time.monotonic()
    found, instance = with_weights(*[7] * 16)
    assert len(explain_step(found, instance, 212, 156)) == 256
    found, instance = with_weights(*range(-16, 0), priority=200)
    assert explain_step(found, instance, 200, 64)[-1] == tuple(f"c{index}" for index in range(16))
    found, instance = with_weights(*range(1, 18))
    assert explain_step(found, instance, 253, 250) == (("c2",), ("c0", "c1"))
    assert explain_step(found, instance, 253, 203) == ()  # three or more of seventeen: not tried
    assert time.monotonic() - start < 5


def test_an_instance_of_another_configuration_is_not_explained() -> None:
    found, instance = with_weights(20)
    assert explain_step(replace(found, instances=()), instance, 120, 100) == ()


weights = st.integers(-40, 40).filter(bool)
tracked = st.lists(st.tuples(weights, st.booleans()), min_size=1, max_size=4)


def effective(base: int, tracks: tuple[Track, ...], passing: tuple[bool, ...]) -> int:
    """keepalived.conf(5), read aloud."""
    total = base
    for track, passes in zip(tracks, passing, strict=True):
        sign = -1 if track.reverse else 1
        if (track.weight > 0 and passes) or (track.weight < 0 and not passes):
            total += sign * track.weight
    return max(1, min(total, 254))


@given(tracked, st.integers(1, 254), st.data())
def test_every_answer_is_what_brute_force_finds(entries: list[tuple[int, bool]], base: int, data: st.DataObject) -> None:
    tracks = tuple(Track(CheckKind.SCRIPT, f"c{index}", *entry) for index, entry in enumerate(entries))
    found, instance = with_weights(priority=base)
    instance = replace(instance, tracks=tracks)
    found = replace(found, instances=(instance,))
    states = list(product([False, True], repeat=len(tracks)))
    before, after = (effective(base, tracks, data.draw(st.sampled_from(states))) for _ in range(2))
    if before == after:
        return

    def up(track: Track) -> bool:
        """Whether the priority is higher while it passes."""
        return not track.reverse

    one_way: set[frozenset[str]] = set()
    any_way: set[frozenset[str]] = set()
    for first, second in product(states, states):
        if (effective(base, tracks, first), effective(base, tracks, second)) != (before, after):
            continue
        changed = [index for index in range(len(tracks)) if first[index] != second[index]]
        names = frozenset(tracks[index].name for index in changed)
        any_way.add(names)
        if len({second[index] == up(tracks[index]) for index in changed}) == 1:
            one_way.add(names)
    answers = [frozenset(answer) for answer in explain_step(found, instance, before, after)]
    minimal = {names for names in one_way if not any(other < names for other in one_way)}
    if minimal:
        assert set(answers) == minimal
    else:
        assert set(answers) == {names for names in any_way if len(names) == 2}
    assert len(answers) == len(set(answers))
    assert [len(answer) for answer in answers] == sorted(len(answer) for answer in answers)
    assert not any(one < other for one, other in combinations(answers, 2))
