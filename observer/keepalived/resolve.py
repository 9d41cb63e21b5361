"""What keepalived makes of an instance when all is read: defaults, rounding, what sync groups and priority 255 forbid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from observer.keepalived.model import CheckKind, Garp, Instance, SyncGroup
from observer.keepalived.routers import GARP, RawGroup, RawInstance
from observer.model.observations import Authentication, Family
from observer.model.time import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observer.keepalived.model import Track
    from observer.keepalived.notes import Notes

OWNER = 255
"""Priority of the address owner (RFC 9568 5.2.4): no check changes it."""
DEFAULT_PRIORITY = 100
_CENTISECOND = 10 * MILLISECOND
LONGEST_V3 = 4095 * _CENTISECOND
"""Largest interval that a VRRPv3 advertisement can tell (RFC 9568 5.2.7)."""


class Defaults:
    """What ``global_defs`` says for instances that do not say."""

    def __init__(self) -> None:
        self.version = 2
        self.router_id: str | None = None
        self.garp: dict[str, int] = {}
        self.min_garp = False
        self.down_timer_adverts = 3


def groups(raw: Sequence[RawGroup], instances: Mapping[str, RawInstance], notes: Notes) -> tuple[SyncGroup, ...]:
    """Sync groups with the members that exist and are in no group before; a member that is address owner makes weights 0."""
    found: list[SyncGroup] = []
    for item in raw:
        taken = {name for group in found for name in group.members}
        members = tuple(name for name in dict.fromkeys(item.members) if name in instances and name not in taken)
        owner = any(_priority(instances[name]) == OWNER for name in members)
        tracks = tuple(replace(track, weight=0 if owner else track.weight, group=item.name) for track in item.tracks)
        if not members:
            notes.problems.append(f"{item.file}:{item.line}: sync group {item.name} has no members; it is left out")
            continue
        found.append(SyncGroup(item.name, members, tracks, item.file, item.line))
    return tuple(found)


def instance(raw: RawInstance, group: SyncGroup | None, own_weights: bool, defaults: Defaults, notes: Notes) -> Instance | None:
    """An instance as keepalived would run it; None where it would not."""
    if raw.vrid is None:
        notes.problems.append(f"{raw.file}:{raw.line}: {raw.name} has no valid virtual_router_id; it is left out")
        return None
    family = raw.family
    version = raw.version or (3 if family is Family.IPV6 else defaults.version)
    priority = _priority(raw)
    garp = dict(zip(GARP, (0, 1, 0, 0), strict=True)) if defaults.min_garp else {}
    garp |= defaults.garp | raw.garp
    standard = Garp()
    authentication = raw.authentication if version == 2 else Authentication.NONE
    if authentication is Authentication.AH and family is Family.IPV6:
        authentication = Authentication.NONE
    # AH counts its packets; who begins as Active has heard no count yet, so keepalived leaves that to the address owner.
    master = priority == OWNER if raw.master is None else raw.master
    master = master and (priority == OWNER or authentication is not Authentication.AH)
    nopreempt = raw.nopreempt and priority != OWNER and not master
    return Instance(
        name=raw.name,
        interface=raw.interface,
        vrid=raw.vrid,
        priority=priority,
        interval=_interval(raw.interval, version),
        version=version,
        family=family,
        addresses=tuple(raw.addresses),
        excluded=tuple(raw.excluded),
        unicast_source=raw.source,
        unicast_peers=tuple(peer for peer in raw.peers if (":" in peer) == (family is Family.IPV6)),
        nopreempt=nopreempt,
        preempt_delay=0 if nopreempt or master else raw.preempt_delay,
        use_vmac=raw.use_vmac,
        master=master,
        authentication=authentication,
        tracks=_tracks(raw, priority, group, own_weights),
        track_primary=raw.track_primary,
        garp=Garp(
            delay=garp.get(GARP[0], standard.delay),
            repeat=garp.get(GARP[1], standard.repeat),
            refresh=garp.get(GARP[2], standard.refresh),
            refresh_repeat=garp.get(GARP[3], standard.refresh_repeat),
        ),
        down_timer_adverts=raw.down_timer_adverts or defaults.down_timer_adverts,
        sync_group=group.name if group else None,
        file=raw.file,
        line=raw.line,
    )


def _priority(raw: RawInstance) -> int:
    """``priority``; without one, keepalived takes ``state MASTER`` for the address owner."""
    return raw.priority or (OWNER if raw.master else DEFAULT_PRIORITY)


def _interval(interval: int, version: int) -> int:
    """VRRPv2 tells whole seconds, VRRPv3 hundredths (RFC 3768 5.3.7, RFC 9568 5.2.7); at least one."""
    unit = SECOND if version == 2 else _CENTISECOND
    rounded = max(unit, (interval + unit // 2) // unit * unit)
    return rounded if version == 2 else min(rounded, LONGEST_V3)


def _tracks(raw: RawInstance, priority: int, group: SyncGroup | None, own_weights: bool) -> tuple[Track, ...]:
    """The tracks that work on an instance: its own, then those of its group that it does not track itself.

    A sync group whose members had different priorities would never settle, so keepalived ignores the weights of their own tracks;
    an address owner's priority is fixed, so there it does as well. An instance's own interface is tracked anyway.
    """
    kept = [track for track in raw.tracks if (track.kind, track.name) != (CheckKind.INTERFACE, raw.interface)]
    if group is not None and not own_weights:
        kept = [left for track in kept if (left := _unweighted(track, CheckKind.INTERFACE)) is not None]
    if priority == OWNER:
        kept = [left for track in kept if (left := _unweighted(track)) is not None]
    known = {(track.kind, track.name) for track in kept}
    return (*kept, *(track for track in (group.tracks if group else ()) if (track.kind, track.name) not in known))


def _unweighted(track: Track, *softened: CheckKind) -> Track | None:
    """A track where weights are ignored: keepalived 2.2.7 drops one that has a weight, with three exceptions.

    Kinds that are ``softened`` lose the weight only, and so does a file with the weight of 1 that it has by default: their
    failure means FAULT. Processes keep their weight.
    """
    if not track.weight or track.kind is CheckKind.PROCESS:
        return track
    if track.kind in softened or (track.kind is CheckKind.FILE and track.weight == 1):
        return replace(track, weight=0)
    return None
