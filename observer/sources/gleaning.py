"""What is left of a batch of frames for the decoders of ``wire``. Reading files and counting belong elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from observer.sources.pcap_items import NO_TIME
from observer.wire.links import supported
from observer.wire.sift import Interest, Sifted, sift, thin
from observer.wire.tcp import in_order, plain, select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.model.observations import Observation
    from observer.model.segments import TcpSegments
    from observer.sources.pcap_items import FrameBatch
    from observer.wire.frames import FrameDecoder

PACE = 64
"""Of so many frames one's time is looked at, whatever it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gleaned:
    """What is left of a batch of frames. Small, and can be handed from process to process."""

    interface: str | None
    linktype: int
    frames: int
    begin: int
    """Nanoseconds since the epoch: of the earliest of the frames that were looked at; ``NO_TIME`` if none has a time."""
    end: int
    """Of the latest of them; the last frame is one."""
    back: int
    """Nanoseconds by which one of these is earlier than one before it, at most."""
    leap: int
    """By which one is later than the one before it."""
    untimed: int
    truncated: int
    rare: list[tuple[int, int, int, bytes]]
    """For ``FrameDecoder``: time, direction, bytes on the wire, frame."""
    segments: TcpSegments | None


def glean(batch: FrameBatch, node: str, interest: Interest) -> Gleaned:
    """What matters of a batch of frames: frames for the decoder, and TCP, data segments as far as ``interest`` goes."""
    if not supported(batch.linktype):
        return Gleaned(
            interface=batch.interface,
            linktype=batch.linktype,
            frames=len(batch),
            begin=NO_TIME,
            end=NO_TIME,
            back=0,
            leap=0,
            untimed=0,
            truncated=0,
            rare=[],
            segments=None,
        )
    sifted = sift(batch.linktype, batch.data, batch.offsets, batch.lengths, interest)
    # tshark writes "-" for standard input.
    interface = None if batch.interface == "-" else batch.interface
    rows, times, untimed = _timed(batch, sifted.careful)
    offsets, lengths = batch.offsets[rows], batch.lengths[rows]
    selection = select(
        node=node,
        interface=interface,
        linktype=batch.linktype,
        data=batch.data,
        offsets=offsets,
        lengths=lengths,
        times=times,
        data_segments=True,
    )
    found = [_plain(batch, sifted, node, interface), selection.segments]
    parts = [part for part in found if part is not None]
    segments = None if not parts else parts[0] if len(parts) == 1 else in_order(parts)
    looked_at = np.concatenate((rows, np.arange(0, len(batch), PACE), [len(batch) - 1]))
    stamps = batch.heads.times(np.sort(looked_at))
    if untimed or (stamps == NO_TIME).any():
        # Rare, so only then is every frame looked at: the sift has left most of them aside.
        untimed = int(np.count_nonzero(batch.heads.times(np.arange(len(batch))) == NO_TIME))
    stamps = stamps[stamps != NO_TIME]
    originals = batch.heads.originals(rows[selection.rare])
    rare = []
    for index, original in zip(selection.rare.tolist(), originals.tolist(), strict=True):
        at, row = int(offsets[index]), int(rows[index])
        direction = 0 if batch.directions is None else int(batch.directions[row])
        rare.append((int(times[index]), direction, original, batch.data[at : at + int(lengths[index])].tobytes()))
    return Gleaned(
        interface=interface,
        linktype=batch.linktype,
        frames=len(batch),
        begin=int(stamps.min()) if len(stamps) else NO_TIME,
        end=int(stamps.max()) if len(stamps) else NO_TIME,
        back=int((np.maximum.accumulate(stamps) - stamps).max()) if len(stamps) else 0,
        leap=int(np.diff(stamps).max()) if len(stamps) > 1 else 0,
        untimed=untimed,
        truncated=selection.truncated,
        rare=rare,
        segments=segments,
    )


def _timed(batch: FrameBatch, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Those of the rows that have a time, their times, and how many have none."""
    times = batch.heads.times(rows)
    timed = times != NO_TIME
    return (rows, times, 0) if timed.all() else (rows[timed], times[timed], len(rows) - int(np.count_nonzero(timed)))


def _plain(batch: FrameBatch, sifted: Sifted, node: str, interface: str | None) -> TcpSegments | None:
    """The segments that need no closer look; of those with data, the ones that stand for all."""
    rows, shapes, weights = sifted.control, sifted.control_shapes, np.ones(len(sifted.control), np.uint32)
    if len(sifted.data):
        thinned = thin(sifted, batch.heads.times)
        rows = np.concatenate((rows, sifted.data[thinned.chosen]))
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        shapes = np.concatenate((shapes, sifted.data_shapes[thinned.chosen]))[order]
        weights = np.concatenate((weights, thinned.weights))[order]
    times = batch.heads.times(rows)
    timed = times != NO_TIME
    if not timed.all():
        rows, times, shapes, weights = rows[timed], times[timed], shapes[timed], weights[timed]
    if not len(rows):
        return None
    return plain(
        node=node,
        interface=interface,
        linktype=batch.linktype,
        data=batch.data,
        offsets=batch.offsets[rows],
        times=times,
        shapes=shapes,
        weights=weights,
    )


def decoded(gleaned: Gleaned, node: str, decoder: FrameDecoder) -> list[Observation]:
    """What the rare frames say."""
    found: list[Observation] = []
    for time, direction, original, frame in gleaned.rare:
        observation = decoder.decode(
            time=time,
            node=node,
            interface=gleaned.interface,
            linktype=gleaned.linktype,
            frame=frame,
            original_length=original,
            outgoing=None if direction == 0 else direction == 2,
        )
        if observation is not None:
            found.append(observation)
    return found
