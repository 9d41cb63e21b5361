"""Dumps over netlink, as bytes: for questions asked every second, which a general library answers with much more work."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from observer.model.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 16 << 20
"""Bytes of one answer that are read; more is told as an error, for the node pays for it too."""

PIECE = 1 << 16
"""Bytes of a piece of it; the kernel makes them of at most half as many (netlink_recvmsg)."""

TIMEOUT = 0.5
"""Seconds for which the kernel is waited for."""

_HEADER = struct.Struct("=IHHII")
_DONE = struct.pack("=IH", 20, 3)
_ERROR = 2
_REQUEST_DUMP = 0x1 | 0x300


class Netlink:
    """One socket of a netlink family, opened when first asked."""

    def __init__(self, family: int) -> None:
        self._family = family
        self._socket: socket.socket | None = None
        self._sequence = 0

    def dump(self, kind: int, payload: bytes) -> Iterator[bytes]:
        """The answer to a dump request, in pieces of whole messages. Raises OSError for the kernel's errors, and SourceError."""
        self._sequence += 1
        complete = False
        try:
            opened = self._opened()
            header = _HEADER.pack(_HEADER.size + len(payload), kind, _REQUEST_DUMP, self._sequence, 0)
            opened.sendto(header + payload, (0, 0))
            total = 0
            while True:
                piece = opened.recv(PIECE)
                total += len(piece)
                if total > LARGEST:
                    raise SourceError(f"the kernel's answer is longer than {LARGEST >> 20} MiB")
                _, answer, _, sequence, _ = _HEADER.unpack_from(piece)
                if sequence != self._sequence:
                    continue
                if answer == _ERROR:
                    (code,) = struct.unpack_from("=i", piece, _HEADER.size)
                    raise OSError(-code, os.strerror(-code))
                complete = piece[-20:-14] == _DONE
                data = piece[:-20] if complete else piece
                if data:
                    yield data
                if complete:
                    return
        finally:
            if not complete:
                # What is still to come would be taken for the answer to the next question.
                self.close()

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, self._family)
            self._socket.settimeout(TIMEOUT)
        return self._socket


def messages(piece: bytes) -> Iterator[bytes]:
    """The messages of a piece, without their netlink headers."""
    at = 0
    while at + _HEADER.size <= len(piece):
        (length,) = struct.unpack_from("=I", piece, at)
        if length < _HEADER.size:
            return
        yield piece[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(body: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes of a message from an offset on: type without its flags, and value."""
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:
            return
        yield kind & 0x3FFF, body[at + 4 : at + length]
        at += (length + 3) & ~3
