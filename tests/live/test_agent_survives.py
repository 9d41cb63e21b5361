"""What happens to a node's interfaces while the agent runs does not end it, and it sees what comes after."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from lab import FOREIGN, PLAIN_MULTICAST, Lab, mac
from lab.agents import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab

FIRST = {"interface": "eth0"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(PLAIN_MULTICAST, tmp_path, capture=None) as lab:
        lab.start()
        lab.wait_active()
        yield lab


def _goes_on(agent: Agent, interface: str) -> None:
    """Adverts of an interface are counted on from now."""
    before = agent.sum("vrrp_adverts_total", interface=interface)
    agent.lab.wait_until(
        lambda: agent.sum("vrrp_adverts_total", interface=interface) > before + 1, 8, f"adverts on {interface} to be counted on"
    )


def test_links_and_addresses_come_and_go(lab: Lab) -> None:
    lab.ip(FOREIGN, "link", "del", "eth0")
    agent = Agent(lab, FOREIGN).start().wait_ready()
    assert not agent.sum("vrrp_adverts_total")

    # An interface appears after the start, with adverts on it.
    lab.ip_hub(
        "link", "add", FOREIGN, "type", "veth", "peer", "name", "eth0", "netns", lab.namespace(FOREIGN), "address", mac(FOREIGN)
    )
    lab.ip_hub("link", "set", FOREIGN, "master", "br0", "up")
    lab.ip(FOREIGN, "link", "set", "eth0", "up")
    _goes_on(agent, "eth0")

    # It goes down and comes up again.
    lab.link(FOREIGN).down()
    time.sleep(1)
    lab.link(FOREIGN).up()
    _goes_on(agent, "eth0")

    # Addresses come and go, one of them the virtual router's own.
    lab.ip(FOREIGN, "addr", "add", "198.51.100.1/32", "dev", "eth0")
    lab.ip(FOREIGN, "addr", "add", lab.setting.vip_prefix, "dev", "eth0")
    lab.wait_until(lambda: agent.sum("vrrp_addresses_held") == 1, 5, "the address to be held")
    lab.ip(FOREIGN, "addr", "flush", "dev", "eth0")
    lab.wait_until(lambda: agent.sum("vrrp_addresses_held") == 0, 5, "the address to be gone")

    # The interface is removed, and another one appears under another name.
    lab.ip(FOREIGN, "link", "del", "eth0")
    lab.ip_hub("link", "add", FOREIGN, "type", "veth", "peer", "name", "other0", "netns", lab.namespace(FOREIGN))
    lab.ip_hub("link", "set", FOREIGN, "master", "br0", "up")
    lab.ip(FOREIGN, "link", "set", "other0", "up")
    _goes_on(agent, "other0")

    assert agent.stop(timeout=2) == 0
    assert agent.errors.read_text() == ""


def test_it_ends_at_once_when_asked_to(lab: Lab) -> None:
    agent = Agent(lab, lab.holder()).start().wait_ready()
    begin = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - begin < 2
