"""Recordings without a disk: what a recorder makes of a trace, and what the replay of each recording says."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from traces import mac
from wire import wire_building as build

from observer.engine.engine import Engine
from observer.engine.memory import answering, recall
from observer.model.flaps import FlapJudged, FlapStage
from observer.model.observations import Advert, Family, Neighbour, NeighbourKind, TimePassed
from observer.run import run
from observer.sinks import encoding, recording_files
from observer.sinks.recorder import Recorder
from observer.sinks.recording import Recording
from observer.sinks.report import Report
from observer.sources import recording
from observer.wire.frames import FrameDecoder
from observer.wire.links import LinkType

if TYPE_CHECKING:
    from pathlib import Path

PASSWORDS = {1: b"geheim01", 2: b"geheim02"}


@dataclass
class Tape:
    """Recordings in memory, each with the flaps that the engine closed while it was made."""

    full: bool = False
    done: list[bytes] = field(default_factory=list)
    closed: list[list] = field(default_factory=list)

    def begin(self, _time, reason, chapters):
        self.buffer = io.BytesIO()
        self.closed.append([])
        self.recording = Recording("m1", self.buffer.write)
        first = chapters[0]
        self.recording.begin(first.begin, reason, first.memory, first.state, first.interface)
        for chapter in chapters:
            for entry in chapter.entries:
                self.add(entry)

    def add(self, entry):
        recording_files._record(self.recording, entry)
        if isinstance(entry, FlapJudged) and entry.stage is FlapStage.CLOSED:
            self.closed[-1].append(entry.flap)

    def end(self, reason):
        self.recording.end(reason)
        self.done.append(self.buffer.getvalue())


def said(flaps):
    """As the JSON of the contract has them, to the byte."""
    return {flap.id: json.dumps(encoding.flap(flap)) for flap in flaps}


def recorded(items, *, before=20, after=5, frames=(), always=False, explain=None):
    """A tape of what an engine takes, and what it says of flaps; `frames` are handed in before."""
    engine, tape, report = Engine(explain), Tape(), Report()
    recorder = Recorder(engine, tape, before=before * 10**9, after=after * 10**9, always=always)
    for frame in frames:
        recorder.frame_seen(*frame)
    run(items, engine, [report, recorder])
    recorder.close()
    return tape, report.flaps


def observations(path: Path, *, state=False, node="m1"):
    return [item for batch in recording.observations(str(path), node, FrameDecoder(), state=state) for item in batch]


def replayed(path: Path):
    """The flaps that a replay of a recording by itself reports."""
    report, found = Report(), recording.head(str(path))
    engine = recall(found.memory, answering(recording.answers([str(path)]))) if found.memory else Engine()
    run(observations(path), engine, [report])
    return report.flaps


# Frames of a trace


def frame_of(item):
    """An Ethernet frame that says what an observation of a trace does; None for what has none."""
    match item:
        case Advert():
            fields = {"vrid": item.vrid, "priority": item.priority, "addresses": item.addresses}
            ends = {"source": item.router, "destination": item.destination}
            if item.family is Family.IPV6:
                network = build.ipv6(build.v6(**ends, centiseconds=item.interval // 10**7, **fields), **ends)
            elif item.version == 3:
                network = build.ipv4(build.v3(**ends, centiseconds=item.interval // 10**7, **fields), ident=item.ident, **ends)
            else:
                secret = PASSWORDS.get(item.authentication_group)
                more = {"auth_type": 1, "auth": secret} if secret else {}
                network = build.ipv4(build.v2(interval=item.interval // 10**9, **fields, **more), ident=item.ident, **ends)
            return build.ethernet(network, source=bytes.fromhex(item.mac.replace(":", "")))
        case Neighbour() if ":" not in item.sender:
            operation = 1 if item.kind in (NeighbourKind.REQUEST, NeighbourKind.ANNOUNCEMENT) else 2
            own = bytes.fromhex(item.mac.replace(":", "")) + build.packed(item.sender)
            message = bytes.fromhex("0001080006040001"[:14]) + bytes([operation]) + own + bytes(6) + build.packed(item.target)
            return build.ethernet(message, ethertype=0x0806, source=bytes.fromhex(item.mac.replace(":", "")))
    return None


def captured(items):
    """A trace as a capture would have given it: the observations that its frames decode to, and the frames themselves."""
    decoder, found, frames = FrameDecoder(), [], []
    for item in items:
        octets = None if isinstance(item, TimePassed) else frame_of(item)
        if octets is None:
            found.append(item)
            continue
        decoded = decoder.decode(
            time=item.time, node=item.node, interface=item.interface, linktype=LinkType.ETHERNET, frame=octets, outgoing=False
        )
        assert decoded is not None
        frames.append((item.time, item.interface, int(LinkType.ETHERNET), octets, False, len(octets)))
        found.append(replace(decoded))
    return found, frames


__all__ = ["PASSWORDS", "Tape", "captured", "frame_of", "mac", "observations", "recorded", "replayed", "said"]
