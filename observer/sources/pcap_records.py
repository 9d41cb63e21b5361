"""pcap files: a header and one record after another (draft-ietf-opsawg-pcap). What the frames hold does not belong here.

Read besides the draft: the "modified" format of A. Kuznetzov's patched libpcap, whose record headers are eight bytes longer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from observer.model.time import MICROSECOND, SECOND
from observer.sources.pcap_items import MAX_CAPTURED, FrameBatch, Item
from observer.sources.pcap_lanes import walk
from observer.sources.pcap_window import gather, windows

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from observer.sources.pcap_window import Window

    Octets = NDArray[np.uint8]
    Positions = NDArray[np.int64]

_FILE_HEADER = 24


class _Variant(NamedTuple):
    tick: int
    """Nanoseconds in one unit of a record's second time field."""
    header: int
    """Bytes before a record's frame."""


_VARIANTS = {
    0xA1B2C3D4: _Variant(MICROSECOND, 16),
    0xA1B23C4D: _Variant(1, 16),
    0xA1B2CD34: _Variant(MICROSECOND, 24),
}

MAGICS = {struct.pack(f"{order}I", magic): (order, magic) for magic in _VARIANTS for order in "<>"}
"""First four bytes of a pcap file: byte order (as struct has it) and magic number."""

_SOON = 3600
"""Seconds by which a block's frames may be later than its first one, and still help to guess where records begin."""
_SHORT = 262_144
"""Bytes that are walked without knowing the usual size of a record."""
_SAMPLE = 16_384
"""Bytes from which it is taken where there are more."""


