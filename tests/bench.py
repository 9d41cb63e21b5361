"""Measure what users ask about, and write docs/performance.md: `python -m tests.bench`, `make bench`; root, a quarter of an hour.

Every figure is what was measured here and now; runs of programs that are compared are interleaved, so that a slow moment of the
machine hits all of them.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from tests.lab import MASTERS, Lab, latency, missing
from tests.lab.agents import PROGRAM, Agent, replay, samples
from tests.lab.storm import CLIENTS
from tests.traffic import write_capture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
MOVES = 7
IDLE = 30
STARTS = 7
ROUNDS = 5
PACKETS = 20_000_000
SOME = 4_000_000
"""Packets of the files whose form is compared: compressed ones take long to write."""
FEW = {"tshark": 40_000, "scapy": 200_000}
"""Packets for programs that would take minutes for more."""
READY_PORT = 9967
TCPDUMP, TSHARK = "`tcpdump -r F -w /dev/null FILTER`", "`tshark -r F -Y FILTER`"
OURS, SCAPY = "`vrrp-observer replay F`", "scapy: `sniff(offline=F, filter=FILTER, store=False)`"
FILTER = "vrrp or arp or icmp or (tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0)"
DISPLAY_FILTER = "vrrp || arp || icmp || tcp.flags.syn == 1 || tcp.flags.fin == 1 || tcp.flags.reset == 1"


def main() -> int:
    """Run from the command line."""
    if lack := missing():
        print(f"bench: {lack}; run `make bench` as root", file=sys.stderr)
        return 2
    # An installed program has its bytecode beside it, and so have the peers.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="vrrp-bench-") as directory:
        out = Path(directory)
        sections = [*live(out), *starts(out), *replays(out), *forms(out)]
        if importlib.util.find_spec("tests.bench_live") is not None:
            sections += importlib.import_module("tests.bench_live").main()
    text = "\n".join([HEAD.format(machine=machine()), *sections])
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(text, encoding="utf-8")
    print(text)
    return 0


HEAD = """\
# Performance

Written by `make bench`; every figure was measured in that run, on {machine}.
The lab is three masters with real keepalived and HAProxy in network namespaces on that machine, which also runs everything else.
"""

LATENCY = """\
## From the deciding packet to /metrics

{moves} moves for a failed check, each seen by three agents: from the kernel's time stamp of the new owner's first advert, in the
capture of the agent's node, to the first scrape that shows `vrrp_flaps_total` counted. Scraped every {pause:.0f} ms.

Of it 250 ms are the hold-back, in which late observations may still arrive, and 150 ms the time in which another router may
contest the election. A verdict that is not certain, or that does not know whether the move was warranted, is counted 5 s after
the move.

| agent's node was | median | min | max | flaps | warranted known |
|---|---|---|---|---|---|"""

REPLAY = """\
## Replay

A generated capture F of {packets:,} packets ({size:.0f} MiB): of a thousand 899 are TCP data to and from the virtual address,
cut at a snapshot length of 128, 100 are SYN, SYN-ACK, FIN and RST, and one is an advert or ARP; one flap, which replay finds.
{rounds} runs each, interleaved, the file in the page cache. FILTER passes VRRP, ARP, ICMP and TCP's SYN, FIN and RST. The others
only filter; replay also judges. tshark and scapy got the first {tshark:,} and {scapy:,} packets. dumpcap reads no files.

| | packets | median | min | max | packets per second | time for a packet, against tcpdump: median | min | max |
|---|---|---|---|---|---|---|---|---|"""

MEMORY = """\
Resident memory of replay, the largest of its processes: {memory:.0f} MiB. Median time for a packet, start-up and all, against
replay: tshark {tshark:.0f} times, scapy {scapy:.0f} times as long.
"""

FORMS = """\
## Forms of a file

The same {packets:,} packets in files of several forms, {rounds} runs each, interleaved: replay, and what only decompresses.

