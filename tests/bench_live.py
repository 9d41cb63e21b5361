"""Measure the agent in a flood, beside tcpdump, dumpcap and scapy: `python -m tests.bench_live`; root, about three minutes.

One namespace watches, another sends as fast as a processor can; every receiver gets its turn in every round. Adverts are sent
all the time. Processor time is the receiver's whole process's, from before the flood until all that came is accounted for.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab import flood
from tests.lab.agents import PROGRAM, samples
from tests.lab.netns import inside as within
from tests.lab.services import HERE
from tests.lab.veth import INTERFACE, Veth, inside

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 3
SECONDS = 2.0
"""Of flood for each receiver in each round."""
PACE = 0.05
"""Seconds between two adverts."""
PORT = 9968
PRIORITY = ("nice", "-n", "-10")
SETTLING = 4.0
"""Seconds after the flood that count as well: the agent may take a few segments late (`batches.LEISURE`)."""
PATIENCE = 20
"""Seconds that the agent has to account for what it was sent."""
FILTER = f"(host {flood.VIP} or host {flood.ROUTER}) and ((tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0) or ip proto 112)"
SNIFF = """
import sys
from scapy.config import conf
from scapy.sendrecv import AsyncSniffer
seen = [0]
def count(packet): seen[0] += 1
import scapy.layers.inet
ready = lambda: print("ready", flush=True)
sniffer = AsyncSniffer(iface=sys.argv[1], filter=sys.argv[2], store=False, prn=count, started_callback=ready)
sniffer.start()
sys.stdin.read()
sniffer.stop()
print(seen[0], flush=True)
"""


@dataclass(frozen=True)
class Run:
    """One receiver in one flood."""

    sent: int
    rate: float
    """Frames a second that the sender reached beside this receiver."""
    lost: int
    seconds: float
    """Processor time of the receiver."""
    adverts: tuple[int, int] | None = None
    """Sent and counted, where the receiver counts them."""
    peak: float = 0.0
    """MiB resident at most."""

    @property
    def each(self) -> float:
        """Microseconds of processor time for a frame that was not lost."""
        return self.seconds / max(1, self.sent - self.lost) * 1e6


class Adverts(threading.Thread):
    """Sends an advert every `PACE`, until it is stopped."""

    def __init__(self, wire: Veth) -> None:
        super().__init__(daemon=True)
        self._senders = [wire.sender(flood.advert(ident)) for ident in range(16)]
        self._stopped = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Send."""
        while not self._stopped.wait(PACE):
            self.sent += self._senders[self.sent % len(self._senders)].send()

    def stop(self) -> int:
        """End it; how many went out."""
        self._stopped.set()
        self.join()
        return self.sent


def main() -> list[str]:
    """The tables as lines of Markdown."""
    floods: dict[str, list[Run]] = {}
    rejected: dict[str, list[Run]] = {}
    calm: list[Run] = []
    for number in range(ROUNDS):
        for name, (tool, receive) in RECEIVERS.items():
            if tool is None or shutil.which(tool):
                floods.setdefault(name, []).append(receive("resets"))
                print(f"round {number + 1}: {name}: {floods[name][-1]}", file=sys.stderr)
        for name in (AGENT, TCPDUMP):
            rejected.setdefault(name, []).append(RECEIVERS[name][1]("data"))
            print(f"round {number + 1}: {name}, rejected: {rejected[name][-1]}", file=sys.stderr)
        calm.append(agent("nothing"))
        print(f"round {number + 1}: {AGENT}, no flood: {calm[-1]}", file=sys.stderr)
    ours = floods[AGENT]
    sent, counted = (sum(run.adverts[which] for run in ours if run.adverts) for which in (0, 1))
    return [
        "## A flood of resets",
        "",
        f"Resets of the virtual address over a veth pair for {SECONDS:.0f} s, as fast as one process sends them; {ROUNDS} runs",
        "each, interleaved. The agent is the whole process: it also decodes, orders, judges and counts adverts and resets;",
        "tcpdump and dumpcap write to /dev/null. Sender and receivers have priority over whatever else the machine does.",
        "All have a kernel filter for the address. Processor time is for a frame that was not lost.",
        "",
        "| receiver | µs a frame: median | min | max | lost: median | min | max | sent a second |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {spread([run.each for run in runs], '', 3)} "
            f"| {spread([run.lost / run.sent * 100 for run in runs], ' %', 2)} | {rate(runs)} |"
            for name, runs in floods.items()
        ),
        "",
        f"Meanwhile {sent} adverts were sent, and the agent's metrics counted {counted}.",
        f"At its peak the agent had {max(run.peak for run in ours):.0f} MiB resident.",
        "",
        "### Traffic that is not of interest",
        "",
        "Data segments of the same address, which the kernel's filter rejects, and no flood at all: the adverts alone.",
        "",
        "| receiver | ms of processor time: median | min | max | frames rejected | sent a second |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {spread([run.seconds * 1000 for run in runs], '', 1)} "
            f"| {statistics.median(run.sent for run in runs):,.0f} | {rate(runs)} |"
            for name, runs in {**rejected, f"{AGENT}, no flood": calm}.items()
        ),
        "",
    ]


