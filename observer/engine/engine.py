"""The engine: observations in, events out. Time is what the observations carry; deadlines fire at their own time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from observer.engine.agenda import Agenda
from observer.engine.batches import Gathered, joined
from observer.engine.cost import established
from observer.engine.coverage import Coverage
from observer.engine.elections import add_contenders, claimed_since, expected, goes_on_claiming, stands_again
from observer.engine.flaps import SETTLING, OpenFlap, gave_up, healed
from observer.engine.groups import Group, Groups
from observer.engine.hosts import Hosts
from observer.engine.journal import Journal
from observer.engine.judge import BRIEF, dual_active, fell, judge, misdirections, outage, served_again
from observer.engine.outside import Outsiders
from observer.engine.ownership import Ownership
from observer.engine.resignations import Resignations
from observer.engine.samples import Samples
from observer.engine.states import Action
from observer.engine.traffic import Traffic
from observer.engine.vantage import Vantage
from observer.engine.views import Views
from observer.model.flaps import (
    ActiveChanged,
    Elected,
    Event,
    Flap,
    FlapJudged,
    FlapStage,
    FlapWithdrawn,
)
from observer.model.host import HostSample, LogEvent
from observer.model.observations import (
    AddressChange,
    Advert,
    Clock,
    FramesLost,
    GroupLeft,
    LinkChange,
    Malformed,
    Neighbour,
    NeighbourKind,
    Observation,
    Refused,
    SourceChange,
)
from observer.model.segments import TcpSegments
from observer.model.time import SECOND, rfc3339
from observer.model.verdicts import Confidence, Warranted
from observer.rules.process import FRESH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observer.engine.views import Explain
    from observer.engine.virtual_router import Step, VirtualRouterTracker
    from observer.rules.view import Outside, Run

START = 5 * SECOND
"""A router first heard this soon after the observation began may have been Active for long."""

FLAPS = 16
"""Flaps of one virtual router watched at once; a storm turns every few seconds, and a flap is watched for a minute."""

CLAIMS = 8
"""Claims of one virtual router's addresses that wait for an explanation at once."""

CONFLICT = 5
"""Intervals since another group's last advert in which it still has a part in what happens: one more than any backup waits."""


