"""Write the Grafana dashboards beside this file from panels.py; with ``--check``, name the stale ones and exit 1."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from panels import FLAPS, HELD, INCIDENT, OVERVIEW, STORMS, Panel, Query

HERE = Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
STEP = "1m"
"""Bars are no narrower, so that a bar has samples of every usual scrape interval."""


def _target(place: int, query: Query, kind: str) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "range": not query.once,
        "instant": query.once,
    }
    if query.legend:
        target["legendFormat"] = query.legend
    if kind == "table":
        target["format"] = "table"
    if query.exemplar:
        target["exemplar"] = True
    return target


def _mappings(words: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    if not words:
        return []
    options = {
        value: {"text": text, "color": colour, "index": place} for place, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    coloured = [
        {
            "matcher": {"id": "byRegexp", "options": pattern},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for pattern, colour in panel.colours.items()
    ]
    narrow = {"vrid": 70, "instance": 110, "warranted": 110, panel.value: 80} if panel.columns else {}
    coloured += [
        {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "custom.width", "value": width}]}
        for name, width in narrow.items()
        if name in (*panel.columns, panel.value)
    ]
    if "warranted" in panel.columns:
        answers = {"no": ("no", "red"), "yes": ("yes", "green"), "unknown": ("unknown", "orange")}
        coloured.append(
            {
                "matcher": {"id": "byName", "options": "warranted"},
                "properties": [
                    {"id": "mappings", "value": _mappings(answers)},
                    {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                ],
            }
        )
    return coloured


LEGEND = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
TOOLTIP = {"mode": "multi", "sort": "desc"}
DRAWN: dict[str, dict[str, Any]] = {
    "points": {"drawStyle": "points", "pointSize": 8, "showPoints": "always"},
    "line": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "auto", "spanNulls": False},
    "steps": {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "never",
        "spanNulls": False,
    },
    "bars": {
        "drawStyle": "bars",
        "lineWidth": 1,
        "fillOpacity": 70,
        "showPoints": "never",
        "stacking": {"mode": "normal", "group": "A"},
    },
}


def _options(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case "timeseries":
            return {"legend": LEGEND, "tooltip": TOOLTIP}
        case "state-timeline":
            words = bool(panel.words) and panel.words is not HELD
            return {
                "legend": LEGEND | {"showLegend": words},
                "tooltip": TOOLTIP,
                "mergeValues": True,
                "rowHeight": 0.85,
                "showValue": "auto",
                "alignValue": "left",
            }
        case "stat":
            return {
                "colorMode": "value",
                "graphMode": "none",
                "justifyMode": "auto",
                "textMode": "auto",
                "orientation": "auto",
                "wideLayout": True,
                "showPercentChange": False,
                "percentChangeColorMode": "standard",
                "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
            }
        case _:
            return {
                "frameIndex": 0,
                "showHeader": True,
                "cellHeight": "sm",
                "sortBy": [{"displayName": panel.value, "desc": True}],
            }


def _custom(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case "timeseries":
            return DRAWN[panel.draw]
        case "state-timeline":
            return {"fillOpacity": 80, "lineWidth": 0}
        case "table":
            return {"align": "auto", "inspect": False, "cellOptions": {"type": "auto"}}
        case _:
            return {}


def _panel(panel: Panel, number: int, place: tuple[int, int], height: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "custom": _custom(panel),
        "mappings": _mappings(panel.words),
        "color": {"mode": "thresholds" if panel.kind in ("stat", "state-timeline") else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [
                {"value": None if place == 0 else value, "color": colour}
                for place, (value, colour) in enumerate(panel.thresholds or ((0, "blue"),))
            ],
        },
    }
    if not defaults["custom"]:
        del defaults["custom"]
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.kind == "timeseries":
        defaults["min"] = 0
    described: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": place[0], "y": place[1], "w": panel.width, "h": height},
        "targets": [_target(index, query, panel.kind) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel)},
        "options": _options(panel),
    }
    if panel.draw == "bars":
        described["interval"] = STEP
    if panel.kind == "table":
        order = {name: index for index, name in enumerate((*panel.columns, "Value"))}
        hidden = {
            name: True for name in ("Time", "cluster", "interface", "family", "vrid", "instance") if name not in panel.columns
        }
        described["transformations"] = [
            {
                "id": "organize",
                "options": {
                    "indexByName": order,
                    "excludeByName": hidden,
                    "renameByName": {"Value": panel.value, "router": "lost by"},
                },
            }
        ]
    return described


def _panels(rows: tuple[tuple[Panel, ...], ...]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        left, height = 0, 4 if row[0].kind == "stat" else 8
        for panel in row:
            panels.append(_panel(panel, len(panels) + 1, (left, top), height))
            left += panel.width
        top += height
    return panels


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    """A list of a label's values, of which all are chosen first; the label may be missing."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 3 if name == "vrid" else 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _annotation(name: str, expr: str, title: str, colour: str, *, own_time: bool) -> dict[str, Any]:
    return {
        "name": name,
        "enable": True,
        "iconColor": colour,
        "datasource": SOURCE,
        "expr": expr,
        "titleFormat": title,
        "textFormat": "VRID {{vrid}} {{family}} on {{interface}}",
        "step": "15s",
        "useValueForTime": own_time,
    }


def dashboard(uid: str, title: str, about: str, rows: tuple[tuple[Panel, ...], ...], other: str, span: str) -> dict[str, Any]:
    """A dashboard as Grafana imports it."""
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["vrrp"],
        "schemaVersion": 41,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": span, "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "title": other,
                "type": "link",
                "url": f"/d/{other}",
                "icon": "dashboard",
                "tooltip": "",
                "tags": [],
                "asDropdown": False,
                "targetBlank": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1},
                _variable("cluster", "Cluster", "label_values(vrrp_observer_build_info, cluster)"),
                _variable("interface", "Interface", 'label_values(vrrp_addresses{cluster=~"$cluster"}, interface)'),
                _variable("vrid", "VRID", 'label_values(vrrp_addresses{cluster=~"$cluster",interface=~"$interface"}, vrid)'),
            ]
        },
        "annotations": {
            "list": [
                _annotation("Flaps", FLAPS, "{{cause}}, warranted: {{warranted}}", "red", own_time=True),
                _annotation("Storms", STORMS, "storm", "orange", own_time=False),
            ]
        },
        "panels": _panels(rows),
    }


DASHBOARDS = {
    "overview.json": dashboard(
        "vrrp-overview",
        "VRRP virtual routers",
        "Who has the virtual addresses, who had them, why they moved and what it cost.",
        OVERVIEW,
        "vrrp-incident",
        "now-24h",
    ),
    "incident.json": dashboard(
        "vrrp-incident",
        "VRRP incident",
        "One flap or storm in detail: choose a time range of some minutes around it.",
        INCIDENT,
        "vrrp-overview",
        "now-30m",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Write what is stale, or with ``--check`` only name it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    stale = 0
    for name, described in DASHBOARDS.items():
        path, text = HERE / name, json.dumps(described, indent=2) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale += 1
            if check:
                print(f"dashboards/{name} is stale: run `make docs`", file=sys.stderr)
            else:
                path.write_text(text, encoding="utf-8")
                print(f"dashboards/{name} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
