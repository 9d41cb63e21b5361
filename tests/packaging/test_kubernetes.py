"""The manifests against the schemas of the API, strictly, and against what the program itself knows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import observer
from observer import cli
from observer.config import ENVIRONMENT, FILE, KEYS, load
from observer.sinks import http

ROOT = Path(__file__).resolve().parent.parent.parent
KUBERNETES = ROOT / "kubernetes"
FOLDERS = ("agent", "base", "components/tls", "overlays/openshift", "overlays/openshift/console")
VERSIONS = ("1.29", "1.32", "1.35")
"""The oldest and newest that a supported OpenShift (4.16) or Kubernetes runs, and one between."""
CORE = ("agent/namespace.yaml", "agent/serviceaccount.yaml", "agent/daemonset.yaml")


def read(name):
    return yaml.safe_load((KUBERNETES / name).read_text(encoding="utf-8"))


def daemonset(name="agent/daemonset.yaml"):
    return read(name)["spec"]["template"]["spec"]


def container(name="agent/daemonset.yaml"):
    (found,) = daemonset(name)["containers"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CORE)
def test_the_api_knows_every_field(name, version):
    kubernetes_validate.validate(read(name), version, strict=True)


def test_a_field_that_the_api_does_not_know_would_be_told():
    document = read("agent/daemonset.yaml")
    document["spec"]["template"]["spec"]["hostNetwrk"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="hostNetwrk"):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_named_by_a_kustomization(folder):
    kustomization = read(f"{folder}/kustomization.yaml")
    named = [
        *kustomization.get("resources", ()),
        *kustomization.get("components", ()),
        *(patch["path"] for patch in kustomization.get("patches", ()) if "path" in patch),
        *(name for generator in kustomization.get("configMapGenerator", ()) for name in generator["files"]),
    ]
    for name in named:
        path = KUBERNETES / folder / name
        assert (path / "kustomization.yaml").is_file() if path.is_dir() else path.is_file(), name
    beside = {path.name for path in (KUBERNETES / folder).iterdir() if path.is_file()}
    assert beside - set(named) == {"kustomization.yaml"}


def test_generated_manifests_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "kubernetes/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_rules_and_dashboards_are_all_there():
    groups = [group["name"] for group in read("base/prometheusrule.yaml")["spec"]["groups"]]
    files = [ROOT / "dashboards/rules" / name for name in ("recording.yaml", "alerts.yaml")]
    there = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in files if path.exists()]
    assert groups == [group["name"] for rules in there for group in rules["groups"]]
    (generator,) = read("../dashboards/kustomization.yaml")["configMapGenerator"]
    assert generator.get("files", []) == sorted(path.name for path in (ROOT / "dashboards").glob("*.json"))


# What the manifests say of the program


@pytest.mark.parametrize("name", ["agent/daemonset.yaml", "components/tls/daemonset.yaml"])
def test_variables_are_settings(name):
    known = {ENVIRONMENT + key.upper() for key in KEYS} | {FILE, "STATE_DIRECTORY"}
    assert {variable["name"] for variable in container(name)["env"]} <= known


def test_the_arguments_are_accepted():
    assert cli._parser().parse_args(container()["args"]).work is cli._run
    (entrypoint,) = re.findall(r'^ENTRYPOINT \["(.*)"\]$', (KUBERNETES / "Containerfile").read_text(), re.MULTILINE)
    (opt,) = re.findall(r"^OPT := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert entrypoint == f"{opt}/bin/vrrp-observer"


@pytest.mark.parametrize("folder", ["agent", "overlays/openshift"])
def test_the_configuration_is_one(folder):
    load(str(KUBERNETES / folder / "config.toml"), {}, {})


def test_no_variable_of_kubernetes_is_taken_for_a_setting():
    """It makes some for every Service, and an unknown one is an error."""
    assert daemonset()["enableServiceLinks"] is False


def test_probes_and_scrapes_ask_for_pages_that_exist():
    agent = (ROOT / "observer/agent.py").read_text(encoding="utf-8")
    pages = dict(re.findall(r'^ +"(/\w*)": Route\((?:.*?)(public=True)?\),$', agent, re.MULTILINE))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container()[probe]["httpGet"]
        # The kubelet has no client certificate.
        assert pages[asked["path"]] == "public=True"
        assert asked["port"] == container()["ports"][0]["name"]
        assert container()[probe]["timeoutSeconds"] <= http.DEADLINE
    (endpoint,) = read("base/podmonitor.yaml")["spec"]["podMetricsEndpoints"]
    assert endpoint["path"] in pages
    assert endpoint["port"] == container()["ports"][0]["name"]


def test_the_tag_is_the_version():
    (image,) = read("agent/kustomization.yaml")["images"]
    assert (image["name"], image["newTag"]) == (container()["image"], observer.__version__)


def test_mounts_have_volumes_and_the_host_is_only_read():
    volumes = {volume["name"]: volume for volume in daemonset()["volumes"]}
    mounts = {mount["name"]: mount for mount in container()["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    for name, volume in volumes.items():
        assert mounts[name].get("readOnly", False) is ("hostPath" in volume or "configMap" in volume), name


def test_state_is_where_a_volume_is():
    env = {variable["name"]: variable.get("value") for variable in container()["env"]}
    volumes = {volume["name"]: volume for volume in daemonset()["volumes"]}
    (name,) = (mount["name"] for mount in container()["volumeMounts"] if mount["mountPath"] == env["STATE_DIRECTORY"])
    assert "emptyDir" in volumes[name]


def test_the_certificates_are_where_the_secret_is_mounted():
    env = {variable["name"]: variable["value"] for variable in container("components/tls/daemonset.yaml")["env"]}
    (mount,) = container("components/tls/daemonset.yaml")["volumeMounts"]
    keys = {value.removeprefix(mount["mountPath"] + "/") for value in env.values()}
    # What a Secret of type kubernetes.io/tls holds, and what cert-manager adds.
    assert keys == {"tls.crt", "tls.key", "ca.crt"}
    assert "subPath" not in mount


def test_the_agent_needs_nothing_of_the_api_server():
    assert (
        daemonset()["automountServiceAccountToken"] is read("agent/serviceaccount.yaml")["automountServiceAccountToken"] is False
    )
    kinds = {yaml.safe_load(path.read_text())["kind"] for path in KUBERNETES.rglob("*.yaml")}
    assert not {kind for kind in kinds if "Role" in kind}
