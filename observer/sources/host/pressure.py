"""What the node's tasks wait for: pressure stall information (/proc/pressure). The agent's own lag is measured in ``loop``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from observer.model.errors import SourceError
from observer.model.host import HostSample
from observer.model.time import MICROSECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESOURCES = ("cpu", "io", "memory")


class Pressure:
    """Looks at the time that some task has waited since the look before."""

    name = "pressure"
    interval = 2.0

    def __init__(
        self, node: str, directory: Path = Path("/proc/pressure"), monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._node = node
        self._directory = directory
        self._monotonic = monotonic
        self._before: tuple[int, dict[str, int]] | None = None

    def look(self, now: int) -> Iterator[HostSample]:
        """One sample from the second look on. Raises OSError, SourceError on a kernel without PSI."""
        at, totals = self._monotonic(), {name: total(self._directory / name) for name in RESOURCES}
        before, self._before = self._before, (at, totals)
        if before is not None and at > before[0]:
            shares = [min(1.0, (totals[name] - before[1][name]) * MICROSECOND / (at - before[0])) for name in RESOURCES]
            yield HostSample(
                time=now,
                node=self._node,
                source=self.name,
                pressure_cpu=round(shares[0], 3),
                pressure_io=round(shares[1], 3),
                pressure_memory=round(shares[2], 3),
            )

    def close(self) -> None:
        """Nothing is held."""


def total(path: Path) -> int:
    """Microseconds for which some task has waited since boot (Documentation/accounting/psi.rst). Raises OSError, SourceError."""
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("some "):
            for word in line.split():
                name, _, value = word.partition("=")
                if name == "total" and value.isdigit():
                    return int(value)
    raise SourceError(f"{path}: not as the kernel writes it")
