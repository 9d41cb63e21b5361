"""TCP connections as 64-bit keys, in columns: sets of them, and what is remembered of each. All of it is bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from observer.model.time import SECOND

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOWS = 65536
"""Connections or clients told apart in one set; what is beyond is counted with each segment."""

MEMORY = 65536
"""Connections whose handshake and end are remembered. One more forgets the quarter that was silent for longest."""

CLOSED = 300 * SECOND
"""So long after its FIN a connection is no longer known: whoever sends then had not looked at it for minutes."""

NEVER = np.iinfo(np.int64).min
"""A time before all others: not seen."""


def client_keys(addresses: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One word for each address; two IPv6 clients share one with a chance of 2**-64."""
    return _mixed(_mixed(addresses[:, 0]) ^ addresses[:, 1])


def flow_keys(clients: NDArray[np.uint64], ports: NDArray[np.uint16], service: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One word for each connection: client (``client_keys``), its port, and ``service_keys``."""
    return _mixed(clients ^ _mixed(service ^ ports.astype(np.uint64)))


def connection_keys(flows: NDArray[np.uint64], opened: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One word for each of several connections that used the same ports in turn, by when it was opened (``NEVER``: not seen)."""
    return np.where(opened == NEVER, flows, _mixed(flows ^ opened.astype(np.uint64)))


def service_keys(words: tuple[int, int], ports: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """One word for each pair of a virtual address and one of its ports."""
    address = client_keys(np.array([words], dtype=np.uint64))
    return address ^ (ports.astype(np.uint64) << np.uint64(16))


def keyed(keys: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One word for each pair of a key and any word."""
    return _mixed(keys ^ _mixed(words))


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea, Flood 2014): a bijection without patterns."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class Distinct:
    """A set of keys, each with the time of its first appearance."""

    __slots__ = ("beyond", "keys", "limit", "times")

    def __init__(self, limit: int = FLOWS) -> None:
        self.limit = limit
        self.keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        """Ascending."""
        self.times: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.beyond = 0
        """Segments of keys that the set had no room for."""

    def __len__(self) -> int:
        return len(self.keys) + self.beyond

    def add(self, keys: NDArray[np.uint64], times: NDArray[np.int64]) -> None:
        """Note keys with their times, in order of time."""
        # Most of a flood are few or known connections: sorted, they are looked up fast.
        found, counts = np.unique(keys, return_counts=True)
        fresh = ~self.has(found)
        if not fresh.any():
            return
        found, number = found[fresh], int(counts[fresh].sum())
        room = self.limit - len(self.keys)
        if not room:
            self.beyond += number
            return
        first = _first_rows(found, keys)
        if len(found) > room:
            # First come, first kept, so that it does not matter where batches are cut.
            kept = np.sort(np.argsort(first)[:room])
            found, first = found[kept], first[kept]
            self.beyond += number - int(np.count_nonzero(places_of(found, keys) >= 0))
        at = np.searchsorted(self.keys, found)
        self.keys = np.insert(self.keys, at, found)
        self.times = np.insert(self.times, at, times[first])

    def has(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of the keys are in the set."""
        found: NDArray[np.bool_] = places_of(self.keys, keys) >= 0
        return found


def first_of_each(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows in which a key appears for the first time, ascending."""
    # Faster than to ask ``numpy.unique`` for the rows, which sorts them as well.
    return np.sort(_first_rows(np.unique(keys), keys))


def _first_rows(found: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The first row of each of some ascending keys, all of which occur."""
    places = places_of(found, keys)
    rows = np.flatnonzero(places >= 0)
    first = np.empty(len(found), dtype=np.int64)
    # Of several values for one place the last stays.
    first[places[rows[::-1]]] = rows[::-1]
    return first


def places_of(keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where in the ascending ``keys`` each of ``wanted`` is; -1 where it is not."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.searchsorted(keys, wanted)
    places[places == len(keys)] = 0
    return np.where(keys[places] == wanted, places, -1)


@dataclass(slots=True)
class History:
    """What is known of connections before given times, row by row; ``NEVER`` for what was not seen."""

    opened: NDArray[np.int64]
    """When the address last answered the connection's handshake."""
    holder: NDArray[np.uint64]
    """Link-layer source of that answer, 0 where unknown."""
    finished: NDArray[np.int64]
    """When the address last sent a FIN."""
    behind: NDArray[np.uint32]
    """Sequence number behind that FIN: an acknowledgement below it has not seen the FIN."""
    finisher: NDArray[np.uint64]
    """Link-layer source of that FIN, 0 where unknown."""


@dataclass(slots=True)
class Signs:
    """Rows of a batch that say something of connections: keys and times, in order of time."""

    keys: NDArray[np.uint64]
    times: NDArray[np.int64]


@dataclass(slots=True)
class Openings(Signs):
    """Answers to handshakes."""

    sequence: NDArray[np.uint32]
    """By which copies and repetitions of one answer are known (RFC 9293 3.4.1)."""
    holder: NDArray[np.uint64]


@dataclass(slots=True)
class Finishes(Signs):
    """FINs."""

    behind: NDArray[np.uint32]
    finisher: NDArray[np.uint64]


class FlowMemory:
    """Of the connections seen most recently: when and by whom they were opened, and when the address closed them."""

    def __init__(self, limit: int = MEMORY) -> None:
        self.limit = limit
        self.horizon = NEVER
        """The latest sign of a connection that was forgotten: of what is later, nothing was."""
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._opened: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._sequence: NDArray[np.uint32] = np.empty(0, dtype=np.uint32)
        self._holder: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._finished: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._behind: NDArray[np.uint32] = np.empty(0, dtype=np.uint32)
        self._finisher: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._swept = NEVER
        """When those closed long ago were last forgotten."""

    def __len__(self) -> int:
        return len(self._keys)

    def before(self, asked: Signs, openings: Openings, finishes: Finishes) -> History:
        """What was known of each connection asked for, before its time; openings and FINs of the same batch included."""
        rows = len(asked.keys)
        history = History(
            opened=np.full(rows, NEVER, dtype=np.int64),
            holder=np.zeros(rows, dtype=np.uint64),
            finished=np.full(rows, NEVER, dtype=np.int64),
            behind=np.zeros(rows, dtype=np.uint32),
            finisher=np.zeros(rows, dtype=np.uint64),
        )
        places = places_of(self._keys, asked.keys)
        known = np.flatnonzero(places >= 0)
        earlier = known[self._opened[places[known]] < asked.times[known]]
        history.opened[earlier] = self._opened[places[earlier]]
        history.holder[earlier] = self._holder[places[earlier]]
        earlier = known[self._finished[places[known]] < asked.times[known]]
        history.finished[earlier] = self._finished[places[earlier]]
        history.behind[earlier] = self._behind[places[earlier]]
        history.finisher[earlier] = self._finisher[places[earlier]]
        openings = self._first(openings)
        last = _last_before(openings, asked)
        found = last >= 0
        history.opened[found] = openings.times[last[found]]
        history.holder[found] = openings.holder[last[found]]
        last = _last_before(finishes, asked)
        found = last >= 0
        history.finished[found] = finishes.times[last[found]]
        history.behind[found] = finishes.behind[last[found]]
        history.finisher[found] = finishes.finisher[last[found]]
        # Whether these are forgotten by now depends on where batches are cut.
        gone = _closed_long_ago(history.opened, history.finished, asked.times)
        history.opened[gone] = history.finished[gone] = NEVER
        history.holder[gone] = history.finisher[gone] = 0
        history.behind[gone] = 0
        return history

    def note(self, openings: Openings, finishes: Finishes) -> None:
        """Remember openings and FINs of a batch."""
        openings = self._first(openings)
        if not (len(openings.keys) or len(finishes.keys)):
            return
        self._make_room(np.union1d(openings.keys, finishes.keys))
        if len(openings.keys):
            places, rows = _last_of_each(self._keys, openings.keys)
            self._opened[places] = openings.times[rows]
            self._sequence[places] = openings.sequence[rows]
            self._holder[places] = openings.holder[rows]
        if len(finishes.keys):
            places, rows = _last_of_each(self._keys, finishes.keys)
            gone = places[_closed_long_ago(self._opened[places], self._finished[places], finishes.times[rows])]
            self._opened[gone], self._holder[gone] = NEVER, 0
            self._finished[places] = finishes.times[rows]
            self._behind[places] = finishes.behind[rows]
            self._finisher[places] = finishes.finisher[rows]
        self._sweep(max(int(signs.times[-1]) for signs in (openings, finishes) if len(signs.times)))
        self._forget()

    def _first(self, openings: Openings) -> Openings:
        """Without copies and repetitions of an answer that is known."""
        if not len(openings.keys):
            return openings
        order = np.argsort(openings.keys, kind="stable")
        keys, sequence = openings.keys[order], openings.sequence[order]
        places = places_of(self._keys, keys)
        fresh = np.ones(len(order), dtype=np.bool_)
        if len(self._keys):
            gone = _closed_long_ago(self._opened[places], self._finished[places], openings.times[order])
            fresh &= (places < 0) | (self._opened[places] == NEVER) | (self._sequence[places] != sequence) | gone
        # Memory is behind a connection's first answer in the batch only; behind the others is the one before.
        follows = keys[1:] == keys[:-1]
        fresh[1:] = np.where(follows, sequence[1:] != sequence[:-1], fresh[1:])
        kept = np.sort(order[fresh])
        return Openings(openings.keys[kept], openings.times[kept], openings.sequence[kept], openings.holder[kept])

    def _make_room(self, keys: NDArray[np.uint64]) -> None:
        new = keys[places_of(self._keys, keys) < 0]
        if not len(new):
            return
        places = np.searchsorted(self._keys, new)
        self._keys = np.insert(self._keys, places, new)
        self._opened = np.insert(self._opened, places, NEVER)
        self._sequence = np.insert(self._sequence, places, 0)
        self._holder = np.insert(self._holder, places, 0)
        self._finished = np.insert(self._finished, places, NEVER)
        self._behind = np.insert(self._behind, places, 0)
        self._finisher = np.insert(self._finisher, places, 0)

    def _sweep(self, now: int) -> None:
        """Forget connections closed long ago: what is remembered is written down now and then."""
        if self._swept != NEVER and now - self._swept < CLOSED // 10:
            return
        self._swept = now
        self._keep(np.flatnonzero(~_closed_long_ago(self._opened, self._finished, now)))

    def _forget(self) -> None:
        if len(self._keys) <= self.limit:
            return
        last = np.maximum(self._opened, self._finished)
        order = np.argsort(last, kind="stable")
        gone = order[: len(order) - self.limit * 3 // 4]
        self.horizon = max(self.horizon, int(last[gone[-1]]))
        self._keep(np.sort(order[len(gone) :]))

    def _keep(self, kept: NDArray[np.int64]) -> None:
        self._keys, self._opened, self._sequence = self._keys[kept], self._opened[kept], self._sequence[kept]
        self._holder, self._finished = self._holder[kept], self._finished[kept]
        self._behind, self._finisher = self._behind[kept], self._finisher[kept]


def _closed_long_ago(opened: NDArray[np.int64], finished: NDArray[np.int64], now: NDArray[np.int64] | int) -> NDArray[np.bool_]:
    closed = (finished > NEVER) & (finished >= opened)
    return closed & (now - np.where(closed, finished, now) > CLOSED)


def _last_before(signs: Signs, asked: Signs) -> NDArray[np.int64]:
    """The row of ``signs`` that is the last of the same connection before each time asked for; -1 for none.

    A batch spans at most some minutes, so a connection's rank and a time within the batch fit into one number.
    """
    if not (len(signs.keys) and len(asked.keys)):
        return np.full(len(asked.keys), -1, dtype=np.int64)
    ranks = np.unique(signs.keys)
    places = places_of(ranks, asked.keys)
    begin = min(int(signs.times[0]), int(asked.times[0]))
    mine = (np.searchsorted(ranks, signs.keys) << _SPAN_BITS) | (signs.times - begin)
    order = np.argsort(mine, kind="stable")
    theirs = (places << _SPAN_BITS) | (asked.times - begin)
    last = np.searchsorted(mine[order], theirs) - 1
    same = (places >= 0) & (last >= 0) & ((mine[order[last]] >> _SPAN_BITS) == places)
    return np.where(same, order[last], -1)


_SPAN_BITS = 40
"""18 minutes in nanoseconds."""


def _last_of_each(keys: NDArray[np.uint64], rows: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each connection among ``rows``, its place in ``keys`` and its last row."""
    found, last = np.unique(rows[::-1], return_index=True)
    return np.searchsorted(keys, found), len(rows) - 1 - last
