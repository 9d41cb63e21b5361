"""What a picture of a replay needs beside the flaps: who advertised what and when, who was Active, resets, and what nodes said.

Kept within bounds and without judgement; no client's address is in it. How it is drawn belongs in ``html_picture`` and
``text_timeline``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.model.flaps import ActiveChanged, ResetsSeen, VirtualRouter
from observer.model.host import HostSample, LogEvent
from observer.model.observations import AddressChange, Advert, FramesLost, LinkChange
from observer.model.time import SECOND

if TYPE_CHECKING:
    from observer.model.flaps import Event, ResetReason
    from observer.model.observations import Observation

KEPT = 65_536
"""Runs, marks, spells and seconds with resets that are kept in all; what comes later is counted and left out."""

SILENCE = 3
"""Intervals without an advert that end a run: about RFC 9568's Active_Down_Interval (6.1)."""

WORDS = 240
"""Characters kept of a line of a log."""


@dataclass(slots=True)
class Run:
    """Adverts of one router at one priority, without a silence in between."""

    first: int
    last: int
    priority: int
    interval: int
    adverts: int
    """As one node heard them: the first that heard the run."""
    nodes: set[str]
    """Who heard some of them."""
    counted_by: str


@dataclass(slots=True)
class Spell:
    """A time in which something held; ``end`` None: until the end."""

    begin: int
    end: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at one time; ``kind`` is ``log``, ``link``, ``address``, ``sample`` or ``lost``."""

    time: int
    kind: str
    text: str


@dataclass(slots=True)
class Heard:
    """What belongs to one virtual router."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    """By router."""
    active: list[Spell] = field(default_factory=list)
    """Who was Active, one after the other."""
    resets: dict[int, Counter[ResetReason]] = field(default_factory=dict)
    """By where the second begins in which they were."""


@dataclass(slots=True)
class Node:
    """What belongs to one vantage point."""

    marks: list[Mark] = field(default_factory=list)
    held: dict[str, list[Spell]] = field(default_factory=dict)
    """By address of the node's kernel."""


class Timeline:
    """A sink that keeps it all."""

    def __init__(self) -> None:
        self.routers: dict[VirtualRouter, Heard] = {}
        self.nodes: dict[str, Node] = {}
        self.left_out = 0
        """What did not fit in."""
        self.begin: int | None = None
        self.end = 0
        self._kept = 0
        self._samples: dict[tuple[str, str, str], str] = {}

    def observed(self, observation: Observation) -> None:
        """Keep adverts as runs, and what nodes saw of themselves as marks."""
        if self.begin is None:
            self.begin = observation.time
        self.end = max(self.end, observation.time)
        match observation:
            case Advert():
                self._advert(observation)
            case AddressChange():
                self._address(observation)
            case LinkChange(initial=False):
                state = "up" if observation.up else "down"
                self._mark(observation.node, Mark(observation.time, "link", f"{observation.interface} went {state}"))
            case LogEvent():
                instance = f"{observation.instance}: " if observation.instance else ""
                words = observation.detail or observation.kind.value.replace("_", " ")
                self._mark(observation.node, Mark(observation.time, "log", f"log: {instance}{words}"[:WORDS]))
            case HostSample():
                self._sample(observation)
            case FramesLost():
                text = f"{observation.source} lost {observation.count} frames"
                self._mark(observation.node, Mark(observation.time, "lost", text))
            case _:
                pass

    def happened(self, event: Event) -> None:
        """Keep who is Active, and resets by the second."""
        match event:
            case ActiveChanged():
                heard = self._heard(event.virtual_router)
                if heard.active and heard.active[-1].end is None:
                    heard.active[-1].end = event.time
                if event.router is not None and self._room():
                    heard.active.append(Spell(event.time, None, event.router))
            case ResetsSeen():
                resets = self._heard(event.virtual_router).resets
                second = event.time - SECOND
                if second in resets or self._room():
                    resets.setdefault(second, Counter()).update(dict(event.counts))
            case _:
                pass

    def _advert(self, advert: Advert) -> None:
        runs = self._heard(VirtualRouter(advert.vrid, advert.family, advert.interface)).runs
        known = runs.get(advert.router)
        if known:
            run = known[-1]
            if run.priority == advert.priority and advert.time - run.last <= SILENCE * max(run.interval, advert.interval):
                run.last = max(run.last, advert.time)
                run.adverts += advert.node == run.counted_by
                run.nodes.add(advert.node)
                return
        if self._room():
            run = Run(advert.time, advert.time, advert.priority, advert.interval, 1, {advert.node}, advert.node)
            runs.setdefault(advert.router, []).append(run)

    def _address(self, change: AddressChange) -> None:
        node = self.nodes.setdefault(change.node, Node())
        spells = node.held.get(change.address, [])
        holds = bool(spells) and spells[-1].end is None
        if change.present and not holds and self._room():
            node.held.setdefault(change.address, []).append(Spell(change.time, None, change.address))
        elif not change.present and holds:
            spells[-1].end = change.time
        if not change.initial:
            by = f" by {change.requester_name}" if change.requester_name else ""
            verb = "added to" if change.present else "removed from"
            self._mark(change.node, Mark(change.time, "address", f"{change.address} {verb} {change.interface}{by}"))

    def _sample(self, sample: HostSample) -> None:
        """Only where a look says something else than the one before."""
        said = _told(sample)
        key = (sample.node, sample.source, sample.subject)
        before = self._samples.get(key)
        if said and said != before and (before is not None or len(self._samples) < KEPT):
            self._samples[key] = said
            self._mark(sample.node, Mark(sample.time, "sample", " ".join(filter(None, (sample.source, sample.subject, said)))))

    def _mark(self, node: str, mark: Mark) -> None:
        if self._room():
            self.nodes.setdefault(node, Node()).marks.append(mark)

    def _heard(self, virtual_router: VirtualRouter) -> Heard:
        heard = self.routers.get(virtual_router)
        if heard is None:
            heard = Heard()
            # Beyond the limit it is a place where nothing is kept.
            if len(self.routers) < KEPT:
                self.routers[virtual_router] = heard
        return heard

    def _room(self) -> bool:
        if self._kept >= KEPT:
            self.left_out += 1
            return False
        self._kept += 1
        return True


def _told(sample: HostSample) -> str:
    """What matters of a sample in words; figures that change all the time are left out."""
    said = []
    if sample.listening is not None:
        said.append("listens" if sample.listening else "does NOT listen")
    if sample.answers is not None:
        said.append("answers" if sample.answers else "does NOT answer")
    if sample.servers_up is not None:
        said.append(f"{sample.servers_up} of {sample.servers} servers up")
    if sample.running is not None:
        said.append(f"{sample.running} running" + (f" ({sample.states})" if sample.states and "T" in sample.states else ""))
    if sample.redirected is not None:
        said.append("redirected" if sample.redirected else "NOT redirected")
    return ", ".join(said)
