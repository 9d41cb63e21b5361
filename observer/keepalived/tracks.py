"""Checks (``vrrp_script``, ``vrrp_track_process``, ``track_file``, ``bfd_instance``) and who tracks them (``track_*``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.keepalived.model import Check, CheckKind, Track
from observer.keepalived.values import integer, timer
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observer.keepalived.blocks import Statement
    from observer.keepalived.notes import Notes

CHECK_BLOCKS = {
    "vrrp_script": CheckKind.SCRIPT,
    "vrrp_track_process": CheckKind.PROCESS,
    "track_process": CheckKind.PROCESS,
    "vrrp_track_file": CheckKind.FILE,
    "track_file": CheckKind.FILE,
    "bfd_instance": CheckKind.BFD,
}
"""Blocks outside an instance that define something to be tracked."""

TRACK_BLOCKS = {
    "track_script": CheckKind.SCRIPT,
    "track_process": CheckKind.PROCESS,
    "track_file": CheckKind.FILE,
    "track_interface": CheckKind.INTERFACE,
    "track_bfd": CheckKind.BFD,
}
"""Blocks within ``vrrp_instance`` and ``vrrp_sync_group`` that track it."""

DEFAULT_WEIGHT = {CheckKind.FILE: 1}
"""``weight`` of blocks that give none. keepalived.conf(5) says 1 for processes too; keepalived 2.2.7 takes 0."""

WIDEST = {CheckKind.SCRIPT: 253, CheckKind.INTERFACE: 253, CheckKind.BFD: 253, CheckKind.PROCESS: 254, CheckKind.FILE: 254}
"""Largest ``weight`` of a track entry; 254 is accepted everywhere and cut down where it is too much."""

LONGEST = 4294 * SECOND
"""Largest ``interval`` and ``timeout``."""


def check(statement: Statement, notes: Notes) -> Check | None:
    """A check block; None without a name."""
    kind = CHECK_BLOCKS[statement.keyword]
    name = statement.word(1)
    if not name:
        notes.problem(statement, f"{statement.keyword} has no name", "it is left out")
        return None
    interval = SECOND if kind is CheckKind.SCRIPT else None
    timeout: int | None = None
    weight, reverse = DEFAULT_WEIGHT.get(kind, 0), False
    rise = fall = 1
    init_fail = False
    for item in statement.block:
        match item.keyword:
            case "interval" if kind is CheckKind.SCRIPT:
                interval = notes.value(item, timer(item.word(1), 1, LONGEST), SECOND)
            case "timeout" if kind is CheckKind.SCRIPT:
                timeout = notes.value(item, _timeout(item.word(1)), None)
            case "rise" if kind is CheckKind.SCRIPT:
                rise = notes.value(item, integer(item.word(1), 1, 2**31 - 1), 1)
            case "fall" if kind is CheckKind.SCRIPT:
                fall = notes.value(item, integer(item.word(1), 1, 2**31 - 1), 1)
            case "weight":
                weight = notes.value(item, integer(item.word(1), *_limits(kind)), weight)
                reverse = item.word(2) == "reverse"
            case "init_fail" if kind is CheckKind.SCRIPT:
                init_fail = True
            case _:
                notes.ignore(item)
    return Check(name, kind, interval, timeout, rise, fall, weight, reverse, init_fail, statement.file, statement.line)


def tracks(statement: Statement, checks: Mapping[tuple[CheckKind, str], Check], notes: Notes) -> list[Track]:
    """The entries of a ``track_*`` block. As in keepalived, a check has to be defined before it is tracked."""
    kind = TRACK_BLOCKS[statement.keyword]
    found = (_track(item, kind, checks, notes) for item in statement.block)
    return [track for track in found if track is not None]


def _track(item: Statement, kind: CheckKind, checks: Mapping[tuple[CheckKind, str], Check], notes: Notes) -> Track | None:
    name = item.keyword
    known = checks.get((kind, name))
    if known is None and kind is not CheckKind.INTERFACE:
        notes.problem(item, f"{kind} {name} is not defined before it is tracked", "it is not tracked")
        return None
    weight, reverse = (known.weight, known.reverse) if known else (0, False)
    if len(item.words) > 1:
        if item.word(1) != "weight" or len(item.words) == 2:
            notes.problem(item, f"only a weight may follow {name}", "it is not tracked")
            return None
        weight = notes.value(item, _weight(item.word(2), kind), weight, "weight")
        match item.word(3):
            case "reverse":
                reverse = True
            case "noreverse" if kind is not CheckKind.INTERFACE:
                reverse = False
            case None:
                pass
            case _:
                notes.problem(item, f"only reverse or noreverse may follow the weight of {name}", "it is left out")
                if kind is CheckKind.FILE:
                    return None
    return Track(kind, name, weight, reverse)


def _weight(word: str | None, kind: CheckKind) -> int | None:
    value = integer(word, -254, 254)
    return None if value is None else max(-WIDEST[kind], min(value, WIDEST[kind]))


def _limits(kind: CheckKind) -> tuple[int, int]:
    """Of a ``weight`` in a check's own block. keepalived 2.2.7 complains of a script's beyond 253, and takes it."""
    widest = 2**31 - 1 if kind is CheckKind.SCRIPT else WIDEST[kind]
    return -widest, widest


def _timeout(word: str | None) -> int | None:
    """``timeout``; keepalived makes 0 one second."""
    if integer(word, 0, LONGEST // SECOND) is None:
        return None
    return timer(word, 1, LONGEST) or SECOND
