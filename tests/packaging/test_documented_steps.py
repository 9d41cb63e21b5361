"""What the pages on deployment tell a reader to type or to write into a file does what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from observer.sinks.http import Answer, Route, Server
from observer.sinks.tls import Certificates

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (*sorted(DOCS.glob("deploy-*.md")), DOCS / "alerts.md")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def block(page: str, language: str, word: str) -> str:
    (found,) = [text for text in blocks(DOCS / page, language) if word in text]
    return found


def shell(script: str, where: Path) -> None:
    subprocess.run(["bash", "-euc", script], cwd=where, check=True, capture_output=True, timeout=60)


CONFIGURATIONS = [text for page in PAGES for text in blocks(page, "yaml") if "scrape_configs" in text]
KUSTOMIZATIONS = [text for page in PAGES for text in blocks(page, "yaml") if "kind: Kustomization" in text]


def syntax(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "prometheus.yml").write_text(text)
    argv = ["promtool", "check", "config", "--syntax-only", str(folder / "prometheus.yml")]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_prometheus_understands_its_configuration(text, tmp_path):
    assert syntax(text, tmp_path).returncode == 0
    assert syntax(text.replace("job_name", "jobname"), tmp_path).returncode != 0


def test_with_these_certificates_prometheus_is_let_in_and_nobody_else(tmp_path):
    shell(block("deploy-systemd.md", "sh", "openssl"), tmp_path)
    [job] = yaml.safe_load(block("deploy-systemd.md", "yaml", "tls_config"))["scrape_configs"]
    host, port = job["static_configs"][0]["targets"][0].split(":")
    files = [str(tmp_path / name) for name in (f"{host}.crt", f"{host}.key", "authority.crt")]
    server = Server("127.0.0.1", 0, {"/metrics": Route(lambda _: Answer(b""))}, Certificates(*files, print))
    try:
        tls = {key: str(tmp_path / name) for key, name in job["tls_config"].items()}
        known = ("--cert", tls["cert_file"], "--key", tls["key_file"])
        for words, status in ((known, "200"), ((), "403")):
            argv = ["curl", "-s", "-o", "/dev/null", "-m", "5", "-w", "%{http_code}", "--cacert", tls["ca_file"], *words]
            where = ["--resolve", f"{host}:{server.port}:127.0.0.1", f"https://{host}:{server.port}/metrics"]
            assert subprocess.run([*argv, *where], capture_output=True, text=True, check=False).stdout == status
        assert port == "9965"
    finally:
        server.close()


def test_alerts_link_to_their_runbooks_once_they_have_a_place(tmp_path):
    for name in ("dashboards", "kubernetes"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shell(block("alerts.md", "sh", "runbook_url"), tmp_path)
    rules = (tmp_path / "dashboards/rules/alerts.yaml", tmp_path / "kubernetes/base/prometheusrule.yaml")
    for path in rules:
        links = re.findall(r"runbook_url: (.*)", path.read_text())
        assert len(links) == len(list((DOCS / "runbooks").glob("*.md")))
        for link in links:
            assert link.startswith("https://")
            assert (DOCS / "runbooks" / link.rpartition("/runbooks/")[2]).is_file()


@pytest.mark.parametrize("text", KUSTOMIZATIONS)
def test_a_kustomization_names_folders_that_exist(text):
    for name in yaml.safe_load(text)["resources"]:
        assert (ROOT / name.removeprefix("vrrp-observer/") / "kustomization.yaml").is_file()


def test_there_is_something_to_try():
    assert len(CONFIGURATIONS) >= 3
    assert len(KUSTOMIZATIONS) >= 2
