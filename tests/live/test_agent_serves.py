"""The agent as a process: what it serves, what it tells its service manager, and what SIGHUP changes."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from lab.agents import PROGRAM
from traces import A, Trace

from observer.agent import Agent
from observer.config import Configuration
from observer.model.observations import TimePassed
from observer.sinks.health import Health
from observer.sinks.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="needs CAP_NET_RAW")

NOTIFY = 20.0
"""Seconds within which the agent has to say what is expected of it."""


class Running:
    """An agent, its service manager's ear, and what it writes."""

    def __init__(self, process: subprocess.Popen[str], ear: socket.socket, port: int) -> None:
        self.process, self.ear, self.port = process, ear, port

    def hear(self, wanted: str) -> str:
        """The next message that begins so; others are passed over."""
        until = time.monotonic() + NOTIFY
        while time.monotonic() < until:
            message = self.ear.recv(4096).decode()
            if message.startswith(wanted):
                return message
        pytest.fail(f"the agent did not say {wanted}")

    def get(self, path: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as response:
            return response.status, response.read().decode()

    def end(self) -> str:
        """What it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return said


@pytest.fixture
def running(tmp_path):
    @contextmanager
    def run(*words: str, **environment: str) -> Iterator[Running]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, socket.create_server(("127.0.0.1", 0)) as free:
            ear.bind(str(tmp_path / "notify"))
            ear.settimeout(NOTIFY)
            port = free.getsockname()[1]
            free.close()
            process = subprocess.Popen(
                [PROGRAM, "run", "--listen", f"127.0.0.1:{port}", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), **environment},
            )
            try:
                yield Running(process, ear, port)
            finally:
                process.kill()
                process.communicate(timeout=20)

    return run


def test_from_ready_to_stopping(running):
    with running() as agent:
        agent.hear("READY=1")
        assert agent.get("/healthz") == (200, "ok\n")
        assert "vrrp_observer_build_info" in agent.get("/metrics")[1]
        assert "<h1>vrrp-observer on " in agent.get("/")[1]
        assert agent.end() == ""
        agent.hear("STOPPING=1")


def test_only_the_loop_feeds_watchdog_and_health(monkeypatch):
    """A consumer that does not come back for more, as an engine that hangs, and nothing is told."""
    turns = []
    monkeypatch.setattr(Notifier, "turned", lambda _: turns.append("watchdog"))
    monkeypatch.setattr(Health, "turned", lambda _: turns.append("health"))
    stream = Agent(Configuration(listen=""), io.StringIO(), terminal=False)._stream()
    for round_ in range(3):
        assert isinstance(next(stream), TimePassed)
        assert sorted(turns) == ["health"] * round_ + ["watchdog"] * round_


def test_a_sign_of_trouble_hurries_the_looks_at_the_node_before_it_is_handled_in_order():
    agent = Agent(Configuration(listen=""), io.StringIO(), terminal=False)
    trace = Trace().address(0.0, present=True, initial=True)
    trace.advert(A, 100, 0.5).advert(A, 100, 1.5).advert(A, 0, 2.0).address(2.1, present=False)
    assert [hurried(agent, observation) for observation in trace.items] == [False, True, False, True, True]


def hurried(agent: Agent, observation: Any) -> bool:
    """Whether the thread that looks at the node is woken, as if it had nothing to do before."""
    agent._host._hurried = 0.0
    agent._host._wake.clear()
    agent._deliver(observation)
    return agent._host._wake.is_set()


def test_a_process_that_stands_still_feeds_no_watchdog(running):
    with running(WATCHDOG_USEC="2000000") as agent:
        for _ in range(3):
            agent.hear("WATCHDOG=1")
        agent.process.send_signal(signal.SIGSTOP)
        agent.ear.settimeout(3)
        with suppress(TimeoutError):
            # What was on its way.
            agent.ear.recv(4096)
        with pytest.raises(TimeoutError):
            agent.ear.recv(4096)
        # What systemd sends then: the agent says where it was.
        agent.process.send_signal(signal.SIGABRT)
        agent.process.send_signal(signal.SIGCONT)
        _, said = agent.process.communicate(timeout=20)
        assert agent.process.returncode == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in said
        assert "in _stream" in said


def test_reload(running, tmp_path):
    path = tmp_path / "observer.toml"
    path.write_text('interfaces = ["lo"]\n')
    with running("--config", str(path)) as agent:
        agent.hear("READY=1")
        for text in ('interfaces = ["lo", "later0"]\nnode = "x"\n', "interfces = []\n"):
            path.write_text(text)
            agent.process.send_signal(signal.SIGHUP)
            agent.hear("RELOADING=1\nMONOTONIC_USEC=")
            agent.hear("READY=1")
        assert agent.get("/healthz")[0] == 200
        assert agent.end().splitlines() == [
            'vrrp-observer: reload: interfaces is now ["lo", "later0"]; node: changed, needs a restart',
            f"vrrp-observer: reload: {path}:1: 'interfces' is not a setting; did you mean 'interfaces'?; nothing changed",
        ]


def test_a_recording_asked_for_without_a_place_for_it_is_said_to_be_none(running):
    with running() as agent:
        agent.hear("READY=1")
        agent.process.send_signal(signal.SIGUSR1)
        time.sleep(1.5)
        assert agent.end() == "vrrp-observer: SIGUSR1: nothing is recorded; name a directory with --recordings\n"


def test_a_terminal_that_hangs_up_ends_it(tmp_path):
    """What a daemon takes for a reload is the end of a program that somebody watches."""
    ours, theirs = pty.openpty()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(NOTIFY)
        process = subprocess.Popen(
            # Where the tests run under nohup it is ignored, which their children inherit.
            ["env", "--default-signal=HUP", PROGRAM, "run", "--listen", ""],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            assert ear.recv(4096) == b"READY=1"
            process.send_signal(signal.SIGHUP)
            assert process.wait(20) == -signal.SIGHUP
        finally:
            process.kill()
            process.wait(20)
            os.close(ours)
            os.close(theirs)


def test_check_config_tells_what_is_in_effect_and_what_cannot_be(tmp_path):
    path = tmp_path / "observer.toml"
    path.write_text('node = "m0"\n')
    done = subprocess.run([PROGRAM, "check-config", str(path)], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"# {path}:1" in done.stdout
    path.write_text(f"tls_cert = {json.dumps(str(tmp_path / 'none.pem'))}\n")
    done = subprocess.run([PROGRAM, "check-config", str(path)], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"vrrp-observer: tls: {tmp_path}/none.pem: cannot be read\n"
