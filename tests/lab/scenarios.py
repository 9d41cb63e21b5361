"""Named stories, each with the causes it must be judged to have: for tests, and for recording the corpus.

A story starts when the lab runs, one master holds the address and the clients are served; it ends with everything that
belongs to the flap in the captures, the second burst of gratuitous ARPs after 5 s included.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .lab import Lab, Tap
from .setting import (
    FLAG_ABSENT,
    K3S,
    KUBEADM,
    MASTERS,
    OPENSHIFT_FIXED,
    OPENSHIFT_ORIGINAL,
    PLAIN,
    PLAIN_MULTICAST,
    PLAIN_V3,
    PLAIN_V6,
    RANKED,
    Check,
    Setting,
    address,
)
from .storm import CLIENTS, etcd_outage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AFTERMATH = 7.0  # the second burst of gratuitous ARPs comes 5 s after the first


@dataclass(frozen=True)
class Scenario:
    """A story and its label. `warranted` is yes, no or unknown; `moves` says whether the address must change hands."""

    setting: Setting
    steps: Callable[[Lab], None]
    causes: tuple[str, ...]
    warranted: str
    clients: int = 30
    absent: tuple[str, ...] = ()
    moves: bool = True
    perhaps: tuple[str, ...] = ()
    """Causes that chance may bring about besides."""


def _late_readyz(lab: Lab) -> None:
    """Every apiserver is slow to the owner, as it carries all clients; HAProxy is well and clients' data flows."""
    owner = lab.holder()
    for node in MASTERS:
        lab.apiserver(node).delay(address(owner, lab.setting.family))
    lab.wait_move(owner)
    time.sleep(3)
    for node in MASTERS:
        lab.apiserver(node).ok()
    time.sleep(AFTERMATH - 3)


def _haproxy_killed(lab: Lab) -> None:
    owner = lab.holder()
    lab.haproxy(owner).kill()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _haproxy_frozen(lab: Lab) -> None:
    owner = lab.holder()
    lab.haproxy(owner).freeze()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _backends_blocked(lab: Lab) -> None:
    """The owner alone is cut off from every apiserver: its own is down, the others' out of its reach."""
    owner = lab.holder()
    lab.block_backends(owner)
    lab.apiserver(owner).kill()
    lab.wait_move(owner, timeout=25)
    time.sleep(AFTERMATH)


def _flag(lab: Lab) -> None:
    owner = lab.holder()
    lab.note("flag", node=owner)
    lab.flag(owner).touch()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _stopped(lab: Lab) -> None:
    owner = lab.holder()
    lab.keepalived(owner).stop()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _node_lost(lab: Lab) -> None:
    owner = lab.holder()
    lab.node(owner).lose()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _link_down(lab: Lab) -> None:
    owner = lab.holder()
    lab.link(owner).down()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _link_unplugged(lab: Lab) -> None:
    owner = lab.holder()
    lab.link(owner).unplug()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _daemon_killed(lab: Lab) -> None:
    owner = lab.holder()
    lab.keepalived(owner).kill()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _daemon_stalled(lab: Lab) -> None:
    owner = lab.holder()
    lab.keepalived(owner).freeze()
    time.sleep(8)
    lab.keepalived(owner).thaw()
    time.sleep(AFTERMATH)


def _partition(lab: Lab) -> None:
    owner = lab.holder()
    for other in lab.others(owner):
        lab.partition(owner, other)
    time.sleep(9)
    lab.heal()
    time.sleep(AFTERMATH)


def _one_way_partition(lab: Lab) -> None:
    """One backup no longer hears the owner; everybody else hears everybody."""
    owner = lab.holder()
    lab.partition(owner, lab.others(owner)[-1], both=False)
    time.sleep(9)
    lab.heal()
    time.sleep(AFTERMATH)


def _better_router_joins(lab: Lab) -> None:
    owner = lab.holder()
    lab.keepalived(MASTERS[0]).start()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _vip_deleted(lab: Lab) -> None:
    lab.vip_delete(lab.holder())
    time.sleep(2)
    lab.wait_active()
    time.sleep(AFTERMATH)


