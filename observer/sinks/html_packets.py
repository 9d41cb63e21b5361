"""Which packets of which capture show what the report tells, in words: for whoever opens the capture beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING

from observer.model.packets import PacketKind, Packets, Wanted
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observer.model.packets import Packet
    from observer.sinks.report import Report
    from observer.sinks.timeline import Mark, Run

NODES = 3
"""Captures that are named for one thing."""

_ENTRIES = frozenset({PacketKind.ENTRY})


def wanted(report: Report) -> Wanted:
    """What a report asks the captures for."""
    found, timeline = Wanted(), report.timeline
    for flap in report.flaps:
        found.times |= {flap.time, *(entry.time for entry in flap.verdict.evidence)}
    for burst in report.bursts:
        found.times |= {burst.time, burst.end, *(entry.time for entry in burst.evidence)}
    for heard in timeline.routers.values():
        for run in (run for runs in heard.runs.values() for run in runs):
            found.times |= {run.first, run.last}
        found.seconds |= heard.resets.keys()
    for node in timeline.nodes.values():
        found.times |= {mark.time for mark in node.marks}
    return found


class PacketWords:
    """The words; empty where a packet is not known."""

    def __init__(self, packets: Packets | None) -> None:
        self._packets = packets or Packets()
        self._nodes = list(dict.fromkeys(node for node, _ in self._packets.files))
        self.files = dict(self._named())
        """What each file is called in the report."""

    @property
    def captures(self) -> list[tuple[str, str]]:
        """Node and name of each capture."""
        return [(node, self.files[path]) for node, path in self._packets.files]

    def _named(self) -> Iterable[tuple[str, str]]:
        """Names without directories, as far as they tell the files apart."""
        paths = [path for _, path in self._packets.files]
        for length in (1, 2):
            names = {path: str(PurePath(*PurePath(path).parts[-length:])) for path in paths}
            if max(Counter(names.values()).values(), default=0) <= 1:
                break
        else:
            names = {path: path for path in paths}
        return names.items()

    def at(self, time: int, node: str | None = None, router: str | None = None) -> str:
        """``packet 12 of m0.pcap, 14 of m1.pcap``: the packets of this time, of one node or of all."""
        found = [self._packets.at(time, each, router=router) for each in self._of(node)]
        return _listed(self._one(packet) for packet in found if packet is not None)

    def entry(self, node: str, mark: Mark) -> str:
        """The entry of a recording that a mark is from."""
        packet = self._packets.at(mark.time, node, kinds=_ENTRIES)
        return "" if packet is None else _listed([self._one(packet)])

    def run(self, router: str, run: Run) -> str:
        """The first and the last advert of a run."""
        for node in (run.counted_by, *sorted(run.nodes)):
            first, last = (self._packets.at(time, node, router=router) for time in (run.first, run.last))
            if first is not None:
                if last is None or last.file != first.file:
                    return _listed([self._one(first)])
                return self._span(first.file, first.number, last.number)
        return ""

    def within(self, begin: int, end: int) -> str:
        """Between which packets a time lies that is whole seconds."""
        said = []
        for node in self._nodes:
            spans = self._packets.spans.get(node, {})
            found: dict[str, list[int]] = {}
            for second in range(begin, end, SECOND):
                for file, numbers in spans.get(second, {}).items():
                    found.setdefault(file, []).extend(numbers)
            said += [self._span(file, min(numbers), max(numbers)) for file, numbers in found.items()]
        return _listed(said)

    def _of(self, node: str | None) -> list[str]:
        return [node] if node is not None else self._nodes

    def _one(self, packet: Packet) -> str:
        return f"packet {packet.number} of {self.files[packet.file]}"

    def _span(self, file: str, first: int, last: int) -> str:
        first, last = min(first, last), max(first, last)
        return f"packet{'' if first == last else 's'} {first}{'' if first == last else f' to {last}'} of {self.files[file]}"


def _listed(said: Iterable[str]) -> str:
    """At most ``NODES``, as one phrase."""
    words = list(said)
    shown = ", ".join(words[:NODES])
    return f"{shown} and {len(words) - NODES} more" if len(words) > NODES else shown
