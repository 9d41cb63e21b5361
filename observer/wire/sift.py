"""Of a batch of frames, the few that are worth a closer look. What they say belongs to ``tcp`` and ``frames``.

Most frames of a capture are TCP segments without SYN, FIN or RST, or no protocol of ours at all. They are told from a few octets
of each, and thinned: of the data segments of addresses of interest only the first and the last of each short span stay, and
stand for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from observer.model.time import MILLISECOND
from observer.wire import columns, groups, heads, ip
from observer.wire.heads import Heads
from observer.wire.links import ETHERTYPE_IPV4, ETHERTYPE_IPV6, RAW_IP, VLAN_TAGS, LinkType
from observer.wire.usual_heads import LEAST, NETWORK, UsualHeads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from observer.wire.columns import Mask, Octets, Positions

AT_ONCE: Final = 8192
"""Frames looked at together: more would leave the processor's cache, fewer would not pay for the calls."""

_CONTROL: Final = 7
"""SYN, FIN and RST."""
_TYPE_AT: Final = {LinkType.ETHERNET: 12, LinkType.LINUX_SLL: 14, LinkType.LINUX_SLL2: 0}
_HEADER: Final = {LinkType.ETHERNET: 14, LinkType.LINUX_SLL: 16, LinkType.LINUX_SLL2: 20}
_MAC_AT: Final = {LinkType.ETHERNET: 6, LinkType.LINUX_SLL: 6, LinkType.LINUX_SLL2: 12}
BEFORE: Final = {LinkType.ETHERNET: 2}
"""Octets before a frame's begin that its head holds, so that addresses stand at multiples of four."""
_SIX: Final = 0x80
"""In a shape, besides the place of the IP header: it is IPv6."""
_LOOKED_AT: Final = (ip.TCP, ip.VRRP, ip.AH, groups.IGMP, *columns.EXTENSION_HEADERS)
"""Protocols that ``tcp.select`` looks at in both families, wherever they mean something."""
_SPANS: Final = (100 * MILLISECOND, 250 * MILLISECOND)
"""Bins of ``engine.service`` and ``engine.hosts``: what falls between the borders of both is not told apart."""
_MIX: Final = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


@dataclass(frozen=True, slots=True)
class Interest:
    """Whose data segments matter. Addresses are pairs of 64-bit words, as ``TcpSegments`` has them."""

    virtual: frozenset[tuple[int, int]] = frozenset()
    """What their service ports send shows that the proxy serves."""
    routers: frozenset[tuple[int, int]] = frozenset()
    """What they send is a sign of life; who talks to them shows whose tap it is."""
    macs: frozenset[int] = frozenset()
    """The routers' own: what they send is a sign of life, whatever its address."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is left of a batch. Frames are given by their index in it, ascending."""

    careful: Positions
    """Those that need a closer look."""
    control: Positions
    """TCP segments with SYN, FIN or RST that ``tcp.plain`` can read."""
    control_shapes: Octets
    data: Positions
    """Data segments of interest that ``tcp.plain`` can read."""
    data_shapes: Octets
    kinds: NDArray[np.uint64]
    """For each of them a number: equal where nothing but their time tells them apart."""


def sift(linktype: int, data: Octets, offsets: Positions, lengths: Positions, interest: Interest) -> Sifted:
    """Sort the frames of a batch: frame *i* is ``data[offsets[i] : offsets[i] + lengths[i]]``, all of which exists.

    What is left out says nothing to us: TCP segments without SYN, FIN and RST, and data or interest; other protocols.
    """
    sieve = _Sieve(linktype, interest)
    rows = sieve.within(data, offsets)
    if linktype == LinkType.ETHERNET:
        rows = np.concatenate([rows[:0], *(sieve.usual(data, offsets[some], lengths[some], some.start) for some in _runs(rows))])
    for some in _pieces(rows):
        sieve.sift(data, offsets, lengths, some)
    return sieve.result()


def _pieces(rows: Positions) -> Iterable[Positions]:
    return (rows[begin : begin + AT_ONCE] for begin in range(0, len(rows), AT_ONCE))


def _runs(rows: Positions) -> Iterable[slice]:
    """The same for rows that follow each other."""
    return (slice(int(some[0]), int(some[-1]) + 1) for some in _pieces(rows))


@dataclass(frozen=True, slots=True)
class Thinned:
    """Data segments that stand for all those of interest."""

    chosen: Positions
    """Their indices in ``Sifted.data``, ascending."""
    weights: NDArray[np.uint32]
    """How many segments each stands for."""


