"""Stories whose cause is known because the story makes it: what keepalived sends in each, with whatever the setting varies.

Timers are RFC 3768's and RFC 9568's; who sends what, and when, is what was measured of keepalived 2.2.7.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from traces import A6, B6, C6, FAULT_GAP, A, B, C, Trace

from observer.model.observations import Family, NeighbourKind

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_YET = frozenset({"daemon_stalled", "partition", "vrid_conflict", "address_removed", "reloaded", "link_down"})
"""Causes of the catalogue; those without a rule must simply never be taken for another with certainty."""


@dataclass(frozen=True)
class Truth:
    """What really happened at a time (seconds): the acceptable names, nearly always one."""

    time: float
    causes: frozenset[str]


@dataclass
class Setting:
    """What varies from telling to telling."""

    version: int = 2
    family: Family = Family.IPV4
    interval: float = 1.0
    high: int = 65
    backup: int = 60
    fallen: int = 45
    loss: float = 0.0
    jitter: float = 0.0
    before: int = 20
    """Adverts of the first Active Router."""
    phase: float = 0.4
    """Where between two adverts the trouble begins, in intervals."""
    watched: float = 20.0
    """Seconds from the move to the end, or to the sequel."""
    ident: int = 4000
    vantage: str = "group"
    """Multicast ("group"), or unicast as seen at the "former", the "new" or a "third" router."""
    sequel: bool = False
    life: bool = False
    """Whether frames other than adverts are seen of the hosts that live."""
    numbering: str = "own"
    """Of the adverts: keepalived's "own", the "kernel"'s (with other packets, and at random), "none" (always 0, as FRR's)."""
    seed: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    @property
    def routers(self) -> tuple[str, str, str]:
        """The former router, the one that takes over, and a third."""
        return (A, B, C) if self.family is Family.IPV4 else (A6, B6, C6)

    def trace(self) -> Trace:
        """An empty trace in this setting."""
        members = {} if self.vantage == "group" else {"members": self.routers, "here": self._here()}
        steps = {"own": lambda: 1, "kernel": lambda: self.dice.randint(1, 250), "none": lambda: 0}
        ident = 0 if self.numbering == "none" else self.ident
        return Trace(
            version=self.version,
            family=self.family,
            interval=self.interval,
            ident=ident,
            numbering=steps[self.numbering],
            **members,
        )

    def _here(self) -> str:
        return dict(zip(("former", "new", "third"), self.routers, strict=True))[self.vantage]

    def skew(self, priority: int) -> float:
        """Skew_Time in seconds."""
        return (256 - priority) / 256 * (1.0 if self.version == 2 else self.interval)

    def down(self, priority: int) -> float:
        """Active_Down_Interval in seconds."""
        return 3 * self.interval + self.skew(priority)

    def heard(self) -> bool:
        """Whether the next frame is."""
        return self.dice.random() >= self.loss

    def adverts(self, trace: Trace, router: str, priority: int, start: float, count: int) -> float:
        """Adverts on schedule; the time of the last."""
        stretch = lambda: 1 + self.jitter * (2 * self.dice.random() - 1)  # noqa: E731
        trace.adverts(router, priority, start, count, heard=self.heard, jitter=stretch)
        return trace.clock

    def until(self, trace: Trace, router: str, priority: int, start: float, end: float) -> float:
        """Adverts from ``start`` to ``end``; the time of the last."""
        return self.adverts(trace, router, priority, start, max(1, int((end - start) / self.interval) + 1))

    def alive(self, trace: Trace, router: str, start: float, end: float) -> None:
        """The host's other frames: it asks for a neighbour about once a second."""
        when = start + 0.2 + self.dice.random()
        while self.life and when < end:
            trace.ask(router, self.routers[2], when)
            when += 0.2 + self.dice.random() * 1.5

    def return_of(self, trace: Trace, when: float) -> Truth:
        """The former router is well again and, being better, takes the addresses back."""
        former = self.routers[0]
        self.until(trace, former, self.high, when, when + 6 * self.interval)
        return Truth(when, frozenset({"preempted"}))


def check_failed(setting: Setting, trace: Trace) -> list[Truth]:
    """A weighted check fails; in the sequel it succeeds again."""
    former = setting.routers[0]
    last = setting.adverts(trace, former, setting.high, 0, setting.before)
    setting.adverts(trace, former, setting.fallen, last + setting.interval, 3)
    return _moved(setting, trace, last + setting.down(setting.backup), "check_failed")


def fault(setting: Setting, trace: Trace) -> list[Truth]:
    """A check without weight fails."""
    former, _, _ = setting.routers
    gone = setting.adverts(trace, former, setting.high, 0, setting.before) + setting.phase * setting.interval
    trace.resign(former, gone, times=2, heard=setting.heard)
    return _moved(setting, trace, gone + FAULT_GAP + setting.skew(setting.backup), "check_failed")


def fault_of_a_sync_group_member(setting: Setting, trace: Trace) -> list[Truth]:
    """Another member's check fails: one priority 0 only."""
    former, _, _ = setting.routers
    gone = setting.adverts(trace, former, setting.high, 0, setting.before) + setting.phase * setting.interval
    trace.resign(former, gone, heard=setting.heard)
    return _moved(setting, trace, gone + setting.skew(setting.backup), "check_failed")


def stopped(setting: Setting, trace: Trace) -> list[Truth]:
    """keepalived is stopped; in the sequel it is started again."""
    former, _, _ = setting.routers
    gone = setting.adverts(trace, former, setting.high, 0, setting.before) + setting.phase * setting.interval
    trace.resign(former, gone, heard=setting.heard)
    setting.alive(trace, former, gone, gone + setting.watched)
    trace.restart(former)
    return _moved(setting, trace, gone + setting.skew(setting.backup), "stopped")


def preempted_by_a_newcomer(setting: Setting, trace: Trace) -> list[Truth]:
    """A better router joins the group."""
    former, new, _ = setting.routers
    last = setting.adverts(trace, former, setting.backup, 0, setting.before)
    trace.restart(new)
    when = last + setting.phase * setting.interval
    setting.until(trace, new, setting.high, when, when + setting.watched)
    return [Truth(when, frozenset({"preempted"}))]


def daemon_killed(setting: Setting, trace: Trace) -> list[Truth]:
    """keepalived dies, the host lives and still answers for the address; in the sequel a new process takes it back."""
    former, _, _ = setting.routers
    last = setting.adverts(trace, former, setting.high, 0, setting.before)
    taken = last + setting.down(setting.backup)
    setting.alive(trace, former, last, taken + setting.watched)
    if setting.life:
        trace.arp(former, taken + 0.001, kind=NeighbourKind.REPLY, asked=setting.routers[1])
    trace.restart(former)
    return _moved(setting, trace, taken, "daemon_killed")


def node_lost(setting: Setting, trace: Trace) -> list[Truth]:
    """The host loses its power; in the sequel it boots, is heard, starts keepalived, and takes the addresses back."""
    former, new, _ = setting.routers
    last = setting.adverts(trace, former, setting.high, 0, setting.before)
    taken = last + setting.down(setting.backup)
    for number in range(3):
        trace.ask(new, former, taken + 1 + number)
    setting.alive(trace, former, taken + setting.watched - 5, taken + setting.watched)
    trace.restart(former)
    return _moved(setting, trace, taken, "node_lost")


def daemon_stalled(setting: Setting, trace: Trace) -> list[Truth]:
    """keepalived freezes; in the sequel the same process goes on as if nothing had been."""
    former, _, _ = setting.routers
    last = setting.adverts(trace, former, setting.high, 0, setting.before)
    taken = last + setting.down(setting.backup)
    setting.alive(trace, former, last, taken + setting.watched)
    moves = _moved(setting, trace, taken, "daemon_stalled")
    return [moves[0], *(Truth(move.time, frozenset({"preempted", "daemon_stalled"})) for move in moves[1:])]


def partition(setting: Setting, trace: Trace) -> list[Truth]:
    """The former router goes on advertising where neither the new one nor we hear it; in the sequel the segment heals."""
    former, _, _ = setting.routers
    last = setting.adverts(trace, former, setting.high, 0, setting.before)
    taken = last + setting.down(setting.backup)
    trace.sent_elsewhere(former, int((setting.down(setting.backup) + setting.watched) / setting.interval))
    moves = _moved(setting, trace, taken, "partition")
    if setting.family is Family.IPV4 and moves[-1].time < taken + 59:
        # The identification tells that it was Active all the time: the end of the same disturbance.
        moves = moves[:1]
    return [Truth(move.time, frozenset({"partition"})) for move in moves]


def address_removed(setting: Setting, trace: Trace) -> list[Truth]:
    """The address is deleted by hand: one priority 0, and another router is faster; in the sequel the better one is back."""
    former, _, _ = setting.routers
    gone = setting.adverts(trace, former, setting.high, 0, setting.before) + setting.phase * setting.interval
    trace.resign(former, gone, heard=setting.heard)
    setting.alive(trace, former, gone, gone + setting.watched)
    return _moved(setting, trace, gone + setting.skew(setting.backup), "address_removed")


def address_removed_and_resumed(setting: Setting, trace: Trace) -> list[Truth]:
    """The address is deleted by hand: one priority 0, and the same sender resumes."""
    former, _, _ = setting.routers
    gone = setting.adverts(trace, former, setting.high, 0, setting.before) + setting.phase * setting.interval
    trace.resign(former, gone, heard=setting.heard)
    back = gone + setting.skew(setting.high)
    setting.until(trace, former, setting.high, back, back + setting.watched)
    return [Truth(back, frozenset({"address_removed"}))]


def vrid_conflict(setting: Setting, trace: Trace) -> list[Truth]:
    """A foreign group comes up with the same VRID and other addresses; each ignores the other."""
    former, new, _ = setting.routers
    other = ("198.51.100.1",) if setting.family is Family.IPV4 else ("fe80::9999",)
    setting.adverts(trace, former, setting.backup, 0, setting.before + 20)
    start = (setting.before - 1 + setting.phase) * setting.interval
    trace.restart(new).adverts(new, setting.high, start, 20, heard=setting.heard, addresses=other, authentication=7)
    return [Truth(start, frozenset({"vrid_conflict"}))]


def reloaded(setting: Setting, trace: Trace) -> list[Truth]:
    """keepalived is reloaded with a lower priority: off-schedule adverts and another phase from then on."""
    former, _, _ = setting.routers
    last = setting.adverts(trace, former, setting.high, 0, setting.before)
    shifted = last + setting.phase * setting.interval
    trace.advert(former, setting.fallen, shifted, heard=setting.heard())
    trace.advert(former, setting.fallen, shifted + 0.000_87, heard=setting.heard())
    setting.adverts(trace, former, setting.fallen, shifted + 0.000_87 + setting.interval, 2)
    moves = _moved(setting, trace, last + setting.down(setting.backup), "reloaded")
    return [moves[0], *(Truth(move.time, frozenset({"preempted", "reloaded"})) for move in moves[1:])]


def _moved(setting: Setting, trace: Trace, taken: float, cause: str) -> list[Truth]:
    """The backup takes over, announces itself, and in the sequel gives the addresses back."""
    _, new, _ = setting.routers
    end = taken + setting.watched
    setting.until(trace, new, setting.backup, taken, end)
    trace.arp(new, taken + 0.001, count=5)
    truths = [Truth(taken, frozenset({cause}))]
    if setting.sequel:
        truths.append(setting.return_of(trace, trace.clock + setting.phase * setting.interval))
    return truths


STORIES: dict[str, Callable[[Setting, Trace], list[Truth]]] = {
    story.__name__: story
    for story in (
        check_failed,
        fault,
        fault_of_a_sync_group_member,
        stopped,
        preempted_by_a_newcomer,
        daemon_killed,
        node_lost,
        daemon_stalled,
        partition,
        address_removed,
        address_removed_and_resumed,
        vrid_conflict,
        reloaded,
    )
}


def random_setting(seed: int, *, clear: bool = False) -> Setting:
    """The setting of a number: always the same one, which those of hypothesis are not (they change with the code under test)."""
    dice = random.Random(seed)
    version = dice.choice((2, 3))
    family = dice.choice((Family.IPV4, Family.IPV6)) if version == 3 else Family.IPV4
    interval = float(dice.randint(1, 10)) if version == 2 else dice.randint(10, 1000) / 100
    high = dice.randint(3, 254)
    backup = dice.randint(2, high - 1)
    return Setting(
        version=version,
        family=family,
        interval=interval,
        high=high,
        backup=backup,
        fallen=dice.randint(1, backup - 1),
        loss=0.0 if clear else dice.choice((0.0, 0.0, 0.1, 0.3)),
        jitter=dice.choice((0.0, 0.01)),
        before=dice.randint(5 if clear else 1, 30),
        phase=dice.randint(5, 95) / 100,
        watched=dice.choice((8.0, 20.0, 40.0, 65.0)) + 7 * interval,
        ident=dice.choice((dice.randint(20, 65000), dice.randint(65500, 65535))),
        vantage="group" if clear else dice.choice(("group", "former", "new", "third")),
        sequel=dice.random() < 0.5,
        life=dice.random() < 0.5,
        seed=dice.randrange(2**16),
        numbering="own" if clear else dice.choice(("own", "own", "kernel", "none")),
    )


@st.composite
def settings(draw: st.DrawFn, *, clear: bool = False) -> Setting:
    """Any setting; a ``clear`` one without loss, in multicast."""
    version = draw(st.sampled_from((2, 3)))
    family = draw(st.sampled_from((Family.IPV4, Family.IPV6))) if version == 3 else Family.IPV4
    interval = float(draw(st.integers(1, 10))) if version == 2 else draw(st.integers(10, 1000)) / 100
    high = draw(st.integers(3, 254))
    backup = draw(st.integers(2, high - 1))
    # An identification that is about to start from 0 again must not look like a new process.
    ident = draw(st.one_of(st.integers(20, 65000), st.integers(65500, 65535)))
    return Setting(
        version=version,
        family=family,
        interval=interval,
        high=high,
        backup=backup,
        fallen=draw(st.integers(1, backup - 1)),
        loss=0.0 if clear else draw(st.sampled_from((0.0, 0.0, 0.1, 0.3))),
        jitter=draw(st.sampled_from((0.0, 0.01))),
        before=draw(st.integers(5 if clear else 1, 30)),
        phase=draw(st.integers(5, 95)) / 100,
        watched=draw(st.sampled_from((8.0, 20.0, 40.0, 65.0))) + 7 * interval,
        ident=ident,
        vantage="group" if clear else draw(st.sampled_from(("group", "former", "new", "third"))),
        sequel=draw(st.booleans()),
        life=draw(st.booleans()),
        seed=draw(st.integers(0, 2**16)),
    )
