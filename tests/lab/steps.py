"""More of what can happen to a virtual router, for recording: what a story has between its quiet beginning and its end.

Most are near misses: what they look like at first glance is in their names or their docstrings, what they are in `recordings`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .setting import CLIENT, MASTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lab import Lab

AFTERMATH = 7.0  # the second burst of gratuitous ARPs comes 5 s after the first


def wait(seconds: float) -> Callable[[Lab], None]:
    """Do nothing for a while."""

    def steps(lab: Lab) -> None:
        lab.note("quiet")
        time.sleep(seconds)

    return steps


def then(*parts: Callable[[Lab], None]) -> Callable[[Lab], None]:
    """One after the other."""

    def steps(lab: Lab) -> None:
        for part in parts:
            part(lab)

    return steps


def flag(lab: Lab) -> None:
    """Fail the check of the owner; its proxy is well."""
    owner = lab.holder()
    lab.note("flag", node=owner)
    lab.flag(owner).touch()


def unflag(lab: Lab) -> None:
    """Let every check succeed again."""
    for node in MASTERS:
        if lab.flag(node).exists():
            lab.note("unflag", node=node)
            lab.flag(node).unlink()


def flag_moves(lab: Lab) -> None:
    """Fail the check of the owner until the address moves."""
    owner = lab.holder()
    flag(lab)
    lab.wait_move(owner, timeout=25)
    time.sleep(AFTERMATH)


def flag_moves_and_returns(lab: Lab) -> None:
    """The check of the best router fails and later recovers: the address goes and comes back."""
    owner = lab.holder()
    flag(lab)
    heir = lab.wait_move(owner, timeout=25)
    time.sleep(AFTERMATH)
    unflag(lab)
    lab.wait_move(heir, timeout=25)
    time.sleep(AFTERMATH)


def flag_blip(lab: Lab) -> None:
    """The check fails, the priority falls, and is back before anybody has waited long enough."""
    flag(lab)
    time.sleep(2.6)
    unflag(lab)
    time.sleep(AFTERMATH)


def flag_for(seconds: float) -> Callable[[Lab], None]:
    """Fail the check of the owner for a while, whatever comes of it."""

    def steps(lab: Lab) -> None:
        flag(lab)
        time.sleep(seconds)
        unflag(lab)
        time.sleep(4)

    return steps


def flagged_then_stopped(lab: Lab) -> None:
    """The owner's check fails and moves nothing; then its keepalived is stopped in order."""
    owner = lab.holder()
    flag(lab)
    time.sleep(5)
    lab.keepalived(owner).stop()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def flag_blip_then_better_joins(lab: Lab) -> None:
    """The owner's priority falls a little and recovers; a while later a better router joins."""
    owner = lab.holder()
    flag(lab)
    time.sleep(4)
    unflag(lab)
    time.sleep(5)
    lab.keepalived(MASTERS[0]).start()
    lab.wait_move(owner, timeout=25)
    time.sleep(AFTERMATH)


def better_joins(lab: Lab) -> None:
    """A router with a higher priority joins."""
    owner = lab.holder()
    lab.keepalived(MASTERS[0]).start()
    lab.wait_move(owner, timeout=25)
    time.sleep(AFTERMATH)


def all_join(lab: Lab) -> None:
    """Nobody was there before: the first election."""
    for node in MASTERS:
        lab.keepalived(node).start()
    lab.wait_active()
    time.sleep(AFTERMATH)


def haproxy_killed_for(seconds: float) -> Callable[[Lab], None]:
    """HAProxy of the owner dies and comes back later."""

    def steps(lab: Lab) -> None:
        owner = lab.holder()
        lab.haproxy(owner).kill()
        time.sleep(seconds)
        lab.haproxy(owner).start()
        time.sleep(6)

    return steps


def haproxy_restarted(lab: Lab) -> None:
    """HAProxy of the owner is restarted, faster than its check gives up."""
    lab.haproxy(lab.holder()).restart()
    time.sleep(8)


def haproxy_killed(lab: Lab) -> None:
    """HAProxy of the owner dies, and the address moves for that."""
    owner = lab.holder()
    lab.haproxy(owner).kill()
    lab.wait_move(owner, timeout=25)
    time.sleep(AFTERMATH)


def restarted(lab: Lab) -> None:
    """keepalived is stopped in order and started again at once."""
    owner = lab.holder()
    lab.keepalived(owner).restart()
    time.sleep(AFTERMATH + 5)


