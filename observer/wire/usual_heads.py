"""The most usual frames, told apart by whole words: Ethernet, no tag, IPv4 without options, TCP. What is sought is for ``sift``.

Nothing here that a closer look would not find as well, in several times as long. The words are read as little-endian, whatever
the machine, so the first octet of each is its lowest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from observer.wire import columns, ip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from observer.wire.columns import Mask, Octets, Positions

BEFORE: Final = 2
"""Octets before a frame that are copied with it, so that addresses do not cross the border of two words."""
NETWORK: Final = 14
"""Where the IP header begins."""
LEAST: Final = 48
"""Octets up to the end of the flags of TCP."""

_SIZE: Final = 56
_READ: Final = (1, 2, 3, 4, 6)
"""Words: source MAC and ethertype; IP's first eight octets; protocol and source; destination and ports; TCP's flags."""


class UsualHeads:
    """The heads of some frames. Masks and columns have a row for each; ``at`` says of which, where not of all."""

    def __init__(self, data: Octets, offsets: Positions) -> None:
        """All octets from ``BEFORE`` before each offset on must exist, ``heads.SIZE`` of them."""
        # Overlapping pieces, one starting at every octet. Side by side, a word of all frames is read in a fraction of the time.
        pieces: NDArray[np.void] = np.ndarray((len(data) - _SIZE + 1,), f"V{_SIZE}", data, strides=(1,))
        words = pieces[offsets - BEFORE].view("<u8").reshape(-1, _SIZE // 8)
        self._mac, self._ip, self._source, self._ports, self._flags = (words[:, at].astype(np.uint64) for at in _READ)

    def tcp(self) -> Mask:
        """Which have the usual shape; the later fragments of a packet too."""
        odd = self._source >> np.uint64(8)
        odd ^= np.uint64(ip.TCP)
        odd |= self._ip ^ np.uint64(0x45)
        odd &= np.uint64(0xFF)
        odd |= (self._mac >> np.uint64(48)) ^ np.uint64(0x0008)
        tcp: Mask = odd == 0
        return tcp

    def flagged(self, flags: int) -> Mask:
        """Which have one of these flags."""
        flagged: Mask = self._flags & np.uint64(flags << 8) != 0
        return flagged

    def whole(self, at: Positions) -> Mask:
        """Which are no fragments."""
        whole: Mask = self._ip.take(at) & np.uint64(0xFF1F << 48) == 0
        return whole

    def total(self, at: Positions) -> NDArray[np.uint16]:
        """IP's total length."""
        return _swapped(self._ip.take(at) >> np.uint64(16), np.uint16)

    def headers(self, at: Positions) -> NDArray[np.uint16]:
        """Octets of the headers of IP and TCP."""
        return ((self._flags.take(at) >> np.uint64(2) & np.uint64(0x3C)) + np.uint64(20)).astype(np.uint16)

    def between(self, senders: Sequence[int], receivers: Sequence[int], macs: Sequence[int]) -> Mask:
        """Which are from one of the senders or of the MACs, or to one of the receivers."""
        result = columns.among(self._source >> np.uint64(32), [_turned(address, 4) for address in senders])
        if receivers:
            wanted = [_turned(address, 4) for address in receivers]
            result |= columns.among(self._ports & np.uint64(0xFFFFFFFF), wanted)
        if macs:
            wanted = [_turned(mac, 6) for mac in macs]
            result |= columns.among(self._mac & np.uint64(0xFFFFFFFFFFFF), wanted)
        return result

    def sources(self, at: Positions) -> NDArray[np.uint32]:
        """Addresses, as numbers."""
        return _swapped(self._source.take(at) >> np.uint64(32), np.uint32)

    def destinations(self, at: Positions) -> NDArray[np.uint32]:
        """The same."""
        return _swapped(self._ports.take(at), np.uint32)

    def ports(self, at: Positions) -> NDArray[np.uint32]:
        """Source port in the upper half, destination port in the lower."""
        return _swapped(self._ports.take(at) >> np.uint64(32), np.uint32)

    def macs(self, at: Positions) -> NDArray[np.uint64]:
        """Sources of the link layer, as ``columns.macs`` has them."""
        return _swapped(self._mac.take(at), np.uint64) >> np.uint64(16)


def _swapped(words: NDArray[np.uint64], kind: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """The lowest octets of each word as a big-endian number."""
    return words.astype(kind).byteswap()


def _turned(number: int, octets: int) -> int:
    return int.from_bytes(number.to_bytes(octets), "little")