def thin(sifted: Sifted, times: Callable[[Positions], NDArray[np.int64]]) -> Thinned:
    """The first and the last data segment of each kind in each span. ``times`` gives those of some rows."""
    kept: list[Positions] = []
    weights: list[Positions] = []
    when = times(sifted.data)
    for alike in _alike(sifted.kinds):
        at, its = when[alike], alike
        if (at[1:] < at[:-1]).any():
            order = np.argsort(at, kind="stable")
            at, its = at[order], its[order]
        new = np.zeros(len(at) - 1, np.bool_)
        for span in _SPANS:
            bins = at // span
            new |= bins[1:] != bins[:-1]
        first = np.append(0, np.flatnonzero(new) + 1)
        last = np.append(first[1:], len(at)) - 1
        several = last > first
        kept += (its[first], its[last[several]])
        weights += (np.where(several, last - first, 1), np.ones(int(several.sum()), np.int64))
    if not kept:
        return Thinned(np.zeros(0, np.int64), np.zeros(0, np.uint32))
    chosen = np.concatenate(kept)
    order = np.argsort(chosen)
    return Thinned(chosen[order], np.concatenate(weights).astype(np.uint32)[order])


def _alike(kinds: NDArray[np.uint64]) -> list[Positions]:
    """The indices of each kind, ascending."""
    groups: list[Positions] = []
    rest = np.arange(len(kinds))
    for _ in range(8):
        if not len(rest):
            return groups
        same = kinds[rest] == kinds[rest[0]]
        groups.append(rest[same])
        rest = rest[~same]
    order = rest[np.argsort(kinds[rest], kind="stable")]
    ordered = kinds[order]
    return groups + np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1) if len(rest) else groups


