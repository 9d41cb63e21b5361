"""What keepalived itself understood: the real program in its own network namespace, asked for its JSON and its data dump."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

INTERFACES = ("eth0", "eth1", "br-ex")
_TRACK = re.compile(r" {5}(.+?)[,:]? weight (-?\d+)( reverse)?")
PATIENCE = 5.0


class Oracle:
    """A keepalived that runs in ``namespace`` with its files in ``directory``."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self._namespace = namespace
        self.directory = directory

    def write(self, files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o600)
        return self.directory / next(iter(files))

    @contextlib.contextmanager
    def running(self, files: Mapping[str, str], config_id: str) -> Iterator[Running]:
        main = self.write(files)
        place = self.directory / f"run-{uuid4().hex[:6]}"
        place.mkdir()
        argv = ["ip", "netns", "exec", self._namespace, "env", f"TMPDIR={place}", "keepalived", "-n", "-l", "-D", "-P"]
        argv += ["-f", str(main), "-i", config_id, "-p", f"{place}/pid", "-r", f"{place}/vrrp", "-c", f"{place}/check"]
        argv += ["-b", f"{place}/bfd"]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            yield Running(process, place)
        finally:
            # Parent first, or it starts the child anew; both are ours: nothing else lives in this namespace.
            process.kill()
            process.wait()
            for pid in self._pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + PATIENCE
            while self._pids() and time.monotonic() < deadline:
                time.sleep(0.01)

    def _pids(self) -> list[int]:
        done = subprocess.run(["ip", "netns", "pids", self._namespace], capture_output=True, text=True, check=False)
        return [int(pid) for pid in done.stdout.split()]


class Running:
    """One run, from start to kill."""

    def __init__(self, process: subprocess.Popen[bytes], place: Path) -> None:
        self._process = process
        self._place = place
        self._wait(lambda: "Startup complete" in self.log, "to start")

    @property
    def log(self) -> str:
        return (self._place / "log").read_text(errors="replace")

    def instances(self) -> dict[str, dict[str, Any]]:
        """By name, the ``data`` of every instance in the JSON dump."""
        self._signal("JSON", "keepalived.json")
        return {item["data"]["iname"]: item["data"] for item in json.loads(self._text("keepalived.json"))}

    def data(self) -> Data:
        self._signal("DATA", "keepalived.data")
        return Data(self._text("keepalived.data"))

    def _signal(self, name: str, file: str) -> None:
        path = self._place / file
        path.unlink(missing_ok=True)
        number = int(subprocess.check_output(["keepalived", f"--signum={name}"]))
        os.kill(self._process.pid, number)
        sizes = [-1, -2]

        def complete() -> bool:
            sizes.append(path.stat().st_size if path.exists() else 0)
            return sizes[-1] == sizes[-2] > 0

        self._wait(complete, f"to write {file}")

    def _text(self, file: str) -> str:
        return (self._place / file).read_text()

    def _wait(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"keepalived failed {what}:\n{self.log}")
            time.sleep(0.02)


class Data:
    """The dump of all data: sections, in them blocks that begin with a name, in them ``key = value`` and lists."""

    def __init__(self, text: str) -> None:
        self.sections = {
            match[1]: match[2] for match in re.finditer(r"------< (.+?) >------\n(.*?)(?=\n------<|\Z)", text, re.DOTALL)
        }

    def blocks(self, section: str, title: str) -> dict[str, str]:
        parts = re.split(rf"^ {title} = (.+)\n", self.sections.get(section, ""), flags=re.MULTILINE)
        return {name.split(", ")[0]: body for name, body in zip(parts[1::2], parts[2::2], strict=True)}

    @staticmethod
    def value(block: str, key: str) -> str | None:
        match = re.search(rf"^ +{key} = (.+)$", block, re.MULTILINE)
        return match[1] if match else None

    @staticmethod
    def listed(block: str, title: str) -> list[str]:
        match = re.search(rf"^ +{title} ?:?.*:\n((?: {{5}}.*\n?)*)", block, re.MULTILINE)
        return match[1].splitlines() if match else []

    @classmethod
    def tracks(cls, block: str) -> dict[str, list[tuple[str, int, bool]]]:
        found = {}
        for kind, title in (
            ("interface", "Tracked interfaces"),
            ("script", "Tracked scripts"),
            ("file", "Tracked files"),
            ("process", "Tracked process(?:es)?"),
            ("bfd", "Tracked BFDs"),
        ):
            matches = [_TRACK.fullmatch(line) for line in cls.listed(block, title)]
            found[kind] = [(match[1], int(match[2]), bool(match[3])) for match in matches if match]
        return found


@contextlib.contextmanager
def oracle(directory: Path) -> Iterator[Oracle]:
    """A namespace of its own with a few interfaces, gone afterwards."""
    name = f"vrrpconf-{os.getpid()}-{uuid4().hex[:6]}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)

    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        for index, interface in enumerate(INTERFACES):
            ip("-n", name, "link", "add", interface, "type", "bridge")
            ip("-n", name, "link", "set", interface, "up")
            ip("-n", name, "addr", "add", f"10.9.{index}.2/24", "dev", interface)
            ip("-n", name, "addr", "add", f"fd00:9:{index}::2/64", "dev", interface, "nodad")
        yield Oracle(name, directory)
    finally:
        ip("netns", "del", name)
