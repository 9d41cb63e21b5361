"""The processes of keepalived and HAProxy on this node, from /proc: whether they run, their state, and when they started.

Only those in this network namespace; that needs no rights, for /proc/PID/net shows by its files' numbers whose it is.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from observer.model.errors import SourceError
from observer.model.host import HostSample
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = ("keepalived", "haproxy")

SEARCH = 15
"""Looks from one search of the whole table to the next: the known processes alone are a hundred times cheaper."""

EAGER = 10
"""Looks for which every one is a search after a process was gone: one that takes its place is to be seen soon."""

PROCESSES = 32
"""Processes of a program that are followed."""

TABLE = 20_000
"""Processes beyond which the table is not searched."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, as /proc/PID/stat has it."""

    pid: int
    parent: int
    state: str
    started: int
    """Nanoseconds since the epoch."""


class Processes:
    """Looks at the programs' processes; searches the table only now and then."""

    name = "process"
    interval = 2.0

    def __init__(self, node: str, proc: Path = Path("/proc")) -> None:
        self._node = node
        self._proc = proc
        self._known: dict[str, dict[int, Process]] = {program: {} for program in PROGRAMS}
        self._seen: set[str] = set()
        self._rest = 0
        self._eager = 0
        self._boot = 0

    def look(self, now: int) -> Iterator[HostSample]:
        """A sample for each program that was ever seen. Raises SourceError where no keepalived can be seen."""
        self._boot = self._boot or _boot(self._proc)
        gone = False
        for known in self._known.values():
            for pid, before in list(known.items()):
                current = self._process(pid)
                if current is None or current.started != before.started:
                    del known[pid]
                    gone = True
                else:
                    known[pid] = current
        self._eager = EAGER if gone else max(0, self._eager - 1)
        self._rest -= 1
        if gone or self._eager or self._rest < 0:
            self._search()
            self._rest = SEARCH
        for program, known in self._known.items():
            if known:
                self._seen.add(program)
            if program in self._seen:
                found = sorted(known.values(), key=lambda process: (process.started, process.pid))
                yield HostSample(
                    time=now,
                    node=self._node,
                    source=self.name,
                    subject=program,
                    running=len(found),
                    states="".join(process.state for process in found),
                    started=found[-1].started if found else None,
                )
        if PROGRAMS[0] not in self._seen:
            raise SourceError("no keepalived is seen in /proc: another process namespace (hostPID), or none runs")

    def close(self) -> None:
        """Nothing is held."""

    def _search(self) -> None:
        here = _namespace(self._proc, "self")
        candidates: dict[str, dict[int, Process]] = {program: {} for program in PROGRAMS}
        entries = [name for name in os.listdir(self._proc) if name.isdigit()]  # noqa: PTH208 - names are wanted, not paths
        if len(entries) > TABLE:
            raise SourceError(f"more than {TABLE} processes run")
        for entry in entries:
            name = self._name(int(entry))
            program = next((each for each in PROGRAMS if name.startswith(each)), None)
            if program is None or len(candidates[program]) >= PROCESSES:
                continue
            process = self._process(int(entry))
            if process is not None and _namespace(self._proc, entry) == here:
                candidates[program][process.pid] = process
        for program, found in candidates.items():
            # Children of a child are about to become a check's script.
            self._known[program] = {
                pid: process
                for pid, process in found.items()
                if process.parent not in found or found[process.parent].parent not in found
            }

    def _name(self, pid: int) -> str:
        with contextlib.suppress(OSError), open(f"{self._proc}/{pid}/comm", "rb") as file:  # noqa: PTH123 - a third of the time
            return file.read(64).decode(errors="replace").strip().lower()
        return ""

    def _process(self, pid: int) -> Process | None:
        """A process as it is now; None if it is gone, or dead and not yet buried."""
        try:
            with open(f"{self._proc}/{pid}/stat", "rb") as file:  # noqa: PTH123 - a third of the time
                text = file.read(4096).decode(errors="replace")
        except OSError:
            return None
        # The name, in parentheses, may hold anything.
        fields = text.rpartition(")")[2].split()
        if len(fields) < 20 or fields[0] in ("Z", "X"):
            return None
        started = self._boot + int(fields[19]) * SECOND // os.sysconf("SC_CLK_TCK")
        return Process(pid, int(fields[1]), fields[0], started)


def _boot(proc: Path) -> int:
    """When the node booted, to the second."""
    for line in (proc / "stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) * SECOND
    raise SourceError(f"{proc}/stat does not say when the node booted")


def _namespace(proc: Path, process: str) -> int | None:
    """A number that processes of one network namespace share."""
    try:
        return (proc / process / "net" / "dev").stat().st_ino
    except OSError:
        return None
