"""The unit as a file: systemd understands all of it, it is tight, and it says nothing that the program does not know."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from observer.config import ENVIRONMENT, FILE, Configuration, endpoint, load

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "systemd/vrrp-observer.service"
EXPOSURE = 20
"""Tenths of what `systemd-analyze security` calls exposure; from 5.0 on it says medium."""


def settings():
    """Every setting of the unit by its name, with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that is there, as `verify` wants it."""
    text = UNIT.read_text(encoding="utf-8").replace("/opt/vrrp-observer/bin/vrrp-observer", "/bin/true")
    path = tmp_path / UNIT.name
    path.write_text(text, encoding="utf-8")
    return path


def analyze(*words):
    assert shutil.which("systemd-analyze"), "not installed: systemd"
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_has_nothing_to_say(unit):
    # It exits with 0 also when it ignores a line that it does not know.
    assert analyze("verify", str(unit)).stderr == ""


def test_a_line_that_systemd_does_not_know_would_be_told(unit):
    unit.write_text(unit.read_text().replace("PrivateTmp=yes", "PrivatTmp=yes"))
    assert "PrivatTmp" in analyze("verify", str(unit)).stderr


def test_it_is_exposed_to_little(unit):
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout.splitlines()[-1]
    loose = unit.read_text().replace("ProtectSystem=strict\n", "").replace("SystemCallFilter", "#")
    unit.write_text(loose)
    assert analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(unit)).returncode != 0


def test_the_account_is_the_one_that_sysusers_makes():
    path = ROOT / "systemd/vrrp-observer.sysusers"
    done = subprocess.run(["systemd-sysusers", "--dry-run", str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (line,) = path.read_text(encoding="utf-8").splitlines()
    kind, name, *_ = line.split()
    assert (kind, [name], [name]) == ("u", settings()["User"], settings()["Group"])


def test_the_example_configuration_is_the_defaults_and_follows_the_journal(tmp_path):
    text = (ROOT / "systemd/config.toml").read_text(encoding="utf-8")
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    assert load(str(path), {}, {}) == Configuration(logs=("journal",))
    # Which its group may read.
    assert "systemd-journal" in settings()["SupplementaryGroups"]
    # What is commented out would be accepted too.
    path.write_text(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE), encoding="utf-8")
    assert load(str(path), {}, {}).tls_client_ca


def test_variables_are_ours():
    names = {value.split("=")[0] for value in settings()["Environment"]}
    keys = {ENVIRONMENT + key.upper() for key in Configuration.__dataclass_fields__} | {FILE}
    assert names <= keys


def test_make_install_puts_everything_where_the_unit_looks_for_it():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (opt,) = re.findall(r"^OPT := (.*)$", makefile, re.MULTILINE)
    assert settings()["ExecStart"] == [f"{opt}/bin/vrrp-observer run"]
    (config,) = settings()["Environment"]
    assert f"systemd/config.toml {config.split('=', 1)[1]}" in makefile
    for name in ("vrrp-observer.service", "vrrp-observer.sysusers", "config.toml"):
        assert f"systemd/{name} " in makefile


# The unit and the DaemonSet


def daemonset():
    return yaml.safe_load((ROOT / "kubernetes/agent/daemonset.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]


def scc():
    return yaml.safe_load((ROOT / "kubernetes/overlays/openshift/scc.yaml").read_text(encoding="utf-8"))


def test_unit_and_daemonset_and_scc_grant_the_same_capabilities():
    unit = {name: settings()[name][0].split() for name in ("AmbientCapabilities", "CapabilityBoundingSet")}
    granted = {name.removeprefix("CAP_") for name in unit["AmbientCapabilities"]}
    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"]
    (container,) = daemonset()["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": sorted(granted)}
    assert set(scc()["allowedCapabilities"]) == granted
    assert scc()["requiredDropCapabilities"] == ["ALL"]


def test_both_keep_recordings_and_settings_in_the_same_places():
    (container,) = daemonset()["containers"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert f"/var/lib/{settings()['StateDirectory'][0]}" in mounts
    assert f"/etc/{settings()['ConfigurationDirectory'][0]}" in mounts
    (config,) = settings()["Environment"]
    assert {"name": FILE, "value": config.split("=", 1)[1]} in container["env"]


def test_the_scc_allows_what_the_daemonset_uses():
    pod, allowed = daemonset(), scc()
    (container,) = pod["containers"]
    assert (allowed["allowHostNetwork"], allowed["allowHostPID"]) == (pod["hostNetwork"], pod["hostPID"])
    assert allowed["allowHostPorts"] is any("hostPort" in port for port in container["ports"])
    assert allowed["readOnlyRootFilesystem"] is container["securityContext"]["readOnlyRootFilesystem"] is True
    assert allowed["allowPrivilegedContainer"] is container["securityContext"]["privileged"] is False
    kinds = {next(kind for kind in volume if kind != "name") for volume in pod["volumes"]}
    assert kinds <= set(allowed["volumes"])


@pytest.mark.parametrize("folder", ["kubernetes/agent", "kubernetes/overlays/openshift"])
def test_the_port_is_the_same_everywhere(folder):
    configuration = load(str(ROOT / folder / "config.toml"), {}, {})
    (container,) = daemonset()["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == port["hostPort"] == endpoint(configuration.listen)[1] == endpoint(Configuration().listen)[1]
    assert f"EXPOSE {port['containerPort']}\n" in (ROOT / "kubernetes/Containerfile").read_text()
