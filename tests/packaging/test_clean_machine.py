"""A Debian 12 with git, make and Python, a clone, and one command: as a reader of the README begins.

Its system packages come from Debian, over the network that this machine has; what pip installs are wheels made here.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from machine import CLEAN, ROOT, bare, call, unpacked, wheels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLONE = "/srv/vrrp-observer"
"""Where the clone is in it."""

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    tree = unpacked(tmp_path, bare("clean", CLEAN))
    call("git", "clone", "--quiet", str(ROOT), f"{tree}{CLONE}")
    yield tree
    shutil.rmtree(tree, ignore_errors=True)


def test_from_a_clean_machine_to_an_alert_at_a_webhook(tree: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *("systemd-nspawn", "-q", "-D", str(tree), "--as-pid2", "--register=no", "--keep-unit", "--console=pipe"),
            # The lab in it makes namespaces and sets how they forward.
            *("--capability=all", "--resolv-conf=copy-host", f"--chdir={CLONE}"),
            *(f"--bind-ro={wheels(tmp_path / 'wheels', 'dev')}:/wheels", "--setenv=PIP_NO_INDEX=1"),
            *("--setenv=PIP_FIND_LINKS=/wheels", "--setenv=PATH=/usr/sbin:/usr/bin:/sbin:/bin", "make", "tour"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installing:" in done.stdout
    assert "all is as it should be" in done.stdout