def restarted_with(priority: int) -> Callable[[Lab], None]:
    """keepalived is stopped in order, its priority changed, and started again."""

    def steps(lab: Lab) -> None:
        owner = lab.holder()
        lab.keepalived(owner).stop()
        lab.keepalived(owner).setting = lab.setting.with_priority(owner, priority)
        lab.note("priority", node=owner, priority=priority)
        lab.keepalived(owner).start()
        time.sleep(AFTERMATH + 5)

    return steps


def parent_killed(lab: Lab) -> None:
    """Only keepalived's parent dies: the child resigns in order."""
    owner = lab.holder()
    lab.keepalived(owner).kill_parent()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def killed_then_started(lab: Lab) -> None:
    """keepalived dies without resigning, and another is started some seconds later."""
    owner = lab.holder()
    lab.keepalived(owner).kill()
    lab.wait_move(owner)
    time.sleep(5)
    lab.keepalived(owner).start()
    time.sleep(AFTERMATH + 3)


def killed_and_asked(lab: Lab) -> None:
    """keepalived dies without resigning; a client asks for the address, and two answer."""
    owner = lab.holder()
    lab.keepalived(owner).kill()
    lab.wait_move(owner)
    time.sleep(1)
    for _ in range(4):
        lab.note("neighbours flushed", node=CLIENT)
        lab.ip(CLIENT, "neigh", "flush", "dev", "eth0")
        time.sleep(1.5)
    time.sleep(2)


def rebooted(lab: Lab) -> None:
    """The owner loses its power and boots again."""
    owner = lab.holder()
    lab.node(owner).lose()
    lab.wait_move(owner)
    time.sleep(5)
    lab.node(owner).recover()
    time.sleep(AFTERMATH + 5)


def link_blip(lab: Lab) -> None:
    """The owner's cable is pulled and put back before the others have waited long enough."""
    owner = lab.holder()
    lab.link(owner).unplug()
    time.sleep(0.8)
    lab.link(owner).plug()
    time.sleep(AFTERMATH)


def link_back(lab: Lab) -> None:
    """The owner's cable is pulled, and put back after the address has moved."""
    owner = lab.holder()
    lab.link(owner).unplug()
    lab.wait_move(owner)
    time.sleep(5)
    lab.link(owner).plug()
    time.sleep(AFTERMATH + 3)


def stalled(seconds: float) -> Callable[[Lab], None]:
    """The owner's keepalived freezes and comes back."""

    def steps(lab: Lab) -> None:
        owner = lab.holder()
        lab.keepalived(owner).freeze()
        time.sleep(seconds)
        lab.keepalived(owner).thaw()
        time.sleep(AFTERMATH)

    return steps


def stalled_for_good(lab: Lab) -> None:
    """The owner's keepalived freezes and is never seen to come back."""
    owner = lab.holder()
    lab.keepalived(owner).freeze()
    lab.wait_move(owner)
    time.sleep(AFTERMATH)


def node_stalled(seconds: float) -> Callable[[Lab], None]:
    """Every process of the owner freezes and comes back: a machine that pauses."""

    def steps(lab: Lab) -> None:
        owner = lab.holder()
        services = (lab.keepalived(owner), lab.haproxy(owner), lab.apiserver(owner))
        for service in services:
            service.freeze()
        time.sleep(seconds)
        for service in services:
            service.thaw()
        time.sleep(AFTERMATH)

    return steps


def partitioned(seconds: float, *, one_way: bool = False, all_frames: bool = False) -> Callable[[Lab], None]:
    """The owner's adverts no longer arrive; with `one_way` at one backup only, with `all_frames` nothing passes between them."""

    def steps(lab: Lab) -> None:
        owner = lab.holder()
        for other in lab.others(owner)[-1:] if one_way else lab.others(owner):
            if all_frames:
                lab.block(owner, other)
            else:
                lab.partition(owner, other, both=not one_way)
        time.sleep(seconds)
        lab.heal()
        time.sleep(AFTERMATH)

    return steps


def backup_set_apart(**change: Any) -> Callable[[Lab], None]:
    """One backup is given another configuration than the others, and later theirs again."""

    def steps(lab: Lab) -> None:
        other = lab.others(lab.holder())[-1]
        lab.keepalived(other).reload(replace(lab.setting, **change))
        time.sleep(10 + 3 * lab.setting.advert_int)
        lab.keepalived(other).reload(lab.setting)
        time.sleep(AFTERMATH)

    return steps


