"""The agent names what happens while it happens, and the replay of its node's capture says the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from lab import OPENSHIFT_ORIGINAL, PLAIN
from lab.agents import node_of, paired, replay
from lab.moves import moves
from lab.scenarios import SCENARIOS

if TYPE_CHECKING:
    from conftest import Watched
    from lab import Lab
    from lab.agents import Agent, Flap

pytestmark = pytest.mark.lab

VERDICT = ("cause", "confidence", "from", "to")
BASELINE = 3


def _replayed(lab: Lab, node: str) -> list[Flap]:
    flaps: list[Flap] = replay(lab.out / f"{node}.pcap")["flaps"]
    return flaps


def _stop(agents: dict[str, Agent]) -> None:
    for agent in agents.values():
        assert agent.stop() == 0
        assert agent.errors.read_text() == ""


def test_the_original_bug_is_named_live_and_again_from_each_capture(watched: Watched) -> None:
    with watched(OPENSHIFT_ORIGINAL, clients=100) as (lab, agents):
        owner = lab.holder()
        time.sleep(BASELINE)
        SCENARIOS["check_failed_original_bug"].steps(lab)
        heir = lab.holder()
        counted = {node: agent.sum("vrrp_flaps_total", cause="check_failed") for node, agent in agents.items()}
        _stop(agents)

    assert counted == dict.fromkeys(agents, 1)
    [move] = moves(lab.out)
    assert (move.former, move.current, move.cause) == (owner, heir, "check_failed")
    for node, agent in agents.items():
        [pair] = paired(agent.flaps(), _replayed(lab, node))
        assert pair.differences(VERDICT) == []
        assert pair.live
        assert move.matches(pair.live)
        assert (pair.live["cause"], pair.live["confidence"]) == ("check_failed", "certain")
        # A capture holds data segments, which show a proxy at work; the agent's kernel filter lets none through.
        assert pair.live["warranted"] in ("no", "unknown")
    [replayed] = _replayed(lab, owner)
    assert replayed["warranted"] == "no"
    # Clients that the loser of the election announced itself to are reset there, and not at the heir.
    [told] = agents[heir].flaps()
    assert 0 < told["connections"]["reset"] <= move.resets
    [together] = replay(nodes={node: lab.out / f"{node}.pcap" for node in agents})["flaps"]
    assert together["connections"]["reset"] == move.resets


def test_a_killed_proxy_makes_the_move_warranted(watched: Watched) -> None:
    scenario = SCENARIOS["check_failed_haproxy_killed"]
    with watched(scenario.setting, clients=30) as (lab, agents):
        owner = lab.holder()
        time.sleep(BASELINE)
        scenario.steps(lab)
        _stop(agents)

    [move] = moves(lab.out)
    [told] = agents[owner].flaps()
    assert move.matches(told)
    assert (told["cause"], told["warranted"]) == ("check_failed", "yes")
    for node, agent in agents.items():
        assert [pair.differences(VERDICT) for pair in paired(agent.flaps(), _replayed(lab, node))] == [[]]
        assert agent.flaps()[0]["warranted"] in ("yes", "unknown")


def test_keepalived_killed_while_its_node_still_answers_for_the_address(watched: Watched) -> None:
    with watched(PLAIN, clients=10) as (lab, agents):
        owner = lab.holder()
        time.sleep(BASELINE)
        lab.keepalived(owner).kill()
        lab.wait_move(owner)
        # Somebody who does not know yet asks who has the address; both answer.
        lab.exec("c0", ["ip", "neigh", "flush", "all"])
        time.sleep(7)
        # The first to claim the address may have lost the election.
        [heir] = set(lab.holders()) - {owner}
        assert owner in lab.holders()
        held = {node: agent.sum("vrrp_addresses_held") for node, agent in agents.items()}
        _stop(agents)

    assert held == {node: float(node in (owner, heir)) for node in agents}
    [told] = agents[heir].flaps()
    [replayed] = _replayed(lab, heir)
    for flap in (told, replayed):
        assert (node_of(flap["from"]), node_of(flap["to"])) == (owner, heir)
        assert flap["cause"] == "daemon_killed"
    [own] = agents[owner].flaps()
    assert own["cause"] == "daemon_killed"


def test_only_the_holder_says_that_it_holds_the_address(watched: Watched) -> None:
    with watched(PLAIN) as (lab, agents):
        before = lab.holder()
        lab.wait_until(lambda: _held(agents) == {before}, 5, "the holder alone to say so")
        lab.keepalived(before).stop()
        lab.wait_move(before)
        time.sleep(1)
        after = lab.holder()
        lab.wait_until(lambda: _held(agents) == {after}, 5, "the new holder alone to say so")
        _stop(agents)


def _held(agents: dict[str, Agent]) -> set[str]:
    return {node for node, agent in agents.items() if agent.sum("vrrp_addresses_held")}
