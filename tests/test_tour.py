"""The tour: what it would call wrong, by made-up answers, and the whole of it, for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from lab import MASTERS, address

from tests import tour
from tests.dashboards.asking import asked, substituted
from tests.demo import Audit, Show
from tests.lab.moves import Move

ROOT = Path(__file__).resolve().parent.parent


class Answering:
    """A Prometheus in which every expression has one value, but for those that have none."""

    def __init__(self, empty=lambda _expr: False, value=(0, "1")) -> None:
        self.empty, self.value = empty, value

    def query(self, expr, _at=None):
        return [] if self.empty(expr) else [{"metric": {"instance": "m0"}, "value": self.value}]

    def query_range(self, expr, *_):
        return [] if self.empty(expr) else [{"metric": {}, "values": [self.value]}]

    def api(self, path, **_):
        return [{"exemplars": [{"labels": {"flap": "a"}}]}] if path == "query_exemplars" else ["x"]


def wrong(check, *words):
    audit = Audit(Show())
    check(*words, Show(), audit)
    return audit.wrong


def panels_wrong(prometheus):
    return wrong(tour.panels, prometheus, 0, 60)


def excusable(expr):
    return any(metric in expr for metric in tour.MAY_BE_EMPTY) and expr.endswith((" > 0", " == 1"))


def test_every_panel_with_a_value_is_well():
    assert panels_wrong(Answering()) == 0


@pytest.mark.parametrize("question", list(asked()), ids=lambda question: question.where)
def test_an_empty_expression_is_wrong_unless_the_incident_excuses_it(question):
    expr = substituted(question.expr, 0, 60, rate_interval="62s" if question.least == 60 else "8s")
    answering = Answering(lambda asked_: asked_ == expr)
    assert bool(panels_wrong(answering)) != excusable(expr)


@pytest.mark.parametrize("panel", sorted({(question.dashboard, question.panel) for question in asked()}))
def test_every_panel_has_something_that_nothing_excuses(panel):
    exprs = [question.expr for question in asked() if (question.dashboard, question.panel) == panel]
    assert panel[1] == "annotation Storms" or any(not excusable(expr) for expr in exprs)


@pytest.mark.parametrize("metric", tour.MAY_BE_EMPTY)
def test_what_is_empty_where_0_is_shown_too_is_wrong(metric):
    assert panels_wrong(Answering(lambda expr: metric in expr)) > 0


def test_a_value_that_is_no_number_fills_no_panel():
    assert panels_wrong(Answering(value=(0, "NaN"))) > 10


def alert(name=tour.UNWARRANTED, node="m0", cause="check_failed", says="check_failed", status="firing"):
    labels = {"alertname": name, "severity": "warning"}
    if name == tour.UNWARRANTED:
        labels |= {"router": address(node), "cause": cause}
    notes = {"summary": "s", "description": f"Cause: {says}.", "runbook_url": "r"}
    return {"status": status, "startsAt": "2026-01-01T00:00:00Z", "labels": labels, "annotations": notes}


MALFORMED = alert("VrrpMalformedAdverts")
HAPPENED = {("m0", "check_failed")}


@pytest.mark.parametrize(
    ("posted", "count"),
    [
        ([alert(), MALFORMED], 0),
        ([alert(), MALFORMED, alert("VrrpStorm")], 0),
        ([alert(), MALFORMED, alert(status="resolved")], 0),
        ([alert(), MALFORMED, alert("VrrpTwoActive")], 1),
        ([alert(), MALFORMED, alert(node="m1")], 1),
        ([alert(), MALFORMED, alert(cause="preempted", says="preempted")], 1),
        ([alert(says="another"), MALFORMED], 1),
        ([alert()], 1),
        ([MALFORMED], 2),
        ([], 3),
    ],
)
def test_alerts_are_held_against_what_happened(posted, count):
    assert wrong(tour.alerts, posted, HAPPENED) == count


class Asked:
    """Prometheus' list of targets."""

    def __init__(self, **changed):
        self.changed = changed

    def api(self, _path):
        found = [
            {
                "scrapePool": job,
                "scrapeUrl": f"https://{address(node)}:9965/metrics",
                "health": "up" if job == tour.WITH else "down",
                "lastError": "" if job == tour.WITH else "server returned HTTP status 403 Forbidden",
            }
            for job in (tour.WITH, tour.WITHOUT)
            for node in MASTERS
        ]
        if self.changed:
            next(target for target in found if target["scrapePool"] == self.changed["scrapePool"]).update(self.changed)
        return {"activeTargets": found}