def mangled(change: str, seconds: float = 9.0) -> Callable[[Lab], None]:
    """The owner's adverts are changed on their way."""

    def steps(lab: Lab) -> None:
        lab.mangle(lab.holder(), change)
        time.sleep(seconds)
        lab.heal()
        time.sleep(AFTERMATH)

    return steps


def deaf(lab: Lab) -> None:
    """A backup's own firewall drops adverts after its tap has seen them."""
    other = lab.others(lab.holder())[-1]
    lab.deafen(other)
    time.sleep(6 + 4 * lab.setting.advert_int)
    lab.undeafen(other)
    time.sleep(AFTERMATH)


def deaf_with_another_interval(lab: Lab) -> None:
    """A backup is given another interval, which VRRPv3 accepts; only later its firewall drops adverts."""
    other = lab.others(lab.holder())[-1]
    lab.keepalived(other).reload(replace(lab.setting, advert_int=2))
    time.sleep(5)
    lab.deafen(other)
    time.sleep(10)
    lab.undeafen(other)
    time.sleep(AFTERMATH)


def reloaded_with(**change: Any) -> Callable[[Lab], None]:
    """The owner's keepalived is reloaded with something changed; `priority` is the owner's."""

    def steps(lab: Lab) -> None:
        owner = lab.holder()
        rest = {key: value for key, value in change.items() if key != "priority"}
        setting = replace(lab.setting, **rest)
        lab.keepalived(owner).reload(setting.with_priority(owner, change.get("priority", setting.priority(owner))))
        time.sleep(4 * lab.setting.advert_int + AFTERMATH)

    return steps


def backup_raised(priority: int) -> Callable[[Lab], None]:
    """A backup is reloaded with a higher priority than the owner's."""

    def steps(lab: Lab) -> None:
        owner = lab.holder()
        other = lab.others(owner)[-1]
        lab.keepalived(other).reload(lab.setting.with_priority(other, priority))
        lab.wait_move(owner)
        time.sleep(AFTERMATH)

    return steps


def vip_deleted(lab: Lab) -> None:
    """The address is deleted behind keepalived's back."""
    lab.vip_delete(lab.holder())
    time.sleep(3 + lab.setting.advert_int)
    lab.wait_active()
    time.sleep(AFTERMATH)


def added_elsewhere(lab: Lab) -> None:
    """The address is added to a backup by hand and announced there; the owner goes on."""
    owner = lab.holder()
    other = lab.others(owner)[0]
    lab.vip_add(other)
    lab.announce(other)
    time.sleep(8)
    lab.vip_delete(other)
    lab.announce(owner)
    time.sleep(5)


def added_quietly(lab: Lab) -> None:
    """The address is added to a backup by hand and deleted again; nobody announces it, and the owner goes on."""
    other = lab.others(lab.holder())[0]
    lab.vip_add(other)
    time.sleep(6)
    lab.vip_delete(other)
    time.sleep(5)


def lease_moves(lab: Lab) -> None:
    """With no VRRP: the script of one node gives the address up in order, another's takes it."""
    lab.keepalived(lab.holder()).stop()
    lab.keepalived("m1").start()
    time.sleep(12)


def leader_dies(lab: Lab) -> None:
    """With no VRRP: the script of one node dies and leaves the address, another's takes it when the lease has ended."""
    lab.keepalived(lab.holder()).kill()
    time.sleep(4)
    lab.keepalived("m1").start()
    time.sleep(12)


def leader_lost(lab: Lab) -> None:
    """With no VRRP: the node that holds the address loses its power, another's script takes it when the lease has ended."""
    lab.node(lab.holder()).lose()
    time.sleep(4)
    lab.keepalived("m1").start()
    time.sleep(12)


def foreign_group(priority: int = 200) -> Callable[[Lab], None]:
    """Another group uses the same virtual router ID for a while."""

    def steps(lab: Lab) -> None:
        lab.foreign(priority=priority).start()
        time.sleep(15)
        lab.foreign(priority=priority).stop()
        time.sleep(AFTERMATH)

    return steps


def foreign_same_address(lab: Lab) -> None:
    """Another group uses the same virtual router ID and the same address for a while."""
    lab.foreign(vip=lab.setting.vip).start()
    time.sleep(15)
    lab.foreign(vip=lab.setting.vip).stop()
    time.sleep(AFTERMATH)


def lossy(lab: Lab) -> None:
    """A fifth of the owner's adverts are lost on the way to one backup, hardly ever three in a row."""
    owner = lab.holder()
    lab.partition(owner, lab.others(owner)[-1], both=False, probability=0.2)
    time.sleep(15)
    lab.heal()
    time.sleep(3)
