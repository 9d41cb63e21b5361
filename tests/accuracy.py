"""`make accuracy`: every case of the corpus, from every vantage point, whole and degraded: what was right, and what was not.

right: the cause, or for no flap none. weaker: unexplained, or the flap is not seen, or in two pieces. wrong: another cause. Wrong
with certainty must not be: then the exit status is 1. The tables are written to docs/accuracy.md.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from cases import Case, Spoil, cases, verdicts

from observer.model.observations import Advert, Malformed, Neighbour, Observation, Refused, SourceChange
from observer.model.segments import TcpSegments
from observer.model.time import SECOND
from observer.model.verdicts import Confidence

if TYPE_CHECKING:
    from observer.model.flaps import Flap

PAGE = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
FRAMES = (Advert, Neighbour, Refused, Malformed)
OUTCOMES = ("right and certain", "right", "weaker", "wrong", "wrong with certainty")


def lossy(share: float) -> Spoil:
    """Frames are lost at random, nobody says so."""

    def spoil(node: str, observations: list[Observation]) -> list[Observation]:
        dice = random.Random(f"{node} {share}")
        left: list[Observation] = []
        for item in observations:
            if isinstance(item, TcpSegments):
                kept = np.array([dice.random() >= share for _ in range(len(item))], dtype=np.bool_)
                if kept.any():
                    left.append(item.rows(kept))
            elif not isinstance(item, FRAMES) or dice.random() >= share:
                left.append(item)
        return left

    return spoil


def cut(begin: float, end: float) -> Spoil:
    """The capture began late, or ended early, by so many seconds."""

    def spoil(_: str, observations: list[Observation]) -> list[Observation]:
        if not observations:
            return observations
        times = [item.time for item in observations]
        first, last = min(times) + int(begin * SECOND), max(times) - int(end * SECOND)
        return [
            replace(item, time=min(max(item.time, first), last)) if isinstance(item, SourceChange) else item
            for item in observations
            if first <= item.time <= last or isinstance(item, SourceChange)
        ]

    return spoil


def ahead(seconds: float) -> Spoil:
    """The clock of one node, m0, is ahead."""

    def spoil(node: str, observations: list[Observation]) -> list[Observation]:
        if node != "m0":
            return observations
        by = int(seconds * SECOND)
        return [
            replace(item, times=item.times + by) if isinstance(item, TcpSegments) else replace(item, time=item.time + by)
            for item in observations
        ]

    return spoil


def only(*kinds: type) -> Spoil:
    """The capture's filter let through nothing else on the wire."""

    def spoil(_: str, observations: list[Observation]) -> list[Observation]:
        return [item for item in observations if not isinstance(item, (*FRAMES, TcpSegments)) or isinstance(item, kinds)]

    return spoil


def doubled(node: str, observations: list[Observation]) -> list[Observation]:
    """Every frame was captured twice, as on a mirror port, or with `-i any` on a bridge."""
    del node
    left: list[Observation] = []
    for item in observations:
        left.append(item)
        if isinstance(item, FRAMES):
            left.append(replace(item, time=item.time + 40_000))
        elif isinstance(item, TcpSegments):
            left.append(replace(item, times=item.times + 40_000))
    return left


ALONE: dict[str, object] = {"addresses": False, "logs": False, "configurations": False}
DEGRADED: dict[str, dict[str, object]] = {
    "whole": {},
    "no address events": {"addresses": False},
    "no log": {"logs": False},
    "no configuration": {"configurations": False},
    "captures alone": ALONE,
    "1 % of frames lost": {"spoil": lossy(0.01)},
    "10 % of frames lost": {"spoil": lossy(0.1)},
    "30 % of frames lost": {"spoil": lossy(0.3)},
    "captures alone, 10 % of frames lost": {**ALONE, "spoil": lossy(0.1)},
    "captures alone, 30 % of frames lost": {**ALONE, "spoil": lossy(0.3)},
    "begun 6 s late": {"spoil": cut(6, 0)},
    "ended 6 s early": {"spoil": cut(0, 6)},
    "clock of one node 2 s ahead": {"spoil": ahead(2)},
    "adverts alone": {**ALONE, "spoil": only(Advert, Malformed)},
    "adverts and ARP alone": {**ALONE, "spoil": only(Advert, Malformed, Neighbour)},
    "every frame twice": {**ALONE, "spoil": doubled},
    "snap length 64": {**ALONE, "snap": 64},
}


