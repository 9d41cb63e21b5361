"""A load that is never even: `jitter.py HOST PORT LEAST MOST FILE`, short requests through the VIP, in the client's namespace.

The rate wanders between LEAST and MOST requests a second, with a lull and a rush now and then. FILE gets the totals every
ten seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

TIMEOUT = 5.0
AT_ONCE = 200


async def request(host: str, port: int, totals: Counter[str]) -> None:
    """One connection: ask, read to the end, close."""
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.closing(writer):
                writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
                totals["served" if b" 200 " in await reader.read() else "failed"] += 1
    except OSError as error:  # TimeoutError is one
        totals[type(error).__name__] += 1


async def main(host: str, port: int, least: float, most: float, path: Path) -> None:
    """Run until killed."""
    totals: Counter[str] = Counter()
    running: set[asyncio.Task[None]] = set()
    rate, told = (least + most) / 2, time.monotonic()
    while True:
        rate = min(most, max(least, rate * random.uniform(0.8, 1.25)))
        pause = random.expovariate(rate)
        if random.random() < 0.002:
            pause, rate = random.uniform(1, 4), most
        await asyncio.sleep(pause)
        if len(running) < AT_ONCE:
            task = asyncio.create_task(request(host, port, totals))
            running.add(task)
            task.add_done_callback(running.discard)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            with path.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"time": time.time_ns(), **totals}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5])))
