"""keepalived's VRRP sockets (/proc/net/raw, raw6): what waits in them unread, and what they dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from observer.model.errors import SourceError
from observer.model.host import HostSample

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOLS = frozenset({112, 51})
"""VRRP, and AH around it: the kernel shows a raw socket's protocol where others have their port."""


class Raw:
    """Looks at the sums over all raw VRRP sockets of this network namespace."""

    name = "raw"
    interval = 2.0

    def __init__(self, node: str, directory: Path = Path("/proc/self/net")) -> None:
        self._node = node
        self._directory = directory

    def look(self, now: int) -> Iterator[HostSample]:
        """One sample, and none while there is no such socket. Raises OSError."""
        found = [sums for name in ("raw", "raw6") for sums in read(self._directory / name)]
        if found:
            yield HostSample(
                time=now,
                node=self._node,
                source=self.name,
                vrrp_queued=sum(queued for queued, _ in found),
                vrrp_dropped=sum(dropped for _, dropped in found),
            )

    def close(self) -> None:
        """Nothing is held."""


def read(path: Path) -> Iterator[tuple[int, int]]:
    """Bytes that wait, and packets dropped, of each VRRP socket in a table of raw sockets. Raises OSError, SourceError."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        # A kernel without IPv6.
        return
    for line in lines[1:]:
        words = line.split()
        try:
            if int(words[1].rpartition(":")[2], 16) in PROTOCOLS:
                yield int(words[4].partition(":")[2], 16), int(words[12])
        except (IndexError, ValueError):
            raise SourceError(f"{path}: a line is not as the kernel writes it") from None
