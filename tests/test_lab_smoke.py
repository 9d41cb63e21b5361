"""The lab itself: it comes up, serves, moves, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import MASTERS, OPENSHIFT_ORIGINAL, PLAIN_V6, Lab, missing, netns
from lab.setting import mac

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _able() -> None:
    if lack := missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no lab here: {lack}")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(OPENSHIFT_ORIGINAL, tmp_path) as lab:
        yield lab


def _namespaces(owner: int) -> list[str]:
    return [path.name for path in netns.DIRECTORY.glob(f"vrrplab-{owner}-*")]


def _kernel_holders(lab: Lab) -> set[str]:
    return {node for node in MASTERS if lab.setting.vip in lab.ip(node, "-o", "addr", "show")}


def test_one_holder_clients_served_and_a_stop_moves_the_address(lab: Lab) -> None:
    lab.start(clients=20)
    owner = lab.holder()
    assert _kernel_holders(lab) == {owner}
    assert lab.clients.totals()["live"] == 20

    lab.keepalived(owner).stop()
    heir = lab.wait_move(owner)

    assert _kernel_holders(lab) == {heir}
    lab.wait_until(lambda: lab.clients.totals().get("reset", 0) > 0, 10, "orphaned connections to be reset")
    events = [json.loads(line)["event"] for line in (lab.out / "truth.jsonl").read_text().splitlines()]
    assert "holders" in events
    assert (lab.out / f"{heir}.pcap").stat().st_size > 1000


def test_of_a_node_without_power_even_the_mirror_port_hears_nothing(lab: Lab) -> None:
    """A kernel whose processes are killed closes their connections; one without power does not."""
    lab.start(clients=20)
    owner = lab.holder()
    lab.node(owner).lose()
    lab.wait_move(owner)

    def sent(flags: str) -> str:
        expression = f"ether src {mac(owner)} and src host {lab.setting.vip} and tcp[tcpflags] & ({flags}) != 0"
        command = ["tcpdump", "-nr", lab.out / "span.pcap", expression]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert len(sent("tcp-syn").splitlines()) >= 20
    assert sent("tcp-fin|tcp-rst") == ""


def test_nothing_is_left_after_exit_nor_after_an_error() -> None:
    lab = Lab(PLAIN_V6)
    running: list[int] = []

    def fail() -> None:
        with lab:
            lab.start()
            lab.popen("m0", ["sleep", "1000"])
            running.extend(pid for node in MASTERS for pid in netns.pids(lab.namespace(node)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert len(running) >= 3 * 5
    assert not [pid for pid in running if not netns.is_dead(pid)]
    assert not any(lab.identity in name for name in _namespaces(os.getpid()))
    assert not lab.run.exists()


def test_two_labs_live_side_by_side() -> None:
    with Lab(PLAIN_V6, capture=None) as one, Lab(PLAIN_V6, capture=None) as other:
        one.start()
        other.start()
        assert one.wait_active() in MASTERS
        assert other.wait_active() in MASTERS


PROGRAM = """
import time
from lab import PLAIN, Lab
with Lab(PLAIN) as lab:
    lab.start()
    print("up", flush=True)
    time.sleep(60)
"""


def _owner() -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    owner = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment)
    assert owner.stdout
    assert owner.stdout.readline() == "up\n"
    owner.stdout.close()
    return owner


def test_sigterm_cleans_up() -> None:
    owner = _owner()
    owner.terminate()
    assert owner.wait(20) == 128 + signal.SIGTERM
    assert not _namespaces(owner.pid)


def test_what_a_killed_owner_leaves_is_reaped() -> None:
    owner = _owner()
    owner.kill()
    owner.wait(20)
    assert _namespaces(owner.pid)
    netns.reap()
    assert not _namespaces(owner.pid)
