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

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from numpy.typing import NDArray

    from observer.sources.pcap_window import Window

SECTION = 0x0A0D0D0A
_INTERFACE, _OBSOLETE, _SIMPLE, _STATISTICS, _ENHANCED = 1, 2, 3, 5, 6
_BYTE_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

_FRAME_AT = {_ENHANCED: 28, _OBSOLETE: 28, _SIMPLE: 12}
"""Bytes from the beginning of a packet block to its frame."""
_SHORTEST = {SECTION: 28, _INTERFACE: 20, _STATISTICS: 24} | {kind: at + 4 for kind, at in _FRAME_AT.items()}
"""Bytes of a block of each kind; any other has its type and twice its length."""
_LONGEST = 16 * 1024 * 1024
"""As in libpcap: no block that we know needs more, and a longer one is more likely a broken length."""

_FLAGS, _DROPCOUNT = 2, 4
_IFDROP, _OSDROP = 5, 7
_DROPS_UNKNOWN = 0xFFFF
_INTERFACES = 4096
"""Of a section. Far more than any host captures from, and a bound on memory."""
_OPTIONS_LOOKED_AT = 32
"""Per packet block. Flags and counts come first in practice; a hostile block could hold a million empty options."""


class _Section:
    """What a Section Header Block opens: a byte order, and interfaces that are numbered anew."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.interfaces: list[Interface] = []
        self.head = struct.Struct(f"{order}II").unpack_from
        long, short = f"{order}u4", f"{order}u2"
        head = [("kind", long), ("length", long)]
        rest = [("high", long), ("low", long), ("captured", long), ("original", long)]
        self.layouts = {
            _ENHANCED: np.dtype([*head, ("interface", long), *rest]),
            _OBSOLETE: np.dtype([*head, ("interface", short), ("drops", short), *rest]),
            _SIMPLE: np.dtype([*head, ("original", long)]),
        }
        self.long = np.dtype([("value", long)])
        self.option = np.dtype([("code", short), ("length", short)])
        self.count = np.dtype([("value", f"{order}u8")])


class _Packets(NamedTuple):
    """Columns of a run of packet blocks; row *i* of each is one block."""

    interfaces: NDArray[np.int64]
    ticks: NDArray[np.uint64]
    captured: NDArray[np.int64]
    originals: NDArray[np.int64]
    drops: NDArray[np.uint64] | None
    """Lost frames between the last one of the interface and this one; None if not told."""


def read_blocks(window: Window) -> Iterator[Item]:
    """The frames of a pcapng file, and the frames that it says were lost; begins with a Section Header Block."""
    section: _Section | None = None
    while window.require(12):
        if int.from_bytes(window.buffer[window.start : window.start + 4]) == SECTION:
            order = _BYTE_ORDERS.get(bytes(window.buffer[window.start + 8 : window.start + 12]))
            if order is None:
                yield window.corrupt("a section header without byte order")
                return
            section = _Section(order)
        if section is None:
            yield window.corrupt("a pcapng file without section header")
            return
        kind, length = section.head(window.buffer, window.start)
        if length % 4 or not _SHORTEST.get(kind, 12) <= length <= _LONGEST:
            yield window.corrupt(f"a block of type {kind} claims {length} bytes")
            return
        if not window.require(length):
            yield window.ended(f"a block of {length} bytes")
            return
        if kind in _FRAME_AT:
            broken = yield from _packets(window, section, kind)
        else:
            broken = yield from _other(window, section, kind, length)
        if broken:
            yield window.corrupt(broken)
            return
    if window.end > window.start or window.problem:
        yield window.ended("a block's header")


def _other(window: Window, section: _Section, kind: int, length: int) -> Generator[Item, None, str | None]:
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
    window.start += length
    return None


def walk(
    buffer: memoryview, position: int, end: int, head: Callable[[memoryview, int], tuple[Any, ...]], kind: int
) -> tuple[NDArray[np.int64], int]:
    """Where the blocks of one kind begin that follow one another in the buffer as a whole, and where the next block does.

    Stops at another kind, and at whatever is incomplete or impossible.
    """
    shortest = _SHORTEST[kind]
    positions: list[int] = []
    append = positions.append
    last = end - shortest
    while position <= last:
        found, length = head(buffer, position)
        following = position + length
        if found != kind or following > end or length < shortest or length % 4 or length > _LONGEST:
            break
        append(position)
        position = following
    return np.array(positions, dtype=np.int64), position


def _packets(window: Window, section: _Section, kind: int) -> Generator[Item, None, str | None]:
    """The run of packet blocks that the window begins with, the first of them whole; returns what is wrong after it."""
    if not section.interfaces:
        return "a packet of an interface that is not described"
    positions, following = walk(window.buffer, window.start, window.end, section.head, kind)
    fields = window.gather(section.layouts[kind], positions)
    packets = _columns(section, fields, kind)
    lengths = fields["length"].astype(np.int64)
    numbers = np.unique(packets.interfaces)
    known = packets.interfaces < len(section.interfaces)
    times = np.full(len(positions), NO_TIME, dtype=np.int64)
    timely = np.ones(len(positions), dtype=bool)
    if kind != _SIMPLE:
        for number in numbers[numbers < len(section.interfaces)].tolist():
            clock, its = section.interfaces[number].clock, packets.interfaces == number
            timely[its] = packets.ticks[its] <= clock.last
            times[its & timely] = clock.nanoseconds(packets.ticks[its & timely])
    checks = (
        (window.gather(section.long, positions + lengths - 4)["value"] == lengths, "a block whose two lengths differ"),
        (known, "a packet of an interface that is not described"),
        (packets.captured <= lengths - _SHORTEST[kind], "a packet that is longer than its block"),
        (packets.captured <= MAX_CAPTURED, f"a packet longer than any capture holds ({MAX_CAPTURED} bytes)"),
        (timely, "a time that no clock shows"),
    )
    sound = np.logical_and.reduce([good for good, _ in checks])
    whole, broken = len(positions), None
    if not sound.all():
        whole = int(sound.argmin())
        broken = next(detail for good, detail in checks if not good[whole])
        following = int(positions[whole])
    yield from _items(window, section, kind, positions[:whole], lengths[:whole], times[:whole], packets)
    window.start = following
    return broken


def _columns(section: _Section, fields: NDArray[Any], kind: int) -> _Packets:
    """What the fixed parts of packet blocks say (draft-ietf-opsawg-pcapng 4.3, 4.4; A for the obsolete one)."""
    originals = fields["original"].astype(np.int64)
    if kind == _SIMPLE:
        # Has neither interface nor captured length: the first interface's, and cut at its snapshot length.
        none = np.zeros(len(fields), dtype=np.int64)
        captured = np.minimum(originals, section.interfaces[0].snaplen or MAX_CAPTURED)
        return _Packets(none, none.astype(np.uint64), captured, originals, None)
    drops = None
    if kind == _OBSOLETE:
        drops = fields["drops"].astype(np.uint64)
        drops[drops == _DROPS_UNKNOWN] = 0
    ticks = fields["high"].astype(np.uint64) << np.uint64(32) | fields["low"].astype(np.uint64)
    return _Packets(fields["interface"].astype(np.int64), ticks, fields["captured"].astype(np.int64), originals, drops)


def _items(
    window: Window,
    section: _Section,
    kind: int,
    positions: NDArray[np.int64],
    lengths: NDArray[np.int64],
    times: NDArray[np.int64],
    packets: _Packets,
) -> Iterator[Item]:
    """Batches of sound packet blocks, cut where the interface changes and where frames were lost."""
    if not len(positions):
        return
    count = len(positions)
    interfaces, captured = packets.interfaces[:count], packets.captured[:count]
    offsets = positions + _FRAME_AT[kind]
    directions, drops = None, packets.drops
    if kind != _SIMPLE:
        flags, told = _packet_options(window, section, offsets + (captured + 3 & ~3), positions + lengths - 4)
        drops = told if kind == _ENHANCED else drops
        if flags is not None:
            directions = (flags & 3).astype(np.int8)
            directions[directions == 3] = 0  # the one value of the two bits that means nothing
    cuts = np.flatnonzero(np.diff(interfaces)) + 1
    if drops is not None:
        cuts = np.union1d(cuts, np.flatnonzero(drops[:count]))
    bounds = np.unique(np.concatenate(([0], cuts, [count]))).tolist()
    data = window.data()
    for first, following in pairwise(bounds):
        interface = section.interfaces[int(interfaces[first])]
        if drops is not None and drops[first]:
            lost = int(drops[first])
            interface.lost += lost
            yield LostFrames(interface.name, int(times[first]), lost)
        rows = slice(first, following)
        known = directions is not None and directions[rows].any()
        yield FrameBatch(
            interface=interface.name,
            linktype=interface.linktype,
            data=data,
            offsets=offsets[rows],
            lengths=captured[rows],
            originals=packets.originals[rows],
            times=times[rows],
            directions=directions[rows] if directions is not None and known else None,
        )


def _packet_options(
    window: Window, section: _Section, cursors: NDArray[np.int64], ends: NDArray[np.int64]
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
            flags[rows[chosen]] = window.gather(section.long, cursors[chosen] + 4)["value"]
        chosen = fits & (heads["code"] == _DROPCOUNT) & (lengths == 8)
        if chosen.any():
            drops = np.zeros(len(ends), dtype=np.uint64) if drops is None else drops
            drops[rows[chosen]] = window.gather(section.count, cursors[chosen] + 4)["value"]
        cursors += 4 + (lengths + 3 & ~3)
        more = fits & (cursors + 4 <= ends[rows])
        rows, cursors = rows[more], cursors[more]
    return flags, drops
