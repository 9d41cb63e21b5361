"""Large capture files, gleaned by several processes at once. Which frames matter belongs to ``gleaning``.

A plain file is cut into stretches. A process that gets one guesses where its first record begins, and gleans from there; what it
found counts only if the stretch before, itself proven, ends exactly there. Where anything is out of the ordinary, the file is
read from that place on as any other is.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import signal
import stat
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from observer.sources import pcap_blocks, pcap_records
from observer.sources.compression import Plain
from observer.sources.gleaning import Gleaned, glean
from observer.sources.pcap import WINDOW, read_capture
from observer.sources.pcap_items import FrameBatch, LostFrames
from observer.sources.pcap_window import Mapped, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from observer.sources.pcap_items import Item
    from observer.wire.sift import Interest

STRETCH = 16 * 1024 * 1024
"""Bytes in a stretch."""

FIRST = 1024 * 1024
"""Bytes of the first one, which shows what the others need to know."""

SMALL = 64 * 1024 * 1024
"""Bytes of a file below which more processes are not worth their start."""

DEPTH = 2
"""Stretches that wait in each process."""

REACH = 65536
"""Bytes in which a process looks for the first record of its stretch."""


class _Pcap:
    """How the records of a pcap file are read on."""

    def __init__(self) -> None:
        self._form: pcap_records.Records | None = None

    def items(self, window: Window) -> Iterator[Item]:
        """What is in the window from a record on, or from the beginning of the file."""
        if self._form is None:
            self._form = yield from pcap_records.opened(window)
        if self._form is not None:
            yield from pcap_records.go_on(window, self._form)

    def guess(self, window: Mapped) -> int:
        """Where in the window a record may begin; negative for no idea."""
        octets = window.data()
        edges, reach = np.array([window.start], dtype=np.int64), min(REACH, len(octets) - window.start - 16)
        return -1 if self._form is None or reach <= 0 else int(self._form.guess(octets, edges, reach)[0])

    def state(self) -> object:
        """What the meaning of the next record depends on."""
        return None

    @property
    def second(self) -> int:
        """Of a record not long ago, since the epoch: by this the next one is found where it has to be guessed."""
        return 0 if self._form is None else self._form.second

    def informed(self, second: int) -> None:
        """Somebody knows better."""
        if self._form is not None:
            self._form.second = second


class _Pcapng:
    """The same for a pcapng file."""

    def __init__(self) -> None:
        self._section: pcap_blocks.Section | None = None

    def items(self, window: Window) -> Iterator[Item]:
        """See ``_Pcap``."""
        self._section = yield from pcap_blocks.go_on(window, self._section)

    def guess(self, window: Mapped) -> int:
        """See ``_Pcap``."""
        octets = window.data()
        edges, reach = np.array([window.start], dtype=np.int64), min(REACH, len(octets) - window.start - 8)
        return -1 if self._section is None or reach <= 0 else pcap_blocks.guess(self._section, octets, edges, reach)

    def state(self) -> object:
        """See ``_Pcap``."""
        section = self._section
        return section and (section.order, [dataclasses.astuple(interface) for interface in section.interfaces])

    @property
    def second(self) -> int:
        """See ``_Pcap``: nothing is guessed by it."""
        return 0

    def informed(self, second: int) -> None:
        """See ``_Pcap``."""


class _Task(NamedTuple):
    begin: int
    end: int
    interest: Interest
    second: int
    """Of a record before it, since the epoch, as far as is known."""


class _Done(NamedTuple):
    begin: int
    """Where the first record was thought to begin."""
    end: int
    """Where the next stretch's first one does."""
    items: list[Gleaned | LostFrames]


