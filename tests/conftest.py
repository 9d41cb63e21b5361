"""What all tests share: a test marked `lab` says why it cannot run here; in CI that is a failure."""

from __future__ import annotations

import os

import pytest
from lab import missing


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") and (lack := missing()):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no lab here: {lack}")
