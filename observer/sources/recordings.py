"""Which captures a replay reads: files and directories as given, recordings with the node that they name themselves."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from observer.model.errors import SourceError
from observer.sources.capture_file import Known, observe_capture
from observer.sources.census import Census
from observer.sources.groups import grouped, numbers, renumbered
from observer.sources.pcap import NO_TIME, FrameBatch, read_capture
from observer.sources.recording import head, one_after_another, repeatable
from observer.wire.frames import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from observer.model.observations import Observation

PATTERN = "*.pcapng*"
"""What is read of a directory, and of those in it."""
UNDER_WAY = ".part"
_FIRST = 64 * 1024
"""Bytes read of a capture to learn when it begins; more where one record needs it."""


def gathered(paths: Sequence[str]) -> list[Census]:
    """One for each file. Raises SourceError for a directory without captures, or one that cannot be read as a whole."""
    found: list[Census] = []
    for path in paths:
        if not _is_directory(path):
            found.append(_census(path))
            continue
        files = sorted(_files(path))
        if not files:
            raise SourceError(f"{path}: no captures in this directory; give one with files named {PATTERN}")
        found += map(_census, files)
    return found


def _is_directory(path: str) -> bool:
    """Whether it is known to be one; what cannot be looked at is a file, and opening it says what is wrong."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def _files(directory: str) -> Iterator[str]:
    """The captures in a directory and in those below it. Raises SourceError for one that cannot be read."""
    for place, _, names in os.walk(directory, onerror=_unreadable):
        for name in names:
            if fnmatchcase(name, PATTERN) and not name.endswith(UNDER_WAY):
                yield str(Path(place, name))


def _unreadable(error: OSError) -> NoReturn:
    if isinstance(error, PermissionError):
        raise SourceError(f"{error.filename}: permission denied; make it readable or run as its owner") from None
    raise SourceError(f"{error.filename}: cannot be read ({error.strerror or error})") from None


def _census(path: str) -> Census:
    recorded = head(path)
    return Census(path, recorded.node if recorded is not None else "capture")


def begin(censuses: Iterable[Census]) -> int | None:
    """When the first of these captures begins, from its first frames; None where that cannot be read beforehand."""
    for census in censuses:
        if not repeatable(census.path):
            continue
        recorded = head(census.path)
        time = _first_time(census.path) if recorded is None else recorded.begin
        if time is not None:
            return time
    return None


def _first_time(path: str) -> int | None:
    batch = next((item for item in read_capture(path, window=_FIRST) if isinstance(item, FrameBatch)), None)
    times = batch.times.tolist() if batch is not None else []
    return next((time for time in times if time != NO_TIME), None)


def memory(censuses: Sequence[Census]) -> str | None:
    """The engine's memory where the recordings begin, if they are recordings of one node and nothing else is replayed."""
    heads = [head(census.path) for census in censuses]
    if not heads or any(each is None for each in heads) or len({census.node for census in censuses}) > 1:
        return None
    return heads[0].memory if heads[0] is not None else None


def streams(
    censuses: Sequence[Census],
    decoder: FrameDecoder,
    known: Known | None = None,
    *,
    data: bool = True,
    ahead: int = 0,
    progress: Callable[[str, int], None] | None = None,
) -> list[tuple[str, Iterator[list[Observation]]]]:
    """Nodes and their observations: the recordings of a node as one, captures each by itself.

    ``known``, ``data`` and ``ahead`` are as in ``observe_capture``; without ``data`` each recording has its own numbers of
    authentication groups. ``progress`` is told a path and how many bytes of it are read.
    """
    known, progress = known or Known(), progress or _unwatched
    found: list[tuple[str, Iterator[list[Observation]]]] = []
    of_node: dict[str, list[Census]] = {}
    for census in censuses:
        if head(census.path) is not None:
            of_node.setdefault(census.node, []).append(census)
        else:
            read = partial(progress, census.path)
            stream = observe_capture(census, decoder, known, data=data, ahead=ahead, progress=read)
            found.append((census.node, stream))
    recorded = {node: _one(recordings, decoder, known, progress) for node, recordings in of_node.items()}
    if len(recorded) > 1 and data:
        again = {node: [Census(census.path, node) for census in recordings] for node, recordings in of_node.items()}
        mapped = numbers(
            {node: grouped(_one(recordings, FrameDecoder(), known, _unwatched)) for node, recordings in again.items()}
        )
        recorded = {node: renumbered(stream, mapped[node]) for node, stream in recorded.items()}
    return [*found, *recorded.items()]


def _unwatched(_path: str, _read: int) -> None:
    pass


def _one(
    recordings: Iterable[Census], decoder: FrameDecoder, known: Known, progress: Callable[[str, int], None]
) -> Iterator[list[Observation]]:
    return one_after_another(
        observe_capture(census, decoder, known, progress=partial(progress, census.path)) for census in recordings
    )
