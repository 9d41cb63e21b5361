"""Many frames at once: link layers and IP headers as arrays, up to where the upper layer begins.

The same walk as ``links`` and ``ip``, without values per frame. Frames that fall off the walk leave it silently: what they
are is for the rare road to say. No reads outside a frame's captured octets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from observer.wire import ip
from observer.wire.links import (
    BSD_FAMILIES,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    RAW_IP,
    VLAN_TAGS,
    LinkType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Octets = NDArray[np.uint8]
    Positions = NDArray[np.int64]
    Mask = NDArray[np.bool_]

EXTENSION_HEADERS: Final = (ip.HOP_BY_HOP, ip.ROUTING, ip.FRAGMENT, ip.DESTINATION_OPTIONS)
DEPTH: Final = 8
"""VLAN tags, and IPv6 extension headers, that are walked; real frames have at most three or so."""

_LINK_HEADER: Final = {
    LinkType.ETHERNET: 14,
    LinkType.LINUX_SLL: 16,
    LinkType.LINUX_SLL2: 20,
    LinkType.NULL: 4,
    LinkType.LOOP: 4,
}


def numbers(data: Octets, at: Positions, size: int) -> Positions:
    """The big-endian numbers of ``size`` octets (1, 2 or 4) at these positions, all of which exist."""
    return _unaligned(data, f">u{size}")[at].astype(np.int64)


def among(values: NDArray[np.generic], wanted: Iterable[int]) -> Mask:
    """Which values are one of some; for few several times faster than ``numpy.isin``."""
    wanted = list(wanted)
    if len(wanted) > 24:
        return np.isin(values, np.array(wanted, values.dtype))
    result = np.zeros(len(values), np.bool_)
    for number in wanted:
        result |= values == number
    return result


def words(data: Octets, at: Positions) -> NDArray[np.uint64]:
    """The big-endian 64-bit words at these positions, all of which exist."""
    return _unaligned(data, ">u8")[at].astype(np.uint64)


def _unaligned(data: Octets, kind: str) -> NDArray[Any]:
    """The buffer as numbers that begin at every octet: one look-up for each number, whatever its size."""
    size = int(kind[2:])
    return np.ndarray((max(0, len(data) - size + 1),), kind, np.ascontiguousarray(data), strides=(1,))


@dataclass(frozen=True, slots=True)
class Walk:
    """Frames on their way through the headers; row *i* of every column is one frame."""

    rows: Positions
    """Index of the frame in the batch."""
    at: Positions
    """Position in the buffer of the header that is read next."""
    end: Positions
    """Position behind the last captured octet."""
    kind: Positions
    """What the header at ``at`` is: an ethertype, then a protocol number."""
    behind: Positions
    """Position behind the IP packet on the wire; 0 before the IP header was read."""

    def where(self, which: Mask | Positions) -> Walk:
        """The frames of a mask, or of an index array in its order."""
        if which.dtype == np.bool_ and which.all():
            return self
        return Walk(self.rows[which], self.at[which], self.end[which], self.kind[which], self.behind[which])

    def having(self, octets: int) -> Walk:
        """The frames of which this many octets from ``at`` were captured."""
        return self.where(self.at + octets <= self.end)


def join(walks: list[Walk]) -> Walk:
    """All frames of several walks."""
    walks = [walk for walk in walks if len(walk.rows)] or walks[:1]
    if len(walks) == 1:
        return walks[0]
    return Walk(
        rows=np.concatenate([walk.rows for walk in walks]),
        at=np.concatenate([walk.at for walk in walks]),
        end=np.concatenate([walk.end for walk in walks]),
        kind=np.concatenate([walk.kind for walk in walks]),
        behind=np.concatenate([walk.behind for walk in walks]),
    )


def start(linktype: int, data: Octets, offsets: Positions, lengths: Positions) -> Walk:
    """Frames whose link layer was captured, standing at the network header, ``kind`` their ethertype behind VLAN tags.

    Frames with more than ``DEPTH`` tags keep a tag's ethertype. ``lengths`` that leave the buffer are cut at its end.
    """
    end = np.minimum(offsets + lengths, len(data))
    size = _LINK_HEADER.get(LinkType(linktype), 0)
    rows = np.flatnonzero((offsets >= 0) & (offsets + max(size, 1) <= end))
    at, end = offsets[rows], end[rows]
    if linktype in RAW_IP:
        kind = _chosen(data[at] >> 4, {4: ETHERTYPE_IPV4, 6: ETHERTYPE_IPV6})
    elif linktype in (LinkType.IPV4, LinkType.IPV6):
        kind = np.full(len(rows), ETHERTYPE_IPV4 if linktype == LinkType.IPV4 else ETHERTYPE_IPV6, np.int64)
    elif linktype in (LinkType.NULL, LinkType.LOOP):
        family = numbers(data, at, 4)
        kind = _chosen(np.minimum(family, family.astype(np.uint32).byteswap()), BSD_FAMILIES)
    else:
        kind = numbers(data, at if linktype == LinkType.LINUX_SLL2 else at + size - 2, 2)
    return _untagged(data, Walk(rows, at + size, end, kind, np.zeros(len(rows), np.int64)))


def upper(data: Octets, walk: Walk) -> Walk:
    """The IP packets of a walk at their network header, moved to the first header that is no IPv6 extension header.

    ``kind`` is then a protocol. Left out: headers that contradict themselves or were not captured, and fragments other
    than the first, except VRRP's in IPv6. Packets with more than ``DEPTH`` extension headers keep such a header's number.
    """
    four, six = (walk.where(walk.kind == ethertype) for ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6))
    return join([_ipv4(data, four), _ipv6(data, six)])


def macs(linktype: int, data: Octets, frames: Positions) -> NDArray[np.uint64]:
    """Link-layer sources as numbers, of frames (their positions) whose link layer was captured; 0 where there is none."""
    result = np.zeros(len(frames), np.uint64)
    match linktype:
        case LinkType.ETHERNET:
            known, at = np.ones(len(frames), np.bool_), frames + 6
        case LinkType.LINUX_SLL:
            known, at = numbers(data, frames + 4, 2) == 6, frames + 6
        case LinkType.LINUX_SLL2:
            known, at = data[frames + 11] == 6, frames + 12
        case _:
            return result
    at = at[known]
    result[known] = (numbers(data, at, 2) << 32 | numbers(data, at + 2, 4)).astype(np.uint64)
    return result


def _chosen(keys: NDArray[np.generic], table: dict[int, int]) -> Positions:
    """The table's value for each key, 0 for others."""
    result = np.zeros(len(keys), np.int64)
    for key, value in table.items():
        result[keys == key] = value
    return result


