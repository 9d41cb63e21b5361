"""Recordings on disk, written by a thread of their own: a slow disk delays nothing, a full one costs one recording.

A file is written under another name and renamed when it is complete; what an agent that died left under way is completed as far
as it goes at the next start. Limits on size, number and age hold for the directory; only files named like ours are touched.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from observer.model.errors import SourceError
from observer.model.observations import FramesLost, SourceState
from observer.model.segments import TcpSegments
from observer.model.time import rfc3339
from observer.sinks.recorder import ENTRY
from observer.sinks.recording import Answer, Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from observer.model.flaps import Event
    from observer.sinks.recorder import Chapter, Entry

WAITING = 400_000
"""Observations and TCP segments that may wait for the disk; what comes on top is left out, and the recording says so."""

UNDER_WAY = ".part"
_OURS = re.compile(r"vrrp-[\w.-]+\.pcapng(\.part)?")
_MODE = 0o640
_TAIL = 1024
"""Octets kept free in a file for its last entry."""
_GRACE = 5.0
"""Seconds that the end of the agent waits for the disk."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What recordings may take."""

    size: int = 20_000_000
    """Octets of one file; a recording that is wanted for longer goes on in the next."""
    count: int = 50
    age: int = 14 * 86400
    """Seconds."""


@dataclass(frozen=True, slots=True)
class _Begin:
    time: int
    reason: str
    chapters: list[Chapter]


@dataclass(frozen=True, slots=True)
class _End:
    reason: str


