"""Write the pages of docs/ that are made from the source; with ``--check``, name the stale ones and exit 1.

One function a page: from a table that the program itself uses to Markdown. What is written by hand is not here, but what it
quotes of the program's output is: a command on a case of the corpus, and behind it what that prints.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import inspect
import io
import re
import shlex
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from observer import cli
from observer.config import ENVIRONMENT, FILE, Configuration, toml
from observer.engine.states import TRANSITIONS, Action, Signal, State
from observer.rules import DESCRIPTIONS
from observer.rules import bursts as reset_bursts
from observer.sinks.metrics import METRICS, NOTES
from observer.wire.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DOCS = Path(__file__).resolve().parent


def causes() -> str:
    """Every word that a verdict or an election may use as its cause."""
    rows, sections = _described(DESCRIPTIONS)
    bursts, further = _described(reset_bursts.DESCRIPTIONS)
    return _page(
        "Causes",
        "the docstrings of observer/rules",
        "Every flap gets one of these causes. `election` is none: elections are counted apart."
        " `vrrp-observer causes [NAME]` prints the same.",
        _table(("cause", "what happened"), rows),
        "Many connections reset at once while no flap is under way are a reset burst, which gets one of these:\n",
        _table(("cause of a burst", "what happened"), bursts),
        "\n".join([*sections, *further]),
    )


def _described(descriptions: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Rows of a table, and sections."""
    rows, sections = [], []
    for name, description in descriptions.items():
        summary, *rest = (_text(paragraph) for paragraph in description.split("\n\n"))
        rows.append((f"[{_code(name)}](#{name})", summary))
        sections.append(f"## {name}\n\n{summary}\n\n" + "\n\n".join(_lead(paragraph) for paragraph in rest) + "\n")
    return rows, sections


def metrics() -> str:
    """Every metric that /metrics serves."""
    rows = [
        (_code(metric.name), metric.kind.__name__.lower(), ", ".join(_code(label) for label in metric.labels), metric.help)
        for metric in METRICS
    ]
    return _page(
        "Metrics",
        "METRICS in observer/sinks/metrics.py",
        "`vrrp_*` says what the protocol does, `vrrp_observer_*` how the agent itself is. No label holds a client's address."
        " [Alerts](alerts.md) says how the counts of several agents make one.",
        _table(("metric", "type", "labels", "meaning"), rows),
        "\n".join(f"* {_text(note)}" for note in NOTES) + "\n",
    )


def configuration() -> str:
    """Every setting of the agent."""
    meanings = _attributes(Configuration)
    flags = _flags("run")
    default = Configuration()
    rows = [
        (
            _code(field.name),
            _code(toml(getattr(default, field.name))),
            _code(ENVIRONMENT + field.name.upper()),
            ", ".join(_code(flag) for flag in flags[field.name]),
            "yes" if field.metadata.get("reloads") else "",
            meanings[field.name],
        )
        for field in fields(Configuration)
    ]
    return _page(
        "Configuration",
        "Configuration in observer/config.py",
        "Settings of `vrrp-observer run`; none is needed. The later wins: default, TOML file (`--config FILE`, or"
        f" `{FILE}` in the environment), environment, flag. In the environment, list values are separated by commas; a flag"
        " for a list is repeated. An unknown key is an error.",
        "`vrrp-observer check-config [FILE]` prints the settings in effect, as a file that says the same, with where each is"
        " from; of a mistake it names the line and the nearest key, and exits with status 2. What is wrong with keepalived.conf"
        " it tells as the agent does, which goes on without.",
        'SIGHUP (`systemctl reload`) reads file and environment anew. What the column "reload" marks changes at once: interfaces'
        " are added; to watch fewer needs a restart, as does everything else. One line says what changed and what did not."
        " Certificates need no signal: they are read anew when their files change.",
        _table(("key", "default", "environment", "flag", "reload", "meaning"), rows),
    )


def states() -> str:
    """The states of a virtual router: words, table and picture."""
    arrows: dict[tuple[State, State, Action], list[Signal]] = {}
    for (state, signal), (following, action) in TRANSITIONS.items():
        if (following, action) != (state, Action.NOTHING):
            arrows.setdefault((state, following, action), []).append(signal)
    picture = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.UNKNOWN.value}"]
    for (state, following, action), signals in arrows.items():
        # A label may hold no colon, so the action is its name here and its meaning in the table.
        doing = "" if action is Action.NOTHING else f" / {action.name.lower()}"
        picture.append(f"    {state.value} --> {following.value} : {', '.join(signals)}{doing}")
    picture.append("```")
    rows = [
        (
            _code(state),
            signal.value,
            _code(following),
            "" if action is Action.NOTHING else f"{_code(action.name)}: {action.value}",
        )
        for (state, signal), (following, action) in TRANSITIONS.items()
    ]
    of_state, of_signal = _attributes(State), _attributes(Signal)
    return _page(
        "States of a virtual router",
        "observer/engine/states.py",
        inspect.cleandoc(sys.modules[State.__module__].__doc__ or "").split("\n\n", 1)[1],
        "\n".join(picture) + "\n",
        "Signals that change neither state nor anything else are left out of the picture; they are in the table.\n",
        _table(("state", "meaning"), [(_code(state), of_state[state.name]) for state in State]),
        _table(("signal", "meaning"), [(signal.value, of_signal[signal.name]) for signal in Signal]),
        _table(("state", "signal", "next state", "action"), rows),
    )


