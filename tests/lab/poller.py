"""Say when a scrape first shows another number of flaps: `poller.py PORT SECONDS`, in the namespace of the agent.

A JSON line for every change, with the time at which the answer had been read; SECONDS is the pause between two scrapes.
"""

from __future__ import annotations

import json
import socket
import sys
import time


def scrape(port: int) -> bytes:
    """Read /metrics once."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def flaps(exposition: bytes) -> int:
    """Sum vrrp_flaps_total over its labels."""
    lines = (line for line in exposition.splitlines() if line.startswith(b"vrrp_flaps_total{"))
    return int(sum(float(line.rsplit(b" ", 1)[1]) for line in lines))


def main(port: int, pause: float) -> None:
    """Poll until killed."""
    before = None
    while True:
        seen = flaps(scrape(port))
        if seen != before:
            print(json.dumps({"time": time.time_ns(), "flaps": seen}), flush=True)
            before = seen
        time.sleep(pause)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
