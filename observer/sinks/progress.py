"""How far a replay has come, on a terminal. Not for logs: nothing is written unless somebody can watch."""

from __future__ import annotations

from typing import TextIO

WIDTH = 30


class Progress:
    """A bar on one line, drawn again when a percent more is done."""

    def __init__(self, stream: TextIO, sizes: dict[str, int], title: str = "") -> None:
        """``sizes``: bytes of each file that will be read; files of unknown size are left out. ``title``: what it is read for."""
        self._stream = stream if stream.isatty() else None
        self._total = sum(sizes.values())
        self._read = dict.fromkeys(sizes, 0)
        self._title = f"{title} " if title else ""
        self._shown = -1

    def at(self, path: str, read: int) -> None:
        """So many bytes of a file are read."""
        if self._stream is None or path not in self._read or not self._total:
            return
        self._read[path] = max(self._read[path], read)
        done = min(sum(self._read.values()), self._total)
        percent = done * 100 // self._total
        if percent != self._shown:
            self._shown = percent
            full = WIDTH * percent // 100
            bar = "#" * full + "-" * (WIDTH - full)
            self._stream.write(f"\r{self._title}[{bar}] {percent:3d} %  {done / 2**20:,.0f} of {self._total / 2**20:,.0f} MiB")
            self._stream.flush()

    def close(self) -> None:
        """Make room for what comes next."""
        if self._stream is not None and self._shown >= 0:
            self._stream.write("\r\033[K")
            self._stream.flush()
            self._shown = -1
