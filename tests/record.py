"""`python -m tests.record RUN CAUSE/CASE`: cut a run of the lab to a case of the corpus.

RUN is a directory that `python -m lab SCENARIO --out RUN` left. Of TCP only SYN, FIN and RST are kept, and the seconds around
the story. case.toml is drafted from the truth file; its label is to be read and put right by hand.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from observer.wire.log_lines import read_line

ROOT = Path(__file__).resolve().parent.parent / "pcaps"
KEPT = "arp or icmp or icmp6 or proto 112 or ip6 proto 112 or (tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0) or (ip6 and tcp)"
BEFORE = 12
"""Seconds kept before the story begins."""


def main(run: Path, name: str) -> None:
    """Cut, compress, and draft the label."""
    truth = [json.loads(line) for line in (run / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    story = next(entry["time"] for entry in truth if entry["event"] == "story")
    scenario = next(entry for entry in truth if entry["event"] == "scenario")
    setting = next(entry for entry in truth if entry["event"] == "start")
    case = ROOT / name
    case.mkdir(parents=True, exist_ok=True)
    begin = datetime.fromtimestamp(story / 1e9 - BEFORE, UTC).strftime("%Y-%m-%d %H:%M:%S")
    for capture in sorted((*run.glob("m?.pcap"), run / "span.pcap")):
        with tempfile.NamedTemporaryFile(suffix=".pcap") as kept, tempfile.NamedTemporaryFile(suffix=".pcap") as cut:
            subprocess.run(["tcpdump", "-nr", capture, "-w", kept.name, KEPT], check=True, capture_output=True)
            subprocess.run(["editcap", "-F", "nsecpcap", "-A", begin, kept.name, cut.name], check=True, env={"TZ": "UTC"})
            (case / f"{capture.stem}.pcap.gz").write_bytes(gzip.compress(Path(cut.name).read_bytes(), 9, mtime=0))
    for events in sorted(run.glob("m?.ipmonitor.log")):
        (case / f"{events.name.split('.')[0]}.addresses").write_bytes(events.read_bytes())
    for log in sorted(run.glob("m?.keepalived.log")):
        # Only what is understood: other lines name paths of the machine that recorded it.
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if (read := read_line(line, UTC)) is not None and read.message is not None]
        (case / f"{log.name.split('.')[0]}.log").write_text("".join(kept), encoding="utf-8")
    for conf in sorted(run.glob("m?.keepalived.conf")):
        text = re.sub(r'script ".*"', 'script "/usr/local/bin/check"', conf.read_text(encoding="utf-8"))
        (case / f"{conf.name.split('.')[0]}.conf").write_text(text, encoding="utf-8")
    moves = [entry for entry in truth if entry["event"] == "holders" and entry["time"] > story]
    lines = [
        f'title = "{scenario["name"]}"',
        f'scenario = "{scenario["name"]}"',
        f'setting = "{setting["setting"]}"',
        "",
        *(f"# {(entry['time'] - story) / 1e9:+.3f} s {entry['node']} holds the address: {entry['holding']}" for entry in moves),
    ]
    lines += [
        line
        for cause in scenario["causes"]
        for line in ("", "[[flap]]", f'cause = "{cause}"', f'warranted = "{scenario["warranted"]}"', 'from = "?"', 'to = "?"')
    ]
    label = case / "case.toml"
    if not label.exists():
        label.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
