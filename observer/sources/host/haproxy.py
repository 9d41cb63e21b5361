"""HAProxy's own view of its servers, from its stats socket: a Unix socket, so no client of a virtual address is touched."""

from __future__ import annotations

import csv
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from observer.model.errors import SourceError
from observer.model.host import HostSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATHS = ("/var/lib/haproxy/run/haproxy.sock", "/run/haproxy/admin.sock", "/var/run/haproxy/haproxy-master.sock")
"""Where it is looked for: OpenShift's, Debian's."""

TIMEOUT = 0.2
"""Seconds for the whole exchange; HAProxy answers in one."""

LARGEST = 1 << 20
"""Octets of an answer that are read: some thousand servers."""

_SERVER = "2"
"""Column ``type`` of a server (HAProxy management guide 9.1)."""


class Haproxy:
    """Asks for ``show stat`` every two seconds."""

    name = "haproxy"
    interval = 2.0

    def __init__(self, node: str, path: str = "") -> None:
        self._node = node
        self._paths = (path,) if path else PATHS
        self._found: str | None = None
        """Where it answered last: from then on its silence is HAProxy's."""

    def look(self, now: int) -> Iterator[HostSample]:
        """One sample. Raises OSError, SourceError while no HAProxy was ever reached."""
        path = self._found or _socket(self._paths)
        try:
            servers, up = worst(ask(path, "show stat"))
        except (TimeoutError, ConnectionError, FileNotFoundError):
            if self._found is None:
                raise
            yield HostSample(time=now, node=self._node, source=self.name, answers=False)
            return
        self._found = path
        yield HostSample(time=now, node=self._node, source=self.name, answers=True, servers=servers, servers_up=up)

    def close(self) -> None:
        """Nothing is held."""


def _socket(paths: Sequence[str]) -> str:
    for path in paths:
        try:
            if stat.S_ISSOCK(Path(path).stat().st_mode):
                return path
        except OSError:
            if len(paths) == 1:
                raise
    raise SourceError("no stats socket was found: set haproxy_socket")


def ask(path: str, question: str) -> str:
    """The answer to one command. Raises OSError (TimeoutError if it takes too long) and SourceError."""
    end = time.monotonic() + TIMEOUT
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(TIMEOUT)
        channel.connect(path)
        channel.sendall(question.encode() + b"\n")
        pieces: list[bytes] = []
        total = 0
        while (left := end - time.monotonic()) > 0:
            channel.settimeout(left)
            piece = channel.recv(65536)
            if not piece:
                return b"".join(pieces).decode(errors="replace")
            pieces.append(piece)
            total += len(piece)
            if total > LARGEST:
                raise SourceError(f"{path}: the answer is longer than {LARGEST >> 20} MiB")
    raise TimeoutError(f"{path}: no answer")


def worst(text: str) -> tuple[int | None, int | None]:
    """Servers of the backend with the fewest that are well, and how many are: ``UP``, by a last check that succeeded.

    ``UP 2/3`` is on its way down. None where no backend has a checked server. Raises SourceError.
    """
    if not text.startswith("# pxname,"):
        raise SourceError("the stats socket did not answer with statistics")
    backends: dict[str, list[bool]] = {}
    for row in csv.DictReader(text.removeprefix("# ").splitlines()):
        status = row.get("status") or ""
        if row.get("type") == _SERVER and status != "no check":
            check = (row.get("check_status") or "").removeprefix("* ")
            backends.setdefault(row.get("pxname") or "", []).append(status == "UP" and (not check or "OK" in check))
    if not backends:
        return None, None
    servers = min(backends.values(), key=lambda each: (sum(each), -len(each)))
    return len(servers), sum(servers)