class Records:
    """The format of one pcap file, as ``pcap_lanes`` walks it, and what was learned of its records so far."""

    def __init__(self, order: str, magic: int, linktype: int) -> None:
        """``order`` as struct has it; ``magic`` one of ``MAGICS``."""
        self.order = order
        self.linktype = linktype
        self.tick, self.header = _VARIANTS[magic]
        self.typical = 0
        """Bytes of a record, as a rule; 0 while unknown."""
        self.second = 0
        """Of some record not long ago, since the epoch."""
        self._head = struct.Struct(f"{order}IIII").unpack_from
        self._captured = struct.Struct(f"{order}I").unpack_from
        self._captured_at = (8, 9, 10, 11) if order == "<" else (11, 10, 9, 8)
        """Octets of the captured length, the lowest first."""

    def guess(self, octets: Octets, edges: Positions, reach: int) -> Positions:
        """See ``pcap_lanes.Format``: the upper octets of the seconds are known, those of the lengths are zero."""
        places = (3, 2, 10, 11, 15) if self.order == "<" else (0, 1, 8, 9, 12)
        found = np.full(len(edges), -1, dtype=np.int64)
        # An edge near the buffer's end is no use.
        edges = edges[edges + reach + 16 <= len(octets)]
        near = windows(octets, reach + 16)[edges]
        for upper in sorted({self.second >> 16, self.second + _SOON >> 16}, reverse=True):
            values = (upper >> 8, upper & 0xFF, 0, 0, 0)
            alike = np.ones((len(edges), reach), dtype=np.bool_)
            for place, value in zip(places, values, strict=True):
                alike &= near[:, place : place + reach] == value
            first = alike.argmax(axis=1)
            known = np.flatnonzero(alike[np.arange(len(edges)), first])
            found[known] = edges[known] + first[known]
        return found

    def steps(self, octets: Octets, positions: Positions) -> Positions:
        """See ``pcap_lanes.Format``: ordinary is what is shorter than 64 kB."""
        low, high, *upper = (octets.take(positions + place, mode="clip") for place in self._captured_at)
        result = low.astype(np.int64) + self.header
        if high.any():
            result += high.astype(np.int64) << 8
        large = upper[0] | upper[1]
        if large.any():
            result[large != 0] = 0
        return result

    def following(self, buffer: memoryview, position: int, end: int) -> int:
        """See ``pcap_lanes.Format``."""
        if position + self.header > end:
            return -1
        (captured,) = self._captured(buffer, position + 8)
        following: int = position + self.header + captured
        return -1 if following > end or captured > MAX_CAPTURED else following

    def hollow(self, octets: Octets, position: int) -> bool:
        """Whether there are zeros in place of a record; a crash can leave them, and they read as endless empty records."""
        return not any(self._head(octets.data, position))

    def met(self, octets: Octets, position: int) -> None:
        """Learn from a record the time of those around it."""
        (self.second,) = struct.unpack_from(f"{self.order}I", octets.data, position)

    def walked(self, positions: Positions, following: int) -> None:
        """Learn from some records how long they are."""
        self.typical = max((following - int(positions[0])) // len(positions), self.header)


class _Heads(NamedTuple):
    form: Records
    octets: Octets
    positions: Positions

    def times(self, rows: Any) -> NDArray[np.int64]:
        stamps = gather(self.octets, np.dtype(f"{self.form.order}u8"), self.positions[rows])
        first, second = stamps & np.uint64(0xFFFFFFFF), stamps >> np.uint64(32)
        seconds, fraction = (first, second) if self.form.order == "<" else (second, first)
        return (seconds * np.uint64(SECOND) + fraction * np.uint64(self.form.tick)).astype(np.int64)

    def originals(self, rows: Any) -> NDArray[np.int64]:
        fields = gather(self.octets, np.dtype(f"{self.form.order}u4"), self.positions[rows] + 12)
        return fields.astype(np.int64)

    def part(self, rows: slice) -> _Heads:
        return self._replace(positions=self.positions[rows])


def read_records(window: Window) -> Iterator[Item]:
    """The frames of a pcap file, whose first bytes are one of ``MAGICS``."""
    form = yield from opened(window)
    if form is not None:
        yield from go_on(window, form)


def opened(window: Window) -> Generator[Item, None, Records | None]:
    """Read the file's header; returns how its records are to be read."""
    if not window.require(_FILE_HEADER):
        yield window.ended("its file header")
        return None
    order, magic = MAGICS[bytes(window.buffer[window.start : window.start + 4])]
    major, minor, link = struct.unpack_from(f"{order}4xHH12xI", window.buffer, window.start)
    if major != 2:
        yield window.corrupt(f"version {major}.{minor} of pcap is unknown")
        return None
    window.start += _FILE_HEADER
    # The upper half says whether frames carry their checksum (FCS), which looks like padding to whoever decodes them.
    return Records(order, magic, link & 0xFFFF)


def go_on(window: Window, form: Records) -> Iterator[Item]:
    """The frames of a pcap file from some record on, at which the window stands."""
    header = form.header
    while not window.done and window.require(header):
        octets = window.data()
        form.met(octets, window.start)
        end = window.end if form.typical or window.end - window.start < _SHORT else window.start + _SAMPLE
        positions, following = walk(form, octets, window.start, end, form.typical or end)
        if not len(positions):
            (captured,) = struct.unpack_from(f"{form.order}8xI", window.buffer, window.start)
            if captured > MAX_CAPTURED:
                yield window.corrupt(f"a record claims {captured} bytes, more than any capture holds ({MAX_CAPTURED})")
                return
            if not window.require(header + captured):
                yield window.ended(f"a frame of {captured} bytes")
                return
            form.typical = form.typical or header + captured
            continue
        form.walked(positions, following)
        lengths = np.diff(positions, append=following) - header
        empty = np.flatnonzero(lengths == 0).tolist() if not lengths.all() else []
        whole = next((row for row in empty if form.hollow(octets, int(positions[row]))), len(positions))
        if whole:
            offsets = positions[:whole] + header
            heads = _Heads(form, octets, positions[:whole])
            yield FrameBatch(
                interface=None,
                linktype=form.linktype,
                data=octets,
                offsets=offsets,
                lengths=lengths[:whole],
                heads=heads,
                number=window.numbered + 1,
            )
            window.numbered += whole
        if whole < len(positions):
            yield window.corrupt("zeros in place of a record", int(positions[whole]))
            return
        window.start = following
    if not window.done and (window.end > window.start or window.problem):
        yield window.ended("a record's header")
