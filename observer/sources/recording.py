"""Recordings of the live agent, read back: the observations that an engine took, in its order (``sinks.recording`` writes them).

Packets are decoded as in any capture; what no packet says stands in journal entries. A recording that went through mergecap or
editcap is still one. Other captures are read in ``replay`` and ``pcap``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import struct
import zlib
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from observer.model.observations import Advert, SourceChange, SourceState
from observer.model.segments import TcpSegments
from observer.sources.compression import decompressed
from observer.sources.pcap_interfaces import Interface, options
from observer.sources.pcap_items import Truncated
from observer.wire import journal, pcapng
from observer.wire.links import supported
from observer.wire.tcp import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from observer.model.observations import Observation
    from observer.sources.compression import Source
    from observer.wire.frames import FrameDecoder

_LONGEST = 16 << 20
_AHEAD = 8
"""Blocks looked at to find out whether a file is a recording: mergecap puts descriptions of interfaces first."""
_PACE = 256
"""Blocks after which progress is told."""
_MEMORY = 256 << 20
_COMMENT, _FLAGS = 1, 2
STATE = "OBSERVER_STATE"
"""A field of entries that tell the state where the recording begins."""
_ENDS = "the recording ends"
_GROUP = "vrrp-observer: authentication data replaced, group "
_BATCH = "vrrp-observer: a new batch begins"


@dataclass(frozen=True, slots=True)
class Head:
    """What a recording says of itself."""

    node: str
    reason: str
    begin: int | None
    """When it begins, nanoseconds since the epoch; None where that is damaged."""
    memory: str | None
    """Of the engine where the recording begins, None if it has none; what is damaged is no engine's."""


@dataclass(slots=True)
class Harm:
    """What is wrong with a recording, found as it is read."""

    stopped: Truncated | None = None
    """Where nothing more can be read of it."""
    left_out: int = 0
    """Packets and entries that are damaged, or of a later version."""
    ended: bool = False
    """It has the entry with which the agent ends a recording."""


class _Packet(NamedTuple):
    interface: Interface
    time: int
    octets: bytes
    original: int
    outgoing: bool | None
    comments: tuple[str, ...]


_Item = _Packet | dict[str, str]
"""A packet, or the fields of a journal entry."""


def repeatable(path: str) -> bool:
    """Whether a file can be read more than once: what comes by standard input ("-") or a pipe is gone then."""
    try:
        return path != "-" and Path(path).is_file()
    except OSError:
        return False


def head(path: str) -> Head | None:
    """What the recording at ``path`` says of itself; None if it is none, or cannot be opened, or comes through a pipe."""
    if not repeatable(path):
        return None
    try:
        found = items(path)
        first = next((item for item in _first(found) if isinstance(item, dict) and "OBSERVER_RECORDING" in item), None)
        if first is None:
            return None
        parts = first.get("OBSERVER_PARTS", "0")
        pieces = zip(found, range(int(parts) if parts.isdecimal() else 0), strict=False)
        memory = "".join(item.get("OBSERVER_MEMORY", "") for item, _ in pieces if isinstance(item, dict))
        remembered = None if parts == "0" else _inflated(memory)
        stamp = first.get("__REALTIME_TIMESTAMP", "")
        begin = int(stamp) * 1000 if stamp.isdecimal() else None
        return Head(first.get("OBSERVER_NODE", ""), first.get("OBSERVER_REASON", ""), begin, remembered)
    except (OSError, ValueError):
        return None


def answers(paths: Iterable[str]) -> dict[str, list[Any]]:
    """What the node's configuration answered the engine in recordings of one node: each question's answers, in order."""
    found: dict[str, list[Any]] = {}
    for path in paths:
        for item in items(path):
            if isinstance(item, dict) and "OBSERVER_QUESTION" in item:
                with contextlib.suppress(ValueError, RecursionError):
                    given = _frozen(json.loads(item.get("OBSERVER_ANSWER", "null")))
                    found.setdefault(item["OBSERVER_QUESTION"], []).append(given)
    return found


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples."""
    return tuple(_frozen(member) for member in value) if isinstance(value, list) else value


def state(path: str) -> list[Observation]:
    """The node's addresses, links and sources where a recording begins."""
    entries = (item for item in items(path) if isinstance(item, dict))
    found = takewhile(lambda item: STATE in item or journal.OBSERVATION not in item, entries)
    return [journal.from_fields(item) for item in found if STATE in item]


