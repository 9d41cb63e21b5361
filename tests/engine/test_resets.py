"""Every reset gets its reason, and says so when the reason is not known; what a flap cost is counted by connection."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from traces import A6, B6, VIP, VIP6, A, B, C, Told, Trace, flaps, ordered, told

from observer.engine.cost import Cost, established
from observer.engine.engine import Engine
from observer.model.flaps import FlapJudged, FlapStage, ResetReason, ResetsSeen
from observer.model.observations import Family
from observer.model.segments import Tcp, TcpSegments
from observer.model.time import MILLISECOND
from observer.run import run

CLIENT = "198.51.100.7"
RA, SA = Tcp.RST | Tcp.ACK, Tcp.SYN | Tcp.ACK


def quiet():
    """A is Active all the time."""
    return Trace().adverts(A, 65, 0, 30)


def moved():
    """A's check fails, B takes over at 22.766 s."""
    return Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 60, 22.766, 60)


def handshake(trace, router, when, port=40000, sequence=1):
    trace.tcp(CLIENT, VIP, Tcp.SYN, when, ports=(port, 6443), sequence=sequence)
    return trace.tcp(VIP, CLIENT, SA, when + 0.001, ports=(6443, port), by=router, sequence=sequence)


def fin(trace, router, when, port=40000):
    return trace.tcp(VIP, CLIENT, Tcp.FIN | Tcp.ACK, when, ports=(6443, port), by=router)


def bare(trace, router, when, port=40000, sequence=1):
    return trace.tcp(VIP, CLIENT, Tcp.RST, when, ports=(6443, port), by=router, sequence=sequence, window=0)


def reasons(trace):
    """Segments by reason."""
    seen: Counter[str] = Counter()
    for event in told(trace.observations()):
        if isinstance(event, ResetsSeen):
            seen.update({reason.value: number for reason, number in event.counts})
    return dict(seen)


