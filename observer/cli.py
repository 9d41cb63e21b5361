"""The command line: wiring and nothing else. Each command imports what it needs when it runs, so that it starts fast."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
from collections import deque
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import observer
from observer.config import FILE, KEYS, Configuration, effective, load, toml
from observer.model.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from observer.engine.engine import Engine
    from observer.engine.views import Explain
    from observer.model.observations import Clock, Observation
    from observer.sinks.progress import Progress
    from observer.sources.replay import Census, Known

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
        "-c", "--config", metavar="FILE", help=f"TOML file (or {FILE} in the environment); its keys are: " + ", ".join(KEYS)
    )
    live.add_argument("--once", action="store_true", help="stop after the first flap is judged")
    live.add_argument("--duration", type=float, metavar="SECONDS", help="stop after so long")
    live.add_argument("--format", choices=("auto", "text", "json"), default="auto", help="text on a terminal, else JSON lines")
    _settings(live)
    live.set_defaults(work=_run)

    check = commands.add_parser("check-config", help="print the settings in effect and where each is from, or what is wrong")
    check.add_argument("config", nargs="?", metavar="FILE", help=f"TOML file (default: as {FILE} names it, or none)")
    check.set_defaults(work=_check_config)

    replay = commands.add_parser("replay", help="read captures and report the flaps in them")
    replay.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="captures of one node, pcap or pcapng, - for standard input; recordings, or a directory of them, of any nodes",
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
    replay.add_argument(
        "--format",
        choices=("text", "json", "jsonl", "html", "openmetrics"),
        default="text",
        help="jsonl: a JSON line for each flap, reset burst and storm; html: one page for people; "
        "openmetrics: what each node's agent would have shown, for `promtool tsdb create-blocks-from openmetrics`",
    )
    replay.add_argument("-o", "--output", metavar="FILE", help="write there (default: standard output)")
    replay.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="openmetrics: a label of every series, besides job and instance, or instead (may be repeated)",
    )
    replay.set_defaults(work=_replay)

    causes = commands.add_parser("causes", help="explain the causes")
    causes.add_argument("cause", nargs="?", metavar="NAME")
    causes.set_defaults(work=_causes)
    return parser


def _settings(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting that has none yet."""
    default, present = Configuration(), {action.dest for action in parser._actions}
    for setting in fields(Configuration):
        if setting.name in present:
            continue
        names = setting.metadata.get("flags") or ("--" + setting.name.replace("_", "-"),)
        value = getattr(default, setting.name)
        listed = isinstance(value, tuple)
        parser.add_argument(
            *names,
            dest=setting.name,
            action="append" if listed else "store",
            type=str if listed else type(value),
            metavar=setting.metadata.get("metavar") or "VALUE",
            help=setting.metadata.get("usage", f"sets {setting.name}")
            + (" (may be repeated)" if listed else f" (default {toml(value)})" if value else ""),
        )


def _check_config(parsed: argparse.Namespace) -> int:
    found = effective(parsed.config, os.environ, {})
    configuration = found.configuration
    if configuration.tls_cert:
        from observer.sinks.tls import Certificates

        Certificates(configuration.tls_cert, configuration.tls_key, configuration.tls_client_ca, warn=_warn)
    print(found.toml(), end="")
    return 0


def _warn(message: str) -> None:
    print(f"vrrp-observer: {message}", file=sys.stderr, flush=True)


def _causes(parsed: argparse.Namespace) -> int:
    from observer.rules import DESCRIPTIONS as FLAPS
    from observer.rules.bursts import DESCRIPTIONS as BURSTS

    descriptions = FLAPS | BURSTS
    names = list(descriptions) if parsed.cause is None else [parsed.cause]
    for name in names:
        if name not in descriptions:
            raise ConfigError(f"{name!r} is not a cause; causes are {', '.join(descriptions)}")
    print("\n\n".join(f"{name}\n{'-' * len(name)}\n{descriptions[name]}" for name in names))
    return 0


