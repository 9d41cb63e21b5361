"""How often a tap captures each frame: a mirror port that sees both ends of a path, or a bridge with its ports, shows it twice.

An advert that carries an identification says itself that it is a copy. This is for those without (IPv6, FRR): whether one
that follows its like at once is a copy, or was sent twice as on a FAULT, the adverts before it tell, of which one was due each
interval.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from observer.model.time import MILLISECOND

if TYPE_CHECKING:
    from observer.model.observations import Advert

CLOSE = 100 * MILLISECOND
"""Copies follow the first within this time, and a quarter of an interval: a mirror port adds microseconds to milliseconds."""

SPELLS = 8
"""Adverts remembered with how often each was captured."""

ENOUGH = 4
"""Of these, captured equally often, so many show that every one is."""

PLACES = 32
"""Taps and destinations told apart for one router."""

_Place: TypeAlias = tuple[str, str | None, str]


@dataclass(slots=True)
class _Spell:
    """Equal adverts that came at once, at one tap."""

    said: tuple[int, tuple[str, ...], str | None]
    begin: int
    count: int = 0


@dataclass(slots=True)
class Copies:
    """Of one router's adverts without identification."""

    spells: dict[_Place, _Spell] = field(default_factory=dict)
    counts: dict[_Place, deque[int]] = field(default_factory=dict)
    """By place, how often the last adverts of the Active Router were captured."""

    def again(self, advert: Advert) -> bool:
        """Whether an advert is a copy at its tap of the one before it, by how often those before were captured there."""
        place = _place(advert)
        said = advert.priority, advert.addresses, advert.mac
        spell = self.spells.get(place)
        if spell is None and len(self.spells) >= PLACES:
            return False
        if spell is None or spell.said != said or advert.time - spell.begin > min(CLOSE, advert.interval // 4):
            if spell is not None and spell.said[0] > 0:
                self.counts.setdefault(place, deque(maxlen=SPELLS)).append(spell.count)
            spell = self.spells[place] = _Spell(said, advert.time)
        spell.count += 1
        return (spell.count - 1) % self._mostly(place) > 0

    def always(self, advert: Advert) -> int:
        """How often every advert is captured at an advert's tap; 0 where too few were, or not all equally often."""
        counts = tuple(self.counts.get(_place(advert), ()))
        return counts[0] if len(counts) >= ENOUGH and len(set(counts)) == 1 else 0

    def _mostly(self, place: _Place) -> int:
        counts = self.counts.get(place, ())
        times, most = max(Counter(counts).items(), key=lambda entry: entry[1], default=(1, 0))
        return times if 2 * most > len(counts) else 1


def _place(advert: Advert) -> _Place:
    return advert.node, advert.interface, advert.destination
