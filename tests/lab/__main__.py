"""Play a scenario from the command line: `python -m lab SCENARIO --out DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .lab import CONTROL_ONLY, missing
from .scenarios import SCENARIOS, play


def main() -> int:
    """Play, and say what moved."""
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=SCENARIOS, help="without one, they are listed")
    parser.add_argument("--out", type=Path, help="directory of the captures, logs and the truth; without it they vanish")
    parser.add_argument("--clients", type=int, help="long-lived connections, if not the scenario's own number")
    parser.add_argument("--control-only", action="store_true", help="of TCP, capture SYN, FIN and RST only")
    wanted = parser.parse_args()
    if not wanted.scenario:
        for name, scenario in SCENARIOS.items():
            causes = ", ".join(scenario.causes) or "no flap"
            print(f"{name:32} {scenario.setting.name:20} {causes} (warranted: {scenario.warranted})")
        return 0
    if lack := missing():
        print(f"lab: {lack}", file=sys.stderr)
        return 2
    capture = CONTROL_ONLY if wanted.control_only else ""
    lab = play(wanted.scenario, wanted.out, capture=capture, clients=wanted.clients)
    start = lab.moves[0][0] if lab.moves else 0
    print(f"{wanted.scenario}: " + ", ".join(f"{node} +{(at - start) / 1e9:.3f} s" for at, node in lab.moves))
    return 0


if __name__ == "__main__":
    sys.exit(main())
