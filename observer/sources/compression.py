"""Bytes of a file or stream, decompressed if they are gzip, xz or zstd, recognised by content and not by name.

What the bytes mean belongs elsewhere (``pcap``). Damage is not an exception here: the bytes before it are delivered, then the
source ends and ``problem`` says why, because a capture cut short is still a capture.
"""

from __future__ import annotations

import lzma
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

_PIECE = 8 * 1024
"""Compressed bytes handed over at once. zstd's decompressor does not bound its output, 32,768 times as much of a hostile file:
small pieces keep that below 256 MiB, and cost nothing measurable."""

_OUTPUT = 1024 * 1024
"""Bytes taken at once from a decompressor that can be told so."""

_XZ_MEMORY = 256 * 1024 * 1024
"""``xz -9`` needs 65 MiB to decompress; more is asked for by no capture that we know."""


class Source(Protocol):
    """Bytes in order, until ``readinto`` gives 0."""

    problem: str | None
    """Why the bytes ended, where it was not simply their end."""

    def readinto(self, view: memoryview) -> int:
        """Fill (part of) a view of at least one byte; the number of bytes, 0 at the end."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """The member or frame is complete."""

    @property
    def unused_data(self) -> bytes:
        """What was handed over and comes after it."""

    @property
    def needs_input(self) -> bool:
        """Not so where output is left over: hand over nothing to get it."""

    def decompress(self, data: bytes, /) -> bytes: ...


class _Gzip:
    needs_input = True

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)  # 16 for gzip's header and trailer, 15 for the largest window

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, /) -> bytes:
        output = self._inner.decompress(self._inner.unconsumed_tail + data, _OUTPUT)
        self.needs_input = len(output) < _OUTPUT
        return output


class _Xz:
    def __init__(self) -> None:
        self._inner = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    def decompress(self, data: bytes, /) -> bytes:
        return self._inner.decompress(data, _OUTPUT)


class _Zstd:
    needs_input = True

    def __init__(self) -> None:
        import zstandard  # takes 20 ms, and few captures need it

        self._inner = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, /) -> bytes:
        return self._inner.decompress(data)


class _Format(NamedTuple):
    name: str
    magic: re.Pattern[bytes]
    start: Callable[[], _Decompressor]


_FORMATS = (
    # A copy may have broken off before the method, of which there is one only.
    _Format("gzip", re.compile(rb"\x1f\x8b(?:\x08|\Z)"), _Gzip),
    _Format("xz", re.compile(rb"\xfd7zXZ\x00"), _Xz),
    # The second is a skippable frame, which pzstd begins with and the seekable format ends with (RFC 8878 3.1.2).
    _Format("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL), _Zstd),
)
_LONGEST_MAGIC = 6


class Plain:
    """A stream as it is, with a few bytes looked at ahead."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        """Read from ``stream``, which stays the caller's to close."""
        self.problem: str | None = None
        self._stream = stream
        self._ahead = b""

    def look(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end, without consuming them."""
        while len(self._ahead) < count and (piece := self._read(count - len(self._ahead))):
            self._ahead += piece
        return self._ahead

    def read(self, count: int) -> bytes:
        """Some of the next bytes, at most ``count``; none at the end."""
        if self._ahead:
            piece, self._ahead = self._ahead[:count], self._ahead[count:]
            return piece
        return self._read(count)

    def readinto(self, view: memoryview) -> int:
        """See ``Source``."""
        if self._ahead:
            piece = self.read(len(view))
            view[: len(piece)] = piece
            return len(piece)
        try:
            return self._stream.readinto1(view)
        except OSError as error:
            self.problem = f"reading failed: {error.strerror or error}"
            return 0

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read1(count)
        except OSError as error:
            self.problem = f"reading failed: {error.strerror or error}"
            return b""


class Inflated:
    """What a compressed stream (of one or several members or frames) holds."""

    def __init__(self, plain: Plain, form: _Format) -> None:
        """Decompress ``plain``, which begins with the magic of ``form``."""
        self.problem: str | None = None
        self._plain = plain
        self._form = form
        self._decompressor = form.start()
        self._ready = memoryview(b"")
        self._ended = False

    def readinto(self, view: memoryview) -> int:
        """See ``Source``. Fills the view: pieces of compressed data are small, windows should not be."""
        filled = 0
        while filled < len(view):
            if not self._ready:
                if self._ended:
                    break
                self._ready = memoryview(self._next())
            count = min(len(self._ready), len(view) - filled)
            view[filled : filled + count] = self._ready[:count]
            self._ready = self._ready[count:]
            filled += count
        return filled

    def _next(self) -> bytes:
        """Decompress one piece; may well give nothing yet."""
        if self._decompressor.eof:
            # All three may be concatenated, and tapes and xz pad with zeros in between.
            data = self._decompressor.unused_data.lstrip(b"\0")
            while len(data) < _LONGEST_MAGIC and (more := self._plain.read(_PIECE)):
                data = (data + more).lstrip(b"\0")
            if not data:
                return self._end(self._plain.problem)
            if not self._form.magic.match(data):
                return self._end(f"bytes that are not {self._form.name} follow the {self._form.name} data")
            self._decompressor = self._form.start()
        else:
            data = self._plain.read(_PIECE) if self._decompressor.needs_input else b""
            if not data and self._decompressor.needs_input:
                return self._end(self._plain.problem or f"the {self._form.name} data ends early")
        try:
            return self._decompressor.decompress(data)
        except Exception as error:  # zlib.error, LZMAError, ZstdError: the last is not imported here
            return self._end(f"the {self._form.name} data is damaged ({error})")

    def _end(self, problem: str | None) -> bytes:
        self._ended = True
        self.problem = problem
        return b""


def decompressed(stream: io.BufferedIOBase) -> tuple[Source, str | None]:
    """The bytes of a stream, decompressed if need be, and the name of the compression (None if there is none).

    One layer only. Never raises: see ``Source.problem``.
    """
    plain = Plain(stream)
    head = plain.look(_LONGEST_MAGIC)
    for form in _FORMATS:
        if form.magic.match(head):
            return Inflated(plain, form), form.name
    return plain, None
