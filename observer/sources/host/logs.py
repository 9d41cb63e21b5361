"""keepalived's log as it is written: files, also those that appear later or are rotated away, and the journal.

What a line says is read in ``wire.log_lines``, as in a replay. Only lines written from the start on are told.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from observer.model.errors import SourceError
from observer.model.time import MILLISECOND, SECOND, nanoseconds
from observer.sources.keepalived_log import log_event
from observer.wire.log_lines import Stamp, read_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observer.model.host import LogEvent

JOURNAL = "journal"
"""Instead of a path: the node's journal."""

COMMAND = (
    "journalctl",
    "--follow",
    "--lines=0",
    "--output=json",
    "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_SOURCE_REALTIME_TIMESTAMP",
    "SYSLOG_IDENTIFIER=Keepalived",
    "SYSLOG_IDENTIFIER=Keepalived_vrrp",
)
"""By the name that keepalived logs under, whatever its unit is called."""

POLL = 0.25
"""Seconds from look to look."""

SEARCH = 5.0
"""Seconds from one search for new files to the next."""

FILES = 32
"""Files that are followed at once."""

AT_ONCE = 1 << 18
"""Octets that are read of a file in one look; a keepalived that logs more in a quarter of a second is caught up with later."""

LONGEST = 1 << 14
"""Octets of a line; what is longer is none of keepalived's."""

RESTART = 30.0
"""Seconds until a journalctl that ended is started again."""


class _Tail(Protocol):
    def lines(self) -> Iterator[bytes]:
        """What was written since the look before."""

    def close(self) -> None:
        """Let go of it."""


class Logs:
    """Follows every file of the patterns, and the journal if it is among them."""

    name = "log"
    interval = POLL

    def __init__(self, node: str, patterns: Sequence[str]) -> None:
        self._node = node
        self._patterns = [pattern for pattern in patterns if pattern != JOURNAL]
        self._journal = _Journal() if JOURNAL in patterns else None
        self._files: dict[str, _File] = {}
        self._searched: float | None = None

    def look(self, now: int) -> Iterator[LogEvent]:
        """The events written since the look before. Raises SourceError while there is no log to follow."""
        self._search()
        tails: list[_Tail] = [*self._files.values(), *([self._journal] if self._journal is not None else [])]
        for tail in tails:
            for line in tail.lines():
                event = self._event(line, now)
                if event is not None:
                    yield event
        if not tails:
            raise SourceError(
                f"no file matches {', '.join(self._patterns)}" if self._patterns else "none is configured: set logs"
            )

    def close(self) -> None:
        """Close the files and end journalctl."""
        for file in self._files.values():
            file.close()
        if self._journal is not None:
            self._journal.close()

    def _search(self) -> None:
        now = time.monotonic()
        if self._searched is not None and now - self._searched < SEARCH:
            return
        first, self._searched = self._searched is None, now
        found = [path for pattern in self._patterns for path in sorted(glob.glob(pattern))]  # noqa: PTH207 - absolute patterns
        for path in list(self._files):
            if self._files[path].gone:
                self._files.pop(path).close()
        for path in found:
            if path not in self._files and len(self._files) < FILES and Path(path).is_file():
                self._files[path] = _File(path, from_end=first)

    def _event(self, line: bytes, now: int) -> LogEvent | None:
        zone = datetime.now().astimezone().tzinfo or UTC
        read = read_line(line.decode(errors="replace"), zone)
        if read is None or read.message is None:
            return None
        instant = _nearest(read.stamp, now, zone)
        if instant is None:
            return None
        # A stamp to the second is cut off; it was written since the look before, which is nearer to the truth.
        if read.stamp.resolution > MILLISECOND and instant <= now - nanoseconds(POLL) < instant + read.stamp.resolution:
            instant = now - nanoseconds(POLL)
        return log_event(min(instant, now), self._node, read.message)


def _nearest(stamp: Stamp, now: int, zone: tzinfo) -> int | None:
    """The time of a stamp; of one without a year, in the year that puts it nearest to now."""
    if stamp.time is not None:
        return stamp.time
    year = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now // SECOND)).year
    times = [at for near in (year - 1, year, year + 1) if (at := stamp.in_year(near, zone)) is not None]
    return min(times, key=lambda at: abs(at - now), default=None)


class _Lines:
    """Octets into lines: the end of the last one may still be missing, and one that is too long is left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def add(self, octets: bytes) -> Iterator[bytes]:
        *lines, rest = (self._rest + octets).split(b"\n")
        for line in lines:
            if not self._skipping and len(line) <= LONGEST:
                yield line
            self._skipping = False
        if len(rest) > LONGEST:
            self._skipping, rest = True, b""
        self._rest = rest


class _File:
    """One path: whatever file is there, from its end or from its beginning, and then the one that takes its place."""

    def __init__(self, path: str, *, from_end: bool) -> None:
        self.path = path
        self.gone = False
        """Nothing is at the path any more."""
        self._file: BinaryIO | None = None
        self._lines = _Lines()
        self._open(from_end=from_end)

    def lines(self) -> Iterator[bytes]:
        yield from self._more()
        try:
            there = Path(self.path).stat()
        except OSError:
            self.gone = True
            return
        self.gone = False
        mine = os.fstat(self._file.fileno()) if self._file is not None else None
        if mine is None or (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
            # Rotated away: what was written to the old file until then has just been read.
            self._open(from_end=False)
            yield from self._more()
        elif self._file is not None and there.st_size < self._file.tell():
            # Truncated: everything in it is new.
            self._file.seek(0)
            self._lines = _Lines()
            yield from self._more()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _more(self) -> Iterator[bytes]:
        if self._file is not None and (octets := self._file.read(AT_ONCE)):
            yield from self._lines.add(octets)

    def _open(self, *, from_end: bool) -> None:
        self.close()
        self._lines = _Lines()
        with contextlib.suppress(FileNotFoundError):
            self._file = Path(self.path).open("rb", buffering=0)  # noqa: SIM115 - kept open
            if from_end:
                self._file.seek(0, os.SEEK_END)


class _Journal:
    """journalctl as a child, read without waiting for it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._output = -1
        """Our end of its output."""
        self._started: float | None = None
        self._lines = _Lines()

    def lines(self) -> Iterator[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._start()
        octets = b""
        with contextlib.suppress(BlockingIOError):
            octets = os.read(self._output, AT_ONCE)
        yield from self._lines.add(octets)

    def close(self) -> None:
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(1)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(1)
        os.close(self._output)
        self._child = None

    def _start(self) -> None:
        self.close()
        now = time.monotonic()
        if self._started is not None and now - self._started < RESTART:
            raise SourceError("journalctl ended; it is started again in a while")
        program = shutil.which(COMMAND[0])
        if program is None:
            raise SourceError("journalctl is not installed here")
        self._started = now
        self._output, write = os.pipe()
        os.set_blocking(self._output, False)
        try:
            self._child = subprocess.Popen(
                [program, *COMMAND[1:]], stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.DEVNULL
            )
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(write)
        self._lines = _Lines()
