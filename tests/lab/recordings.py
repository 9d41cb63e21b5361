"""The corpus as a table: which story, in which setting, makes which case of pcaps/; `python -m tests.record` plays it.

What is said here of causes only drafts case.toml: the label is what the truth file of the very run shows, read by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from . import steps as do
from .scenarios import SCENARIOS, Scenario
from .setting import (
    FLAG_ABSENT,
    K3S,
    KUBEADM,
    MASTERS,
    OPENSHIFT_FIXED,
    OPENSHIFT_ORIGINAL,
    PLAIN,
    PLAIN_MULTICAST,
    PLAIN_V6,
    RANKED,
    Check,
    Setting,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lab import Lab

Shape = Literal["plain", "any", "dumpcap", "tagged", "twice"]
CLIENTS = 12


@dataclass(frozen=True)
class Recording:
    """One case. `flaps` are (cause, warranted); `shape` is how the frames were captured: see `tests.record`.

    Of chance it is who wins, and whether an election is contested: where it must be, a run in which it was not is refused.
    """

    title: str
    setting: Setting
    steps: Callable[[Lab], None]
    flaps: tuple[tuple[str, str], ...] = ()
    clients: int = CLIENTS
    absent: tuple[str, ...] = ()
    shape: Shape = "plain"
    moves: bool = False
    contested: bool = False

    @property
    def scenario(self) -> Scenario:
        """As `scenarios.play` wants it."""
        causes = tuple(cause for cause, _ in self.flaps)
        answer = self.flaps[0][1] if self.flaps else "unknown"
        return Scenario(self.setting, self.steps, causes, answer, self.clients, self.absent, self.moves)


def _setting(name: str, base: Setting = PLAIN, **change: object) -> Setting:
    return replace(base, name=name, **change)  # type: ignore[arg-type]


def _like(story: str, title: str, *, clients: int | None = None) -> Recording:
    """One of the stories of `scenarios`, as it is."""
    scenario = SCENARIOS[story]
    flaps = tuple((cause, scenario.warranted) for cause in scenario.causes)
    return Recording(title, scenario.setting, scenario.steps, flaps, clients or scenario.clients, scenario.absent)


_WEIGHT = Check("chk_flag", FLAG_ABSENT, weight=-30)
_POSITIVE = Check("chk_flag", FLAG_ABSENT, weight=25)
_SMALL = Check("chk_flag", FLAG_ABSENT, weight=-5)
_FAULT = Check("chk_flag", FLAG_ABSENT)
_QUICK = Check("chk_flag", FLAG_ABSENT, weight=-30, rise=1)
_REVERSE = Check("chk_marker", "test -e {flag}", weight=-30, reverse=True)

UNEQUAL = (120, 110, 100)
V3_FAST = _setting("v3-fast-unicast-ranked", version=3, advert_int=0.2, priorities=UNEQUAL)
V3_FASTEST = _setting("v3-100ms-multicast", version=3, advert_int=0.1, unicast=False)
V3_HALF = _setting("v3-500ms-multicast-ranked", version=3, advert_int=0.5, unicast=False, priorities=(150, 100, 50))
V6_UNICAST = _setting("v6-unicast-ranked", version=3, family=6, priorities=UNEQUAL)
V6_FAST = _setting("v6-300ms-multicast", version=3, family=6, unicast=False, advert_int=0.3)
V2_SLOW = _setting("v2-2s-multicast-ranked", unicast=False, advert_int=2, priorities=UNEQUAL)
V2_SLOWER = _setting("v2-3s-unicast", advert_int=3)
RANKED_MULTICAST = _setting("ranked-multicast", RANKED, unicast=False)
RANKED_V6 = _setting("v6-multicast-ranked", PLAIN_V6, priorities=UNEQUAL)
VMAC = _setting("vmac-multicast-ranked", unicast=False, priorities=UNEQUAL, use_vmac=True)
FRR = _setting("frr-v3", version=3, unicast=False, priorities=UNEQUAL, routers="frr")
FRR_V6 = _setting("frr-v6", version=3, unicast=False, priorities=UNEQUAL, routers="frr", family=6)
SCRIPT = _setting("script", routers="script")
SCRIPT_V6 = _setting("script-v6", routers="script", family=6)
GAP = _setting("gap", priorities=(120, 100, 90), checks=(_SMALL,))
SYNC = _setting("sync-group", RANKED_MULTICAST, sync=True, checks=(_FAULT,))


def _with(base: Setting, *checks: Check, **change: object) -> Setting:
    return _setting(f"{base.name}-checked", base, checks=checks, **change)


def _no(cause: str) -> tuple[tuple[str, str], ...]:
    return ((cause, "no"),)


LATER = ("m1", "m2")
# The foreign group's own end is a flap of its own, of which the lab does not know whether it was warranted.
_CONFLICT = (("vrid_conflict", "no"), ("stopped", "unknown"))
# The best router, awake again, takes the address back.
_STALLED = (("daemon_stalled", "no"), ("preempted", "no"))

RECORDINGS: dict[str, Recording] = {
    # -- check_failed
    "check_failed/original_bug": _like(
        "check_failed_original_bug", "Apiservers answer late; the check that asks them through HAProxy fails on a healthy proxy"
    ),
    "check_failed/haproxy_killed": _like(
        "check_failed_haproxy_killed", "HAProxy is killed; its check takes 20 from the priority"
    ),
    "check_failed/haproxy_frozen": _like(
        "check_failed_haproxy_frozen", "HAProxy hangs: it takes connections and serves none; its check takes 20 from the priority"
    ),
    "check_failed/backends_blocked": _like(
        "check_failed_backends_blocked", "The owner's proxy alone is cut off from every apiserver; the check through it fails"
    ),
    "check_failed/fault": _like("check_failed_fault", "HAProxy is killed; the check has no weight, so keepalived enters FAULT"),
    "check_failed/kubeadm": Recording(
        "kubeadm's check fails on late apiservers and takes 2; when it passes again, the address returns",
        KUBEADM,
        do.then(SCENARIOS["check_failed_kubeadm"].steps, do.wait(8)),
        (("check_failed", "no"), ("preempted", "no")),
        clients=30,
    ),
    "check_failed/v3_flag": _like("check_failed_v3", "VRRPv3: a check with a negative weight fails while the proxy is well"),
    "check_failed/v6_flag": _like(
        "check_failed_v6", "VRRPv3 over IPv6: a check with a negative weight fails while the proxy is well"
    ),
    "check_failed/v3_fast_positive_weight": Recording(
        "VRRPv3 unicast at 200 ms: the owner loses the weight that a passing check adds; its proxy is well",
        _with(V3_FAST, _POSITIVE),
        do.flag_moves,
        _no("check_failed"),
    ),
    "check_failed/v2_2s_returns": Recording(
        "VRRPv2 at 2 s: the best router's check fails and recovers; the address goes and comes back",
        _with(V2_SLOW, _WEIGHT),
        do.flag_moves_and_returns,
        (("check_failed", "no"), ("preempted", "no")),
    ),
    "check_failed/v6_fault_haproxy_killed": Recording(
        "IPv6 at 300 ms: HAProxy is killed; the check has no weight, so keepalived enters FAULT",
        _setting("v6-300ms-process", V6_FAST, checks=K3S.checks, priorities=UNEQUAL),
        do.haproxy_killed,
        (("check_failed", "yes"),),
    ),
    "check_failed/v6_unicast_reverse": Recording(
        "IPv6 unicast: a check with reversed weight sees its marker and lowers the priority; the proxy is well",
        _with(V6_UNICAST, _REVERSE),
        do.flag_moves,
        _no("check_failed"),
    ),
    "check_failed/vmac_fault": Recording(
        "With use_vmac: a check without a weight fails while the proxy is well",
        _with(VMAC, _FAULT),
        do.flag_moves,
        _no("check_failed"),
    ),
    # -- stopped
    "stopped/sigterm_unicast": _like("stopped", "keepalived is stopped in order"),
    "stopped/v3_fast_unicast": Recording(
        "VRRPv3 unicast at 200 ms: keepalived is stopped in order", V3_FAST, SCENARIOS["stopped"].steps, _no("stopped")
    ),
    "stopped/v6_multicast": Recording(
        "IPv6: keepalived is stopped in order", PLAIN_V6, SCENARIOS["stopped"].steps, _no("stopped")
    ),
    "stopped/v2_3s_unicast": Recording(
        "VRRPv2 unicast at 3 s: keepalived is stopped in order", V2_SLOWER, SCENARIOS["stopped"].steps, _no("stopped")
    ),
    "stopped/vmac": Recording("With use_vmac: keepalived is stopped in order", VMAC, SCENARIOS["stopped"].steps, _no("stopped")),
    "stopped/frr_v4": Recording("FRR: vrrpd is stopped in order", FRR, SCENARIOS["stopped"].steps, _no("stopped")),
    "stopped/frr_v6": Recording("FRR over IPv6: vrrpd is stopped in order", FRR_V6, SCENARIOS["stopped"].steps, _no("stopped")),
    "stopped/cooked": Recording(
        "keepalived is stopped in order, captured on all interfaces of each node (cooked, SLL2)",
        RANKED_MULTICAST,
        SCENARIOS["stopped"].steps,
        _no("stopped"),
        shape="any",
    ),
    "stopped/mirrored_twice": Recording(
        "keepalived is stopped in order; the mirror port shows every frame twice",
        PLAIN,
        SCENARIOS["stopped"].steps,
        _no("stopped"),
        shape="twice",
    ),
    # -- node_lost
    "node_lost/power_unicast": _like("node_lost", "The owner loses its power"),
    "node_lost/v6_unicast": Recording(
        "IPv6 unicast: the owner loses its power", V6_UNICAST, SCENARIOS["node_lost"].steps, (("node_lost", "yes"),)
    ),
    "node_lost/v3_500ms_multicast": Recording(
        "VRRPv3 at 500 ms: the owner loses its power", V3_HALF, SCENARIOS["node_lost"].steps, (("node_lost", "yes"),)
    ),
    "node_lost/v2_2s_multicast": Recording(
        "VRRPv2 at 2 s: the owner loses its power", V2_SLOW, SCENARIOS["node_lost"].steps, (("node_lost", "yes"),)
    ),
    # -- link_down
    "link_down/unicast": _like("link_down", "The interface of the owner is set down"),
    "link_down/v3_unplugged": Recording(
        "VRRPv3 at 500 ms: the owner's cable is pulled", V3_HALF, SCENARIOS["link_unplugged"].steps, (("link_down", "yes"),)
    ),
    "link_down/v6_multicast": Recording(
        "IPv6: the interface of the owner is set down", RANKED_V6, SCENARIOS["link_down"].steps, (("link_down", "yes"),)
    ),
    "link_down/v2_3s_back": Recording(
        "VRRPv2 unicast at 3 s: the owner's cable is pulled, and put back later", V2_SLOWER, do.link_back, (("link_down", "yes"),)
    ),
    # -- daemon_killed
    "daemon_killed/kill9_unicast": _like("daemon_killed", "kill -9 of keepalived, parent and child: the address stays behind"),
    "daemon_killed/v6_multicast": Recording(
        "IPv6: keepalived is killed, parent and child", PLAIN_V6, SCENARIOS["daemon_killed"].steps, _no("daemon_killed")
    ),
    "daemon_killed/v3_fast_unicast": Recording(
        "VRRPv3 unicast at 200 ms: keepalived is killed, parent and child",
        V3_FAST,
        SCENARIOS["daemon_killed"].steps,
        _no("daemon_killed"),
    ),
    "daemon_killed/vmac": Recording(
        "With use_vmac: keepalived is killed, parent and child", VMAC, SCENARIOS["daemon_killed"].steps, _no("daemon_killed")
    ),
    "daemon_killed/frr_v4": Recording("FRR: vrrpd is killed", FRR, SCENARIOS["daemon_killed"].steps, _no("daemon_killed")),
    "daemon_killed/frr_v6": Recording(
        "FRR over IPv6: vrrpd is killed", FRR_V6, SCENARIOS["daemon_killed"].steps, _no("daemon_killed")
    ),
    "daemon_killed/tagged": Recording(
        "keepalived is killed, parent and child, on a tagged VLAN",
        RANKED_MULTICAST,
        SCENARIOS["daemon_killed"].steps,
        _no("daemon_killed"),
        shape="tagged",
    ),
    # -- daemon_stalled
    "daemon_stalled/freeze_unicast": _like(
        "daemon_stalled",
        "keepalived is frozen for longer than Active_Down_Interval; thawed, it hears the new owner first and yields in silence",
    ),
    "daemon_stalled/v6_multicast": Recording("IPv6: keepalived freezes for 8 s", RANKED_V6, do.stalled(8), _STALLED),
    "daemon_stalled/v3_fast_unicast": Recording(
        "VRRPv3 unicast at 200 ms: keepalived freezes for 2 s", V3_FAST, do.stalled(2), _STALLED
    ),
    "daemon_stalled/v2_2s_multicast": Recording("VRRPv2 at 2 s: keepalived freezes for 12 s", V2_SLOW, do.stalled(12), _STALLED),
    "daemon_stalled/whole_node": Recording(
        "Every process of the owner freezes for 8 s, keepalived and HAProxy among them",
        RANKED,
        do.node_stalled(8),
        (("daemon_stalled", "yes"), ("preempted", "no")),
    ),
    # -- partition
    "partition/multicast": _like(
        "partition", "The backups do not hear the owner any more; one claims the address as well until the segment heals"
    ),
    "partition/unicast": _like(
        "partition_unicast",
        "The owner is cut off from the others for VRRP; another takes over, both hold the address until the segment heals",
    ),
    "partition/v6_one_way": Recording(
        "IPv6: one backup no longer hears the owner", PLAIN_V6, do.partitioned(9, one_way=True), _no("partition")
    ),
    "partition/v3_fast_unicast": Recording(
        "VRRPv3 unicast at 200 ms: adverts between the owner and the others are lost for 6 s",
        V3_FAST,
        do.partitioned(6),
        _no("partition"),
    ),
    "partition/v2_2s_all_frames": Recording(
        "VRRPv2 at 2 s: nothing passes between the owner and the others for 14 s; clients reach all",
        V2_SLOW,
        do.partitioned(14, all_frames=True),
        _no("partition"),
    ),
    "partition/frr_v4": Recording(
        "FRR: adverts between the owner and the others are lost", FRR, do.partitioned(9), _no("partition")
    ),
    "partition/frr_v6": Recording(
        "FRR over IPv6: adverts between the owner and the others are lost", FRR_V6, do.partitioned(9), _no("partition")
    ),
    # -- preempted
    "preempted/better_router_joins": _like("preempted", "A router with a higher priority joins the group"),
    "preempted/v6_unicast": Recording(
        "IPv6 unicast: a router with a higher priority joins", V6_UNICAST, do.better_joins, _no("preempted"), absent=("m0",)
    ),
    "preempted/v3_100ms": Recording(
        "VRRPv3 at 100 ms: a router with a higher priority joins",
        _setting("v3-100ms-ranked", V3_FASTEST, priorities=UNEQUAL),
        do.better_joins,
        _no("preempted"),
        absent=("m0",),
    ),
    "preempted/v2_2s_multicast": Recording(
        "VRRPv2 at 2 s: a router with a higher priority joins", V2_SLOW, do.better_joins, _no("preempted"), absent=("m0",)
    ),
    "preempted/delayed": Recording(
        "A router with a higher priority joins and waits for its preempt_delay of 5 s",
        _setting("ranked-delayed", RANKED, preempt_delay=5),
        do.better_joins,
        _no("preempted"),
        absent=("m0",),
    ),
    "preempted/frr_v4": Recording(
        "FRR: a router with a higher priority joins", FRR, do.better_joins, _no("preempted"), absent=("m0",)
    ),
    "preempted/frr_v6": Recording(
        "FRR over IPv6: a router with a higher priority joins", FRR_V6, do.better_joins, _no("preempted"), absent=("m0",)
    ),
    "preempted/dumpcap": Recording(
        "A router with a higher priority joins; captured by dumpcap (pcapng)",
        RANKED_MULTICAST,
        do.better_joins,
        _no("preempted"),
        absent=("m0",),
        shape="dumpcap",
    ),
    # -- vrid_conflict
    "vrid_conflict/foreign_group": _like(
        "vrid_conflict", "A foreign group advertises the same VRID for another address, and is stopped later"
    ),
    "vrid_conflict/password": Recording(
        "A foreign group without a password advertises the VRID of a group with one",
        _setting("kubeadm-plain", KUBEADM, checks=()),
        do.foreign_group(),
        _CONFLICT,
    ),
    "vrid_conflict/v6": Recording(
        "IPv6: a foreign group advertises the same VRID for another address", PLAIN_V6, do.foreign_group(), _CONFLICT
    ),
    "vrid_conflict/v3_500ms_lower": Recording(
        "VRRPv3 at 500 ms: a foreign group with a lower priority advertises the same VRID",
        V3_HALF,
        do.foreign_group(30),
        _CONFLICT,
    ),
    "vrid_conflict/unicast": Recording(
        "Unicast: a foreign group with a stale list of peers advertises the same VRID",
        RANKED,
        do.foreign_group(),
        _CONFLICT,
    ),
    # -- address_removed
    "address_removed/by_hand": _like(
        "vip_deleted", "The address is deleted by hand; the owner gives up with one priority 0 and an election follows"
    ),
    "address_removed/v6_multicast": Recording(
        "IPv6: the address is deleted by hand", RANKED_V6, do.vip_deleted, _no("address_removed")
    ),
    "address_removed/v3_fast_resumes": Recording(
        "VRRPv3 unicast at 200 ms: the address is deleted by hand; the best router resumes",
        V3_FAST,
        do.vip_deleted,
        _no("address_removed"),
    ),
    "address_removed/v2_2s_resumes": Recording(
        "VRRPv2 at 2 s: the address is deleted by hand; the best router resumes", V2_SLOW, do.vip_deleted, _no("address_removed")
    ),
    # -- adverts_rejected
    "adverts_rejected/password": _like(
        "adverts_rejected",
        "One backup has another password: it may not accept the adverts of the Active Router and claims the address",
    ),
    "adverts_rejected/interval": Recording(
        "VRRPv2: one backup is configured for another interval than the owner's",
        PLAIN_MULTICAST,
        do.backup_set_apart(advert_int=2),
        _no("adverts_rejected"),
    ),
    "adverts_rejected/address_list": Recording(
        "IPv6: one backup is configured with another list of addresses",
        PLAIN_V6,
        do.backup_set_apart(more_vips=(102,)),
        _no("adverts_rejected"),
    ),
    "adverts_rejected/version": Recording(
        "Unicast: one backup speaks VRRPv3, the others VRRPv2", RANKED, do.backup_set_apart(version=3), _no("adverts_rejected")
    ),
    "adverts_rejected/ttl": Recording(
        "A router between lowers the TTL of the owner's adverts",
        RANKED_MULTICAST,
        do.mangled("ip ttl set 64"),
        _no("adverts_rejected"),
    ),
    "adverts_rejected/checksum": Recording(
        "VRRPv3 at 500 ms: the owner's adverts arrive damaged",
        V3_HALF,
        do.mangled("@th,48,16 set 0x1234"),
        _no("adverts_rejected"),
    ),
    # -- receiver_deaf
    "receiver_deaf/firewall": _like(
        "receiver_deaf", "A backup's own firewall drops protocol 112: the adverts arrive at its tap, and it takes over"
    ),
    "receiver_deaf/v6": Recording("IPv6: a backup's own firewall drops adverts", RANKED_V6, do.deaf, _no("receiver_deaf")),
    "receiver_deaf/v3_fast_unicast": Recording(
        "VRRPv3 unicast at 200 ms: a backup's own firewall drops adverts", V3_FAST, do.deaf, _no("receiver_deaf")
    ),
    "receiver_deaf/v2_2s_multicast": Recording(
        "VRRPv2 at 2 s: a backup's own firewall drops adverts", V2_SLOW, do.deaf, _no("receiver_deaf")
    ),
    # -- reloaded
    "reloaded/lower_priority": _like("reloaded", "The owner is reloaded with a lower priority"),
    "reloaded/v6_multicast": Recording(
        "IPv6: the owner is reloaded with a lower priority", RANKED_V6, do.reloaded_with(priority=90), _no("reloaded")
    ),
    "reloaded/v3_fast_unicast": Recording(
        "VRRPv3 unicast at 200 ms: the owner is reloaded with a lower priority",
        V3_FAST,
        do.reloaded_with(priority=90),
        _no("reloaded"),
    ),
    "reloaded/v2_2s_equal": Recording(
        "VRRPv2 at 2 s, equal priorities: the owner is reloaded with a lower one",
        _setting("v2-2s-multicast", V2_SLOW, priorities=(100, 100, 100)),
        do.reloaded_with(priority=80),
        _no("reloaded"),
    ),
    # -- moved_outside_vrrp
    "moved_outside_vrrp/by_hand": Recording(
        "The address is added to a backup by hand and announced; the owner goes on",
        PLAIN,
        do.added_elsewhere,
        _no("moved_outside_vrrp"),
    ),
    "moved_outside_vrrp/v6_by_hand": Recording(
        "IPv6: the address is added to a backup by hand and announced; the owner goes on",
        RANKED_V6,
        do.added_elsewhere,
        _no("moved_outside_vrrp"),
    ),
    "moved_outside_vrrp/lease_moves": Recording(
        "No VRRP, as with kube-vip: one node gives the address up in order, another takes and announces it",
        SCRIPT,
        do.lease_moves,
        (("moved_outside_vrrp", "unknown"),),
        absent=LATER,
    ),
    "moved_outside_vrrp/leader_dies": Recording(
        "No VRRP, as with kube-vip: the leader's process dies and leaves the address; another takes it when the lease has ended",
        SCRIPT,
        do.leader_dies,
        (("moved_outside_vrrp", "unknown"),),
        absent=LATER,
    ),
    "moved_outside_vrrp/v6_leader_lost": Recording(
        "No VRRP, IPv6: the node that holds the address loses its power; another takes it when the lease has ended",
        SCRIPT_V6,
        do.leader_lost,
        (("moved_outside_vrrp", "unknown"),),
        absent=LATER,
    ),
    # -- near misses: nothing happens to the address
    "near-misses/quiet": _like("quiet", "Nothing happens"),
    "near-misses/reload_unchanged": _like("reloaded_unchanged", "A reload without a change moves nothing"),
    "near-misses/short_stall": Recording(
        "keepalived freezes for 2 s, less than the others wait", RANKED_MULTICAST, do.stalled(2)
    ),
    "near-misses/v6_short_stall": Recording(
        "IPv6 at 300 ms: keepalived freezes for 0.6 s, less than the others wait", V6_FAST, do.stalled(0.6)
    ),
    "near-misses/thawed_backup": _like(
        "thawed_backup", "A backup's keepalived freezes for 6 s: thawed, it reads before it looks at its timer"
    ),
    "near-misses/short_partition": Recording(
        "Adverts between the owner and the others are lost for 2 s, less than they wait", RANKED, do.partitioned(2)
    ),
    "near-misses/lossy": Recording("A fifth of the owner's adverts do not reach one backup", RANKED_MULTICAST, do.lossy),
    "near-misses/periodic_announcements": Recording(
        "The owner repeats its gratuitous ARP every 3 s",
        _setting("refreshed", PLAIN_MULTICAST, garp_master_refresh=3),
        do.wait(10),
    ),
    "near-misses/check_blip": Recording(
        "A check fails, the priority falls, and is back before the backup has waited long enough",
        _with(RANKED_MULTICAST, _QUICK),
        do.flag_blip,
    ),
    "near-misses/weight_within_the_gap": Recording(
        "A check fails and takes 5, the next router is 20 below: the priority falls, nothing moves", GAP, do.flag_for(8)
    ),
    "near-misses/nopreempt": Recording(
        "HAProxy is killed and its check takes the weight; with nopreempt nobody takes over",
        _setting("openshift-fixed-nopreempt", OPENSHIFT_FIXED, nopreempt=True),
        do.haproxy_killed_for(10),
    ),
    "near-misses/haproxy_restarted": Recording(
        "HAProxy is restarted, faster than its check gives up", OPENSHIFT_FIXED, do.haproxy_restarted
    ),
    "near-misses/link_blip": Recording(
        "The owner's cable is pulled for 0.8 s: FAULT at once; the priority 0 wait for the link and arrive when it is back",
        _setting("v2-2s-ranked", V2_SLOW, unicast=True),
        do.link_blip,
        (("link_down", "yes"), ("preempted", "no")),
    ),
    "near-misses/first_election": Recording(
        "All routers start together: the first election, among equals", PLAIN_MULTICAST, do.all_join, clients=0, absent=MASTERS
    ),
    "near-misses/v6_first_election": Recording(
        "IPv6 at 300 ms: all routers start together", V6_FAST, do.all_join, clients=0, absent=MASTERS
    ),
    # -- near misses: the address moves for another reason than it seems
    "near-misses/sync_group_fault": Recording(
        "A check of the other member of a sync group fails: the group enters FAULT, and this member sends one priority 0",
        SYNC,
        do.flag_moves,
        (("check_failed", "no"), ("check_failed", "no")),
    ),
    "near-misses/stopped_while_a_check_fails": Recording(
        "A check takes 5 and moves nothing; then keepalived is stopped in order", GAP, do.flagged_then_stopped, _no("stopped")
    ),
    "near-misses/parent_killed": Recording(
        "Only keepalived's parent is killed: the child resigns in order, as when stopped",
        RANKED,
        do.parent_killed,
        _no("stopped"),
    ),
    "near-misses/child_killed": Recording(
        "Only keepalived's child is killed: the parent starts another, which takes the address away first",
        PLAIN,
        SCENARIOS["child_killed"].steps,
        _no("daemon_killed"),
    ),
    "near-misses/restarted": Recording(
        "keepalived is restarted: it resigns, and when it is back it takes the address again",
        RANKED_MULTICAST,
        do.restarted,
        (("stopped", "no"), ("preempted", "no")),
    ),
    "near-misses/restarted_with_lower_priority": Recording(
        "keepalived is restarted with a lower priority, and stays backup", RANKED, do.restarted_with(90), _no("stopped")
    ),
    "near-misses/two_answer": Recording(
        "keepalived is killed and leaves the address; two nodes answer for it",
        RANKED_MULTICAST,
        do.killed_and_asked,
        _no("daemon_killed"),
    ),
    "near-misses/killed_and_started": Recording(
        "keepalived is killed and leaves the address; started again after some seconds, it stays backup",
        PLAIN_MULTICAST,
        do.killed_then_started,
        _no("daemon_killed"),
    ),
    "near-misses/stalled_for_good": Recording(
        "keepalived freezes and is not seen to come back", RANKED_MULTICAST, do.stalled_for_good, _no("daemon_stalled")
    ),
    "near-misses/rebooted": Recording(
        "The owner loses its power and boots again; equal priorities, so it stays backup",
        PLAIN_MULTICAST,
        do.rebooted,
        (("node_lost", "yes"),),
    ),
    "near-misses/rebooted_best": Recording(
        "The best router loses its power; booted again, it takes the address back",
        RANKED,
        do.rebooted,
        (("node_lost", "yes"), ("preempted", "no")),
    ),
    "near-misses/unplugged": Recording(
        "The owner's cable is pulled: elsewhere nothing more is seen of the node",
        RANKED,
        SCENARIOS["link_unplugged"].steps,
        (("link_down", "yes"),),
    ),
    "near-misses/partition_like_a_stall": Recording(
        "Adverts are lost for 5 s: another takes over and soon hears the owner again",
        RANKED_MULTICAST,
        do.partitioned(5),
        _no("partition"),
    ),
    "near-misses/contested": Recording(
        "keepalived is stopped in order; the others, equal, both take over for a moment",
        _setting("v3-100ms-equal", V3_FASTEST),
        SCENARIOS["stopped"].steps,
        _no("stopped"),
        contested=True,
    ),
    "near-misses/backup_raised": Recording(
        "A backup is reloaded with a higher priority than the owner's, and takes over",
        RANKED,
        do.backup_raised(150),
        _no("preempted"),
    ),
    "near-misses/check_blip_before_preemption": Recording(
        "The owner's priority falls and recovers; a while later a better router joins",
        _with(RANKED, _SMALL),
        do.flag_blip_then_better_joins,
        _no("preempted"),
        absent=("m0",),
    ),
    "near-misses/kubeadm_weight_two": Recording(
        "A check takes 2, just enough for another router to take over",
        _setting("two", priorities=(101, 100, 100), unicast=False, checks=(Check("chk_flag", FLAG_ABSENT, weight=-2),)),
        do.flag_moves,
        _no("check_failed"),
    ),
    "near-misses/openshift_refresh": Recording(
        "OpenShift's shape with its gratuitous ARP repeated every 5 s and nothing else",
        _setting("openshift-refreshed", OPENSHIFT_ORIGINAL, garp_master_refresh=5),
        do.wait(12),
    ),
    "near-misses/stall_like_a_partition": Recording(
        "The best router freezes for 5 s: thawed, it sends again before it has heard the new owner out",
        RANKED_MULTICAST,
        do.stalled(5),
        _STALLED,
    ),
    "near-misses/foreign_same_address": Recording(
        "A foreign group without a password advertises the VRID and the very address of a group with one",
        _setting("kubeadm-plain", KUBEADM, checks=()),
        do.foreign_same_address,
        _no("vrid_conflict"),
    ),
    "near-misses/vip_deleted_among_equals": Recording(
        "VRRPv3 at 500 ms, equal priorities: the address is deleted by hand, and any router may win the election that follows",
        _setting("v3-500ms-equal", V3_HALF, priorities=(100, 100, 100)),
        do.vip_deleted,
        _no("address_removed"),
    ),
    "near-misses/v3_interval_differs": Recording(
        "VRRPv3: one backup is configured for another interval, which it may not reject",
        _setting("v3-1s-unicast-ranked", version=3, priorities=UNEQUAL),
        do.backup_set_apart(advert_int=2),
    ),
    "near-misses/deaf_with_another_interval": Recording(
        "VRRPv3: a backup with another interval, which it accepts, turns deaf",
        _setting("v3-1s-multicast-ranked", version=3, unicast=False, priorities=UNEQUAL),
        do.deaf_with_another_interval,
        _no("receiver_deaf"),
    ),
    "near-misses/rejected_on_one_hop": Recording(
        "The owner's adverts lose a hop on their way and are rejected by all; its own capture shows them as they should be",
        _setting("v6-1s-ranked", RANKED_V6),
        do.mangled("ip6 hoplimit set 254"),
        _no("adverts_rejected"),
    ),
    "near-misses/reloaded_by_one": Recording(
        "Among equals, the owner is reloaded with a priority one lower",
        _setting("multicast-equal", PLAIN_MULTICAST),
        do.reloaded_with(priority=99),
        _no("reloaded"),
    ),
    "near-misses/added_quietly": Recording(
        "The address is added to a backup by hand and taken away again, announced nowhere; the owner goes on",
        RANKED_MULTICAST,
        do.added_quietly,
        _no("moved_outside_vrrp"),
    ),
}
