"""What the corpus must hold: enough cases of every cause, a near miss for every pair of causes told apart, whole cases."""

from __future__ import annotations

import re

import pytest
from cases import ROOT, Case, cases
from lab.recordings import RECORDINGS
from lab.setting import KUBEADM, OPENSHIFT_ORIGINAL

CAUSES = (
    "check_failed",
    "stopped",
    "node_lost",
    "link_down",
    "daemon_killed",
    "daemon_stalled",
    "partition",
    "preempted",
    "vrid_conflict",
    "address_removed",
    "adverts_rejected",
    "receiver_deaf",
    "reloaded",
    "moved_outside_vrrp",
)

# What happened, what it is easily taken for, and the cases in which it is. `election` and `nothing` are no causes of a flap.
TOLD_APART: dict[tuple[str, str], tuple[str, ...]] = {
    ("check_failed", "stopped"): ("sync_group_fault",),
    ("check_failed", "preempted"): ("kubeadm_weight_two",),
    ("stopped", "check_failed"): ("stopped_while_a_check_fails",),
    ("stopped", "address_removed"): ("restarted",),
    ("stopped", "reloaded"): ("restarted_with_lower_priority",),
    ("stopped", "daemon_killed"): ("parent_killed",),
    ("stopped", "partition"): ("contested",),
    ("node_lost", "daemon_killed"): ("rebooted",),
    ("node_lost", "link_down"): ("rebooted_best",),
    ("link_down", "node_lost"): ("unplugged",),
    ("link_down", "check_failed"): ("link_blip",),
    ("daemon_killed", "daemon_stalled"): ("killed_and_started", "child_killed"),
    ("daemon_killed", "node_lost"): ("two_answer",),
    ("daemon_stalled", "daemon_killed"): ("stalled_for_good",),
    ("daemon_stalled", "partition"): ("stall_like_a_partition",),
    ("partition", "daemon_stalled"): ("partition_like_a_stall",),
    ("preempted", "check_failed"): ("check_blip_before_preemption",),
    ("preempted", "reloaded"): ("backup_raised",),
    ("vrid_conflict", "partition"): ("foreign_same_address",),
    ("address_removed", "stopped"): ("vip_deleted_among_equals",),
    ("adverts_rejected", "receiver_deaf"): ("rejected_on_one_hop",),
    ("receiver_deaf", "adverts_rejected"): ("deaf_with_another_interval",),
    ("reloaded", "preempted"): ("reloaded_by_one",),
    ("moved_outside_vrrp", "address_removed"): ("added_quietly",),
    ("election", "partition"): ("first_election", "v6_first_election"),
    ("nothing", "check_failed"): ("check_blip", "weight_within_the_gap", "nopreempt", "haproxy_restarted"),
    ("nothing", "daemon_stalled"): ("short_stall", "v6_short_stall"),
    ("nothing", "receiver_deaf"): ("thawed_backup", "lossy"),
    ("nothing", "partition"): ("short_partition",),
    ("nothing", "reloaded"): ("reload_unchanged",),
    ("nothing", "adverts_rejected"): ("v3_interval_differs",),
    ("nothing", "moved_outside_vrrp"): ("periodic_announcements", "openshift_refresh"),
}
# The pairs that the catalogue of causes names; FAULT is a failed check's, hand deletion is address_removed.
NAMED = {
    ("check_failed", "stopped"),
    ("check_failed", "preempted"),
    ("stopped", "check_failed"),
    ("stopped", "address_removed"),
    ("node_lost", "daemon_killed"),
    ("node_lost", "link_down"),
    ("link_down", "node_lost"),
    ("daemon_killed", "daemon_stalled"),
    ("daemon_killed", "node_lost"),
    ("daemon_stalled", "daemon_killed"),
    ("daemon_stalled", "partition"),
    ("election", "partition"),
    ("partition", "daemon_stalled"),
    ("preempted", "check_failed"),
    ("vrid_conflict", "partition"),
    ("address_removed", "stopped"),
    ("adverts_rejected", "receiver_deaf"),
    ("receiver_deaf", "adverts_rejected"),
    ("reloaded", "preempted"),
    ("moved_outside_vrrp", "address_removed"),
}
PER_CAUSE = 3
CASE_BYTES, TOTAL_BYTES = 200_000, 12_000_000
PASSWORDS = {KUBEADM.password, OPENSHIFT_ORIGINAL.password, "other"}
NODES = ("m0", "m1", "m2")

CASES = {case.name: case for case in cases()}


def differs(name: str) -> tuple[object, ...]:
    """In what cases of one cause are to differ."""
    setting = RECORDINGS[name].setting
    equal = len(set(setting.priorities)) == 1
    return setting.unicast, setting.version, setting.family, equal, setting.advert_int, setting.routers


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_has_cases_of_several_kinds(cause):
    names = [name for name in CASES if name.startswith(f"{cause}/")]
    assert all(cause in {label.cause for label in CASES[name].labels} for name in names)
    assert len(names) >= PER_CAUSE
    kinds = {differs(name) for name in names}
    # With no VRRP there is only the family to differ in.
    assert len(kinds) >= (2 if cause == "moved_outside_vrrp" else PER_CAUSE)


def test_over_all_causes_every_kind_is_there():
    unicast, version, family, equal, interval, routers = (set(kind) for kind in zip(*map(differs, CASES), strict=True))
    assert unicast == equal == {True, False}
    assert version == {2, 3}
    assert family == {4, 6}
    assert {0.1, 0.2, 0.3, 0.5, 1, 2, 3} <= interval
    assert routers == {"keepalived", "frr", "script"}


def test_every_pair_that_the_catalogue_names_has_a_near_miss():
    assert set(TOLD_APART) >= NAMED


@pytest.mark.parametrize("pair", TOLD_APART, ids=" not ".join)
def test_a_near_miss_is_labelled_as_what_it_is(pair):
    what, other = pair
    for name in TOLD_APART[pair]:
        causes = {label.cause for label in CASES[f"near-misses/{name}"].labels}
        assert other not in causes
        assert what in causes if what not in ("nothing", "election") else not causes


def test_every_case_can_be_recorded_again_and_every_recording_is_there():
    assert set(CASES) == set(RECORDINGS)


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_a_case_is_whole(case: Case):
    setting = RECORDINGS[case.name].setting
    files = {"case.toml", "verdict.json", "span.pcap.gz"}
    for node in NODES:
        files |= {f"{node}.addresses", f"{node}.pcapng.gz" if RECORDINGS[case.name].shape == "dumpcap" else f"{node}.pcap.gz"}
        files |= {"keepalived": {f"{node}.conf", f"{node}.log"}, "frr": {f"{node}.frr.conf"}, "script": set()}[setting.routers]
    assert {path.name for path in case.path.iterdir()} == files
    routers = {label.former for label in case.labels}
    assert None not in routers
    assert sum(path.stat().st_size for path in case.path.iterdir()) < CASE_BYTES


def test_the_corpus_stays_small():
    assert sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file()) < TOTAL_BYTES


def test_nothing_of_the_machine_that_recorded_is_left_and_no_password_but_the_labs():
    for path in ROOT.rglob("m?.*"):
        if path.suffix == ".gz":
            continue
        text = path.read_text(encoding="utf-8")
        assert "vrrplab" not in text, path
        assert set(re.findall(r"auth_pass (\S+)", text)) <= PASSWORDS, path
