"""Two namespaces on one wire: a node that watches and one that sends; nothing else is on it."""

from __future__ import annotations

import contextlib
import ctypes
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Self

from . import flood, netns

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERFACE = "eth0"


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread in a network namespace; threads that it starts there stay there."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with Path("/proc/thread-self/ns/net").open() as home, (netns.DIRECTORY / name).open() as there:
        if setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"setns to {name}")
        try:
            yield
        finally:
            setns(home.fileno(), 0)


class Veth:
    """Made on entry, removed on exit with everything that runs in it."""

    def __init__(self) -> None:
        identity = secrets.token_hex(2)
        self.here, self.there = (netns.full_name(identity, node) for node in ("here", "there"))
        self._senders: list[flood.Sender] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for name in (self.here, self.there):
                netns.run(["ip", "netns", "add", name])
                # The kernel itself says nothing on the wire.
                netns.run([*netns.inside(name), "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"])
            ends = ["name", INTERFACE, "netns", self.there]
            netns.run(["ip", "-n", self.here, "link", "add", INTERFACE, "type", "veth", "peer", *ends])
            for name in (self.here, self.there):
                for link in ("lo", INTERFACE):
                    netns.run(["ip", "-n", name, "link", "set", link, "up"])
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sender(self, *frames: bytes, out: bool = False) -> flood.Sender:
        """Sends these frames to the node that watches, or from it."""
        with inside(self.here if out else self.there):
            self._senders.append(flood.Sender(INTERFACE, list(frames), visible=out))
        return self._senders[-1]

    def close(self) -> None:
        """Remove all of it."""
        for sender in self._senders:
            sender.close()
        for name in (self.here, self.there):
            if (netns.DIRECTORY / name).exists():
                netns.remove(name)
