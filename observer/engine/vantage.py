"""Whose tap a capture is: the router that alone has a part in all the routers' unicast traffic seen there.

A router's host has more addresses than the one it advertises from (in IPv6 that is a link-local one, with which nobody connects):
those that its MAC address is seen to send from stand for it as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from observer.model.addresses import VIRTUAL_MAC, address_words, mac_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from observer.model.observations import Advert
    from observer.model.segments import TcpSegments

ENOUGH = 8
"""Packets between routers from which a conclusion is drawn."""

SHARE = 0.98
"""Of these, what the tap's own router takes part in; a bridge that floods shows a few of others."""

NODES = 64

PARTIES = 256
"""Addresses counted at each node."""

ALIASES = 4
"""Further addresses of a router's host that are followed."""


@dataclass(slots=True)
class _Traffic:
    """Unicast packets with a router at either end, at one node."""

    all: int = 0
    parts: dict[tuple[int, int], int] = field(default_factory=dict)
    """By address: in how many of them it had a part."""

    def party(self, words: tuple[int, int], count: int) -> None:
        if words in self.parts or len(self.parts) < PARTIES:
            self.parts[words] = self.parts.get(words, 0) + count

    def alone(self, party: Collection[tuple[int, int]]) -> bool:
        """Whether a host, by its addresses, and nobody else has a part in practically all of them."""
        enough = SHARE * self.all
        others = (count for words, count in self.parts.items() if words not in party)
        has = sum(self.parts.get(words, 0) for words in party)
        return self.all >= ENOUGH and has >= enough and all(count < enough for count in others)


class Vantage:
    """Counts, for each node, who took part in the routers' unicast traffic seen there."""

    def __init__(self) -> None:
        self._traffic: dict[str, _Traffic] = {}
        self._own: dict[str, str] = {}
        """Node to the router that it was seen to send adverts as."""
        self._macs: dict[int, str] = {}
        """The routers' MAC addresses, where they are the hosts' own."""
        self._aliases: dict[str, dict[tuple[int, int], None]] = {}
        """By router: other addresses of its host, as words."""

    def advert(self, advert: Advert) -> None:
        """An advert: outgoing ones tell at once; unicast ones have two parties."""
        if advert.mac is not None and not advert.mac.startswith(VIRTUAL_MAC) and len(self._macs) < PARTIES:
            self._macs[mac_number(advert.mac)] = advert.router
        if advert.outgoing:
            self._own.setdefault(advert.node, advert.router)
        elif advert.unicast and (traffic := self._at(advert.node)) is not None:
            traffic.all += 1
            for party in (advert.router, advert.destination):
                traffic.party(address_words(party), 1)

    def segments(self, segments: TcpSegments, routers: Iterable[str], virtual: Iterable[str]) -> None:
        """TCP segments that have a router's own address at either end, and at neither a virtual one, which is anybody's."""
        traffic = self._at(segments.node)
        if traffic is None:
            return
        known = set(routers)
        at_virtual = np.zeros(len(segments), dtype=np.bool_)
        for address in virtual:
            at_virtual |= _at_either_end(segments, address_words(address))
        self._learn(segments, ~at_virtual, known)
        wanted = np.zeros(len(segments), dtype=np.bool_)
        for router in known:
            for words in self.addresses(router):
                wanted |= _at_either_end(segments, words)
        wanted &= ~at_virtual
        if not wanted.any():
            return
        part = segments.rows(wanted)
        weights = np.ones(len(part), np.int64) if part.weights is None else part.weights
        traffic.all += int(weights.sum())
        ends = np.concatenate((part.sources, part.destinations))
        parties, inverse = np.unique(ends, axis=0, return_inverse=True)
        counts = np.bincount(inverse, weights=np.concatenate((weights, weights))).astype(np.int64)
        for (high, low), count in zip(parties.tolist(), counts.tolist(), strict=True):
            traffic.party((high, low), count)

    def addresses(self, router: str) -> list[tuple[int, int]]:
        """As words: the one that a router advertises from, and others that its host is seen to send from."""
        return [address_words(router), *self._aliases.get(router, ())]

    def _learn(self, segments: TcpSegments, real: NDArray[np.bool_], routers: Collection[str]) -> None:
        """Which addresses the routers' hosts send from, apart from the virtual ones."""
        for number, router in self._macs.items():
            aliases = self._aliases.setdefault(router, {})
            if router not in routers or len(aliases) >= ALIASES:
                continue
            for high, low in np.unique(segments.sources[real & (segments.macs == np.uint64(number))], axis=0)[:ALIASES].tolist():
                if (high, low) != address_words(router):
                    aliases[high, low] = None

    def taps(self, routers: Collection[str]) -> dict[str, str]:
        """Which of the routers a node's tap is on, where that is clear: it alone has a part in everything seen there."""
        found = {router: node for node, router in self._own.items()}
        for node, traffic in self._traffic.items():
            alone = [router for router in routers if traffic.alone(self.addresses(router))]
            if node not in self._own and len(alone) == 1:
                found[alone[0]] = node
        return found

    def _at(self, node: str) -> _Traffic | None:
        if node not in self._traffic and len(self._traffic) >= NODES:
            return None
        return self._traffic.setdefault(node, _Traffic())


def _at_either_end(segments: TcpSegments, words: tuple[int, int]) -> NDArray[np.bool_]:
    high, low = words
    found = np.zeros(len(segments), dtype=np.bool_)
    for column in (segments.sources, segments.destinations):
        found |= (column[:, 0] == np.uint64(high)) & (column[:, 1] == np.uint64(low))
    return found
