"""Real Prometheus and Alertmanager for tests: started on loopback or in a lab's namespace, asked, and ended."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RULES = Path(__file__).resolve().parents[2] / "dashboards" / "rules"


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def wait(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer of ``condition``; AssertionError if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)
    return answer


def get(url: str, accept: str = "*/*") -> tuple[str, str]:
    """Body and content type of a page."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return answer.read().decode(), answer.headers["Content-Type"]


class Daemon:
    """A process that ends with the ``with``."""

    def __init__(self, argv: Sequence[str], log: Path, ready: str) -> None:
        self.argv, self.log, self.ready = list(argv), log, ready
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            if self.ready:
                wait(self._answers, 30, f"{self.argv[0]} to be ready; see {self.log}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it in order, or not."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        try:
            get(self.ready)
        except (OSError, urllib.error.URLError):
            return False
        return True


def prometheus_argv(directory: Path, port: int) -> list[str]:
    """The command for a data directory that holds ``prometheus.yml``."""
    return [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=10y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--web.cors.origin=.*",
        "--log.level=warn",
    ]


def configure(
    directory: Path, scrapes: list[dict[str, Any]], *, interval: str = "1s", alertmanager: int | None = None, patience: str = ""
) -> None:
    """Write ``prometheus.yml`` and the rules; ``patience`` replaces every ``for`` of the alerts."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(RULES / "recording.yaml", directory)
    alerts = yaml.safe_load((RULES / "alerts.yaml").read_text(encoding="utf-8"))
    for group in alerts["groups"]:
        for rule in group["rules"]:
            if patience and "for" in rule:
                rule["for"] = patience
    (directory / "alerts.yaml").write_text(yaml.safe_dump(alerts), encoding="utf-8")
    document: dict[str, Any] = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval, "scrape_timeout": interval},
        "rule_files": ["recording.yaml", "alerts.yaml"],
        "scrape_configs": scrapes,
    }
    if alertmanager is not None:
        targets = [{"targets": [f"127.0.0.1:{alertmanager}"]}]
        document["alerting"] = {"alertmanagers": [{"static_configs": targets}]}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")


class Prometheus(Daemon):
    """Prometheus on loopback over a directory that ``configure`` wrote."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(prometheus_argv(directory, self.port), directory / "prometheus.log", f"{self.url}/-/ready")

    def api(self, path: str, **parameters: Any) -> Any:
        """What the API answers."""
        body, _ = get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(body)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """An instant vector."""
        result: list[dict[str, Any]] = self.api("query", query=expr, **({"time": at} if at else {}))["result"]
        return result

    def query_range(self, expr: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """A matrix."""
        result: list[dict[str, Any]] = self.api("query_range", query=expr, start=begin, end=end, step=step)["result"]
        return result


class Alertmanager(Daemon):
    """Alertmanager on loopback, which tells a webhook of everything at once."""

    def __init__(self, directory: Path, webhook: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        document = {
            "route": {
                "receiver": "webhook",
                "group_by": ["alertname", "cluster", "interface", "vrid", "family"],
                "group_wait": "0s",
                "group_interval": "1s",
            },
            "receivers": [{"name": "webhook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
        }
        path = directory / "alertmanager.yml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        argv = [
            "prometheus-alertmanager",
            f"--config.file={path}",
            f"--storage.path={directory / 'state'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        super().__init__(argv, directory / "alertmanager.log", f"http://127.0.0.1:{self.port}/-/ready")


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address of loopback, and the alerts that were posted there so far."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
