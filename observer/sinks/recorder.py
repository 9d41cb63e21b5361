"""The black box: keeps the last minutes of what the engine took, and has them recorded when a flap happens.

What is kept comes in chapters, each with the engine's memory at its beginning. A recording begins with a chapter; so, whatever
had to be forgotten before, its replay says the same. Nothing here waits: files belong to ``recording_files`` and its thread.

A flood that fills a file at once is not followed: the engine's memory holds its sums. Just before a flap closes that memory is
recorded, with what closes it, and again when the flood is over; so every flap can be replayed, and few files are written.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from observer.engine.flaps import WINDOW
from observer.engine.memory import overhear, remember
from observer.model.flaps import FlapJudged, FlapStage, FlapWithdrawn
from observer.model.observations import (
    AddressChange,
    Advert,
    GroupLeft,
    LinkChange,
    Malformed,
    Neighbour,
    Refused,
    SourceChange,
    SourceState,
)
from observer.model.segments import TcpSegments
from observer.model.time import MILLISECOND, SECOND
from observer.sinks.recording import PACKETS, Answer, Frame

if TYPE_CHECKING:
    from observer.engine.engine import Engine
    from observer.model.flaps import Event
    from observer.model.observations import Observation

CHAPTER = 30 * SECOND
"""Length of a chapter. The engine's memory at its beginning takes some tens of milliseconds to write down in a storm."""

SHORTEST = 5 * SECOND
"""Length of a chapter that a flood makes shorter, unless it grows beyond all bounds."""

WEIGHT = 200_000
"""TCP segments kept in memory, about 15 MB, and as many again in the chapter under way; in a flood the oldest chapters go
before their time."""

FILLED = 60 * SECOND
"""A file that is full before so long holds a flood: recordings that went on would push all older ones out."""

CALM = 10_000
"""TCP segments a second at which a flood is over."""

AHEAD = 250 * MILLISECOND
"""Before a flap closes in a flood its recording begins: time passes without observations too."""

ENTRY = 16
"""What an observation weighs besides its segments."""

AGAIN = 300 * SECOND
"""Where the engine's memory was too much to write down, how long until it is tried again."""

FRAMES = 4096
"""Frames of the rare road that wait for their observation to come out of the merge."""

STATE = 1024
"""Addresses, links and sources of this node whose state a recording begins with."""

_FLOOD = "a flood: its sums are in the memory with which the next recording begins"
_RARE = (Advert, Malformed, Neighbour, Refused, GroupLeft)

Entry = tuple["Observation", Frame | None]
"""An observation with its frame; a chapter has events and answers beside these."""


@dataclass(slots=True)
class Chapter:
    """A stretch of time: what the engine knew at its beginning, and what it took and said since."""

    begin: int
    memory: str | None
    """None where the engine has something that cannot be written down."""
    state: tuple[Observation, ...]
    """The node's addresses, links and sources at the beginning."""
    interface: str | None
    entries: list[Entry | Event | Answer] = field(default_factory=list)
    weight: int = 0


class Files(Protocol):
    """Where recordings go; nothing of it waits or raises."""

    @property
    def full(self) -> bool:
        """The file under way has reached its size."""

    def begin(self, time: int, reason: str, chapters: list[Chapter]) -> None:
        """Begin a file at ``time`` with these chapters."""

    def add(self, entry: Entry | Event | Answer) -> None:
        """Add to the file under way."""

    def end(self, reason: str) -> None:
        """Complete the file under way."""


