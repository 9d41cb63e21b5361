"""`make pictures`: play a storm in the lab, and take pictures of both dashboards over it with Grafana's own libraries.

Needs root, npm and Chromium; npm fetches what `grafana/package.json` names, once, into build/grafana. With a directory that
`lab_run.py` left as argument, its data are taken instead of a new run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lab_run
import stack

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "grafana"
WINDOW = 180
"""Seconds before the end that are shown."""
LIMIT = 300_000
"""Octets of a picture."""


def libraries() -> None:
    """Fetch Grafana's libraries, and put our page beside them."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for path in (HERE / "grafana").iterdir():
        shutil.copy(path, BUILD)
    if not (BUILD / "node_modules").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--legacy-peer-deps"], cwd=BUILD, check=True)


def main(arguments: list[str]) -> int:
    """0 if both pictures are taken."""
    for tool in ("npm", "node", "chromium", "prometheus"):
        if shutil.which(tool) is None:
            print(f"pictures: {tool} is missing; apt-get install npm chromium prometheus", file=sys.stderr)
            return 2
    libraries()
    with tempfile.TemporaryDirectory(prefix="vrrp-pictures-") as scratch:
        directory = Path(arguments[0]).resolve() if arguments else Path(scratch)
        if not arguments:
            lab_run.play(directory)
        end = json.loads((directory / "times.json").read_text(encoding="utf-8"))["end"]
        (ROOT / "docs" / "img").mkdir(exist_ok=True)
        with stack.Prometheus(directory) as prometheus:
            for path in sorted((ROOT / "dashboards").glob("*.json")):
                picture = ROOT / "docs" / "img" / f"{path.stem}.png"
                times = [str(end - WINDOW), str(end), lab_run.SCRAPE.removesuffix("s")]
                subprocess.run(["node", "picture.mjs", path, prometheus.url, *times, picture], cwd=BUILD, check=True, timeout=180)
                if picture.stat().st_size > LIMIT:
                    print(f"pictures: {picture} has {picture.stat().st_size} octets", file=sys.stderr)
                    return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
