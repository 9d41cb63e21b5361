"""How long after the deciding packet /metrics shows the flap: measured for tests and for the bench.

The address is moved by a check that fails on demand, so the deciding packet is the new owner's first advert, at the time that
the node's own kernel stamped it with in that node's capture. The end is the first scrape that shows the flap counted.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .agents import Agent, Flap, nanoseconds, node_of, replay
from .services import HERE
from .setting import FLAG_ABSENT, OPENSHIFT_ORIGINAL, Check, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .lab import Lab

PAUSE = 0.015
# Equal priorities, so that the address stays where it is when the check is well again.
SETTING: Setting = OPENSHIFT_ORIGINAL.with_checks(Check("chk_flag", FLAG_ABSENT, weight=-30, fall=1, rise=1))


@dataclass(frozen=True)
class Latency:
    """One flap as one agent counted it."""

    node: str
    vantage: str
    """old owner, new owner or bystander."""
    cause: str
    warranted: str
    seconds: float


def measure(lab: Lab, agents: list[Agent], moves: int) -> list[Latency]:
    """Move the address so often in a lab of `SETTING` that runs with captures, agents on all masters, and clients."""
    for agent in agents:
        program = [sys.executable, "-I", "-S", str(HERE / "poller.py"), str(agent.port), str(PAUSE)]
        with _scrapes(agent).open("w") as lines:
            lab.popen(agent.node, program, stdout=lines)
    time.sleep(2)
    for _ in range(moves):
        owner = lab.holder()
        lab.flag(owner).touch()
        lab.wait_move(owner)
        lab.flag(owner).unlink()
        lab.wait_active()
    # The slowest verdicts are given 5 s after the move.
    lab.wait_until(lambda: all(len(agent.flaps("standing")) >= moves for agent in agents), 8, "all flaps to be counted")
    time.sleep(10 * PAUSE)
    return [latency for agent in agents for latency in _latencies(agent)]


def _scrapes(agent: Agent) -> Path:
    return agent.lab.out / f"{agent.node}.scrapes.jsonl"


def _latencies(agent: Agent) -> Iterable[Latency]:
    """Each flap of the capture with the scrape that first showed it; the agent tells in which order it counted them."""
    scrapes = [json.loads(line) for line in _scrapes(agent).read_text().splitlines()]
    stamped = {flap["id"]: flap for flap in replay(agent.lab.out / f"{agent.node}.pcap")["flaps"]}
    for number, told in enumerate(agent.flaps("standing")):
        flap: Flap = stamped.get(told["id"], told)
        shown = next((scrape["time"] for scrape in scrapes if scrape["flaps"] > number), None)
        if shown is not None:
            yield Latency(
                agent.node,
                _vantage(agent.node, flap),
                told["cause"],
                told["warranted"],
                (shown - nanoseconds(flap["time"])) / 1e9,
            )


def _vantage(node: str, flap: Flap) -> str:
    return {node_of(flap["from"]): "old owner", node_of(flap["to"]): "new owner"}.get(node, "bystander")


def summary(latencies: Iterable[Latency]) -> str:
    """Median, minimum, maximum and number, in milliseconds."""
    values = sorted(latency.seconds * 1000 for latency in latencies)
    if not values:
        return "nothing measured"
    return f"median {statistics.median(values):.0f} ms, min {values[0]:.0f} ms, max {values[-1]:.0f} ms, n={len(values)}"
