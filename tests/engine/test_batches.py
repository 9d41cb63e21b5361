"""How long segments wait to be looked at together, where nothing depends on them."""

from __future__ import annotations

import pytest
from traces import EPOCH, A, B, Trace

from observer.engine.batches import FEW, LEISURE, RIPE, Gathered
from observer.engine.engine import Engine
from observer.model.flaps import ResetsSeen
from observer.model.segments import Tcp
from observer.model.time import SECOND

VIP = "192.0.2.100"


def batch(count: int):
    trace = Trace()
    for number in range(count):
        trace.tcp(A, B, Tcp.RST, number / 1000, ports=(6443, 5000 + number))
    return trace.segments()


@pytest.mark.parametrize(("counts", "wait"), [((1,), LEISURE), ((FEW,), LEISURE), ((FEW, 1), RIPE), ((1000,), RIPE)])
def test_few_segments_ripen_for_longer_than_many(counts, wait):
    gathered = Gathered()
    for count in counts:
        gathered.add(batch(count))
    assert gathered.ripe == EPOCH + wait


@pytest.mark.parametrize(("count", "wait"), [(1, LEISURE), (200, RIPE)])
def test_resets_are_told_when_they_are_ripe(count, wait):
    """Adverts that only repeat what is known, and the time that passes between them, need no segments."""
    engine, told = Engine(), []
    reset = Trace().tcp(VIP, B, Tcp.SYN | Tcp.ACK, 4.9, ports=(6443, 5000))
    for number in range(count):
        reset.tcp(VIP, B, Tcp.RST, 5.2 + number / 1000, ports=(6443, 5000))
    for advert in Trace().adverts(A, 100, 0, 12, addresses=(VIP,)).items:
        engine.observe(advert)
        if advert.time == EPOCH + 5 * SECOND:
            engine.observe(reset.segments())
        now = advert.time + SECOND // 2
        told += [(now, sum(number for _, number in each.counts)) for each in engine.advance(now) if isinstance(each, ResetsSeen)]
    assert sum(number for _, number in told) == count
    # Their second ends at 6 s, and what is looked at then is told at the turn after.
    assert EPOCH + 4.9 * SECOND + wait <= told[0][0] <= EPOCH + 6.5 * SECOND + wait
