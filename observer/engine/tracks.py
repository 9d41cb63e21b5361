"""Adverts of each router of a virtual router, kept as runs: bounded whatever the segment sends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from observer.engine.copies import Copies
from observer.model.addresses import address_words
from observer.model.time import MILLISECOND, SECOND
from observer.rules.view import Run

if TYPE_CHECKING:
    from observer.model.observations import Advert

RUNS = 48
"""Runs kept for each router; at one change of priority a second, most of a minute."""

COPY = 500 * MILLISECOND
"""The same advert heard twice within this time was captured twice (a mirror port, `-i any`, another node's tap)."""

AT_ONCE = MILLISECOND // 5
"""The same advert within this time at one tap is one frame that was captured twice."""

IDENTS = 65536

STEP = 16
"""A greater step of the identification from one advert to the next is not the work of a router that numbers its adverts."""

ODDITIES = 4
"""Regular steps that make up for an irregular one (a reload begins the count anew within a run)."""

RECENT = 4
"""Adverts that may still be copied by a slower tap."""

NODES = 16
HEARD = 64
"""Nodes, and times of each, of which it is remembered when a router was heard there."""

PEERS = 8
"""Unicast peers remembered of a router."""


@dataclass(slots=True)
class Track:
    """What one router advertised."""

    router: str
    words: tuple[int, int]
    """Its address, for comparison."""
    mac: str | None = None
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=RUNS))
    last: Advert | None = None
    recent: deque[Advert] = field(default_factory=lambda: deque(maxlen=RECENT))
    """The last adverts that were no copies."""
    copies: Copies = field(default_factory=Copies)
    heard: dict[str, deque[int]] = field(default_factory=dict)
    """By node, when its adverts were heard there, copies included: what one tap misses another may show."""
    adverts: int = 0
    missed: int = 0
    """Adverts that it sent and nobody heard, as the gaps in its identification tell."""
    stride: int = 0
    """The smallest step of its identification."""
    regular: int = 0
    """Steps of the identification that were a small multiple of the smallest one: it numbers its adverts."""
    irregular: int = 0
    """Other steps: its kernel numbers them together with other packets, or at random."""

    @classmethod
    def of(cls, router: str) -> Track:
        """A track of a router not heard before."""
        return cls(router, address_words(router))

    def note(self, advert: Advert) -> None:
        """Where and when an advert was heard, whether a copy or not."""
        if advert.node not in self.heard and len(self.heard) >= NODES:
            return
        self.heard.setdefault(advert.node, deque(maxlen=HEARD)).append(advert.time)

    def is_copy(self, advert: Advert) -> bool:
        """Whether the advert is one already heard, here or elsewhere, or sent to another peer in the same round.

        To be asked once of each advert.
        """
        last, again = self.last, not advert.ident and self.copies.again(advert)
        if last is None or again:
            return again
        soon = min(COPY, advert.interval // 2)
        if advert.priority == last.priority and advert.destination != last.destination and advert.time - last.time <= soon:
            return True
        both = advert.version != last.version and (advert.priority, advert.addresses) == (last.priority, last.addresses)
        if both and advert.time - last.time <= soon:
            # In migration a router sends each advert in both versions (RFC 5798 8.4).
            return True
        # Without identification the next one, of which another tap heard only the one before, looks the same.
        near = COPY if advert.ident else soon
        # A tap that captured each of those before once does not begin to copy with this one.
        at_once = 0 if self.copies.always(advert) == 1 else AT_ONCE
        return any(_same(advert, other, at_once) for other in self.recent if advert.time - other.time <= near)

    def peer(self, advert: Advert) -> None:
        """A copy of an advert heard already, sent to another peer."""
        run = self.runs[-1] if self.runs else None
        if run is not None and advert.unicast and advert.destination not in run.peers and len(run.peers) < PEERS:
            self.runs[-1] = replace(run, peers=run.peers | {advert.destination})

    def hear(self, advert: Advert) -> None:
        """Add an advert that is no copy."""
        self.adverts += 1
        self.mac = advert.mac or self.mac
        run = self.runs[-1] if self.runs else None
        if run is None or self._breaks(run, advert):
            self.runs.append(self._begin(run, advert))
        else:
            self.runs[-1] = self._extend(run, advert)
        self.last = advert
        self.recent.append(advert)

    def _breaks(self, run: Run, advert: Advert) -> bool:
        return (
            advert.priority != run.priority
            or advert.time - run.last > 3 * run.interval + run.interval // 2
            or advert.addresses != run.addresses
            or advert.authentication_group != run.authentication_group
            or advert.interval != run.interval
        )

    def _begin(self, before: Run | None, advert: Advert) -> Run:
        early = before is not None and before.priority > 0 and not on_schedule(before, advert.time)
        return Run(
            router=advert.router,
            priority=advert.priority,
            first=advert.time,
            last=advert.time,
            count=1,
            interval=advert.interval,
            version=advert.version,
            addresses=advert.addresses,
            authentication_group=advert.authentication_group,
            mac=advert.mac,
            first_ident=advert.ident,
            last_ident=advert.ident,
            peers=frozenset((advert.destination,)) if advert.unicast else frozenset(),
            stride=before.stride if before is not None else 0,
            off_schedule=advert.time if early and advert.priority > 0 else None,
            slipped=None,
            node=advert.node,
            captured=0 if advert.ident else self.copies.always(advert),
            ifindex=advert.ifindex,
        )

    def _extend(self, run: Run, advert: Advert) -> Run:
        stride = self._stride(run, advert)
        early = advert.time - run.last < run.interval // 2
        peers = run.peers | {advert.destination} if advert.unicast and len(run.peers) < PEERS else run.peers
        return replace(
            run,
            last=max(run.last, advert.time),
            count=run.count + 1,
            last_ident=advert.ident,
            peers=peers,
            stride=stride,
            off_schedule=advert.time if early and advert.priority > 0 else run.off_schedule,
            slipped=run.slipped if on_schedule(run, advert.time) else advert.time,
        )

    def _stride(self, run: Run, advert: Advert) -> int:
        """How far apart the identifications of successive adverts are; 0 while that is unknown, or they are not numbered."""
        if advert.ident is None or run.last_ident is None:
            return run.stride
        step = (advert.ident - run.last_ident) % IDENTS
        if 0 < step <= STEP and (self.stride == 0 or step < self.stride):
            if self.stride and self.stride % step == 0:
                # What was thought to be the stride had adverts in between.
                self.missed += self.regular * (self.stride // step - 1)
            self.stride = step
            self.regular += 1
        elif self.stride and step and step % self.stride == 0 and step // self.stride <= STEP:
            self.regular += 1
            self.missed += step // self.stride - 1
        else:
            self.irregular += 1
        return self.stride if self.regular > ODDITIES * self.irregular else 0

    def sent_between(self, advert: Advert) -> int | None:
        """How many adverts it sent unheard between the last one heard and this one; None where that cannot be told."""
        run = self.runs[-1] if self.runs else None
        if run is None or not run.stride or advert.ident is None or run.last_ident is None:
            return None
        step = (advert.ident - run.last_ident) % IDENTS
        unheard = step // run.stride - 1
        possible = (advert.time - run.last) // max(run.interval, MILLISECOND) + 3
        return unheard if step % run.stride == 0 and 0 <= unheard <= possible else None


def active_down_interval(advert: Advert) -> int:
    """The longest that any backup waits for the next advert after this one, in nanoseconds (RFC 9568 6.1, RFC 3768 6.1).

    A backup's own priority is not on the wire, so its Skew_Time is taken at its greatest.
    """
    skew = SECOND if advert.version == 2 else advert.interval
    return 3 * advert.interval + skew


def on_schedule(run: Run, time: int) -> bool:
    """Whether a time is a whole number of intervals after a run's last advert, as far as a timer is exact.

    keepalived 2.2.7 was seen to slip by up to 20 ms at an interval of 1 s.
    """
    late = (time - run.last) % run.interval
    return min(late, run.interval - late) <= max(run.interval // 25, 4 * MILLISECOND) and time - run.last > run.interval // 2


def _same(advert: Advert, other: Advert, at_once: int) -> bool:
    if advert.priority != other.priority:
        return False
    if advert.ident:
        return advert.ident == other.ident
    # Without identification, two at once at one tap are one frame captured twice: a FAULT's two are mostly 0.5 ms apart.
    elsewhere = (advert.node, advert.interface) != (other.node, other.interface)
    return elsewhere or advert.time - other.time <= at_once
