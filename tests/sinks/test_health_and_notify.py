"""What probes and the service manager are told."""

from __future__ import annotations

import os
import socket

import pytest

from observer.model.observations import SourceChange, SourceState
from observer.sinks.health import STALLED, Health
from observer.sinks.notify import Notifier


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def change(source, state):
    return SourceChange(time=1, node="m0", source=source, state=state)


@pytest.fixture
def clock():
    return Clock()


# Health


def test_alive_while_the_loop_turns(clock):
    health = Health(frozenset(), clock)
    for _ in range(3):
        clock.now += STALLED
        assert health.healthz("").status == 200
        health.turned()
    clock.now += STALLED + 1
    answer = health.healthz("")
    assert (answer.status, answer.body) == (503, b"not ok\nthe engine's loop has not turned for 11 s\n")
    health.turned()
    assert health.healthz("").status == 200


def test_ready_once_every_source_that_is_needed_listens(clock):
    health = Health(frozenset({"adverts", "addresses"}), clock)
    assert (health.readyz("").status, health.readyz("").body) == (503, b"not ok\naddresses: not started\nadverts: not started\n")
    health.observed(change("adverts", SourceState.STARTED))
    assert health.readyz("").status == 503
    health.observed(change("addresses", SourceState.STARTED))
    assert (health.readyz("").status, health.readyz("").body) == (200, b"ok\naddresses: started\nadverts: started\n")
    # One that is not needed is told, and does not count.
    health.observed(change("log", SourceState.FAILED))
    assert (health.readyz("").status, health.readyz("").body) == (200, b"ok\naddresses: started\nadverts: started\nlog: failed\n")
    health.observed(change("adverts", SourceState.FAILED))
    assert health.readyz("").status == 503
    assert b"adverts: failed" in health.readyz("").body


# sd_notify(3)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's socket and its name as NOTIFY_SOCKET has it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@vrrp-observer-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.settimeout(5)
        yield listening, name


def heard(listening):
    """Everything said so far: a datagram on this machine has arrived when sendto returns."""
    listening.setblocking(False)
    said = []
    try:
        while True:
            said.append(listening.recv(4096).decode())
    except BlockingIOError:
        return said


def test_a_life(manager, clock):
    listening, name = manager
    notify = Notifier({"NOTIFY_SOCKET": name}, clock)
    notify.ready()
    notify.turned()
    notify.reloading()
    notify.ready()
    notify.stopping()
    assert heard(listening) == ["READY=1", "RELOADING=1\nMONOTONIC_USEC=1000000000", "READY=1", "STOPPING=1"]


def test_the_watchdog_hears_of_the_loop_twice_an_interval(manager, clock):
    listening, name = manager
    notify = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, clock)
    times = []
    for second in range(31):
        clock.now = 1000.0 + second
        notify.turned()
        times += [second for _ in heard(listening)]
    assert times == [0, 10, 20, 30]


@pytest.mark.parametrize(
    "more", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}]
)
def test_no_watchdog_is_fed_that_is_not_ours(manager, clock, more):
    listening, name = manager
    Notifier({"NOTIFY_SOCKET": name, **more}, clock).turned()
    assert heard(listening) == []


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_a_service_manager_nothing_happens(environment, clock):
    notify = Notifier({**environment, "WATCHDOG_USEC": "1"}, clock)
    notify.ready()
    notify.turned()
    notify.stopping()
