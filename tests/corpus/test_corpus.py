"""Every recorded case, from every vantage point: the verdict is what it was, it is never wrong with certainty, and from all
nodes together it is right."""

from __future__ import annotations

import json

import pytest
from cases import Case, cases, golden_text, whole

from observer.model.verdicts import Cause, Confidence

CASES = cases()
VANTAGES = [(case, vantage) for case in CASES for vantage in case.vantages]


UNDECIDED = {
    "near-misses/stalled_for_good": "no capture, log or address event shows the process of a keepalived that never comes back",
    "near-misses/foreign_same_address": "a foreign group with the same address looks like a member with another password",
}
"""Cases of which not even all nodes together tell the cause: what is said of them may be wrong, but never with certainty."""


def names(entry) -> str:
    return entry.name if isinstance(entry, Case) else str(entry)


@pytest.mark.parametrize("case", CASES, ids=names)
def test_the_verdict_is_as_it_was_written(case):
    assert json.loads((case.path / "verdict.json").read_text(encoding="utf-8")) == json.loads(golden_text(case)), (
        "if the change is meant: make golden"
    )


@pytest.mark.parametrize(("case", "vantage"), VANTAGES, ids=names)
def test_never_wrong_with_certainty(case, vantage):
    causes = {label.cause for label in case.labels}
    for flap in whole(case, case.vantages[vantage]):
        if flap.verdict.confidence is Confidence.CERTAIN:
            assert flap.verdict.cause.value in causes
            assert flap.verdict.warranted.value in ("unknown", *(label.warranted for label in case.labels))


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in UNDECIDED], ids=names)
def test_from_all_nodes_every_flap_is_found_and_named(case):
    found = whole(case, case.vantages["all"])
    assert [(flap.former, flap.current, flap.verdict.cause.value) for flap in found] == [
        (label.former, label.current, label.cause) for label in case.labels
    ]
    for label, flap in zip(case.labels, found, strict=True):
        assert flap.verdict.warranted.value in (label.warranted, "unknown")


def test_what_is_undecided_is_recorded():
    assert {case.name for case in CASES} >= set(UNDECIDED)


def test_every_cause_has_a_case():
    covered = {case.path.parent.name for case in CASES}
    assert {cause.value for cause in Cause} - {"unexplained"} <= covered