def _replay(parsed: argparse.Namespace) -> int:
    from observer.keepalived import load as load_keepalived
    from observer.keepalived.explain import Configurations
    from observer.run import run
    from observer.sinks.progress import Progress
    from observer.sinks.report import Report
    from observer.sources.address_events import read_address_events
    from observer.sources.clocks import put_right
    from observer.sources.keepalived_log import read_log
    from observer.sources.merge import merged
    from observer.sources.recordings import gathered, streams
    from observer.sources.replay import Census, Known
    from observer.wire.frames import FrameDecoder

    censuses = gathered(parsed.files)
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
    engine, report, known = _engine(censuses, explain), Report(), Known()
    processors = len(os.sched_getaffinity(0))
    ahead = 0 if processors == 1 else max(1, processors // len(censuses))
    progress = Progress(sys.stderr, _sizes(censuses))
    clocks = _clocks(censuses, known, ahead)
    sources = streams(censuses, FrameDecoder(), known, ahead=ahead, progress=progress.at)
    sources += [(node, ([event] for event in read_address_events(path, node))) for node, path in events]
    sources += [(node, ([event] for event in read_log(path, node))) for node, path in logs]
    inputs = [put_right(stream, clocks[node].put_right if node in clocks else 0) for node, stream in sources]
    if clocks:
        inputs.append(iter([list(clocks.values())]))
    with _output(parsed.output) as stream, contextlib.closing(progress):
        if parsed.format == "openmetrics":
            by_node = {node: [inputs[place] for place, (of, _) in enumerate(sources) if of == node] for node, _ in sources}
            _backfill(parsed, by_node, engine if censuses[0].recalled else None, explain, censuses, stream, progress)
            return 0
        # What one engine took is in the order in which it took it.
        alone = censuses[0].recalled and len(inputs) == 1
        run((item for batch in inputs[0] for item in batch) if alone else merged(inputs), engine, [report])
        progress.close()
        _remarks(censuses)
        if parsed.format == "html":
            from observer.sinks.html_packets import wanted
            from observer.sinks.html_report import write_html
            from observer.sources.packets import located

            with contextlib.closing(Progress(sys.stderr, _sizes(censuses), "packets")) as again:
                ahead_of = {node: clock.put_right for node, clock in clocks.items()}
                packets = located(censuses, wanted(report), ahead_of, again.at)
            write_html(report, engine, stream, packets)
        elif parsed.format == "json":
            report.write_json(engine, stream)
        elif parsed.format == "jsonl":
            report.write_lines(stream)
        else:
            report.write_text(engine, stream, colour=stream.isatty())
    return 0


def _sizes(censuses: list[Census]) -> dict[str, int]:
    """Bytes of the capture files that have a size."""
    with contextlib.suppress(OSError):
        return {census.path: Path(census.path).stat().st_size for census in censuses if census.path != "-"}
    return {}


def _backfill(
    parsed: argparse.Namespace,
    nodes: dict[str, list[Iterator[list[Observation]]]],
    recalled: Engine | None,
    explain: Explain | None,
    censuses: list[Census],
    stream: TextIO,
    progress: Progress,
) -> None:
    """Each node by itself, as its agent would have seen it."""
    from observer.engine.engine import Engine
    from observer.run import run
    from observer.sinks.backfill import Backfill, Samples
    from observer.sources.merge import merged
    from observer.sources.recording import state

    labels = {}
    for option in parsed.label:
        name, equals, value = option.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ConfigError(f"--label {option!r}: give NAME=VALUE")
        labels[name] = value
    samples = Samples()
    for node, inputs in nodes.items():
        engine = recalled or Engine(explain)
        sink = Backfill(samples, {"job": "vrrp-observer", "instance": node} | labels)
        if recalled is not None:
            sink.begin(engine, state(censuses[0].path))
        items = (item for batch in inputs[0] for item in batch) if recalled is not None else merged(inputs)
        run(sink.stepped(items), engine, [sink])
        sink.end()
    progress.close()
    _remarks(censuses)
    samples.write(stream)


def _engine(censuses: list[Census], explain: Explain | None) -> Engine:
    """An engine that goes on from where recordings of one node begin; for anything else, a new one."""
    from observer.engine.engine import Engine
    from observer.engine.memory import answering, recall
    from observer.sources.recording import answers
    from observer.sources.recordings import memory

    remembered = memory(censuses)
    if remembered is not None:
        try:
            engine = recall(remembered, explain or answering(answers(census.path for census in censuses)))
        except ValueError as error:
            print(f"vrrp-observer: {censuses[0].path}: what was known before it is left out: {error}", file=sys.stderr)
        else:
            censuses[0].recalled = True
            return engine
    return Engine(explain)


@contextlib.contextmanager
def _output(name: str | None) -> Iterator[TextIO]:
    """Where to write; a file has its name when it is whole. Raises ConfigError, before the replay, where it cannot be written."""
    if name is None or name == "-":
        yield sys.stdout
        return
    path = Path(name)
    part = path if path.exists() and not path.is_file() else path.with_name(path.name + ".part")
    try:
        stream = part.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"-o {name}: {error.strerror}") from error
    try:
        with stream:
            yield stream
        if part != path:
            part.replace(path)
    except BaseException:
        if part != path:
            part.unlink(missing_ok=True)
        raise


