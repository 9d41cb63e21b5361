"""Agents record flaps in a real lab: their recordings replay to what they said, open in other tools, and hold no password."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from lab import MASTERS, OPENSHIFT_ORIGINAL, PLAIN, Lab, Setting
from lab.agents import PROGRAM, Agent, nanoseconds
from lab.scenarios import SCENARIOS
from recorder.tape import observations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.lab

BASELINE = 3
PASSWORD = "s3cr3tpw"  # noqa: S105
QUICK = ("check_failed_original_bug", "adverts_rejected")
SLOW = sorted(SCENARIOS.keys() - {*QUICK})


def replayed(*paths: Path) -> dict[str, Any]:
    words = [PROGRAM, "replay", "--format", "json", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def played(
    setting: Setting, steps: Callable[[Lab], Any], out: Path, *, clients: int = 0, absent: tuple[str, ...] = (), after: float = 6
) -> dict[str, Any]:
    """What the agents of a lab said of its flaps; their recordings are below `out`."""
    with Lab(setting, out) as lab:
        lab.start(absent=absent)
        agents = {node: Agent(lab, node, "--recordings", str(out / "recordings" / node)).start() for node in MASTERS}
        lab.wait_active()
        for agent in agents.values():
            agent.wait_ready()
        if clients:
            lab.start_clients(clients)
        time.sleep(BASELINE)
        steps(lab)
        time.sleep(after)
        metrics = {
            node: agent.exposition() for node, agent in agents.items() if not agent.process or agent.process.poll() is None
        }
        # A node that loses its power loses its agent.
        survivors = {node: agent for node, agent in agents.items() if agent.stop() != -signal.SIGKILL}
        for agent in survivors.values():
            assert agent.process
            assert agent.process.returncode == 0
            assert agent.errors.read_text() == ""
        return {node: (agent.flaps(), metrics[node]) for node, agent in survivors.items()}


def check(said: dict[str, Any], out: Path) -> None:
    for node, (flaps, _) in said.items():
        recordings = out / "recordings" / node
        if flaps:
            assert json.dumps(replayed(recordings)["flaps"]) == json.dumps(flaps)
        else:
            assert not list(recordings.iterdir())


@pytest.mark.parametrize("name", QUICK)
def test_a_recording_replays_to_what_the_agent_said(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    said = played(scenario.setting, scenario.steps, tmp_path, clients=scenario.clients, absent=scenario.absent)
    assert all(flaps for flaps, _ in said.values())
    check(said, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_so_does_that_of_any_scenario(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    check(played(scenario.setting, scenario.steps, tmp_path, clients=scenario.clients, absent=scenario.absent), tmp_path)


@pytest.mark.slow
def test_a_recording_that_begins_and_ends_by_itself_replays_the_same(tmp_path: Path) -> None:
    """It begins long after the agent, with what the engine knew by then, and is complete before the agent stops."""
    with Lab(PLAIN, tmp_path) as lab:
        lab.start()
        words = ("--recordings", str(tmp_path / "recordings"), "--record-before", "10", "--record-after", "10")
        agent = Agent(lab, "m0", *words).start()
        lab.wait_active()
        agent.wait_ready()
        lab.start_clients(10)
        time.sleep(45)
        owner = lab.holder()
        lab.keepalived(owner).stop()
        lab.wait_move(owner)
        lab.wait_until(agent.flaps, 70, "the flap to close")
        lab.wait_until(lambda: list((tmp_path / "recordings").glob("*.pcapng")), 20, "the recording to be complete")
        document = replayed(tmp_path / "recordings")
        said = agent.flaps()
        assert agent.stop() == 0
    assert json.dumps(document["flaps"]) == json.dumps(said)
    [path] = (tmp_path / "recordings").iterdir()
    begins = min(observation.time for observation in observations(path, node="m0"))
    assert 10 < (nanoseconds(said[0]["time"]) - begins) / 1e9 < 45


def test_three_nodes_together_without_naming_them_and_no_password_anywhere(tmp_path: Path) -> None:
    setting = OPENSHIFT_ORIGINAL.with_password(PASSWORD)
    said = played(setting, SCENARIOS["check_failed_original_bug"].steps, tmp_path, clients=20)
    document = replayed(*(tmp_path / "recordings" / node for node in MASTERS))
    assert {span["node"] for span in document["coverage"]} == set(MASTERS)
    [flap] = document["flaps"]
    assert (flap["cause"], flap["confidence"]) == ("check_failed", "certain")
    [path] = (tmp_path / "recordings" / "m0").iterdir()
    for words in (("tshark", "-r", str(path), "-Y", "vrrp"), ("tcpdump", "-nr", str(path), "vrrp")):
        shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
        assert "vrrp" in shown.lower()
    assert PASSWORD.encode() in b"".join(file.read_bytes() for file in tmp_path.glob("*.conf")), "the lab has it"
    texts = [json.dumps(said), json.dumps(document)]
    files = [file for file in tmp_path.rglob("*") if file.is_file() and (file.match("recordings/*/*") or "agent" in file.name)]
    assert len(files) >= 9
    assert not [file for file in files if PASSWORD.encode() in file.read_bytes()]
    assert not [text for text in texts if PASSWORD in text]


def test_at_a_signal_it_records_what_it_has(tmp_path: Path) -> None:
    with Lab(PLAIN, tmp_path) as lab:
        lab.start()
        agent = Agent(lab, "m0", "--recordings", str(tmp_path / "recordings")).start()
        lab.wait_active()
        agent.wait_ready()
        time.sleep(2)
        assert agent.process
        agent.process.send_signal(signal.SIGUSR1)
        lab.wait_until(lambda: list((tmp_path / "recordings").glob("*.part")), 5, "a recording to begin")
        assert agent.sum("vrrp_observer_source_up", source="recorder") == 1
        assert agent.stop() == 0
    [path] = (tmp_path / "recordings").iterdir()
    document = replayed(path)
    assert document["flaps"] == []
    assert document["routers"][0]["routers"]


def test_a_full_disk_costs_a_recording_and_not_the_agent(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(full)], check=True)
    try:
        (full / "others").write_bytes(bytes(8192))
        with Lab(PLAIN, tmp_path) as lab:
            lab.start()
            agent = Agent(lab, "m0", "--recordings", str(full)).start()
            lab.wait_active()
            agent.wait_ready()
            assert agent.process
            agent.process.send_signal(signal.SIGUSR1)
            lab.wait_until(lambda: agent.sum("vrrp_observer_source_up", source="recorder") == 0, 10, "the recorder to be down")
            owner = lab.holder()
            lab.keepalived(owner).stop()
            lab.wait_move(owner)
            lab.wait_until(lambda: agent.flaps("standing") or agent.flaps("provisional"), 10, "a verdict all the same")
            assert agent.stop() == 0
            said = agent.errors.read_text().splitlines()
        assert len(said) == 1
        assert said[0].startswith(f"vrrp-observer: recordings: {full}: No space left on device")
        assert [path.name for path in full.iterdir()] == ["others"]
    finally:
        subprocess.run(["umount", str(full)], check=True)
