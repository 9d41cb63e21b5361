"""Packet sockets opened by scapy that hear every interface through a kernel filter, and frames read from them one by one.

Which frames are wanted, and what becomes of them, is ``capture``'s.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import socket
import struct
import time
from typing import Any, Final, NamedTuple

from observer.wire.links import LinkType

LINK_TYPES: Final = {1: LinkType.ETHERNET, 772: LinkType.ETHERNET, 65534: LinkType.RAW, 519: LinkType.RAW}
"""ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE (tunnels), ARPHRD_RAWIP (linux/if_arp.h)."""

WHOLE: Final = 65535
"""More octets than a frame has."""

_PACKET_OUTGOING = 4
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35
_VLAN_VALID = 1 << 4
"""TP_STATUS_VLAN_VALID: the kernel took a VLAN tag off (linux/if_packet.h)."""
_RETURN = 0x06
"""BPF_RET | BPF_K: how many octets of the frame to keep, 0 to reject it."""


class Frame(NamedTuple):
    """A frame as the kernel handed it over."""

    octets: bytes
    time: int
    interface: str
    hardware: int
    """ARPHRD_ number."""
    outgoing: bool
    length: int
    """On the wire; the filter may have cut it."""


def open_everywhere(expression: str, buffer: int) -> Any:
    """A scapy socket on all interfaces, later ones too, with a kernel filter and a receive buffer of so many octets.

    Without CAP_NET_ADMIN the buffer is at most net.core.rmem_max. Raises OSError, and ImportError without libpcap.
    """
    # Imported here: it takes a third of a second and tens of megabytes, which a replay need not pay.
    from scapy.arch.linux import L2ListenSocket
    from scapy.config import conf
    from scapy.data import MANUFDB

    # The makers of network cards: 13 MB that no capture looks at.
    MANUFDB.d.clear()
    conf.bufsize = buffer
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    # Not promiscuous: nothing changes for the node.
    opened = L2ListenSocket(iface="lo", promisc=False, filter=expression)
    with contextlib.suppress(PermissionError):
        opened.ins.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
    opened.ins.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    everywhere = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0)
    # Python's own bind() asks for an interface name; sll_ifindex 0 means any interface (packet(7)).
    if ctypes.CDLL(None, use_errno=True).bind(opened.ins.fileno(), everywhere, len(everywhere)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    # What arrived while the socket was being set up is no loss.
    lost(opened.ins)
    return opened


def attach(packets: socket.socket, expression: str, octets: int = WHOLE) -> None:
    """Change the filter in one step, so that no frame is lost in between; passing frames are cut to so many octets."""
    from scapy.arch.common import compile_filter, free_filter

    program = compile_filter(expression, "lo")
    try:
        for index in range(program.bf_len):
            instruction = program.bf_insns[index]
            if instruction.code == _RETURN and instruction.k:
                instruction.k = octets
        fprog = struct.pack("HP", program.bf_len, ctypes.addressof(program.bf_insns.contents))
        packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
    finally:
        free_filter(program)


def receive(packets: socket.socket) -> Frame | None:
    """The next frame that waits, None for none. Raises OSError."""
    while True:
        try:
            octets, ancillary, _, (interface, _, direction, hardware, _) = packets.recvmsg(WHOLE, 128, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        at, status, length = 0, 0, len(octets)
        for level, kind, value in ancillary:
            if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
                status, length = struct.unpack_from("II", value)
            elif level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                whole, fraction = struct.unpack("qq", value)
                at = whole * 1_000_000_000 + fraction
        # The VLAN's own interface hands over the same frame without its tag.
        if not status & _VLAN_VALID:
            return Frame(octets, at or time.time_ns(), interface, hardware, direction == _PACKET_OUTGOING, length)


def lost(packets: socket.socket) -> int:
    """Frames that found no room since this was last asked."""
    _, count = struct.unpack("II", packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(count)