def _clocks(censuses: list[Census], known: Known, processes: int) -> dict[str, Clock]:
    """How each node's clock compares with the first one's, told on standard error where it matters.

    Of several captures one may name the addresses that matter in another: all are read for them first.
    """
    from observer.sinks.progress import Progress
    from observer.sinks.sentences import clock
    from observer.sources.clocks import Sightings, compared, sightings
    from observer.sources.recordings import streams
    from observer.sources.replay import Census
    from observer.wire.frames import FrameDecoder

    if any(census.path == "-" for census in censuses):
        return {}
    again = [Census(census.path, census.node) for census in censuses]
    progress = Progress(sys.stderr, _sizes(censuses), "clocks")
    first_looks = streams(again, FrameDecoder(), known, data=False, ahead=processes, progress=progress.at)
    if len(first_looks) < 2:
        return {}
    seen: dict[str, Sightings] = {}
    with contextlib.closing(progress):
        for node, first_look in first_looks:
            seen[node] = sightings(first_look)
            deque(first_look, maxlen=0)
    if len(seen) < 2:
        return {}
    clocks = compared(seen)
    for each in clocks.values():
        if each.put_right or each.error is None:
            print(f"vrrp-observer: {clock(each)}", file=sys.stderr)
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
    from observer.model.time import SECOND, duration
    from observer.sources.merge import HOLD_BACK

    for census in censuses:
        if census.back > HOLD_BACK:
            print(
                f"vrrp-observer: {census.path}: frames are up to {duration(census.back)} earlier than others before them:"
                " taken as of the time reached; if a clock was set back, cut the capture there",
                file=sys.stderr,
            )
        if census.leap > 3600 * SECOND:
            print(
                f"vrrp-observer: {census.path}: time jumps ahead by up to {duration(census.leap)}: nothing is known of that time",
                file=sys.stderr,
            )
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
    import faulthandler

    from observer.agent import Agent

    flags = {key: getattr(parsed, key, None) for key in KEYS}
    flags |= {key: tuple(value) for key, value in flags.items() if isinstance(value, list)}

    def configure() -> Configuration:
        return load(parsed.config, os.environ, flags)

    terminal = sys.stdout.isatty() if parsed.format == "auto" else parsed.format == "text"
    agent = Agent(configure(), sys.stdout, terminal=terminal, once=parsed.once, configure=configure, warn=_warn)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    if not sys.stdout.isatty():
        # On a terminal it still means that the terminal is gone.
        signal.signal(signal.SIGHUP, lambda *_: agent.reload())
    signal.signal(signal.SIGUSR1, lambda *_: agent.record())
    if parsed.duration is not None:
        signal.signal(signal.SIGALRM, lambda *_: agent.stop())
        signal.setitimer(signal.ITIMER_REAL, parsed.duration)
    # A watchdog ends a stuck process with SIGABRT: then it says on standard error where each thread was.
    faulthandler.enable(2)
    agent.run()
    return 0
