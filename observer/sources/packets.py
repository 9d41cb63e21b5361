"""The numbers of frames in capture files, as Wireshark counts them, for the times that a report tells of.

Read in a pass of its own, after the replay and only where somebody asks: reading for verdicts drops most frames early, in any
order of processes, and live there are no numbers. What cannot be read again (standard input, a pipe) has none.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from observer.model.observations import Advert
from observer.model.packets import Packet, PacketKind, Packets
from observer.model.segments import TcpSegments
from observer.model.time import SECOND
from observer.sources import recording
from observer.sources.pcap import FrameBatch, read_capture
from observer.wire import journal
from observer.wire.frames import FrameDecoder
from observer.wire.links import supported
from observer.wire.tcp import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from observer.model.packets import Wanted
    from observer.sources.census import Census

AT_ONE_TIME = 16
"""Frames of one time that are kept: a capture may say that all are of one."""


def located(
    censuses: Iterable[Census],
    wanted: Wanted,
    ahead: Mapping[str, int],
    progress: Callable[[str, int], None] = lambda *_: None,
) -> Packets:
    """Where the frames of these times stand in the captures; ``ahead`` is by how much a node's clock was put right.

    ``progress`` is told a path and how many bytes of it are read. Raises SourceError.
    """
    found = Packets()
    for census in censuses:
        if not recording.repeatable(census.path):
            continue
        found.files.append((census.node, census.path))
        search = _Search(found, wanted, census, ahead.get(census.node, 0))
        if recording.head(census.path) is not None:
            search.recording()
        else:
            search.capture(partial(progress, census.path))
    return found


class _Search:
    """Looks through one file."""

    def __init__(self, found: Packets, wanted: Wanted, census: Census, ahead: int) -> None:
        self._path, self._node, self._ahead = census.path, census.node, ahead
        self._wanted = wanted
        self._times = np.array(sorted(wanted.times), dtype=np.int64)
        self._starts = sorted(wanted.seconds)
        self._seconds = np.array(self._starts, dtype=np.int64)
        self._packets = found.by_time.setdefault(census.node, {})
        self._spans = found.spans.setdefault(census.node, {})
        self._decoder = FrameDecoder()
        self._earlier = set(self._packets)
        """What recordings of one node both hold counts in the first."""

    def capture(self, progress: Callable[[int], None]) -> None:
        """A capture, batch by batch."""
        for item in read_capture(self._path, progress=progress):
            if not isinstance(item, FrameBatch):
                continue
            times = item.times - self._ahead
            for row in self._meant(times).tolist():
                octets = item.data[int(item.offsets[row]) : int(item.offsets[row]) + int(item.lengths[row])].tobytes()
                original = int(item.heads.originals(slice(row, row + 1))[0])
                self._frame(int(times[row]), item.number + row, item.linktype, octets, original)
            self._count(times, item.number)

    def recording(self) -> None:
        """A recording, frame by frame and entry by entry."""
        parts: list[str] = []
        for number, item in enumerate(recording.items(self._path), 1):
            if not isinstance(item, dict):
                time = item.time - self._ahead
                self._single(time, number)
                if time in self._wanted.times:
                    self._frame(time, number, item.interface.linktype, item.octets, item.original)
            elif recording.STATE in item:
                continue
            elif journal.COLUMNS in item:
                place, _, count = item.get("OBSERVER_PART", "1/1").partition("/")
                parts.append(item[journal.COLUMNS])
                if place == count:
                    self._segments(number, {**item, journal.COLUMNS: "".join(parts)})
                    parts = []
            elif journal.OBSERVATION in item and item.get("VRRP_TIME", "").isdecimal():
                time = int(item["VRRP_TIME"]) - self._ahead
                self._single(time, number)
                if time in self._wanted.times:
                    self._keep(time, Packet(self._path, number, PacketKind.ENTRY))

    def _segments(self, number: int, fields: Mapping[str, str]) -> None:
        """Columns of segments, all in one entry."""
        try:
            observation = journal.from_fields(fields)
        except ValueError:
            return
        if isinstance(observation, TcpSegments):
            times = observation.times - self._ahead
            self._count(times, np.full(len(times), number))
            for time in np.unique(times[self._meant(times)]).tolist():
                self._keep(time, Packet(self._path, number, PacketKind.CONTROL))

    def _frame(self, time: int, number: int, linktype: int, octets: bytes, original: int) -> None:
        if not supported(linktype):
            return
        rare = self._decoder.decode(
            time=time, node=self._node, interface=None, linktype=linktype, frame=octets, original_length=original
        )
        kind = PacketKind.OTHER
        if rare is not None:
            kind = PacketKind.ADVERT if isinstance(rare, Advert) else PacketKind.RARE
        elif self._control(time, linktype, octets):
            kind = PacketKind.CONTROL
        self._keep(time, Packet(self._path, number, kind, rare.router if isinstance(rare, Advert) else None))

    def _control(self, time: int, linktype: int, octets: bytes) -> bool:
        chosen = select(
            node=self._node,
            interface=None,
            linktype=linktype,
            data=np.frombuffer(octets, dtype=np.uint8),
            offsets=np.zeros(1, np.int64),
            lengths=np.array([len(octets)], dtype=np.int64),
            times=np.array([time], dtype=np.int64),
            data_segments=False,
        )
        return chosen.segments is not None

    def _keep(self, time: int, packet: Packet) -> None:
        kept = self._packets.setdefault(time, [])
        if time not in self._earlier and len(kept) < AT_ONE_TIME:
            kept.append(packet)

    def _meant(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of these times are asked for."""
        if not len(self._times):
            return np.zeros(0, np.int64)
        places = self._times.searchsorted(times)
        return np.flatnonzero(self._times.take(places, mode="clip") == times)

    def _single(self, time: int, number: int) -> None:
        """``_count`` for one frame or entry."""
        place = bisect_right(self._starts, time) - 1
        if place >= 0 and time - self._starts[place] < SECOND:
            self._extend(self._starts[place], number, number)

    def _extend(self, second: int, first: int, last: int) -> None:
        files = self._spans.setdefault(second, {})
        known = files.get(self._path, (first, last))
        files[self._path] = min(known[0], first), max(known[1], last)

    def _count(self, times: NDArray[np.int64], numbers: int | NDArray[np.int64]) -> None:
        """The first and last number in each second that is asked for; ``numbers`` is the first frame's, or of each."""
        if not len(self._seconds):
            return
        places = self._seconds.searchsorted(times, side="right") - 1
        rows = np.flatnonzero((places >= 0) & (times - self._seconds[places] < SECOND))
        each = rows + numbers if isinstance(numbers, int) else numbers[rows]
        for place in np.unique(places[rows]).tolist():
            here = each[places[rows] == place]
            self._extend(self._starts[place], int(here.min()), int(here.max()))
