"""`python -m tests.record CASE...`, `--all` or `--missing`: play what `lab.recordings` says and cut it to cases (root).

Kept are the seconds around the story; every frame of VRRP, ARP, ICMP, IGMP and neighbour discovery; of TCP what opens and closes
connections, and of data towards and from the virtual address one segment in every tenth of a second: enough to see that a proxy
worked. A new case.toml is drafted from the truth file; its label is to be read and put right by hand. Without a truth file
that agrees with the story (the address did not move, the machine was too busy), nothing is written.
"""

from __future__ import annotations

import argparse
import gzip
import ipaddress
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import CONTROL_ONLY, HOSTS, address, missing
from lab.recordings import RECORDINGS, Recording
from lab.scenarios import play

from observer.wire.log_lines import read_line

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent / "pcaps"
ATTEMPTS = 6
BEFORE = 7
"""Seconds kept before the story begins."""

SHARE = 100_000_000
"""Nanoseconds of which one data segment is kept."""

LATE = re.compile(r"thread timer expired ([0-9.]+) seconds ago")
LASTING = 0.15e9
"""Nanoseconds; who holds the address for less has lost a contested election."""

Frame = tuple[int, bytes, int]
"""When, in nanoseconds; the captured octets; how many there were."""


class UnsoundError(Exception):
    """The run does not show what it should: play it again."""


def record(name: str, runs: Path) -> None:
    """Play and cut one case. Raises UnsoundError."""
    recording = RECORDINGS[name]
    run = runs / name.replace("/", "-")
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    tap = recording.shape if recording.shape in ("any", "dumpcap") else "tcpdump"
    capture = CONTROL_ONLY if tap == "dumpcap" else ""
    play(recording.scenario, run, settle=BEFORE, tap=tap, capture=capture)  # type: ignore[arg-type]
    cut(name, recording, run)


