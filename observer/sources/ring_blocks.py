"""One block of a TPACKET_V3 ring, as columns or frame by frame: where its frames begin, when they came, and from where.

Pure, and for any octets; the layout is linux/if_packet.h's. Sockets and mapped memory are ``ring``'s.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Octets = NDArray[np.uint8]
    Positions = NDArray[np.int64]

KEPT: Final = 128
"""Octets copied of each frame: link layer, tags, IPv6 with an extension header or two, and TCP's header."""

STATUS_AT: Final = 8
"""Where a block's status stands: TP_STATUS_USER while the block is ours."""

FEW: Final = 32
"""Frames up to which a block is walked frame by frame, which is then the faster way."""

_BLOCK: Final = struct.Struct("=12x3I8xI4xI")
"""struct tpacket_block_desc: num_pkts, offset_to_first_pkt, blk_len, ts_first_pkt, ts_last_pkt."""

HEAD: Final = np.dtype(
    {
        "names": ["next", "second", "nano", "captured", "length", "status", "mac", "ifindex", "hardware", "kind"],
        "formats": [np.uint32] * 6 + [np.uint16, np.int32, np.uint16, np.uint8],
        "offsets": [0, 4, 8, 12, 16, 20, 24, 52, 56, 58],
        "itemsize": 64,
    }
)
"""struct tpacket3_hdr, then struct sockaddr_ll from octet 48. The kernel puts it at multiples of 8 in its block."""

_FEW_HEADS: Final = struct.Struct("=4x3I4xIH26xiH")
"""Of the same: second, nano, captured, status, mac, ifindex, hardware."""

_VLAN_VALID = 1 << 4
"""TP_STATUS_VLAN_VALID."""
OUTGOING = 4
"""PACKET_OUTGOING."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The frames of a block in its order; row *i* of every column is one frame, its octets at ``offsets[i]`` of ``octets``."""

    octets: Octets
    """The block itself, which the kernel fills anew when it has it back; all else are copies."""
    offsets: Positions
    heads: NDArray[Any]
    """Of type ``HEAD``: what the kernel says of each frame."""

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def lengths(self) -> Positions:
        """Octets of each frame, at most ``KEPT``."""
        lengths: Positions = np.minimum(self.heads["captured"], KEPT).astype(np.int64)
        return lengths

    @property
    def original_lengths(self) -> Positions:
        """Octets on the wire."""
        return self.heads["length"].astype(np.int64)

    @property
    def times(self) -> NDArray[np.int64]:
        """Nanoseconds since the epoch."""
        times: NDArray[np.int64] = self.heads["second"].astype(np.int64) * 1_000_000_000 + self.heads["nano"]
        return times

    @property
    def interfaces(self) -> NDArray[np.int32]:
        """Interface indices."""
        return self.heads["ifindex"].copy()

    @property
    def hardware(self) -> NDArray[np.uint16]:
        """ARPHRD_ numbers."""
        return self.heads["hardware"].copy()

    @property
    def outgoing(self) -> NDArray[np.bool_]:
        """Sent by this node."""
        outgoing: NDArray[np.bool_] = self.heads["kind"] == OUTGOING
        return outgoing

    @property
    def tagged(self) -> NDArray[np.bool_]:
        """The kernel took a VLAN tag off."""
        tagged: NDArray[np.bool_] = self.heads["status"] & np.uint32(_VLAN_VALID) != 0
        return tagged

    def rows(self, selection: NDArray[np.bool_]) -> Block:
        """The frames of a mask; the octets are shared."""
        return self if selection.all() else Block(self.octets, self.offsets[selection], self.heads[selection])

    def copied(self) -> Block:
        """With a copy of the frames in place of the block."""
        # Of the last frames fewer than KEPT octets may be left in the block: copied from further ahead, they begin later.
        missing = np.maximum(self.offsets - (len(self.octets) - KEPT), 0)
        octets = _gathered(self.octets, self.offsets - missing, 1, KEPT).view(np.uint8)
        return Block(octets, np.arange(len(self)) * KEPT + missing, self.heads)


