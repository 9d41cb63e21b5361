"""What cannot be done is said in one line that tells what to do, with exit status 2."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess

import pytest
from lab.agents import PROGRAM

UNPRIVILEGED = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]


def _run(*words: str, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
    done = subprocess.run([*prefix, PROGRAM, "run", *words], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout == ""
    return done.returncode, done.stderr


def _one_line(error: str) -> str:
    assert error.count("\n") == 1
    assert error.startswith("vrrp-observer: ")
    return error


def test_without_the_right_to_capture() -> None:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("not installed: setpriv")
    prefix = tuple(UNPRIVILEGED) if os.geteuid() == 0 else ()
    status, error = _run("--listen", "127.0.0.1:0", prefix=prefix)
    assert status == 2
    assert "run as root or grant CAP_NET_RAW" in _one_line(error)


def test_an_interface_that_is_not_there() -> None:
    status, error = _run("--interface", "nowhere0", "--listen", "127.0.0.1:0")
    assert status == 2
    assert "'nowhere0' does not exist" in _one_line(error)
    assert "lo" in error


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, error = _run("--listen", f"127.0.0.1:{port}")
    assert status == 2
    assert f"127.0.0.1:{port}" in _one_line(error)
    assert "choose another with --listen" in error


def test_an_address_that_is_not_ours() -> None:
    status, error = _run("--listen", "203.0.113.1:9965")
    assert status == 2
    assert "203.0.113.1:9965" in _one_line(error)
