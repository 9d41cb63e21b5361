"""What really happened, with times: the actions of the lab and who held the address, in `truth.jsonl`.

This is what labels are checked against. It comes from the lab's own doing and from each kernel's address events, never from
the program under test.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Truth:
    """The record of one run; written from several threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self.holders: set[str] = set()
        self.moves: list[tuple[int, str]] = []

    def note(self, event: str, at: int | None = None, **fields: Any) -> None:
        """Write one line; `at` is nanoseconds since the epoch, now if not given."""
        line = json.dumps({"time": at or time.time_ns(), "event": event, **fields})
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()

    def holds(self, node: str, *, holding: bool, at: int | None = None, why: str = "kernel") -> None:
        """Note that a node now holds the address, or no longer does."""
        with self._lock:
            if (node in self.holders) == holding:
                return
            (self.holders.add if holding else self.holders.discard)(node)
            if holding:
                self.moves.append((at or time.time_ns(), node))
            holders = sorted(self.holders)
        self.note("holders", at, node=node, holding=holding, holders=holders, source=why)

    def close(self) -> None:
        """Close the file; what comes later is dropped."""
        with self._lock:
            self._file.close()


def stamp(nanoseconds: int) -> str:
    """Return RFC 3339 with nanoseconds, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def pump(pipe: IO[str], path: Path, *, stamped: bool, each: Callable[[str], None] | None = None) -> threading.Thread:
    """Copy lines from a pipe to a file as they come, stamped with the time they were read at, until the pipe closes.

    keepalived's own log has whole seconds; a stamp taken at reading is right to a few milliseconds.
    """

    def copy() -> None:
        with path.open("a", encoding="utf-8") as file, pipe:
            for line in pipe:
                file.write(f"{stamp(time.time_ns())} {line}" if stamped else line)
                file.flush()
                if each:
                    each(line)

    thread = threading.Thread(target=copy, daemon=True, name=path.name)
    thread.start()
    return thread
