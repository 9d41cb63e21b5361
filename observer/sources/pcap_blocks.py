"""pcapng files: sections of blocks (draft-ietf-opsawg-pcapng). What the frames hold does not belong here.

Packet blocks are found one by one and then read as columns, one run of them at a time; the few others are read singly. Blocks
of unknown types are skipped.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from observer.sources.pcap_interfaces import Interface, options
from observer.sources.pcap_items import MAX_CAPTURED, NO_TIME, FrameBatch, Item, LostFrames
from observer.sources.pcap_lanes import walk
from observer.sources.pcap_window import windows

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from observer.sources.pcap_interfaces import Clock
    from observer.sources.pcap_window import Window

    Octets = NDArray[np.uint8]
    Positions = NDArray[np.int64]

SECTION = 0x0A0D0D0A
_INTERFACE, _OBSOLETE, _SIMPLE, _STATISTICS, _ENHANCED, _JOURNAL = 1, 2, 3, 5, 6, 9
_BYTE_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

_FRAME_AT = {_ENHANCED: 28, _OBSOLETE: 28, _SIMPLE: 12}
"""Bytes from the beginning of a packet block to its frame."""
_SHORTEST = {SECTION: 28, _INTERFACE: 20, _STATISTICS: 24} | {kind: at + 4 for kind, at in _FRAME_AT.items()}
"""Bytes of a block of each kind; any other has its type and twice its length."""
_LONGEST = 16 * 1024 * 1024
"""As in libpcap: no block that we know needs more, and a longer one is more likely a broken length."""
_ORDINARY = 65_536
"""Bytes of a block at most that the quick walk takes."""
_SHORT = 262_144
"""Bytes that are walked without knowing the usual length of a block."""
_SAMPLE = 16_384
"""Bytes from which it is taken where there are more; the first block may be longer."""

_FLAGS, _DROPCOUNT = 2, 4
_IFDROP, _OSDROP = 5, 7
_DROPS_UNKNOWN = 0xFFFF
_INTERFACES = 4096
"""Of a section. Far more than any host captures from, and a bound on memory."""
_OPTIONS_LOOKED_AT = 32
"""Per packet block. Flags and counts come first in practice; a hostile block could hold a million empty options."""


class Section:
    """What a Section Header Block opens: a byte order, and interfaces that are numbered anew."""

    def __init__(self, order: str) -> None:
        """``order`` as struct has it."""
        self.order = order
        self.interfaces: list[Interface] = []
        self.typical: dict[int, int] = {}
        """Bytes of a packet block of each kind, as a rule."""
        self.head = struct.Struct(f"{order}II").unpack_from
        self.long = np.dtype(f"{order}u4")
        self.option = np.dtype([("code", f"{order}u2"), ("length", f"{order}u2")])
        self.count = np.dtype(f"{order}u8")


class _Blocks:
    """Packet blocks of one kind, as ``pcap_lanes`` walks them. They stand at multiples of four in the file and in a window."""

    def __init__(self, section: Section, kind: int) -> None:
        self._head = section.head
        self._long = np.dtype(f"{section.order}u4")
        self._kind = kind
        self._shortest = _SHORTEST[kind]

    def guess(self, octets: Octets, edges: Positions, reach: int) -> Positions:
        """See ``pcap_lanes.Format``: the type is known, and the lengths are not large."""
        found = np.full(len(edges), -1, dtype=np.int64)
        edges = edges[edges + reach + 8 <= len(octets)] & ~3
        reach &= ~3
        near = windows(octets, reach + 4)[edges].view(self._long)
        alike = near[:, :-1] == self._kind
        alike &= near[:, 1:] <= _ORDINARY
        first = alike.argmax(axis=1)
        known = np.flatnonzero(alike[np.arange(len(edges)), first])
        found[known] = edges[known] + 4 * first[known]
        return found

    def steps(self, octets: Octets, positions: Positions) -> Positions:
        """See ``pcap_lanes.Format``."""
        words = octets[: len(octets) & ~3].view(self._long)
        index = positions >> 2
        kinds = words.take(index, mode="clip")
        index += 1
        lengths = words.take(index, mode="clip").astype(np.int64)
        bad = (kinds != self._kind) | (lengths > _ORDINARY) | (lengths < self._shortest) | (lengths & 3 != 0)
        if bad.any():
            lengths[bad] = 0
        return lengths

    def following(self, buffer: memoryview, position: int, end: int) -> int:
        """See ``pcap_lanes.Format``; -1 also before a block of another kind."""
        if position + self._shortest > end:
            return -1
        kind, length = self._head(buffer, position)
        following: int = position + length
        good = kind == self._kind and following <= end and length >= self._shortest and length % 4 == 0 and length <= _LONGEST
        return following if good else -1


class _Heads(NamedTuple):
    """What the heads of the packet blocks of one interface say."""

    section: Section
    kind: int
    clock: Clock
    octets: Octets
    positions: Positions

    def times(self, rows: Any) -> NDArray[np.int64]:
        positions = self.positions[rows]
        if self.kind == _SIMPLE:
            return np.full(len(positions), NO_TIME, dtype=np.int64)
        return self.clock.nanoseconds(_ticks(self.section, self.octets, positions))

    def originals(self, rows: Any) -> NDArray[np.int64]:
        at = 8 if self.kind == _SIMPLE else 24
        return _longs(self.section, self.octets, self.positions[rows] + at)

    def part(self, rows: slice) -> _Heads:
        return self._replace(positions=self.positions[rows])


def _longs(section: Section, octets: Octets, positions: Positions) -> NDArray[np.int64]:
    """32-bit words at multiples of four."""
    words: NDArray[np.uint32] = octets[: len(octets) & ~3].view(f"{section.order}u4")
    return words.take(positions >> 2).astype(np.int64)


def _ticks(section: Section, octets: Octets, positions: Positions) -> NDArray[np.uint64]:
    high, low = (_longs(section, octets, positions + at).astype(np.uint64) for at in (12, 16))
    return high << np.uint64(32) | low


def read_blocks(window: Window) -> Iterator[Item]:
    """The frames of a pcapng file, and the frames that it says were lost; begins with a Section Header Block."""
    yield from go_on(window, None)


def go_on(window: Window, section: Section | None) -> Generator[Item, None, Section | None]:
    """The frames from some block on, at which the window stands; returns the section that the next block is in."""
    while not window.done and window.require(12):
        if int.from_bytes(window.buffer[window.start : window.start + 4]) == SECTION:
            order = _BYTE_ORDERS.get(bytes(window.buffer[window.start + 8 : window.start + 12]))
            if order is None:
                yield window.corrupt("a section header without byte order")
                return None
            section = Section(order)
        if section is None:
            yield window.corrupt("a pcapng file without section header")
            return None
        kind, length = section.head(window.buffer, window.start)
        if length % 4 or not _SHORTEST.get(kind, 12) <= length <= _LONGEST:
            yield window.corrupt(f"a block of type {kind} claims {length} bytes")
            return None
        if not window.require(length):
            yield window.ended(f"a block of {length} bytes")
            return None
        if kind in _FRAME_AT:
            broken = yield from _packets(window, section, kind)
        else:
            broken = yield from _other(window, section, kind, length)
        if broken:
            yield window.corrupt(broken)
            return None
    if not window.done and (window.end > window.start or window.problem):
        yield window.ended("a block's header")
    return section


def _other(window: Window, section: Section, kind: int, length: int) -> Generator[Item, None, str | None]:
    """One block that holds no frame; returns what is wrong with it."""
    buffer, start, order = window.buffer, window.start, section.order
    last = start + length - 4
    if struct.unpack_from(f"{order}I", buffer, last) != (length,):
        return "a block whose two lengths differ"
    if kind == SECTION:
        major, minor = struct.unpack_from(f"{order}HH", buffer, start + 12)
        if major != 1:
            return f"version {major}.{minor} of pcapng is unknown"
    elif kind == _INTERFACE:
        if len(section.interfaces) == _INTERFACES:
            return f"more than {_INTERFACES} interfaces"
        described = Interface.described(buffer, start + 8, last, order)
        if described.clock.last < 0:
            return "an interface whose clock shows no time that can be"
        section.interfaces.append(described)
    elif kind == _STATISTICS:
        number, high, low = struct.unpack_from(f"{order}III", buffer, start + 8)
        if number >= len(section.interfaces):
            return f"statistics of interface {number}, which is not described"
        interface = section.interfaces[number]
        total = sum(
            struct.unpack(f"{order}Q", value)[0]
            for code, value in options(buffer, start + 20, last, order)
            if code in (_IFDROP, _OSDROP) and len(value) == 8
        )
        if total > interface.lost:
            ticks = min(high << 32 | low, interface.clock.last)
            time = interface.clock.nanoseconds(np.array([ticks], dtype=np.uint64))
            yield LostFrames(interface.name, int(time[0]), total - interface.lost)
            interface.lost = total
    elif kind == _JOURNAL:
        window.numbered += 1
    window.start += length
    return None


def guess(section: Section, octets: Octets, edges: Positions, reach: int) -> int:
    """Where a packet block may begin behind the edge; negative for no idea."""
    kind = max(section.typical, key=lambda kind: section.typical[kind], default=_ENHANCED)
    return int(_Blocks(section, kind).guess(octets, edges, reach)[0])


def _packets(window: Window, section: Section, kind: int) -> Generator[Item, None, str | None]:
    """The run of packet blocks that the window begins with, the first of them whole; returns what is wrong after it."""
    if not section.interfaces:
        return "a packet of an interface that is not described"
    octets, typical = window.data(), section.typical.get(kind)
    end = window.end
    if typical is None and end - window.start >= _SHORT:
        end = window.start + max(_SAMPLE, section.head(window.buffer, window.start)[1])
    positions, following = walk(_Blocks(section, kind), octets, window.start, end, typical or end)
    section.typical[kind] = (following - int(positions[0])) // len(positions)
    lengths = np.diff(positions, append=following)
    at = {_ENHANCED: (8, 20), _OBSOLETE: (8, 20), _SIMPLE: (4, 8)}[kind]
    interfaces, captured = (_longs(section, octets, positions + place) for place in at)
    if kind == _OBSOLETE:
        interfaces = window.gather(np.dtype(f"{section.order}u2"), positions + 8).astype(np.int64)
    elif kind == _SIMPLE:
        # Has neither interface nor captured length: the first interface's, and cut at its snapshot length.
        interfaces = np.zeros(len(positions), dtype=np.int64)
        captured = np.minimum(captured, section.interfaces[0].snaplen or MAX_CAPTURED)
    known = interfaces < len(section.interfaces)
    checks = (
        (_longs(section, octets, positions + lengths - 4) == lengths, "a block whose two lengths differ"),
        (known, "a packet of an interface that is not described"),
        (captured <= lengths - _SHORTEST[kind], "a packet that is longer than its block"),
        (captured <= MAX_CAPTURED, f"a packet longer than any capture holds ({MAX_CAPTURED} bytes)"),
        (_timely(section, octets, positions, np.where(known, interfaces, 0), kind), "a time that no clock shows"),
    )
    sound = np.logical_and.reduce([good for good, _ in checks])
    whole, broken = len(positions), None
    if not sound.all():
        whole = int(sound.argmin())
        broken = next(detail for good, detail in checks if not good[whole])
        following = int(positions[whole])
    if whole:
        yield from _items(window, section, kind, positions[:whole], lengths[:whole], captured[:whole], interfaces[:whole])
    window.start = following
    return broken


def _timely(section: Section, octets: Octets, positions: Positions, interfaces: Positions, kind: int) -> NDArray[np.bool_]:
    """Which packet blocks have a time that their interface's clock can show."""
    timely = np.ones(len(positions), dtype=np.bool_)
    if kind == _SIMPLE:
        return timely
    upper = _longs(section, octets, positions + 12)
    if int(upper.max()) < min(interface.clock.last for interface in section.interfaces) >> 32:
        return timely
    for number in np.unique(interfaces).tolist():
        its = interfaces == number
        timely[its] = _ticks(section, octets, positions[its]) <= section.interfaces[number].clock.last
    return timely


