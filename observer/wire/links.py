"""Link layers: where the network header begins in a captured frame, and what the link layer said about it.

Pseudo link layers of captures included (Linux cooked, raw IP, loopback). Nothing about IP, and no columns: ``columns``
does the same for many frames at once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from observer.model.observations import UNNAMED
from observer.wire.errors import DecodeError, Reason

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
"""IEEE 802.1Q customer tag, 802.1ad service tag, and the number in use for stacked tags before 802.1ad."""

BSD_FAMILIES = {2: ETHERTYPE_IPV4, 10: ETHERTYPE_IPV6, 24: ETHERTYPE_IPV6, 28: ETHERTYPE_IPV6, 30: ETHERTYPE_IPV6}
"""Address families of NULL and LOOP; IPv6 has another number on Linux, NetBSD/OpenBSD, FreeBSD, Darwin."""

SLL_OUTGOING = 4
"""Packet type "sent by us" (LINKTYPE_LINUX_SLL)."""


class LinkType(enum.IntEnum):
    """LINKTYPE_ numbers of capture files (and DLT_ numbers, where they differ), https://www.tcpdump.org/linktypes.html."""

    NULL = 0
    ETHERNET = 1
    RAW_DLT = 12
    RAW_DLT_OPENBSD = 14
    RAW = 101
    LOOP = 108
    LINUX_SLL = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276


RAW_IP = frozenset({LinkType.RAW, LinkType.RAW_DLT, LinkType.RAW_DLT_OPENBSD})


@dataclass(frozen=True, slots=True)
class Link:
    """What the link layer says about one frame."""

    ethertype: int
    """Of the network header, behind all VLAN tags; 0 where the link layer names none that we know."""
    offset: int
    """Of the network header, in octets from the start of the frame."""
    mac: bytes | None = None
    """Source address, where the link layer has one of 6 octets."""
    outgoing: bool | None = None
    """Sent by the capturing host itself; None where the link layer does not say."""
    ifindex: int | None = None
    """Interface of the capturing host, where the capture may be of several: LINUX_SLL2 names it, LINUX_SLL does not."""
    vlans: tuple[int, ...] = ()
    """VLAN identifiers, outermost first."""


def supported(linktype: int) -> bool:
    """Whether ``link_layer`` knows this LINKTYPE_ number."""
    return linktype in LinkType.__members__.values()


def link_layer(linktype: int, frame: bytes) -> Link:
    """Read the link layer of one frame.

    Raises DecodeError(truncated) where the capture ends within the link layer, ValueError for a link type that is not
    ``supported`` (that is the caller's to ask, once per capture).
    """
    match linktype:
        case LinkType.ETHERNET:
            _need(frame, 14)
            ethertype, offset, vlans = _untagged(frame, _u16(frame, 12), 14)
            return Link(ethertype, offset, mac=frame[6:12], vlans=vlans)
        case LinkType.LINUX_SLL:
            _need(frame, 16)
            ethertype, offset, vlans = _untagged(frame, _u16(frame, 14), 16)
            mac = frame[6:12] if _u16(frame, 4) == 6 else None
            return Link(ethertype, offset, mac=mac, outgoing=_u16(frame, 0) == SLL_OUTGOING, ifindex=UNNAMED, vlans=vlans)
        case LinkType.LINUX_SLL2:
            _need(frame, 20)
            ethertype, offset, vlans = _untagged(frame, _u16(frame, 0), 20)
            mac = frame[12:18] if frame[11] == 6 else None
            ifindex = int.from_bytes(frame[4:8])
            return Link(ethertype, offset, mac=mac, outgoing=frame[10] == SLL_OUTGOING, ifindex=ifindex, vlans=vlans)
        case LinkType.RAW | LinkType.RAW_DLT | LinkType.RAW_DLT_OPENBSD:
            _need(frame, 1)
            return Link({4: ETHERTYPE_IPV4, 6: ETHERTYPE_IPV6}.get(frame[0] >> 4, 0), 0)
        case LinkType.IPV4:
            return Link(ETHERTYPE_IPV4, 0)
        case LinkType.IPV6:
            return Link(ETHERTYPE_IPV6, 0)
        case LinkType.NULL | LinkType.LOOP:
            _need(frame, 4)
            # NULL is in the byte order of the capturing host, LOOP in network order; a family is a small number.
            family = min(int.from_bytes(frame[:4], "little"), int.from_bytes(frame[:4], "big"))
            return Link(BSD_FAMILIES.get(family, 0), 4)
    raise ValueError(f"link type {linktype} is not supported")


def _untagged(frame: bytes, ethertype: int, offset: int) -> tuple[int, int, tuple[int, ...]]:
    """Walk VLAN tags: the inner ethertype, the offset behind the tags, the identifiers."""
    vlans: list[int] = []
    while ethertype in VLAN_TAGS:
        _need(frame, offset + 4)
        vlans.append(_u16(frame, offset) & 0x0FFF)
        ethertype = _u16(frame, offset + 2)
        offset += 4
    return ethertype, offset, tuple(vlans)


def _u16(frame: bytes, at: int) -> int:
    return frame[at] << 8 | frame[at + 1]


def _need(frame: bytes, length: int) -> None:
    if len(frame) < length:
        raise DecodeError(Reason.TRUNCATED, f"{len(frame)} octets captured, the link layer needs {length}")
