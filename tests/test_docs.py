"""The documentation is as the source says: generated pages, commands, names, limits and links."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from observer import cli
from observer.model.verdicts import Confidence, Warranted
from observer.rules import DESCRIPTIONS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("*/README.md"))]
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, *languages: str) -> str:
    """What stands between the page's fences of these languages ("" for none)."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text(path), re.DOTALL | re.MULTILINE)
    return "".join(block for language, block in found if language in languages)


def commands(path: Path) -> list[list[str]]:
    """The words of every line in the page's shell blocks, without comments and what follows a pipe."""
    lines = blocks(path, "sh").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[: line.index("|")] if "|" in line else line for line in words if line]


def test_generated_pages_are_up_to_date():
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_page_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "docs")
    generate = importlib.import_module("generate")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "docs/metrics.md is stale" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "states.md").write_text("older", encoding="utf-8")
    assert generate.stale(tmp_path) == [tmp_path / "states.md"]


@page
def test_make_targets_exist(path):
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`", text(path))) | {line[1] for line in commands(path) if line[0] == "make"}
    assert named <= targets


def test_readme_names_the_two_commands():
    assert [line for line in commands(ROOT / "README.md") if line[0] == "make"] == [["make", "demo"], ["make", "test"]]


@page
def test_commands_are_accepted(path):
    for line in commands(path):
        if Path(line[0]).name == "vrrp-observer":
            cli._parser().parse_args(line[1:])


@page
def test_examples_use_words_that_exist(path):
    examples = blocks(path, "", "json")
    causes = re.findall(r'^ +(?:cause:|ruled out:|"cause":) +"?([a-z_]+)', examples, re.MULTILINE)
    assert set(causes) <= set(DESCRIPTIONS)
    answers = re.findall(r'^ +"?warranted"?: +"?([a-z]+)', examples, re.MULTILINE)
    assert set(answers) <= {answer.value for answer in Warranted}
    assert len(answers) == len(re.findall(r'^ +"?cause"?:', examples, re.MULTILINE))
    assert set(re.findall(r'"confidence": "([a-z]+)', examples)) <= {confidence.label for confidence in Confidence}


def test_readme_shows_a_verdict():
    assert re.search(r"^  cause:  ", blocks(ROOT / "README.md", ""), re.MULTILINE)


@page
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", text(path)):
        name, _, anchor = target.partition("#")
        if "://" in name:
            continue
        linked = path if not name else path.parent / name
        assert linked.exists(), target
        if anchor:
            headings = {
                re.sub(r"[^a-z0-9_ -]", "", line.lower()).replace(" ", "-")
                for line in re.findall(r"^#+ (.*)", text(linked), re.MULTILINE)
            }
            assert anchor in headings, target


def limits() -> list[tuple[str, int]]:
    rows = re.findall(r"^\|.*\| (\d+) \| `(observer\.[\w.]+)` \|$", text(ROOT / "docs/architecture.md"), re.MULTILINE)
    return [(name, int(value)) for value, name in rows]


@pytest.mark.parametrize(("name", "value"), limits())
def test_limits_are_those_of_the_code(name, value):
    module, _, constant = name.rpartition(".")
    assert getattr(importlib.import_module(module), constant) == value


def test_there_are_limits():
    assert len(limits()) > 10


@pytest.mark.parametrize("cause", DESCRIPTIONS)
def test_a_cause_says_what_an_operator_needs(cause):
    paragraphs = inspect.cleandoc(DESCRIPTIONS[cause]).split("\n\n")
    assert paragraphs[0].endswith(".")
    assert any(paragraph.startswith("On the ") for paragraph in paragraphs)
    assert any(paragraph.startswith("What to do:") for paragraph in paragraphs)
    assert any(paragraph.startswith("Not to be confused with:") for paragraph in paragraphs)
