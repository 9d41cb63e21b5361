"""What a pcapng section says about its interfaces: options, names, and clocks. Blocks of packets are read in ``pcap_blocks``."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_END_OF_OPTIONS = 0
_IF_NAME, _IF_TSRESOL, _IF_TSOFFSET = 2, 9, 14
_MAX_TIME = 2**63 - 1
_MAX_TICKS = 2**64 - 1


def options(buffer: memoryview, position: int, end: int, order: str) -> Iterator[tuple[int, bytes]]:
    """Code and value of the options between two positions (draft-ietf-opsawg-pcapng 3.5), as far as they fit."""
    head = struct.Struct(f"{order}HH")
    while position + head.size <= end:
        code, length = head.unpack_from(buffer, position)
        position += head.size
        if code == _END_OF_OPTIONS or position + length > end:
            return
        yield code, bytes(buffer[position : position + length])
        position += length + -length % 4


@dataclass(frozen=True, slots=True)
class Clock:
    """How an interface counts time: ticks since ``offset`` seconds after the epoch (if_tsresol, if_tsoffset)."""

    base: int = 10
    exponent: int = 6
    offset: int = 0

    @property
    def last(self) -> int:
        """The greatest number of ticks that is a time in 64-bit nanoseconds, -1 if none is."""
        offset = self.offset * SECOND
        if not -_MAX_TIME <= offset <= _MAX_TIME:
            return -1
        longest = min(_MAX_TIME, _MAX_TIME - offset)
        per_second: int = self.base**self.exponent
        return min(longest * per_second // SECOND, _MAX_TICKS)

    def nanoseconds(self, ticks: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Ticks as nanoseconds since the epoch, rounded down; none may be greater than ``last``."""
        if self.base == 10 and self.exponent <= 9:
            whole = ticks * np.uint64(10 ** (9 - self.exponent))
        elif self.base == 10 and self.exponent <= 9 + 19:
            whole = ticks // np.uint64(10 ** (self.exponent - 9))
        elif self.base == 2 and self.exponent <= 34:
            # The part below a second times 10^9 fits 64 bits up to this exponent.
            shift = np.uint64(self.exponent)
            below = ticks & np.uint64(2**self.exponent - 1)
            whole = (ticks >> shift) * np.uint64(SECOND) + (below * np.uint64(SECOND) >> shift)
        else:
            units = self.base**self.exponent
            whole = np.array([number * SECOND // units for number in ticks.tolist()], dtype=np.uint64)
        return whole.astype(np.int64) + np.int64(self.offset * SECOND)


@dataclass(slots=True)
class Interface:
    """One Interface Description Block, and what was said so far about frames that it lost."""

    name: str | None
    linktype: int
    snaplen: int
    """Captured bytes of a frame at most; 0 for no limit."""
    clock: Clock
    lost: int = 0
    """Lost frames told so far: statistics count from the start, and count again what packet blocks told."""

    @classmethod
    def described(cls, buffer: memoryview, position: int, end: int, order: str) -> Interface:
        """From the body of an Interface Description Block, 8 bytes or more (draft-ietf-opsawg-pcapng 4.2)."""
        linktype, snaplen = struct.unpack_from(f"{order}HxxI", buffer, position)
        name, base, exponent, offset = None, 10, 6, 0
        for code, value in options(buffer, position + 8, end, order):
            if code == _IF_NAME:
                name = value.rstrip(b"\0").decode(errors="replace") or None
            elif code == _IF_TSRESOL and len(value) == 1:
                base, exponent = (2 if value[0] & 0x80 else 10), value[0] & 0x7F
            elif code == _IF_TSOFFSET and len(value) == 8:
                (offset,) = struct.unpack(f"{order}q", value)
        return cls(name, linktype, snaplen, Clock(base, exponent, offset))
