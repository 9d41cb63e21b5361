"""Which interfaces to watch: each frame once, where the node's own stack sees it."""

from __future__ import annotations

from dataclasses import dataclass

COPIES = frozenset({"macvlan", "ipvlan", "macvtap", "ipvtap", "nlmon"})
"""Kinds of links whose frames the lower device shows as well; keepalived's use_vmac makes a macvlan for each VRID."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel describes it."""

    name: str
    up: bool
    """Administratively up and with carrier (IFF_UP and IFF_LOWER_UP)."""
    mac: str | None
    loopback: bool = False
    kind: str | None = None
    """IFLA_INFO_KIND: vlan, bridge, bond, macvlan, ..."""
    master_kind: str | None = None
    """Kind of the link that this one is a port of; None for none."""


def watched(link: Link, wanted: tuple[str, ...]) -> bool:
    """Whether to take frames from a link; ``wanted`` names the ones that the operator asked for, empty for none."""
    if wanted:
        return link.name in wanted
    if link.loopback or not link.up or link.kind in COPIES:
        return False
    # A port's frames are seen on its bridge or bond; a VRF's are its ports' own.
    return link.master_kind in (None, "vrf")
