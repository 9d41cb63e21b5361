"""A capture file as observations of one node, through the same decoders as live frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from observer.model.errors import SourceError
from observer.model.observations import (
    Advert,
    FramesLost,
    Malformed,
    Neighbour,
    Observation,
    SourceChange,
    SourceState,
    TcpSegments,
)
from observer.model.time import rfc3339
from observer.sources import recording
from observer.sources.pcap import NO_TIME, FrameBatch, LostFrames, read_capture
from observer.wire.links import supported
from observer.wire.tcp import select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from observer.wire.frames import FrameDecoder

SLICE = 65536
"""Frames taken at once from a batch: enough for arrays to pay, few enough to stay small."""


@dataclass(slots=True)
class Census:
    """What was in a capture file, for people who wonder why nothing was found."""

    path: str
    node: str
    frames: int = 0
    adverts: int = 0
    malformed: int = 0
    neighbours: int = 0
    segments: int = 0
    truncated: int = 0
    """TCP frames captured too short to see their flags."""
    untimed: int = 0
    """Frames without a time stamp (pcapng's Simple Packet Blocks): nothing can be said of them."""
    lost: int = 0
    begin: int | None = None
    end: int | None = None
    broken: str | None = None
    """Why and where reading stopped before the end."""
    unsupported: set[int] = field(default_factory=set)
    """Link types that are not understood."""
    recalled: bool = False
    """It is a recording, and the engine has the memory that it begins with."""

    def sentence(self) -> str:
        """One line: what was in it."""
        if self.begin is None or self.end is None:
            return f"{self.path}: no frames"
        return (
            f"{self.path}: {self.frames} frames from {rfc3339(self.begin)} to {rfc3339(self.end)}: {self.adverts} VRRP adverts,"
            f" {self.malformed} malformed, {self.neighbours} ARP and ND messages, {self.segments} TCP segments of interest"
        )


def observe_capture(census: Census, decoder: FrameDecoder) -> Iterator[list[Observation]]:
    """The observations of the capture file that ``census`` names, nearly in order of time.

    Raises SourceError for a file that cannot be used.
    """
    if recording.head(census.path) is not None:
        for batch in recording.observations(census.path, census.node, decoder, state=not census.recalled):
            _count(census, batch[0])
            yield batch
        return
    source = f"capture {census.path}"
    for item in read_capture(census.path):
        if isinstance(item, FrameBatch):
            if not supported(item.linktype):
                census.unsupported.add(item.linktype)
                census.frames += len(item)
                continue
            for begin in range(0, len(item), SLICE):
                rows = np.flatnonzero(item.times[begin : begin + SLICE] != NO_TIME) + begin
                census.untimed += min(SLICE, len(item) - begin) - len(rows)
                if not len(rows):
                    continue
                first, last = int(item.times[rows].min()), int(item.times[rows].max())
                if census.begin is None:
                    census.begin = first
                    yield [SourceChange(time=first, node=census.node, source=source, state=SourceState.STARTED)]
                census.end = max(census.end or 0, last)
                yield _observed(item, rows, census, decoder)
        elif isinstance(item, LostFrames):
            census.lost += item.count
            yield [FramesLost(time=item.time, node=census.node, source=source, count=item.count)]
        else:
            census.broken = f"{census.path}: stops at byte {item.offset}: {item.detail}; what came before was used"
    if census.unsupported and census.begin is None:
        kinds = ", ".join(str(number) for number in sorted(census.unsupported))
        raise SourceError(
            f"{census.path}: link type {kinds} is not supported; capture on an Ethernet or IP interface, or with -i any"
        )
    if census.end is not None:
        yield [SourceChange(time=census.end, node=census.node, source=source, state=SourceState.STOPPED)]


def _count(census: Census, observation: Observation) -> None:
    """One observation of a recording."""
    census.begin = observation.time if census.begin is None else census.begin
    census.end = max(census.end or 0, observation.time)
    match observation:
        case TcpSegments():
            census.segments += len(observation)
        case Advert():
            census.adverts += 1
        case Malformed():
            census.malformed += 1
        case Neighbour():
            census.neighbours += 1
        case _:
            return
    census.frames += 1


def _observed(item: FrameBatch, rows: NDArray[np.int64], census: Census, decoder: FrameDecoder) -> list[Observation]:
    offsets, lengths, times, originals = item.offsets[rows], item.lengths[rows], item.times[rows], item.originals[rows]
    directions = None if item.directions is None else item.directions[rows]
    # tshark writes "-" for standard input.
    interface = None if item.interface == "-" else item.interface
    census.frames += len(offsets)
    selection = select(
        node=census.node,
        interface=interface,
        linktype=item.linktype,
        data=item.data,
        offsets=offsets,
        lengths=lengths,
        times=times,
        data_segments=True,
    )
    census.truncated += selection.truncated
    found: list[Observation] = []
    for index in selection.rare.tolist():
        at = int(offsets[index])
        direction = 0 if directions is None else int(directions[index])
        observation = decoder.decode(
            time=int(times[index]),
            node=census.node,
            interface=interface,
            linktype=item.linktype,
            frame=item.data[at : at + int(lengths[index])].tobytes(),
            original_length=int(originals[index]),
            outgoing=None if direction == 0 else direction == 2,
        )
        match observation:
            case Advert():
                census.adverts += 1
            case Malformed():
                census.malformed += 1
            case Neighbour():
                census.neighbours += 1
            case None:
                continue
        found.append(observation)
    if selection.segments is not None:
        census.segments += len(selection.segments)
        found.append(selection.segments)
    return found
