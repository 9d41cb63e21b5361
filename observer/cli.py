"""The command line: wiring and nothing else. Each command imports what it needs when it runs, so that it starts fast."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import observer
from observer.config import KEYS, Configuration, load
from observer.model.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observer.sources.replay import Census

UNUSABLE = 2
"""Exit status for input or configuration that cannot be used."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        status = int(parsed.work(parsed))
        sys.stdout.flush()
    except (ConfigError, SourceError) as error:
        print(f"vrrp-observer: {error}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return status


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read more."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vrrp-observer",
        description="Says why a virtual IP moved, whether the move was warranted, and what it cost in connections.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {observer.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    live = commands.add_parser("run", help="watch this node's interfaces and report every flap as it happens")
    live.add_argument(
        "-i",
        "--interface",
        dest="interfaces",
        action="append",
        metavar="NAME",
        help="watch only this interface (may be repeated)",
    )
    live.add_argument("-c", "--config", metavar="FILE", help="TOML file; its keys are: " + ", ".join(KEYS))
    live.add_argument("-l", "--listen", metavar="HOST:PORT", help=f"where to serve /metrics (default {Configuration().listen})")
    live.add_argument("--node", metavar="NAME", help="this node's name in evidence (default: its host name)")
    live.add_argument("--hold-back", type=float, metavar="SECONDS", help="wait for observations that are late (default 0.25)")
    live.add_argument("--keepalived-conf", metavar="FILE", help="this node's keepalived.conf: names the check that failed")
    live.add_argument(
        "--log",
        dest="logs",
        action="append",
        metavar="FILE",
        help="keepalived's log, or a pattern of its files, or `journal` (may be repeated)",
    )
    live.add_argument(
        "--service-port",
        dest="service_ports",
        action="append",
        metavar="PORT",
        help="port where the proxy itself listens (may be repeated; default: found)",
    )
    live.add_argument("--haproxy-socket", metavar="FILE", help="HAProxy's stats socket (default: the usual places)")
    live.add_argument(
        "--evidence",
        action="append",
        metavar="NAME",
        help=f"look only at this on the node (may be repeated): {', '.join(Configuration().evidence)}",
    )
    live.add_argument("--once", action="store_true", help="stop after the first flap is judged")
    live.add_argument("--duration", type=float, metavar="SECONDS", help="stop after so long")
    live.add_argument("--format", choices=("auto", "text", "json"), default="auto", help="text on a terminal, else JSON lines")
    live.set_defaults(work=_run)

    replay = commands.add_parser("replay", help="read captures and report the flaps in them")
    replay.add_argument(
        "files", nargs="*", metavar="FILE", help="capture files of one node, pcap or pcapng; - for standard input"
    )
    replay.add_argument(
        "--node", action="append", default=[], metavar="NAME=FILE", help="a capture of the node NAME (may be repeated)"
    )
    replay.add_argument(
        "--addresses",
        action="append",
        default=[],
        metavar="[NODE=]FILE",
        help="address and link events of a node: `ip -ts monitor address link` or JSON lines (may be repeated)",
    )
    replay.add_argument(
        "--log", action="append", default=[], metavar="[NODE=]FILE", help="keepalived's log of a node (may be repeated)"
    )
    replay.add_argument(
        "--keepalived-conf",
        action="append",
        default=[],
        metavar="[NODE=]FILE",
        help="keepalived.conf of a node: names the check that failed (may be repeated)",
    )
    replay.add_argument("--format", choices=("text", "json"), default="text")
    replay.set_defaults(work=_replay)

    causes = commands.add_parser("causes", help="explain the causes")
    causes.add_argument("cause", nargs="?", metavar="NAME")
    causes.set_defaults(work=_causes)
    return parser


def _causes(parsed: argparse.Namespace) -> int:
    from observer.rules import DESCRIPTIONS

    names = list(DESCRIPTIONS) if parsed.cause is None else [parsed.cause]
    for name in names:
        if name not in DESCRIPTIONS:
            raise ConfigError(f"{name!r} is not a cause; causes are {', '.join(DESCRIPTIONS)}")
    print("\n\n".join(f"{name}\n{'-' * len(name)}\n{DESCRIPTIONS[name]}" for name in names))
    return 0


def _replay(parsed: argparse.Namespace) -> int:
    from observer.engine.engine import Engine
    from observer.keepalived import load as load_keepalived
    from observer.keepalived.explain import Configurations
    from observer.run import run
    from observer.sinks.report import Report
    from observer.sources.address_events import read_address_events
    from observer.sources.clocks import put_right
    from observer.sources.keepalived_log import read_log
    from observer.sources.merge import merged
    from observer.sources.replay import Census, observe_capture
    from observer.wire.frames import FrameDecoder

    censuses = [Census(path, "capture") for path in parsed.files]
    for option in parsed.node:
        name, equals, path = option.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"--node {option!r}: give NAME=FILE")
        censuses.append(Census(path, name))
    if not censuses:
        raise ConfigError("replay: give a capture file, or --node NAME=FILE")
    events = [_of_node("--addresses", option, censuses) for option in parsed.addresses]
    logs = [_of_node("--log", option, censuses) for option in parsed.log]
    configurations = [_of_node("--keepalived-conf", option, censuses) for option in parsed.keepalived_conf]
    explain = Configurations({node: load_keepalived(path) for node, path in configurations}) if configurations else None
    engine, report, decoder = Engine(explain), Report(), FrameDecoder()
    clocks = _clocks(censuses)
    sources = [(census.node, observe_capture(census, decoder)) for census in censuses]
    sources += [(node, ([event] for event in read_address_events(path, node))) for node, path in events]
    sources += [(node, ([event] for event in read_log(path, node))) for node, path in logs]
    streams = [put_right(stream, clocks.get(node, 0)) for node, stream in sources]
    run(merged(streams), engine, [report])
    _remarks(censuses)
    if parsed.format == "json":
        report.write_json(engine, sys.stdout)
    else:
        report.write_text(engine, sys.stdout, colour=sys.stdout.isatty())
    return 0


