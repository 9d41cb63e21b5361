"""One virtual router, followed through its adverts: turns each advert and each silence into a signal and asks the state table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from observer.engine.states import TRANSITIONS, Action, Signal, State, outranks
from observer.engine.tracks import Track, active_down_interval

if TYPE_CHECKING:
    from observer.model.flaps import VirtualRouter
    from observer.model.observations import Advert

ROUTERS = 64
"""Routers followed in one virtual router; adverts of further ones are not."""

SUCCESSION = 2.5
"""Intervals of silence after which another router's advert is a succession: a backup waits for three and its Skew_Time."""


@dataclass(slots=True)
class Contest:
    """A router that the Active one outranks and that advertises all the same."""

    rival: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Step:
    """What an advert or a silence did."""

    action: Action
    time: int
    former: str | None
    """The Active Router before."""
    router: str | None
    """The router that the action is about."""
    unheard: int | None = None
    """REVIVE: adverts that the router sent meanwhile without our hearing them; None where that cannot be told."""


class VirtualRouterTracker:
    """Who is Active in one virtual router."""

    def __init__(self, virtual_router: VirtualRouter) -> None:
        self.virtual_router = virtual_router
        self.state = State.UNKNOWN
        self.tracks: dict[str, Track] = {}
        self.active: str | None = None
        self.addresses: tuple[str, ...] = ()
        self.contest: Contest | None = None
        self.deaf = False
        """Nobody listens any more: silence means nothing until the next advert."""
        self.overflow = 0
        """Adverts of routers beyond the limit."""

    @property
    def priority(self) -> int | None:
        """The Active Router's last advertised priority."""
        last = self._last(self.active)
        return last.priority if last is not None else None

    @property
    def last(self) -> Advert | None:
        """The Active Router's last advert."""
        return self._last(self.active)

    @property
    def patience(self) -> int:
        """How long the Active Router may be silent before it counts as down, in nanoseconds."""
        last = self._last(self.active)
        return active_down_interval(last) if last is not None else 0

    def repeated(self, advert: Advert) -> bool:
        """Whether an advert only says again what the undisputed Active Router said before."""
        last = self._last(self.active)
        if last is None or self.state is not State.ACTIVE or self.contest is not None:
            return False
        said = advert.router, advert.priority, advert.addresses, advert.mac
        return said == (last.router, last.priority, last.addresses, last.mac) and advert.priority > 0

    def hear(self, advert: Advert) -> list[Step]:
        """An advert; copies of one heard already do nothing."""
        self.deaf = False
        track = self.tracks.get(advert.router)
        if track is None:
            if len(self.tracks) >= ROUTERS:
                self.overflow += 1
                return []
            track = self.tracks[advert.router] = Track.of(advert.router)
        track.note(advert)
        if track.is_copy(advert):
            track.peer(advert)
            return []
        unheard = track.sent_between(advert)
        signal = self._signal(advert)
        track.hear(advert)
        if signal is None:
            return []
        if advert.priority > 0 and (advert.router == self.active or signal is not Signal.WORSE):
            self.addresses = advert.addresses or self.addresses
        return [self._move(signal, advert, unheard)]

    def deadline(self) -> int | None:
        """When silence will mean something, or None."""
        times: list[int] = []
        last = self._last(self.active)
        if self.deaf:
            return None
        if last is not None and self.state in (State.ACTIVE, State.RESIGNED, State.CONTESTED):
            times.append(last.time + active_down_interval(last))
        if self.contest is not None and last is not None:
            times.append(self.contest.last + 2 * last.interval)
        return min(times, default=None)

    def expire(self, now: int) -> list[Step]:
        """Handle the deadlines that have passed at ``now``."""
        steps = []
        last = self._last(self.active)
        if self.contest is not None and last is not None and self.contest.last + 2 * last.interval <= now:
            # Both silent is a matter of the Active Router's own deadline.
            rival, self.contest = self.contest, None
            if self.state is State.CONTESTED:
                steps.append(self._step(Signal.SUBSIDED, now, rival.rival))
        if (
            last is not None
            and self.state in (State.ACTIVE, State.RESIGNED, State.CONTESTED)
            and last.time + active_down_interval(last) <= now
        ):
            # They were lost when the first advert that was due did not come.
            steps.append(self._step(Signal.EXPIRY, last.time + last.interval, self.active))
        return [step for step in steps if step.action is not Action.NOTHING]

    def _signal(self, advert: Advert) -> Signal | None:
        if self.active is None:
            return Signal.OWN_RESIGNATION if advert.priority == 0 else Signal.SUCCESSOR
        if advert.router == self.active:
            return Signal.OWN_RESIGNATION if advert.priority == 0 else Signal.OWN
        if advert.priority == 0:
            # A rival that resigns gives up what it did not have.
            return None
        last = self._last(self.active)
        if last is None or last.priority == 0:
            return Signal.SUCCESSOR
        if advert.time - last.time >= SUCCESSION * last.interval:
            return Signal.SUCCESSOR
        mine, other = self.tracks[advert.router].words, self.tracks[self.active].words
        return Signal.BETTER if outranks(advert.priority, mine, last.priority, other) else Signal.WORSE

    def _move(self, signal: Signal, advert: Advert, unheard: int | None) -> Step:
        time = advert.time
        if signal is Signal.WORSE and self.state in (State.ACTIVE, State.CONTESTED):
            if self.contest is None or self.contest.rival != advert.router:
                self.contest = Contest(advert.router, advert.time, advert.time)
            self.contest.last = advert.time
        if signal is Signal.SUCCESSOR and self.contest is not None and self.contest.rival == advert.router:
            # It has been claiming the addresses since the contest began.
            time = self.contest.first
        return self._step(signal, time, advert.router, unheard)

    def _step(self, signal: Signal, time: int, router: str | None, unheard: int | None = None) -> Step:
        former = self.active
        self.state, action = TRANSITIONS[self.state, signal]
        if action in (Action.TAKE_OVER, Action.ELECT) or self.active is None:
            self.active = router
        if self.state is not State.CONTESTED:
            self.contest = None
        return Step(action, time, former, router, unheard)

    def _last(self, router: str | None) -> Advert | None:
        track = self.tracks.get(router) if router is not None else None
        return track.last if track is not None else None
