"""Whose tap a capture is: the router that alone has a part in all the routers' unicast traffic seen there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from observer.model.addresses import address_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from observer.model.observations import Advert, TcpSegments

ENOUGH = 8
"""Packets between routers from which a conclusion is drawn."""

SHARE = 0.98
"""Of these, what the tap's own router takes part in; a bridge that floods shows a few of others."""

NODES = 64

PARTIES = 256
"""Addresses counted at each node."""


@dataclass(slots=True)
class _Traffic:
    """Unicast packets with a router at either end, at one node."""

    all: int = 0
    parts: dict[tuple[int, int], int] = field(default_factory=dict)
    """By address: in how many of them it had a part."""

    def party(self, words: tuple[int, int], count: int) -> None:
        if words in self.parts or len(self.parts) < PARTIES:
            self.parts[words] = self.parts.get(words, 0) + count

    def always(self) -> list[tuple[int, int]]:
        """Addresses with a part in practically all of them."""
        return [words for words, part in self.parts.items() if part >= SHARE * self.all] if self.all >= ENOUGH else []


class Vantage:
    """Counts, for each node, who took part in the routers' unicast traffic seen there."""

    def __init__(self) -> None:
        self._traffic: dict[str, _Traffic] = {}
        self._own: dict[str, str] = {}
        """Node to the router that it was seen to send adverts as."""

    def advert(self, advert: Advert) -> None:
        """An advert: outgoing ones tell at once; unicast ones have two parties."""
        if advert.outgoing:
            self._own.setdefault(advert.node, advert.router)
        elif advert.unicast and (traffic := self._at(advert.node)) is not None:
            traffic.all += 1
            for party in (advert.router, advert.destination):
                traffic.party(address_words(party), 1)

    def segments(self, segments: TcpSegments, routers: Iterable[str], virtual: Iterable[str]) -> None:
        """TCP segments that have a router's own address at either end, and at neither a virtual one, which is anybody's."""
        traffic = self._at(segments.node)
        wanted = np.zeros(len(segments), dtype=np.bool_)
        for router in routers:
            wanted |= _at_either_end(segments, router)
        for address in virtual:
            wanted &= ~_at_either_end(segments, address)
        if traffic is None or not wanted.any():
            return
        traffic.all += int(np.count_nonzero(wanted))
        ends = np.concatenate((segments.sources[wanted], segments.destinations[wanted]))
        parties, counts = np.unique(ends, axis=0, return_counts=True)
        for (high, low), count in zip(parties.tolist(), counts.tolist(), strict=True):
            traffic.party((high, low), count)

    def taps(self, routers: Iterable[str]) -> dict[str, str]:
        """Which of the routers a node's tap is on, where that is clear: it alone has a part in everything seen there."""
        found = {router: node for node, router in self._own.items()}
        for node, traffic in self._traffic.items():
            always = traffic.always()
            if node in self._own or len(always) != 1:
                continue
            found |= {router: node for router in routers if address_words(router) == always[0]}
        return found

    def _at(self, node: str) -> _Traffic | None:
        if node not in self._traffic and len(self._traffic) >= NODES:
            return None
        return self._traffic.setdefault(node, _Traffic())


def _at_either_end(segments: TcpSegments, address: str) -> NDArray[np.bool_]:
    high, low = address_words(address)
    found = np.zeros(len(segments), dtype=np.bool_)
    for column in (segments.sources, segments.destinations):
        found |= (column[:, 0] == np.uint64(high)) & (column[:, 1] == np.uint64(low))
    return found