def _reloaded_lower(lab: Lab) -> None:
    owner = lab.holder()
    lab.keepalived(owner).reload(lab.setting.with_priority(owner, 105))
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def _reloaded_unchanged(lab: Lab) -> None:
    lab.keepalived(lab.holder()).reload()
    time.sleep(AFTERMATH)


def _vrid_conflict(lab: Lab) -> None:
    lab.foreign(priority=200).start()
    time.sleep(15)
    lab.foreign().stop()
    time.sleep(AFTERMATH)


def _password_changed(lab: Lab) -> None:
    """One backup was given another password: it hears the owner's adverts and may not accept them."""
    other = lab.others(lab.holder())[-1]
    lab.keepalived(other).reload(lab.setting.with_password("other"))
    time.sleep(9)
    lab.keepalived(other).reload(lab.setting)
    time.sleep(AFTERMATH)


def _deaf(lab: Lab) -> None:
    """A backup's own firewall drops adverts after its tap has seen them."""
    other = lab.others(lab.holder())[-1]
    lab.deafen(other)
    time.sleep(9)
    lab.undeafen(other)
    time.sleep(AFTERMATH)


def _thawed_backup(lab: Lab) -> None:
    """A backup's keepalived is frozen and thawed: its timer has expired, yet it reads first and stays; nothing moves."""
    other = lab.others(lab.holder())[-1]
    lab.keepalived(other).freeze()
    time.sleep(6)
    lab.keepalived(other).thaw()
    time.sleep(AFTERMATH)


def _short_stall(lab: Lab) -> None:
    """The owner freezes for less than the others wait; nothing moves."""
    owner = lab.holder()
    lab.keepalived(owner).freeze()
    time.sleep(2)
    lab.keepalived(owner).thaw()
    time.sleep(AFTERMATH)


def _restarted(lab: Lab) -> None:
    """The process dies without its parent, which starts another at once: silence, and the address is taken away first."""
    owner = lab.holder()
    lab.keepalived(owner).kill_child()
    time.sleep(AFTERMATH + 4)


def _lossy(lab: Lab) -> None:
    """A third of the owner's adverts are lost on the way to one backup: three in a row, and it claims the address for once."""
    owner = lab.holder()
    lab.partition(owner, lab.others(owner)[-1], both=False, probability=0.33)
    time.sleep(15)
    lab.heal()
    time.sleep(3)


def _moved_by_hand(lab: Lab) -> None:
    owner = lab.holder()
    other = lab.others(owner)[0]
    lab.vip_add(other)
    lab.announce(other)
    time.sleep(5)
    lab.vip_delete(other)
    lab.announce(owner)
    time.sleep(AFTERMATH)


def _quiet(lab: Lab) -> None:
    lab.note("quiet")
    time.sleep(8)


_FLAGGED = Check("chk_flag", FLAG_ABSENT, weight=-30)

