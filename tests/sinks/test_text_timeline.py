"""The timeline of a flap in a line of text, and the report as JSON lines."""

from __future__ import annotations

import io
import json

import pytest
from sinks.html_stories import many_flaps, one_flap
from traces import A, B, Trace

from observer.engine.engine import Engine
from observer.run import run
from observer.sinks.report import Report
from observer.sinks.text_timeline import timeline_line


def report(trace):
    sink, engine = Report(), Engine()
    run(trace.observations(), engine, [sink])
    return sink


STORIES = {
    "check failed": (one_flap(), [f"{A}  65 > 45  |-- 0.766 s --|  60  {B}"]),
    "stopped": (
        Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.2, 70),
        [f"{A}  65 > 0  |-- 0.700 s --|  60  {B}"],
    ),
    "preempted": (Trace().adverts(A, 65, 0, 20).adverts(B, 80, 19.5, 70), [f"{A}  65  |-- 0.500 s --|  80  {B}"]),
    "nobody": (Trace().adverts(A, 65, 0, 20).passed(100), [f"{A}  65  |--|  nobody"]),
    "another for a while": (Trace().adverts(A, 65, 0, 90).adverts(B, 60, 19.5, 5), [f"{A}  65  |-- {B} at 60 too --|"]),
    "both": (Trace().adverts(A, 65, 0, 60).adverts(B, 80, 19.5, 70), [f"{A}  65  |-- both --|  80  {B}"]),
}


@pytest.mark.parametrize("story", STORIES)
def test_line(story):
    trace, lines = STORIES[story]
    sink = report(trace)
    assert [timeline_line(sink.timeline, flap) for flap in sink.ordered()] == lines


def test_it_is_in_the_story():
    sink, text = report(one_flap()), io.StringIO()
    sink.write_text(Engine(), text, colour=False)
    assert f"  timeline:   {A}  65 > 45  |-- 0.766 s --|  60  {B}\n" in text.getvalue()


def test_json_lines_are_what_json_says():
    sink, lines, document = report(many_flaps(4)), io.StringIO(), io.StringIO()
    sink.write_lines(lines)
    sink.write_json(Engine(), document)
    told, whole = [json.loads(line) for line in lines.getvalue().splitlines()], json.loads(document.getvalue())
    assert [line["flap"] for line in told if line["event"] == "flap"] == whole["flaps"]
    assert [line["storm"] for line in told if line["event"] == "storm"] == whole["storms"]
    assert [line["event"] for line in told] == ["flap"] * 4 + ["storm"]