class _Sieve:
    """Sifts frames of one link type."""

    def __init__(self, linktype: int, interest: Interest) -> None:
        self._linktype = LinkType(linktype)
        self._header = _HEADER.get(self._linktype, 0)
        self._wanted = {six: _Wanted(interest, six=six) for six in (False, True)}
        self._careful: list[Positions] = []
        self._control: list[tuple[Positions, Octets]] = []
        self._data: list[tuple[Positions, Octets, NDArray[np.uint64]]] = []

    def within(self, data: Octets, offsets: Positions) -> Positions:
        """Frames whose heads are there as a whole; the others need a closer look."""
        rows, before = np.arange(len(offsets)), BEFORE.get(self._linktype, 0)
        if self._header == 0 and self._linktype not in RAW_IP:
            within = 0, 0
        else:
            # The buffer may begin with the first frame, and ends soon after the last ones.
            first, last = np.searchsorted(offsets, (before, len(data) - heads.SIZE + before + 1))
            within = int(first), int(last)
        self._careful += [rows[: within[0]], rows[max(within) :]]
        return rows[slice(*within)]

    def sift(self, data: Octets, offsets: Positions, lengths: Positions, rows: Positions) -> None:
        """Take frames of any shape."""
        lengths = lengths[rows]
        head = Heads(data, offsets[rows], BEFORE.get(self._linktype, 0))
        careful = np.ones(len(rows), np.bool_)
        for at, six, its in self._shapes(head):
            quiet, control, boring = (_six if six else _four)(head, at, lengths)
            if its is not None:
                quiet, control, boring = quiet & its, control & its, boring & its
            careful &= ~(quiet | control | boring)
            shape = at | _SIX * six
            if control.any():
                chosen = rows[control]
                self._control.append((chosen, np.full(len(chosen), shape, np.uint8)))
            self._of_interest(head, shape, quiet, rows)
        if careful.any():
            self._careful.append(rows[careful])

    def usual(self, data: Octets, offsets: Positions, lengths: Positions, begin: int) -> Positions:
        """Take those of these frames that have the usual shape; the rows of the others. ``begin`` is the row of the first."""
        head = UsualHeads(data, offsets)
        tcp = head.tcp()
        tcp &= lengths >= LEAST
        control = head.flagged(_CONTROL)
        control &= tcp
        at = np.flatnonzero(control)
        size, headers = head.total(at), head.headers(at)
        plain = (headers >= 40) & (size >= headers) & head.whole(at) & (lengths[at] >= LEAST + 2)
        if not plain.all():
            self._careful.append(at[~plain] + begin)
            at = at[plain]
        self._control.append((at + begin, np.full(len(at), NETWORK, np.uint8)))
        wanted = self._wanted[False]
        if wanted:
            chosen = head.between(wanted.senders, wanted.routers, wanted.macs)
            chosen &= tcp
            chosen &= ~control
            self._quiet(head, np.flatnonzero(chosen), begin)
        return np.flatnonzero(~tcp) + begin

    def _quiet(self, head: UsualHeads, at: Positions, begin: int) -> None:
        """Note the usual frames of interest that carry data."""
        wanted, size, headers = self._wanted[False], head.total(at), head.headers(at)
        if not size.all():
            self._careful.append(at[size == 0] + begin)
        some = size > headers
        some &= headers >= 40
        some &= head.whole(at)
        if not some.all():
            at = at[some]
        if not len(at):
            return
        senders = head.sources(at)
        served, between = columns.among(senders, wanted.virtual), columns.among(senders, wanted.routers)
        receivers = None
        if wanted.routers:
            receivers = head.destinations(at)
            between |= columns.among(receivers, wanted.routers)
        kinds = _kinds(head.macs(at), senders, receivers, head.ports(at), served, between)
        self._data.append((at + begin, np.full(len(at), NETWORK, np.uint8), kinds))

    def result(self) -> Sifted:
        """What is left of all that was taken."""
        none = np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.uint64)
        careful = np.sort(np.concatenate([*self._careful, none[0]]))
        control, shapes = _ascending([np.concatenate(column) for column in zip(*self._control, none[:2], strict=True)])
        rows, theirs, kinds = _ascending([np.concatenate(column) for column in zip(*self._data, none, strict=True)])
        return Sifted(careful, control, shapes, rows, theirs, kinds)

    def _shapes(self, head: Heads) -> Iterable[tuple[int, bool, Mask | None]]:
        """Where an IP header begins, of which version, and in which of the frames (None: all); no frame has two of them."""
        if self._linktype in RAW_IP:
            version = head.octet(0) >> 4
            return [(0, six, its) for six, its in ((False, version == 4), (True, version == 6)) if its.any()]
        place, header = _TYPE_AT[self._linktype], self._header
        types = head.number(place, 2)
        if (types == ETHERTYPE_IPV4).all():
            return [(header, False, None)]
        shapes: list[tuple[int, bool, Mask]] = []
        tagged = columns.among(types, VLAN_TAGS)
        for kind, six in ((ETHERTYPE_IPV4, False), (ETHERTYPE_IPV6, True)):
            shapes.append((header, six, types == kind))
            if tagged.any():
                # A tag holds two octets of its own before the type of what follows (IEEE 802.1Q 9.3).
                shapes.append((header + 4, six, tagged & (head.number(header + 2, 2) == kind)))
        return [(at, six, its) for at, six, its in shapes if its.any()]

    def _of_interest(self, head: Heads, shape: int, quiet: Mask, rows: Positions) -> None:
        """Note the quiet segments that carry data and are of interest."""
        at, six = placed(shape)
        wanted = self._wanted[six]
        source, destination, upper = (at + 8, at + 24, at + 40) if six else (at + 12, at + 16, at + 20)
        senders = _addresses(head, source, six=six)
        served = columns.among(senders, wanted.virtual)
        between = columns.among(senders, wanted.routers)
        receivers = None
        if wanted.routers:
            receivers = _addresses(head, destination, six=six)
            between |= columns.among(receivers, wanted.routers)
        senders_macs = macs(self._linktype, head)
        chosen = served | between
        if wanted.macs:
            chosen |= columns.among(senders_macs, wanted.macs)
        lengths, words = head.number(at + (4 if six else 2), 2), head.octet(upper + 12) >> 4
        chosen &= quiet
        chosen &= (words >= 5) & (lengths > words * np.uint16(4) + np.uint16(0 if six else 20))
        if not six:
            # Fragments but the first have no TCP header.
            chosen &= head.number(at + 6, 2) & 0x1FFF == 0
        index = np.flatnonzero(chosen)
        if not len(index):
            return
        kinds = _kinds(
            senders_macs.take(index),
            senders.take(index),
            None if receivers is None else receivers.take(index),
            head.number(upper, 4).take(index),
            served.take(index),
            between.take(index),
        )
        found = rows.take(index)
        self._data.append((found, np.full(len(found), shape, np.uint8), kinds))