def reasons() -> str:
    """Every reason for which a frame is refused."""
    rows = [(_code(reason), reason.meaning, _code(reason.counter) if reason.counter else "") for reason in Reason]
    return _page(
        "Reasons for refusing a frame",
        "Reason in observer/wire/errors.py",
        "The values of the label `reason` of `vrrp_malformed_adverts_total`, and of `malformed` in the JSON of a replay."
        " The first check that fails names the reason.",
        _table(("reason", "meaning", "counter of RFC 6527"), rows),
    )


PAGES: dict[str, Callable[[], str]] = {
    "causes.md": causes,
    "metrics.md": metrics,
    "configuration.md": configuration,
    "states.md": states,
    "reasons.md": reasons,
}


def whole(output: str) -> str:
    """A quotation of everything."""
    return output


def verdict(output: str) -> str:
    """A quotation of the first flap alone, without the causes that are ruled out."""
    story = next(part for part in output.split("\n\n") if "\n  cause: " in part)
    return re.sub(r"^(  ruled out:  ).*\n(?:\1.*\n)*", r"\1...\n", story + "\n", flags=re.MULTILINE)


QUOTATIONS: dict[str, Callable[[str], str]] = {"README.md": verdict, "docs/reading-a-verdict.md": whole}
"""What the pages written by hand quote, from the root of the repository."""

_QUOTATION = re.compile(
    r"^(?P<before>```sh\ncd (?P<directory>pcaps/\S+)\nvrrp-observer (?P<words>replay .*)\n```\n\n```\n)(?P<output>.*?)(?=^```$)",
    re.DOTALL | re.MULTILINE,
)


def quoting(page: str, shortened: Callable[[str], str]) -> str:
    """A page with what its command prints today. Raises ValueError for a page without such a command."""
    text, count = _QUOTATION.subn(lambda found: found["before"] + shortened(printed(found["directory"], found["words"])), page)
    if not count:
        raise ValueError("no command on a case of pcaps/ with its output behind it; see docs/reading-a-verdict.md")
    return text


@functools.cache
def printed(directory: str, words: str) -> str:
    """What ``vrrp-observer`` prints when it is called there, from the root of the repository."""
    output = io.StringIO()
    with contextlib.chdir(DOCS.parent / directory), contextlib.redirect_stdout(output):
        if cli.main(shlex.split(words)):
            raise ValueError(f"vrrp-observer {words}: cannot be quoted")
    return output.getvalue()


def stale(directory: Path) -> dict[Path, str]:
    """Pages that are missing or not as the source says, with their text; pages by hand are looked for beside ``directory``."""
    pages = {directory / name: page() for name, page in PAGES.items()}
    for name, shortened in QUOTATIONS.items():
        if (path := directory.parent / name).is_file():
            pages[path] = quoting(path.read_text(encoding="utf-8"), shortened)
    return {path: text for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the stale pages, or only name them; the exit status."""
    parser = argparse.ArgumentParser(prog="docs/generate.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that are stale")
    check = parser.parse_args(arguments).check
    pages = stale(DOCS)
    for path, text in pages.items():
        name = path.name if path.name in QUOTATIONS else f"docs/{path.name}"
        if check:
            print(f"{name} is stale; run `make docs`", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{name} written")
    return 1 if check and pages else 0


def _page(title: str, source: str, *parts: str) -> str:
    note = f"<!-- Generated by docs/generate.py from {source}. Do not edit; change the source and run `make docs`. -->"
    return "\n\n".join((note, f"# {title}", *(part.strip("\n") for part in parts))) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _text(docstring: str) -> str:
    """A paragraph on one line, code in single backticks."""
    return " ".join(docstring.split()).replace("``", "`")


def _code(text: str) -> str:
    return f"`{text}`"


def _lead(paragraph: str) -> str:
    """A paragraph with its first words, up to the colon, in bold."""
    words, colon, rest = paragraph.partition(": ")
    return f"**{words}:** {rest}" if colon and len(words) < 40 else paragraph


def _attributes(owner: type) -> dict[str, str]:
    """The strings that follow the attributes of a class, by attribute: no object keeps them, so the source is read."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    found: dict[str, str] = {}
    attribute = ""
    for node in ast.iter_child_nodes(tree.body[0]):
        match node:
            case ast.AnnAssign(target=ast.Name(id=str(name))) | ast.Assign(targets=[ast.Name(id=str(name))]):
                attribute = name
            case ast.Expr(value=ast.Constant(value=str(text))) if attribute:
                found[attribute] = _text(text)
    return found


def _flags(command: str) -> dict[str, list[str]]:
    """The flags of a command by the setting that they change."""
    parser = cli._parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {action.dest: list(action.option_strings) for action in commands.choices[command]._actions}


if __name__ == "__main__":
    sys.exit(main())
