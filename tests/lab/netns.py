"""Network namespaces by name: made, entered, emptied and removed; nothing here knows what a lab is.

A namespace's name holds the process that owns it, so that whatever a crash left behind can be found and removed later.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
DIRECTORY = Path("/run/netns")
_NAME = re.compile(r"vrrplab-(\d+)-[0-9a-f]{4}(-\w+)?")


def run(argv: list[str], stdin: str | None = None) -> str:
    """Run a command to its end and return its output; a failure says what the command said."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def full_name(identity: str, node: str) -> str:
    """Return the namespace of a node of the lab with this identity in this process."""
    return f"vrrplab-{os.getpid()}-{identity}-{node}"


def run_directory(identity: str) -> Path:
    """Return where a lab of this process keeps sockets and pid files: a short path, for sockets have little room."""
    return Path(tempfile.gettempdir()) / f"vrrplab-{os.getpid()}-{identity}"


def inside(name: str) -> list[str]:
    """Return the words that run what follows them in a namespace; the process keeps its id and sees its own /sys."""
    return ["ip", "netns", "exec", name]


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """Be in a namespace: sockets that this thread makes meanwhile, and processes that it starts, belong there."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(DIRECTORY / name, os.O_RDONLY)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(here)
    finally:
        os.close(here)


def _setns(namespace: int) -> None:
    """setns(2) for this thread alone; Python has its own from 3.12 on."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def pids(name: str) -> list[int]:
    """Return the processes in a namespace."""
    done = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def empty(name: str, timeout: float = 5.0) -> None:
    """Kill everything in a namespace and wait until it is gone."""
    deadline = time.monotonic() + timeout
    while living := [pid for pid in pids(name) if not is_dead(pid)]:
        for pid in living:
            signal_quietly(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name}: processes {living} survive SIGKILL")
        time.sleep(0.02)


def remove(name: str) -> None:
    """Kill everything in a namespace and remove it."""
    empty(name)
    run(["ip", "netns", "del", name])


def reap() -> list[str]:
    """Remove the namespaces and directories of processes that are no more; return their names."""
    stale = [*_stale(DIRECTORY)]
    for name in stale:
        with contextlib.suppress(RuntimeError):  # another lab may be reaping too
            remove(name)
    for name in _stale(Path(tempfile.gettempdir())):
        shutil.rmtree(Path(tempfile.gettempdir()) / name, ignore_errors=True)
    return stale


def _stale(directory: Path) -> list[str]:
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    owners = ((name, match[1]) for name in names if (match := _NAME.fullmatch(name)))
    return [name for name, owner in owners if not Path(f"/proc/{owner}").exists()]


def signal_quietly(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_dead(pid: int) -> bool:
    """Say whether a process runs no more; its entry may wait for a parent that is slow to look."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
