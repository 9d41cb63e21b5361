"""pcap files: a header and one record after another (draft-ietf-opsawg-pcap). What the frames hold does not belong here.

Read besides the draft: the "modified" format of A. Kuznetzov's patched libpcap, whose record headers are eight bytes longer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from observer.model.time import MICROSECOND, SECOND
from observer.sources.pcap_items import MAX_CAPTURED, FrameBatch, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from observer.sources.pcap_window import Window

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


def read_records(window: Window) -> Iterator[Item]:
    """The frames of a pcap file, whose first bytes are one of ``MAGICS``."""
    if not window.require(_FILE_HEADER):
        yield window.ended("its file header")
        return
    order, magic = MAGICS[bytes(window.buffer[window.start : window.start + 4])]
    tick, header = _VARIANTS[magic]
    major, minor, link = struct.unpack_from(f"{order}4xHH12xI", window.buffer, window.start)
    if major != 2:
        yield window.corrupt(f"version {major}.{minor} of pcap is unknown")
        return
    # The upper half says whether frames carry their checksum (FCS), which looks like padding to whoever decodes them.
    linktype = link & 0xFFFF
    captured_at = struct.Struct(f"{order}8xI").unpack_from
    layout = np.dtype([(name, f"{order}u4") for name in ("seconds", "fraction", "captured", "original")])
    window.start += _FILE_HEADER
    while window.require(header):
        positions, following = walk(window.buffer, window.start, window.end, captured_at, header)
        if not len(positions):
            (captured,) = captured_at(window.buffer, window.start)
            if captured > MAX_CAPTURED:
                yield window.corrupt(f"a record claims {captured} bytes, more than any capture holds ({MAX_CAPTURED})")
                return
            if not window.require(header + captured):
                yield window.ended(f"a frame of {captured} bytes")
                return
            continue
        fields = window.gather(layout, positions)
        # A crash can leave zeros where the tail of the file was not written out; they read as endless empty records.
        hollow = (fields["seconds"] | fields["fraction"] | fields["captured"] | fields["original"]) == 0
        whole = int(hollow.argmax()) if hollow.any() else len(positions)
        if whole:
            yield _batch(window, fields[:whole], positions[:whole] + header, tick, linktype)
        if whole < len(positions):
            yield window.corrupt("zeros in place of a record", int(positions[whole]))
            return
        window.start = following
    if window.end > window.start or window.problem:
        yield window.ended("a record's header")


def walk(
    buffer: memoryview, position: int, end: int, captured_at: Callable[[memoryview, int], tuple[Any, ...]], header: int
) -> tuple[NDArray[np.int64], int]:
    """Where the records begin that lie in the buffer as a whole, and where the next one does.

    Stops at whatever is incomplete or impossible; which of the two is for the caller to find out.
    """
    positions: list[int] = []
    append = positions.append
    last = end - header
    while position <= last:
        (captured,) = captured_at(buffer, position)
        following = position + header + captured
        if following > end or captured > MAX_CAPTURED:
            break
        append(position)
        position = following
    return np.array(positions, dtype=np.int64), position


def _batch(window: Window, fields: NDArray[Any], offsets: NDArray[np.int64], tick: int, linktype: int) -> FrameBatch:
    return FrameBatch(
        interface=None,
        linktype=linktype,
        data=window.data(),
        offsets=offsets,
        lengths=fields["captured"].astype(np.int64),
        originals=fields["original"].astype(np.int64),
        times=fields["seconds"].astype(np.int64) * SECOND + fields["fraction"].astype(np.int64) * tick,
    )
