"""Frames of this node's interfaces, from two packet sockets opened by scapy: the rare road and the wide road.

Both sockets see every interface, incoming and outgoing; kernel filters let through only what belongs on their road, so other
traffic costs the process nothing. Adverts, ARP and ND have a socket of their own and are not lost because of a flood.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select as polling
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from observer.model.errors import SourceError
from observer.model.observations import FramesLost, SourceChange, SourceState
from observer.wire.frames import FrameDecoder
from observer.wire.links import LinkType
from observer.wire.tcp import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from observer.model.observations import Observation

    FrameSeen = Callable[[int, str, int, bytes, bool, int], None]
    """Time, interface, link type, octets, outgoing, length on the wire."""

RARE = (
    "ip proto 112 or ip proto 51 or ip6 proto 112 or ip6 proto 51 or arp"
    " or (icmp[0] = 3 and icmp[1] = 2) or (icmp6 and (ip6[40] = 135 or ip6[40] = 136 or ip6[40] = 4))"
)
"""VRRP, AH, ARP, ND solicitations and advertisements (RFC 4861 4.3, 4.4), and ICMP of hosts that do not take VRRP."""

NOTHING = "less 1"
"""A filter that no frame passes: while no virtual address is known, no segment is of interest."""

HOSTS = 64
"""Addresses named in the kernel filter; with more, segments of all addresses pass and are chosen afterwards."""

RING = 4 << 20
"""Receive buffer asked for, in bytes; the kernel grants net.core.rmem_max without CAP_NET_ADMIN."""

BATCH = 4096
"""Segments handed over at once."""

LINGER = 0.05
"""Seconds for which segments are collected before they are handed over."""

_PACKET_OUTGOING = 4
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_SO_TIMESTAMPNS = 35
_VLAN_VALID = 1 << 4
"""TP_STATUS_VLAN_VALID: the kernel took a VLAN tag off (linux/if_packet.h)."""
_LINK_TYPES = {1: LinkType.ETHERNET, 772: LinkType.ETHERNET, 65534: LinkType.RAW, 519: LinkType.RAW}
"""ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE (tunnels), ARPHRD_RAWIP (linux/if_arp.h)."""

_Frame = tuple[bytes, int, int, str, bool, int]
"""Octets, time, link type, interface, outgoing, length on the wire."""


def segments_filter(addresses: Iterable[str]) -> str:
    """The kernel filter for TCP control segments from or to the given addresses."""
    hosts = sorted(addresses)
    if not hosts:
        return NOTHING
    control = "((ip and tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0) or (ip6 and ip6[6] = 6 and ip6[53] & 7 != 0))"
    if len(hosts) > HOSTS:
        return control
    return f"{control} and ({' or '.join(f'host {address}' for address in hosts)})"


class Capture:
    """Two threads, one for each road; what they decode goes to ``deliver``."""

    def __init__(
        self,
        node: str,
        deliver: Callable[[Observation], None],
        watching: Callable[[str], bool],
        *,
        frame_seen: FrameSeen | None = None,
        keep_frames: bool = False,
    ) -> None:
        """``frame_seen`` gets every frame of the rare road before it is decoded, in that road's thread; it must not block.

        With ``keep_frames`` the segments carry theirs (``TcpSegments.frames``).
        """
        self._frame_seen = frame_seen
        self._keep_frames = keep_frames
        self._node = node
        self._deliver = deliver
        self._watching = watching
        self._decoder = FrameDecoder()
        self._filter = NOTHING
        self._stopped = False
        self._rare: Any = None
        self._wide: Any = None

    def start(self) -> None:
        """Open both sockets and begin. Raises SourceError, in one line, without the right to capture."""
        try:
            self._rare, self._wide = _open(RARE), _open(NOTHING)
        except PermissionError as error:
            raise SourceError("capture: not permitted; run as root or grant CAP_NET_RAW") from error
        except ImportError as error:
            raise SourceError("capture: libpcap is missing, which compiles the kernel's filter; install libpcap0.8") from error
        except OSError as error:
            raise SourceError(f"capture: {error}") from error
        for name, work in (("adverts", self._rare_road), ("segments", self._wide_road)):
            self._tell(name, SourceState.STARTED)
            threading.Thread(target=self._guarded, args=(name, work), name=name, daemon=True).start()

    def follow(self, addresses: Iterable[str]) -> None:
        """Let the wide road's kernel filter follow the addresses of interest."""
        wanted = segments_filter(addresses)
        if wanted != self._filter and self._wide is not None:
            _filter(self._wide, wanted)
            self._filter = wanted

    def stop(self) -> None:
        """Let the threads end and close the sockets."""
        self._stopped = True
        for road in (self._rare, self._wide):
            if road is not None:
                road.close()

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, ValueError) as error:
            if not self._stopped:
                self._tell(name, SourceState.FAILED, str(error))

    def _rare_road(self) -> None:
        checked = time.monotonic()
        while not self._stopped:
            frame = _receive(self._rare.ins, 1.0)
            if frame is not None and self._watching(frame[3]):
                octets, at, linktype, interface, outgoing, length = frame
                if self._frame_seen is not None:
                    self._frame_seen(at, interface, linktype, octets, outgoing, length)
                observation = self._decoder.decode(
                    time=at, node=self._node, interface=interface, linktype=linktype, frame=octets, outgoing=outgoing
                )
                if observation is not None:
                    self._deliver(observation)
            if time.monotonic() - checked >= 1:
                checked = time.monotonic()
                self._losses("adverts", self._rare.ins)

    def _wide_road(self) -> None:
        checked = time.monotonic()
        while not self._stopped:
            frame = _receive(self._wide.ins, 1.0)
            if frame is not None:
                frames, end = [frame], time.monotonic() + LINGER
                while len(frames) < BATCH and (left := end - time.monotonic()) > 0:
                    frame = _receive(self._wide.ins, left)
                    if frame is not None:
                        frames.append(frame)
                self._columns(frames)
            if time.monotonic() - checked >= 1:
                checked = time.monotonic()
                self._losses("segments", self._wide.ins)

    def _columns(self, frames: list[_Frame]) -> None:
        kinds: dict[tuple[int, str], list[_Frame]] = {}
        for frame in frames:
            if self._watching(frame[3]):
                kinds.setdefault((frame[2], frame[3]), []).append(frame)
        for (linktype, interface), batch in kinds.items():
            lengths = np.array([len(frame[0]) for frame in batch], dtype=np.int64)
            selection = select(
                node=self._node,
                interface=interface,
                linktype=linktype,
                data=np.frombuffer(b"".join(frame[0] for frame in batch), dtype=np.uint8),
                offsets=np.cumsum(lengths) - lengths,
                lengths=lengths,
                times=np.array([frame[1] for frame in batch], dtype=np.int64),
                data_segments=False,
            )
            if selection.segments is not None:
                self._deliver(selection.segments)

    def _losses(self, name: str, packets: socket.socket) -> None:
        _, lost = struct.unpack("II", packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        if lost:
            self._deliver(FramesLost(time=time.time_ns(), node=self._node, source=name, count=lost))

    def _tell(self, source: str, state: SourceState, detail: str = "") -> None:
        self._deliver(SourceChange(time=time.time_ns(), node=self._node, source=source, state=state, detail=detail))


def _open(expression: str) -> Any:
    """A scapy socket on all interfaces with a kernel filter."""
    # Imported here: it takes a third of a second and tens of megabytes, which a replay need not pay.
    from scapy.arch.linux import L2ListenSocket
    from scapy.config import conf

    conf.bufsize = RING
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    # Not promiscuous: nothing changes for the node. Bound to no interface it hears them all, later ones too.
    opened = L2ListenSocket(iface="lo", promisc=False, filter=expression)
    opened.ins.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    everywhere = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0)
    # Python's own bind() asks for an interface name; sll_ifindex 0 means any interface (packet(7)).
    if ctypes.CDLL(None, use_errno=True).bind(opened.ins.fileno(), everywhere, len(everywhere)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    # What arrived while the socket was being set up is no loss.
    opened.ins.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
    return opened


def _filter(opened: Any, expression: str) -> None:
    from scapy.arch.linux import attach_filter

    attach_filter(opened.ins, expression, "lo")


def _receive(packets: socket.socket, timeout: float) -> _Frame | None:
    """One frame of interest, or None after ``timeout`` seconds and for frames that are another interface's."""
    if not polling.select([packets], [], [], timeout)[0]:
        return None
    with contextlib.suppress(BlockingIOError):
        octets, ancillary, _, (interface, _, direction, hardware, _) = packets.recvmsg(65535, 128)
        at, length = 0, len(octets)
        for level, kind, value in ancillary:
            if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
                status, length = struct.unpack_from("II", value)
                if status & _VLAN_VALID:
                    # The VLAN's own interface hands over the same frame without its tag.
                    return None
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                whole, fraction = struct.unpack("qq", value)
                at = whole * 1_000_000_000 + fraction
        linktype = _LINK_TYPES.get(hardware)
        if linktype is None:
            return None
        return octets, at or time.time_ns(), linktype, interface, direction == _PACKET_OUTGOING, length
    return None
