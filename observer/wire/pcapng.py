"""Blocks of a pcapng file as octets (draft-ietf-opsawg-pcapng): section, interfaces, packets, journal entries.

Writing only, and of one kind: little endian, Ethernet, nanoseconds. Reading any capture belongs to ``sources``; what an entry
means, to ``journal``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from observer.wire.links import LinkType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECTION, INTERFACE, PACKET, JOURNAL = 0x0A0D0D0A, 1, 6, 9
"""Section Header, Interface Description, Enhanced Packet, and systemd Journal Export Block."""

LONGEST: Final = 200_000
"""Octets of one journal entry at most: Wireshark refuses a record of 262,144 (WTAP_MAX_PACKET_SIZE_STANDARD)."""

_COMMENT, _APPLICATION = 1, 4
_NAME, _DESCRIPTION, _RESOLUTION = 2, 3, 9
_FLAGS = 2
_INBOUND, _OUTBOUND = 1, 2
_NANOSECONDS = b"\x09"


def section(comment: str, application: str) -> bytes:
    """A Section Header Block, with which a file begins; of a length not known beforehand."""
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    return _block(SECTION, body + _options([(_COMMENT, comment.encode()), (_APPLICATION, application.encode())]))


def interface(name: str | None, description: str) -> bytes:
    """An Interface Description Block: Ethernet, no limit on the length of packets, nanoseconds since the epoch."""
    options = [] if name is None else [(_NAME, name.encode())]
    options += [(_DESCRIPTION, description.encode()), (_RESOLUTION, _NANOSECONDS)]
    return _block(INTERFACE, struct.pack("<HHI", LinkType.ETHERNET, 0, 0) + _options(options))


def packet(
    number: int, time: int, octets: bytes, original: int, *, outgoing: bool | None = None, comments: Iterable[str] = ()
) -> bytes:
    """An Enhanced Packet Block of interface ``number``, captured at ``time`` ns, of ``original`` octets on the wire."""
    head = struct.pack("<IIIII", number, time >> 32, time & 0xFFFFFFFF, len(octets), original)
    options = [(_COMMENT, comment.encode()) for comment in comments]
    if outgoing is not None:
        options.append((_FLAGS, struct.pack("<I", _OUTBOUND if outgoing else _INBOUND)))
    return _block(PACKET, head + _padded(octets) + _options(options))


def journal(fields: Mapping[str, str]) -> bytes:
    """A systemd Journal Export Block. Readers place it by its ``__REALTIME_TIMESTAMP`` (microseconds since the epoch).

    Values hold neither newlines nor zeros: the form of the export format that allows them is read by few.
    """
    lines = (f"{name}={value.translate(_UNWRITABLE)}\n" for name, value in fields.items())
    return _block(JOURNAL, _padded("".join(lines).encode(errors="replace")))


_UNWRITABLE = {ord("\n"): " ", 0: " "}


def _options(options: list[tuple[int, bytes]]) -> bytes:
    if not options:
        return b""
    return b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options) + bytes(4)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
