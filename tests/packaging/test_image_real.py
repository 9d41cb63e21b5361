"""The image: built from the Containerfile on a bare Debian, and run in a host of the lab as the DaemonSet runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from lab import FOREIGN, PLAIN_MULTICAST, Lab
from lab.agents import PORT, samples
from machine import BARE, ROOT, bare, call, wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

IMAGE = "localhost/vrrp-observer:test"
CAP_NET_RAW = 1 << 13
MEGABYTES = 200
"""On top of the base; two thirds of it are numpy and scapy."""


class Store:
    """Images and containers of one test, in a folder of its own."""

    def __init__(self, folder: Path, short: str) -> None:
        """`short` is for sockets, whose paths have little room."""
        self._where = ["--root", str(folder / "images"), "--runroot", short]

    def podman(self, *words: str) -> list[str]:
        # runc: Debian's crun and newer kernels do not agree.
        return ["podman", *self._where, "--runtime=runc", "--cgroup-manager=cgroupfs", *words]

    def buildah(self, *words: str) -> list[str]:
        return ["buildah", *self._where, *words]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with the image in it."""
    short = tempfile.mkdtemp(prefix="vo-")
    store = Store(tmp_path, short)
    try:
        call(*store.podman("import", "--quiet", str(bare("image", BARE)), "localhost/bare:latest"))
        wheelhouse = wheels(tmp_path / "wheels")
        call(
            *store.buildah("bud", "--quiet", "--isolation=chroot", "--network=host", "--tag", IMAGE),
            *("--build-arg", "BASE=localhost/bare:latest", "--volume", f"{wheelhouse}:/wheels:ro"),
            *("--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels"),
            *("--file", str(ROOT / "kubernetes/Containerfile"), str(ROOT)),
        )
        yield store
    finally:
        subprocess.run(store.podman("rm", "--all", "--force", "--time=0"), check=False, capture_output=True, timeout=60)
        subprocess.run(store.podman("rmi", "--all", "--force"), check=False, capture_output=True, timeout=60)
        shutil.rmtree(short, ignore_errors=True)


def test_the_image_runs_as_the_daemonset_says(store: Store, tmp_path: Path) -> None:
    ours, base = json.loads(call(*store.podman("image", "inspect", IMAGE, "localhost/bare:latest")))
    assert ours["Size"] - base["Size"] < MEGABYTES * 10**6
    pod = yaml.safe_load((ROOT / "kubernetes/agent/daemonset.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    security = container["securityContext"]
    with Lab(PLAIN_MULTICAST, tmp_path / "lab", capture=None) as lab:
        lab.start()
        lab.wait_active()
        argv = store.podman(
            *("run", "--rm", f"--network=ns:/run/netns/{lab.namespace(FOREIGN)}", "--pid=host", "--name=agent"),
            *(f"--user={security['runAsUser']}:{security['runAsGroup']}", "--read-only", "--security-opt=no-new-privileges"),
            *(f"--cap-drop={name}" for name in security["capabilities"]["drop"]),
            *(f"--cap-add={name}" for name in security["capabilities"]["add"]),
            *("--ulimit=nofile=20000:20000", "--ulimit=nproc=1000:1000", "--env=VRRP_OBSERVER_NODE=worker"),
            *("--env=VRRP_OBSERVER_CONFIG=/etc/vrrp-observer/config.toml", "--tmpfs=/var/lib/vrrp-observer"),
            *(f"--volume={ROOT}/kubernetes/agent/config.toml:/etc/vrrp-observer/config.toml:ro", IMAGE, *container["args"]),
        )
        agent = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def get(path: str) -> str:
            return lab.exec(FOREIGN, ["curl", "-sf", "-m", "5", f"http://127.0.0.1:{PORT}{path}"]).stdout

        def adverts() -> bool:
            assert agent.poll() is None, agent.communicate()
            return sum(sample.value for sample in samples(get("/metrics")) if sample.name == "vrrp_adverts_total") > 3

        try:
            lab.wait_until(adverts, 60, "adverts to be seen from the container")
            assert get("/healthz") == "ok\n"
            assert "adverts: started" in get("/readyz")
            assert "vrrp-observer on worker" in get("/")
            pid = call(*store.podman("inspect", "--format={{.State.Pid}}", "agent")).strip()
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {CAP_NET_RAW}
            assert (status["NoNewPrivs"], status["Seccomp"], status["Uid"].split()[0]) == ("1", "2", "0")
            lab.wait_until(lambda: "eth0" in get("/"), 5, "the virtual router to be on the page")
            call(*store.podman("stop", "--time=10", "agent"))
            _, said = agent.communicate(timeout=30)
            assert (agent.returncode, said) == (0, "")
        finally:
            subprocess.run(store.podman("rm", "--force", "--time=0", "agent"), check=False, capture_output=True, timeout=60)
            agent.kill()
            agent.communicate(timeout=30)
