"""The documentation is as the source says: generated pages, commands, names, limits and links."""

from __future__ import annotations

import importlib
import inspect
import json
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
    assert list(generate.stale(tmp_path)) == [tmp_path / "states.md"]


READING = ROOT / "docs" / "reading-a-verdict.md"


def quoted(path: Path) -> tuple[str, str]:
    """The one shell block of the page that is followed by output at once, and that output."""
    [found] = re.findall(r"^```sh\n([^`]*)^```\n\n```\n(.*?)^```$", text(path), re.DOTALL | re.MULTILINE)
    return found


def output(commands: str) -> str:
    """What a shell prints that is given these lines in a checkout."""
    program = f"{shlex.quote(sys.executable)} -c 'import sys; from observer.cli import main; sys.exit(main())'"
    # A function's name has no hyphen everywhere.
    named = commands.replace("vrrp-observer", "observed")
    script = f'export PYTHONPATH="$PWD"\nobserved() {{ {program} "$@"; }}\n{named}'
    return subprocess.run(["sh", "-ec", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_reading_a_verdict_quotes_what_the_program_prints():
    commands, printed = quoted(READING)
    assert printed == output(commands)


def test_the_readme_quotes_that_verdict_and_leaves_out_only_what_is_ruled_out():
    commands, printed = quoted(ROOT / "README.md")
    lines, left_out = output(commands).splitlines(), {"  ruled out:  ..."}
    shown = printed.splitlines()
    assert [line for line in lines if line in shown] == [line for line in shown if line not in left_out]
    begin, end = lines.index(shown[0]), lines.index(shown[-1])
    assert {line[:12] for line in lines[begin:end] if line not in shown} == {"  ruled out:"}


def test_every_line_of_the_quoted_verdict_is_explained():
    _, printed = quoted(READING)
    labels = set(re.findall(r"^  ([\w ]+):", printed, re.MULTILINE))
    assert {"cause", "timeline", "served", "reconnects", "ruled out"} <= labels
    assert labels <= set(re.findall(r"^\*\*`([\w ]+)(?:: \w+)?`\*\*", text(READING), re.MULTILINE))


def test_the_table_of_the_captures_is_what_each_one_says():
    golden = json.loads(text(ROOT / "pcaps/check_failed/original_bug/verdict.json"))
    rows = re.findall(r"^\| (m\d), .* \| `(\w+)`, (\w+) \| (\w+).* \| (.*) \|$", text(READING), re.MULTILINE)
    assert len(rows) == 3
    for node, *told, cost in rows:
        [flap] = golden[node]
        assert told == [flap["cause"], flap["confidence"], flap["warranted"]]
        reset = flap["connections"]["reset"]
        assert cost == ("not seen" if reset is None else f"{reset} connections")


@pytest.mark.parametrize("name", ["README.md", "docs/reading-a-verdict.md"])
def test_a_stale_quotation_is_named_and_written_anew(tmp_path, monkeypatch, capsys, name):
    monkeypatch.syspath_prepend(ROOT / "docs")
    generate = importlib.import_module("generate")
    written = text(ROOT / name)
    assert generate.quoting(written, generate.QUOTATIONS[name]) == written
    older = written.replace("  timeline: ", "  time line: ")
    monkeypatch.setattr(generate, "PAGES", {})
    monkeypatch.setattr(generate, "stale", lambda _, stale=generate.stale: stale(tmp_path / "docs"))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(older, encoding="utf-8")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == f"{name} is stale; run `make docs`\n"
    assert generate.main([]) == 0
    assert text(tmp_path / name) == written
    with pytest.raises(ValueError, match="no command"):
        generate.quoting(written.replace("vrrp-observer replay", "vrrp-observer reply"), generate.whole)


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
