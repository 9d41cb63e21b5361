"""The corpus of recorded cases under pcaps/: labels by hand in case.toml, verdicts by machine in verdict.json.

`pcaps/<cause>/<case>/` holds one capture for each node (`m0.pcap.gz`; `span` is a mirror port that sees everything), the nodes'
address events (`m0.addresses`), and case.toml. A vantage point is one capture alone, or all nodes together.
"""

from __future__ import annotations

import functools
import gzip
import json
import struct
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observer.engine.clocks import compared, put_right, sightings
from observer.engine.engine import Engine
from observer.keepalived import load
from observer.keepalived.explain import Configurations
from observer.run import run
from observer.sinks import encoding
from observer.sinks.report import Report
from observer.sources.address_events import read_address_events
from observer.sources.capture_file import observe_capture
from observer.sources.census import Census
from observer.sources.keepalived_log import read_log
from observer.sources.merge import merged
from observer.wire.frames import FrameDecoder

if TYPE_CHECKING:
    from observer.model.flaps import Flap
    from observer.model.observations import Observation
    from observer.run import Sink

Spoil = Callable[[str, list["Observation"]], list["Observation"]]

ROOT = Path(__file__).resolve().parent.parent / "pcaps"
MIRROR = "span"


@dataclass(frozen=True)
class Label:
    """What really happened in one flap."""

    cause: str
    warranted: str
    former: str | None
    current: str | None
    """None: nobody took over; equal to ``former``: it did not change hands."""


@dataclass(frozen=True)
class Case:
    """One recorded case."""

    path: Path
    title: str
    labels: tuple[Label, ...]

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def captures(self) -> dict[str, Path]:
        """By node."""
        return {path.name.split(".")[0]: path for path in sorted(self.path.glob("*.pcap*.gz"))}

    @property
    def vantages(self) -> dict[str, tuple[str, ...]]:
        """Each capture alone, and all nodes together."""
        nodes = tuple(node for node in self.captures if node != MIRROR)
        return {node: (node,) for node in self.captures} | {"all": nodes}


def cases() -> list[Case]:
    """Every case, in order of its name."""
    found = []
    for path in sorted(ROOT.glob("*/*/case.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        labels = tuple(
            Label(flap["cause"], flap["warranted"], flap.get("from"), flap.get("to")) for flap in document.get("flap", [])
        )
        found.append(Case(path.parent, document["title"], labels))
    return found


def verdicts(
    case: Case,
    nodes: tuple[str, ...],
    *,
    addresses: bool = True,
    logs: bool = True,
    configurations: bool = True,
    spoil: Spoil | None = None,
    snap: int | None = None,
    sinks: Sequence[Sink] = (),
) -> list[Flap]:
    """The flaps that a replay of these nodes' captures gives, with or without what else is known of the nodes.

    ``spoil`` takes the observations of one node and gives those that are left of them; ``snap`` is the octets of each frame that
    were captured. Clocks are put right as in a replay. ``sinks`` are told as well.
    """
    known = {node: path for node in nodes if (path := case.path / f"{node}.conf").exists()} if configurations else {}
    engine = Engine(Configurations({node: load(path) for node, path in known.items()}))
    report, decoder = Report(), FrameDecoder()
    sources = [(node, list(_observe(case.captures[node], node, decoder, snap))) for node in nodes]
    if addresses:
        files = {node: case.path / f"{node}.addresses" for node in nodes}
        sources += [(node, [list(read_address_events(str(path), node))]) for node, path in files.items() if path.exists()]
    if logs:
        files = {node: case.path / f"{node}.log" for node in nodes}
        sources += [(node, [list(read_log(str(path), node))]) for node, path in files.items() if path.exists()]
    if spoil is not None:
        sources = [(node, [spoil(node, [item for batch in stream for item in batch])]) for node, stream in sources]
    clocks = compared({node: sightings(stream) for node, stream in sources[: len(nodes)]}) if len(nodes) > 1 else {}
    streams = [put_right(iter(stream), clocks[node].put_right if node in clocks else 0) for node, stream in sources]
    streams += [iter([list(clocks.values())])] if clocks else []
    run(merged(streams), engine, [report, *sinks])
    return report.ordered()


def _observe(path: Path, node: str, decoder: FrameDecoder, snap: int | None) -> Iterator[list[Observation]]:
    if snap is None:
        yield from observe_capture(Census(str(path), node), decoder)
        return
    with tempfile.NamedTemporaryFile(suffix=".pcap") as short:
        if ".pcapng" in path.name:
            subprocess.run(["editcap", "-s", str(snap), path, short.name], check=True, capture_output=True)
            yield from observe_capture(Census(short.name, node), decoder)
            return
        short.write(snapped(gzip.decompress(path.read_bytes()), snap))
        short.flush()
        yield from observe_capture(Census(short.name, node), decoder)


def snapped(capture: bytes, snap: int) -> bytes:
    """A little-endian pcap as it would be with a smaller snap length."""
    short, at = bytearray(capture[:24]), 24
    while at + 16 <= len(capture):
        whole, fraction, captured, original = struct.unpack_from("<IIII", capture, at)
        kept = min(captured, snap)
        short += struct.pack("<IIII", whole, fraction, kept, original) + capture[at + 16 : at + 16 + kept]
        at += 16 + captured
    return bytes(short)


@functools.cache
def whole(case: Case, nodes: tuple[str, ...]) -> list[Flap]:
    """The flaps from these nodes with everything that is known of them: once in a process."""
    return verdicts(case, nodes)


def golden(case: Case) -> dict[str, list[dict[str, Any]]]:
    """The verdicts from every vantage point, without what is only wording."""
    kept = ("time", "from", "to", "cause", "confidence", "warranted", "check", "outage_seconds", "connections", "blind_spots")
    return {
        vantage: [{key: encoding.flap(flap)[key] for key in kept} for flap in whole(case, nodes)]
        for vantage, nodes in case.vantages.items()
    }


def golden_text(case: Case) -> str:
    """verdict.json as it is written."""
    return json.dumps(golden(case), indent=1) + "\n"
