"""Addresses and links of a node from a file: JSON lines as the recorder writes them, or the output of ``ip monitor``.

What follows the kernel live belongs in ``addresses``. As there, what only repeats what is known is not told again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import re
import sys
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from observer.model.errors import SourceError
from observer.model.observations import AddressChange, LinkChange
from observer.model.time import rfc3339
from observer.sources.compression import decompressed
from observer.wire.log_lines import console_time, iso_time

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from observer.sources.compression import Source

Change: TypeAlias = AddressChange | LinkChange

LONGEST = 64 * 1024
"""Characters of a line that are looked at; the rest of a longer one is passed over."""

PATIENCE = 20_000
"""Lines without a single one that is understood, after which a file is taken for something else."""

_KINDS: dict[str, type[Change]] = {"AddressChange": AddressChange, "LinkChange": LinkChange}
_PIECE = 1024 * 1024


@dataclass(slots=True)
class LineCensus:
    """What was in a file of lines, for people who wonder why nothing was found."""

    lines: int = 0
    understood: int = 0
    """Lines of the expected form, whether or not they say something of interest."""
    skipped: int = 0
    """Lines that are garbage, or carry no time."""
    unzoned: int = 0
    """Lines that are understood, with a time stamp that does not say its zone."""
    events: int = 0
    broken: str | None = None
    """Why reading stopped before the end."""


def text_lines(path: str, census: LineCensus) -> Iterator[str]:
    """The lines of a file (or of standard input, "-"), decompressed if need be, without their ends; counted in ``census``.

    Raises SourceError if the file cannot be opened, or if nothing of it can be read.
    """
    with contextlib.ExitStack() as stack:
        stream = cast("io.BufferedIOBase", sys.stdin.buffer) if path == "-" else stack.enter_context(_open(path))
        source, _ = decompressed(stream)
        for line in _split(source):
            census.lines += 1
            yield line
        if source.problem is not None:
            if not census.lines:
                raise SourceError(f"{_name(path)}: {source.problem}; there is nothing to read, copy it again")
            census.broken = f"{_name(path)}: {source.problem}; what came before was used"


def _split(source: Source) -> Iterator[str]:
    piece = memoryview(bytearray(_PIECE))
    kept = b""
    overlong = False
    while count := source.readinto(piece):
        *whole, rest = (kept + piece[:count].tobytes()).split(b"\n")
        for line in whole:
            if not overlong:
                yield _decoded(line)
            overlong = False
        if len(rest) > LONGEST:
            if not overlong:
                yield _decoded(rest)
            rest, overlong = b"", True
        kept = rest
    if kept and not overlong:
        yield _decoded(kept)


def _decoded(line: bytes) -> str:
    return line[:LONGEST].decode("utf-8", "replace").lstrip("\ufeff").rstrip("\r")


def _open(path: str) -> io.BufferedReader:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise SourceError(f"{path}: is a directory; name the files in it") from None
    except PermissionError:
        raise SourceError(f"{path}: permission denied; make it readable or run as its owner") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be opened ({getattr(error, 'strerror', None) or error})") from None


def _name(path: str) -> str:
    return "standard input" if path == "-" else path


def encode(observation: Change) -> str:
    """One line of JSON (without its end): ``kind``, ``time`` (RFC 3339), and the other fields but ``node``.

    Which node it was is said once for a file, where it is named.
    """
    fields = {field.name: getattr(observation, field.name) for field in dataclasses.fields(observation)}
    del fields["node"]
    return json.dumps({"kind": type(observation).__name__, **fields, "time": rfc3339(observation.time)})


def decode(text: str, node: str) -> Change | None:
    """The inverse of ``encode``; None for anything else. Unknown fields are passed over, missing ones take their defaults."""
    value = _object(text)
    return None if value is None else _change(value, node)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _change(value: dict[str, Any], node: str) -> Change | None:
    time = value.get("time")
    instant = iso_time(time, UTC) if isinstance(time, str) else None
    interface, initial = value.get("interface"), value.get("initial", False)
    if instant is None or not isinstance(interface, str) or not isinstance(initial, bool):
        return None
    match value:
        case {"kind": "AddressChange", "address": str(text), "present": bool(present)}:
            address, requester, name = _canonical(text), value.get("requester"), value.get("requester_name")
            if address is None or not (requester is None or type(requester) is int) or not (name is None or type(name) is str):
                return None
            return AddressChange(
                time=instant,
                node=node,
                interface=interface,
                address=address,
                present=present,
                initial=initial,
                requester=requester,
                requester_name=name,
            )
        case {"kind": "LinkChange", "up": bool(up)}:
            mac = value.get("mac")
            if not (mac is None or isinstance(mac, str)):
                return None
            return LinkChange(time=instant, node=node, interface=interface, up=up, mac=mac, initial=initial)
    return None


def _canonical(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def read_address_events(
    path: str, node: str, *, zone: tzinfo = UTC, census: LineCensus | None = None
) -> Iterator[AddressChange | LinkChange]:
    """The changes in a file, or in standard input ("-"), in its order; both forms may be mixed.

    ``ip monitor`` writes local time without saying which: ``zone`` does. Lines that are not understood are skipped and counted in
    ``census``. An empty file is one in which nothing happened.

    Raises SourceError, at the first item and not at the call, for what holds nothing that is understood.
    """
    census = LineCensus() if census is None else census
    monitor = _Monitor(node, zone)
    any_text = False
    for line in text_lines(path, census):
        any_text = any_text or bool(line.strip())
        if line.startswith("{"):
            found = monitor.flush()
            value = _object(line)
            # The recorder writes other observations too.
            if value is None or not isinstance(value.get("kind"), str):
                census.skipped += 1
            elif value["kind"] not in _KINDS:
                census.understood += 1
            elif (change := _change(value, node)) is None:
                census.skipped += 1
            else:
                census.understood += 1
                found = [*found, change]
        else:
            found = monitor.line(line, census)
        census.events += len(found)
        yield from found
        if not census.understood and census.lines >= PATIENCE:
            break
    found = monitor.flush()
    census.events += len(found)
    yield from found
    if any_text and not census.understood:
        raise SourceError(
            f"{_name(path)}: neither address events as the recorder writes them nor the output of `ip -ts monitor address link`"
            f"{' (-ts was missing: no line has a time)' if monitor.untimed else ''}"
        )


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TIMESTAMP = re.compile(r"Timestamp: (?P<date>.{8,} [0-9:]{8}) (?P<year>[0-9]{4}) (?P<usec>[0-9]{1,6}) usec")
_STAMPED = re.compile(r"\[(?P<stamp>[0-9]{4}-[0-9-]{5}T[0-9:]{8}\.[0-9]{1,9})\] ?(?P<rest>.*)")
_BRIEF = re.compile(r"\[[0-9]{4}-[0-9]{2}-[0-9]{2}T")
"""Another stamp in the same line: ``-br`` ends no lines, and does not say whose an address is."""
_LABEL = re.compile(r"(?:\[nsid (?P<namespace>[^\]\s]+)\])?(?:\[(?P<label>[A-Z0-9_ ]+)\])?(?P<rest>.*)")
_ADDRESS = re.compile(r"(?P<deleted>Deleted )?[0-9]+: (?P<interface>\S+) +inet6? (?P<address>[0-9A-Fa-f.:]+)(?P<rest>[/ ].*)?")
_LINK = re.compile(r"(?P<deleted>Deleted )?[0-9]+: (?P<interface>\S+): <(?P<flags>[A-Z0-9_,-]*)> (?P<rest>.*)")
_MAC = re.compile(r"\s*link/\S+ (?P<mac>[0-9a-f]{2}(?::[0-9a-f]{2}){5})(?![0-9a-f:])")


class _Monitor:
    """Reads the output of ``ip -ts monitor`` (``-t`` puts the time on a line of its own) line by line."""

    def __init__(self, node: str, zone: tzinfo) -> None:
        self._node = node
        self._zone = zone
        self._announced: int | None = None
        """Time of the line that follows."""
        self._link: LinkChange | None = None
        """Its MAC address is on the next line."""
        self._present: dict[tuple[str, str], bool] = {}
        self._up: dict[str, bool] = {}
        self.untimed = False
        """There were lines that would have been understood, had they carried a time."""

    def flush(self) -> list[Change]:
        """What waited for more."""
        link, self._link = self._link, None
        return [] if link is None else [link]

    def line(self, text: str, census: LineCensus) -> list[Change]:
        """What a line says, after what the lines before it left open."""
        text = _COLOUR.sub("", text)
        if not text.strip():
            return []
        if text[0].isspace():
            self._continued(text)
            return []
        found = self.flush()
        if (header := _TIMESTAMP.fullmatch(text.rstrip())) is not None:
            self._announced = console_time(f"{header['date']}.{int(header['usec']):06d} {header['year']}", self._zone)
            census.understood += self._announced is not None
            census.skipped += self._announced is None
            return found
        time, self._announced = self._announced, None
        if (stamped := _STAMPED.fullmatch(text)) is not None:
            time, text = iso_time(stamped["stamp"], self._zone), stamped["rest"]
            if _BRIEF.search(text) is not None:
                time = None
        labelled = _LABEL.fullmatch(text)
        rest = text if labelled is None else labelled["rest"]
        address, link = _ADDRESS.fullmatch(rest), _LINK.fullmatch(rest)
        if time is None:
            # The output of ip address, say, which somebody kept in the same file.
            self.untimed = self.untimed or address is not None or link is not None
            census.skipped += 1
            return found
        census.understood += 1
        census.unzoned += 1
        if labelled is not None and labelled["namespace"] not in (None, "current"):
            return found
        if address is not None:
            return found + self._address(time, address)
        if link is not None:
            self._changed(time, link)
        return found

    def _continued(self, text: str) -> None:
        mac = _MAC.match(text)
        if self._link is not None and mac is not None:
            self._link = dataclasses.replace(self._link, mac=mac["mac"])

    def _address(self, time: int, match: re.Match[str]) -> list[Change]:
        interface, address = _interface(match["interface"]), _canonical(match["address"])
        if address is None:
            return []
        present = match["deleted"] is None
        known = self._present.get((interface, address))
        if known == present:
            # The kernel repeats an address when only its lifetime or flags change.
            return []
        self._present[interface, address] = present
        # One with a lifetime is repeated at every refresh, so the first that is seen of it need not be its beginning.
        refreshed = present and known is None and " dynamic" in (match["rest"] or "")
        return [
            AddressChange(time=time, node=self._node, interface=interface, address=address, present=present, initial=refreshed)
        ]

    def _changed(self, time: int, match: re.Match[str]) -> None:
        # Without a queueing discipline it speaks of a port's bridge state (AF_BRIDGE): "Deleted" is leaving the bridge.
        if "qdisc" not in match["rest"].split():
            return
        interface, gone = _interface(match["interface"]), match["deleted"] is not None
        up = not gone and {"UP", "LOWER_UP"} <= set(match["flags"].split(","))
        if self._up.get(interface) == up and not gone:
            return
        # The kernel speaks of a link for many reasons: that it is up, told for the first time, is no sign that it came up.
        initial = up and interface not in self._up
        self._up[interface] = up
        if gone:
            del self._up[interface]
        self._link = LinkChange(time=time, node=self._node, interface=interface, up=up, initial=initial)
        _, one_line, more = match["rest"].partition("\\")
        if one_line:
            self._continued(more)


def _interface(name: str) -> str:
    """Without its peer or lower device (``eth0@if3``)."""
    return name.partition("@")[0]
