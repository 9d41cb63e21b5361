"""What was in a capture file, counted as it is read, and what a reader should know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.model.observations import CUT, Advert, Malformed, Neighbour
from observer.model.segments import TcpSegments
from observer.model.time import SECOND, duration, rfc3339
from observer.sources.merge import HOLD_BACK
from observer.sources.pcap_items import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observer.model.observations import Observation
    from observer.sources.gleaning import Gleaned
    from observer.sources.pcap_items import Truncated
    from observer.sources.recording import Harm


@dataclass(slots=True)
class Census:
    """What was in a capture file, for people who wonder why nothing was found."""

    path: str
    node: str
    frames: int = 0
    adverts: int = 0
    malformed: int = 0
    cut: int = 0
    """Of these, adverts that were captured too short."""
    neighbours: int = 0
    segments: int = 0
    truncated: int = 0
    """TCP frames captured too short to see their flags."""
    untimed: int = 0
    """Frames without a time stamp (pcapng's Simple Packet Blocks): nothing can be said of them."""
    lost: int = 0
    begin: int | None = None
    end: int | None = None
    broken: str | None = None
    """Why and where reading stopped before the end."""
    left_out: int = 0
    """Packets and entries of a recording that are damaged, or of a later version."""
    unsupported: set[int] = field(default_factory=set)
    """Link types that are not understood."""
    recalled: bool = False
    """It is a recording, and the engine has the memory that it begins with."""
    back: int = 0
    """Nanoseconds by which a frame is earlier than one before it, at most."""
    leap: int = 0
    """Nanoseconds by which a frame is later than the one before it, at most."""

    def sentence(self) -> str:
        """One line: what was in it."""
        if self.begin is None or self.end is None:
            return f"{self.path}: no frames"
        return (
            f"{self.path}: {self.frames} frames from {rfc3339(self.begin)} to {rfc3339(self.end)}: {self.adverts} VRRP adverts,"
            f" {self.malformed} malformed, {self.neighbours} ARP and ND messages, {self.segments} TCP segments of interest"
        )

    def remarks(self) -> Iterator[str]:
        """What a reader should know of it, a line each."""
        if self.back > HOLD_BACK:
            yield (
                f"{self.path}: frames are up to {duration(self.back)} earlier than others before them: taken as of the time"
                " reached; if a clock was set back, cut the capture there"
            )
        if self.leap > 3600 * SECOND:
            yield f"{self.path}: time jumps ahead by up to {duration(self.leap)}: nothing is known of that time"
        if self.broken is not None:
            yield self.broken
        if self.left_out:
            yield f"{self.path}: {self.left_out} packets and entries were left out: damaged, or of a later version"
        if self.unsupported:
            kinds = ", ".join(str(number) for number in sorted(self.unsupported))
            yield f"{self.path}: frames of link type {kinds} were left out"
        if self.cut:
            yield (
                f"{self.path}: {self.cut} adverts were captured too short to be read, and what their routers did is not told;"
                " capture whole frames (tcpdump -s 0)"
            )
        if self.truncated:
            yield f"{self.path}: {self.truncated} TCP frames were captured too short"
        if self.untimed:
            yield f"{self.path}: {self.untimed} frames without a time stamp were left out"

    def stopped(self, where: Truncated) -> None:
        """Nothing more can be read."""
        self.broken = f"{self.path}: stops at byte {where.offset}: {where.detail}; what came before was used"

    def harmed(self, harm: Harm) -> None:
        """What is wrong with a recording, which has been read."""
        self.left_out = harm.left_out
        if harm.stopped is not None:
            self.stopped(harm.stopped)
        elif not harm.ended:
            self.broken = f"{self.path}: its end is missing: it is under way, was cut, or its agent died; what is there was used"

    def recorded(self, observation: Observation) -> None:
        """Count one observation of a recording."""
        self.begin = observation.time if self.begin is None else self.begin
        self.end = max(self.end or 0, observation.time)
        if isinstance(observation, TcpSegments):
            self.segments += len(observation)
            self.frames += 1
        else:
            self.frames += self._said(observation)

    def gleaned(self, gleaned: Gleaned, found: list[Observation]) -> None:
        """Count a part of a capture file; ``found`` is what its rare frames say."""
        self.frames += gleaned.frames
        self.segments += len(gleaned.segments or ())
        self.truncated += gleaned.truncated
        self.untimed += gleaned.untimed
        if gleaned.end != NO_TIME:
            if self.end is not None:
                self.back = max(self.back, self.end - gleaned.begin)
                self.leap = max(self.leap, gleaned.begin - self.end)
            self.end = max(self.end or 0, gleaned.end)
        self.back, self.leap = max(self.back, gleaned.back), max(self.leap, gleaned.leap)
        for observation in found:
            self._said(observation)

    def _said(self, observation: Observation) -> bool:
        """Count what a rare frame says; whether it is of a kind that is counted."""
        match observation:
            case Advert():
                self.adverts += 1
            case Malformed():
                self.malformed += 1
                self.cut += observation.reason == CUT
            case Neighbour():
                self.neighbours += 1
            case _:
                return False
        return True