| | size | median | min | max | time against pcap: median | min | max |
|---|---|---|---|---|---|---|---|"""


def machine() -> str:
    """The machine without its name."""
    kernel = platform.release().split("-")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    software = f"Linux {kernel}, Python {platform.python_version()}"
    return f"a {os.cpu_count()}-core {platform.machine()} machine, {memory:.0f} GiB, {software}"


# -- live


def live(out: Path) -> list[str]:
    """Memory and processor time of agents that have nothing to report, then the time to report something."""
    with Lab(latency.SETTING, out) as lab:
        lab.start()
        agents = [Agent(lab, node).start() for node in MASTERS]
        owner = lab.wait_active()
        for agent in agents:
            agent.wait_ready()
        lab.start_clients(CLIENTS)
        time.sleep(3)
        idle = resources(agents, owner)
        found = latency.measure(lab, agents, MOVES)
    return [*idle, *latencies(found)]


def resources(agents: list[Agent], owner: str) -> list[str]:
    """A table of what idle agents take."""
    before = {agent.node: processor(agent.pid) for agent in agents}
    begin = time.monotonic()
    time.sleep(IDLE)
    elapsed = time.monotonic() - begin
    rows = [
        f"| {'holds the address' if agent.node == owner else 'backup'} | {resident(agent.pid):.0f} MiB "
        f"| {(processor(agent.pid) - before[agent.node]) / elapsed * 100:.2f} % |"
        for agent in agents
    ]
    return [
        "## The idle agent",
        "",
        f"Over {IDLE} s with an advert a second, ARP, and the traffic of {CLIENTS} long-lived clients; nobody scraped.",
        "",
        "| its node | resident memory | of one core |",
        "|---|---|---|",
        *sorted(rows, key=lambda row: "backup" in row),
        "",
    ]


def resident(pid: int) -> float:
    """VmRSS in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def processor(pid: int) -> float:
    """Seconds of processor time so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def latencies(found: list[latency.Latency]) -> list[str]:
    """A table of detection latencies by what the agent's node was in the move."""
    rows = []
    for vantage in ("old owner", "new owner", "bystander", ""):
        chosen = [entry.seconds * 1000 for entry in found if vantage in ("", entry.vantage)]
        known = sum(1 for entry in found if vantage in ("", entry.vantage) and entry.warranted != "unknown")
        rows.append(f"| {vantage or '**all**'} | {spread(chosen, 'ms', 0)} | {len(chosen)} | {known} |")
    return [LATENCY.format(moves=MOVES, pause=latency.PAUSE * 1000), *rows, ""]


# -- start-up


def starts(out: Path) -> list[str]:
    """A table of how long the program takes to start."""
    small = out / "small.pcap"
    write_capture(small, 1000)
    runs = interleaved(
        STARTS,
        {
            "`vrrp-observer --version`": lambda: timed([PROGRAM, "--version"]),
            "`vrrp-observer replay` of 1,000 packets": lambda: timed([PROGRAM, "replay", str(small)]),
            "`vrrp-observer run` until every source listens": ready,
        },
    )
    return [
        "## Start",
        "",
        f"{STARTS} runs each, interleaved.",
        "",
        "| | median | min | max |",
        "|---|---|---|---|",
        *(f"| {name} | {spread(values, 's', 2)} |" for name, values in runs.items()),
        "",
    ]


def timed(command: Sequence[str]) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def largest(command: Sequence[str]) -> float:
    """MiB that the largest process of a command had resident."""
    # A small process starts it: what the one that starts a program holds counts as the program's.
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    told = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, text=True, check=True).stdout
    return int(told) / 1024


