"""The law above all others: a wrong cause is never certain. Stories whose cause is known, told in every setting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, note
from hypothesis import settings as how
from rules.stories import STORIES, Setting, settings
from traces import at, flaps

from observer.model.observations import Family
from observer.model.verdicts import Confidence


def certain_and_wrong(name, setting):
    """(wrong cause, right one, flap) of each such verdict on a telling of the story."""
    trace = setting.trace()
    truths = STORIES[name](setting, trace)
    wrong = []
    for flap in flaps(trace):
        truth = min(truths, key=lambda truth: abs(at(truth.time) - flap.time))
        if flap.verdict.confidence is Confidence.CERTAIN and flap.verdict.cause.value not in truth.causes:
            wrong.append((flap.verdict.cause.value, *sorted(truth.causes), flap))
    return wrong


@pytest.mark.parametrize(
    "name",
    STORIES,
)
@how(max_examples=120, deadline=None, derandomize=True)
@given(setting=settings())
def test_never_certain_of_a_wrong_cause(name, setting):
    note(str(setting))
    assert not certain_and_wrong(name, setting)


@how(max_examples=60, deadline=None, derandomize=True)
@given(setting=settings(clear=True))
@pytest.mark.parametrize("name", STORIES)
def test_clear_stories_have_their_flap(name, setting):
    """Nothing lost, nothing hidden: a flap for each move, at its time, between the right routers."""
    trace = setting.trace()
    truths = STORIES[name](setting, trace)
    found = flaps(trace)
    note(f"{[flap.verdict.cause for flap in found]} for {truths}")
    assert len(found) >= 1
    if name != "vrid_conflict":
        former, new, _ = setting.routers
        assert [flap.former for flap in found] == [former, new][: len(truths)]
        assert [flap.current for flap in found] == ([former] if name.endswith("resumed") else [new, former][: len(truths)])


V3 = Setting(version=3)
MINIMAL = {
    "unicast: one resignation for each peer is no FAULT": ("stopped", Setting(vantage="former")),
    "unicast over IPv6: one resignation for each peer": ("stopped", Setting(version=3, family=Family.IPV6, vantage="former")),
    "a node that booted again shows life before its keepalived": ("node_lost", Setting(life=True, sequel=True, watched=40)),
    "an identification that starts from 0 again is no new process": (
        "address_removed",
        Setting(ident=65515, sequel=True, watched=30),
    ),
    "a reload of which one of two early adverts is lost": ("reloaded", None),
    "a reload in unicast, at its own tap": ("reloaded", Setting(vantage="former")),
    "a partition that heals": ("partition", Setting(sequel=True, watched=30)),
    "a stall that ends": ("daemon_stalled", Setting(sequel=True, life=True, watched=30)),
}


@pytest.mark.parametrize("case", MINIMAL)
def test_minimal_traces_of_wrong_verdicts_that_were(case):
    name, setting = MINIMAL[case]
    if setting is not None:
        assert not certain_and_wrong(name, setting)
        return
    # Whichever of the frames around the reload is lost.
    for seed in range(60):
        for phase in (0.3, 0.7):
            assert not certain_and_wrong(name, replace(V3, loss=0.3, seed=seed, phase=phase, watched=10))