def agent(kind: str) -> Run:
    """The agent's run: lost is what it says it lost, and what it does not account for at all."""
    with Veth() as wire:
        process = _popen(wire, [PROGRAM, "run", "--node", "m0", "--listen", f"127.0.0.1:{PORT}", "--format", "json"])
        first, probe = Adverts(wire), wire.sender(flood.tcp(0, 4))
        first.start()

        def heard() -> bool:
            # Resets are seen once the address is known and the filter follows it.
            probe.send()
            return _sum(wire, "vrrp_resets_total") > 0

        _until(heard, "the agent to hear resets")
        first.stop()
        time.sleep(SETTLING)
        resets, heard_before = _sum(wire, "vrrp_resets_total"), _sum(wire, "vrrp_adverts_total")
        adverts = Adverts(wire)
        adverts.start()
        begin = processor(process.pid)
        sent, rate = _flood(wire, kind)
        # Without a scrape, which costs it as well.
        time.sleep(SETTLING)
        seconds = processor(process.pid) - begin
        told = adverts.stop()

        def missing() -> float:
            return sent + resets - _sum(wire, "vrrp_resets_total") - _lost(wire) if kind == "resets" else 0

        if missing():
            with contextlib.suppress(TimeoutError):
                _until(lambda: not missing(), "all frames to be accounted for", 0.5)
            seconds = processor(process.pid) - begin
        with contextlib.suppress(TimeoutError):
            _until(lambda: _sum(wire, "vrrp_adverts_total") - heard_before >= told, "all adverts to be counted", 0.5)
        counted = int(_sum(wire, "vrrp_adverts_total") - heard_before)
        lost = int(_lost(wire) + missing())
        peak = memory(process.pid)
        process.terminate()
        process.wait(10)
        return Run(sent, rate, lost, seconds, (told, counted), peak)


def tcpdump(kind: str) -> Run:
    """Frames that tcpdump says it lost."""
    command = ["tcpdump", "-Z", "root", "-i", INTERFACE, "-n", "-w", "/dev/null", FILTER]
    return _tool(kind, command, "listening on", lambda said: int(re.findall(r"(\d+) packets? dropped by kernel", said)[-1]))


def dumpcap(kind: str) -> Run:
    """Frames that dumpcap says it lost."""
    command = ["dumpcap", "-q", "-i", INTERFACE, "-f", FILTER, "-w", "/dev/null"]
    return _tool(kind, command, "File:", lambda said: int(re.findall(r"dropped on interface .*: \d+/(\d+)", said)[-1]))


def scapy(kind: str) -> Run:
    """Frames that the callback of scapy's sniffer did not get."""
    command = [sys.executable, "-c", SNIFF, INTERFACE, FILTER]
    return _tool(kind, command, "ready", lambda said: -int(said.split()[-1]))


def _tool(kind: str, command: list[str], sign: str, losses: Callable[[str], int]) -> Run:
    """A receiver that tells at its end what it lost; below 0, what it got, adverts included."""
    with Veth() as wire:
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = _popen(wire, command, **streams)
        assert process.stdout
        assert process.stdin
        said = ""
        while sign not in said:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{command[0]}: {said}")
            said += line
        time.sleep(0.5)
        adverts = Adverts(wire)
        adverts.start()
        begin = processor(process.pid)
        sent, rate = _flood(wire, kind)
        time.sleep(SETTLING)
        seconds = processor(process.pid) - begin
        told = adverts.stop()
        process.stdin.close()
        if sign != "ready":
            process.send_signal(signal.SIGINT)
        said += process.stdout.read()
        process.wait(20)
        lost = losses(said)
        return Run(sent, rate, lost if lost >= 0 else sent + told + lost, seconds)


AGENT, TCPDUMP = "**`vrrp-observer run`**", "`tcpdump -w /dev/null FILTER`"
RECEIVERS: dict[str, tuple[str | None, Callable[[str], Run]]] = {
    AGENT: (None, agent),
    TCPDUMP: ("tcpdump", tcpdump),
    "`dumpcap -f FILTER -w /dev/null`": ("dumpcap", dumpcap),
    "scapy's `sniff(filter=FILTER, prn=...)`": (None, scapy),
}
"""Receiver: the tool that it needs, and a flood with it."""


def _flood(wire: Veth, kind: str) -> tuple[int, float]:
    """Frames sent, and how many a second."""
    if kind == "nothing":
        time.sleep(SECONDS)
        return 0, 0.0
    command = [*PRIORITY, *within(wire.there), sys.executable, "-I", "-S", str(HERE / "flood.py"), INTERFACE, str(SECONDS), kind]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    return done["sent"], done["sent"] / done["seconds"]


def _popen(wire: Veth, command: list[str], **streams: Any) -> subprocess.Popen[str]:
    streams = streams or {"stdout": subprocess.DEVNULL}
    return subprocess.Popen([*PRIORITY, *within(wire.here), *command], **streams)


def _sum(wire: Veth, name: str, **labels: str) -> float:
    """The sum of a metric of the agent, 0 while it does not answer."""
    with inside(wire.here):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
    return sum(s.value for s in samples(text) if s.name == name and labels.items() <= s.labels.items())


def _lost(wire: Veth) -> float:
    return _sum(wire, "vrrp_observer_frames_lost_total", source="segments")


def _until(done: Callable[[], bool], what: str, pause: float = 0.2) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE} s for {what}")
        time.sleep(pause)


def processor(pid: int) -> float:
    """Seconds of processor time of all threads so far, user and system."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def memory(pid: int) -> float:
    """MiB resident at most so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def spread(values: list[float], unit: str, digits: int) -> str:
    """Median, minimum and maximum as three cells."""
    return " | ".join(f"{value:.{digits}f}{unit}" for value in (statistics.median(values), min(values), max(values)))


def rate(runs: list[Run]) -> str:
    """The median of what the sender reached."""
    return f"{statistics.median(run.rate for run in runs):,.0f}"


if __name__ == "__main__":
    print("\n".join(main()))
