"""Looks at nodes as the engine remembers them: what was seen within a span, and what held when it began."""

from __future__ import annotations

from observer.engine import samples
from observer.engine.samples import HOLDS, Samples
from observer.model.host import HostSample


def sample(time, source="raw", subject="", node="m1"):
    return HostSample(time=time, node=node, source=source, subject=subject)


def remembered(*given):
    memory = Samples()
    for each in given:
        memory.sampled(each)
    return memory


def test_what_was_seen_within_the_span():
    memory = remembered(sample(1), sample(HOLDS), sample(2 * HOLDS), sample(3 * HOLDS), sample(2 * HOLDS, node="m2"))
    assert memory.between("m1", 2 * HOLDS, 3 * HOLDS - 1) == (sample(HOLDS), sample(2 * HOLDS))
    assert memory.between("m3", 0, 3 * HOLDS) == ()
    assert memory.between(None, 0, 3 * HOLDS) == ()


def test_the_last_one_of_each_kind_before_the_span_still_held_unless_it_is_too_old():
    memory = remembered(
        sample(5, "sockets", "1"), sample(6, "sockets", "2"), sample(7, "sockets", "1"), sample(8), sample(20, "sockets", "2")
    )
    assert memory.between("m1", 10, 30) == (
        sample(6, "sockets", "2"),
        sample(7, "sockets", "1"),
        sample(8),
        sample(20, "sockets", "2"),
    )
    assert memory.between("m1", 7 + HOLDS, 7 + HOLDS) == (sample(7, "sockets", "1"), sample(8), sample(20, "sockets", "2"))


def test_no_more_are_kept_than_the_limits(monkeypatch):
    monkeypatch.setattr(samples, "NODES", 2)
    memory = remembered(*(sample(time) for time in range(2000)), *(sample(1, node=f"n{number}") for number in range(9)))
    assert len(memory.between("m1", 0, 3000)) == samples.SAMPLES
    assert len(memory._nodes) == 2
