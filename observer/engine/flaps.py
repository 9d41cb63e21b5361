"""A flap from its first sign to its close: what is still open about it, and when it is to be judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.engine.cost import Cost
from observer.model.time import MILLISECOND, SECOND
from observer.rules.partition import APART, kept_on
from observer.rules.process import restarted, unheard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observer.engine.outside import Holder
    from observer.engine.tracks import Track
    from observer.engine.virtual_router import Step
    from observer.model.flaps import Flap
    from observer.model.verdicts import Verdict
    from observer.rules.view import Outside, Run

CONTEST = 150 * MILLISECOND
"""Routers that claim the addresses within this time of each other contest one election (1 to 40 ms were measured)."""

SETTLING = 5 * SECOND
"""From here on the best that can be said is said, even if it is not certain."""

WINDOW = 60 * SECOND
"""How long a flap is watched: clients that ping when idle reset as late as 45 s after the move (client-go: 30 s and 15 s)."""

CLAIMANTS = 4
"""Of the routers that claim the addresses beside the others, those whose adverts are remembered."""

JUDGEMENTS = (CONTEST, SECOND, 2 * SECOND, SETTLING, 15 * SECOND, 30 * SECOND, WINDOW)
"""When a flap is judged, after the move (or, while there is none, after its first sign)."""


@dataclass(slots=True)
class OpenFlap:
    """A flap that is not closed yet."""

    id: str
    opened: int
    """First sign: resignation, last advert before a silence, or the take-over itself."""
    time: int
    known: int
    """When it could first be known of: a silence, only at its end."""
    former: str | None
    current: str | None = None
    taken_over: int | None = None
    resumed: int | None = None
    """When the former router claimed the addresses again, while no other had them."""
    contenders: list[str] = field(default_factory=list)
    judged: int = 0
    """How many of ``JUDGEMENTS`` are done."""
    standing: Verdict | None = None
    counted: bool = False
    told: Flap | None = None
    """As it was last told."""
    cost: Cost = field(default_factory=Cost)
    ended: int | None = None
    """When a later flap of the virtual router began, to which resets and announcements belong from then on."""
    outside: Outside | None = None
    """The claim with no VRRP behind it that the flap is about."""
    holders: tuple[Holder, Holder] | None = None
    """Former and new holder of an address that no virtual router has."""
    foreign: str | None = None
    """Router of another group with the same VRID, where the flap is their conflict."""
    heard: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    """By router and node, when adverts of the routers in question were heard at the judgements so far: a track forgets soon."""

    @property
    def base(self) -> int:
        """What the times of ``JUDGEMENTS`` count from."""
        return self.taken_over if self.taken_over is not None else self.known

    @property
    def deadline(self) -> int:
        """When it is to be judged next; not before it is clear whether others contest what the former router resumed."""
        due = self.base + JUDGEMENTS[self.judged]
        return due if self.resumed is None else max(due, self.resumed + CONTEST)

    @property
    def claimed(self) -> bool:
        """Its matter is that others claim the addresses of a router that goes on."""
        return (
            self.taken_over is None
            and self.foreign is None
            and self.outside is None
            and self.current is not None
            and bool(self.contenders)
        )

    @property
    def closing(self) -> bool:
        """The next judgement is the last."""
        return self.judged == len(JUDGEMENTS) - 1

    def keep(self, tracks: Mapping[str, Track]) -> None:
        """Note when the routers that the flap is about were heard, as far as that is still known."""
        for router in dict.fromkeys((self.former, self.current, *self.contenders[:CLAIMANTS])):
            if router is not None and router in tracks:
                known = self.heard.setdefault(router, {})
                for node, times in tracks[router].heard.items():
                    known[node] = tuple(sorted({*known.get(node, ()), *times}))

    def taken(self, time: int, router: str) -> None:
        """A router took over: the clock of the judgements starts again."""
        self.time = self.taken_over = time
        self.current = router
        self.judged = 0
        self.cost.moved()

    def resume(self, time: int) -> None:
        """The former router claims the addresses again, and whoever stood for the same election before loses it."""
        self.time, self.taken_over, self.contenders = self.opened, None, []
        self.current, self.resumed = self.former, time

    def contested(self, time: int) -> bool:
        """Whether a claim at this time belongs to the election that this flap began with."""
        began = self.taken_over if self.taken_over is not None else self.resumed
        return began is not None and time - began < CONTEST


def healed(flap: OpenFlap, step: Step, runs: Sequence[Run]) -> bool:
    """Whether a take-over only ends the flap: its former router had been Active all the time, unheard, and the new one yields."""
    if flap.taken_over is None or (step.router, step.former) != (flap.former, flap.current) or len(runs) < 2:
        return False
    unseen = unheard(runs[-2], runs[-1])
    return (unseen or 0) >= APART and kept_on(runs[-2], runs[-1], unseen)


def gave_up(runs: Sequence[Run]) -> bool:
    """Whether a router that is heard again had resigned before, or is a new process: its silence was no loss of ours."""
    return len(runs) > 1 and (runs[-2].priority == 0 or restarted(runs[-2], runs[-1]))
