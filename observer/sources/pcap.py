"""Capture files as a stream of batches: which file, which format, and what to say to the operator if it is neither.

The formats themselves are read in ``pcap_records`` (pcap) and ``pcap_blocks`` (pcapng); decoding frames belongs to ``wire``.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from observer.model.errors import SourceError
from observer.sources.compression import decompressed
from observer.sources.pcap_blocks import SECTION, read_blocks
from observer.sources.pcap_items import NO_TIME, FrameBatch, Item, LostFrames, Truncated
from observer.sources.pcap_records import MAGICS, read_records
from observer.sources.pcap_window import Window
from observer.wire import pcapng

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

__all__ = ["NO_TIME", "WINDOW", "FrameBatch", "Item", "LostFrames", "Truncated", "read_capture"]

WINDOW = 4 * 1024 * 1024
"""Bytes read at once. Larger windows are not faster, smaller ones cost more per batch in everything that follows."""

_PCAPNG = SECTION.to_bytes(4)

_RECORDING = b"OBSERVER_RECORDING="
"""In the first entry of the agent's recordings, which are read in ``recording``."""
_BEFORE_PACKETS = (pcapng.SECTION, pcapng.INTERFACE, pcapng.JOURNAL)
_LOOKED_AT = 1024 * 1024
"""Bytes in which that entry is looked for: far more than descriptions of interfaces take."""

_OTHERS = (
    (b"snoop\0\0\0", "a snoop capture; convert it with editcap"),
    (b"btsnoop\0", "a Bluetooth capture"),
    (b"GMBU", "a Microsoft Network Monitor capture; convert it with editcap"),
    (b"RTSS", "a Microsoft Network Monitor capture; convert it with editcap"),
    (b"TRSNIFF data", "a Sniffer capture; convert it with editcap"),
    (b"\x1f\x8b", "gzip data; decompress it first"),
    (b"\xfd7zXZ\x00", "xz data; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "zstd data; decompress it first"),
    (b"BZh", "bzip2 data; decompress it first"),
    (b"\x04\x22\x4d\x18", "lz4 data; decompress it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x7fELF", "a program"),
    (b"LPKSHHRH", "a systemd journal; give a capture"),
)


def read_capture(
    path: str,
    stream: io.BufferedIOBase | None = None,
    *,
    window: int = WINDOW,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Item]:
    """The frames of a capture file in its order, what it says was lost, and where it broke off.

    ``path`` is a file, or "-" for standard input; with ``stream``, which stays open, it is only a name for messages. Reads
    pcap and pcapng, plain or compressed with gzip, xz or zstd. Memory does not grow with the file: ``window`` bytes are held,
    and whatever the caller keeps. A file still being written, cut short or corrupt gives all that comes before, then
    ``Truncated``. ``progress`` is told how many bytes of the file are read, after each item.

    Raises SourceError, at the first item and not at the call, for what cannot be used at all, and for a recording of the agent
    that comes through a pipe.
    """
    name = "standard input" if path == "-" else path
    with contextlib.ExitStack() as stack:
        if stream is None:
            # The type of sys.stdin.buffer says less than it is.
            stream = cast("io.BufferedIOBase", sys.stdin.buffer) if path == "-" else stack.enter_context(_open(path))
        source, compression = decompressed(stream)
        view = Window(source, max(window, 1))
        piped = path == "-" or not stream.seekable()
        if piped and _is_recording(view):
            raise SourceError(f"{name}: a recording, which is read more than once; save it, and give the name of its file")
        items = _items(view, name, compression)
        for number, item in enumerate(items):
            if number == 0 and isinstance(item, Truncated) and item.offset == 0:
                raise SourceError(f"{name}: {item.detail}; there is nothing to read, capture it again")
            yield item
            if progress is not None and not piped:
                progress(stream.tell())


def _is_recording(view: Window) -> bool:
    """Whether an entry before the first packet says so. Nothing is consumed."""
    at = 0
    while at < _LOOKED_AT and view.require(at + 8):
        kind, length = struct.unpack_from("<II", view.buffer, view.start + at)
        if kind not in _BEFORE_PACKETS or not 12 <= length <= _LOOKED_AT or not view.require(at + length):
            break
        if kind == pcapng.JOURNAL and _RECORDING in bytes(view.buffer[view.start + at : view.start + at + length]):
            return True
        at += length
    return False


def _open(path: str) -> io.BufferedReader:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise SourceError(f"{path}: is a directory; name the capture files in it") from None
    except PermissionError:
        raise SourceError(f"{path}: permission denied; make it readable or run as its owner") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be opened ({getattr(error, 'strerror', None) or error})") from None


def _items(view: Window, name: str, compression: str | None) -> Iterator[Item]:
    """What the reader of the format at hand gives."""
    view.require(16)
    head = view.unread
    within = f"{compression} of " if compression else ""
    if len(head) < len(_PCAPNG) and view.problem:
        raise SourceError(f"{name}: {view.problem}; there is nothing to read, copy it again")
    if not head:
        raise SourceError(f"{name}: {within}nothing at all, an empty file; wait until something is captured")
    if head[:4] in MAGICS:
        return read_records(view)
    if head[:4] == _PCAPNG:
        return read_blocks(view)
    raise SourceError(f"{name}: not a capture but {within}{_looks_like(head)}; give a pcap or pcapng file")


def _looks_like(head: bytes) -> str:
    """A guess at what begins like this, in words that fit after "not a capture but"."""
    for magic, what in _OTHERS:
        if head.startswith(magic):
            return what
    if all(32 <= octet < 127 or octet in b"\t\r\n" for octet in head[:16]):
        return "text"
    return f"unknown data (it begins with {head[:8].hex(' ')})"
