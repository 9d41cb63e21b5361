"""A window that moves over the bytes of a capture, and the columns of records found in it. Knows no file format."""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from observer.sources.pcap_items import Truncated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.sources.compression import Source

_MEGABYTE = 1024 * 1024
_LONGEST = 17 * _MEGABYTE
"""Bytes of a record at most, and more."""
_POPULATE_READ = 22
"""MADV_POPULATE_READ of linux/mman.h, which the standard library does not name."""


def gather(octets: NDArray[np.uint8], layout: np.dtype[Any], positions: NDArray[np.int64]) -> NDArray[Any]:
    """Structures of one layout at any positions, copied; each must lie in the octets as a whole."""
    # Overlapping structures, one starting at every byte: the indexing picks those that are meant.
    everywhere: NDArray[Any] = np.ndarray(
        shape=(max(len(octets) - layout.itemsize + 1, 0),), dtype=layout, buffer=octets, strides=(1,)
    )
    return everywhere[positions]


def windows(octets: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Row *i* is the octets from *i* on, ``size`` of them; a view."""
    return np.ndarray(shape=(max(len(octets) - size + 1, 0), size), dtype=np.uint8, buffer=octets, strides=(1, 1))


class Window:
    """Unread bytes are ``buffer[start:end]``; whoever has read some moves ``start``.

    A buffer is only ever appended to, and replaced when full: arrays that refer to its earlier part stay valid.
    """

    def __init__(self, source: Source, size: int, base: int = 0) -> None:
        """Read ``source``, which begins at ``base``, ``size`` bytes at a time, or more where one record needs it."""
        self._source = source
        self._size = size
        self._base = base
        self.buffer = memoryview(b"")
        self.start = 0
        self.end = 0
        self.numbered = 0
        """Frames, and entries that count as such, before ``start``."""

    @property
    def done(self) -> bool:
        """What was to be read is read, and the rest is somebody else's."""
        return False

    @property
    def position(self) -> int:
        """Of ``start`` in the file as decompressed."""
        return self._base + self.start

    def require(self, count: int) -> bool:
        """Whether there are ``count`` unread bytes, after reading as far as it takes."""
        if self.end - self.start >= count:
            return True
        if len(self.buffer) - self.start < count:
            # Not a bytearray: that would be filled with zeros first.
            fresh = np.empty(max(self._size, count), dtype=np.uint8).data
            kept = self.end - self.start
            fresh[:kept] = self.buffer[self.start : self.end]
            self._base += self.start
            self.buffer, self.start, self.end = fresh, 0, kept
        while self.end - self.start < count:
            got = self._source.readinto(self.buffer[self.end :])
            if not got:
                return False
            self.end += got
        return True

    @property
    def unread(self) -> bytes:
        """A copy of the unread bytes in the buffer."""
        return bytes(self.buffer[self.start : self.end])

    @property
    def problem(self) -> str | None:
        """Why the source ended, where it was not simply its end."""
        return self._source.problem

    def data(self) -> NDArray[np.uint8]:
        """The buffer as far as it is read."""
        array = np.frombuffer(self.buffer[: self.end], dtype=np.uint8)
        array.flags.writeable = False
        return array

    def gather(self, layout: np.dtype[Any], positions: NDArray[np.int64]) -> NDArray[Any]:
        """Structures of one layout at any positions of the buffer, copied; each must lie before ``end``."""
        return gather(self.data(), layout, positions)

    def corrupt(self, detail: str, position: int | None = None) -> Truncated:
        """Nothing can be trusted from ``position`` (by default ``start``) on."""
        return Truncated(self._base + (self.start if position is None else position), detail)

    def ended(self, within: str) -> Truncated:
        """The source ended ``within`` something that should have been whole."""
        return self.corrupt(self.problem or f"the file ends within {within}")


class Mapped(Window):
    """A stretch of a plain file, mapped into memory: the records that begin in it."""

    def __init__(self, file: int, begin: int, end: int, size: int, *, copied: bool = False) -> None:
        """``file`` is a descriptor of a file of ``size`` bytes.

        The kernel ends a process that reads a mapped page where the file was cut off meanwhile; ``copied`` is for one that
        must not end, and does not hold records of more than a megabyte at the stretch's end.
        """
        base = begin if copied else begin - begin % mmap.ALLOCATIONGRANULARITY
        if copied:
            self.buffer = memoryview(os.pread(file, end + _MEGABYTE - base, base))
        else:
            mapped = mmap.mmap(file, min(end + _LONGEST, size) - base, access=mmap.ACCESS_READ, offset=base)
            with contextlib.suppress(OSError, ValueError):
                # One call for all pages instead of an interrupt for every few; a matter of speed only, and new in Linux 5.14.
                mapped.madvise(_POPULATE_READ, 0, end - base)
            self.buffer = memoryview(mapped)
        self._base = base
        self.start, self.end = begin - base, min(end - base, len(self.buffer))
        self._limit = end - base
        self.numbered = 0

    @property
    def done(self) -> bool:
        """See ``Window``."""
        return self.start >= self._limit

    @property
    def problem(self) -> str | None:
        """See ``Window``."""
        return None

    def require(self, count: int) -> bool:
        """See ``Window``."""
        self.end = max(self.end, min(self.start + count, len(self.buffer)))
        return self.end - self.start >= count
