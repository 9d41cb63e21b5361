"""The wide road: TCP control segments of a batch of frames as columns, and which frames belong on the rare road.

One function for the live ring and for the mapped file; ``few`` gives the same of a handful of frames. Nothing here happens per
packet in Python, and nothing says whose segments they are: choosing those of the virtual addresses is the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from observer.model.segments import Tcp, TcpSegments, joined
from observer.wire import columns, groups, icmp, ip, ndp, sift, usual
from observer.wire.heads import Heads
from observer.wire.links import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, VLAN_TAGS, LinkType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.wire.columns import Octets, Positions, Walk

_CONTROL = int(Tcp.SYN | Tcp.FIN | Tcp.RST)
_HEADER = 20
_FLAGS_END = 14
"""Octets of a TCP header up to its flags (RFC 9293 3.1)."""
_MAPPED = 0xFFFF << 32


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What one batch holds for either road."""

    rare: NDArray[np.int64]
    """Indices, ascending, of all frames that ``frames.FrameDecoder`` has something to say about, and of few more."""
    segments: TcpSegments | None
    """The segments in order of time; None for none."""
    truncated: int
    """TCP frames that were captured too short to see their flags."""
    chosen: NDArray[np.int64]
    """Index of the frame of each segment."""


def select(
    *,
    node: str,
    interface: str | None,
    linktype: int,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
    times: NDArray[np.int64],
    data_segments: bool,
) -> Selection:
    """Sort the frames of a batch: frame *i* is ``data[offsets[i] : offsets[i] + lengths[i]]``, captured at ``times[i]`` ns.

    Segments are those with SYN, FIN or RST; with ``data_segments`` also those that carry data. TCP inside AH is not looked for,
    and fragments other than the first have no TCP header. Batches of 10,000 to 100,000
    frames go fastest.
    Raises ValueError for a link type that is not ``links.supported``.
    """
    which, heads = usual.usual(linktype, data, offsets, lengths)
    if not len(heads):
        return _select(node, interface, linktype, data, offsets, lengths, times, data_segments=data_segments)
    fast = np.flatnonzero(which)
    captured = np.minimum(lengths, len(data) - offsets)[fast]
    segments, rows = usual.segments(node, interface, heads, times[fast], captured, data_segments=data_segments)
    found = Selection(rare=np.zeros(0, np.int64), segments=segments if len(segments) else None, truncated=0, chosen=fast[rows])
    if len(fast) == len(offsets):
        return found
    rest = np.flatnonzero(~which)
    other = _select(node, interface, linktype, data, offsets[rest], lengths[rest], times[rest], data_segments=data_segments)
    return _together(found, replace(other, rare=rest[other.rare], chosen=rest[other.chosen]))


def _together(one: Selection, other: Selection) -> Selection:
    """Two selections of one batch, the first without rare frames."""
    parts = [part.segments for part in (one, other) if part.segments is not None]
    chosen = np.concatenate([one.chosen, other.chosen])
    segments = None
    if parts:
        whole = joined(parts)
        order = np.lexsort((chosen, whole.times))
        segments, chosen = whole.rows(order), chosen[order]
    return Selection(rare=other.rare, segments=segments, truncated=other.truncated, chosen=chosen)


def _select(
    node: str,
    interface: str | None,
    linktype: int,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
    times: NDArray[np.int64],
    *,
    data_segments: bool,
) -> Selection:
    """The same for frames of any shape."""
    walk = columns.start(linktype, data, offsets, lengths)
    upper = columns.upper(data, walk)
    rare = np.union1d(_rare_below_ip(data, walk), _rare_above_ip(data, upper))

    tcp = upper.where((upper.kind == ip.TCP) & (upper.at + _HEADER <= upper.behind))
    seen = tcp.having(_FLAGS_END)
    truncated = len(tcp.rows) - len(seen.rows)
    if not data_segments:
        seen = seen.where(data[seen.at + 13] & _CONTROL != 0)
    flags, words = data[seen.at + 13], data[seen.at + 12] >> 4
    payloads = seen.behind - seen.at - words.astype(np.int64) * 4
    # A data offset below 5 words, or behind the packet's end, is no TCP header.
    wanted = (words >= 5) & (payloads >= 0) & ((flags & _CONTROL != 0) | (payloads > 0))
    chosen = np.flatnonzero(wanted)
    if not len(chosen):
        return Selection(rare=rare, segments=None, truncated=truncated, chosen=np.zeros(0, np.int64))
    chosen = chosen[np.lexsort((seen.rows[chosen], times[seen.rows[chosen]]))]
    seen = seen.where(chosen)
    sources, destinations = _addresses(columns.start(linktype, data, offsets[seen.rows], lengths[seen.rows]), data)
    windows = np.zeros(len(seen.rows), np.uint16)
    whole = seen.at + 16 <= seen.end
    windows[whole] = columns.numbers(data, seen.at[whole] + 14, 2)
    segments = TcpSegments(
        node=node,
        interface=interface,
        times=times[seen.rows],
        sources=sources,
        destinations=destinations,
        source_ports=columns.numbers(data, seen.at, 2).astype(np.uint16),
        destination_ports=columns.numbers(data, seen.at + 2, 2).astype(np.uint16),
        flags=flags[chosen],
        sequence=columns.numbers(data, seen.at + 4, 4).astype(np.uint32),
        acknowledgement=columns.numbers(data, seen.at + 8, 4).astype(np.uint32),
        windows=windows,
        payloads=payloads[chosen].astype(np.uint32),
        macs=columns.macs(linktype, data, offsets[seen.rows]),
    )
    return Selection(rare=rare, segments=segments, truncated=truncated, chosen=seen.rows)