TABLE = {
    "the address moved, and the handshake was not seen": lambda: (bare(moved(), B, 24), "orphaned"),
    "the handshake was seen at the former holder": lambda: (bare(handshake(moved(), A, 5), B, 24), "orphaned"),
    "a handshake long after the take-over, by the loser of the election": lambda: (
        bare(handshake(moved(), C, 23), B, 24),
        "orphaned",
    ),
    "the same, and no flap is open any more": lambda: (bare(handshake(quiet(), A, 5), B, 20), "orphaned"),
    "as captured behind a router, whose address all frames have": lambda: (bare(handshake(moved(), C, 5), C, 24), "orphaned"),
    "the address had closed the connection": lambda: (bare(fin(handshake(quiet(), A, 5), A, 6), A, 7), "late_data"),
    "this host had closed another one of the same ports, before the address went elsewhere and came back": lambda: (
        bare(fin(handshake(moved(), B, 2), B, 3), B, 24, sequence=900_000_000),
        "orphaned",
    ),
    "it had, before it moved, and the client had heard so": lambda: (
        bare(fin(handshake(moved(), A, 20), A, 22), B, 24, sequence=2),
        "late_data",
    ),
    "it had, before it moved, and the client had not heard so": lambda: (
        bare(fin(handshake(moved(), A, 20), A, 22), B, 24, sequence=1),
        "orphaned",
    ),
    "its FIN was seen, and the handshake was not": lambda: (
        # Another connection shows that the address serves there.
        bare(fin(handshake(quiet(), A, 2, port=40001), A, 6), A, 7),
        "late_data",
    ),
    "a copy of the handshake came after the FIN": lambda: (
        bare(handshake(fin(handshake(quiet(), A, 5), A, 5.5), A, 5.6), A, 7),
        "late_data",
    ),
    "the port was used again since": lambda: (
        bare(handshake(fin(handshake(quiet(), A, 5), A, 6), A, 8, sequence=77), A, 9),
        "redirect_lost",
    ),
    "the holder opened it and forgot it": lambda: (bare(handshake(quiet(), A, 5), A, 9), "redirect_lost"),
    "the new holder opened it after the move": lambda: (bare(handshake(moved(), B, 23), B, 30), "redirect_lost"),
    "nothing is known of it, and nothing moved": lambda: (bare(quiet(), A, 9), "unattributed"),
    "nothing listens": lambda: (quiet().refused(A, CLIENT, 9), "refused"),
    "the process ended it": lambda: (
        handshake(quiet(), A, 5).tcp(VIP, CLIENT, RA, 6, ports=(6443, 40000), by=A, sequence=500),
        "aborted",
    ),
    "the client ended it": lambda: (
        handshake(quiet(), A, 5).tcp(CLIENT, VIP, RA, 6, ports=(40000, 6443), sequence=500),
        "client",
    ),
    "the client does not know it": lambda: (quiet().tcp(CLIENT, VIP, Tcp.RST, 6, ports=(40000, 6443)), "client"),
    "a proxy's check of another router's server": lambda: (quiet().tcp(A, B, RA, 6, ports=(40000, 6443), sequence=5), None),
    "the holder as a client of others": lambda: (quiet().tcp(VIP, B, Tcp.RST, 6, ports=(40000, 6443), by=A), None),
    "the holder as a client of others, which it aborts": lambda: (
        quiet().tcp(VIP, B, RA, 6, ports=(40000, 6443), by=A, sequence=5),
        None,
    ),
    "another service of the former router's host": lambda: (quiet().tcp(A, CLIENT, Tcp.RST, 6, ports=(22, 40000)), None),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_reset_has_its_reason(name):
    trace, reason = TABLE[name]()
    assert reasons(trace) == ({} if reason is None else {reason: 1})


def test_where_connections_were_forgotten_since_the_move_there_is_no_telling():
    trace = moved()
    for number in range(20):
        handshake(trace, B, 23 + number / 10, port=41000 + number)
    bare(trace, B, 30)
    for limit, reason in ((8, ResetReason.UNATTRIBUTED), (64, ResetReason.ORPHANED)):
        engine, sink = Engine(), Told()
        engine._traffic.flows.limit = limit
        run(trace.observations(), engine, [sink])
        assert [event.counts for event in sink.events if isinstance(event, ResetsSeen)] == [((reason, 1),)]


def test_in_ipv6():
    trace = Trace(version=3, family=Family.IPV6).adverts(A6, 65, 0, 20).resign(A6, 19.5).adverts(B6, 60, 20.3, 60)
    trace.tcp(VIP6, "2001:db8::7", Tcp.RST, 21, ports=(6443, 40000), by=B6, window=0)
    trace.tcp(VIP6, "2001:db8::8", Tcp.RST, 21, ports=(6443, 40000), by=B6, window=0)
    assert reasons(trace) == {"orphaned": 2}
    (flap,) = flaps(trace)
    assert (flap.connections.reset, flap.connections.clients) == (2, 2)


def test_only_orphans_refusals_and_aborts_are_the_flaps_cost():
    trace = fin(handshake(moved(), A, 21, port=40001), A, 22, port=40001)
    handshake(trace, B, 23, port=40002)
    for number in range(3):
        bare(trace, B, 24 + number, port=40000 + number, sequence=2)
    trace.tcp(CLIENT, VIP, Tcp.RST, 25, ports=(40003, 6443)).refused(B, "198.51.100.8", 26)
    trace.tcp(VIP, CLIENT, RA, 27, ports=(6443, 40004), by=B, sequence=9)
    (flap,) = flaps(trace)
    cost = flap.connections
    assert (cost.reset, cost.refused, cost.aborted, cost.clients) == (1, 1, 1, 2)
    assert reasons(trace) == dict.fromkeys(("orphaned", "refused", "aborted", "late_data", "redirect_lost", "client"), 1)


def test_a_connection_counts_once_however_often_it_is_reset():
    trace = moved()
    for number in range(50):
        bare(trace, B, 24 + number / 10, port=40000 + number % 5)
    (flap,) = flaps(trace)
    assert (flap.connections.reset, flap.connections.clients) == (5, 1)


def test_ports_used_again_are_another_connection():
    """Misdirected clients connect to the loser of an election, and are reset once more when they find the new holder."""
    trace = moved()
    for number in range(5):
        bare(trace, B, 24 + number / 10, port=40000 + number)
        handshake(trace, C, 25 + number / 10, port=40000 + number, sequence=99)
        bare(trace, B, 29 + number / 10, port=40000 + number)
        bare(trace, B, 29.01 + number / 10, port=40000 + number)
    (flap,) = flaps(trace)
    assert flap.connections.reset == 10


def test_late_resets_count_until_the_close_and_the_next_flap():
    trace = moved().adverts(B, 60, 82.766, 20)
    bare(trace, B, 80, port=40001)
    bare(trace, B, 84, port=40002)
    (flap,) = flaps(trace)
    assert (flap.connections.reset, flap.window) == (1, 60 * 10**9)
    both = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 20).resign(B, 39.9).adverts(A, 65, 40.6, 60)
    bare(bare(both, B, 39, port=40001), A, 41, port=40002)
    assert [flap.connections.reset for flap in flaps(both)] == [1, 1]