class Recorder:
    """A sink; ``before`` and ``after`` are nanoseconds around flaps, ``always`` records without any."""

    def __init__(self, engine: Engine, files: Files, *, before: int, after: int, always: bool = False) -> None:
        self._engine = engine
        self._files = files
        self._before = before
        self._after = after
        self._always = always
        self._chapters: deque[Chapter] = deque()
        self._weight = 0
        self._state: OrderedDict[tuple[str, ...], Observation] = OrderedDict()
        self._interface: str | None = None
        self._frames: OrderedDict[tuple[int, str], deque[Frame]] = OrderedDict()
        self._lock = threading.Lock()
        self._asked: str | None = None
        self._recording = False
        self._until = self._again = 0
        self._open: dict[str, int] = {}
        """Flaps that were told and are not closed, with their time."""
        self._now = self._began = 0
        self._flooded = False
        """A flood is under way that is not recorded."""
        self._skipped = 0
        """Until when no chapter is kept, for a flood filled the last one."""
        self._second, self._segments, self._segments_before = 0, 0, 0
        overhear(engine, self._answered)

    def ask(self, reason: str) -> None:
        """Record what is kept, and on; from any thread, or a signal handler."""
        self._asked = reason

    def frame_seen(self, time: int, interface: str, linktype: int, octets: bytes, outgoing: bool, original: int) -> None:
        """A frame of the rare road, from its thread, before its observation comes."""
        with self._lock:
            self._frames.setdefault((time, interface), deque()).append(Frame(linktype, octets, outgoing, original))
            while len(self._frames) > FRAMES:
                self._frames.popitem(last=False)

    def observed(self, observation: Observation) -> None:
        """Keep an observation, as the engine is about to take it."""
        self._now = now = observation.time
        self._step(now)
        if now >= self._skipped and (not self._chapters or self._long(self._chapters[-1], now)):
            if self._chapters and now - self._chapters[-1].begin < SECOND:
                # More chapters would cost more of the engine's time than the flood itself.
                self._skipped = self._chapters[-1].begin + SECOND
                self._chapters.clear()
                self._weight = 0
            else:
                self._turn(now)
        self._note(observation)
        if isinstance(observation, TcpSegments):
            self._count(now, len(observation))
            self._keep((_slim(observation), None), len(observation) + ENTRY)
        else:
            self._keep((observation, self._frame(observation)), ENTRY)

    def happened(self, event: Event) -> None:
        """Keep an event, and see whether it is one to record."""
        if not self._now:
            return
        self._keep(event, ENTRY)
        if isinstance(event, FlapJudged):
            self._until = max(self._until, event.time + self._after)
            if event.stage is FlapStage.CLOSED:
                self._open.pop(event.flap.id, None)
            else:
                self._open[event.flap.id] = event.flap.time
            if not self._recording and not self._flooded:
                reason = f"flap {event.flap.id}"
                if self._chapters:
                    self._begin(event.time, reason)
                else:
                    self._asked = reason
        elif isinstance(event, FlapWithdrawn):
            self._open.pop(event.flap.id, None)

    def _answered(self, question: str, answer: object) -> None:
        if self._now:
            self._keep(Answer(self._now, question, answer), ENTRY)

    def close(self) -> None:
        """Complete what is under way."""
        if self._recording:
            self._files.end("the agent stopped")
            self._recording = False

    def _step(self, now: int) -> None:
        """Begin or end what it is time for."""
        if self._asked is not None and (self._chapters or self._skipped):
            reason, self._asked = self._asked, None
            self._until = max(self._until, now + self._after)
            if not self._recording:
                self._begin(now, reason) if self._chapters else self._begin_anew(now, reason)
        wanted = self._always or bool(self._open) or now < self._until
        if self._recording and (self._files.full or not wanted):
            flood = self._files.full and now - self._began < FILLED
            self._files.end(_FLOOD if flood else "its size is reached" if self._files.full else "all is quiet again")
            self._recording, self._flooded = False, wanted and flood
            if wanted and not flood:
                self._begin_anew(now, "continued")
        elif self._flooded:
            self._flood(now, wanted=wanted)
        elif self._always and not self._recording and self._chapters:
            self._begin(now, "continuous", last=True)

    def _flood(self, now: int, *, wanted: bool) -> None:
        """What to record of a flood."""
        closing = any(abs(time + WINDOW - now) <= AHEAD for time in self._open.values())
        if self._recording and not closing:
            self._files.end(_FLOOD)
            self._recording = False
        if not wanted:
            self._flooded = False
        elif not self._recording and (closing or self._calm(now)):
            self._flooded = closing
            self._begin_anew(now, "a flap closes in a flood" if closing else "a flood is over")

    def _begin_anew(self, now: int, reason: str) -> None:
        """Begin with what the engine knows now."""
        self._turn(now)
        self._begin(now, reason, last=True)

    def _count(self, now: int, segments: int) -> None:
        second = now // SECOND
        if second != self._second:
            self._segments_before = self._segments if second == self._second + 1 else 0
            self._second, self._segments = second, 0
        self._segments += segments

    def _calm(self, now: int) -> bool:
        return now // SECOND > self._second + 1 or max(self._segments, self._segments_before) < CALM

    def _begin(self, time: int, reason: str, *, last: bool = False) -> None:
        self._forget(time)
        chapters = [self._chapters[-1]] if last else list(self._chapters)
        self._files.begin(time, reason, [replace(chapter, entries=list(chapter.entries)) for chapter in chapters])
        self._recording, self._began = True, time

    def _keep(self, entry: Entry | Event | Answer, weight: int) -> None:
        if self._chapters:
            chapter = self._chapters[-1]
            chapter.entries.append(entry)
            chapter.weight += weight
            self._weight += weight
        if self._recording:
            self._files.add(entry)

    def _long(self, chapter: Chapter, now: int) -> bool:
        """Whether a chapter is long enough."""
        length = now - chapter.begin
        return length >= CHAPTER or chapter.weight >= WEIGHT or (chapter.weight >= WEIGHT // 4 and length >= SHORTEST)

    def _turn(self, now: int) -> None:
        """Begin a chapter."""
        memory = None
        if now >= self._again:
            try:
                memory = remember(self._engine)
            except (TypeError, OverflowError, RecursionError):
                self._again = now + AGAIN
        self._skipped = 0
        self._chapters.append(Chapter(now, memory, tuple(self._state.values()), self._interface))
        self._forget(now)

    def _forget(self, now: int) -> None:
        """Drop the chapters that are no longer wanted."""
        while len(self._chapters) > 1 and (self._chapters[1].begin <= now - self._before or self._weight > WEIGHT):
            self._weight -= self._chapters.popleft().weight

    def _note(self, observation: Observation) -> None:
        """Keep the state up to date with which a chapter begins."""
        match observation:
            case AddressChange(present=True):
                self._remember(("address", observation.interface, observation.address), replace(observation, initial=True))
            case AddressChange():
                self._state.pop(("address", observation.interface, observation.address), None)
            case LinkChange():
                self._remember(("link", observation.interface), replace(observation, initial=True))
            case SourceChange(state=SourceState.STARTED):
                self._remember(("source", observation.source), observation)
            case SourceChange():
                self._state.pop(("source", observation.source), None)
            case Advert() | TcpSegments() if self._interface is None:
                self._interface = observation.interface
            case _:
                pass

    def _remember(self, key: tuple[str, ...], observation: Observation) -> None:
        if key in self._state or len(self._state) < STATE:
            self._state[key] = observation

    def _frame(self, observation: Observation) -> Frame | None:
        """The frame that an observation was decoded from, if it was handed in."""
        if not isinstance(observation, _RARE) or observation.interface is None:
            return None
        with self._lock:
            waiting = self._frames.pop((observation.time, observation.interface), None)
            if waiting is None:
                return None
            frame = waiting.popleft()
            if waiting:
                self._frames[observation.time, observation.interface] = waiting
            return frame


def _slim(segments: TcpSegments) -> TcpSegments:
    """Segments without their frames where there are too many to be written as packets."""
    return replace(segments, frames=None) if segments.frames is not None and len(segments) > PACKETS else segments
