"""Frames of this node's interfaces on their three roads: adverts, ARP and ND, and TCP control segments.

Kernel filters let through only what belongs on a road, so other traffic costs the process nothing. Adverts have a socket of their
own, ARP and ND another, so that a flood of neither TCP nor ARP pushes an advert out. TCP is the wide road: it comes through a
memory-mapped ring (``ring``) as columns, or from a plain socket where the kernel gives no ring.
"""

from __future__ import annotations

import os
import select as polling
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from observer.model.errors import SourceError
from observer.model.observations import FramesLost, SourceChange, SourceState
from observer.model.segments import Frames
from observer.model.time import SECOND
from observer.sources import packet_socket
from observer.sources.packet_socket import LINK_TYPES
from observer.sources.ring import Ring
from observer.sources.ring_blocks import FEW, HEAD, KEPT, OUTGOING, Block, read_block, read_few
from observer.wire import few
from observer.wire.frames import FrameDecoder
from observer.wire.tcp import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from observer.model.observations import Observation
    from observer.sources.packet_socket import Frame
    from observer.sources.ring_blocks import Octets

    FrameSeen = Callable[[int, str, int, bytes, bool, int], None]
    """Time, interface, link type, octets, outgoing, length on the wire."""

ADVERTS = (
    "ip proto 112 or ip proto 51 or ip6 proto 112 or ip6 proto 51 or (icmp[0] = 3 and icmp[1] = 2) or (icmp6 and ip6[40] = 4)"
)
"""VRRP, AH, and ICMP of hosts that do not take VRRP."""

NEIGHBOURS = (
    "arp or (icmp6 and (ip6[40] = 135 or ip6[40] = 136)) or igmp"
    " or (ip6[6] = 0 and ip6[40] = 58 and (ip6[48] = 132 or ip6[48] = 143))"
)
"""ARP, ND solicitations and advertisements (RFC 4861 4.3, 4.4), and reports of groups (MLD: RFC 3810 5)."""

NOTHING = "less 1"
"""A filter that no frame passes: while no virtual address is known, no segment is of interest."""

HOSTS = 64
"""Addresses named in the kernel filter; with more, segments of all addresses pass and are chosen afterwards."""

BUFFER = 4 << 20
"""Octets of receive buffer for a road: 2,000 adverts at least, where it is granted."""

BURST = 64
"""Frames of a rare road handled before others get their turn."""

PAUSE = 0.01
"""Seconds of that turn: of a flood on a rare road 6,400 frames a second are handled, and the rest is counted as lost."""

LINGER = 0.05
"""Seconds for which segments of a plain socket are collected before they are handed over."""

BATCH = 4096
"""Segments of a plain socket handed over at once."""

JOIN = 2.0
"""Seconds that a thread has to end in."""