def _clocks(censuses: list[Census]) -> dict[str, int]:
    """By how much each node's clock is ahead of the first one's, told on standard error where it matters."""
    from observer.model.time import duration
    from observer.sources.clocks import offsets, sightings
    from observer.sources.replay import Census, observe_capture
    from observer.wire.frames import FrameDecoder

    nodes = {census.node: census.path for census in censuses}
    if len(nodes) < 2 or any(census.path == "-" for census in censuses):
        return {}
    seen = {node: sightings(observe_capture(Census(path, node), FrameDecoder())) for node, path in nodes.items()}
    clocks = offsets(seen)
    first = next(iter(nodes))
    for node, ahead in clocks.items():
        if ahead:
            way = "ahead of" if ahead > 0 else "behind"
            print(
                f"vrrp-observer: the clock of {node} is {duration(abs(ahead))} {way} that of {first}: put right", file=sys.stderr
            )
    for node in nodes.keys() - clocks.keys():
        print(f"vrrp-observer: {node}'s clock could not be compared with {first}'s", file=sys.stderr)
    return clocks


def _of_node(flag: str, option: str, censuses: list[Census]) -> tuple[str, str]:
    """Node and path of ``[NODE=]FILE``; without a node it belongs to the only one there is. Raises ConfigError."""
    nodes = sorted({census.node for census in censuses})
    name, equals, path = option.partition("=")
    if equals and name in nodes:
        return name, path
    if len(nodes) == 1:
        return nodes[0], option
    raise ConfigError(f"{flag} {option!r}: say of which node: one of {', '.join(f'{node}=FILE' for node in nodes)}")


def _remarks(censuses: list[Census]) -> None:
    """What a reader should know of the captures, on standard error."""
    for census in censuses:
        if census.broken is not None:
            print(f"vrrp-observer: {census.broken}", file=sys.stderr)
        if census.unsupported:
            kinds = ", ".join(str(number) for number in sorted(census.unsupported))
            print(f"vrrp-observer: {census.path}: frames of link type {kinds} were left out", file=sys.stderr)
        if census.truncated:
            print(f"vrrp-observer: {census.path}: {census.truncated} TCP frames were captured too short", file=sys.stderr)
        if census.untimed:
            print(f"vrrp-observer: {census.path}: {census.untimed} frames without a time stamp were left out", file=sys.stderr)
    if not any(census.adverts or census.malformed for census in censuses):
        for census in censuses:
            print(f"vrrp-observer: no VRRP in {census.sentence()}", file=sys.stderr)


def _run(parsed: argparse.Namespace) -> int:
    from observer.agent import Agent

    flags = {key: getattr(parsed, key, None) for key in KEYS}
    flags = {key: tuple(value) if isinstance(value, list) else value for key, value in flags.items()}
    configuration = load(parsed.config, os.environ, flags)
    terminal = sys.stdout.isatty() if parsed.format == "auto" else parsed.format == "text"
    agent = Agent(configuration, sys.stdout, terminal=terminal, once=parsed.once)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    if parsed.duration is not None:
        signal.signal(signal.SIGALRM, lambda *_: agent.stop())
        signal.setitimer(signal.ITIMER_REAL, parsed.duration)
    agent.run()
    return 0
