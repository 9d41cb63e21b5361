"""Recording rules and alerts, by promtool: valid, one flap out of three agents' counts, firing when they should and only then."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml
from alert_stories import STORIES

from observer.agent import NEEDED

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards" / "rules"
FILES = [RULES / "recording.yaml", RULES / "alerts.yaml"]


def rules(path):
    return [rule for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


ALERTS = rules(RULES / "alerts.yaml")
NAMES = [rule["alert"] for rule in ALERTS]
each_alert = pytest.mark.parametrize("rule", ALERTS, ids=NAMES)


def promtool(*words):
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)


def test_promtool_accepts_the_files():
    done = promtool("check", "rules", *FILES)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_flap_out_of_three_counts():
    done = promtool("test", "rules", RULES / "recording_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def document(stories):
    return {
        "rule_files": [str(path) for path in FILES],
        # The stories of days need no more.
        "evaluation_interval": "30s" if all(story.minute < 100 for story in stories) else "5m",
        "tests": [
            {
                "name": story.name,
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in story.series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'ALERTS{alertstate="firing"}',
                        "eval_time": f"{story.minute}m",
                        "exp_samples": [{"labels": _labels(labels), "value": 1} for labels in story.firing],
                    }
                ],
            }
            for story in stories
        ],
    }


def _labels(labels):
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_fires_and_what_does_not(story, tmp_path):
    path = tmp_path / "story.yaml"
    path.write_text(yaml.safe_dump(document([story])), encoding="utf-8")
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


@each_alert
def test_each_fires_in_some_story_and_only_nearly_in_another(rule):
    name = rule["alert"]
    fired = [any(labels["alertname"] == name for labels in story.firing) for story in STORIES if story.about == name]
    assert any(fired)
    assert not all(fired)


@each_alert
def test_each_says_what_an_operator_needs(rule):
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert len(annotations["summary"]) < 140
    assert re.findall(r"\$labels\.(\w+)", annotations["description"])


@each_alert
def test_each_has_its_runbook(rule):
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page == ROOT / "docs" / "runbooks" / f"{rule['alert']}.md"
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {rule['alert']}\n")
    for heading in ("## What it means", "## What to do", "## When it is wrong"):
        assert heading in text


def test_there_is_no_runbook_without_its_alert():
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} == set(NAMES)


def test_the_list_of_alerts_is_whole():
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`(\w+)`\]\(runbooks/(\w+)\.md\) \| (\w+) \|", page, re.MULTILINE)
    assert listed == [(rule["alert"], rule["alert"], rule["labels"]["severity"]) for rule in ALERTS]
    recorded = {rule["record"] for rule in rules(RULES / "recording.yaml")}
    assert set(re.findall(r"^\| `([\w:]+)` \|", page, re.MULTILINE)) == recorded


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_another_parser_accepts_the_expressions(path):
    for rule in rules(path):
        promql_parser.parse(rule["expr"])


def test_the_sources_asked_for_are_those_of_the_agent():
    asked = {
        name
        for path in FILES
        for rule in rules(path)
        for names in re.findall(r'source=~?"([^"]+)"', rule["expr"])
        for name in names.split("|")
    }
    # Those without which it is not ready, and its recorder, which is not one of those that observe.
    assert asked == NEEDED | {"recorder"}