def _untagged(data: Octets, walk: Walk) -> Walk:
    """Walk VLAN tags; frames that end within one fall off."""
    done: list[Walk] = []
    for _ in range(DEPTH):
        tagged = among(walk.kind, VLAN_TAGS)
        if not tagged.any():
            break
        done.append(walk.where(~tagged))
        walk = walk.where(tagged).having(4)
        walk = Walk(walk.rows, walk.at + 4, walk.end, numbers(data, walk.at + 2, 2), walk.behind)
    return join([*done, walk]) if done else walk


def _ipv4(data: Octets, walk: Walk) -> Walk:
    walk = walk.having(20)
    first = data[walk.at].astype(np.int64)
    header = (first & 0x0F) * 4
    total = numbers(data, walk.at + 2, 2)
    # Segments longer than 64 kB, which a host sees of its own before its card cuts them, have length 0.
    behind = np.where(total == 0, walk.end, walk.at + total)
    first_fragment = numbers(data, walk.at + 6, 2) & 0x1FFF == 0
    sound = (first >> 4 == 4) & (header >= 20) & (walk.at + header <= behind) & first_fragment
    return Walk(walk.rows, walk.at + header, walk.end, data[walk.at + 9].astype(np.int64), behind).where(sound)


def _ipv6(data: Octets, walk: Walk) -> Walk:
    walk = walk.having(40)
    length = numbers(data, walk.at + 4, 2)
    # As in IPv4, or a jumbogram (RFC 2675 3).
    behind = np.where(length == 0, walk.end, walk.at + 40 + length)
    version = data[walk.at] >> 4 == 6
    walk = Walk(walk.rows, walk.at + 40, walk.end, data[walk.at + 6].astype(np.int64), behind).where(version)
    done: list[Walk] = []
    for _ in range(DEPTH):
        extended = among(walk.kind, EXTENSION_HEADERS)
        if not extended.any():
            break
        done.append(walk.where(~extended))
        walk = _behind_extension(data, walk.where(extended).having(8))
    return join([*done, walk]) if done else walk


def _behind_extension(data: Octets, walk: Walk) -> Walk:
    """Move behind one extension header (RFC 8200 4.3 to 4.6); of later fragments only VRRP's stay."""
    fragment = walk.kind == ip.FRAGMENT
    size = np.where(fragment, 8, (data[walk.at + 1].astype(np.int64) + 1) * 8)
    later = fragment & (numbers(data, walk.at + 2, 2) & 0xFFF8 != 0)
    following = data[walk.at].astype(np.int64)
    moved = Walk(walk.rows, walk.at + size, walk.end, following, walk.behind)
    return moved.where((~later | (following == ip.VRRP)) & (moved.at <= moved.behind))
