"""What systemd is told of this process, by the protocol of sd_notify(3): one datagram to a socket that it names.

Without ``NOTIFY_SOCKET`` in the environment everything here does nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Notifier:
    """Tells the service manager when the agent is ready, reloads, stops, and that its loop turns."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the socket's name and the watchdog's interval from ``environment``; ``clock`` is CLOCK_MONOTONIC in seconds."""
        name = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero octet of the abstract namespace (sd_notify(3)).
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._clock = clock
        self._interval = _watchdog(environment)
        self._last = float("-inf")

    def ready(self, status: str = "") -> None:
        """Started, or done with reloading."""
        self._send(f"READY=1\nSTATUS={status}" if status else "READY=1")

    def reloading(self) -> None:
        """Reloading has begun; ``ready`` ends it."""
        # Type=notify-reload asks for the time, to match it with the signal it sent.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock() * 1_000_000)}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def turned(self) -> None:
        """The engine's loop came round: told to the watchdog twice in each of its intervals."""
        if self._interval is not None and self._clock() - self._last >= self._interval / 2:
            self._last = self._clock()
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A service manager that does not listen is no reason to stop observing.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.settimeout(1)
            notify.sendto(message.encode(), self._address)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """Seconds within which the watchdog wants to hear of this process; None: there is none (sd_watchdog_enabled(3))."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() and int(microseconds) else None
