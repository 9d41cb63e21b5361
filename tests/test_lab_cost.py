"""What the captures of all nodes tell of the cost is what the clients themselves counted; one node alone tells no more."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from lab.agents import nanoseconds, replay
from lab.moves import moves
from lab.scenarios import play
from lab.setting import MASTERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab


def _all_nodes(out: Path) -> dict[str, Any]:
    return replay(nodes={node: out / f"{node}.pcap" for node in MASTERS})


def _client_resets(out: Path, begin: int) -> int:
    """Connections that the clients saw reset from a time on, until the lab was taken down."""
    lines = [json.loads(line) for line in (out / "c0.clients.jsonl").read_text().splitlines(keepends=True) if line.endswith("\n")]
    truth = [json.loads(line) for line in (out / "truth.jsonl").read_text().splitlines()]
    over = next(line["time"] for line in truth if line["event"] == "end")
    return sum(1 for line in lines if line["event"] == "reset" and begin <= line["time"] < over)


@pytest.mark.parametrize("name", ["check_failed_original_bug", "stopped"])
def test_the_cost_of_a_move_is_what_the_clients_counted(name: str, tmp_path: Path) -> None:
    play(name, tmp_path, clients=200)
    [move] = moves(tmp_path)
    flap = _all_nodes(tmp_path)["flaps"][-1]
    assert move.matches(flap)
    assert move.resets >= 200
    assert flap["connections"]["reset"] == move.resets
    assert flap["connections"]["clients"] == 1
    assert flap["reconnects"]["attempts"] >= 200
    assert 0 <= flap["served_again_seconds"]["min"] <= flap["served_again_seconds"]["max"] < 10
    for node in MASTERS:
        told = replay(nodes={node: tmp_path / f"{node}.pcap"})["flaps"][-1]
        assert (told["connections"]["reset"] or 0) <= move.resets


@pytest.mark.slow
def test_the_storm_of_the_original_bug_is_shown_to_drive_itself(tmp_path: Path) -> None:
    play("etcd_outage", tmp_path)
    told = _all_nodes(tmp_path)
    first = nanoseconds(told["flaps"][0]["time"])
    assert sum(flap["connections"]["reset"] or 0 for flap in told["flaps"]) == _client_resets(tmp_path, first)
    [storm] = told["storms"]
    assert storm["flaps"] == len(told["flaps"]) >= 3
    assert storm["driven_by_reconnects"]
    assert storm["connections"]["reset"] == sum(flap["connections"]["reset"] or 0 for flap in told["flaps"])
    assert 3 < storm["period_seconds"] < 12
    delays = [turn["delay_seconds"] for turn in storm["turns"] if turn["delay_seconds"] is not None]
    assert len(delays) >= 2
    assert all(0 < delay < 6 for delay in delays)
    # The apiservers went down before the first flap: HAProxy ended their clients' connections, and lived.
    before = [burst for burst in told["reset_bursts"] if nanoseconds(burst["time"]) < first]
    assert {burst["cause"] for burst in before} <= {"backend_shutdown", "unattributed"}
    assert all(earlier["time"] < later["time"] for earlier, later in pairwise(told["reset_bursts"]))
