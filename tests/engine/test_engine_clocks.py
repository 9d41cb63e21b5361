"""Nodes whose clocks differ by nobody knows how much: what was seen at several of them is never certain."""

from __future__ import annotations

import pytest
from traces import A, B, Trace, at, flaps

from observer.model.observations import AddressChange, Clock
from observer.model.time import MILLISECOND, SECOND
from observer.model.verdicts import Cause, Confidence


def check_failed(interval: float = 1) -> Trace:
    """A's priority falls, and B takes over."""
    trace = Trace(interval=interval, version=3).adverts(A, 65, 0, 10).adverts(A, 45, 10 * interval, 4)
    return trace.adverts(B, 65, 13.75 * interval, 30)


def told(trace: Trace, error: int | None) -> tuple[Cause, Confidence, bool]:
    """With another node whose clock may be wrong by so much; whether the blind spot is named."""
    for node, wrong in (("m1", 0), ("m2", error)):
        bounds = {} if wrong is None else {"ahead": 0, "least": -wrong, "most": wrong}
        trace.items.insert(0, Clock(time=at(-1), node=node, reference="m1", **bounds))
    (flap,) = flaps(trace)
    return flap.verdict.cause, flap.verdict.confidence, any("clock" in spot for spot in flap.verdict.blind_spots)


@pytest.mark.parametrize(
    ("interval", "error", "certain"),
    [
        (1, 0, True),
        (1, 400 * MILLISECOND, True),
        (1, 600 * MILLISECOND, False),
        (1, 3600 * SECOND, False),
        (1, None, False),
        (0.1, 40 * MILLISECOND, True),
        (0.1, 60 * MILLISECOND, False),
    ],
)
def test_a_verdict_is_no_surer_than_the_clocks(interval, error, certain):
    confidence = Confidence.CERTAIN if certain else Confidence.LIKELY
    assert told(check_failed(interval), error) == (Cause.CHECK_FAILED, confidence, not certain)


def test_one_node_has_one_clock():
    (flap,) = flaps(check_failed())
    assert flap.verdict.confidence is Confidence.CERTAIN


@pytest.mark.parametrize("ahead", [-8, -3, 0, 3, 8], ids=lambda ahead: f"{ahead} ms")
@pytest.mark.parametrize("lead", [0.005, -0.002], ids=["removed first", "resigned first"])
def test_what_came_first_on_a_node_is_told_by_its_own_clock(ahead, lead):
    """Clocks that differ by some milliseconds are not put right: at m1 the resignation is heard by another clock than m0's."""
    here, there = (
        Trace(node).adverts(A, 100, shift, 10).resign(A, 9.5 + shift).adverts(B, 100, 10.1 + shift, 30)
        for node, shift in (("m0", ahead / 1000), ("m1", 0))
    )
    here.address(-0.5 + ahead / 1000, present=True, address=A, initial=True)
    both = here + there
    for when, present in ((-0.4, True), (9.5 - lead, False)):
        both.items.append(
            AddressChange(
                time=at(when + ahead / 1000), node="m0", interface="eth0", address="192.0.2.100", present=present,
                initial=present, requester=None,
            )
        )  # fmt: skip
    (flap,) = flaps(both)
    assert flap.verdict.cause is (Cause.ADDRESS_REMOVED if lead > 0 else Cause.STOPPED)