def plain(
    *,
    node: str,
    interface: str | None,
    linktype: int,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    times: NDArray[np.int64],
    shapes: NDArray[np.uint8],
    weights: NDArray[np.uint32],
) -> TcpSegments:
    """Segments in order of time of frames that ``sift`` found to be plain: what ``select`` gives, in a fraction of its time."""
    if len(times) and bool((times[1:] < times[:-1]).any()):
        order = np.argsort(times, kind="stable")
        offsets, times, shapes, weights = offsets[order], times[order], shapes[order], weights[order]
    kinds = np.unique(shapes).tolist()
    parts = [_plain(node, interface, linktype, data, offsets, times, weights, shapes == kind, kind) for kind in kinds]
    return parts[0] if len(parts) == 1 else in_order(parts)


def _plain(
    node: str,
    interface: str | None,
    linktype: int,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    times: NDArray[np.int64],
    weights: NDArray[np.uint32],
    chosen: NDArray[np.bool_],
    shape: int,
) -> TcpSegments:
    at, six = sift.placed(shape)
    head = Heads(data, offsets[chosen], sift.BEFORE.get(LinkType(linktype), 0))
    addresses = np.zeros((2, len(head), 2), np.uint64)
    for side in range(2):
        if six:
            for word in range(2):
                addresses[side, :, word] = head.number(at + 8 + 16 * side + 8 * word, 8)
        else:
            addresses[side, :, 1] = head.number(at + 12 + 4 * side, 4)
            addresses[side, :, 1] |= np.uint64(_MAPPED)
    upper = at + (40 if six else 20)
    headers = (head.octet(upper + 12) >> 4).astype(np.uint32) * np.uint32(4) + np.uint32(0 if six else 20)
    return TcpSegments(
        node=node,
        interface=interface,
        times=times[chosen],
        sources=addresses[0],
        destinations=addresses[1],
        source_ports=head.number(upper, 2),
        destination_ports=head.number(upper + 2, 2),
        flags=head.octet(upper + 13).copy(),
        sequence=head.number(upper + 4, 4),
        acknowledgement=head.number(upper + 8, 4),
        windows=head.number(upper + 14, 2),
        payloads=head.number(at + (4 if six else 2), 2) - headers,
        macs=sift.macs(linktype, head),
        weights=weights[chosen],
    )


def in_order(parts: list[TcpSegments]) -> TcpSegments:
    """Batches of one vantage point as one in order of time."""
    result = joined(parts)
    return result.rows(np.argsort(result.times, kind="stable"))


def _addresses(walk: Walk, data: Octets) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Sources and destinations of frames at their network header, all IPv4 or IPv6, in the order of their rows."""
    result = np.zeros((2, len(walk.rows), 2), np.uint64)
    four, six = (walk.where(walk.kind == ethertype) for ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6))
    for side in range(2):
        result[side, four.rows, 1] = columns.numbers(data, four.at + 12 + 4 * side, 4) | _MAPPED
        result[side, six.rows, 0] = columns.words(data, six.at + 8 + 16 * side)
        result[side, six.rows, 1] = columns.words(data, six.at + 16 + 16 * side)
    return result[0], result[1]


def _rare_below_ip(data: Octets, walk: Walk) -> Positions:
    """ARP, and what names VRRP in the first header, however broken: the rare road counts what is malformed.

    Also frames with more VLAN tags than were walked.
    """
    four = walk.where(walk.kind == ETHERTYPE_IPV4).having(10)
    six = walk.where(walk.kind == ETHERTYPE_IPV6).having(7)
    return np.concatenate(
        [
            walk.rows[columns.among(walk.kind, [ETHERTYPE_ARP, *VLAN_TAGS])],
            four.rows[data[four.at + 9] == ip.VRRP],
            six.rows[data[six.at + 6] == ip.VRRP],
        ]
    )


def _rare_above_ip(data: Octets, upper: Walk) -> Positions:
    """VRRP behind extension headers, AH, neighbour discovery, ICMP about VRRP, reports of groups, too many extension headers."""
    neighbours = upper.where(upper.kind == ip.ICMPV6).having(1)
    refusals = upper.where(upper.kind == ip.ICMP).having(2)
    rare = (ip.VRRP, ip.AH, groups.IGMP, *columns.EXTENSION_HEADERS)
    told = (ndp.SOLICITATION, ndp.ADVERTISEMENT, icmp.PARAMETER_PROBLEM, groups.MLD_DONE, groups.MLD_REPORT)
    return np.concatenate(
        [
            upper.rows[columns.among(upper.kind, rare)],
            neighbours.rows[columns.among(data[neighbours.at], told)],
            refusals.rows[(data[refusals.at] == icmp.UNREACHABLE) & (data[refusals.at + 1] == icmp.PROTOCOL)],
        ]
    )
