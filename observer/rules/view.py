"""What a rule gets to see of a flap: plain facts, already put together by the engine, and a few ways to ask them.

Nothing here decides anything; a cause's knowledge lives in its own file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from observer.model.flaps import VirtualRouter
    from observer.model.host import HostSample, LogEvent, LogKind
    from observer.model.observations import AddressChange, Clock, LinkChange, Malformed, Neighbour

SAME = SECOND // 10
"""An advert heard at two nodes within this, and within half an interval, is the same."""


@dataclass(frozen=True, slots=True)
class Run:
    """Adverts of one router at one priority, without a silence longer than Active_Down_Interval in between."""

    router: str
    priority: int
    first: int
    last: int
    count: int
    interval: int
    """Advertised interval in nanoseconds."""
    version: int
    addresses: tuple[str, ...]
    authentication_group: int
    mac: str | None
    first_ident: int | None
    last_ident: int | None
    peers: frozenset[str]
    """Routers that it was seen to send adverts to in unicast, bounded; empty in multicast."""
    stride: int
    """By how much the IPv4 identification grows from advert to advert; 0 while unknown or without meaning."""
    off_schedule: int | None
    """Time of the last advert that came too early, or of the first if no whole interval after the run before; else None."""
    slipped: int | None
    """Time of the last advert that was no whole number of intervals after the one before it; None where all were."""
    node: str
    """Vantage point that saw it first."""
    captured: int = 0
    """How often its tap had captured each advert without identification before; 0 where that is not known, or not always."""
    ifindex: int | None = None
    """Of its first advert, as ``Advert.ifindex``."""

    @property
    def configuration(self) -> tuple[tuple[str, ...], int]:
        """What routers of one group have in common: address list and authentication."""
        return tuple(sorted(self.addresses)), self.authentication_group


@dataclass(frozen=True, slots=True)
class LifeSigns:
    """What was seen of a host other than its adverts within a span of time, and who asked for it in vain."""

    frames: int = 0
    first: int | None = None
    last: int | None = None
    moments: int = 0
    """Quarters of a second in which there was a frame: how often it shows itself, whatever it sends at once."""
    unanswered_requests: int = 0
    """ARP or ND requests for the host's own address, and connections opened to it, repeated with nothing from it since.

    Who got an answer does not ask again. The answer itself is unicast, and need not pass where we listen."""
    refused_vrrp: int = 0
    """Times that its kernel answered an advert with ICMP: no process takes VRRP there."""
    first_refused: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    """TCP control segments of the addresses' service ports within a span of time."""

    syn: int = 0
    syn_ack: int = 0
    """Handshakes that the holder's kernel answered: something listens."""
    finished: int = 0
    """FIN from the address: a process closed a connection."""
    aborted: int = 0
    """RST with a live sequence number from the address: a process aborted a connection."""
    data: int = 0
    """Segments with data from the address (seen in full captures only)."""
    refused: int = 0
    """RST+ACK to a SYN: nothing listens."""
    orphaned: int = 0
    """RST without ACK from the address: a segment of a connection unknown to the holder."""
    first_refused: int | None = None
    last_refused: int | None = None
    last_syn_ack: int | None = None
    last_action: int | None = None
    """Last time a process behind the address did something: data, FIN, or an aborting RST."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A connection that a router's host opened to a service port elsewhere, and did not close in order.

    HAProxy ends its backend checks with RST, to leave no socket in TIME_WAIT; other clients close with FIN.
    """

    opened: int
    closed: int | None
    """When the opener aborted it; its kernel does so at once when the process dies. None: it had not yet."""
    answered: bool
    """By a SYN+ACK or a refusal."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A claim of an address with no VRRP behind it."""

    time: int
    address: str
    mac: str | None
    """Link-layer address of the host that claims it."""
    node: str | None
    """The observing node whose kernel gained the address; None where it was only announced."""
    requester: int | None
    """Netlink port of who asked the kernel for it."""
    former: str | None = None
    """The observing node whose kernel had the address before; None where that is not known, or another's."""


