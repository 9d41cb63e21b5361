"""A small Debian with a real systemd, booted by systemd-nspawn in a host of a lab, with this checkout installed in it.

The bare system is kept below the user's cache directory, never in the repository; what a test does happens in a copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vrrp-observer-tests"
SUITE = "bookworm"
BARE = "python3,python3-venv,libpcap0.8,ca-certificates"
CLEAN = "git,make,python3"
"""What CONTRIBUTING.md asks for, and nothing else."""
MACHINE = f"{BARE},systemd,systemd-sysv,dbus,iproute2,make"
PYTHON = "3.11"
"""The suite's Python: the wheels that are installed in it are made by one of the same version."""


def call(*argv: str, timeout: float = 600, **environment: str) -> str:
    """Run a command to its end and return its output; a failure says what it said."""
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit status {done.returncode}: {(done.stderr or done.stdout)[-2000:].strip()}")
    return done.stdout


def wheels(folder: Path, extra: str = "") -> Path:
    """This checkout and all that it needs as wheels, so that installing needs no network and no settings of pip.

    With ``extra``, those of that optional dependency too, and what an editable install is made with.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON:
        raise RuntimeError(f"the tests of installations need Python {PYTHON}, as {SUITE} has it")
    wanted = [f"{ROOT}[{extra}]", "hatchling>=1.27,<2", "editables"] if extra else [str(ROOT), "hatchling>=1.27,<2"]
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder), *wanted)
    return folder


def bare(name: str, packages: str) -> Path:
    """A tar of a minimal Debian with packages; made once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    tar = CACHE / f"{SUITE}-{name}.tar"
    if not tar.exists():
        made = tar.with_suffix(f".{os.getpid()}")
        try:
            call("mmdebstrap", "--quiet", "--format=tar", "--variant=minbase", f"--include={packages}", SUITE, str(made))
            made.rename(tar)
        finally:
            made.unlink(missing_ok=True)
    return tar


def unpacked(folder: Path, tar: Path) -> Path:
    """A tree of its own."""
    tree = folder / "tree"
    tree.mkdir()
    call("tar", "-xpf", str(tar), "-C", str(tree), "--numeric-owner")
    return tree


def installed(folder: Path, wheelhouse: Path) -> Path:
    """A tree with systemd in which `make install` was run as an administrator runs it."""
    tree = unpacked(folder, bare("machine", MACHINE))
    call(
        *("systemd-nspawn", "-q", "-D", str(tree), "--as-pid2", "--register=no", "--keep-unit", "--console=pipe"),
        *(f"--bind-ro={ROOT}:/src", f"--bind-ro={wheelhouse}:/wheels"),
        *("--setenv=PIP_NO_INDEX=1", "--setenv=PIP_FIND_LINKS=/wheels", "make", "-C", "/src", "install"),
    )
    return tree


class Machine:
    """A tree that runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def leader(self) -> int:
        """Its first process, as seen from here; 0 while there is none."""
        pid = self._process.pid
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return int(children[0]) if children else 0
        return 0

    def call(self, *argv: str) -> str:
        """Run a command in it."""
        return call("nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-p", "-n", *argv, timeout=60)

    def show(self, *names: str) -> dict[str, str]:
        """Properties of the unit."""
        lines = self.call("systemctl", "show", "vrrp-observer", *(f"--property={name}" for name in names)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self) -> str:
        """What the unit's processes and systemd said of it."""
        return self.call("journalctl", "-u", "vrrp-observer", "-o", "cat", "--no-pager")

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Until something holds; what fails meanwhile, because systemd is not up yet, does not hold."""
        until = time.monotonic() + timeout
        while True:
            with contextlib.suppress(RuntimeError):
                if condition():
                    return
            if time.monotonic() > until:
                raise TimeoutError(f"not within {timeout:.0f} s: {what}")
            time.sleep(0.5)


@contextlib.contextmanager
def booted(tree: Path, namespace: str) -> Iterator[Machine]:
    """Boot a tree in a network namespace; it is gone afterwards, whatever happens."""
    with (tree.parent / "console").open("wb") as console:
        process = subprocess.Popen(
            [
                *("systemd-nspawn", "-q", "-D", str(tree), "--boot", "--register=no", "--keep-unit", "--console=pipe"),
                *(f"--network-namespace-path=/run/netns/{namespace}", "--capability=CAP_NET_ADMIN"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
    machine = Machine(process)
    try:
        yield machine
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            if machine.leader:
                os.kill(machine.leader, signal.SIGKILL)
            process.kill()
            process.wait(20)
        shutil.rmtree(tree, ignore_errors=True)