SCENARIOS: dict[str, Scenario] = {
    "check_failed_original_bug": Scenario(OPENSHIFT_ORIGINAL, _late_readyz, ("check_failed",), "no", clients=100),
    "check_failed_haproxy_killed": Scenario(OPENSHIFT_FIXED, _haproxy_killed, ("check_failed",), "yes", clients=100),
    "check_failed_haproxy_frozen": Scenario(OPENSHIFT_FIXED, _haproxy_frozen, ("check_failed",), "yes", clients=100),
    "check_failed_backends_blocked": Scenario(OPENSHIFT_ORIGINAL, _backends_blocked, ("check_failed",), "yes"),
    "check_failed_fault": Scenario(K3S, _haproxy_killed, ("check_failed",), "yes"),
    "check_failed_kubeadm": Scenario(KUBEADM, _late_readyz, ("check_failed", "preempted"), "no"),
    "check_failed_v3": Scenario(PLAIN_V3.with_checks(_FLAGGED), _flag, ("check_failed",), "no"),
    "check_failed_v6": Scenario(PLAIN_V6.with_checks(_FLAGGED), _flag, ("check_failed",), "no"),
    "stopped": Scenario(PLAIN, _stopped, ("stopped",), "no"),
    "node_lost": Scenario(PLAIN, _node_lost, ("node_lost",), "yes"),
    "link_down": Scenario(PLAIN, _link_down, ("link_down",), "yes"),
    "link_unplugged": Scenario(PLAIN, _link_unplugged, ("link_down",), "yes"),
    "daemon_killed": Scenario(PLAIN, _daemon_killed, ("daemon_killed",), "no"),
    "daemon_stalled": Scenario(PLAIN, _daemon_stalled, ("daemon_stalled",), "no"),
    "partition": Scenario(PLAIN_MULTICAST, _partition, ("partition",), "no"),
    "partition_unicast": Scenario(PLAIN, _partition, ("partition",), "no"),
    "partition_one_way": Scenario(PLAIN_MULTICAST, _one_way_partition, ("partition",), "no"),
    "preempted": Scenario(RANKED, _better_router_joins, ("preempted",), "no", absent=("m0",)),
    "vip_deleted": Scenario(PLAIN, _vip_deleted, ("address_removed",), "no", moves=False),
    "reloaded": Scenario(RANKED, _reloaded_lower, ("reloaded",), "no"),
    "reloaded_unchanged": Scenario(RANKED, _reloaded_unchanged, (), "unknown", moves=False),
    "vrid_conflict": Scenario(PLAIN_MULTICAST, _vrid_conflict, ("vrid_conflict",), "no", moves=False),
    "adverts_rejected": Scenario(KUBEADM, _password_changed, ("adverts_rejected",), "no", moves=False),
    "receiver_deaf": Scenario(PLAIN_MULTICAST, _deaf, ("receiver_deaf",), "no"),
    "thawed_backup": Scenario(PLAIN, _thawed_backup, (), "unknown", moves=False),
    "short_stall": Scenario(PLAIN, _short_stall, (), "unknown", moves=False),
    "lossy": Scenario(PLAIN_MULTICAST, _lossy, (), "unknown", moves=False, perhaps=("partition",)),
    "child_killed": Scenario(PLAIN, _restarted, ("daemon_killed",), "no", moves=False),
    "moved_outside_vrrp": Scenario(PLAIN, _moved_by_hand, ("moved_outside_vrrp",), "no", moves=False),
    "quiet": Scenario(OPENSHIFT_ORIGINAL, _quiet, (), "unknown", moves=False),
    "etcd_outage": Scenario(OPENSHIFT_ORIGINAL, etcd_outage, ("check_failed", "preempted"), "no", clients=CLIENTS),
}


def play(
    name: str | Scenario,
    out: Path | None = None,
    *,
    capture: str | None = "",
    clients: int | None = None,
    settle: float = 3.0,
    tap: Tap = "tcpdump",
) -> Lab:
    """Play a scenario to its end in a lab of its own; return the lab, closed: its truth and its files remain.

    `settle` is the quiet baseline before the story, in seconds.
    """
    scenario = name if isinstance(name, Scenario) else SCENARIOS[name]
    with Lab(scenario.setting, out, capture=capture, tap=tap) as lab:
        lab.truth.note("scenario", name=str(name), causes=scenario.causes, warranted=scenario.warranted)
        nobody = set(scenario.absent) == set(MASTERS)
        lab.start(absent=scenario.absent, clients=0 if nobody else scenario.clients if clients is None else clients)
        if not nobody:
            lab.wait_active()
        time.sleep(settle)
        lab.truth.note("story")
        before = len(lab.moves)
        scenario.steps(lab)
        if scenario.moves and len(lab.moves) == before:
            raise AssertionError(f"{name}: the address did not move")
        lab.truth.note("story_end", totals=lab.clients.totals(), moves=len(lab.moves) - before)
    return lab