CHECK = 1.0
"""Seconds between two looks at what was lost, while frames come."""


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
    """A thread for each road; what they decode goes to ``deliver``."""

    def __init__(
        self,
        node: str,
        deliver: Callable[[Observation], None],
        watching: Callable[[str], bool],
        *,
        frame_seen: FrameSeen | None = None,
        keep_frames: bool = False,
    ) -> None:
        """``frame_seen`` gets every frame of a rare road before it is decoded, in that road's thread; it must not block.

        With ``keep_frames`` the segments carry theirs (``TcpSegments.frames``).
        """
        self._node = node
        self._deliver = deliver
        self._watching = watching
        self._frame_seen = frame_seen
        self._keep_frames = keep_frames
        self._decoder = FrameDecoder()
        self._filter = NOTHING
        self._stopped = False
        self._wide: Any = None
        self._opened: list[Any] = []
        self._threads: list[threading.Thread] = []
        self._wake = os.eventfd(0)
        """Readable from when the threads should end."""

    def start(self) -> None:
        """Open the sockets and begin. Raises SourceError, in one line, without the right to capture."""
        try:
            adverts, neighbours, self._wide = (self._open(expression) for expression in (ADVERTS, NEIGHBOURS, NOTHING))
        except PermissionError as error:
            raise SourceError("capture: not permitted; run as root or grant CAP_NET_RAW") from error
        except ImportError as error:
            raise SourceError("capture: libpcap is missing, which compiles the kernel's filter; install libpcap0.8") from error
        except OSError as error:
            raise SourceError(f"capture: {error}") from error
        self._road("adverts", self._rare_road, adverts.ins)
        self._road("neighbours", self._rare_road, neighbours.ins)
        try:
            ring = Ring(self._wide.ins)
        except (OSError, ValueError) as error:
            detail = f"no ring from this kernel ({error}): segments are read one by one, and fewer a second"
            self._road("segments", self._plain_road, self._wide.ins, detail)
        else:
            self._road("segments", self._wide_road, ring)

    def follow(self, addresses: Iterable[str]) -> None:
        """Let the wide road's kernel filter follow the addresses of interest."""
        wanted = segments_filter(addresses)
        if wanted != self._filter and self._wide is not None:
            packet_socket.attach(self._wide.ins, wanted, KEPT)
            self._filter = wanted

    def stop(self) -> None:
        """Let the threads end and close the sockets."""
        self._stopped = True
        os.eventfd_write(self._wake, 1)
        for thread in self._threads:
            thread.join(JOIN)
        for opened in self._opened:
            opened.close()
        os.close(self._wake)

    def _open(self, expression: str) -> Any:
        self._opened.append(packet_socket.open_everywhere(expression, BUFFER))
        return self._opened[-1]

    def _road(self, name: str, work: Callable[[str, Any], None], source: Any, detail: str = "") -> None:
        self._tell(name, SourceState.STARTED, detail)
        self._threads.append(threading.Thread(target=self._guarded, args=(name, work, source), name=name, daemon=True))
        self._threads[-1].start()

    def _guarded(self, name: str, work: Callable[[str, Any], None], source: Any) -> None:
        try:
            work(name, source)
        except (OSError, ValueError) as error:
            if not self._stopped:
                self._tell(name, SourceState.FAILED, str(error))

    def _rare_road(self, name: str, packets: socket.socket) -> None:
        losses = _Losses(lambda: packet_socket.lost(packets), lambda count: self._lost(name, count))
        while not self._stopped:
            if came := self._readable(packets, losses.patience):
                for _ in range(BURST):
                    frame = packet_socket.receive(packets)
                    if frame is None:
                        break
                    self._rare(frame)
                else:
                    time.sleep(PAUSE)
            losses.look(came=came)

    def _rare(self, frame: Frame) -> None:
        linktype = LINK_TYPES.get(frame.hardware)
        if linktype is None or not self._watching(frame.interface):
            return
        if self._frame_seen is not None:
            self._frame_seen(frame.time, frame.interface, linktype, frame.octets, frame.outgoing, frame.length)
        observation = self._decoder.decode(
            time=frame.time,
            node=self._node,
            interface=frame.interface,
            linktype=linktype,
            frame=frame.octets,
            original_length=frame.length,
            outgoing=frame.outgoing,
        )
        if observation is not None:
            self._deliver(observation)

    def _wide_road(self, name: str, ring: Ring) -> None:
        losses = _Losses(ring.lost, lambda count: self._lost(name, count))
        while not self._stopped:
            came = ring.ready or self._readable(self._wide.ins, losses.patience)
            if came and not ring.ready:
                ring.check()
            for octets in ring.blocks():
                self._block(octets)
            losses.look(came=came)

    def _plain_road(self, name: str, packets: socket.socket) -> None:
        losses = _Losses(lambda: packet_socket.lost(packets), lambda count: self._lost(name, count))
        while not self._stopped:
            came = self._readable(packets, losses.patience)
            frames: list[Frame] = []
            if came:
                end = time.monotonic() + LINGER
                while len(frames) < BATCH and (left := end - time.monotonic()) > 0:
                    frame = packet_socket.receive(packets)
                    if frame is not None:
                        frames.append(frame)
                    else:
                        self._readable(packets, left)
            if frames:
                block, names = _block(frames)
                self._segments(block, names.__getitem__)
            losses.look(came=came)

    def _block(self, octets: Octets) -> None:
        """Hand over the segments of a block of the ring, whichever way is the faster for it."""
        found = None if self._keep_frames else self._few(octets)
        if found is None:
            block = read_block(octets)
            self._segments(block.copied() if self._keep_frames else block, _interface)
            return
        for name, segments in found:
            self._deliver(few.columns(self._node, name, segments))

    def _few(self, octets: Octets) -> list[tuple[str, list[few.Segment]]] | None:
        """The segments of each interface; None for a block of many frames, or of a frame of no usual shape."""
        placed = read_few(octets)
        if placed is None:
            return None
        alike: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for frame in placed:
            if not frame.tagged:
                alike.setdefault((frame.interface, frame.hardware), []).append((frame.time, frame.at, frame.captured))
        found: list[tuple[str, list[few.Segment]]] = []
        for (index, hardware), frames in sorted(alike.items()):
            name = _interface(index)
            linktype = LINK_TYPES.get(hardware)
            if linktype is None or not self._watching(name):
                continue
            segments = few.segments(linktype, octets.data, frames)
            if segments is None:
                return None
            if segments:
                found.append((name, segments))
        return found

    def _segments(self, block: Block, name_of: Callable[[int], str]) -> None:
        """Hand over the segments of a block, those of each interface together."""
        # The VLAN's own interface hands over the same frame without its tag.
        block = block.rows(~block.tagged)
        for index in _distinct(block.interfaces):
            name = name_of(index)
            if self._watching(name):
                here = block.rows(block.interfaces == index)
                for hardware in _distinct(here.hardware):
                    self._select(here.rows(here.hardware == hardware), hardware, name)

    def _select(self, block: Block, hardware: int, interface: str) -> None:
        linktype = LINK_TYPES.get(hardware)
        if linktype is None:
            return
        selection = select(
            node=self._node,
            interface=interface,
            linktype=linktype,
            data=block.octets,
            offsets=block.offsets,
            lengths=block.lengths,
            times=block.times,
            data_segments=False,
        )
        segments = selection.segments
        if segments is not None and self._keep_frames:
            segments = replace(segments, frames=_frames(block, linktype).rows(selection.chosen))
        if segments is not None:
            self._deliver(segments)

    def _readable(self, packets: socket.socket, seconds: float | None) -> bool:
        """Wait until frames came, the time is over, or the capture is stopped."""
        return packets.fileno() in polling.select([packets.fileno(), self._wake], [], [], seconds)[0]

    def _lost(self, source: str, count: int) -> None:
        self._deliver(FramesLost(time=time.time_ns(), node=self._node, source=source, count=count))

    def _tell(self, source: str, state: SourceState, detail: str = "") -> None:
        self._deliver(SourceChange(time=time.time_ns(), node=self._node, source=source, state=state, detail=detail))


