"""A real Prometheus scrapes a real agent by client certificate, past silent clients and through changes of the certificate."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from lab.agents import PROGRAM
from sinks.tls_authority import Authority

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SILENT = 40
"""Clients that connect and say nothing; well below the number at which the oldest is closed."""

CONFIGURATION = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: known
    scheme: https
    tls_config: {ca_file: authority.pem, cert_file: scraper.pem, key_file: scraper.key}
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
  - job_name: unknown
    scheme: https
    tls_config: {ca_file: authority.pem}
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def started(stack: ExitStack, *argv: str, log: Path, folder: Path) -> subprocess.Popen[bytes]:
    stream = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, cwd=folder)
    stack.callback(process.wait, 20)
    stack.callback(process.kill)
    return process


def test_prometheus_scrapes_by_certificate(tmp_path: Path) -> None:
    assert shutil.which("prometheus"), "not installed: prometheus"
    authority = Authority(tmp_path, "authority").create()
    authority.issue("scraper")
    listen, web = free_port(), free_port()
    live = {"pem": tmp_path / "live.pem", "key": tmp_path / "live.key"}

    def install(name: str, days: int = 2) -> None:
        for file, path in zip(authority.issue(name, days), live.values(), strict=True):
            os.replace(file, path)  # noqa: PTH105 - one name for both lines

    def ask(query: str) -> dict[str, float]:
        url = f"http://127.0.0.1:{web}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                found: list[dict[str, Any]] = json.load(response)["data"]["result"]
        except OSError:
            return {}
        return {sample["metric"]["job"]: float(sample["value"][1]) for sample in found}

    def becomes(query: str, wanted: dict[str, float]) -> None:
        until = time.monotonic() + 30
        while (found := ask(query)) != wanted:
            assert time.monotonic() < until, (found, (tmp_path / "agent.log").read_text())
            time.sleep(0.5)

    install("server")
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION.replace("PORT", str(listen)))
    with ExitStack() as stack:
        started(
            stack,
            *(PROGRAM, "run", "--listen", f"127.0.0.1:{listen}", "--tls-client-ca", authority.cert),
            *("--tls-cert", str(live["pem"]), "--tls-key", str(live["key"])),
            log=tmp_path / "agent.log",
            folder=tmp_path,
        )
        started(
            stack,
            *("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{web}"),
            log=tmp_path / "prometheus.log",
            folder=tmp_path,
        )
        becomes("up", {"known": 1, "unknown": 0})
        becomes("vrrp_observer_source_up{source='adverts'}", {"known": 1})
        for _ in range(SILENT):
            stack.enter_context(socket.create_connection(("127.0.0.1", listen), timeout=10))
        # Each scrape may take one second; the silent clients stay for ten.
        becomes("sum by (job) (count_over_time(up[3s]))", {"known": 3, "unknown": 3})
        becomes("min by (job) (min_over_time(up[3s]))", {"known": 1, "unknown": 0})

        install("late", days=0)
        becomes("up", {"known": 0, "unknown": 0})
        install("renewed")
        becomes("up", {"known": 1, "unknown": 0})
    assert "Traceback" not in (tmp_path / "agent.log").read_text()
