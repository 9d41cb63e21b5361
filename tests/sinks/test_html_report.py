"""The report as one HTML page: whole, escaped, reachable, bounded, and silent on the network."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from cases import cases, verdicts
from engine.test_bursts import proxy_killed
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sinks.html_stories import log, many_flaps, one_flap, page
from traces import VIP, A, B, Told, Trace, at

from observer.cli import main
from observer.engine.engine import Engine
from observer.model.flaps import ActiveChanged, FlapJudged, VirtualRouter
from observer.model.host import HostSample
from observer.model.observations import Advert, Family
from observer.model.verdicts import Cause, Evidence, RuledOut
from observer.run import run
from observer.sinks import timeline as timelines
from observer.sinks.html_picture import MARKS
from observer.sinks.html_report import write_html
from observer.sinks.html_text import safe
from observer.sinks.report import Report
from observer.sinks.timeline import Timeline

VOID = {"meta", "path", "rect", "circle", "br"}
HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>&amp;\x00\x1b[31m\u202e"


class Parsed(HTMLParser):
    """Elements with their attributes, and what does not fit together."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text: list[str] = []
        self.titles: dict[int, str] = {}
        self.marks: list[int] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if len(dict(attrs)) != len(attrs):
            self.wrong.append(f"{tag} has an attribute twice")
        if "m" in (dict(attrs).get("class") or "").split():
            self.marks.append(len(self.elements) - 1)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> out of place")

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and self.open[-1] == "title" and self.marks:
            self.titles[self.marks[-1]] = data


STORIES = {
    "one flap": lambda: page(one_flap().observations()),
    "many flaps": lambda: page(many_flaps(30).observations()),
    "a burst": lambda: page(proxy_killed().observations()),
    "no flap": lambda: page(Trace().adverts(A, 65, 0, 20).observations()),
    "nothing": lambda: page([]),
}


@pytest.mark.parametrize("story", STORIES)
def test_structure(story):
    parsed = Parsed(STORIES[story]())
    assert parsed.wrong == []
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        if "href" in attributes:
            assert attributes["href"].removeprefix("#") in ids
            assert attributes["href"].startswith("#")
    assert [tag for tag, _ in parsed.elements].count("h1") == 1


@pytest.mark.parametrize("story", STORIES)
def test_nothing_of_the_network(story):
    source = STORIES[story]()
    assert "://" not in source
    assert not re.search(r"\b(src|srcset|action|data|poster)=", source)
    assert "@import" not in source
    assert "url(" not in source
    (policy,) = [attributes["content"] for tag, attributes in Parsed(source).elements if "http-equiv" in attributes]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    # The policy would stop these.
    assert not any("style" in attributes for _, attributes in Parsed(source).elements)
    assert not any(name.startswith("on") for _, attributes in Parsed(source).elements for name in attributes)


@pytest.mark.parametrize("story", ["one flap", "many flaps", "a burst"])
def test_each_mark_can_be_reached_and_says_what_it_shows(story):
    parsed = Parsed(STORIES[story]())
    assert parsed.marks
    for place in parsed.marks:
        tag, attributes = parsed.elements[place]
        assert (tag == "a" and attributes["href"]) or (attributes["tabindex"] == "0" and attributes["role"] == "img")
        assert re.search(r"\d\d:\d\d:\d\d\.\d{3}", parsed.titles[place])


def test_the_top_says_it_in_plain_words():
    source = page(one_flap().observations())
    top = source[source.index("<h1>") : source.index('id="timeline"')]
    for part in (
        f"{VIP} moved from {A} to {B}",
        "a check failed on the former router",
        "Was it warranted?",
        "Not known",
        "UTC",
        "Find out",
    ):
        assert part in top


def test_the_lanes_of_a_case():
    case = next(case for case in cases() if case.name == "check_failed/original_bug")
    sink = Timeline()
    verdicts(case, case.vantages["all"], sinks=[sink])
    (heard,) = sink.routers.values()
    assert [run.priority for run in heard.runs["192.0.2.12"]] == [65, 45]
    assert [spell.what for spell in heard.active] == ["192.0.2.12", "192.0.2.13"]
    assert sum(sum(counts.values()) for counts in heard.resets.values()) >= 100
    assert set(sink.nodes) == {"m0", "m1", "m2"}


def test_runs_end_where_the_priority_changes_or_the_router_is_silent():
    sink = Timeline()
    for item in Trace().adverts(A, 65, 0, 5).adverts(A, 45, 5, 2).adverts(A, 45, 20, 3).items:
        sink.observed(item)
    (heard,) = sink.routers.values()
    assert [(run.priority, run.adverts, run.first - at(0)) for run in heard.runs[A]] == [
        (65, 5, 0),
        (45, 2, 5_000_000_000),
        (45, 3, 20_000_000_000),
    ]


def test_a_copy_that_another_node_heard_is_no_further_advert():
    sink = Timeline()
    for item in (Trace("m1").adverts(A, 65, 0, 5) + Trace("m2").adverts(A, 65, 0.0001, 5)).items:
        sink.observed(item)
    (run,) = next(iter(sink.routers.values())).runs[A]
    assert (run.adverts, run.nodes) == (5, {"m1", "m2"})


