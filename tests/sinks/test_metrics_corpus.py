"""Metrics of recorded cases: expositions that were read and agreed to, and no metric that nothing moves.

The files ``golden_*.prom`` beside this one are written by machine: ``REWRITE_GOLDEN=1 pytest tests/sinks`` writes them anew;
read the difference before you commit it.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import subprocess
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
    "vrrp_flaps_open": "test_flaps_open_counts_while_a_verdict_waits",
    "vrrp_malformed_adverts_total": "test_how_the_agent_itself_is",
    "vrrp_router_local": "test_a_router_is_known_as_this_node_whichever_is_seen_first",
    "vrrp_observer_source_up": "test_how_the_agent_itself_is",
    "vrrp_observer_frames_lost_total": "test_how_the_agent_itself_is",
    "vrrp_observer_late_observations_total": "test_how_the_agent_itself_is",
    "vrrp_observer_lag_seconds": "test_how_the_agent_itself_is",
    "vrrp_storm_active": "test_a_storm_is_active_until_it_is_over",
    "vrrp_flap_connections_left_total": "test_connections_that_nothing_told_are_added_when_the_flap_closes",
    "vrrp_observer_build_info": "test_how_the_agent_itself_is",
}
"""Metrics that no recorded case moves, and the test in test_metrics.py that does."""


@functools.cache
def measured(name, node):
    metrics = Metrics()
    verdicts(CASES[name], (node,), sinks=[metrics])
    return metrics


def moved(metrics):
    return {sample.name for family in metrics.registry.collect() for sample in family.samples if sample.value}


def test_every_metric_is_moved_by_some_case_or_by_a_named_test():
    named = {name for name, test in NAMED.items() if hasattr(importlib.import_module("test_metrics"), test)}
    missing = {metric.name for metric in METRICS} - named
    for name, case in [(name, CASES[name]) for name in (*GOLDEN, *CASES)]:
        for node in case.captures if missing else ():
            missing -= moved(measured(name, node))
    assert missing == set()


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