def ready() -> float:
    """Seconds until an agent's /metrics says that its sources are up (the hold-back included)."""
    begin = time.perf_counter()
    command = [PROGRAM, "run", "--interface", "lo", "--listen", f"127.0.0.1:{READY_PORT}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while sum(s.value for s in samples(scrape()) if s.name == "vrrp_observer_source_up") < 3:
                if process.poll() is not None or time.perf_counter() - begin > 30:
                    raise RuntimeError("the agent did not start")
                time.sleep(0.005)
            return time.perf_counter() - begin
        finally:
            process.terminate()


def scrape() -> str:
    """/metrics of the agent here; empty while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{READY_PORT}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


# -- replay


def replays(out: Path) -> list[str]:
    """A table of replay against the tools that people know."""
    path = out / "large.pcap"
    write_capture(path, PACKETS)
    causes = [flap["cause"] for flap in replay(path)["flaps"]]
    if causes != ["check_failed"]:
        raise RuntimeError(f"the generated capture has one failed check; replay says {causes}")
    few = {name: out / f"{name}.pcap" for name in FEW}
    for name, small in few.items():
        write_capture(small, FEW[name])
    sniffing = "import sys; from scapy.all import sniff; sniff(offline=sys.argv[1], filter=sys.argv[2], store=False)"
    runs = interleaved(
        ROUNDS,
        {
            TCPDUMP: lambda: timed(["tcpdump", "-r", str(path), "-w", "/dev/null", FILTER]),
            OURS: lambda: timed([PROGRAM, "replay", str(path)]),
            TSHARK: lambda: timed(["tshark", "-n", "-r", str(few["tshark"]), "-Y", DISPLAY_FILTER]),
            SCAPY: lambda: timed([sys.executable, "-c", sniffing, str(few["scapy"]), FILTER]),
        },
    )
    sizes = {TCPDUMP: PACKETS, OURS: PACKETS, TSHARK: FEW["tshark"], SCAPY: FEW["scapy"]}
    each = {name: [seconds / sizes[name] for seconds in values] for name, values in runs.items()}
    rows = [
        f"| {name} | {sizes[name]:,} | {spread(values, 's', 2)} | {sizes[name] / statistics.median(values):,.0f} "
        f"| {spread(pairs(each[name], each[TCPDUMP]), '×', 2)} |"
        for name, values in runs.items()
    ]
    slower = {name: statistics.median(pairs(each[name], each[OURS])) for name in (TSHARK, SCAPY)}
    size, memory = path.stat().st_size / 2**20, largest([PROGRAM, "replay", str(path)])
    path.unlink()
    return [
        REPLAY.format(packets=PACKETS, size=size, rounds=ROUNDS, **FEW),
        *rows,
        "",
        MEMORY.format(memory=memory, tshark=slower[TSHARK], scapy=slower[SCAPY]),
    ]


def forms(out: Path) -> list[str]:
    """A table of what the form of a file costs."""
    pcap, pcapng = out / "form.pcap", out / "form.pcapng"
    write_capture(pcap, SOME)
    write_capture(pcapng, SOME, pcapng=True)
    packed = {"gzip": out / "form.pcap.gz", "zstd": out / "form.pcap.zst"}
    with pcap.open("rb") as plain:
        with gzip.open(packed["gzip"], "wb", compresslevel=1) as target:
            shutil.copyfileobj(plain, target, 2**20)
        plain.seek(0)
        with packed["zstd"].open("wb") as target:
            zstandard.ZstdCompressor(level=1).copy_stream(plain, target)
    files = {"pcap": pcap, "pcapng": pcapng, **packed}
    only = {
        "gzip": "import gzip, sys; f = gzip.open(sys.argv[1])\nwhile f.read(2**20): pass",
        "zstd": "import sys, zstandard; f = zstandard.open(sys.argv[1])\nwhile f.read(2**20): pass",
    }
    work: dict[str, Callable[[], float]] = {
        f"replay of {name}": functools.partial(timed, [PROGRAM, "replay", str(path)]) for name, path in files.items()
    }
    for name, program in only.items():
        work[f"{name} decompressed, in Python"] = functools.partial(timed, [sys.executable, "-c", program, str(packed[name])])
    runs = interleaved(ROUNDS, work)
    base = runs["replay of pcap"]
    sizes = {key: next(path for name, path in files.items() if name in key.split()) for key in runs}
    rows = [
        f"| {name} | {sizes[name].stat().st_size / 2**20:,.0f} MiB | {spread(values, 's', 2)} "
        f"| {spread(pairs(values, base), '×', 2)} |"
        for name, values in runs.items()
    ]
    return [FORMS.format(packets=SOME, rounds=ROUNDS), *rows, ""]


def pairs(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Ratios of what was measured in the same round."""
    return [value / other for value, other in zip(values, base, strict=True)]


def interleaved(rounds: int, work: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each piece of work once a round, after a round that does not count."""
    runs: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, measure in work.items():
            seconds = measure()
            if number:
                runs[name].append(seconds)
    return runs


def spread(values: Sequence[float], unit: str, digits: int) -> str:
    """Median, minimum and maximum as three cells."""
    if not values:
        return "- | - | -"
    return " | ".join(f"{value:.{digits}f} {unit}" for value in (statistics.median(values), min(values), max(values)))


if __name__ == "__main__":
    sys.exit(main())
