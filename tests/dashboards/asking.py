"""The dashboards' expressions, asked of a real Prometheus as Grafana would ask them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack import Prometheus

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"


@dataclass(frozen=True)
class Asked:
    """An expression of a dashboard."""

    where: str
    expr: str
    once: bool


def asked() -> Iterator[Asked]:
    """All of them."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        file = json.loads(path.read_text(encoding="utf-8"))
        for panel in file["panels"]:
            for target in panel["targets"]:
                yield Asked(f"{path.stem}: {panel['title']} {target['refId']}", target["expr"], target["instant"])
        for annotation in file["annotations"]["list"]:
            yield Asked(f"{path.stem}: annotation {annotation['name']}", annotation["expr"], once=False)


def substituted(expr: str, begin: float, end: float, *, rate_interval: str = "20s") -> str:
    """With Grafana's variables as it fills them in when everything is chosen."""
    expr = expr.replace("$__range", f"{round(end - begin)}s").replace("$__rate_interval", rate_interval)
    return re.sub(r"\$(cluster|interface|vrid)", ".*", expr)


def answers(prometheus: Prometheus, question: Asked, begin: float, end: float) -> list[dict[str, Any]]:
    """The series that Prometheus has for it."""
    expr = substituted(question.expr, begin, end)
    return prometheus.query(expr, end) if question.once else prometheus.query_range(expr, begin, end, 2)
