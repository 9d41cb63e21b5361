"""A memory-mapped ring on a packet socket (TPACKET_V3, packet(7)): many frames for one wake-up, none copied by a system call.

Blocks are taken in the kernel's order, and handed back when what they hold was read, which is for ``ring_blocks``.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from observer.sources.ring_blocks import STATUS_AT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observer.sources.ring_blocks import Octets

BLOCK: Final = 1 << 20
"""Octets of a block: 7,700 resets, enough for arrays to be fast, few enough for the processor's cache."""

BLOCKS: Final = 8
"""7 blocks wait while the kernel fills one: 50 ms of a million frames a second. The whole ring counts as resident memory."""

TIMEOUT: Final = 60
"""Milliseconds after which the kernel hands over a block that is not full: well within the hold-back, and few wake-ups."""

_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V1, _TPACKET_V3 = 0, 2
_USER = 1
_FRAME_SIZE = 2048
"""Means nothing in TPACKET_V3 (frames are packed), but is checked."""


class Ring:
    """The blocks of one socket. Raises OSError where the kernel gives no ring; the socket is then as it was."""

    def __init__(self, packets: socket.socket) -> None:
        self._packets = packets
        packets.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        try:
            frames = BLOCKS * BLOCK // _FRAME_SIZE
            request = struct.pack("7I", BLOCK, BLOCKS, _FRAME_SIZE, frames, TIMEOUT, 0, 0)
            packets.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
            try:
                self._memory = mmap.mmap(packets.fileno(), BLOCK * BLOCKS)
            except (OSError, ValueError):
                packets.setsockopt(_SOL_PACKET, _PACKET_RX_RING, bytes(28))
                raise
        except OSError:
            packets.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V1)
            raise
        self._octets = np.frombuffer(self._memory, np.uint8).reshape(BLOCKS, BLOCK)
        self._status = self._octets[:, STATUS_AT : STATUS_AT + 4].view(np.uint32)[:, 0]
        self._next = 0

    @property
    def ready(self) -> bool:
        """Whether a block waits; the socket is readable then."""
        return bool(self._status[self._next] & _USER)

    def blocks(self) -> Iterator[Octets]:
        """Blocks that are ready now, at most all of the ring; each is the kernel's again when the next one is asked for."""
        for _ in range(BLOCKS):
            if not self.ready:
                return
            yield self._octets[self._next]
            self._status[self._next] = 0
            self._next = (self._next + 1) % BLOCKS

    def check(self) -> None:
        """Raises OSError if an error is why the socket was readable."""
        if error := self._packets.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))

    def lost(self) -> int:
        """Frames that found no room since this was last asked."""
        _, lost, _ = struct.unpack("III", self._packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))
        return int(lost)