def _items(
    window: Window,
    section: Section,
    kind: int,
    positions: Positions,
    lengths: Positions,
    captured: Positions,
    interfaces: Positions,
) -> Iterator[Item]:
    """Batches of sound packet blocks, cut where the interface changes and where frames were lost."""
    octets = window.data()
    offsets = positions + _FRAME_AT[kind]
    directions: NDArray[np.int8] | None = None
    drops: NDArray[np.uint64] | None = None
    if kind != _SIMPLE:
        flags, drops = _packet_options(window, section, offsets + (captured + 3 & ~3), positions + lengths - 4)
        if flags is not None:
            directions = (flags & 3).astype(np.int8)
            directions[directions == 3] = 0  # the one value of the two bits that means nothing
    if kind == _OBSOLETE:
        drops = window.gather(np.dtype(f"{section.order}u2"), positions + 10).astype(np.uint64)
        drops[drops == _DROPS_UNKNOWN] = 0
    cuts = np.flatnonzero(np.diff(interfaces)) + 1
    if drops is not None:
        cuts = np.union1d(cuts, np.flatnonzero(drops))
    bounds = np.unique(np.concatenate(([0], cuts, [len(positions)]))).tolist()
    for first, following in pairwise(bounds):
        interface = section.interfaces[int(interfaces[first])]
        rows = slice(first, following)
        heads = _Heads(section, kind, interface.clock, octets, positions[rows])
        if drops is not None and drops[first]:
            lost = int(drops[first])
            interface.lost += lost
            yield LostFrames(interface.name, int(heads.times(slice(0, 1))[0]), lost)
        yield FrameBatch(
            interface=interface.name,
            linktype=interface.linktype,
            data=octets,
            offsets=offsets[rows],
            lengths=captured[rows],
            heads=heads,
            directions=directions[rows] if directions is not None and directions[rows].any() else None,
            number=window.numbered + first + 1,
        )
    window.numbered += len(positions)