def test_what_is_kept_is_bounded_and_what_is_not_is_told(monkeypatch):
    monkeypatch.setattr(timelines, "KEPT", 50)
    trace = one_flap()
    trace.items += [log(number / 10, f"line {number}") for number in range(300)]
    source = page(trace.observations())
    assert re.search(r"[1-9]\d* more did not fit", source)


def test_samples_are_told_where_they_change():
    sink = Timeline()
    for second, listening in enumerate((True, True, False, False, True)):
        sink.observed(HostSample(time=at(second), node="m1", source="sockets", subject="6443", listening=listening))
    assert [mark.text for mark in sink.nodes["m1"].marks] == [
        "sockets 6443 listens",
        "sockets 6443 does NOT listen",
        "sockets 6443 listens",
    ]


def test_many_marks_are_summed():
    trace = one_flap()
    trace.items += [log(number / 100, f"line {number}") for number in range(2000, 5000)]
    parsed = Parsed(page(trace.observations()))
    lines = [title for title in parsed.titles.values() if "line " in title]
    assert 100 < len(lines) <= MARKS + 1
    assert any("more until" in title for title in lines)


def test_200_flaps_are_below_3_megabytes():
    source = page(many_flaps(200).observations())
    assert source.count('<details id="flap-') == 200
    assert len(source.encode()) < 3_000_000


words = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("<>&\"'`=/\x00\x1b\u202e\ud800")), max_size=40)


@given(words)
def test_no_text_gets_out_of_its_place(value):
    escaped = safe(value)
    assert not set("<>\"'") & set(escaped)
    assert escaped.isprintable()
    escaped.encode()
    parsed = Parsed(f'<p title="{escaped}">{escaped}</p>')
    assert [tag for tag, _ in parsed.elements] == ["p"]
    assert parsed.elements[0][1]["title"] == "".join(parsed.text)


def spoilt(said):
    """A report in which every string that is not from a fixed list of words is this one."""
    sink, engine, stream, told = Report(), Engine(), io.StringIO(), Told()
    run(one_flap().observations(), Engine(), [told])
    router = VirtualRouter(51, Family.IPV4, said)
    for item in one_flap().items:
        if isinstance(item, Advert):
            sink.observed(replace(item, router=said, addresses=(said,), node=said, interface=said))
    sink.observed(log(21, f"x{said}", node=said))
    for event in told.events:
        if isinstance(event, FlapJudged):
            verdict = replace(
                event.flap.verdict,
                check=f"x{said}",
                evidence=(Evidence(at(20), said, f"x{said}"),),
                ruled_out=(RuledOut(Cause.STOPPED, said),),
                blind_spots=(said,),
            )
            names = {"virtual_router": router, "addresses": (said,), "former": f"x{said}", "current": f"y{said}"}
            sink.happened(replace(event, flap=replace(event.flap, verdict=verdict, **names)))
        elif isinstance(event, ActiveChanged):
            sink.happened(replace(event, virtual_router=router, router=said))
    engine.malformed[f"x{said}"] = 1
    write_html(sink, engine, stream)
    return stream.getvalue()


@settings(max_examples=60, deadline=None)
@given(words)
@example(HOSTILE)
@example("<b>`x`</b> *y*")
def test_hostile_words_change_nothing_of_the_structure(value):
    source = spoilt(value)
    source.encode()
    hostile, harmless = Parsed(source), Parsed(spoilt("harmless"))
    assert hostile.wrong == []
    assert [(tag, sorted(attributes)) for tag, attributes in hostile.elements] == [
        (tag, sorted(attributes)) for tag, attributes in harmless.elements
    ]


def test_a_hostile_log_line():
    trace = one_flap()
    trace.items.append(log(21, HOSTILE, node=HOSTILE))
    source = page(trace.observations())
    assert "alert(1)" in source
    assert "<img" not in source
    assert source.count("<script>") == 1
    assert "\x00" not in source
    assert "\u202e" not in source
    assert Parsed(source).wrong == []


def test_clients_are_not_in_it():
    source = page(many_flaps(3).observations())
    assert "connections reset" in source
    assert "198.51.100" not in source


@pytest.fixture
def capture():
    return str(next(case for case in cases() if case.name == "check_failed/original_bug").captures["m2"])


def test_a_file_is_written_whole(capture, tmp_path, capsys):
    written = tmp_path / "report.html"
    assert main(["replay", capture, "--format", "html", "-o", str(written)]) == 0
    assert main(["replay", capture, "--format", "html"]) == 0
    assert capsys.readouterr().out == written.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [written]


def test_a_replay_that_fails_leaves_the_old_report(tmp_path, capsys):
    written = tmp_path / "report.html"
    written.write_text("old")
    assert main(["replay", str(tmp_path / "none.pcap"), "--format", "html", "-o", str(written)]) == 2
    assert written.read_text() == "old"
    assert list(tmp_path.iterdir()) == [written]
    assert capsys.readouterr().err.count("\n") == 1


def test_a_place_that_cannot_be_written_is_one_line(capture, tmp_path, capsys):
    place = tmp_path / "none" / "report.html"
    assert main(["replay", capture, "-o", str(place)]) == 2
    assert capsys.readouterr().err == f"vrrp-observer: -o {place}: No such file or directory; write elsewhere\n"