def observations(
    path: str,
    node: str,
    decoder: FrameDecoder,
    *,
    state: bool,
    harm: Harm | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[list[Observation]]:
    """The observations of a recording, as the engine took them, and at its end that every source ceased to listen.

    With ``state`` they begin with the node's addresses, links and sources; an engine with the recording's memory knows them.
    ``harm`` is filled in.
    """
    harm = Harm() if harm is None else harm
    listening: dict[str, SourceChange] = {}
    end = 0
    parts: list[str] = []
    packets: list[_Packet] = []
    for item in items(path, progress, harm):
        if isinstance(item, _Packet):
            end = max(end, item.time)
            if packets and (item.interface is not packets[0].interface or _BATCH in item.comments):
                yield from _decoded(packets, node, decoder)
                packets = []
            packets.append(item)
            continue
        if packets:
            yield from _decoded(packets, node, decoder)
            packets = []
        if "OBSERVER_END" in item and item.get("OBSERVER_TIME", "").isdecimal():
            harm.ended = True
            end = max(end, int(item["OBSERVER_TIME"]))
        if journal.OBSERVATION not in item:
            continue
        number, _, count = item.get("OBSERVER_PART", "1/1").partition("/")
        parts.append(item.get(journal.COLUMNS, ""))
        if number != count:
            continue
        try:
            observation = journal.from_fields({**item, journal.COLUMNS: "".join(parts)})
        except ValueError:
            # Of a later version, or damaged: what is not known here cannot be taken into account.
            harm.left_out += 1
            continue
        finally:
            parts = []
        end = max(end, _last(observation))
        if isinstance(observation, SourceChange):
            if observation.state is SourceState.STARTED:
                listening[observation.source] = observation
            else:
                listening.pop(observation.source, None)
        if STATE not in item:
            yield [observation]
        elif state:
            # As of the recording's beginning, which is when the entry is stamped.
            stamp = int(item.get("__REALTIME_TIMESTAMP", "0")) * 1000
            moved: Any = observation
            yield [replace(moved, time=max(observation.time, stamp))]
    if packets:
        yield from _decoded(packets, node, decoder)
    for source in listening.values():
        yield [replace(source, time=end, state=SourceState.STOPPED, detail=_ENDS)]


def one_after_another(streams: Iterable[Iterator[list[Observation]]]) -> Iterator[list[Observation]]:
    """Recordings of one node, in order of their beginning: what an earlier one holds is left out of the later ones."""
    reached = 0
    ends: list[Observation] = []
    for stream in streams:
        until, begun = reached, False
        for [observation] in stream:
            if isinstance(observation, SourceChange) and observation.detail == _ENDS:
                ends.append(observation)
                continue
            if not begun:
                # Between two recordings nobody listened, as far as anybody knows; where they overlap, nothing ended.
                if observation.time > until:
                    yield from ([end] for end in ends)
                begun, ends = True, []
            later = _after(observation, until)
            if later is not None:
                reached = max(reached, _last(later))
                yield [later]
    yield from ([end] for end in ends)


def _after(observation: Observation, time: int) -> Observation | None:
    if isinstance(observation, TcpSegments):
        rows = observation.rows(observation.times > time)
        return rows if len(rows) else None
    return observation if observation.time > time else None


def _last(observation: Observation) -> int:
    return int(observation.times[-1]) if isinstance(observation, TcpSegments) else observation.time


def _decoded(packets: list[_Packet], node: str, decoder: FrameDecoder) -> Iterator[list[Observation]]:
    """A run of packets of one interface: frames of the rare road one by one, and the segments between them as batches."""
    interface = packets[0].interface
    if not supported(interface.linktype):
        return
    waiting: list[_Packet] = []
    for packet in packets:
        rare = decoder.decode(
            time=packet.time,
            node=node,
            interface=interface.name,
            linktype=interface.linktype,
            frame=packet.octets,
            original_length=packet.original,
            outgoing=packet.outgoing,
        )
        if rare is None:
            waiting.append(packet)
            continue
        yield from _segments(waiting, node)
        waiting = []
        group = next((comment.removeprefix(_GROUP) for comment in packet.comments if comment.startswith(_GROUP)), "")
        if isinstance(rare, Advert) and group.isdecimal():
            rare = replace(rare, authentication_group=int(group))
        yield [rare]
    yield from _segments(waiting, node)


def _segments(packets: list[_Packet], node: str) -> Iterator[list[Observation]]:
    if not packets:
        return
    lengths = np.array([len(packet.octets) for packet in packets], dtype=np.int64)
    selection = select(
        node=node,
        interface=packets[0].interface.name,
        linktype=packets[0].interface.linktype,
        data=np.frombuffer(b"".join(packet.octets for packet in packets), dtype=np.uint8),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        times=np.array([packet.time for packet in packets], dtype=np.int64),
        data_segments=True,
    )
    if selection.segments is not None:
        yield [selection.segments]


def _first(items: Iterator[_Item]) -> Iterator[_Item]:
    for _, item in zip(range(_AHEAD), items, strict=False):
        yield item


def items(path: str, progress: Callable[[int], None] | None = None, harm: Harm | None = None) -> Iterator[_Item]:
    """Packets and entries of a pcapng file, as far as it is sound; Wireshark numbers both.

    ``progress`` is told how many bytes of the file are read; ``harm`` is told what is not sound.
    """
    harm = Harm() if harm is None else harm
    with Path(path).open("rb") as stream:
        source, _ = decompressed(stream)
        order, interfaces, number, at = "<", list[Interface](), 0, 0
        while len(start := _read(source, 12)) == 12:
            kind, length = struct.unpack_from(f"{order}II", start)
            if start[:4] == pcapng.SECTION.to_bytes(4):
                order, interfaces = (">" if start[8:12] == b"\x1a\x2b\x3c\x4d" else "<"), []
                kind, length = struct.unpack_from(f"{order}II", start)
            elif not interfaces and order == "<" and start[:4] not in _KNOWN:
                harm.stopped = Truncated(at, f"a block of type {kind} where an interface should be described")
                return
            if length < 12 or length % 4 or length > _LONGEST:
                harm.stopped = Truncated(at, f"a block of type {kind} claims {length} bytes")
                return
            body = start[8:] + _read(source, length - 12)
            if len(body) != length - 8:
                harm.stopped = Truncated(at, source.problem or f"the file ends within a block of {length} bytes")
                return
            if body[-4:] != start[4:8]:
                harm.stopped = Truncated(at, "a block whose two lengths differ")
                return
            at += length
            item = _item(kind, memoryview(body)[:-4], order, interfaces)
            if item is not None:
                yield item
            harm.left_out += item is None and kind == pcapng.PACKET
            if progress is not None and (number := number + 1) % _PACE == 0:
                progress(stream.tell())
        if start or source.problem:
            harm.stopped = Truncated(at, source.problem or "the file ends within a block's header")


_KNOWN = {kind.to_bytes(4, "little") for kind in (pcapng.INTERFACE, pcapng.PACKET, pcapng.JOURNAL)}


def _item(kind: int, body: memoryview, order: str, interfaces: list[Interface]) -> _Item | None:
    if kind == pcapng.INTERFACE and len(body) >= 8:
        interfaces.append(Interface.described(body, 0, len(body), order))
    elif kind == pcapng.JOURNAL:
        lines = bytes(body).rstrip(b"\0").decode(errors="replace").split("\n")
        return dict(line.split("=", 1) for line in lines if "=" in line)
    elif kind == pcapng.PACKET and len(body) >= 20:
        number, high, low, captured, original = struct.unpack_from(f"{order}5I", body)
        if number >= len(interfaces) or 20 + captured > len(body):
            return None
        given = list(options(body, 20 + captured + -captured % 4, len(body), order))
        flags = next(
            (int.from_bytes(value, "little" if order == "<" else "big") & 3 for code, value in given if code == _FLAGS), 0
        )
        clock = interfaces[number].clock
        ticks = np.array([min(high << 32 | low, max(clock.last, 0))], dtype=np.uint64)
        comments = tuple(value.decode(errors="replace") for code, value in given if code == _COMMENT)
        time = int(clock.nanoseconds(ticks)[0])
        octets = bytes(body[20 : 20 + captured])
        return _Packet(interfaces[number], time, octets, original, {1: False, 2: True}.get(flags), comments)
    return None


def _read(source: Source, count: int) -> bytes:
    """So many bytes, fewer at the end."""
    buffer = bytearray(count)
    view, at = memoryview(buffer), 0
    while at < count and (got := source.readinto(view[at:])):
        at += got
    return bytes(buffer[:at])


def _inflated(memory: str) -> str:
    """The memory as text; none of it where it is damaged."""
    try:
        inflater: Any = zlib.decompressobj()
        return cast("bytes", inflater.decompress(base64.b64decode(memory), _MEMORY)).decode()
    except (ValueError, zlib.error):
        return ""