class RecordingFiles:
    """The directory and the thread that writes to it; ``tell`` hears whether that works, from that thread."""

    def __init__(self, directory: str, node: str, limits: Limits, tell: Callable[[SourceState, str], None]) -> None:
        self._directory = Path(directory)
        self._node = node
        self._prefix = "vrrp-" + re.sub(r"[^\w.-]", "_", node) + "-"
        self._limits = limits
        self._tell = tell
        self._queue: queue.SimpleQueue[_Begin | _End | Entry | Event | Answer | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._lost = self._lost_at = 0
        self._full = False
        self._failed = False
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._stream: BinaryIO | None = None
        self._path = Path()
        self._written = self._room = 0
        self._recording: Recording | None = None

    def start(self) -> None:
        """Make the directory, complete what was left behind, begin to listen. Raises SourceError."""
        try:
            self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            for path in self._directory.glob(f"{self._prefix}*{UNDER_WAY}"):
                _completed(path)
            self._tidy()
            if not os.access(self._directory, os.W_OK | os.X_OK):
                raise SourceError(f"recordings {self._directory}: not writable; choose another directory with --recordings")
        except OSError as error:
            raise SourceError(f"recordings {self._directory}: {error.strerror or error}") from error
        self._thread.start()
        self._tell(SourceState.STARTED, str(self._directory))

    @property
    def full(self) -> bool:
        """The file under way has reached its size."""
        return self._full

    def begin(self, time: int, reason: str, chapters: list[Chapter]) -> None:
        """Begin a file with these chapters."""
        self._full = False
        self._lost = 0
        self._queue.put(_Begin(time, reason, chapters))

    def add(self, entry: Entry | Event | Answer) -> None:
        """Add to the file under way."""
        weight = _weight(entry)
        with self._lock:
            room = self._waiting + weight <= WAITING
            self._waiting += weight if room else 0
        time = entry[0].time if isinstance(entry, tuple) else entry.time
        if room:
            self._tell_losses(time)
            self._queue.put(entry)
        else:
            self._lost += _count(entry)
            self._lost_at = time

    def end(self, reason: str) -> None:
        """Complete the file under way."""
        self._tell_losses(self._lost_at)
        self._queue.put(_End(reason))

    def stop(self) -> None:
        """Write what waits, and no more."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(_GRACE)

    def _tell_losses(self, time: int) -> None:
        """Say in the recording what is missing before ``time``."""
        if self._lost:
            loss = FramesLost(time=time, node=self._node, source="recorder", count=self._lost)
            self._lost = 0
            with self._lock:
                self._waiting += ENTRY
            self._queue.put((loss, None))

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if not isinstance(item, _Begin | _End):
                with self._lock:
                    self._waiting -= _weight(item)
            try:
                self._handle(item)
            except OSError as error:
                self._abandon(error)
        with contextlib.suppress(OSError):
            self._complete("the agent stopped")

    def _handle(self, item: _Begin | _End | Entry | Event | Answer) -> None:
        match item:
            case _Begin():
                self._complete("another begins")
                self._open(item)
            case _End():
                self._complete(item.reason)
            case _ if self._recording is not None:
                _record(self._recording, item)
            case _:
                pass
        # What waits in memory would be lost with the process.
        if self._stream is not None and self._queue.empty():
            self._stream.flush()

    def _open(self, item: _Begin) -> None:
        first = item.chapters[0]
        self._tidy(making_room=1)
        stamp = rfc3339(item.time).replace(":", "").replace("-", "")
        self._path = self._directory / f"{self._prefix}{stamp}.pcapng"
        handle = os.open(f"{self._path}{UNDER_WAY}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        self._stream = os.fdopen(handle, "wb")
        self._written, self._room = 0, self._limits.size - _TAIL
        self._recording = Recording(self._node, self._write)
        self._recording.begin(first.begin, item.reason, first.memory, first.state, first.interface)
        for chapter in item.chapters:
            for entry in chapter.entries:
                _record(self._recording, entry)

    def _write(self, octets: bytes) -> None:
        if self._stream is None or self._written + len(octets) > self._room:
            # What comes after a gap would tell another story.
            self._full, self._room = True, 0
            return
        self._stream.write(octets)
        self._written += len(octets)
        if self._written > self._limits.size * 9 // 10:
            self._full = True

    def _complete(self, reason: str) -> None:
        if self._recording is None or self._stream is None:
            return
        cut, self._room = self._room == 0, self._limits.size
        self._recording.end("it was cut at its size" if cut else reason)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        Path(f"{self._path}{UNDER_WAY}").replace(self._path)
        self._stream = self._recording = None
        if self._failed:
            self._failed = False
            self._tell(SourceState.STARTED, str(self._directory))

    def _abandon(self, error: OSError) -> None:
        """Give up the file under way, and say so once."""
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.close()
        with contextlib.suppress(OSError):
            Path(f"{self._path}{UNDER_WAY}").unlink(missing_ok=True)
        self._stream = self._recording = None
        if not self._failed:
            self._failed = True
            self._tell(SourceState.FAILED, f"{self._directory}: {error.strerror or error}; a recording was lost")

    def _tidy(self, making_room: int = 0) -> None:
        """Remove our files that are too old or too many."""
        # Their names are in order of time.
        found = sorted(path for path in self._directory.glob(f"{self._prefix}*") if _OURS.fullmatch(path.name) and path.is_file())
        oldest = time.time() - self._limits.age
        surplus = len(found) + making_room - self._limits.count
        for number, path in enumerate(found):
            if number < surplus or path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


def _record(recording: Recording, entry: Entry | Event | Answer) -> None:
    if isinstance(entry, tuple):
        recording.observed(*entry)
    elif isinstance(entry, Answer):
        recording.answered(entry)
    else:
        recording.happened(entry)


def _weight(entry: Entry | Event | Answer) -> int:
    return ENTRY + _count(entry)


def _count(entry: Entry | Event | Answer) -> int:
    """Observations or segments."""
    return len(entry[0]) if isinstance(entry, tuple) and isinstance(entry[0], TcpSegments) else 1


def _completed(path: Path) -> None:
    """Cut a file that was left under way after its last whole block, and give it its name."""
    size, at = path.stat().st_size, 0
    with path.open("r+b") as stream:
        while at + 12 <= size:
            stream.seek(at)
            _, length = struct.unpack("<II", stream.read(8))
            if length < 12 or length % 4 or at + length > size:
                break
            at += length
        stream.truncate(at)
    if at:
        path.replace(path.with_name(path.name.removesuffix(UNDER_WAY)))
    else:
        path.unlink()
