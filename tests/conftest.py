"""What all tests share: a test marked `lab` says why it cannot run here; in CI that is a failure.

Run by two processes, one of them takes every test that is sensitive to time or uses the machine's network, one after another;
the other one stays out of its way.
"""

from __future__ import annotations

import os

import pytest
from lab import missing

MACHINE = ("test_packets.py", "test_address_events.py", "test_host_looks.py")
"""Files whose tests use sockets of this machine, besides those marked and those in `live`."""


def _of_the_machine(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in ("lab", "slow"))
    return marked or item.path.parent.name == "live" or item.path.name in MACHINE


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _of_the_machine(item):
            item.add_marker(pytest.mark.xdist_group("machine"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ and os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0 if _of_the_machine(item) else 10)
    if item.get_closest_marker("lab") and (lack := missing()):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no lab here: {lack}")
