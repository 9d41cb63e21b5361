"""Dashboards: up to date, valid against Grafana's own types, with expressions that parse and use what there is.

`grafana/schema.json` is made of the types of npm's @grafana/schema (Apache-2.0) by `grafana/schema.mjs`.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import promql_parser
import pytest
import yaml

from observer.sinks.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "dashboards"
SCHEMA = json.loads((Path(__file__).parent / "grafana" / "schema.json").read_text(encoding="utf-8"))
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}
PANELS = {f"{name}: {panel['title']}": panel for name, file in FILES.items() for panel in file["panels"]}
each_file = pytest.mark.parametrize("name", FILES)
each_panel = pytest.mark.parametrize("name", PANELS)

TARGET = {"cluster", "job", "instance"}
"""Labels that Prometheus adds."""
OTHERS = {"up": set()}
"""Metrics that Prometheus makes."""
ROUTER = {"interface", "vrid", "family"}


def declared():
    mine = {metric.name: set(metric.labels) for metric in METRICS}
    recorded = yaml.safe_load((DASHBOARDS / "rules" / "recording.yaml").read_text(encoding="utf-8"))
    names = {rule["record"]: set() for group in recorded["groups"] for rule in group["rules"]}
    for name in names:
        names[name] = ROUTER | {"router", "cause", "warranted"}
    return mine | names | OTHERS


def plain(expr):
    """An expression without Grafana's variables."""
    return re.sub(r"\$__(rate_)?interval|\$__range", "5m", expr)


def expressions(file):
    yield from (target["expr"] for panel in file["panels"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in file["annotations"]["list"])


def rule_expressions():
    for path in (DASHBOARDS / "rules").glob("*[!t].yaml"):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        yield from (rule["expr"] for group in document.get("groups", ()) for rule in group["rules"])


def selectors(node):
    """Every vector selector in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for attribute in ("expr", "lhs", "rhs", "vector_selector", "param"):
        child = getattr(node, attribute, None)
        if isinstance(child, promql_parser.Expr | promql_parser.VectorSelector):
            yield from selectors(child)
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)


def groupings(expr):
    """Labels named in by (...), on (...) and the like."""
    return {
        label.strip()
        for inside in re.findall(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^()]*)\)", expr)
        for label in inside.split(",")
        if label.strip()
    }


def used(expr):
    """(metric, labels matched) of everything that an expression selects."""
    for selector in selectors(promql_parser.parse(plain(expr))):
        yield selector.name, {matcher.name for matcher in selector.matchers.matchers}


def test_they_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "dashboards/build.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@each_file
def test_valid_against_the_types_of_grafana(name):
    file = json.loads(json.dumps(FILES[name]))
    for annotation in file["annotations"]["list"]:
        # Grafana's Prometheus data source keeps its settings of an annotation here, which the types do not know of.
        for key in ("expr", "step", "titleFormat", "textFormat", "useValueForTime"):
            del annotation[key]
    jsonschema.validate(file, SCHEMA["dashboard"])


@each_panel
def test_options_are_those_of_the_panel(name):
    panel = PANELS[name]
    jsonschema.validate(panel["options"], SCHEMA[f"{panel['type']}.options"])
    if custom := panel["fieldConfig"]["defaults"].get("custom"):
        jsonschema.validate(custom, SCHEMA[f"{panel['type']}.custom"])


def test_the_schema_refuses_what_is_wrong():
    wrong = json.loads(json.dumps(FILES["overview"]))
    wrong["panels"][0]["gridPos"]["w"] = "wide"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA["dashboard"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"legend": {}}, SCHEMA["timeseries.options"])


@pytest.mark.parametrize("expr", [expr for file in FILES.values() for expr in expressions(file)] + list(rule_expressions()))
def test_expressions_use_what_is_declared(expr):
    known = declared()
    names = list(used(expr))
    assert names
    labels = set(TARGET)
    for metric, matched in names:
        assert metric in known, metric
        assert matched <= known[metric] | TARGET, (metric, matched)
        labels |= known[metric]
    assert groupings(expr) <= labels


@each_panel
def test_series_are_called_by_labels_that_they_have(name):
    for target in PANELS[name]["targets"]:
        outer = re.match(r"\w+ by \(([^()]*)\)", target["expr"])
        kept = {label.strip() for label in outer[1].split(",")} if outer else set()
        assert set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))) <= kept


@each_file
def test_variables_and_sources(name):
    file = FILES[name]
    assert [variable["name"] for variable in file["templating"]["list"]] == ["datasource", "cluster", "interface", "vrid"]
    for panel in file["panels"]:
        assert {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])} == {"${datasource}"}
    text = json.dumps(file)
    named = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__range", "__interval", "__all"}
    assert named == {"datasource", "cluster", "interface", "vrid"}
    assert all(link["url"].removeprefix("/d/") in {other["uid"] for other in FILES.values()} for link in file["links"])


@each_file
def test_panels_fill_the_grid_and_do_not_overlap(name):
    cells = [
        (x, y)
        for panel in FILES[name]["panels"]
        for box in [panel["gridPos"]]
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


def test_flaps_in_a_panel_are_counted_as_the_recording_rule_counts_them(monkeypatch):
    monkeypatch.syspath_prepend(DASHBOARDS)
    panels = importlib.import_module("panels")
    document = yaml.safe_load((DASHBOARDS / "rules" / "recording.yaml").read_text(encoding="utf-8"))
    rules = {rule["record"]: rule["expr"] for group in document["groups"] for rule in group["rules"]}
    score = "router:vrrp_flaps_witness:score15m"
    expected = rules["router:vrrp_flaps:increase15m"].replace(score, rules[score])
    assert _normal(panels.flaps("15m", selected="")) == _normal(expected)


def _normal(expr):
    """An expression as the parser writes it, whatever the order of labels in by (...)."""
    text = promql_parser.parse(expr).prettify()
    return re.sub(r"\(([\w, ]+)\)", lambda inside: f"({', '.join(sorted(inside[1].split(', ')))})", text)
