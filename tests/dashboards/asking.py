"""The dashboards' expressions and variables, asked of a real Prometheus as Grafana would ask them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack import Prometheus

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
POINTS = 1000
"""About as many as a panel is wide in pixels; Grafana asks for no more."""
ALL = ".*"
"""What stands for a variable of which everything is chosen, as when a dashboard is opened: its ``allValue``."""


@dataclass(frozen=True)
class Asked:
    """An expression of a dashboard."""

    where: str
    expr: str
    once: bool
    dashboard: str = ""
    panel: str = ""
    least: int = 0
    """Seconds: the panel's least step; 0 if it has none."""


def asked() -> Iterator[Asked]:
    """All of them."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        file = json.loads(path.read_text(encoding="utf-8"))
        for panel in file["panels"]:
            least = int(panel.get("interval", "0m").removesuffix("m")) * 60
            for target in panel["targets"]:
                where = f"{path.stem}: {panel['title']} {target['refId']}"
                yield Asked(where, target["expr"], target["instant"], path.stem, panel["title"], least)
        for annotation in file["annotations"]["list"]:
            name, step = f"annotation {annotation['name']}", int(annotation["step"].removesuffix("s"))
            yield Asked(f"{path.stem}: {name}", annotation["expr"], once=False, dashboard=path.stem, panel=name, least=step)


def substituted(expr: str, begin: float, end: float, *, rate_interval: str = "20s") -> str:
    """With Grafana's variables as it fills them in when everything is chosen."""
    expr = expr.replace("$__range", f"{round(end - begin)}s").replace("$__rate_interval", rate_interval)
    return re.sub(r"\$(cluster|interface|vrid)", ALL, expr)


def answers(prometheus: Prometheus, question: Asked, begin: float, end: float) -> list[dict[str, Any]]:
    """The series that Prometheus has for it."""
    expr = substituted(question.expr, begin, end)
    return prometheus.query(expr, end) if question.once else prometheus.query_range(expr, begin, end, 2)


def shown(prometheus: Prometheus, question: Asked, begin: float, end: float, scrape: int) -> list[dict[str, Any]]:
    """The same with the steps that Grafana takes, where its data source knows that a scrape comes every ``scrape`` seconds.

    The step is at least the panel's own and a scrape's, begin and end are multiples of it, and $__rate_interval is the step and
    one scrape, or four scrapes (grafana/grafana: pkg/promlib/models/query.go).
    """
    step = max(question.least, scrape, math.ceil((end - begin) / POINTS))
    expr = substituted(question.expr, begin, end, rate_interval=f"{max(step + scrape, 4 * scrape)}s")
    if question.once:
        return prometheus.query(expr, end)
    return prometheus.query_range(expr, begin // step * step, end // step * step, step)


def choices(prometheus: Prometheus, dashboard: str, begin: float, end: float) -> dict[str, list[str]]:
    """What a dashboard's variables offer."""
    file = json.loads((DASHBOARDS / f"{dashboard}.json").read_text(encoding="utf-8"))
    found = {}
    for variable in file["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert match, variable
            selector = {"match[]": substituted(match[1], begin, end), "start": begin, "end": end}
            found[variable["name"]] = prometheus.api(f"label/{match[2]}/values", **selector)
    return found
