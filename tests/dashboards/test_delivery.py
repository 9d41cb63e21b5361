"""From a recorded flap to a webhook: three agents' metrics, a real Prometheus with our rules, a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from dataclasses import replace

import pytest
import stack
from cases import cases, verdicts
from prometheus_client import start_http_server

from observer.model.flaps import FlapJudged
from observer.model.observations import SourceChange, SourceState
from observer.sinks.metrics import Metrics

pytestmark = pytest.mark.slow

CASE = next(case for case in cases() if case.name == "check_failed/original_bug")
NODES = ("m0", "m1", "m2")
LABEL = CASE.labels[0]
ENDED = SourceChange(time=0, node="", source="adverts", state=SourceState.STOPPED)


class Told:
    """A sink that keeps what it is told, to tell it to another."""

    def __init__(self) -> None:
        self.calls = []

    def observed(self, observation):
        self.calls.append((Metrics.observed, observation))

    def happened(self, event):
        self.calls.append((Metrics.happened, event))


def on_eth0(_node, items):
    """Captures on all interfaces do not name them."""
    return [replace(item, interface="eth0") if getattr(item, "interface", "") is None else item for item in items]


class Node:
    """The metrics of one node's agent, up to the flap and then beyond it."""

    def __init__(self, node: str) -> None:
        told = Told()
        verdicts(CASE, (node,), sinks=[told], spoil=on_eth0)
        flap = next(place for place, (_, item) in enumerate(told.calls) if isinstance(item, FlapJudged))
        self.name = node
        self.metrics, self.before, self.after = Metrics(), told.calls[:flap], told.calls[flap:]
        self.server, _ = start_http_server(0, "127.0.0.1", registry=self.metrics.registry)
        self.port = self.server.server_port

    def feed(self, calls):
        for tell, item in calls:
            tell(self.metrics, item)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def delivered(posted, name):
    return [alert for alert in posted if alert["labels"]["alertname"] == name]


def test_a_flap_comes_to_a_webhook_with_its_cause(tmp_path):
    with ExitStack() as running:
        url, posted = running.enter_context(stack.webhook())
        nodes = [Node(name) for name in NODES]
        for node in nodes:
            node.feed(node.before)
            running.callback(node.server.server_close)
        alertmanager = running.enter_context(stack.Alertmanager(tmp_path / "alertmanager", url))
        targets = [
            {"targets": [f"127.0.0.1:{node.port}"], "labels": {"instance": node.name, "cluster": "blue"}} for node in nodes
        ]
        stack.configure(
            tmp_path / "prometheus",
            [{"job_name": "vrrp-observer", "static_configs": targets}],
            alertmanager=alertmanager.port,
            patience="1s",
        )
        prometheus = running.enter_context(stack.Prometheus(tmp_path / "prometheus"))
        seen = "count(count by (instance) (count_over_time(vrrp_router_flaps_total[1m]) > 1)) == 3"
        stack.wait(lambda: prometheus.query(seen), 30, "every agent to be scraped twice")
        assert not posted

        for node in nodes:
            node.feed(node.after)
        [alert] = stack.wait(lambda: delivered(posted, "VrrpUnwarrantedFlap"), 30, "the alert")
        assert alert["status"] == "firing"
        expected = {"cluster": "blue", "interface": "eth0", "vrid": "51", "family": "ipv4", "severity": "warning"}
        assert alert["labels"].items() >= (expected | {"cause": LABEL.cause, "router": LABEL.former}).items()
        assert f"Cause: {LABEL.cause}." in alert["annotations"]["description"]
        assert LABEL.former in alert["annotations"]["description"]

        # The sources of the lab's case are files; an agent's own are named by what they hear.
        for node in nodes:
            node.feed([(Metrics.observed, replace(ENDED, node=node.name))])
        blind = stack.wait(lambda: delivered(posted, "VrrpObserverBlind"), 30, "the agents to be blind")
        assert "has not been listening" in blind[0]["annotations"]["description"]

        query = ["amtool", f"--alertmanager.url=http://127.0.0.1:{alertmanager.port}", "alert", "query", "-o", "json"]
        listed = json.loads(subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout)
        assert {entry["labels"]["alertname"] for entry in listed} == {entry["labels"]["alertname"] for entry in posted}

        # One flap, though three agents counted it; and its id goes with the count.
        [counted] = prometheus.query("sum(router:vrrp_flaps:increase15m)")
        assert counted["value"][1] == "1"
        assert [entry["value"][1] for entry in prometheus.query("sum(vrrp_flaps_total)")] == ["3"]
        exemplars = prometheus.api("query_exemplars", query="vrrp_flaps_total", start=0, end=4e9)
        ids = {exemplar["labels"]["flap"] for series in exemplars for exemplar in series["exemplars"]}
        assert len(exemplars) == 3
        assert all(identity.endswith("-ipv4-51") for identity in ids)

        nodes[0].stop()
        down = stack.wait(lambda: delivered(posted, "VrrpObserverDown"), 30, "the agent to be missed")
        assert down[0]["labels"]["instance"] == nodes[0].name
        for node in nodes[1:]:
            node.server.shutdown()