@dataclass(frozen=True, slots=True)
class FlapView:
    """One flap with what was seen before, during and after it, up to ``now``."""

    virtual_router: VirtualRouter
    addresses: tuple[str, ...]
    now: int
    time: int
    former: str | None
    current: str | None
    taken_over: int | None
    """First advert of a router that took over; None while none did."""
    runs: Mapping[str, tuple[Run, ...]]
    """Adverts by router, oldest first, bounded."""
    heard: Mapping[str, Mapping[str, tuple[int, ...]]]
    """Router to node to when its adverts were heard there, the most recent ones."""
    contenders: tuple[str, ...]
    """Routers that claimed the addresses in the same election and left them to ``current``."""
    foreign: tuple[Run, ...]
    """What routers of another group with the same VRID advertise, where the flap is about them."""
    outside: Outside | None
    """The claim with no VRRP behind it that the flap is about."""
    siblings: tuple[Run, ...]
    """Resignations of the former router in other virtual routers at the same time."""
    ended: int | None
    """When the next flap of the virtual router began; None while none did."""
    address_changes: tuple[AddressChange, ...]
    """Additions and removals of the virtual router's addresses on the observing nodes, bounded."""
    link_changes: tuple[LinkChange, ...]
    neighbours: tuple[Neighbour, ...]
    """ARP and ND messages that claim the virtual router's addresses, bounded."""
    life: LifeSigns
    """Of the former router's host, since its last advert before the move."""
    life_before: LifeSigns
    """Of the former router's host, in the minute before that: whether it is seen here at all, apart from adverts."""
    service_before: ServiceCounts
    """Of the addresses, in the seconds before the first sign of trouble on the wire."""
    service_during: ServiceCounts
    """Of the addresses, from the first sign of trouble to the move."""
    probes_around: tuple[Probe, ...]
    """By the former router's host, from half a minute before the first sign of trouble until some seconds after the move."""
    probes: tuple[Probe, ...]
    """By the former router's host, from the first sign of trouble to the move."""
    log: tuple[LogEvent, ...]
    """keepalived's log on the former router's node, from some seconds before the first sign of trouble; empty where unknown.

    Lines about other virtual routers are left out, and where a node has several, those that cannot be told to be this one's.
    """
    claimant_log: tuple[LogEvent, ...]
    """The same of the router that took over, or claimed the addresses."""
    steps: tuple[tuple[str, ...], ...] | None
    """Sets of checks that explain the fall of the former router's priority by its node's configuration; None without one."""
    faulting: tuple[str, ...] | None
    """Checks that put the former router in FAULT by its node's configuration; None without one."""
    local: Mapping[str, str]
    """Router address to the observing node that it belongs to, where the node's addresses are known."""
    taps: Mapping[str, str]
    """Router address to the observing node whose frames are that router's own: ``local``, or concluded from the traffic."""
    left: int | None
    """When the former router's kernel left the group of VRRP after its last advert: no process listens there any more."""
    malformed: tuple[Malformed, ...]
    """Adverts of this VRID that failed a check around the flap, bounded."""
    tap_ended: int | None
    """When the capture on the former router's own node ceased; None while it goes on, or where there was none."""
    trouble: int
    """First sign of trouble on the wire: the fall of a priority, the resignation, the last advert before a silence."""
    observed_since: int
    missed: int
    """Adverts that gaps in the identification show to have been sent and not heard, by routers that went on all the time."""
    frames_lost: int
    """Frames that the sources say they lost around the flap."""
    samples: tuple[HostSample, ...] = ()
    """Looks at the former router's node itself, from some seconds before the first sign of trouble, oldest first."""
    claimant_samples: tuple[HostSample, ...] = ()
    """The same of the router that took over, or claimed the addresses."""
    own_interface: str | None = None
    """The interface that the former router works on, by its node's configuration; None without one."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Looks that the former router's node was to have and that failed, with the reason."""
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    """By node, where several nodes' observations are taken together: how well their times can be compared."""

    def logged(self, *kinds: LogKind, begin: int, end: int, subjects: Collection[str] | None = None) -> LogEvent | None:
        """The first line of one of the kinds in the former router's log; a stamp may be rounded down to its second.

        With ``subjects`` only lines about one of these interfaces or addresses.
        """
        for event in self.log:
            if event.kind in kinds and begin - SECOND <= event.time <= end and (subjects is None or event.subject in subjects):
                return event
        return None

    def heard_at(self, router: str, node: str, begin: int, end: int) -> int:
        """How many adverts of a router were heard at a node within a span."""
        return sum(1 for time in self.heard.get(router, {}).get(node, ()) if begin <= time <= end)

    def rounds_at(self, router: str, node: str, begin: int, end: int, interval: int) -> int:
        """The same without what a router in unicast sends to several peers at once, and without copies."""
        return rounds((time for time in self.heard.get(router, {}).get(node, ()) if begin <= time <= end), interval)

    def heard_whole(self, run: Run, intervals: int) -> bool:
        """Whether one tap alone heard all that several did of a run's last intervals: what all miss at once is not told."""
        heard = self.heard.get(run.router, {})
        if len(heard) < 2:
            return True
        begin, end = max(run.first, run.last - intervals * run.interval), run.last + run.interval // 4
        together = rounds((time for times in heard.values() for time in times if begin <= time <= end), run.interval)
        return any(self.rounds_at(run.router, node, begin, end, run.interval) >= together for node in heard)

    def preceding(self, run: Run) -> Run | None:
        """The same router's run before a run."""
        return next((earlier for earlier in reversed(self.runs.get(run.router, ())) if earlier.last < run.first), None)

    def at_home(self, run: Run) -> int:
        """When a run began by the clock of the router's own node, if its tap heard it; else as it was heard first."""
        node = self.local.get(run.router)
        times = self.heard.get(run.router, {}).get(node or "", ())
        nearest = min(times, key=lambda time: abs(time - run.first), default=run.first)
        return nearest if abs(nearest - run.first) <= min(SAME, run.interval // 2) else run.first

    def apart(self) -> int | None:
        """By how much two nodes' times of one moment may differ, in nanoseconds; None where nobody knows."""
        errors = [clock.error for clock in self.clocks.values()]
        known = sorted(error for error in errors if error is not None)
        return sum(known[-2:]) if len(known) == len(errors) else None

    @property
    def lossless(self) -> bool:
        """Nothing says that frames were lost: what was not heard was probably not sent."""
        return not self.missed and not self.frames_lost

    @property
    def last_before(self) -> Run | None:
        """The former router's last run that began before the move, resignations included."""
        return self._last_run(resignation=True)

    @property
    def held(self) -> Run | None:
        """The former router's last run at a real priority that began before the move."""
        return self._last_run(resignation=False)

    def _last_run(self, *, resignation: bool) -> Run | None:
        end = self.taken_over if self.taken_over is not None else self.now
        if self.current == self.former and self.former is not None:
            end = self.time + 1
        for run in reversed(self.runs.get(self.former or "", ())):
            if run.first < end and (resignation or run.priority > 0):
                return run
        return None

    @property
    def resignation(self) -> Run | None:
        """The priority-0 adverts with which the former router gave up, or None."""
        last = self.last_before
        return last if last is not None and last.priority == 0 else None

    @property
    def takeover(self) -> Run | None:
        """The new router's run that begins with the move."""
        if self.current is None or self.taken_over is None:
            return None
        for run in self.runs.get(self.current, ()):
            if run.last >= self.taken_over and run.priority > 0:
                return run
        return None

    @property
    def silence(self) -> int | None:
        """Nanoseconds from the former router's last advert to the move (or to ``now``)."""
        last = self.last_before
        if last is None:
            return None
        end = self.taken_over if self.taken_over is not None else self.now
        return max(0, end - min(last.last, end))

    def tenure(self) -> Iterator[Run]:
        """The former router's runs since it last became Active, newest first: gaps of a silence end it."""
        newest: Run | None = None
        held = self.held
        for run in reversed(self.runs.get(self.former or "", ())):
            if held is None or run.first > held.first:
                continue
            if run.priority == 0 or (newest is not None and newest.first - run.last > 4 * run.interval):
                return
            yield run
            newest = run

    def drop(self) -> tuple[Run, Run] | None:
        """The last fall of the former router's priority while it was Active: (run before, run after), or None."""
        after: Run | None = None
        for run in self.tenure():
            if after is not None and run.priority > after.priority:
                return run, after
            after = run
        return None

    def fall(self) -> tuple[Run, Run] | None:
        """The fall of the former router's priority that let the new one take over, or else the last one; as ``drop``.

        A backup discards lower adverts than its own, so what counts is the fall below the new router's priority.
        """
        takeover = self.takeover
        after: Run | None = None
        for run in self.tenure():
            if takeover is not None and after is not None and run.priority >= takeover.priority > after.priority:
                return run, after
            after = run
        return self.drop()

    def returns(self) -> Run | None:
        """The former router's first run after another one took over, or None."""
        if self.taken_over is None or self.current == self.former:
            return None
        for run in self.runs.get(self.former or "", ()):
            if run.first > self.taken_over and run.priority > 0:
                return run
        return None

    def same_group(self) -> bool | None:
        """Whether former and new router agree on addresses and authentication; None where one was not seen."""
        held, takeover = self.held, self.takeover
        if held is None or takeover is None:
            return None
        return held.configuration == takeover.configuration

    @property
    def came_back(self) -> Run | None:
        """The former router's first run after its last advert before the flap, whatever came in between."""
        last = self.last_before
        if last is None:
            return None
        for run in self.runs.get(last.router, ()):
            if run.first > last.last and run.priority > 0:
                return run
        return None


def rounds(times: Iterable[int], interval: int) -> int:
    """How many times there are, those of one moment counted once."""
    ordered = sorted(times)
    return sum(1 for number, time in enumerate(ordered) if number == 0 or time - ordered[number - 1] > interval // 4)
