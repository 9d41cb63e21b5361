"""What really happened to the address in a run, from the files it left: never from the program under test.

A move is a gain of the address that lasts, by the kernels' address events. Why it moved is told by the logs of both keepalived:
had the old holder's priority fallen since it became MASTER, and did the new one discard its adverts for that, a check had failed;
had it not, it was preempted. What it cost is told by the clients, who count the resets of their own connections.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .agents import Flap, nanoseconds, node_of
from .setting import address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LASTING = 0.15
"""Seconds; a node that loses a contested election has the address for up to 40 ms."""
LATE = 250_000_000
"""Nanoseconds by which an address event may be read after it happened: the first connections are reset meanwhile."""
_STAMP = re.compile(r"(\S+Z) ")
_PRIORITY = re.compile(r"Changing effective priority from (\d+) to (\d+)")
_DISCARDED = re.compile(r"received lower priority \((\d+)\) advert from (\S+) - discarding")
_FAILED = re.compile(r"VRRP_Script\((\w+)\) (?:failed|timed.out)")


@dataclass(frozen=True)
class Move:
    """One move of the address, of which `resets` connections died, in the time until the next one."""

    time: int
    former: str
    current: str
    cause: str
    because: str
    resets: int

    def matches(self, flap: Flap) -> bool:
        """Whether an agent's flap is this move."""
        sides = (node_of(flap["from"]), node_of(flap["to"])) == (self.former, self.current)
        return sides and abs(nanoseconds(flap["time"]) - self.time) < 0.5e9


def moves(out: Path) -> list[Move]:
    """The moves of a run that left its files there, without the first election."""
    truth = _lines(out / "truth.jsonl")
    gains = _gains(truth)
    # When a lab ends, its parts go one after another, and clients notice.
    over = next((line["time"] for line in truth if line["event"] == "end"), 10**20)
    resets = [line["time"] for line in _lines(out / "c0.clients.jsonl") if line["event"] == "reset" and line["time"] < over]
    found = []
    for number in range(1, len(gains)):
        (_, former), (at, current) = gains[number - 1], gains[number]
        end = gains[number + 1][0] if number + 1 < len(gains) else at + 10**12
        old, new = ((out / f"{node}.keepalived.log").read_text() for node in (former, current))
        cause, because = _why(old, _last_heard(new, address(former), at), at)
        found.append(Move(at, former, current, cause, because, sum(1 for time in resets if at - LATE <= time < end - LATE)))
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _gains(truth: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """When which node got the address and kept it for a while."""
    events = sorted((line["time"], line["node"], line["holding"]) for line in truth if line["event"] == "holders")
    gains: list[tuple[int, str]] = []
    for number, (at, node, holding) in enumerate(events):
        lost = next((time for time, other, held in events[number + 1 :] if other == node and not held), None)
        if holding and (lost is None or lost - at > LASTING * 1e9) and (not gains or gains[-1][1] != node):
            gains.append((at, node))
    return gains


def _before(log: str, until: int) -> Iterator[str]:
    """The lines of a log before a time."""
    for line in log.splitlines():
        match = _STAMP.match(line)
        if match is not None and nanoseconds(match[1]) < until:
            yield line


def _last_heard(log: str, router: str, until: int) -> int | None:
    """The last priority for which the new holder's keepalived discarded the old one's adverts before it became MASTER."""
    heard = None
    for line in _before(log, until):
        discarded = _DISCARDED.search(line)
        if discarded and discarded[2] == router:
            heard = int(discarded[1])
        elif "Entering BACKUP STATE" in line:
            heard = None
    return heard


def _why(log: str, heard: int | None, until: int) -> tuple[str, str]:
    """Cause and explanation, from what the old holder's keepalived logged since it became MASTER."""
    now, fallen_from = 0, 0
    failed: list[str] = []
    for line in _before(log, until):
        if "Entering MASTER STATE" in line:
            fallen_from, failed = 0, []
        if change := _PRIORITY.search(line):
            before, now = int(change[1]), int(change[2])
            fallen_from = max(fallen_from, before if now < before else 0)
        if check := _FAILED.search(line):
            failed.append(check[1])
    # It may have another priority by now, and not have said so before the new holder's patience ended.
    now = now if heard is None else heard
    if now < fallen_from:
        return "check_failed", f"{', '.join(dict.fromkeys(failed))} ({fallen_from} to {now})"
    return "preempted", f"its own priority stayed {now}"
