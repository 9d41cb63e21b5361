"""Many long-lived clients of the VIP, and the truth about what happened to them.

Run as a program in the client's namespace: `client.py HOST PORT COUNT FILE`. Each client watches, sends a small line every
second (a connection whose server is gone is only reset when its client next sends), and reconnects with a short back-off.
FILE gets a JSON line for each connection that began or ended, and the totals every second.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO

CONNECT_TIMEOUT = 3.0
SILENCE = 6.0  # longer than a normal take-over, so that a connection that survives one is not given up


class Clients:
    """All clients of one process, their totals and their log."""

    def __init__(self, host: str, port: int, log: IO[str]) -> None:
        self.host, self.port, self.log = host, port, log
        self.totals: Counter[str] = Counter()
        self.live = 0

    def note(self, event: str, **fields: object) -> None:
        """Write one line, stamped now."""
        self.log.write(json.dumps({"time": time.time_ns(), "event": event, **fields}) + "\n")
        self.log.flush()

    async def client(self, number: int) -> None:
        """Stay connected for ever."""
        backoff = 0.1
        await asyncio.sleep(random.random() * 0.5)
        while True:
            served, end, port = await self.connection(number)
            self.totals[end] += 1
            self.note(end, client=number, port=port, served=served)
            backoff = 0.1 if served else min(backoff * 2, 1.0)
            await asyncio.sleep(backoff * (0.5 + random.random()))

    async def connection(self, number: int) -> tuple[bool, str, int | None]:
        """Hold one connection; return whether it was served, how it ended, and its port."""
        port, served, ping = None, False, None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(self.host, self.port)
        except OSError as error:  # TimeoutError is one
            return served, _end(error), port
        try:
            port = writer.get_extra_info("sockname")[1]
            writer.write(b"GET /watch HTTP/1.0\r\n\r\n")
            ping = asyncio.create_task(_ping(writer))
            while True:
                async with asyncio.timeout(SILENCE):
                    line = await reader.readline()
                if not line:
                    return served, "eof", port
                if not served and b" 200 " in line:
                    served = True
                    self.live += 1
                    self.totals["established"] += 1
                    self.note("established", client=number, port=port)
        except OSError as error:
            return served, _end(error), port
        finally:
            self.live -= served
            if ping:
                ping.cancel()
            writer.close()

    async def report(self) -> None:
        """Write the totals every second."""
        while True:
            self.note("totals", live=self.live, **self.totals)
            await asyncio.sleep(1.0)


def _end(error: OSError) -> str:
    match error:
        case ConnectionRefusedError():
            return "refused"
        case ConnectionResetError() | BrokenPipeError():
            return "reset"
        case TimeoutError():
            return "timeout"
        case _:
            return "unreachable"


async def _ping(writer: asyncio.StreamWriter) -> None:
    """Send a line every second; the reader is the one who notices what comes of it."""
    await asyncio.sleep(random.random())
    while not writer.is_closing():
        writer.write(b"ping\n")
        await asyncio.sleep(1.0)


async def main(host: str, port: int, count: int, path: str) -> None:
    """Run until killed."""
    with Path(path).open("a", encoding="utf-8") as log:
        clients = Clients(host, port, log)
        await asyncio.gather(clients.report(), *(clients.client(number) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
