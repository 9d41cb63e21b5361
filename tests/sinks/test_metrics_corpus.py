"""Metrics of recorded cases: expositions that were read and agreed to, and no metric that nothing moves.

The files ``golden_*.prom`` beside this one are written by machine: ``REWRITE_GOLDEN=1 pytest tests/sinks`` writes them anew;
read the difference before you commit it.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from cases import cases, verdicts
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

import observer
from observer.sinks.metrics import METRICS, Metrics

HERE = Path(__file__).parent
CASES = {case.name: case for case in cases()}
GOLDEN = {
    "check_failed/original_bug": "m2",
    "daemon_killed/kill9_unicast": "m0",
    "near-misses/quiet": "m1",
    "partition/multicast": "m0",
    "stopped/sigterm_unicast": "m2",
    "check_failed/v6_flag": "m1",
}
"""Case and the node whose agent tells."""

NAMED = {
    # How the agent itself is, and what it sees of its own node's sockets: no capture has that.
    "vrrp_observer_frames_lost_total": "test_how_the_agent_itself_is",
    "vrrp_observer_late_observations_total": "test_how_the_agent_itself_is",
    "vrrp_observer_lag_seconds": "test_how_the_agent_itself_is",
    "vrrp_flap_connections_left_total": "test_connections_that_nothing_told_are_added_when_the_flap_closes",
}
"""Metrics that no recorded case can move, and the test in test_metrics.py that does."""

RARE = {
    "vrrp_flaps_open": "stopped/frr_v6",
    "vrrp_reset_bursts_total": "check_failed/haproxy_killed",
    "vrrp_malformed_adverts_total": "adverts_rejected/checksum",
    "vrrp_router_local": "preempted/frr_v6",
    "vrrp_flap_connections_refused_total": "check_failed/haproxy_killed",
    "vrrp_storms_total": "near-misses/foreign_same_address",
    "vrrp_storm_active": "near-misses/foreign_same_address",
}
"""Metrics that few cases move, and one that does, from all its nodes together."""


class Watch:
    """A sink beside the metrics: which of them have ever been above 0."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics, self.moved = metrics, set()

    def observed(self, _observation):
        pass

    def happened(self, _event):
        self.moved |= {sample.name for family in self.metrics.registry.collect() for sample in family.samples if sample.value > 0}


@functools.cache
def measured(name, node):
    metrics = Metrics()
    verdicts(CASES[name], (node,), sinks=[metrics])
    return metrics


@functools.cache
def moved(name):
    watch = Watch(Metrics())
    verdicts(CASES[name], CASES[name].vantages["all"], sinks=[watch.metrics, watch])
    return watch.moved


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS if metric.name not in NAMED])
def test_every_metric_is_moved_by_some_case(metric):
    assert any(metric in moved(name) for name in ([RARE[metric]] if metric in RARE else GOLDEN))


@pytest.mark.parametrize("metric", NAMED)
def test_what_no_case_can_move_a_named_test_does(metric):
    assert hasattr(importlib.import_module("test_metrics"), NAMED[metric])
    assert not any(metric in moved(name) for name in GOLDEN)


def counted(metrics, name, *labels):
    """Values of a metric that are not 0, by some of its labels."""
    found = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name == name and sample.value:
                key = tuple(sample.labels[label] for label in labels)
                found[key] = found.get(key, 0) + sample.value
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_case_counts_what_its_verdicts_say(name):
    """The flaps of verdict.json, which was read and agreed to, and their cost: the same in one node's metrics."""
    node, *_ = CASES[name].captures
    flaps = json.loads((CASES[name].path / "verdict.json").read_text(encoding="utf-8"))[node]
    metrics = measured(name, node)
    assert counted(metrics, "vrrp_flaps_total", "cause", "warranted") == Counter((f["cause"], f["warranted"]) for f in flaps)
    assert counted(metrics, "vrrp_router_flaps_total", "router") == Counter((f["from"] or "",) for f in flaps)
    assert counted(metrics, "vrrp_verdicts_total", "cause", "confidence") == Counter((f["cause"], f["confidence"]) for f in flaps)
    assert counted(metrics, "vrrp_flaps_open") == {}
    outage = sum(f["outage_seconds"]["min"] or 0 for f in flaps)
    assert sum(counted(metrics, "vrrp_outage_seconds_total").values()) == pytest.approx(outage, abs=1e-6)
    for cost in ("reset", "refused", "left"):
        told = sum(f["connections"][cost] or 0 for f in flaps)
        assert sum(counted(metrics, f"vrrp_flap_connections_{cost}_total").values()) == told


@pytest.mark.parametrize("name", GOLDEN)
def test_the_exposition_is_the_one_agreed_to(name):
    """Counters by cause that are 0 are left out: there are a hundred of them."""
    text = openmetrics.generate_latest(measured(name, GOLDEN[name]).registry).decode()
    text = text.replace(f'version="{observer.__version__}"', 'version="X"')
    text = text.replace(f"{CASES[name].path}/", "")
    text = re.sub(r"^\w+_total\{[^}]*(cause|reason)=.* 0\.0\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"(# \{flap=.*\} 1\.0) [\d.e+]+$", r"\1 NOW", text, flags=re.MULTILINE)
    path = HERE / f"golden_{name.replace('/', '_')}.prom"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "if the change is meant: REWRITE_GOLDEN=1 pytest tests/sinks"


@pytest.mark.parametrize("name", GOLDEN)
def test_promtool_finds_nothing_to_say(name):
    metrics = measured(name, GOLDEN[name])
    text = generate_latest(metrics.registry)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, (checked.stdout + checked.stderr).decode()) == (0, "")