class Large:
    """A plain capture file that is read by several processes, in order."""

    def __init__(self, path: str, node: str, file: int, processes: int) -> None:
        """``file`` is a descriptor of the file."""
        self._path, self._node, self._file = path, node, file
        self._size = os.fstat(file).st_size
        self._count = processes
        self._reader = _Pcap() if os.pread(file, 4, 0) in pcap_records.MAGICS else _Pcapng()
        self._begin = self._end = 0
        """Of the stretch that was read last."""
        self._entered = self._reader
        """How it was read."""
        self._odd = False
        """The processes do not know how to read on."""
        self._issued = FIRST
        """Where the first stretch begins that no process has got."""
        self._waiting: deque[tuple[int, _Task]] = deque()
        """Stretches that processes have got, in order."""
        self._connections: list[Connection] = []
        self._processes: list[BaseProcess] = []

    @property
    def position(self) -> int:
        """Bytes of the file that are read."""
        return self._end

    def next(self, interest: Interest) -> list[Gleaned | LostFrames] | None:
        """What the next stretch of the file holds; None if the rest is to be read otherwise."""
        self._begin, self._entered = self._end, self._reader
        if self._odd:
            return None
        if self._begin == 0:
            return self._here(FIRST, interest)
        if not self._processes:
            self._start()
        self._issue(interest)
        if not self._waiting:
            return None
        number, task = self._waiting.popleft()
        try:
            done: _Done | None = self._connections[number].recv()
        except (EOFError, OSError):
            return None
        self._issue(interest)
        if done is None or done.begin != self._begin or task.interest != interest:
            return self._here(task.end, interest)
        self._end = done.end
        return done.items

    def again(self, interest: Interest) -> list[Gleaned | LostFrames] | None:
        """The last stretch once more."""
        return self._here(self._end, interest)

    def rest(self) -> Iterator[Item]:
        """What comes after the last stretch, read as any file is."""
        if self._end == 0:
            yield from read_capture(self._path)
            return
        with Path(self._path).open("rb") as stream:
            stream.seek(self._end)
            yield from self._reader.items(Window(Plain(stream), WINDOW, self._end))

    def close(self) -> None:
        """End the processes."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.terminate()
            process.join()

    def _here(self, end: int, interest: Interest) -> list[Gleaned | LostFrames] | None:
        """The last stretch again, from where it is known to begin; what waits for it is judged by where that ends."""
        reader = copy.deepcopy(self._entered)
        done = _stretch(self._file, self._size, reader, _Task(self._begin, end, interest, 0), self._node, exact=True)
        if done is None:
            self._end, self._reader = self._begin, self._entered
            return None
        self._reader, self._end = reader, done.end
        self._odd = self._begin > 0 and reader.state() != self._entered.state()
        return done.items

    def _start(self) -> None:
        # Takes 20 ms, and most captures are small.
        import multiprocessing

        context = multiprocessing.get_context("fork")
        for _ in range(self._count):
            here, there = context.Pipe()
            self._connections.append(here)
            arguments = (there, list(self._connections), self._file, self._size, self._reader, self._node)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            there.close()
            self._processes.append(process)

    def _issue(self, interest: Interest) -> None:
        """Give the processes something to do. The end of the file is kept: it may grow, or not be whole."""
        while len(self._waiting) < DEPTH * self._count and self._issued + STRETCH < self._size:
            task = _Task(self._issued, self._issued + STRETCH, interest, self._reader.second)
            number = self._issued // STRETCH % self._count
            try:
                self._connections[number].send(task)
            except OSError:
                return
            self._waiting.append((number, task))
            self._issued = task.end


def _work(connection: Connection, others: list[Connection], file: int, size: int, reader: _Pcap | _Pcapng, node: str) -> None:
    """Glean stretches as long as somebody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in others:
        other.close()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(_stretch(file, size, reader, connection.recv(), node, exact=False))


def _stretch(file: int, size: int, reader: _Pcap | _Pcapng, task: _Task, node: str, *, exact: bool) -> _Done | None:
    """What a stretch holds; None where it is out of the ordinary."""
    window = Mapped(file, task.begin, min(task.end, size), size, copied=exact)
    if not exact:
        start = reader.guess(window)
        if start < 0:
            reader.informed(task.second)
            start = reader.guess(window)
        if start < 0:
            return None
        window.start = start
    begin, state = window.position, reader.state()
    items: list[Gleaned | LostFrames] = []
    for item in reader.items(window):
        if isinstance(item, FrameBatch):
            items.append(glean(item, node, task.interest))
        elif isinstance(item, LostFrames):
            items.append(item)
        else:
            return None
    if not exact and reader.state() != state:
        return None
    return _Done(begin, window.position, items)


@contextlib.contextmanager
def large(path: str, node: str, processes: int) -> Iterator[Large | None]:
    """A file that is worth several processes, None if it is not; they are gone afterwards."""
    file = -1
    if processes and path != "-":
        with contextlib.suppress(OSError, ValueError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if file < 0:
        yield None
        return
    try:
        status = os.fstat(file)
        magic = os.pread(file, 4, 0) if stat.S_ISREG(status.st_mode) and status.st_size >= SMALL else b""
        if magic not in (*pcap_records.MAGICS, pcap_blocks.SECTION.to_bytes(4)):
            yield None
            return
        opened = Large(path, node, file, processes)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        os.close(file)
