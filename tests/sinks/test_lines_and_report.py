"""Lines while it happens, and the report at the end: for people and for programs."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from traces import VIP, A, B, Told, Trace

from observer.engine.engine import Engine
from observer.model.flaps import FlapJudged, FlapStage
from observer.run import run
from observer.sinks.events import Lines
from observer.sinks.report import Report


def check_failed():
    return Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 60, 22.766, 70).passed(95)


def nobody_took_over():
    return Trace().adverts(A, 65, 0, 20).passed(100)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(trace, *, terminal, stream=None):
    stream = stream or io.StringIO()
    run(trace.observations(), Engine(), [Lines(stream, terminal=terminal)])
    return stream.getvalue().splitlines()


def test_json_lines():
    told = [json.loads(line) for line in lines(check_failed(), terminal=False)]
    assert [entry["event"] for entry in told][:2] == ["election", "flap"]
    flaps = [entry for entry in told if entry["event"] == "flap"]
    assert flaps[-1]["stage"] == "closed"
    assert len({entry["flap"]["id"] for entry in flaps}) == 1
    assert {entry["stage"] for entry in flaps} <= {"provisional", "standing", "closed"}
    assert flaps[-1]["flap"]["cause"] == "check_failed"
    assert told[0]["election"]["router"] == A


def test_the_last_line_of_a_flap_is_what_a_replay_reports():
    trace, report, stream = check_failed(), Report(), io.StringIO()
    engine, lines = Engine(), io.StringIO()
    run(trace.observations(), engine, [report, Lines(lines, terminal=False)])
    report.write_json(engine, stream)
    last = json.loads(lines.getvalue().splitlines()[-1])
    assert json.loads(stream.getvalue())["flaps"] == [last["flap"]]


def test_lines_for_a_terminal():
    told = lines(check_failed(), terminal=True)
    assert f"{A} is Active (perhaps for long)" in told[0]
    flap = next(line for line in told if "check_failed" in line)
    for part in ("11:07:02.766", "VRID 51 (ipv4) on eth0", f"moved from {A} to {B}", "warranted: "):
        assert part in flap
    assert told[-1].endswith("(closed)")
    evidence = [line for line in told if line.startswith(" ")]
    assert any("from 65 to 45" in line for line in evidence)


@pytest.mark.parametrize(
    ("stream", "no_color", "coloured"),
    [(Terminal, None, True), (Terminal, "", True), (Terminal, "1", False), (io.StringIO, None, False)],
)
def test_colours_are_for_a_terminal_whose_user_wants_them(monkeypatch, stream, no_color, coloured):
    """Also where text is asked for and goes to a file."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    told = lines(check_failed(), terminal=True, stream=stream())
    assert ("\x1b" in "".join(told)) is coloured


def test_each_line_is_flushed():
    """Whoever follows a log sees the flap now."""
    flushed = []

    class Stream(io.StringIO):
        def flush(self):
            flushed.append(self.getvalue())

    stream = Stream()
    run(check_failed().observations(), Engine(), [Lines(stream, terminal=False)])
    assert flushed
    assert flushed[-1] == stream.getvalue()
    assert [text.count("\n") for text in flushed] == list(range(1, len(flushed) + 1))


@pytest.mark.parametrize("terminal", [False, True])
def test_a_flap_that_was_none_is_withdrawn_in_so_many_words(terminal):
    trace = Trace().adverts(A, 65, 0, 20).sent_elsewhere(A, 8).adverts(A, 65, 28, 20)
    told = lines(trace, terminal=terminal)
    if terminal:
        assert "withdrawn" in told[-1]
    else:
        first, last = json.loads(told[-2]), json.loads(told[-1])
        assert (first["stage"], last["event"], last["id"]) == ("provisional", "withdrawn", first["flap"]["id"])
    assert report_of(trace)[2]["flaps"] == []


@pytest.mark.parametrize("terminal", [False, True])
def test_a_loss_without_a_new_owner(terminal):
    told = lines(nobody_took_over(), terminal=terminal)
    if terminal:
        assert any(f"lost by {A}, taken over by nobody" in line for line in told)
    else:
        last = json.loads(told[-1])["flap"]
        assert (last["from"], last["to"], last["outage_seconds"]["max"]) == (A, None, None)


def report_of(trace):
    report, engine = Report(), Engine()
    run(trace.observations(), engine, [report])
    text, plain, document = io.StringIO(), io.StringIO(), io.StringIO()
    report.write_text(engine, text, colour=True)
    report.write_text(engine, plain, colour=False)
    report.write_json(engine, document)
    return text.getvalue(), plain.getvalue(), json.loads(document.getvalue())


def test_a_report_in_colour_says_the_same():
    coloured, plain, _ = report_of(check_failed())
    assert "\x1b" in coloured
    assert "\x1b" not in plain
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[33m", "\x1b[31;1m", "\x1b[36m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_the_routers_of_a_report():
    _, _, document = report_of(check_failed())
    (router,) = document["routers"]
    assert (router["active"], router["addresses"], router["state"]) == (B, [VIP], "active")
    assert {entry["router"]: (entry["adverts"], entry["priority"]) for entry in router["routers"]} == {A: (23, 45), B: (70, 60)}


def test_flaps_are_reported_in_order_of_time():
    """Whatever the order in which they were closed."""
    report, told = Report(), Told()
    run(check_failed().observations(), Engine(), [told])
    closed = next(event for event in told.events if isinstance(event, FlapJudged) and event.stage is FlapStage.CLOSED)
    earlier = replace(closed, flap=replace(closed.flap, id="earlier", time=closed.flap.time - 1))
    for event in (closed, earlier):
        report.happened(event)
    document, text = io.StringIO(), io.StringIO()
    report.write_json(Engine(), document)
    report.write_text(Engine(), text, colour=False)
    assert [flap["id"] for flap in json.loads(document.getvalue())["flaps"]] == ["earlier", closed.flap.id]
    assert text.getvalue().index("02.765999999Z") < text.getvalue().index("02.766000000Z")
