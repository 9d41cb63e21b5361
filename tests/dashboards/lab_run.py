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

SCRAPE = "2s"


def play(directory: Path) -> tuple[float, float]:
    """The run; begin and end in seconds since the epoch."""
    directory.mkdir(parents=True, exist_ok=True)
    agents_of = [{"targets": [f"{address(node)}:{PORT}"], "labels": {"cluster": "lab", "instance": node}} for node in MASTERS]
    scrapes = [{"job_name": "vrrp-observer", "static_configs": agents_of}]
    stack.configure(directory, scrapes, interval=SCRAPE)
    setting = OPENSHIFT_ORIGINAL.with_timings(interval=1, fall=2, rise=3)
    with Lab(setting, directory / "lab", capture=None) as lab:
        lab.start()
        lab.wait_active()
        agents = [Agent(lab, node, "--listen", f":{PORT}").start() for node in MASTERS]
        for agent in agents:
            agent.wait_ready(60)
        prometheus = lab.popen(CLIENT, stack.prometheus_argv(directory, 9090), log="prometheus.log")
        begin = time.time()
        lab.start_clients(CLIENTS)
        time.sleep(12)
        etcd_outage(lab, storm=30, calm=6)
        for node in MASTERS:
            lab.apiserver(node).ok()
        lab.malformed(FOREIGN)
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
