"""A window that moves over the bytes of a capture, and the columns of records found in it. Knows no file format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from observer.sources.pcap_items import Truncated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.sources.compression import Source


class Window:
    """Unread bytes are ``buffer[start:end]``; whoever has read some moves ``start``.

    A buffer is only ever appended to, and replaced when full: arrays that refer to its earlier part stay valid.
    """

    def __init__(self, source: Source, size: int) -> None:
        """Read ``source`` ``size`` bytes at a time, or more where one record needs it."""
        self._source = source
        self._size = size
        self._base = 0
        self.buffer = memoryview(b"")
        self.start = 0
        self.end = 0

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
        # Overlapping structures, one starting at every byte: the indexing picks those that are meant.
        everywhere: NDArray[Any] = np.ndarray(
            shape=(max(self.end - layout.itemsize + 1, 0),), dtype=layout, buffer=self.buffer, strides=(1,)
        )
        return everywhere[positions]

    def corrupt(self, detail: str, position: int | None = None) -> Truncated:
        """Nothing can be trusted from ``position`` (by default ``start``) on."""
        return Truncated(self._base + (self.start if position is None else position), detail)

    def ended(self, within: str) -> Truncated:
        """The source ended ``within`` something that should have been whole."""
        return self.corrupt(self.problem or f"the file ends within {within}")