def _packet_options(
    window: Window, section: Section, cursors: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.uint32] | None, NDArray[np.uint64] | None]:
    """epb_flags and epb_dropcount of packet blocks whose options lie between two positions each; None if no block has any."""
    flags: NDArray[np.uint32] | None = None
    drops: NDArray[np.uint64] | None = None
    rows = np.flatnonzero(cursors + 4 <= ends)
    cursors = cursors[rows]
    for _ in range(_OPTIONS_LOOKED_AT):
        if not len(rows):
            break
        heads = window.gather(section.option, cursors)
        lengths = heads["length"].astype(np.int64)
        fits = (heads["code"] != 0) & (cursors + 4 + lengths <= ends[rows])
        chosen = fits & (heads["code"] == _FLAGS) & (lengths == 4)
        if chosen.any():
            flags = np.zeros(len(ends), dtype=np.uint32) if flags is None else flags
            flags[rows[chosen]] = window.gather(section.long, cursors[chosen] + 4)
        chosen = fits & (heads["code"] == _DROPCOUNT) & (lengths == 8)
        if chosen.any():
            drops = np.zeros(len(ends), dtype=np.uint64) if drops is None else drops
            drops[rows[chosen]] = window.gather(section.count, cursors[chosen] + 4)
        cursors += 4 + (lengths + 3 & ~3)
        more = fits & (cursors + 4 <= ends[rows])
        rows, cursors = rows[more], cursors[more]
    return flags, drops