def _ascending(columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """In the order of the first one."""
    rows = columns[0]
    if (rows[1:] > rows[:-1]).all():
        return columns
    order = np.argsort(rows)
    return [column[order] for column in columns]


def _kinds(
    macs: NDArray[np.uint64],
    senders: NDArray[Any],
    receivers: NDArray[Any] | None,
    ports: NDArray[Any],
    served: Mask,
    between: Mask,
) -> NDArray[np.uint64]:
    """See ``Sifted``: whose frame it is, and the addresses and the port as far as they matter."""
    kinds = macs * _MIX[0]
    kinds ^= (senders * _MIX[1]) * (served | between)
    if receivers is not None and between.any():
        kinds ^= (receivers * _MIX[2]) * (between & ~served)
    # The sender's port, and whether it is the lower one.
    kinds += ((ports >> 16 << 1) | (ports >> 16 < ports & 0xFFFF)) * served
    return kinds


def placed(shape: int) -> tuple[int, bool]:
    """Of a shape: the place of the IP header in the frame, and whether it is IPv6."""
    return shape & ~_SIX, bool(shape & _SIX)


def macs(linktype: int, head: Heads) -> NDArray[np.uint64]:
    """As ``columns.macs`` has them."""
    at = _MAC_AT.get(LinkType(linktype))
    if at is None:
        return np.zeros(len(head), np.uint64)
    result: NDArray[np.uint64] = head.number(at, 8) >> np.uint64(16)
    if linktype == LinkType.LINUX_SLL:
        result *= head.number(4, 2) == 6
    elif linktype == LinkType.LINUX_SLL2:
        result *= head.octet(11) == 6
    return result


def _four(head: Heads, at: int, lengths: Positions) -> tuple[Mask, Mask, Mask]:
    """Of IPv4 packets: quiet TCP segments (some of them later fragments), plain ones with control, none of our protocols."""
    protocol = head.octet(at + 9)
    tcp = protocol == ip.TCP
    boring = ~columns.among(protocol, (ip.ICMP, *_LOOKED_AT)) & (lengths >= at + 10)
    size = head.number(at + 2, 2)
    # Of a length of zero only the captured length is known: `tcp.select` knows how.
    tcp &= (head.octet(at) == 0x45) & (size != 0)
    quiet = head.octet(at + 33) & _CONTROL == 0
    control = tcp & ~quiet
    if control.any():
        words = head.octet(at + 32) >> 4
        control &= (words >= 5) & (size >= words * np.uint16(4) + np.uint16(20)) & (head.number(at + 6, 2) & 0x1FFF == 0)
        control &= lengths >= at + 36
    return tcp & quiet & (lengths >= at + 34), control, boring


def _six(head: Heads, at: int, lengths: Positions) -> tuple[Mask, Mask, Mask]:
    """The same for IPv6; packets with extension headers are none of them."""
    protocol = head.octet(at + 6)
    tcp = protocol == ip.TCP
    boring = ~columns.among(protocol, (ip.ICMPV6, *_LOOKED_AT)) & (lengths >= at + 7)
    size = head.number(at + 4, 2)
    tcp &= (head.octet(at) >> 4 == 6) & (size != 0)
    quiet = head.octet(at + 53) & _CONTROL == 0
    control = tcp & ~quiet
    if control.any():
        words = head.octet(at + 52) >> 4
        control &= (words >= 5) & (size >= words * np.uint16(4)) & (lengths >= at + 56)
    return tcp & quiet & (lengths >= at + 54), control, boring


class _Wanted:
    """What is of interest in one family, as numbers."""

    def __init__(self, interest: Interest, *, six: bool) -> None:
        self.virtual, self.routers = (
            [_number(words) for words in addresses if (words[0] == 0 and words[1] >> 32 == 0xFFFF) != six]
            for addresses in (interest.virtual, interest.routers)
        )
        self.macs = sorted(interest.macs)
        self.senders = sorted({*self.virtual, *self.routers})

    def __bool__(self) -> bool:
        return bool(self.senders or self.macs)


def _number(words: tuple[int, int]) -> int:
    """An address as one number: two of IPv6 share one with a chance of 2**-64."""
    high, low = words
    return low & 0xFFFFFFFF if high == 0 and low >> 32 == 0xFFFF else (high * int(_MIX[0]) ^ low) & (2**64 - 1)


def _addresses(head: Heads, at: int, *, six: bool) -> NDArray[Any]:
    return head.number(at, 8) * _MIX[0] ^ head.number(at + 8, 8) if six else head.number(at, 4)