class Placed(NamedTuple):
    """A frame of a block: one row of a ``Block``, with its offset as ``at`` and its length as ``captured``."""

    at: int
    captured: int
    time: int
    interface: int
    hardware: int
    tagged: bool


class _Descriptor(NamedTuple):
    """What a block says of itself."""

    frames: int
    first: int
    used: int
    first_second: int
    last_second: int


def read_block(octets: Octets) -> Block:
    """Read a block. Frames that would lie outside of it are left out, and what follows them."""
    at = _positions(octets)
    heads = _gathered(octets, at, 8, HEAD.itemsize).view(HEAD)
    begin = at + heads["mac"]
    whole = (heads["mac"] >= HEAD.itemsize) & (begin + heads["captured"] <= len(octets))
    return Block(octets, begin, heads).rows(whole)


def read_few(octets: Octets) -> list[Placed] | None:
    """The same frame by frame, which is the faster way for a few; None for more."""
    block = _Descriptor(*_BLOCK.unpack_from(octets.data))
    if block.frames > FEW:
        return None
    found: list[Placed] = []
    for at in _steps(octets, block):
        second, nano, captured, status, mac, interface, hardware = _FEW_HEADS.unpack_from(octets.data, at)
        if mac >= HEAD.itemsize and at + mac + captured <= len(octets):
            time = second * 1_000_000_000 + nano
            found.append(Placed(at + mac, min(captured, KEPT), time, interface, hardware, bool(status & _VLAN_VALID)))
    return found


def _gathered(octets: Octets, at: Positions, step: int, size: int) -> NDArray[Any]:
    """``size`` octets from each position, which are multiples of ``step``: one copy for each frame, whatever its columns."""
    places = (len(octets) - size) // step + 1
    return np.ndarray((places,), f"V{size}", octets, strides=(step,))[at // step]


def _positions(octets: Octets) -> Positions:
    """Where the headers of the block's frames stand: each says how far it is to the next."""
    block = _Descriptor(*_BLOCK.unpack_from(octets.data))
    if block.frames > FEW:
        for shortcut in (_even, _marked):
            at = shortcut(octets, block)
            if at is not None:
                return at
    return _walked(octets, block)


def _even(octets: Octets, block: _Descriptor) -> Positions | None:
    """Where the headers stand if all frames are as long as the first, as in a flood; None if they are not."""
    first, count = block.first, block.frames
    if first % 8 or not _BLOCK.size <= first <= len(octets) - HEAD.itemsize:
        return None
    words = octets.view(np.uint32)
    step = int(words[first // 4])
    if step % 8 or step < HEAD.itemsize or first + (count - 1) * step > len(octets) - HEAD.itemsize:
        return None
    at = first + step * np.arange(count)
    return at if (words[at[:-1] // 4] == step).all() else None


def _marked(octets: Octets, block: _Descriptor) -> Positions | None:
    """The same for frames of any lengths: wherever the second stands in which it was filled, a header may begin.

    None unless these places are a chain in which each leads to the next, from the first to the last of the block's count: then
    they are what a walk would find. What frames hold may look like a header, and then they are not.
    """
    low, high = np.uint32(block.first_second), np.uint32(block.last_second)
    if high < low:
        return None
    used = octets[: min(block.used, len(octets)) & ~7]
    at = np.flatnonzero(used.view(np.uint32)[1::2] - low <= high - low) * 8
    at = at[at <= len(octets) - HEAD.itemsize]
    if len(at) != block.frames or at[0] != block.first:
        return None
    follows = at + octets.view(np.uint32)[at // 4]
    return at if np.array_equal(follows[:-1], at[1:]) else None


def _walked(octets: Octets, block: _Descriptor) -> Positions:
    return np.array(_steps(octets, block), dtype=np.int64)


def _steps(octets: Octets, block: _Descriptor) -> list[int]:
    """The same step by step, for few frames and for those that look like headers."""
    words, last = octets.data.cast("I"), len(octets) - HEAD.itemsize
    found: list[int] = []
    at = block.first
    for _ in range(block.frames):
        if at % 8 or not _BLOCK.size <= at <= last:
            break
        found.append(at)
        step = words[at // 4]
        if step < HEAD.itemsize:
            # 0 in the last.
            break
        at += step
    return found
