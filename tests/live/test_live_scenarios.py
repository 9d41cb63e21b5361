"""Every scenario live: the agent of each node says what the replay of that node's capture says, and what really happened.

Neither has all that the other has: the agent looks at processes and sockets, the capture holds data segments. So one may be less
sure than the other, or see nothing; two different causes are an error, and so is a certain one that is not the label's.
LIVE_TABLE names a file to which a line for each scenario is added.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import MASTERS, Lab
from lab.agents import PROGRAM, Agent, Pair, evidence, node_of, paired
from lab.scenarios import SCENARIOS

if TYPE_CHECKING:
    from lab.agents import Flap
    from lab.scenarios import Scenario

pytestmark = [pytest.mark.lab, pytest.mark.slow]

BASELINE = 3
WEAK = "unexplained"

ALIKE = {"address_removed": {"stopped"}}
"""What a cause looks like from elsewhere, where its router does not come back: said as likely at most."""


def played(scenario: Scenario, out: Path) -> dict[str, list[Flap]]:
    """What the agents said of it; a node that loses its power takes its agent along."""
    with Lab(scenario.setting, out) as lab:
        lab.start(absent=scenario.absent)
        agents = {node: Agent(lab, node, *evidence(lab, node)).start() for node in MASTERS}
        lab.wait_active()
        for agent in agents.values():
            agent.wait_ready()
        lab.start_clients(scenario.clients)
        time.sleep(BASELINE)
        scenario.steps(lab)
        time.sleep(2)
        survivors = {node: agent for node, agent in agents.items() if agent.stop() != -signal.SIGKILL}
        assert {node: agent.errors.read_text() for node, agent in survivors.items()} == dict.fromkeys(survivors, "")
        return {node: ours(agent.flaps(), scenario) for node, agent in survivors.items()}


def ours(flaps: list[Flap], scenario: Scenario) -> list[Flap]:
    """Those of the address: a foreign group has flaps of its own."""
    return [flap for flap in flaps if scenario.setting.vip in flap["addresses"]]


def replayed(out: Path, *nodes: str) -> list[Flap]:
    """What the captures say, with the nodes' address events, logs and configurations."""
    words = [PROGRAM, "replay", "--format", "json"]
    for node in nodes:
        files = {"node": "pcap", "addresses": "ipmonitor.log", "log": "keepalived.log", "keepalived-conf": "keepalived.conf"}
        words += [word for flag, kind in files.items() for word in (f"--{flag}", f"{node}={out / f'{node}.{kind}'}")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    flaps: list[Flap] = json.loads(done.stdout)["flaps"]
    return flaps


def said(flap: Flap | None) -> str:
    """In short."""
    if flap is None:
        return "nothing"
    moved = f"{node_of(flap['from'])}>{node_of(flap['to'])}"
    return f"{moved} {flap['cause']} {flap['confidence']}, {flap['warranted']}" + (f", {flap['check']}" if flap["check"] else "")


def contradicts(pair: Pair) -> bool:
    """Whether live and replay name two causes, or two moves."""
    if pair.live is None or pair.replayed is None:
        return False
    one, other = pair.live, pair.replayed
    causes = {one["cause"], other["cause"]} - {WEAK}
    return len(causes) > 1 or (one["from"], one["to"]) != (other["from"], other["to"])


def tell(name: str, scenario: Scenario, pairs: dict[str, list[Pair]], together: list[Flap]) -> None:
    """A line for the table."""
    if table := os.environ.get("LIVE_TABLE"):
        row: dict[str, Any] = {
            "scenario": name,
            "label": [*scenario.causes, scenario.warranted],
            "nodes": {node: [(said(pair.live), said(pair.replayed)) for pair in each] for node, each in pairs.items()},
            "together": [said(flap) for flap in together],
        }
        with Path(table).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_live_as_in_its_replay(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    live = played(scenario, tmp_path)
    pairs = {node: paired(flaps, ours(replayed(tmp_path, node), scenario)) for node, flaps in live.items()}
    together = ours(replayed(tmp_path, *MASTERS), scenario)
    tell(name, scenario, pairs, together)
    flaps = [flap for flaps in live.values() for flap in flaps]
    certain = {flap["cause"] for flap in (*flaps, *together) if flap["confidence"] == "certain"}
    assert certain <= {*scenario.causes, *scenario.perhaps}
    assert [said(pair.live) + " / " + said(pair.replayed) for each in pairs.values() for pair in each if contradicts(pair)] == []
    causes = {flap["cause"] for flap in (*flaps, *together)}
    alike = set().union(*(ALIKE.get(cause, set()) for cause in scenario.causes))
    assert set(scenario.causes[:1]) <= causes <= {*scenario.causes, *scenario.perhaps, *alike, WEAK}