def test_served_again_and_the_wave():
    trace = moved().arp(B, 22.770)
    handshake(trace, A, 22.9, port=39999)
    for number in range(100):
        handshake(trace, B, 23 + number / 200, port=40000 + number)
        # The client asks again.
        trace.tcp(CLIENT, VIP, Tcp.SYN, 24.5 + number / 1000, ports=(40000 + number, 6443), sequence=1)
    (flap,) = flaps(trace)
    assert flap.served_again is not None
    assert flap.served_again.minimum == pytest.approx(231 * MILLISECOND, abs=MILLISECOND)
    assert flap.served_again.maximum == pytest.approx(235 * MILLISECOND, abs=MILLISECOND)
    assert flap.reconnects is not None
    assert (flap.reconnects.attempts, flap.reconnects.peak) == (101, 101)
    assert flap.reconnects.settled == pytest.approx(679 * MILLISECOND, abs=MILLISECOND)


def test_what_answered_before_the_take_over_was_not_the_new_holder():
    """Both have one Virtual Router MAC, and the former one answers until it is gone."""
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 60)
    handshake(handshake(trace, B, 20.1), B, 21, port=40001)
    (flap,) = flaps(trace)
    assert flap.served_again is not None
    assert flap.served_again.maximum == pytest.approx(1501 * MILLISECOND, abs=MILLISECOND)


def test_from_elsewhere_nothing_is_said_of_the_cost():
    (flap,) = flaps(handshake(moved(), A, 5))
    assert (flap.connections.reset, flap.served_again, flap.reconnects) == (None, None, None)


def test_whom_clients_were_misdirected_to():
    """B and C claim the addresses at once; C's announcement comes last, until B repeats its own."""
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(C, 60, 20.3, 60).advert(B, 60, 20.301)
    trace.arp(C, 20.302).arp(B, 20.303).arp(C, 25.3)
    (flap,) = flaps(trace)
    (spell,) = flap.misdirections
    assert (spell.instead_of, spell.router) == (C, B)
    assert spell.end - spell.begin == flap.misdirected == 4_997 * MILLISECOND


@dataclass(frozen=True)
class Look:
    """As the engine is told of a node's sockets."""

    time: int
    subject: str
    established: int | None


def test_what_lived_at_the_former_holder_and_was_not_told_hangs():
    looks = [Look(1, "9445", 3), Look(2, "9445", 10), Look(2, "8443", 1), Look(2, "haproxy", None), Look(9, "9445", 0)]
    cost = Cost()
    assert cost.connections().left is None
    cost.established = established(looks, 5)
    assert (cost.established, established(looks[3:], 5)) == (11, None)
    # Where the new holder's resets were not seen, nothing is known of what they told.
    assert (cost.connections().established, cost.connections().left) == (11, None)
    cost.reset.add(np.arange(4, dtype=np.uint64), np.arange(4, dtype=np.int64))
    assert (cost.connections().reset, cost.connections().left) == (4, 7)


# Laws


def broken(seed):
    """A flap with connections of every fate before and after it, some of them on ports used again."""
    dice, trace = random.Random(seed), moved().arp(B, 22.77)
    for _ in range(60):
        port, when, router = 40000 + dice.randrange(25), dice.uniform(15, 40), dice.choice((A, B, C))
        match dice.randrange(6):
            case 0:
                handshake(trace, router, when, port, sequence=dice.randrange(3))
            case 1:
                fin(trace, router, when, port)
            case 2 | 3:
                bare(trace, router, when, port)
            case 4:
                trace.refused(router, CLIENT, when, client_port=port)
            case 5:
                trace.tcp(CLIENT, VIP, Tcp.RST, when, ports=(port, 6443))
    return trace