class _Losses:
    """Asks for a road's losses, a moment after frames came and not while there is nothing to ask for."""

    def __init__(self, ask: Callable[[], int], tell: Callable[[int], None]) -> None:
        self._ask, self._tell = ask, tell
        self._looked = time.monotonic()
        self._due = False

    @property
    def patience(self) -> float | None:
        """Seconds to wait for the next frame; None for as long as it takes."""
        return CHECK if self._due else None

    def look(self, *, came: bool) -> None:
        """Tell what was lost, if it is time; ``came``: frames did."""
        self._due |= came
        if self._due and (now := time.monotonic()) - self._looked >= CHECK:
            self._looked, self._due = now, False
            if count := self._ask():
                self._tell(count)


def _distinct(values: NDArray[Any]) -> list[int]:
    """The values that occur; mostly one."""
    if len(values) <= FEW:
        return sorted(set(values.tolist()))
    if (values == values[0]).all():
        return [int(values[0])]
    found: list[int] = np.unique(values).tolist()
    return found


def _interface(index: int) -> str:
    """The name of an interface, empty when it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def _block(frames: list[Frame]) -> tuple[Block, list[str]]:
    """Frames read one by one as a block of the ring would hold them, and the interfaces by the index that they have there."""
    names = list({frame.interface: None for frame in frames})
    lengths = np.array([len(frame.octets) for frame in frames], dtype=np.int64)
    heads = np.zeros(len(frames), HEAD)
    heads["second"], heads["nano"] = np.divmod([frame.time for frame in frames], SECOND)
    heads["captured"], heads["length"] = lengths, [frame.length for frame in frames]
    heads["ifindex"] = [names.index(frame.interface) for frame in frames]
    heads["hardware"] = [frame.hardware for frame in frames]
    heads["kind"] = [OUTGOING * frame.outgoing for frame in frames]
    octets = np.frombuffer(b"".join(frame.octets for frame in frames), dtype=np.uint8)
    return Block(octets, np.cumsum(lengths) - lengths, heads), names


def _frames(block: Block, linktype: int) -> Frames:
    return Frames(
        octets=block.octets,
        offsets=block.offsets,
        lengths=block.lengths,
        original_lengths=block.original_lengths,
        linktype=linktype,
        outgoing=block.outgoing,
    )
