"""A stand-in for kube-apiserver: `/readyz` and long-lived `/watch` connections over plain HTTP, told how to behave at run time.

Run as a program in a master's namespace: `apiserver.py PORT CONTROL_SOCKET`. Behaviour is changed by one JSON line on the
control socket. Overload is modelled after API Priority and Fairness: each source address has its own queue, and one that has
just opened many connections waits. So the proxy that carries all clients is the one whose health request is late, which is
what drives the storm of the original bug, without any chance in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter, defaultdict, deque
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class Behaviour:
    """How to answer. `limit` connections of one source within `window` seconds make its `/readyz` late by `delay` seconds.

    `late` sources always get it late; `denied` sources get 429; over `max_watches` connections a watch gets 429.
    """

    readyz: int = 200
    hanging: bool = False
    limit: int | None = None
    window: float = 5.0
    delay: float = 3.0
    late: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    max_watches: int | None = None


class Apiserver:
    """One process's state: its behaviour, and who connected when."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self.opened: defaultdict[str, deque[float]] = defaultdict(deque)
        self.answers: Counter[str] = Counter()
        self.watches = 0

    def overloaded_by(self, source: str) -> bool:
        """Say whether this source has opened more connections lately than it may."""
        now, opened = time.monotonic(), self.opened[source]
        while opened and opened[0] < now - self.behaviour.window:
            opened.popleft()
        return self.behaviour.limit is not None and len(opened) > self.behaviour.limit

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        source = writer.get_extra_info("peername")[0].removeprefix("::ffff:")
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            while self.behaviour.hanging:
                await asyncio.sleep(0.1)
            path = head.split(b" ", 2)[1]
            if path == b"/watch":
                await self.watch(source, reader, writer)
            else:
                await self.readyz(source, writer)
        writer.close()

    async def readyz(self, source: str, writer: asyncio.StreamWriter) -> None:
        """Answer a health request, late if its source is overloading us."""
        status = self.behaviour.readyz
        if source in self.behaviour.denied:
            status = 429
        elif source in self.behaviour.late or self.overloaded_by(source):
            self.answers["late"] += 1
            await asyncio.sleep(self.behaviour.delay)
        self.answers[str(status)] += 1
        writer.write(_head(status) + b"readyz\n")
        await writer.drain()

    async def watch(self, source: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stream a line a second until the client goes; what it sends is read and dropped."""
        limit = self.behaviour.max_watches
        if limit is not None and self.watches >= limit:
            writer.write(_head(429))
            await writer.drain()
            return
        self.opened[source].append(time.monotonic())
        self.watches += 1
        drop = asyncio.create_task(_drop(reader))
        try:
            writer.write(_head(200))
            while not drop.done():
                if not self.behaviour.hanging:
                    writer.write(b'{"type":"BOOKMARK"}\n')
                    await writer.drain()
                await asyncio.wait({drop}, timeout=1.0)
        finally:
            self.watches -= 1
            drop.cancel()

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take new behaviour, answer with what was seen so far."""
        change = json.loads(await reader.readline())
        if change:
            change = {key: tuple(value) if isinstance(value, list) else value for key, value in change.items()}
            self.behaviour = replace(Behaviour(), **change.get("behaviour", {}))
        seen = {"behaviour": asdict(self.behaviour), "watches": self.watches, "answers": dict(self.answers)}
        writer.write(json.dumps(seen).encode() + b"\n")
        await writer.drain()
        writer.close()


def _head(status: int) -> bytes:
    return f"HTTP/1.0 {status} {'OK' if status == 200 else 'Not'}\r\nConnection: close\r\n\r\n".encode()


async def _drop(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(4096):
            pass


async def main(port: int, socket: str) -> None:
    """Serve until killed."""
    apiserver = Apiserver()
    await asyncio.start_unix_server(apiserver.control, socket)
    server = await asyncio.start_server(apiserver.serve, None, port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
