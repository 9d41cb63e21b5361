"""Clocks that differ between nodes: found from packets that were captured at several of them, and put right before the merge.

The same advert is known by its sender and its identification (IPv4 only), a beginning connection by its ends and its initial
sequence number: the proxies' checks of each other's backends pass both ends' taps. A packet is never received before it is sent:
those that went one way bound the difference of two clocks from above, those that went the other way from below (RFC 5905 uses the
same). Where none went one of the ways, or a third host sent them, the time that a packet may need is the bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from observer.engine.vantage import Vantage
from observer.model.addresses import address_words
from observer.model.observations import Advert, Clock
from observer.model.segments import Tcp, TcpSegments
from observer.model.time import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from observer.model.observations import Observation

Key: TypeAlias = "tuple[int, ...]"
"""What tells a packet from all others; the first two words are its source address."""

COMMON = 3
"""Packets seen at both of two nodes from which their clocks are compared."""

NOTABLE = 10 * MILLISECOND
"""A smaller difference is put right only where packets of both directions show it: the path has its share in it."""

PATH = 20 * MILLISECOND
"""What the fastest packets need at most from tap to tap on one segment, where none of the other direction show it."""

OPENINGS = 1024
"""Beginning connections of a batch that are looked at; a flood's need not be."""

AT_MOST = 100_000
"""Packets of each node that are looked at."""

NAMED = 64
"""Routers, and virtual addresses, that are told apart."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """What one node captured that others may have captured as well."""

    times: Mapping[Key, int] = field(default_factory=dict)
    """When; what came twice is left out."""
    own: frozenset[tuple[int, int]] = frozenset()
    """Addresses of the host whose tap it is, as words; empty where that is not clear."""

    def sent(self, key: Key) -> bool:
        """Whether this node's own host sent a packet."""
        return key[:2] in self.own


def sightings(observations: Iterable[list[Observation]]) -> Sightings:
    """When each advert, and each SYN, was captured at one node, and whose tap it is."""
    seen: dict[Key, int] = {}
    twice: set[Key] = set()
    vantage = Vantage()
    routers: set[str] = set()
    virtual: set[str] = set()
    for batch in observations:
        for item in batch:
            if isinstance(item, Advert):
                vantage.advert(item)
                if len(routers) < NAMED and len(virtual) < NAMED:
                    routers.add(item.router)
                    virtual.update(item.addresses)
            elif isinstance(item, TcpSegments):
                vantage.segments(item, routers, virtual)
            for key, time in _known(item):
                # In unicast one round of adverts goes to several peers under one number.
                if time - seen.setdefault(key, time) > SECOND:
                    twice.add(key)
        if len(seen) >= AT_MOST:
            break
    own = frozenset(words for router in vantage.taps(routers) for words in vantage.addresses(router))
    return Sightings({key: time for key, time in seen.items() if key not in twice}, own)


def _known(item: Observation) -> Iterator[tuple[Key, int]]:
    """What can be recognised elsewhere, with its time."""
    if isinstance(item, Advert) and item.ident:
        yield (*address_words(item.router), item.vrid, item.ident, item.priority), item.time
    elif isinstance(item, TcpSegments):
        opening = np.flatnonzero((item.flags & np.uint8(Tcp.SYN | Tcp.ACK)) == Tcp.SYN)[:OPENINGS]
        ends = np.concatenate((item.sources[opening], item.destinations[opening]), axis=1).tolist()
        ports = zip(item.source_ports[opening].tolist(), item.destination_ports[opening].tolist(), strict=True)
        starts = zip(item.sequence[opening].tolist(), item.times[opening].tolist(), strict=True)
        for end, port, (start, time) in zip(ends, ports, starts, strict=True):
            yield (*end, *port, start), time


def compared(nodes: Mapping[str, Sightings]) -> dict[str, Clock]:
    """Every node's clock against the first node's, over others between them where the two have no packets in common."""
    reference = next(iter(nodes))
    begin = min((min(seen.times.values()) for seen in nodes.values() if seen.times), default=0)
    found = {reference: (0, 0, 0, True)}
    waiting = [reference]
    while waiting:
        near = waiting.pop(0)
        for node, seen in nodes.items():
            if node in found or (step := _between(nodes[near], seen)) is None:
                continue
            ahead, least, most = (sum(pair) for pair in zip(found[near][:3], step[:3], strict=True))
            found[node] = ahead, least, most, step[3] and found[near][3]
            waiting.append(node)
    clocks = {}
    for node in nodes:
        if node not in found:
            clocks[node] = Clock(time=begin, node=node, reference=reference)
            continue
        ahead, least, most, both = found[node]
        shown = both and abs(ahead) >= MILLISECOND and not least <= 0 <= most
        right = ahead if shown or abs(ahead) >= NOTABLE else 0
        clocks[node] = Clock(time=begin, node=node, reference=reference, ahead=ahead, least=least, most=most, put_right=right)
    return clocks


def _between(reference: Sightings, node: Sightings) -> tuple[int, int, int, bool] | None:
    """By how much a node's clock is ahead of another's: estimate, least, most, and whether packets of both directions show it.

    None where they have too few packets in common. Where no one difference satisfies all packets, one of the clocks was
    stepped or drifts; then the bounds hold all of what fits.
    """
    common = reference.times.keys() & node.times.keys()
    if len(common) < COMMON:
        return None
    differences = sorted(node.times[key] - reference.times[key] for key in common)
    there = [node.times[key] - reference.times[key] for key in common if reference.sent(key)]
    back = [node.times[key] - reference.times[key] for key in common if node.sent(key)]
    middle = round(median(differences))
    if there and back:
        least, most = sorted((max(back), min(there)))
        return (least + most) // 2, least, most, True
    if there:
        least, most = min(there) - PATH, min(there)
    elif back:
        least, most = max(back), max(back) + PATH
    else:
        least, most = middle - PATH, middle + PATH
    # A few that differ were sent again; more of them are another clock.
    few = len(differences) // 10
    low, high = differences[few], differences[-1 - few]
    if high - low > PATH:
        least, most = min(least, low - PATH), max(most, high + PATH)
    return min(max(middle, least), most), least, most, False


def put_right(stream: Iterator[list[Observation]], ahead: int) -> Iterator[list[Observation]]:
    """A node's observations by the first node's clock."""
    if not ahead:
        return stream
    return ([_earlier(item, ahead) for item in batch] for batch in stream)


def _earlier(item: Observation, by: int) -> Observation:
    return replace(item, times=item.times - by) if isinstance(item, TcpSegments) else replace(item, time=item.time - by)
