"""The program under test in a lab: agents in the nodes' namespaces, replays of what was captured there, and the two compared."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from .setting import MASTERS, address

if TYPE_CHECKING:
    from .lab import Lab

PROGRAM = str(Path(sys.executable).with_name("vrrp-observer"))
SOURCES = ("addresses", "adverts", "segments")
PORT = 9965
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Flap = dict[str, Any]
"""A flap as the JSON of the contract has it."""


@dataclass(frozen=True)
class Sample:
    """One line of /metrics."""

    name: str
    labels: dict[str, str]
    value: float


class Agent:
    """`vrrp-observer run` in a node; it dies with the lab."""

    def __init__(
        self,
        lab: Lab,
        node: str,
        *words: str,
        prefix: tuple[str, ...] = (),
        port: int = PORT,
        program: str = PROGRAM,
        host: str = "127.0.0.1",
        tls: tuple[str, ...] = (),
    ) -> None:
        """`words` are further flags, `prefix` a command that runs the program; `tls` are curl's words to be let in by HTTPS."""
        self.lab, self.node, self.port = lab, node, port
        self.url = f"{'https' if tls else 'http'}://{host}:{port}"
        self._tls = tls
        self.path = lab.out / f"{node}.agent.jsonl"
        self.errors = lab.out / f"{node}.agent.stderr"
        self._argv = [*prefix, program, "run", "--node", node, "--listen", f"{host}:{port}", "--format", "json", *words]
        self.process: subprocess.Popen[Any] | None = None

    def start(self) -> Self:
        """Start it; `wait_ready` says when it listens."""
        with self.path.open("w") as lines, self.errors.open("w") as errors:
            self.process = self.lab.popen(self.node, self._argv, stdout=lines, stderr=errors)
        return self

    def wait_ready(self, timeout: float = 20) -> Self:
        """Wait until every source of it listens."""
        self.lab.wait_until(self._ready, timeout, f"the agent of {self.node}; it said: {self.errors.read_text() or 'nothing'}")
        return self

    def _ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            status = None if self.process is None else self.process.returncode
            raise RuntimeError(
                f"the agent of {self.node} ended with status {status}: {self.errors.read_text() or 'nothing said'}"
            )
        up = {sample.labels["source"] for sample in self.metrics() if sample.name == "vrrp_observer_source_up" and sample.value}
        return up >= set(SOURCES)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process
        return self.process.pid

    def exposition(self) -> str:
        """What /metrics says now; empty while nothing answers."""
        return self.lab.exec(self.node, ["curl", "-sf", "-m", "5", *self._tls, f"{self.url}/metrics"]).stdout

    def metrics(self) -> list[Sample]:
        """The samples of /metrics now."""
        return samples(self.exposition())

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return sum(s.value for s in self.metrics() if s.name == name and labels.items() <= s.labels.items())

    def events(self) -> list[dict[str, Any]]:
        """Every line that it has written so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def flaps(self, stage: str = "closed") -> list[Flap]:
        """The flaps that it reported at a stage, in order of time."""
        found = [event["flap"] for event in self.events() if event["event"] == "flap" and event["stage"] == stage]
        return sorted(found, key=lambda flap: str(flap["time"]))

    def stop(self, timeout: float = 5) -> int:
        """End it with SIGTERM; its exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


def evidence(lab: Lab, node: str) -> tuple[str, ...]:
    """Flags that show an agent its node's files, which a lab has at places of its own."""
    return (
        *("--keepalived-conf", str(lab.out / f"{node}.keepalived.conf")),
        *("--log", str(lab.out / f"{node}.keepalived.log")),
        *("--haproxy-socket", str(lab.run / f"{node}.haproxy.sock")),
    )


def samples(exposition: str) -> list[Sample]:
    """Parse the exposition format as far as our own metrics use it."""
    matches = (_SAMPLE.fullmatch(line) for line in exposition.splitlines() if not line.startswith("#"))
    return [Sample(m[1], dict(_LABEL.findall(m[2] or "")), float(m[3])) for m in matches if m]


def replay(*files: Path, nodes: dict[str, Path] | None = None) -> dict[str, Any]:
    """What `vrrp-observer replay` says of captures; those of `nodes` with their node's name."""
    named = [word for node, path in (nodes or {}).items() for word in ("--node", f"{node}={path}")]
    command = [PROGRAM, "replay", "--format", "json", *map(str, files), *named]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"replay: exit status {done.returncode}: {done.stderr.strip()}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def nanoseconds(stamp: str) -> int:
    """The time of a flap in nanoseconds since the epoch."""
    whole, fraction = stamp.removesuffix("Z").split(".")
    return int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


def node_of(router: str | None) -> str | None:
    """The master that a router's address belongs to."""
    names = {address(node, family): node for node in MASTERS for family in (4, 6)}
    return names.get(router or "", router)


@dataclass(frozen=True)
class Pair:
    """A flap as an agent reported it and as the replay of its node's capture has it; None where it has not."""

    live: Flap | None
    replayed: Flap | None

    def differences(self, keys: tuple[str, ...], tolerance: float = 0.001) -> list[str]:
        """In what the two differ; their times may by `tolerance` seconds.

        A capture of everything shows data segments, which the agent does not look at, and the agent knows its node's addresses,
        which a capture does not tell. So one may not know whether the move was warranted where the other does: no difference.
        """
        if self.live is None or self.replayed is None:
            return ["only in the replay" if self.live is None else "only live"]
        found = []
        for key in keys:
            live, replayed = self.live[key], self.replayed[key]
            if live != replayed and not (key == "warranted" and "unknown" in (live, replayed)):
                found.append(f"{key}: {live} live, {replayed} replayed")
        if abs(self.apart) > tolerance:
            found.append(f"time: {self.apart * 1000:+.3f} ms apart")
        return found

    @property
    def apart(self) -> float:
        """Seconds by which the replay's time is after the live one."""
        assert self.live
        assert self.replayed
        return (nanoseconds(self.replayed["time"]) - nanoseconds(self.live["time"])) / 1e9


def paired(live: list[Flap], replayed: list[Flap], within: float = 0.5) -> list[Pair]:
    """Flaps of two reports, each with the one of the other that is nearest in time."""
    rest, pairs = list(replayed), []
    for flap in live:
        at = nanoseconds(flap["time"])
        near = min(rest, key=lambda other: abs(nanoseconds(other["time"]) - at), default=None)
        if near is not None and abs(nanoseconds(near["time"]) - at) <= within * 1e9:
            rest.remove(near)
        else:
            near = None
        pairs.append(Pair(flap, near))
    return pairs + [Pair(None, flap) for flap in rest]
