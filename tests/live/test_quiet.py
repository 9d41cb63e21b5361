"""A night of nothing, in short; QUIET_SECONDS=3600 makes it a long one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from lab.agents import nanoseconds
from lab.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = float(os.environ.get("QUIET_SECONDS", "90"))
SOON = 3
"""Seconds after a backend's restart within which the proxy ends what it had there."""

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(SECONDS + 180)]


def test_nothing_is_no_flap(tmp_path: Path) -> None:
    night = quiet(tmp_path, SECONDS)
    assert night.moves == 0, "the machine is too busy for keepalived itself: nothing can be said"
    assert night.flaps == []
    assert night.said == []
    assert night.served["served"] > SECONDS
    restarts = [
        entry["time"]
        for entry in map(json.loads, (tmp_path / "truth.jsonl").read_text().splitlines())
        if entry.get("action") in ("apiserver.stop", "apiserver.start")
    ]
    for burst in night.bursts:
        found = burst["reset_burst"]
        assert found["cause"] in ("backend_shutdown", "unattributed")
        assert any(abs(nanoseconds(found["time"]) - restart) < SOON * 1e9 for restart in restarts)
