"""The page for people: what it shows, that it is bounded and escaped, and that nothing runs in it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

from traces import VIP, A, B, Trace, at, told

from observer.engine.engine import Engine
from observer.model.flaps import ActiveChanged, FlapJudged, FlapStage, FlapWithdrawn, VirtualRouter
from observer.model.observations import Family
from observer.run import run
from observer.sinks.page import FLAPS, ROUTERS, Page

CLIENT = "203.0.113.77"
VOID = {"meta", "br"}


class Parsed(HTMLParser):
    """Rows of the tables, elements with their attributes, and what is left open."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.elements, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def page(trace=None, node="m1"):
    shown = Page(node, lambda: [("adverts", "started")])
    if trace is not None:
        run(trace.observations(), Engine(), [shown])
    return shown


def html(shown):
    answer = shown.answer("")
    assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")
    return answer.body.decode()


def router(shown):
    """The first virtual router's row, by heading."""
    heading, row, *_ = Parsed(html(shown)).rows
    return dict(zip(heading, row, strict=True))


def moved():
    trace = Trace().source(0).address(0, present=True, initial=True).adverts(A, 65, 0, 20).adverts(A, 45, 20, 3)
    trace.address(22.766, present=False).adverts(B, 60, 22.766, 70)
    trace.orphaned(B, CLIENT, 22.8).orphaned(B, CLIENT, 22.9, client_port=40001)
    return trace.passed(95)


def test_the_state_of_a_virtual_router():
    found = router(page(moved()))
    assert found == {
        "interface": "eth0",
        "VRID": "51",
        "family": "ipv4",
        "Active": B,
        "priority": "60",
        "since": "2026-11-18 11:07:02 UTC",
        "last advert": "2026-11-18 11:08:11 UTC",
        "addresses": VIP,
        "held by this node": "no",
    }


def test_a_priority_that_falls_without_a_move_is_shown():
    shown = page(Trace().address(0, present=True, initial=True).adverts(A, 65, 0, 20).adverts(A, 45, 20, 2))
    found = router(shown)
    assert (found["Active"], found["priority"], found["held by this node"]) == (A, "45", "yes")


def test_nobody_is_active():
    found = router(page(Trace().adverts(A, 65, 0, 20).passed(40)))
    assert (found["Active"], found["priority"], found["last advert"]) == ("nobody", "", "")


def test_a_flap_with_its_verdict():
    text = html(page(moved()))
    for part in (
        "2026-11-18 11:07:02.766",
        f"moved from {A} to {B}",
        "check_failed",
        "lowered its priority from 65 to 45",
        "2 connections reset",
    ):
        assert part in text
    assert text.count("<details>") == 1
    assert "(provisional)" not in text


def test_a_flap_that_is_not_closed_says_so():
    trace = Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 60, 22.766, 8).passed(30)
    shown = Page("m1", list)
    engine = Engine()
    for item in trace.observations():
        for event in engine.advance(item.time) if not hasattr(item, "node") else engine.observe(item):
            shown.happened(event)
    assert re.search(r"<em>\((provisional|standing)\)</em>", html(shown))


def test_a_flap_that_was_none_is_taken_off():
    (event,) = [event for event in told(moved().observations()) if isinstance(event, FlapJudged)][-1:]
    shown = page()
    shown.happened(event)
    assert "<details>" in html(shown)
    shown.happened(FlapWithdrawn(event.time, event.flap))
    assert "<details>" not in html(shown)


def test_before_anything_was_heard():
    text = html(page())
    assert "None heard so far." in text
    assert "None since this agent started." in text
    assert "<td>adverts</td><td>started</td>" in text


def test_no_client_address_is_shown():
    assert CLIENT not in html(page(moved()))


def test_the_newest_flaps_are_kept_and_come_first():
    last = [event for event in told(moved().observations()) if isinstance(event, FlapJudged)][-1]
    shown = page()
    for number in range(FLAPS + 5):
        shown.happened(replace(last, flap=replace(last.flap, id=f"f-{number}", time=at(number), former=f"10.0.0.{number}")))
    text = html(shown)
    assert re.findall(r"<summary[^>]*>[^<]*moved from (10\.0\.0\.\d+)", text) == [f"10.0.0.{n}" for n in range(FLAPS + 4, 4, -1)]


def test_a_flap_told_again_is_shown_as_last_told():
    last = [event for event in told(moved().observations()) if isinstance(event, FlapJudged)][-1]
    shown = page()
    shown.happened(replace(last, stage=FlapStage.PROVISIONAL))
    shown.happened(last)
    assert html(shown).count("<details>") == 1
    assert "(provisional)" not in html(shown)


def test_virtual_routers_are_bounded():
    shown = page()
    for number in range(ROUTERS + 50):
        key = VirtualRouter(number % 256, Family.IPV4, f"eth{number // 256}")
        shown.happened(ActiveChanged(at(0), key, A, 100, (VIP,)))
    assert sum(row[0].startswith("eth") for row in Parsed(html(shown)).rows) == ROUTERS


def test_names_are_text_whatever_is_in_them():
    evil = "<script>alert(1)</script>&\"'"
    shown = page(node=evil)
    shown.happened(ActiveChanged(at(0), VirtualRouter(1, Family.IPV4, evil), evil, 100, (evil,)))
    last = [event for event in told(moved().observations()) if isinstance(event, FlapJudged)][-1]
    shown.happened(replace(last, flap=replace(last.flap, former=evil, addresses=(evil,))))
    parsed = Parsed(html(shown))
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert parsed.rows[1][0] == parsed.rows[1][3] == evil


def test_nothing_runs_and_nothing_is_fetched():
    answer = page(moved()).answer("")
    parsed = Parsed(answer.body.decode())
    assert {tag for tag, _ in parsed.elements} & {"script", "link", "img", "iframe", "form", "object"} == set()
    attributes = {name for _, found in parsed.elements for name in found}
    assert not {name for name in attributes if name.startswith("on")} | attributes & {"src", "style"}
    assert all(found["href"].startswith("/") for tag, found in parsed.elements if tag == "a")


def test_the_policy_allows_this_style_and_no_other():
    answer = page().answer("")
    style = re.search(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(answer.headers)["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith(f"style-src 'sha256-{digest}'")
    assert "unsafe" not in policy