class Engine:
    """Follows every virtual router that it hears of.

    ``observe`` takes observations in order of time (``sources.merge`` sees to it), ``advance`` tells that time went on without
    any, ``finish`` that nothing more will come. Each returns what there is to tell, in order.
    """

    def __init__(self, explain: Explain | None = None) -> None:
        """``explain`` answers from the nodes' configurations, where they are known."""
        self.coverage = Coverage()
        self.malformed: dict[str, int] = {}
        """Malformed frames by reason."""
        self.adverts = 0
        self.overflow = 0
        """Adverts of virtual routers beyond the limit."""
        self._groups = Groups()
        self._agenda: Agenda[Group] = Agenda()
        self._gathered = Gathered()
        self._hosts = Hosts()
        self._ownership = Ownership()
        self._vantage = Vantage()
        self._journal = Journal()
        self._outsiders = Outsiders(self._ownership.interfaces)
        self._samples = Samples()
        self._resignations = Resignations()
        self._traffic = Traffic(self._groups, self._hosts, self._outsiders, self._vantage)
        self._views = Views(
            self.coverage,
            self._traffic.services,
            self._hosts,
            self._ownership,
            self._vantage,
            self._journal,
            explain,
            self._samples,
        )
        self._now: int | None = None
        self._since: int | None = None

    @property
    def watched(self) -> frozenset[str]:
        """Addresses whose TCP matters: virtual addresses and the routers' own. Grows as adverts are heard."""
        routers = (router for group in self._groups.all() for router in group.tracker.tracks)
        return frozenset(self._traffic.services) | frozenset(routers)

    @property
    def served(self) -> dict[str, frozenset[int]]:
        """Virtual addresses with the ports at which they were seen to serve."""
        return {address: frozenset(service.ports) for address, service in self._traffic.services.items()}

    @property
    def trackers(self) -> Iterable[VirtualRouterTracker]:
        """Every virtual router heard of."""
        return (group.tracker for group in self._groups.all() if group.tracker.tracks)

    def observe(self, observation: Observation) -> list[Event]:
        """Take one observation; deadlines before it fire first, at their own time."""
        if self._since is None:
            self._since = observation.time
        if isinstance(observation, TcpSegments):
            return self._gather(observation)
        events = [] if self._may_wait(observation) else self._up_to(observation.time)
        self._now = max(observation.time, self._now or 0)
        match observation:
            case Advert():
                events += self._advert(observation)
            case Neighbour():
                self._ownership.neighbour(observation)
                self._hosts.neighbour(observation)
                self._claimed(self._outsiders.neighbour(observation), observation.interface)
            case Refused():
                self._hosts.refusal(observation)
            case GroupLeft():
                self._hosts.left(observation)
            case AddressChange():
                self._ownership.address(observation)
                self._claimed(self._outsiders.address(observation), observation.interface)
            case LinkChange():
                self._ownership.link(observation)
            case LogEvent():
                self._journal.logged(observation)
            case HostSample():
                self._samples.sampled(observation)
            case Malformed():
                self.malformed[observation.reason] = self.malformed.get(observation.reason, 0) + 1
                self._journal.failed(observation)
            case SourceChange():
                self.coverage.changed(observation)
            case FramesLost():
                self.coverage.lost(observation)
            case Clock():
                self.coverage.clocks[observation.node] = observation
        return events

    def advance(self, now: int) -> list[Event]:
        """Fire every deadline up to ``now``, each at its own time and in order.

        Segments on which none of them depends, and the sums of resets that they belong to, may wait until they are ripe.
        """
        if self._gathered and not self._due(now) and now < self._gathered.ripe:
            self._now = max(now, self._now or now)
            return []
        return self._up_to(now)

    def _up_to(self, now: int) -> list[Event]:
        """With all that was gathered."""
        return [*self._segments(), *self._advance(now)]

    def _due(self, now: int) -> bool:
        """Whether something is judged by then."""
        deadline = self._agenda.next()
        return deadline is not None and deadline <= now

    def _advance(self, now: int) -> list[Event]:
        events: list[Event] = []
        while (deadline := self._agenda.next()) is not None and deadline <= now:
            events += self._traffic.tick(deadline)
            self._now = deadline
            for group in self._agenda.due(deadline):
                if self.coverage.deaf(deadline) or self._under_way(group, deadline):
                    # Nobody listens; or two groups starve each other's timers, and silence tells nothing about a router.
                    group.tracker.deaf = True
                else:
                    for step in group.tracker.expire(deadline):
                        events += self._stepped(group, step)
                self._look_into(group, deadline)
                for flap in list(group.flaps):
                    if flap.deadline <= deadline:
                        events += self._judge(group, flap, deadline)
                self._agenda.set(group, group.deadline)
        events += self._traffic.tick(now)
        self._now = max(now, self._now or now)
        return events

    def _may_wait(self, observation: Observation) -> bool:
        """Whether the segments gathered can be looked at after an observation as well: it changes nothing that they depend on.

        Nothing is judged meanwhile, so nobody misses their sums; and many are looked at together in the time of a few.
        """
        if not self._gathered or self._due(observation.time):
            return False
        match observation:
            case Advert():
                only = self._groups.only(observation)
                return only is not None and only.tracker.repeated(observation)
            case Neighbour():
                told = observation.kind is NeighbourKind.ANNOUNCEMENT or self._hosts.get(observation.target) is not None
                return not (told or self._outsiders.unnamed)
            case HostSample() | LogEvent() | Malformed() | SourceChange() | FramesLost():
                return True
        return False

    def next_deadline(self) -> int | None:
        """When the engine wants to be called next, or None."""
        # Seconds are told when their segments were looked at.
        times = self._agenda.next(), self._gathered.ripe if self._gathered else self._traffic.seconds.next()
        return min((time for time in times if time is not None), default=None)

    def finish(self) -> list[Event]:
        """Judge what is still open with what was seen, and close it."""
        events = self._segments()
        events += self._advance(self._now or 0)
        for group in self._groups.all():
            events += self._traffic.summed(group, self._now or 0, last=True)
            for flap in list(group.flaps):
                events += self._judge(group, flap, self._now or flap.time, last=True)
        return events

    def _gather(self, segments: TcpSegments) -> list[Event]:
        """Keep a batch until something happens that it matters for: the batches between two adverts are many and small."""
        events = self._segments() if self._gathered.full(segments) else []
        self._gathered.add(segments)
        return events

    def _segments(self) -> list[Event]:
        """What was gathered, cut where a deadline falls into it."""
        events: list[Event] = []
        if not self._gathered:
            return events
        nodes = self._gathered.take()
        whole = joined(nodes)
        while len(whole):
            events += self._advance(whole.time)
            deadline = self._agenda.next()
            part, whole = _cut(whole, deadline)
            cut = [_cut(node, deadline) for node in nodes]
            nodes = [rest for _, rest in cut]
            self._traffic.take(part, [mine for mine, _ in cut if len(mine)])
            self._now = max(self._now or 0, int(part.times[-1]))
        return events

    def _advert(self, advert: Advert) -> list[Event]:
        self.adverts += 1
        self._vantage.advert(advert)
        group = self._groups.of(advert)
        if group is None:
            self.overflow += 1
            return []
        self._hosts.learn(advert.router, advert.mac)
        steps = group.tracker.hear(advert)
        if advert.priority == 0:
            self._resignations.add(advert.time, advert.router, group.tracker)
        self._traffic.follow(group.tracker.addresses)
        events = [event for step in steps for event in self._stepped(group, step)]
        self._conflict(group, advert)
        for each in self._groups.within(group.tracker.virtual_router):
            while len(each.flaps) > FLAPS:
                # Their windows are cut short.
                events += self._judge(each, each.flaps[0], advert.time, last=True)
            self._agenda.set(each, each.deadline)
        return events

    def _conflict(self, group: Group, advert: Advert) -> None:
        """Two groups use one VRID on one segment: one flap of the older group for as long as both go on."""
        groups = self._groups.within(group.tracker.virtual_router)
        if len(groups) == 1 or advert.priority == 0:
            return
        for other in self._groups.beside(group):
            last = other.tracker.last
            if last is None or advert.time - last.time > 3 * last.interval:
                continue
            older, foreign = (other, group) if groups.index(other) < groups.index(group) else (group, other)
            if not any(flap.foreign for flap in older.flaps) and older.tracker.active is not None:
                flap = self._open(older, older.tracker.active, advert.time)
                flap.current = flap.former
                flap.foreign = foreign.tracker.active

    def _under_way(self, group: Group, time: int) -> OpenFlap | None:
        """The open flap of a conflict of VRIDs that a group is party to, while another group goes on."""
        others = self._groups.beside(group)
        lasts = [other.tracker.last for other in others]
        if not any(last is not None and time - last.time <= CONFLICT * last.interval for last in lasts):
            return None
        return next((flap for each in (group, *others) for flap in each.flaps if flap.foreign), None)

    def _claimed(self, claim: Outside | None, interface: str | None) -> None:
        """Somebody has an address: for a virtual router's that waits for an explanation; another's may have moved there."""
        if claim is None:
            return
        groups = [group for group in self._groups.all() if claim.address in group.tracker.addresses and group.tracker.tracks]
        for group in groups:
            if len(group.claims) < CLAIMS:
                group.claims.append(claim)
                self._agenda.set(group, group.deadline)
        if groups or (moved := self._outsiders.moved(claim)) is None:
            return
        since = self.coverage.since()
        if since is None or claim.time - since < START or self._journal.unread(claim.time):
            # Adverts that would explain it may not have been heard yet, or not be readable.
            return
        held, new = self._groups.wandering(claim.address, interface)
        if new:
            self._traffic.follow([claim.address])
        if held is not None:
            former, current = moved
            flap = self._open(held, self._outsiders.name(former), claim.time)
            flap.taken(claim.time, self._outsiders.name(current) or "")
            flap.outside, flap.holders = replace(claim, former=former.node), moved
            self._agenda.set(held, held.deadline)

    def _explained(self, claim: Outside) -> bool:
        """Whether a claim may be VRRP's, in any group with the address: a mirror port shows more than one segment."""
        return any(self._own(group, claim) for group in self._groups.all() if claim.address in group.tracker.addresses)

    def _own(self, group: Group, claim: Outside) -> bool:
        """Whether a claim may be VRRP's: by the Active Router or a party to an open flap; a node not placed may be anybody's."""
        tracker = group.tracker
        parties = {tracker.active}
        for flap in group.flaps:
            parties |= {flap.former, flap.current, *flap.contenders}
        for router, track in tracker.tracks.items():
            if track.last is not None and abs(claim.time - track.last.time) <= group.patience:
                parties.add(router)
        if claim.node is None:
            return claim.mac in {track.mac for router, track in tracker.tracks.items() if router in parties}
        peers = {peer for track in tracker.tracks.values() for run in track.runs for peer in run.peers}
        macs = dict.fromkeys(peers, None) | {router: track.mac for router, track in tracker.tracks.items()}
        owners = self._vantage.taps(macs) | self._ownership.owners(macs, self._vantage.taps(macs))
        here = {router for router, node in owners.items() if node == claim.node}
        if here:
            return bool(here & parties)
        if self._ownership.lacks(claim.node, tracker.active or ""):
            return any(not self._ownership.lacks(claim.node, party or "") for party in parties)
        return owners.get(tracker.active or "") in (None, claim.node)

    def _look_into(self, group: Group, now: int) -> None:
        """Claims whose time is up: still unexplained, and the Active Router went on, they are flaps."""
        due = [claim for claim in group.claims if claim.time + group.patience <= now]
        group.claims = [claim for claim in group.claims if claim not in due]
        for claim in due:
            last = group.tracker.last
            gone = claim.node is not None and not self._ownership.holds(claim.node, claim.address)
            if (
                self._explained(claim)
                or last is None
                or last.time <= claim.time
                or gone
                or any(flap.outside for flap in group.flaps)
            ):
                continue
            flap = self._open(group, group.tracker.active, claim.time)
            flap.current, flap.outside = flap.former, claim

    def _stepped(self, group: Group, step: Step) -> list[Event]:
        tracker = group.tracker
        flap = group.flaps[-1] if group.flaps else None
        if step.action not in (Action.ELECT, Action.RESIGN, Action.NOTHING) and (conflict := self._under_way(group, step.time)):
            # What the address does while two groups starve each other's adverts is part of the one disturbance.
            if conflict in group.flaps:
                conflict.current = tracker.active
            return [self._active(group, step.time)]
        match step.action:
            case Action.ELECT:
                at_start = self._since is not None and step.time - self._since <= max(START, tracker.patience)
                elected = Elected(step.time, tracker.virtual_router, step.router or "", at_start)
                ident = tracker.tracks[step.router or ""].runs[-1].first_ident
                if not (at_start and ident is not None and ident > FRESH):
                    group.elected = step.time
                return [elected, self._active(group, step.time)]
            case Action.RESIGN | Action.LOSE:
                self._open(group, step.former or step.router, step.time)
                return [self._active(group, step.time)]
            case Action.TAKE_OVER:
                return self._taken_over(group, step, flap)
            case Action.RESUME:
                if flap is not None and flap.taken_over is None:
                    flap.resume(step.time)
                return [self._active(group, step.time)]
            case Action.REVIVE:
                if flap is not None and flap.taken_over is None:
                    others = len(tracker.tracks) > 1
                    flap.resume(step.time)
                    silent = step.unheard or (step.unheard is None and others)
                    if flap.standing is None and silent and not gave_up(tracker.tracks[step.router or ""].runs):
                        # It went on sending (or its backups would have taken over): the silence was only ours.
                        group.flaps.remove(flap)
                        group.storms.withdrawn(flap.id)
                        withdrawn = [] if flap.told is None else [FlapWithdrawn(step.time, flap.told)]
                        return [*withdrawn, self._active(group, step.time)]
                return [self._active(group, step.time)]
            case Action.CLAIM:
                if flap is not None and flap.claimed:
                    if step.router is not None and step.router not in flap.contenders:
                        flap.contenders.append(step.router)
                elif not (expected(group, step) or group.electing(step.time)):
                    claimed = self._open(group, tracker.active, claimed_since(group, step))
                    claimed.current = claimed.former
                    claimed.contenders.append(step.router or "")
            case Action.NOTHING:
                pass
        return []

    def _open(self, group: Group, former: str | None, time: int) -> OpenFlap:
        for older in group.flaps:
            if older.ended is None:
                older.ended = time
        router = group.tracker.virtual_router
        flap = OpenFlap(
            id=f"{rfc3339(time)}-{router.family.label}-{router.vrid}",
            opened=time,
            time=time,
            known=max(time, self._now or time),
            former=former,
        )
        group.flaps.append(flap)
        return flap

    def _taken_over(self, group: Group, step: Step, flap: OpenFlap | None) -> list[Event]:
        router = step.router or ""
        pending = flap is not None and flap.taken_over is None and (flap.current is None or goes_on_claiming(group, flap, step))
        if flap is not None and pending:
            flap.contenders = [contender for contender in flap.contenders if contender != router]
            flap.taken(step.time, router)
        elif flap is not None and flap.taken_over is None and flap.resumed is not None and flap.contested(step.time):
            # The former router was the first to stand for the same election, and another one wins it.
            flap.taken(flap.resumed, router)
        elif flap is not None and stands_again(group, flap, step):
            flap.resume(step.time)
        elif flap is not None and flap.contested(step.time) and router != flap.former:
            # A second backup wins the same election.
            if flap.current is not None and flap.current not in flap.contenders:
                flap.contenders.append(flap.current)
            flap.current = router
        elif flap is None:
            if not group.electing(step.time):
                self._open(group, step.former, step.time).taken(step.time, router)
        elif not (healed(flap, step, group.tracker.tracks[router].runs) or self._never_silent(group, flap, step)):
            self._open(group, step.former, step.time).taken(step.time, router)
        return [self._active(group, step.time)]

    def _never_silent(self, group: Group, flap: OpenFlap, step: Step) -> bool:
        """Whether a take-over only ends the flap: its former router had advertised all along, and its adverts failed a check."""
        if flap.taken_over is None or (step.router, step.former) != (flap.former, flap.current):
            return False
        failures = self._journal.failures(group.tracker.virtual_router.vrid, flap.taken_over, step.time)
        last = group.tracker.tracks[step.router or ""].last
        return last is not None and any(
            advert.router == step.router and step.time - advert.time <= 2 * last.interval for advert in failures
        )

    def _active(self, group: Group, time: int) -> ActiveChanged:
        tracker = group.tracker
        holds = tracker.state.value in ("active", "contested")
        return ActiveChanged(
            time,
            tracker.virtual_router,
            tracker.active if holds else None,
            tracker.priority if holds else None,
            tracker.addresses,
        )

    def _judge(self, group: Group, flap: OpenFlap, now: int, *, last: bool = False) -> list[Event]:
        closing = last or flap.closing
        elapsed = now - flap.base
        add_contenders(group, flap)
        if flap.holders is not None:
            flap.former, flap.current = (self._outsiders.name(holder) for holder in flap.holders)
        flap.keep(group.tracker.tracks)
        view = self._views.of(
            group.tracker,
            flap,
            now,
            since=self._since,
            foreign=self._foreign(group, flap),
            siblings=self._resignations.beside(group.tracker, flap.former or "", flap.opened),
        )
        flap.cost.established = established(view.samples, flap.base)
        verdict = flap.standing or judge(view)
        certain = verdict.confidence is Confidence.CERTAIN
        # Whether a move was warranted is told by what came before it; only the former router's own node may add to that later.
        known = verdict.warranted is not Warranted.UNKNOWN or flap.former not in {*view.taps, *view.local}
        settled = elapsed >= SETTLING or (certain and known and view.taken_over is not None)
        if certain and settled:
            flap.standing = verdict
        end = now if flap.ended is None else flap.ended
        wrong = misdirections(view)
        told = Flap(
            id=flap.id,
            time=flap.time,
            virtual_router=group.tracker.virtual_router,
            addresses=group.tracker.addresses,
            former=flap.former,
            current=flap.current,
            verdict=verdict,
            outage=outage(view),
            dual_active=dual_active(view),
            misdirected=None if wrong is None else sum(spell.end - spell.begin for spell in wrong),
            connections=flap.cost.connections(),
            served_again=served_again(view, flap.cost.first_answer),
            reconnects=flap.cost.reconnects(flap.base, end),
            misdirections=tuple(spell for spell in wrong or () if spell.end - spell.begin >= BRIEF),
            window=max(0, end - flap.base),
        )
        flap.judged += 1
        if closing:
            group.flaps.remove(flap)
            stage, counts = FlapStage.CLOSED, not flap.counted
        else:
            changed = flap.told is None or flap.told.verdict != verdict
            if not settled or not changed:
                return []
            flap.told = told
            counts = flap.standing is not None and not flap.counted
            flap.counted = flap.counted or counts
            stage = FlapStage.STANDING if flap.standing is not None else FlapStage.PROVISIONAL
        storm = group.storms.judged(now, told, fell(view), more=bool(group.flaps), closed=closing)
        return [FlapJudged(now, told, stage, counts), *storm]

    def _foreign(self, group: Group, flap: OpenFlap) -> tuple[Run, ...]:
        """What the other groups of the same VRID advertise, where the flap is about them."""
        if flap.foreign is None:
            return ()
        return tuple(
            track.runs[-1] for other in self._groups.beside(group) for track in other.tracker.tracks.values() if track.runs
        )


def _cut(segments: TcpSegments, end: int | None) -> tuple[TcpSegments, TcpSegments]:
    """The segments before a time (None: all), and the rest."""
    place = len(segments) if end is None else int(segments.times.searchsorted(end))
    return segments.rows(slice(0, place)), segments.rows(slice(place, None))
