"""Authentication groups of several recordings under the same numbers: each agent numbered them in order of appearance.

The same advert, known by its sender and its identification, belongs to the same group at every node that heard it. Passwords
are not in recordings, so groups of which nodes have no advert in common are told apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from observer.model.observations import Advert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from observer.model.observations import Observation

Grouped: TypeAlias = "dict[tuple[str, int, int | None, int], int]"
"""(router, VRID, identification, priority) to its group at one node."""

AT_MOST = 100_000
"""Adverts of each node that are looked at."""


def grouped(observations: Iterable[list[Observation]]) -> Grouped:
    """The groups of one node's adverts."""
    found: Grouped = {}
    for batch in observations:
        for item in batch:
            if isinstance(item, Advert) and item.authentication_group:
                found[item.router, item.vrid, item.ident, item.priority] = item.authentication_group
        if len(found) >= AT_MOST:
            break
    return found


def numbers(nodes: Mapping[str, Grouped]) -> dict[str, dict[int, int]]:
    """For each node, its groups' numbers to those that hold for all nodes."""
    known: Grouped = {}
    taken = 0
    result: dict[str, dict[int, int]] = {}
    for node, groups in nodes.items():
        votes = Counter((group, known[key]) for key, group in groups.items() if key in known)
        mapped: dict[int, int] = {}
        for (group, number), _ in votes.most_common():
            if group not in mapped and number not in mapped.values():
                mapped[group] = number
        for group in sorted(set(groups.values()) - mapped.keys()):
            taken += 1
            mapped[group] = taken
        result[node] = mapped
        known |= {key: mapped[group] for key, group in groups.items()}
    return result


def renumbered(stream: Iterator[list[Observation]], mapped: Mapping[int, int]) -> Iterator[list[Observation]]:
    """A node's observations with the numbers that hold for all nodes."""
    if all(group == number for group, number in mapped.items()):
        return stream
    return ([_under(item, mapped) for item in batch] for batch in stream)


def _under(item: Observation, mapped: Mapping[int, int]) -> Observation:
    if not isinstance(item, Advert) or item.authentication_group not in mapped:
        return item
    return replace(item, authentication_group=mapped[item.authentication_group])