def events(items):
    return [event for event in told(items) if isinstance(event, ResetsSeen | FlapJudged)]


@how(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.lists(st.integers(0, 200), max_size=30))
def test_where_batches_are_cut_changes_neither_reason_nor_cost(seed, places):
    trace = broken(seed)
    whole = trace.segments()
    assert whole is not None
    edges = sorted({0, len(whole), *(place % len(whole) for place in places)})
    pieces = [whole.rows(slice(begin, end)) for begin, end in itertools.pairwise(edges)]
    assert events(ordered([*trace.items, *pieces])) == events(ordered([*trace.items, whole]))


@how(max_examples=60, deadline=None)
@given(st.integers(0, 2**16))
def test_the_order_within_one_time_does_not_matter(seed):
    """Times are rounded, so that many segments of other connections share one; only one of a connection has a time."""
    trace = broken(seed)
    whole = trace.segments()
    assert whole is not None
    rounded = whole.times // (100 * MILLISECOND) * 100 * MILLISECOND
    ports = np.minimum(whole.source_ports, whole.destination_ports) * 0 + np.maximum(whole.source_ports, whole.destination_ports)
    _, first = np.unique(np.stack([rounded, ports.astype(np.int64)]), axis=1, return_index=True)
    rows = replace(whole, times=rounded).rows(np.sort(first))
    dice = np.random.default_rng(seed)
    shuffled = rows.rows(np.lexsort((dice.random(len(rows)), rows.times)))
    assert events(ordered([*trace.items, shuffled])) == events(ordered([*trace.items, rows]))


def costs(items):
    return [(flap.connections, flap.reconnects, flap.served_again) for flap in flaps(items)]


@how(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from((0, 1_000, 200_000)))
def test_a_capture_given_twice_counts_once(seed, delay):
    trace = broken(seed)
    whole = trace.segments()
    assert whole is not None
    again = replace(whole, node="again", times=whole.times + delay)
    twice = ordered([*trace.items, whole, again])
    assert [cost[0] for cost in costs(twice)] == [cost[0] for cost in costs(ordered([*trace.items, whole]))]


@how(max_examples=40, deadline=None)
@given(st.integers(0, 2**16))
def test_all_nodes_together_tell_what_each_tells(seed):
    """Each node sees its own segments; the sum is what one capture of everything tells, and none tells more."""
    trace = broken(seed)
    whole = trace.segments()
    assert whole is not None
    nodes = [replace(whole.rows(whole.macs == mac), node=f"m{mac}") for mac in np.unique(whole.macs)]
    assert costs(ordered([*trace.items, *nodes])) == costs(ordered([*trace.items, whole]))


def test_a_flood_is_counted_within_its_bounds():
    """More connections than are told apart, in few batches, from one flap."""
    trace, number = moved(), 200_000
    whole = bare(trace, B, 24).segments()
    assert whole is not None
    rows = np.zeros(number, dtype=np.int64)
    addresses = whole.destinations[rows].copy()
    addresses[:, 1] += (np.arange(number) // 50_000).astype(np.uint64)
    flood = replace(
        whole.rows(rows),
        times=whole.times[rows] + np.arange(number, dtype=np.int64) * 1000,
        destinations=addresses,
        destination_ports=(10_000 + np.arange(number) % 50_000).astype(np.uint16),
    )
    (flap,) = flaps(ordered([*trace.items, flood]))
    assert (flap.connections.reset, flap.connections.clients) == (number, 4)


def test_the_engine_keeps_what_comes_between_adverts_together():
    """Segments of several nodes that alternate are looked at once, and before anything later is."""
    trace = broken(3)
    whole = trace.segments()
    assert isinstance(whole, TcpSegments)
    engine, seen = Engine(), []
    for item in ordered([*trace.items, *(replace(whole.rows([row]), node=f"m{row % 3}") for row in range(len(whole)))]):
        seen += engine.observe(item)
    seen += engine.finish()
    closed = [event.flap.connections for event in seen if isinstance(event, FlapJudged) and event.stage is FlapStage.CLOSED]
    assert closed == [cost[0] for cost in costs(ordered([*trace.items, whole]))]
    assert {reason for event in seen if isinstance(event, ResetsSeen) for reason, _ in event.counts} <= set(ResetReason)
