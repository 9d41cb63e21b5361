"""A storm and an orderly stop in a real lab, with three agents that a real Prometheus scrapes: the data behind the pictures.

``python tests/dashboards/lab_run.py DIRECTORY`` plays it, in under three minutes, and leaves Prometheus' data there, with the
times of begin and end in ``times.json``.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import stack
from lab import CLIENT, FOREIGN, MASTERS, OPENSHIFT_ORIGINAL, Lab, address
from lab.agents import PORT, Agent
from lab.storm import CLIENTS, etcd_outage

from observer.sinks.metrics import METRICS

SCRAPE = "2s"

LATE = """
vrrp_resets_total{interface="eth0",vrid="51",family="ipv4",reason="orphaned"} %(resets)d
vrrp_reset_bursts_total{interface="eth0",vrid="51",family="ipv4",cause="flap"} %(bursts)d
vrrp_storms_total{interface="eth0",vrid="51",family="ipv4"} %(storm)d
vrrp_storm_active{interface="eth0",vrid="51",family="ipv4"} %(storm)d
vrrp_flap_misdirected_seconds_total{interface="eth0",vrid="51",family="ipv4"} %(bursts)d
vrrp_flap_connections_left_total{interface="eth0",vrid="51",family="ipv4"} %(bursts)d
"""
"""Metrics that the agent is about to have, made up for as long as it has not."""

MALFORMED = (
    "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112);"
    "s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255);"
    "s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]));"
    "[s.sendto(bytes([0x21, 51, 100, 1, 0, 1, 0xDE, 0xAD, 192, 0, 2, 100, *bytes(8)]), ('224.0.0.18', 0)) for _ in range(3)]"
)
"""Sends three adverts with a wrong checksum."""


def late_metrics(**values: int) -> str:
    """What the agent does not have yet."""
    has = {metric.name: metric.labels for metric in METRICS}
    lines = [line for line in (LATE % values).splitlines() if line]
    return "\n".join(line for line in lines if "vrid" not in has.get(line.partition("{")[0], ())) + "\n"


def play(directory: Path) -> tuple[float, float]:
    """The run; begin and end in seconds since the epoch."""
    pages = directory / "late"
    pages.mkdir(parents=True, exist_ok=True)
    page = pages / "metrics"
    values = {"resets": 0, "bursts": 0, "storm": 0}
    page.write_text(late_metrics(**values), encoding="utf-8")
    agents_of = [{"targets": [f"{address(node)}:{PORT}"], "labels": {"cluster": "lab", "instance": node}} for node in MASTERS]
    scrapes = [
        {"job_name": "vrrp-observer", "static_configs": agents_of},
        {
            "job_name": "late",
            "metric_relabel_configs": [{"target_label": "job", "replacement": "vrrp-observer"}],
            "static_configs": [{"targets": ["127.0.0.1:8000"], "labels": {"cluster": "lab", "instance": "m1"}}],
        },
    ]
    stack.configure(directory, scrapes, interval=SCRAPE)
    setting = OPENSHIFT_ORIGINAL.with_timings(interval=1, fall=2, rise=3)
    with Lab(setting, directory / "lab", capture=None) as lab:
        lab.start()
        lab.wait_active()
        agents = [Agent(lab, node, "--listen", f":{PORT}").start() for node in MASTERS]
        for agent in agents:
            agent.wait_ready(60)
        lab.popen(CLIENT, [sys.executable, "-m", "http.server", "-d", str(pages), "-b", "127.0.0.1", "8000"], log="late.log")
        prometheus = lab.popen(CLIENT, stack.prometheus_argv(directory, 9090), log="prometheus.log")
        begin = time.time()
        lab.start_clients(CLIENTS)
        time.sleep(12)
        page.write_text(late_metrics(**(values | {"storm": 1, "resets": 400, "bursts": 2})), encoding="utf-8")
        etcd_outage(lab, storm=30, calm=6)
        for node in MASTERS:
            lab.apiserver(node).ok()
        page.write_text(late_metrics(**(values | {"resets": 900, "bursts": 4})), encoding="utf-8")
        lab.exec(FOREIGN, [sys.executable, "-c", MALFORMED, address(FOREIGN)], check=True)
        time.sleep(4)
        holder = lab.holder()
        lab.keepalived(holder).stop()
        lab.wait_move(holder)
        # A flap closes a minute after its move, and its cost is added then.
        time.sleep(68)
        end = time.time()
        prometheus.send_signal(signal.SIGTERM)
        prometheus.wait(20)
        for agent in agents:
            assert agent.stop() == 0
    (directory / "times.json").write_text(json.dumps({"begin": begin, "end": end}), encoding="utf-8")
    return begin, end


if __name__ == "__main__":
    print(play(Path(sys.argv[1]).resolve()))
