"""What a keepalived.conf says, as far as the observer asks: frozen values, no behaviour, and never a password or a command line.

Lengths of time are nanoseconds, as everywhere. Addresses are canonical text without prefix.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observer.model.observations import Authentication, Family


class CheckKind(enum.StrEnum):
    """What keepalived can track."""

    SCRIPT = "script"
    """``vrrp_script``, tracked by ``track_script``."""
    PROCESS = "process"
    """``vrrp_track_process``, tracked by ``track_process``."""
    FILE = "file"
    """``track_file`` (``vrrp_track_file`` of old): a number in a file, multiplied by the weight."""
    INTERFACE = "interface"
    """``track_interface``; has no block of its own."""
    BFD = "bfd"
    """``bfd_instance``, tracked by ``track_bfd``."""


@dataclass(frozen=True, slots=True)
class Check:
    """One ``vrrp_script``, ``vrrp_track_process``, ``track_file`` or ``bfd_instance`` block."""

    name: str
    kind: CheckKind
    interval: int | None
    """Nanoseconds from one run to the next; None where the kernel or a peer tells keepalived (all but scripts)."""
    timeout: int | None
    """Nanoseconds after which a run counts as failed; None where not given."""
    rise: int
    fall: int
    weight: int
    """For those who track it without a weight of their own; 0: failure means FAULT."""
    reverse: bool
    init_fail: bool
    """Taken for failed until it first succeeds."""
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Track:
    """A check as one instance (or sync group) tracks it, with the weight that applies there."""

    kind: CheckKind
    name: str
    weight: int
    """Positive: added while the check passes. Negative: taken off while it fails. 0: failure means FAULT."""
    reverse: bool
    """Positive: taken off while it passes. Negative: added while it fails. 0: passing means FAULT."""
    group: str | None = None
    """The sync group that it comes from; None: the instance's own."""


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """An entry of ``virtual_ipaddress`` or ``virtual_ipaddress_excluded``."""

    address: str
    prefix: int | None
    """As written; None: the whole address (/32, /128)."""
    device: str | None
    """``dev``; None: the instance's interface."""
    label: str | None


@dataclass(frozen=True, slots=True)
class Garp:
    """How the new Active Router announces itself (``garp_master_*`` and the global ``vrrp_garp_master_*``)."""

    delay: int = 5_000_000_000
    """To the second burst after taking over, nanoseconds; 0: no second burst."""
    repeat: int = 5
    """Messages in a burst."""
    refresh: int = 0
    """From one periodic announcement to the next, nanoseconds; 0: none."""
    refresh_repeat: int = 1


@dataclass(frozen=True, slots=True)
class Instance:
    """A ``vrrp_instance`` as keepalived would run it."""

    name: str
    interface: str | None
    """None is allowed in unicast only."""
    vrid: int
    priority: int
    """Base priority (``priority``), before any check adds or takes away; 255 is never changed by checks."""
    interval: int
    """``advert_int`` in nanoseconds, rounded as its version demands."""
    version: int
    family: Family
    addresses: tuple[VirtualAddress, ...]
    excluded: tuple[VirtualAddress, ...]
    """Held, but not in advertisements; may be of either family."""
    unicast_source: str | None
    """``unicast_src_ip`` (``mcast_src_ip``)."""
    unicast_peers: tuple[str, ...]
    """Empty: multicast."""
    nopreempt: bool
    preempt_delay: int
    """Nanoseconds."""
    use_vmac: bool
    """The addresses live on a macvlan with the Virtual Router MAC."""
    master: bool
    """The state to begin with (``state MASTER``, or an address owner that says none); the election decides."""
    authentication: Authentication
    """How, never with what."""
    tracks: tuple[Track, ...]
    """All that can change this instance's priority or put it in FAULT: its own tracks and its sync group's, in that order."""
    track_primary: bool
    """Losing ``interface`` means FAULT; False with ``dont_track_primary``."""
    garp: Garp
    down_timer_adverts: int
    """Intervals without an accepted advertisement before the Active Router counts as down (plus skew)."""
    sync_group: str | None
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class SyncGroup:
    """A ``vrrp_sync_group``: instances that are Active, Backup or in FAULT together."""

    name: str
    members: tuple[str, ...]
    tracks: tuple[Track, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that was read."""

    instances: tuple[Instance, ...]
    checks: tuple[Check, ...]
    sync_groups: tuple[SyncGroup, ...]
    version: int
    """``vrrp_version`` of ``global_defs``: for instances that do not say; 2 unless given."""
    router_id: str | None
    files: tuple[str, ...]
    """The files read, in order."""
    ignored: int
    """Statements that were not needed or not known (keepalived has hundreds)."""
    problems: tuple[str, ...]
    """What keepalived would log and go on without, one line each: ``file:line: what; what follows``."""

    def instance(self, vrid: int, family: Family, interface: str | None = None) -> Instance | None:
        """The instance of a virtual router; without an interface (or with one not named here) only if there is just one."""
        found = [item for item in self.instances if (item.vrid, item.family) == (vrid, family)]
        exact = [item for item in found if interface is not None and item.interface == interface]
        candidates = exact or found
        return candidates[0] if len(candidates) == 1 else None