QUIET = """## Nothing, for an hour

`QUIET_SECONDS=3600 python -m pytest tests/live/test_quiet.py` lets an hour pass in the lab in which the address never moves: 45
clients that stay and 3 to 40 short requests a second, gratuitous ARP of the holder every 10 s, and every 8 to 25 s something
that happens on a good night. Seen once so: proxies of backups restarted (38 times), API servers restarted (32), unchanged
configurations reloaded on the holder (31) and on backups (46), neighbours flushed (43), unrelated addresses added, announced and
removed (29). The three agents, with every source of evidence on, told of no flap and no burst of resets, and said nothing.
"""
"""Written by hand: it takes an hour."""


def outcome(case: Case, found: list[Flap]) -> Counter[str]:
    """How the flaps found compare with the labels: each label is right, weaker or wrong; flaps beyond them are wrong."""
    result: Counter[str] = Counter()
    rest, missing = list(found), []
    for label in case.labels:
        match = next((flap for flap in rest if flap.verdict.cause.value == label.cause), None)
        if match is None:
            missing.append(label)
            continue
        rest.remove(match)
        result["right and certain" if match.verdict.confidence is Confidence.CERTAIN else "right"] += 1
    for label in missing:
        match = next((flap for flap in rest if label.current == flap.current or label.former == flap.former), None)
        if match is None or match.verdict.cause.value == "unexplained":
            result["weaker"] += 1
        else:
            result["wrong with certainty" if match.verdict.confidence is Confidence.CERTAIN else "wrong"] += 1
        if match is not None:
            rest.remove(match)
    causes = {label.cause for label in case.labels}
    for flap in rest:
        certain = flap.verdict.confidence is Confidence.CERTAIN
        if flap.verdict.cause.value in causes or flap.verdict.cause.value == "unexplained":
            # The same disturbance, seen in two pieces.
            result["weaker"] += 1
        else:
            result["wrong with certainty" if certain else "wrong"] += 1
    return result


def main() -> int:
    """Print and write the table; 1 if anything was wrong with certainty."""
    rows, faults = [], []
    total: Counter[str] = Counter()
    for name, how in DEGRADED.items():
        for kind in ("one node", "all nodes"):
            tally: Counter[str] = Counter()
            for case in cases():
                for vantage, nodes in case.vantages.items():
                    if (vantage == "all") != (kind == "all nodes"):
                        continue
                    result = outcome(case, verdicts(case, nodes, **how))  # type: ignore[arg-type]
                    tally += result
                    if result["wrong"] or result["wrong with certainty"]:
                        faults.append(f"{name}: {case.name} from {vantage}: {dict(result)}")
            total += tally
            rows.append(f"| {name} | {kind} | " + " | ".join(str(tally[each]) for each in OUTCOMES) + " |")
            print(rows[-1], flush=True)
    head = f"| captures | vantage | {' | '.join(OUTCOMES)} |\n|---|---|{'---|' * len(OUTCOMES)}"
    count = len(cases())
    PAGE.write_text(
        f"""# Accuracy

Written by `make accuracy`: verdicts on the {count} recorded cases under pcaps/, by vantage point, whole and degraded. One node
is each capture alone, a mirror port among them; weaker is unexplained, or a flap not seen. All cases were recorded in one lab,
of keepalived 2.2.7 and FRR 8.4: what other versions and implementations do is not in these figures.

{head}
{chr(10).join(rows)}

{QUIET}""",
        encoding="utf-8",
    )
    print("\n".join(faults))
    return 1 if total["wrong with certainty"] else 0


if __name__ == "__main__":
    sys.exit(main())
