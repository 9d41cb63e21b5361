"""Clocks that differ between nodes: found from packets that were captured at several of them, and put right before the merge.

The same advert is known by its sender and its identification (IPv4 only), a beginning connection by its ends and its initial
sequence number: the proxies' checks of each other's backends pass both ends' taps. What a packet needs from tap to tap is well
below a millisecond on one segment, so the median of the differences is the difference of the clocks.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from observer.model.observations import Advert, Tcp, TcpSegments
from observer.model.time import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from observer.model.observations import Observation

Sightings: TypeAlias = "dict[tuple[object, ...], int]"
"""What tells a packet from all others to when it was captured at a node."""

COMMON = 3
"""Packets seen at both of two nodes from which their clocks are compared."""

NOTABLE = 10 * MILLISECOND
"""A smaller difference is not put right: it changes no verdict, and the path has its share in it."""

OPENINGS = 1024
"""Beginning connections of a batch that are looked at; a flood's need not be."""

AT_MOST = 100_000
"""Packets of each node that are looked at."""


def sightings(observations: Iterable[list[Observation]]) -> Sightings:
    """When each advert, and each SYN, was captured at one node; what came twice is left out."""
    seen: Sightings = {}
    twice: set[tuple[object, ...]] = set()
    for batch in observations:
        for item in batch:
            for key, time in _known(item):
                # In unicast one round of adverts goes to several peers under one number.
                if time - seen.setdefault(key, time) > SECOND:
                    twice.add(key)
        if len(seen) >= AT_MOST:
            break
    return {key: time for key, time in seen.items() if key not in twice}


def _known(item: Observation) -> Iterator[tuple[tuple[object, ...], int]]:
    """What can be recognised elsewhere, with its time."""
    if isinstance(item, Advert) and item.ident:
        yield (item.router, item.vrid, item.ident, item.priority), item.time
    elif isinstance(item, TcpSegments):
        opening = np.flatnonzero((item.flags & np.uint8(Tcp.SYN | Tcp.ACK)) == Tcp.SYN)[:OPENINGS]
        ends = np.concatenate((item.sources[opening], item.destinations[opening]), axis=1).tolist()
        ports = zip(item.source_ports[opening].tolist(), item.destination_ports[opening].tolist(), strict=True)
        starts = zip(item.sequence[opening].tolist(), item.times[opening].tolist(), strict=True)
        for end, port, (start, time) in zip(ends, ports, starts, strict=True):
            yield (*end, *port, start), time


def offsets(nodes: Mapping[str, Sightings]) -> dict[str, int]:
    """By how many nanoseconds each node's clock is ahead of the first one's; nodes that cannot be compared are left out."""
    found: dict[str, int] = {}
    for first in nodes:
        if found:
            break
        found[first] = 0
        waiting = [first]
        while waiting:
            reference = waiting.pop()
            for node, seen in nodes.items():
                common = nodes[reference].keys() & seen.keys()
                if node in found or len(common) < COMMON:
                    continue
                ahead = round(median(seen[key] - nodes[reference][key] for key in common))
                found[node] = found[reference] + ahead
                waiting.append(node)
    return {node: ahead if abs(ahead) >= NOTABLE else 0 for node, ahead in found.items()}


def put_right(stream: Iterator[list[Observation]], ahead: int) -> Iterator[list[Observation]]:
    """A node's observations by the first node's clock."""
    if not ahead:
        return stream
    return ([_earlier(item, ahead) for item in batch] for batch in stream)


def _earlier(item: Observation, by: int) -> Observation:
    return replace(item, times=item.times - by) if isinstance(item, TcpSegments) else replace(item, time=item.time - by)