@pytest.mark.parametrize(
    ("changed", "count"),
    [
        ({}, 0),
        ({"scrapePool": tour.WITH, "health": "down", "lastError": "connection refused"}, 1),
        ({"scrapePool": tour.WITH, "scrapeUrl": "http://192.0.2.11:9965/metrics"}, 1),
        ({"scrapePool": tour.WITHOUT, "health": "up", "lastError": ""}, 1),
        ({"scrapePool": tour.WITHOUT, "lastError": "connection refused"}, 1),
    ],
)
def test_targets_are_scraped_with_a_certificate_and_refused_without(changed, count):
    assert wrong(tour.targets, Asked(**changed)) == count


def test_flaps_are_held_against_the_moves():
    one = Move(0, "m0", "m1", "check_failed", "", 1)
    assert wrong(tour.flaps, Answering(), 0, 60, [one]) == 1  # only the stop moved it
    assert wrong(tour.flaps, Answering(value=(0, "2")), 0, 60, [one, one]) == 0
    assert wrong(tour.flaps, Answering(value=(0, "3")), 0, 60, [one, one]) == 1
    assert wrong(tour.flaps, Answering(value=(0, "2")), 0, 60, [one, Move(0, "m0", "m1", "", "", 99)]) == 1


class Pages:
    """A lab whose agents' pages say this."""

    def __init__(self, active="192.0.2.11", held="yes", flaps=2):
        row = "".join(f"<td>{cell}</td>" for cell in ("eth0", 51, "ipv4", active, 65, held))
        self.said = f"<tr>{row}</tr>" + "<summary class=no>" * flaps

    def holder(self):
        return "m0"

    def exec(self, _node, argv):
        return SimpleNamespace(stdout=self.said if "192.0.2.11" in argv[-1] else self.said.replace(">yes<", ">no<"))


@pytest.mark.parametrize(
    ("said", "count"),
    [(Pages(), 0), (Pages(active="192.0.2.12"), 3), (Pages(held="no"), 1), (Pages(flaps=1), 3), (None, 3)],
)
def test_the_pages_are_held_against_the_kernels_and_the_moves(said, count):
    if said is None:
        said = Pages()
        said.said = ""
    assert wrong(tour.pages, said, (), 2) == count


class Ending:
    """An agent that ends, or not, and has said something."""

    node = "m0"

    def __init__(self, path, status=0, said=""):
        self.status, self.errors = status, path / "stderr"
        self.errors.write_text(said)

    def stop(self, seconds):
        if self.status is None:
            raise subprocess.TimeoutExpired("agent", seconds)
        return self.status


@pytest.mark.parametrize(("status", "said", "count"), [(0, "", 0), (1, "", 1), (None, "", 1), (0, "Traceback", 1)])
def test_agents_end_in_order(status, said, count, tmp_path):
    assert wrong(tour.ended, [Ending(tmp_path, status, said)]) == count


def test_they_have_the_time_that_the_unit_gives_them():
    assert f"TimeoutStopSec={tour.PATIENT}\n" in (ROOT / "systemd/vrrp-observer.service").read_text()


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.timeout(480)
def test_the_tour(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.tour", "--keep", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=450,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is as it should be" in done.stdout
    assert json.loads((tmp_path / "lab" / "truth.jsonl").read_text().splitlines()[-1])["event"] == "end"
