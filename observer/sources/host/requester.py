"""Who asked the kernel for a change: from the port of a netlink message to the name of the process, while it lives."""

from __future__ import annotations

import contextlib
from pathlib import Path

KNOWN = 256
"""Names remembered: keepalived's port is the same as long as it runs."""

DESCRIPTORS = 65536
"""File descriptors looked at in one search."""


class Requesters:
    """Looks names up when they are asked for; a search takes some milliseconds, and only for ports not seen before."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: dict[int, str] = {}

    def name(self, port: int | None) -> str | None:
        """The process that has a netlink port; None for the kernel, and for one that is gone or hidden."""
        if not port:
            return None
        if (known := self._known.get(port)) is not None:
            return known
        with contextlib.suppress(OSError, ValueError):
            # Programs that leave the port to the kernel get their process id for their first socket.
            name = self._comm(port) if (self._proc / str(port)).exists() else self._search(port)
            if name is not None:
                if len(self._known) >= KNOWN:
                    self._known.clear()
                # A process id is used again by others; a random port is not.
                if port >= 1 << 22:
                    self._known[port] = name
                return name
        return None

    def _search(self, port: int) -> str | None:
        inode = self._inode(port)
        if inode is None:
            return None
        wanted, looked = f"socket:[{inode}]", 0
        for process in self._proc.iterdir():
            if not process.name.isdigit():
                continue
            # Those of others are hidden without the right to trace them.
            with contextlib.suppress(OSError):
                for descriptor in (process / "fd").iterdir():
                    looked += 1
                    if looked > DESCRIPTORS:
                        return None
                    with contextlib.suppress(OSError):
                        if str(descriptor.readlink()) == wanted:
                            return self._comm(int(process.name))
        return None

    def _inode(self, port: int) -> int | None:
        """The inode of the rtnetlink socket with this port: sk, protocol, port, ..., inode (/proc/net/netlink)."""
        for line in (self._proc / "self/net/netlink").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[1] == "0" and int(words[2]) == port:
                return int(words[-1])
        return None

    def _comm(self, pid: int) -> str | None:
        text = (self._proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        return "".join(char for char in text if char.isprintable())[:32] or None