def cut(name: str, recording: Recording, run: Path) -> None:
    """Cut a run to a case, and draft its label if it has none."""
    truth = [json.loads(line) for line in (run / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    story = next(entry["time"] for entry in truth if entry["event"] == "story")
    end = next(entry["time"] for entry in truth if entry["event"] == "story_end")
    begin = story - BEFORE * 10**9
    sound(run, recording, truth, story)
    case = ROOT / name
    case.mkdir(parents=True, exist_ok=True)
    for old in case.iterdir():
        if old.name != "case.toml":
            old.unlink()
    for node in ("m0", "m1", "m2", "span"):
        capture = run / f"{node}.pcap"  # of a node that boots again the first boot's: it ends with the node
        if recording.shape == "dumpcap" and node != "span":
            with tempfile.NamedTemporaryFile(suffix=".pcapng") as kept:
                window = ["-A", _editcap(begin), "-B", _editcap(end)]
                subprocess.run(["editcap", "-F", "pcapng", *window, capture, kept.name], check=True, env={"TZ": "UTC"})
                (case / f"{node}.pcapng.gz").write_bytes(gzip.compress(Path(kept.name).read_bytes(), 9, mtime=0))
            continue
        linktype = struct.unpack("<I", capture.read_bytes()[20:24])[0]
        frames = [frame for frame in frames_of(capture) if begin <= frame[0] <= end]
        vip = ipaddress.ip_address(recording.setting.vip).packed
        kept_frames = list(shaped(thinned(frames, linktype, vip), recording.shape, mirror=node == "span"))
        (case / f"{node}.pcap.gz").write_bytes(gzip.compress(written(kept_frames, linktype), 9, mtime=0))
    for events in sorted(run.glob("m?.ipmonitor.log")):
        text = "".join(addresses_since(events.read_text(encoding="utf-8"), begin, end))
        (case / f"{events.name.split('.')[0]}.addresses").write_text(text, encoding="utf-8")
    for log in sorted(run.glob("m?.keepalived.log")):
        # Only what is understood: other lines name paths of the machine that recorded it.
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept_lines = [line for line in lines if (read := read_line(line, UTC)) is not None and read.message is not None]
        within = [line for line in kept_lines if begin <= _moment(line.split(" ", 1)[0]) <= end]
        (case / f"{log.name.split('.')[0]}.log").write_text("".join(within), encoding="utf-8")
    for conf in sorted(run.glob("m?.*.conf")):
        text = re.sub(r'script ".*"', 'script "/usr/local/bin/check"', conf.read_text(encoding="utf-8"))
        node, kind, _ = conf.name.split(".")
        (case / (f"{node}.conf" if kind == "keepalived" else f"{node}.{kind}.conf")).write_text(text, encoding="utf-8")
    label = case / "case.toml"
    if not label.exists():
        label.write_text(draft(recording, truth, story), encoding="utf-8")


# -- is the run what it should be


def sound(run: Path, recording: Recording, truth: list[dict[str, Any]], story: int) -> None:
    """Refuse a run that does not show what it should. Raises UnsoundError.

    A keepalived that nobody froze was late: the machine had too much else to do. Or an election that should was not contested.
    """
    frozen = {entry["node"] for entry in truth if entry["event"] == "action" and entry["action"].endswith(".freeze")}
    for log in run.glob("m?.keepalived.log"):
        if log.name.split(".")[0] in frozen:
            continue
        for line in log.read_text(encoding="utf-8").splitlines():
            late = LATE.search(line)
            if late and float(late[1]) > 0.3 and _moment(line.split(" ", 1)[0]) > story - BEFORE * 10**9:
                raise UnsoundError(f"{log.name}: {line}")
    claims = {entry["node"] for entry in truth if entry["event"] == "holders" and entry["holding"] and entry["time"] > story}
    if recording.contested and len(claims) < 2:
        raise UnsoundError("the election was not contested")


# -- frames


def frames_of(path: Path) -> Iterator[Frame]:
    """The frames of a pcap file with nanoseconds, little-endian, as tcpdump writes it here."""
    data, at = path.read_bytes(), 24
    if data[:4] != b"\x4d\x3c\xb2\xa1":
        raise ValueError(f"{path}: not a pcap file with nanoseconds")
    while at + 16 <= len(data):
        seconds, nanoseconds, captured, length = struct.unpack("<IIII", data[at : at + 16])
        yield seconds * 10**9 + nanoseconds, data[at + 16 : at + 16 + captured], length
        at += 16 + captured


def written(frames: list[Frame], linktype: int) -> bytes:
    """A pcap file with nanoseconds."""
    pieces = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, linktype)]
    for time, octets, length in frames:
        pieces += [struct.pack("<IIII", time // 10**9, time % 10**9, len(octets), length), octets]
    return b"".join(pieces)


def thinned(frames: list[Frame], linktype: int, vip: bytes) -> Iterator[Frame]:
    """What is kept of the frames; Ethernet (1) or Linux cooked v2 (276)."""
    last: dict[tuple[bool, bytes], int] = {}
    for time, octets, length in frames:
        ethertype, at = (octets[12:14], 14) if linktype == 1 else (octets[0:2], 20)
        if ethertype == b"\x08\x06":
            yield time, octets, length
            continue
        if ethertype == b"\x08\x00":
            protocol, payload = octets[at + 9], at + 4 * (octets[at] & 15)
            source, destination = octets[at + 12 : at + 16], octets[at + 16 : at + 20]
            behind = at + int.from_bytes(octets[at + 2 : at + 4], "big")
        elif ethertype == b"\x86\xdd":
            protocol, payload = octets[at + 6], at + 40
            source, destination = octets[at + 8 : at + 24], octets[at + 24 : at + 40]
            behind = payload + int.from_bytes(octets[at + 4 : at + 6], "big")
        else:
            continue
        if protocol != 6:
            if protocol in (0, 1, 2, 51, 58, 112):
                yield time, octets, length
            continue
        carries = behind > payload + 4 * (octets[payload + 12] >> 4)
        if octets[payload + 13] & 7:
            yield time, octets, length
        elif carries and vip in (source, destination):
            # Those of clients by whom they are sent to: a misdirected one is told from its MAC.
            key = (source == vip, octets[:6] if linktype == 1 else b"")
            if time - last.get(key, 0) >= SHARE:
                last[key] = time
                yield time, octets, length


def shaped(frames: Iterator[Frame], shape: str, *, mirror: bool) -> Iterator[Frame]:
    """Put every frame into VLAN 7, or show a mirror port's frames twice."""
    for time, octets, length in frames:
        if shape == "tagged":
            yield time, octets[:12] + b"\x81\x00\x00\x07" + octets[12:], length + 4
            continue
        yield time, octets, length
        if shape == "twice" and mirror:
            yield time + 4_000, octets, length


# -- words


def addresses_since(text: str, begin: int, end: int) -> list[str]:
    """The address and link events of the time kept, and before them what the node held when it began."""
    events = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    held: dict[str, str] = {}
    kept = []
    for event in events:
        match = re.match(r"\[([^\]]+)\] (Deleted )?\d+: (\S+)\s+(inet6? \S+)?", event)
        if match is None or (time := _moment(match[1])) > end:
            continue
        if time >= begin:
            kept.append(event)
        elif match[4] is None:
            held[match[3]] = event
        elif match[2]:
            held.pop(match[4], None)
        else:
            held[match[4]] = event
    # Namespaces of the machine that recorded it are nobody's business.
    return [re.sub(r" link-netns \S+", "", event) for event in (*held.values(), *kept)]


def draft(recording: Recording, truth: list[dict[str, Any]], story: int) -> str:
    """case.toml, its label drafted from who held the address."""
    holding = [entry for entry in truth if entry["event"] == "holders"]
    lines = [f"title = {json.dumps(recording.title)}", f"setting = {json.dumps(recording.setting.name)}", ""]
    for entry in truth:
        if entry["time"] < story or entry["event"] not in ("holders", "action"):
            continue
        when = f"# {(entry['time'] - story) / 1e9:+.3f} s {entry.get('node', '')}"
        if entry["event"] == "holders":
            lines.append(f"{when} {'holds' if entry['holding'] else 'no longer holds'} the address")
        else:
            rest = {
                key: value for key, value in entry.items() if key not in ("time", "event", "action", "node") and value is not None
            }
            lines.append(f"{when} {entry['action']} {json.dumps(rest) if rest else ''}".rstrip())
    lines[3:] = sorted(lines[3:], key=lambda line: float(line.split()[1]))
    before = [entry for entry in holding if entry["time"] <= story]
    owner = before[-1]["holders"][0] if before and before[-1]["holders"] else None
    gains = [owner, *(node for _, node in lasting(holding, story))]
    gains = [node for at, node in enumerate(gains) if not at or node != gains[at - 1]]
    last = next((node for node in reversed(gains) if holding and node in holding[-1]["holders"]), gains[-1])
    if gains[-1] != last:  # whoever never lost it has no gain
        gains.append(last)
    for at, (cause, warranted) in enumerate(recording.flaps):
        one = len(recording.flaps) == 1
        former = owner if one else gains[at] if at < len(gains) else None
        current = last if one else gains[at + 1] if at + 1 < len(gains) else None
        lines += ["", "[[flap]]", f'cause = "{cause}"', f'warranted = "{warranted}"']
        lines += [f'{key} = "{router(node, recording)}"' for key, node in (("from", former), ("to", current)) if node]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def lasting(holding: list[dict[str, Any]], story: int) -> list[tuple[int, str]]:
    """Gains of the address since the story began that were no contested election's."""
    found = []
    for at, entry in enumerate(holding):
        lost = next((e["time"] for e in holding[at + 1 :] if e["node"] == entry["node"] and not e["holding"]), None)
        if entry["holding"] and entry["time"] > story and (lost is None or lost - entry["time"] > LASTING):
            found.append((entry["time"], entry["node"]))
    return sorted(found)


def router(node: str, recording: Recording) -> str:
    """The address by which a router's adverts are known."""
    setting = recording.setting
    if setting.family == 4 or setting.unicast:
        return address(node, setting.family)
    return f"fe80::5e:{HOSTS[node]}" if setting.routers == "frr" else f"fe80::ff:fe00:{HOSTS[node]}"


def _moment(text: str) -> int:
    """Nanoseconds since the epoch of an ISO time in UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()) * 10**9 + int(fraction.ljust(9, "0")[:9])


def _editcap(time: int) -> str:
    return datetime.fromtimestamp(time / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def main() -> int:
    """Record what was asked for; with several, each in a process of its own. 1 if one could not be recorded."""
    parser = argparse.ArgumentParser(prog="tests.record", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--all", action="store_true", help="every case; labels that exist stay: read them anew")
    parser.add_argument("--missing", action="store_true", help="every case that is not there")
    parser.add_argument("--cut", action="store_true", help="cut the runs that are kept again, play nothing")
    parser.add_argument("--runs", type=Path, help="keep the runs here")
    parser.add_argument("--jobs", type=int, default=2, help="labs at once")
    wanted = parser.parse_args()
    names = wanted.cases or [name for name in RECORDINGS if wanted.all or not (ROOT / name / "case.toml").exists()]
    if unknown := [name for name in names if name not in RECORDINGS]:
        print(
            f"tests.record: no recording is called {', '.join(unknown)}; they are listed in tests/lab/recordings.py",
            file=sys.stderr,
        )
        return 2
    if not wanted.cut and (lack := missing()):
        print(f"tests.record: {lack}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as vanishing:
        runs = wanted.runs or Path(vanishing)
        if wanted.cut:
            for name in names:
                cut(name, RECORDINGS[name], runs / name.replace("/", "-"))
            return 0
        if len(names) > 1:
            with ThreadPoolExecutor(wanted.jobs) as pool:
                return max(pool.map(lambda name: _apart(name, runs), names), default=0)
        try:
            record(names[0], runs)
        except (UnsoundError, AssertionError, TimeoutError) as error:
            print(f"{names[0]}: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
    return 0


def _apart(name: str, runs: Path) -> int:
    """Record one case in a process of its own, again if need be."""
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            [sys.executable, "-m", "tests.record", name, "--runs", str(runs)], capture_output=True, text=True, check=False
        )
        print(f"{name}: {'recorded' if done.returncode == 0 else done.stderr.strip().splitlines()[-1]}", flush=True)
        if done.returncode == 0:
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
