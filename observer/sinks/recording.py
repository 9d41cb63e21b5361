"""One recording: what an engine took, in its order, as a pcapng file that replays to the same verdicts.

Frames are packets, cut to their headers and without secrets, and everything else is a journal entry (``wire.journal``). Nothing
is written that was not tried: a frame that would not decode to its observation again is left out, and the observation is
written as an entry. When to record, and where, belongs to ``recorder`` and ``recording_files``.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import observer
from observer.model.flaps import ActiveChanged, Elected, FlapJudged, FlapWithdrawn
from observer.model.observations import Advert
from observer.model.segments import TcpSegments
from observer.model.time import SECOND
from observer.sinks import encoding, text
from observer.sinks.sentences import sentence
from observer.wire import journal, pcapng
from observer.wire.blanking import blanked
from observer.wire.frames import FrameDecoder
from observer.wire.headers import captured, synthesised
from observer.wire.links import LinkType
from observer.wire.tcp import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from observer.model.flaps import Event
    from observer.model.observations import GroupLeft, Malformed, Neighbour, Observation, Refused

FORMAT = "1"
PACKETS = 100
"""TCP segments a second written as packets; those of further batches are columns in an entry, a tenth of the size."""

SMALL = 6
"""Segments of a batch that take no more room as packets than as columns."""

BATCH_MARK = "vrrp-observer: a new batch begins"
GROUP_MARK = "vrrp-observer: authentication data replaced, group "
"""Comments on packets that a replay reads, besides people."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the node's configuration answered the engine, with which a replay answers it again."""

    time: int
    question: str
    answer: Any


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of the rare road as it was captured."""

    linktype: int
    octets: bytes
    outgoing: bool
    original: int


class Recording:
    """Writes one recording, in pieces, with ``write``."""

    def __init__(self, node: str, write: Callable[[bytes], None]) -> None:
        self._node = node
        self._write = write
        self._decoder = FrameDecoder()
        self._interfaces: dict[str | None, int] = {}
        self._second, self._packets = 0, 0
        self._batch: str | None = None
        """Interface of the batch of packets that was written last, if nothing has been written since."""
        self._time = 0

    def begin(self, time: int, reason: str, memory: str | None, state: Iterable[Observation], interface: str | None) -> None:
        """The head of the file: ``memory`` of the engine, or None; ``state`` is what of it observations can say."""
        self._write(pcapng.section(f"{reason}, recorded by node {self._node}", f"vrrp-observer {observer.__version__}"))
        self._interface(interface)
        parts = _parts(base64.b64encode(zlib.compress(memory.encode())).decode()) if memory is not None else []
        self._entry(
            time,
            f"recording of {self._node} begins: {reason}",
            {
                "OBSERVER_RECORDING": FORMAT,
                "OBSERVER_NODE": self._node,
                "OBSERVER_REASON": reason,
                "OBSERVER_PARTS": str(len(parts)),
            },
        )
        for number, part in enumerate(parts, 1):
            named = f"the engine's memory, {number} of {len(parts)}"
            self._entry(time, named, {"OBSERVER_MEMORY": part, "OBSERVER_PART": f"{number}/{len(parts)}"})
        for observation in state:
            self._entry(time, sentence(observation), {"OBSERVER_STATE": "1"} | journal.to_fields(observation))

    def observed(self, observation: Observation, frame: Frame | None) -> None:
        """An observation, as the engine takes it, and its frame where there is one."""
        if isinstance(observation, TcpSegments):
            self._segments(observation)
        elif frame is None or not self._rare(observation, frame):
            self._entry(observation.time, sentence(observation), journal.to_fields(observation))

    def happened(self, event: Event) -> None:
        """What the engine said, for people to read beside the packets; a replay says it again."""
        match event:
            case FlapJudged():
                told = json.dumps(encoding.flap(event.flap), separators=(",", ":"))
                self._entry(
                    event.time,
                    f"{text.line(event.flap)} ({event.stage.value})",
                    {"OBSERVER_EVENT": "flap", "OBSERVER_STAGE": event.stage.value, "OBSERVER_FLAP": told[: pcapng.LONGEST]},
                    priority="4",
                )
            case FlapWithdrawn():
                self._entry(
                    event.time, f"withdrawn: {event.flap.id}", {"OBSERVER_EVENT": "withdrawn", "OBSERVER_FLAP_ID": event.flap.id}
                )
            case Elected():
                self._entry(event.time, text.election(event), {"OBSERVER_EVENT": "election"})
            case ActiveChanged():
                who = f"{event.router} is Active" if event.router else "nobody is Active"
                self._entry(event.time, f"{event.virtual_router.label}: {who}", {"OBSERVER_EVENT": "active"})

    def answered(self, answer: Answer) -> None:
        """What the engine was told when it asked."""
        told = json.dumps(answer.answer)
        own = {"OBSERVER_QUESTION": answer.question, "OBSERVER_ANSWER": told[: pcapng.LONGEST]}
        self._entry(answer.time, f"the configuration says of {answer.question}: {told[:200]}", own)

    def end(self, reason: str) -> None:
        """The tail of the file."""
        self._entry(
            self._time, f"recording of {self._node} ends: {reason}", {"OBSERVER_END": reason, "OBSERVER_TIME": str(self._time)}
        )

    def _entry(self, time: int, message: str, own: dict[str, str], *, priority: str = "6") -> None:
        self._batch = None
        self._time = max(self._time, time)
        head = {
            "__REALTIME_TIMESTAMP": str(time // 1000),
            "MESSAGE": message,
            "PRIORITY": priority,
            "SYSLOG_IDENTIFIER": "vrrp-observer",
            "_HOSTNAME": self._node,
        }
        self._write(pcapng.journal(head | own))

    def _interface(self, name: str | None) -> int:
        number = self._interfaces.get(name)
        if number is None:
            number = self._interfaces[name] = len(self._interfaces)
            self._write(pcapng.interface(name, f"{name or 'packets'} of node {self._node}"))
        return number

    def _rare(self, observation: Any, frame: Frame) -> bool:
        """Whether it could be written as a packet."""
        if frame.linktype != LinkType.ETHERNET:
            return False
        group = observation.authentication_group if isinstance(observation, Advert) else 0
        for octets in blanked(frame.octets, frame.original, group):
            if self._decoded(octets, frame, observation, group) == observation:
                comments = [f"{GROUP_MARK}{group}"] if group else []
                number = self._interface(observation.interface)
                self._write(
                    pcapng.packet(
                        number, observation.time, octets, frame.original, outgoing=observation.outgoing
                        if hasattr(observation, "outgoing") else frame.outgoing, comments=comments,
                    )
                )  # fmt: skip
                self._batch = None
                self._time = max(self._time, observation.time)
                return True
        return False

    def _decoded(
        self, octets: bytes, frame: Frame, observation: Any, group: int
    ) -> Advert | Malformed | Neighbour | Refused | GroupLeft | None:
        found = self._decoder.decode(
            time=observation.time,
            node=observation.node,
            interface=observation.interface,
            linktype=frame.linktype,
            frame=octets,
            original_length=frame.original,
            outgoing=getattr(observation, "outgoing", frame.outgoing),
        )
        return replace(found, authentication_group=group) if isinstance(found, Advert) and group else found

    def _segments(self, segments: TcpSegments) -> None:
        second = segments.time // SECOND
        if second != self._second:
            self._second, self._packets = second, 0
        self._packets += len(segments)
        if (self._packets <= PACKETS or len(segments) <= SMALL) and self._as_packets(segments):
            return
        parts = _parts(journal.pack(journal.columns(segments)))
        rest = journal.to_fields(segments)
        for number, part in enumerate(parts, 1):
            own = rest | {journal.COLUMNS: part, "OBSERVER_PART": f"{number}/{len(parts)}"}
            self._entry(segments.time, sentence(segments), own)

    def _as_packets(self, segments: TcpSegments) -> bool:
        """Whether these could be written as packets."""
        rows: list[tuple[bytes, int, bool | None]] = []
        for made, kept in zip(synthesised(segments), captured(segments), strict=True):
            rows.append((*made, None) if kept is None else kept)
        if not _same(segments, [row[0] for row in rows]):
            rows = [(*made, None) for made in synthesised(segments)]
            if not _same(segments, [row[0] for row in rows]):
                return False
        number = self._interface(segments.interface)
        comments = [BATCH_MARK] if self._batch == (segments.interface or "") else []
        blocks = []
        for time, (octets, original, outgoing) in zip(segments.times.tolist(), rows, strict=True):
            blocks.append(pcapng.packet(number, time, octets, original, outgoing=outgoing, comments=comments))
            comments = []
        self._write(b"".join(blocks))
        self._batch = segments.interface or ""
        self._time = max(self._time, int(segments.times[-1]))
        return True


def _same(segments: TcpSegments, frames: list[bytes]) -> bool:
    """Whether the frames decode to these segments."""
    lengths = np.array([len(frame) for frame in frames], dtype=np.int64)
    selection = select(
        node=segments.node,
        interface=segments.interface,
        linktype=LinkType.ETHERNET,
        data=np.frombuffer(b"".join(frames), dtype=np.uint8),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        times=segments.times,
        data_segments=True,
    )
    found = selection.segments
    if found is None or len(selection.rare):
        return False
    pairs = ((getattr(segments, field.name), getattr(found, field.name)) for field in fields(TcpSegments))
    return all(np.array_equal(mine, other) for mine, other in pairs if isinstance(mine, np.ndarray))


def _parts(whole: str) -> list[str]:
    """A long text in pieces that fit an entry."""
    most = pcapng.LONGEST * 3 // 4
    return [whole[at : at + most] for at in range(0, len(whole), most)] or [""]
