"""Flaps of one virtual router in close succession: how they follow each other, and whether each drives the next."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from observer.model.flaps import Storm, StormSeen, Turn
from observer.model.time import SECOND, duration
from observer.model.verdicts import Cause, Warranted

if TYPE_CHECKING:
    from observer.model.flaps import Flap

TURNS = 3
"""Flaps that make a storm: two may be a move and its way back."""

APART = 60 * SECOND
"""Flaps further apart than this do not belong together: clients have reconnected, and checks have settled."""

KEPT = 256
"""Turns kept of one storm; of a longer one the oldest are only counted, and it is told next when it is over."""

WAVE = 10
"""Reconnects that may load a backend enough to fail a check; fewer are no wave."""

SHOWN = 2
"""Turns with a wave before the failed check from which a loop is concluded; one may be chance."""

LIKE = 3 * SECOND
"""Delays from wave to failed check that differ by no more are alike: checks run every second or few, and fail after some."""

REACTION = 30 * SECOND
"""A check that fails later than this after the wave is not its doing."""


@dataclass(slots=True)
class _Entry:
    flap: Flap
    fell: int | None
    """When the priority of the former router fell, if that led to the flap."""


class Storms:
    """Of one virtual router: the flaps that may become a storm, and the storm they are."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._told = 0
        """Flaps of the storm when it was last told."""
        self._forgotten = 0
        self._first: Flap | None = None
        """Of those forgotten."""
        self._counted = False

    def judged(self, now: int, flap: Flap, fell: int | None, *, more: bool, closed: bool) -> list[StormSeen]:
        """A flap was judged; ``closed``: for the last time; ``more``: others are still open."""
        known = self._entries.get(flap.id)
        if known is None and self._last is not None and flap.time - self._last.flap.time > APART:
            self._clear()
        self._entries[flap.id] = _Entry(flap, fell)
        while len(self._entries) > KEPT:
            oldest = self._entries.pop(next(iter(self._entries)))
            self._first = self._first or oldest.flap
            self._forgotten += 1
        size = self._forgotten + len(self._entries)
        if size < TURNS and not self._counted:
            return []
        over = closed and not more
        if not over and (self._forgotten or size <= self._told):
            return []
        self._told = size
        counts, self._counted = not self._counted, True
        seen = StormSeen(now, self._storm(), counts, over)
        if over:
            self._clear()
        return [seen]

    def withdrawn(self, flap: str) -> None:
        """A flap that was none."""
        self._entries.pop(flap, None)

    @property
    def _last(self) -> _Entry | None:
        return max(self._entries.values(), key=lambda entry: entry.flap.time, default=None)

    def _clear(self) -> None:
        self._entries, self._told, self._forgotten, self._first, self._counted = {}, 0, 0, None, False

    def _storm(self) -> Storm:
        entries = sorted(self._entries.values(), key=lambda entry: (entry.flap.time, entry.flap.id))
        flaps = [entry.flap for entry in entries]
        turns = [_turn(entry, following) for entry, following in zip(entries, [*entries[1:], None], strict=True)]
        first = self._first or flaps[0]
        driven, statement = _loop(turns)
        reset = [flap.connections.reset for flap in flaps if flap.connections.reset is not None]
        refused = [flap.connections.refused for flap in flaps if flap.connections.refused is not None]
        return Storm(
            id=f"{first.id}-storm",
            time=first.time,
            end=flaps[-1].time,
            virtual_router=first.virtual_router,
            addresses=flaps[-1].addresses,
            turns=tuple(turns),
            flaps=self._forgotten + len(flaps),
            period=int(statistics.median([later.time - earlier.time for earlier, later in pairwise(flaps)] or [0])),
            driven=driven,
            statement=statement,
            reset=sum(reset) if reset else None,
            refused=sum(refused) if refused else None,
            unwarranted=sum(1 for flap in flaps if flap.verdict.warranted is Warranted.NO),
        )


def _turn(entry: _Entry, following: _Entry | None) -> Turn:
    """A flap with what came of it: the wave after it, and the check that failed on its new owner before the next."""
    flap, wave = entry.flap, entry.flap.reconnects
    failed = None
    if following is not None and following.flap.verdict.cause is Cause.CHECK_FAILED and following.flap.former == flap.current:
        failed = following.fell
    delay = failed - wave.peak_time if failed is not None and wave is not None and wave.attempts >= WAVE else None
    if delay is not None and delay < 0:
        # What failed before the wave did not fail for it.
        delay = None
    return Turn(
        flap=flap.id,
        time=flap.time,
        former=flap.former,
        current=flap.current,
        cause=flap.verdict.cause,
        resets=flap.connections.reset,
        reconnects=wave.attempts if wave is not None else None,
        peak=wave.peak if wave is not None else None,
        failed=failed,
        delay=delay,
    )


def _loop(turns: list[Turn]) -> tuple[bool, str]:
    """Whether the delays support that reconnects fail the check that leads to the next flap, with the figures.

    What sets a storm off may fail the check of one router after the other before the first wave does: such turns are said, and
    do not speak against the loop unless they are many. Once it goes round, a check that fails without a wave does.
    """
    before = turns[:-1]
    failed = [turn for turn in before if turn.failed is not None]
    driven = [turn for turn in failed if turn.delay is not None and turn.delay <= REACTION]
    delays = [turn.delay for turn in driven if turn.delay is not None]
    moves = (
        f"{len(failed)} of {len(before)} later flaps followed a failed check on the router that the flap before had made Active"
    )
    if not failed:
        return False, f"not shown that reconnects drive the flaps: {moves}"
    unseen = [turn for turn in failed if turn.reconnects is None]
    if len(driven) < SHOWN:
        why = f"; of {len(unseen)} of them the reconnects were not seen" if unseen else f"; {len(driven)} of them after a wave"
        return False, f"not shown that reconnects drive the flaps: {moves}{why}"
    waves = [turn.reconnects or 0 for turn in driven]
    figures = (
        f"{moves}, {len(driven)} of these {_between(min(delays), max(delays))} after the peak of a wave of"
        f" {min(waves)} to {max(waves)} reconnects"
    )
    begun = before.index(driven[0])
    calm = [turn for turn in failed if turn.reconnects is not None and turn not in driven]
    if earlier := [turn for turn in calm if turn in before[:begun]]:
        figures += f"; before them {len(earlier)} without one, perhaps of what set it off"
    if len(calm) > len(earlier) or len(driven) + len(unseen) <= len(before) / 2 or max(delays) - min(delays) > LIKE:
        return False, f"not shown that reconnects drive the flaps, for waves and delays differ: {figures}"
    return True, f"reconnects drive the next failure: {figures}"


def _between(shortest: int, longest: int) -> str:
    return f"{duration(shortest)} to {duration(longest)}"
