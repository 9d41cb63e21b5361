"""The unit under a real systemd, in a host of the lab: not root, it sees the segment, reloads, and is restarted when stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import FOREIGN, PLAIN_MULTICAST, Lab
from lab.agents import PORT, samples
from machine import Machine, booted, installed, wheels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

CAP_NET_RAW = 1 << 13


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[Lab, Machine]]:
    tree = installed(tmp_path, wheels(tmp_path / "wheels"))
    systemd = tree / "etc/systemd/system"
    (systemd / "multi-user.target.wants").mkdir(exist_ok=True)
    (systemd / "multi-user.target.wants/vrrp-observer.service").symlink_to("/etc/systemd/system/vrrp-observer.service")
    # The same unit, with less patience.
    (systemd / "vrrp-observer.service.d").mkdir()
    (systemd / "vrrp-observer.service.d/soon.conf").write_text("[Service]\nWatchdogSec=5\n")
    with Lab(PLAIN_MULTICAST, tmp_path / "lab", capture=None) as lab:
        lab.start()
        lab.wait_active()
        with booted(tree, lab.namespace(FOREIGN)) as machine:
            yield lab, machine


def adverts(lab: Lab) -> float:
    said = lab.exec(FOREIGN, ["curl", "-sf", "-m", "5", f"http://127.0.0.1:{PORT}/metrics"]).stdout
    return sum(sample.value for sample in samples(said) if sample.name == "vrrp_adverts_total")


def readyz(lab: Lab) -> str:
    return str(lab.exec(FOREIGN, ["curl", "-sf", "-m", "5", f"http://127.0.0.1:{PORT}/readyz"]).stdout)


def test_the_unit_as_it_is_installed(host: tuple[Lab, Machine]) -> None:
    lab, machine = host
    machine.wait(lambda: machine.show("ActiveState")["ActiveState"] == "active", "the unit to say READY=1")
    machine.wait(lambda: adverts(lab) > 3, "adverts to be seen")

    first = machine.show("MainPID", "NRestarts")
    pid = first["MainPID"]
    status = dict(line.split(":\t", 1) for line in machine.call("cat", f"/proc/{pid}/status").splitlines())
    assert first["NRestarts"] == "0"
    assert status["Uid"].split()[0] != "0"
    assert {name: int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == dict.fromkeys(
        ("CapEff", "CapPrm", "CapBnd", "CapAmb"), CAP_NET_RAW
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert machine.call("stat", "-c", "%U %a", "/var/lib/vrrp-observer") == "vrrp-observer 750\n"
    for route, said in (("/healthz", "ok"), ("/readyz", "adverts: started"), ("/", "eth0")):
        assert said in lab.exec(FOREIGN, ["curl", "-sf", "-m", "5", f"http://127.0.0.1:{PORT}{route}"]).stdout

    # The commands of docs/deploy-systemd.md are there by their name.
    assert "config.toml" in machine.call("vrrp-observer", "check-config", "/etc/vrrp-observer/config.toml")

    # It follows the journal, where keepalived's log is on such a host.
    machine.wait(lambda: "log: started" in readyz(lab), "the journal to be followed")
    assert "journalctl" in machine.call("systemctl", "status", "vrrp-observer")

    # Reload: the same process goes on.
    machine.call("systemctl", "reload", "vrrp-observer")
    machine.wait(lambda: "reload: nothing changed" in machine.journal(), "the reload to be told")
    assert machine.show("MainPID", "ActiveState") == {"MainPID": pid, "ActiveState": "active"}

    # A loop that does not turn: the watchdog ends it, and a new process sees the segment.
    machine.call("sh", "-c", f"kill -STOP {pid}")
    machine.wait(lambda: machine.show("NRestarts")["NRestarts"] == "1", "the watchdog to restart it")
    machine.wait(lambda: machine.show("ActiveState")["ActiveState"] == "active", "the unit to be active again")
    machine.wait(lambda: adverts(lab) > 3, "adverts to be seen again")
    assert machine.show("MainPID")["MainPID"] != pid
    journal = machine.journal()
    assert "Watchdog timeout" in journal
    assert "Fatal Python error: Aborted" in journal

    # Stop: in order, and at once.
    machine.call("systemctl", "stop", "vrrp-observer")
    assert machine.show("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    assert "Operation not permitted" not in machine.journal()
