"""One block of a TPACKET_V3 ring as columns: where its frames begin, when they came, and from where.

Pure: octets in, arrays out, for any octets; the layout is linux/if_packet.h's. Sockets and mapped memory are ``ring``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

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

_BLOCK: Final = np.dtype(
    {
        "names": ["count", "first", "used", "first_second", "last_second"],
        "formats": [np.uint32] * 5,
        "offsets": [12, 16, 20, 32, 40],
        "itemsize": 48,
    }
)
"""struct tpacket_block_desc: num_pkts, offset_to_first_pkt, blk_len, ts_first_pkt, ts_last_pkt."""

_FRAME: Final = np.dtype(
    {
        "names": ["next", "second", "nano", "captured", "length", "status", "mac", "ifindex", "hardware", "kind"],
        "formats": [np.uint32] * 6 + [np.uint16, np.int32, np.uint16, np.uint8],
        "offsets": [0, 4, 8, 12, 16, 20, 24, 52, 56, 58],
        "itemsize": 64,
    }
)
"""struct tpacket3_hdr, then struct sockaddr_ll from octet 48. The kernel puts it at multiples of 8 in its block."""

_VLAN_VALID = np.uint32(1 << 4)
"""TP_STATUS_VLAN_VALID."""
_OUTGOING = 4
"""PACKET_OUTGOING."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The frames of a block in its order; row *i* of every column is one frame, its octets at ``offsets[i]`` of ``octets``."""

    octets: Octets
    """The block itself, which the kernel fills anew when it has it back; all else are copies."""
    offsets: Positions
    lengths: Positions
    """At most ``KEPT``."""
    original_lengths: Positions
    times: NDArray[np.int64]
    interfaces: NDArray[np.int32]
    """Interface indices."""
    hardware: NDArray[np.uint16]
    """ARPHRD_ numbers."""
    outgoing: NDArray[np.bool_]
    tagged: NDArray[np.bool_]
    """The kernel took a VLAN tag off."""

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, selection: NDArray[np.bool_]) -> Block:
        """The frames of a mask; the octets are shared."""
        if selection.all():
            return self
        return Block(self.octets, *(getattr(self, field.name)[selection] for field in fields(self)[1:]))

    def copied(self) -> Block:
        """With a copy of the frames in place of the block."""
        # Of the last frames fewer than KEPT octets may be left in the block: copied from further ahead, they begin later.
        missing = np.maximum(self.offsets - (len(self.octets) - KEPT), 0)
        octets = _gathered(self.octets, self.offsets - missing, 1, KEPT).view(np.uint8)
        return replace(self, octets=octets, offsets=np.arange(len(self)) * KEPT + missing)


def read_block(octets: Octets) -> Block:
    """Read a block. Frames that would lie outside of it are left out, and what follows them."""
    at = _positions(octets)
    heads = _gathered(octets, at, 8, _FRAME.itemsize).view(_FRAME)
    begin = at + heads["mac"]
    whole = (heads["mac"] >= _FRAME.itemsize) & (begin + heads["captured"] <= len(octets))
    if not whole.all():
        heads, begin = heads[whole], begin[whole]
    return Block(
        octets=octets,
        offsets=begin,
        lengths=np.minimum(heads["captured"], KEPT).astype(np.int64),
        original_lengths=heads["length"].astype(np.int64),
        times=heads["second"].astype(np.int64) * 1_000_000_000 + heads["nano"],
        interfaces=heads["ifindex"].copy(),
        hardware=heads["hardware"].copy(),
        outgoing=heads["kind"] == _OUTGOING,
        tagged=heads["status"] & _VLAN_VALID != 0,
    )


def _gathered(octets: Octets, at: Positions, step: int, size: int) -> NDArray[Any]:
    """``size`` octets from each position, which are multiples of ``step``: one copy for each frame, whatever its columns."""
    places = (len(octets) - size) // step + 1
    return np.ndarray((places,), f"V{size}", octets, strides=(step,))[at // step]


def _positions(octets: Octets) -> Positions:
    """Where the headers of the block's frames stand: each says how far it is to the next."""
    block = octets[: _BLOCK.itemsize].copy().view(_BLOCK)[0]
    if block["count"] > FEW:
        for shortcut in (_even, _marked):
            at = shortcut(octets, block)
            if at is not None:
                return at
    return _walked(octets, block)


def _even(octets: Octets, block: Any) -> Positions | None:
    """Where the headers stand if all frames are as long as the first, as in a flood; None if they are not."""
    first, count = int(block["first"]), int(block["count"])
    if first % 8 or not _BLOCK.itemsize <= first <= len(octets) - _FRAME.itemsize:
        return None
    words = octets.view(np.uint32)
    step = int(words[first // 4])
    if step % 8 or step < _FRAME.itemsize or first + (count - 1) * step > len(octets) - _FRAME.itemsize:
        return None
    at = first + step * np.arange(count)
    return at if (words[at[:-1] // 4] == step).all() else None


def _marked(octets: Octets, block: Any) -> Positions | None:
    """The same for frames of any lengths: wherever the second stands in which it was filled, a header may begin.

    None unless these places are a chain in which each leads to the next, from the first to the last of the block's count: then
    they are what a walk would find. What frames hold may look like a header, and then they are not.
    """
    low, high = block["first_second"], block["last_second"]
    if high < low:
        return None
    used = octets[: min(int(block["used"]), len(octets)) & ~7]
    at = np.flatnonzero(used.view(np.uint32)[1::2] - low <= high - low) * 8
    at = at[at <= len(octets) - _FRAME.itemsize]
    if len(at) != block["count"] or at[0] != block["first"]:
        return None
    follows = at + octets.view(np.uint32)[at // 4]
    return at if np.array_equal(follows[:-1], at[1:]) else None


def _walked(octets: Octets, block: Any) -> Positions:
    """The same step by step, for few frames and for those that look like headers."""
    words, last = octets.data.cast("I"), len(octets) - _FRAME.itemsize
    found: list[int] = []
    at = int(block["first"])
    for _ in range(int(block["count"])):
        if at % 8 or not _BLOCK.itemsize <= at <= last:
            break
        found.append(at)
        step = words[at // 4]
        if step < _FRAME.itemsize:
            # 0 in the last.
            break
        at += step
    return np.array(found, dtype=np.int64)
