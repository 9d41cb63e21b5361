"""The first octets of many frames, copied side by side so that looking at them is cheap. What they mean is not known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.wire.columns import Octets, Positions

SIZE: Final = 80
"""Octets of a head: a link layer, a VLAN tag, an IPv6 header and a TCP header up to its window, and some."""


class Heads:
    """Row *i* is the head of frame *i*."""

    def __init__(self, data: Octets, offsets: Positions, before: int) -> None:
        """Copy from ``before`` octets before each offset on, all of which exist; ``before`` aligns what is read often.

        What is behind a frame's end is copied too, and for others to mind.
        """
        # Overlapping pieces, one starting at every octet. Moved as a whole, a piece costs hardly more than one octet.
        pieces: NDArray[np.void] = np.ndarray(shape=(len(data) - SIZE + 1,), dtype=f"V{SIZE}", buffer=data, strides=(1,))
        self._pieces = pieces[offsets - before]
        self._octets = self._pieces.view(np.uint8).reshape(-1, SIZE)
        self._before = before

    def __len__(self) -> int:
        return len(self._pieces)

    def octet(self, at: int) -> Octets:
        """The octet at some place of every frame."""
        return self._octets[:, at + self._before]

    def number(self, at: int, size: int) -> NDArray[Any]:
        """The big-endian number of 2, 4 or 8 octets at some place of every frame, in as many bits."""
        strided: NDArray[Any] = np.ndarray(
            shape=(len(self._pieces),), dtype=f">u{size}", buffer=self._octets, offset=at + self._before, strides=(SIZE,)
        )
        return strided.astype(f"u{size}")
