"""What the agent sees of its own node beside the wire, with real keepalived and HAProxy: the check, the proxy, the processes."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from lab import OPENSHIFT_ORIGINAL, PLAIN
from lab.agents import evidence
from lab.scenarios import SCENARIOS

if TYPE_CHECKING:
    from conftest import Watched
    from lab import Lab
    from lab.agents import Agent, Flap

pytestmark = pytest.mark.lab

BASELINE = 3
SOURCES = {"conf", "log", "sockets", "raw", "process", "pressure", "haproxy", "redirect"}


def _up(agent: Agent) -> set[str]:
    return {sample.labels["source"] for sample in agent.metrics() if sample.name == "vrrp_observer_source_up" and sample.value}


def _own(lab: Lab, agents: dict[str, Agent], owner: str) -> Flap:
    """What the owner's agent says of its loss. On a busy machine the address may move once more: then the kernels say so too."""
    for agent in agents.values():
        assert agent.stop() == 0
        assert agent.errors.read_text() == ""
    told, *later = agents[owner].flaps()
    # The first gain of all is the owner's own, before the agents watched.
    assert len(later) <= max(0, len(lab.moves) - 2)
    assert all(flap["from"] != told["from"] for flap in later)
    return told


def _statements(flap: Flap) -> str:
    return "\n".join(entry["statement"] for entry in flap["evidence"])


def test_the_original_bug_is_named_with_its_check_and_was_not_warranted(watched: Watched) -> None:
    with watched(OPENSHIFT_ORIGINAL, clients=60, flags=evidence) as (lab, agents):
        owner = lab.holder()
        time.sleep(BASELINE)
        assert _up(agents[owner]) >= SOURCES - {"pressure"}
        SCENARIOS["check_failed_original_bug"].steps(lab)
        told = _own(lab, agents, owner)

    assert (told["cause"], told["confidence"], told["check"]) == ("check_failed", "certain", "chk_ocp_lb")
    assert told["warranted"] == "no"
    assert "timed out (exit status 124)" in _statements(told)


def _sockets_alone(lab: Lab, node: str) -> tuple[str, ...]:
    return (*evidence(lab, node), "--evidence", "sockets", "--evidence", "redirect")


def test_the_accept_queue_betrays_a_frozen_proxy(watched: Watched) -> None:
    """Its listener is there as before, and the kernel completes every handshake. The checks themselves fill the queue here."""
    with watched(OPENSHIFT_ORIGINAL, clients=20, flags=_sockets_alone) as (lab, agents):
        owner = lab.holder()
        time.sleep(BASELINE)
        lab.haproxy(owner).freeze()
        lab.wait_move(owner)
        time.sleep(7)
        told = _own(lab, agents, owner)

    assert (told["cause"], told["warranted"]) == ("check_failed", "yes")
    assert "it accepted no connection at port 9445" in _statements(told)


def test_a_frozen_keepalived_is_seen_to_be_stopped(watched: Watched) -> None:
    with watched(PLAIN, flags=evidence) as (lab, agents):
        owner = lab.holder()
        time.sleep(BASELINE)
        lab.keepalived(owner).freeze()
        lab.wait_move(owner)
        time.sleep(3)
        told = _own(lab, agents, owner)

    assert (told["cause"], told["confidence"]) == ("daemon_stalled", "certain")
    assert "stopped by a signal on its node (process state TT)" in _statements(told)


def test_who_changes_an_address_is_seen_and_when_he_is_still_there_named(watched: Watched) -> None:
    with watched(PLAIN, flags=evidence) as (lab, agents):
        owner = lab.holder()
        time.sleep(BASELINE)
        lab.vip_delete(owner)
        time.sleep(6)
        told = _own(lab, agents, owner)

    assert (told["cause"], told["confidence"]) == ("address_removed", "certain")
    # The kernel's message has no time of its own: on a busy node it may be read after the resignation, and the log tells.
    assert re.search(r"was removed (by ip )?\S+ ms before that|reports IP \S+ removed", _statements(told))
