"""Which check it was: by the step of the priority, the log and the configuration, and honestly none where they do not tell."""

from __future__ import annotations

import pytest
from traces import A, B, Trace, at, flaps

from observer.engine.engine import Engine
from observer.model.host import LogEvent, LogKind
from observer.model.verdicts import Cause, Confidence
from observer.run import run
from observer.sinks.report import Report

WEIGHTS = {"lb": 20, "both": 5, "mcs": 3}


class Weights:
    """A configuration: of every node, the checks by their weights."""

    def step(self, _node, _router, before, after):
        """By a single check, or by a pair."""
        alone = tuple((name,) for name, weight in WEIGHTS.items() if weight == before - after)
        pairs = tuple((a, b) for a in WEIGHTS for b in WEIGHTS if a < b and WEIGHTS[a] + WEIGHTS[b] == before - after)
        return alone or pairs

    def faulting(self, _node, _router):
        return ("lb", "both")

    def named(self, _node, _router):
        return None


def story(*steps, log=()):
    """A at 65 from 0, then at each (priority, from when); B takes over 3.746 s after the last advert at 65. A's log beside it."""
    trace = Trace()
    trace.address(-0.5, present=True, address=A, initial=True)
    trace.adverts(A, 65, 0, 10)
    ends = [when for _, when in steps[1:]] + [13]
    for (priority, begin), end in zip(steps, ends, strict=True):
        trace.adverts(A, priority, begin, int(end - begin))
    trace.adverts(B, 65, 12.746, 30)
    for when, kind, fields in log:
        trace.items.append(LogEvent(time=at(when), node="m1", kind=kind, **fields))
    return trace


def failed(when, check, status=1):
    return when, LogKind.CHECK_FAILED, {"check": check, "status": status}


def changed(when, before, after):
    return when, LogKind.PRIORITY_CHANGED, {"before": before, "after": after}


def judged(trace, *, configured):
    """The verdict."""
    report = Report()
    run(iter(trace.observations()), Engine(Weights() if configured else None), [report])
    (flap,) = report.flaps
    assert flap.verdict.cause is Cause.CHECK_FAILED
    return flap.verdict


BOTH = (failed(9.2, "both", 7), changed(9.21, 65, 60), failed(9.6, "lb", 124), changed(9.61, 60, 40))


@pytest.mark.parametrize(
    ("trace", "configured", "check"),
    [
        (story((45, 10), log=(failed(9.6, "lb"),)), False, "lb"),
        (story((45, 10)), True, "lb"),
        (story((45, 10), log=(failed(9.2, "mcs"), failed(9.6, "lb"))), True, "lb"),
        (story((45, 10), log=(failed(9.2, "lb"), failed(9.6, "mcs"))), True, "lb"),
        (story((45, 10), log=(failed(9.2, "mcs"), failed(9.6, "lb"), changed(9.61, 65, 45))), False, "lb"),
        (story((45, 10), log=(failed(9.2, "lb"), changed(9.21, 65, 45), failed(9.6, "mcs"))), False, "lb"),
        (story((60, 10), (40, 11), log=BOTH), True, "both"),
        (story((60, 10), (40, 11), log=BOTH), False, "both"),
        (story((40, 10), log=BOTH), True, "both + lb"),
        (story((40, 10), log=BOTH), False, None),
        (story((45, 10), log=(failed(9.2, "lb"), failed(9.6, "mcs"))), False, None),
        (story((58, 10)), False, None),
        (story((58, 10), log=(failed(9.6, "mcs"), failed(9.7, "both"))), True, None),
    ],
    ids=[
        "the log's only one",
        "the weight's only one",
        "the log's second, by its weight",
        "the log's first, by its weight",
        "the one before the change of priority",
        "the one before the change of priority, another follows",
        "the first of two falls had decided",
        "the first of two falls had decided, by the log",
        "two at once, by their weights",
        "two at once, and the log alone",
        "two in the log, and no weights",
        "nothing tells",
        "weights that do not explain it",
    ],
)
def test_the_check_that_explains_the_step_is_named(trace, configured, check):
    assert judged(trace, configured=configured).check == check


def test_of_several_that_may_be_it_all_are_said():
    verdict = judged(story((45, 10), log=(failed(9.2, "lb"), failed(9.6, "mcs"))), configured=False)
    assert "its log says that lb and mcs failed; which of them made the priority fall is not told" in verdict.blind_spots


def test_the_fall_that_decided_is_the_one_below_the_new_router():
    verdict = judged(story((60, 10), (40, 11)), configured=False)
    assert verdict.confidence is Confidence.CERTAIN
    assert any("from 65 to 60 (-5), and further to 40" in entry.statement for entry in verdict.evidence)


def test_a_fall_before_that_did_not_matter_is_not_the_one():
    """A goes from 70 to 65, which still was enough, and much later to 45."""
    trace = Trace().adverts(A, 70, -10, 5).adverts(A, 65, -5, 15).adverts(A, 45, 10, 3).adverts(B, 65, 12.746, 30)
    (flap,) = flaps(trace)
    assert any("from 65 to 45" in entry.statement for entry in flap.verdict.evidence)
