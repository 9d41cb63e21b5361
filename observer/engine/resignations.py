"""Who resigned when, over all virtual routers: members of a keepalived sync group go together. Not what a resignation means."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from observer.model.time import SECOND

if TYPE_CHECKING:
    from observer.engine.virtual_router import VirtualRouterTracker
    from observer.rules.view import Run

TOGETHER = SECOND // 2
"""Within this time of each other the virtual routers of a sync group resign."""

KEPT = 1024
"""Resignations remembered. A segment on which more of them fall into the minute in which a flap is watched is hostile."""


class Resignations:
    """The newest resignations (adverts of priority 0, RFC 9568 5.2.4), in order of time."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._who: list[tuple[str, VirtualRouterTracker]] = []

    def add(self, time: int, router: str, tracker: VirtualRouterTracker) -> None:
        """A router resigned from the virtual router that ``tracker`` follows."""
        self._times.append(time)
        self._who.append((router, tracker))
        if len(self._times) >= 2 * KEPT:
            del self._times[:KEPT], self._who[:KEPT]

    def beside(self, tracker: VirtualRouterTracker, router: str, time: int) -> tuple[Run, ...]:
        """How a router resigned, at that time, from other virtual routers than the one that ``tracker`` follows."""
        near = slice(bisect_left(self._times, time - TOGETHER), bisect_left(self._times, time + TOGETHER + 1))
        others = dict.fromkeys(other for who, other in self._who[near] if who == router and other is not tracker)
        runs = (run for other in others if router in other.tracks for run in other.tracks[router].runs)
        return tuple(run for run in runs if run.priority == 0 and abs(run.first - time) <= TOGETHER)
