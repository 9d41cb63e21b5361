"""A replay: captures, and what else is known of their nodes, through the engine into a report.

The same engine as the agent's. One node's recordings go on from the memory with which they begin; several nodes are put on one
clock and told as one story.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from observer.engine.clocks import Sightings, compared, put_right, sightings
from observer.engine.engine import Engine
from observer.engine.memory import answering, recall
from observer.keepalived import load, remarks
from observer.keepalived.explain import Configurations
from observer.model.errors import ConfigError
from observer.run import run
from observer.sinks.progress import Progress
from observer.sinks.report import Report
from observer.sinks.sentences import clock
from observer.sinks.text import colourful
from observer.sources.beside import Beside, time_zone, until
from observer.sources.capture_file import Known
from observer.sources.census import Census
from observer.sources.merge import merged
from observer.sources.recording import answers, repeatable, state
from observer.sources.recordings import begin, gathered, memory, streams
from observer.wire.frames import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from observer.engine.views import Explain
    from observer.model.observations import Clock, Observation
    from observer.sinks.backfill import Samples

    Stream = Iterator[list[Observation]]

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to replay, and how to tell it; named as the options of the command line, in their syntax."""

    files: Sequence[str]
    node: Sequence[str]
    addresses: Sequence[str]
    log: Sequence[str]
    zone: str
    keepalived_conf: Sequence[str]
    format: str
    output: str | None
    label: Sequence[str]


def replay(request: Request, remark: Callable[[str], None]) -> None:
    """Read everything and write the report; ``remark`` is told, line by line, what a reader should know besides.

    Raises ConfigError for options that make no sense, SourceError for files that cannot be used.
    """
    censuses = _captures(request)
    zone = time_zone(request.zone)
    events = [Beside(*_of_node("--addresses", option, censuses), zone) for option in request.addresses]
    logs = [Beside(*_of_node("--log", option, censuses), zone) for option in request.log]
    configurations = [_of_node("--keepalived-conf", option, censuses) for option in request.keepalived_conf]
    if not sys.stdin and "-" in [census.path for census in censuses] + [file.path for file in events + logs]:
        raise ConfigError("standard input is closed; give a file, or something to read there")
    labels = _labels(request.label)
    # keepalived's own name for a host is what its lines with @ are for.
    loaded = {node: load(path, node.partition(".")[0]) for path, node in configurations}
    for configuration in loaded.values():
        for line in remarks(configuration):
            remark(line)
    explain = Configurations(loaded) if loaded else None
    engine = _recalled(censuses, explain, remark)
    known, processors = Known(), len(os.sched_getaffinity(0))
    ahead = 0 if processors == 1 else max(1, processors // len(censuses))
    clocks = _clocks(censuses, known, ahead)
    for each in clocks.values():
        if each.put_right or each.error is None:
            remark(clock(each))
    with _output(request.output) as stream, contextlib.closing(Progress(sys.stderr, _sizes(censuses))) as progress:
        sources: list[tuple[str, Stream]] = streams(censuses, FrameDecoder(), known, ahead=ahead, progress=progress.at)
        sources += [(file.node, file.addresses()) for file in events]
        sources += [(file.node, file.log(begin(each for each in censuses if each.node == file.node))) for file in logs]
        sources = [(node, put_right(source, clocks[node].put_right if node in clocks else 0)) for node, source in sources]
        if request.format == "openmetrics":
            samples = _sampled(sources, labels, engine, explain, censuses, clocks)
            progress.close()
            _remarks(censuses, events + logs, remark)
            samples.write(stream)
            return
        inputs = [source for _, source in sources]
        if clocks:
            inputs.append(iter([list(clocks.values())]))
        report = Report()
        run(_in_order(inputs, censuses, clocks), engine, [report])
        progress.close()
        _remarks(censuses, events + logs, remark)
        _write(report, request.format, engine, censuses, clocks, stream)


def _captures(request: Request) -> list[Census]:
    """Every file to read, with the node that it was captured on."""
    if "" in request.files:
        raise ConfigError("replay '': give a capture file, or - for standard input")
    censuses = gathered(request.files)
    for option in request.node:
        name, equals, path = option.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"--node {option!r}: give NAME=FILE")
        censuses.append(Census(path, name))
    if not censuses:
        raise ConfigError("replay: give a capture file, or --node NAME=FILE")
    return censuses


def _of_node(flag: str, option: str, censuses: list[Census]) -> tuple[str, str]:
    """Path and node of ``[NODE=]FILE``; without a node it belongs to the only one there is. Raises ConfigError."""
    nodes = sorted({census.node for census in censuses})
    name, equals, path = option.partition("=")
    if not option or (name in nodes and equals and not path):
        raise ConfigError(f"{flag} {option!r}: give [NODE=]FILE")
    if equals and name in nodes:
        return path, name
    if len(nodes) == 1:
        return option, nodes[0]
    raise ConfigError(f"{flag} {option!r}: say of which node: one of {', '.join(f'{node}=FILE' for node in nodes)}")


def _labels(options: Sequence[str]) -> dict[str, str]:
    """Further labels of all series. Raises ConfigError."""
    if not options:
        return {}
    # With the library of Prometheus, which takes longer to load than most replays.
    from observer.sinks.metrics import METRICS

    labels = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not _LABEL.fullmatch(name):
            raise ConfigError(f"--label {option!r}: give NAME=VALUE")
        if name.startswith("__") or any(name in metric.labels for metric in METRICS):
            raise ConfigError(f"--label {option!r}: {name} is a label of Prometheus or of the metrics themselves; give another")
        labels[name] = value
    return labels


def _recalled(censuses: list[Census], explain: Explain | None, remark: Callable[[str], None]) -> Engine:
    """An engine that goes on from where recordings of one node begin; for anything else, a new one."""
    remembered = memory(censuses)
    if remembered is not None:
        try:
            engine = recall(remembered, explain or answering(answers(census.path for census in censuses)))
        except ValueError as error:
            remark(f"{censuses[0].path}: what was known before it is left out: {error}")
        else:
            censuses[0].recalled = True
            return engine
    return Engine(explain)


def _clocks(censuses: list[Census], known: Known, processes: int) -> dict[str, Clock]:
    """How each node's clock compares with the first one's.

    Of several captures one may name the addresses that matter in another: all are read for them first.
    """
    if not all(repeatable(census.path) for census in censuses):
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
    return compared(seen) if len(seen) > 1 else {}


def _in_order(inputs: list[Stream], censuses: list[Census], clocks: dict[str, Clock]) -> Iterator[Observation]:
    """The inputs as one; what one engine has taken is in the order in which it took it."""
    if censuses[0].recalled and len(inputs) == 1:
        return (item for batch in inputs[0] for item in batch)

    def end() -> int | None:
        """Of the captures, as far as they are read, by the first node's clock."""
        ahead = {node: clock.put_right for node, clock in clocks.items()}
        return max((each.end - ahead.get(each.node, 0) for each in censuses if each.end is not None), default=None)

    return until(end, merged(inputs))


def _sampled(
    sources: list[tuple[str, Stream]],
    labels: dict[str, str],
    engine: Engine,
    explain: Explain | None,
    censuses: list[Census],
    clocks: dict[str, Clock],
) -> Samples:
    """What the agent of each node would have shown, each node by itself."""
    # With the library of Prometheus, which takes longer to load than most replays.
    from observer.sinks.backfill import Backfill, Samples

    recalled, samples = censuses[0].recalled, Samples()
    for node in dict.fromkeys(node for node, _ in sources):
        sink = Backfill(samples, {"job": "vrrp-observer", "instance": node} | labels)
        engine = engine if recalled else Engine(explain)
        if recalled:
            sink.begin(engine, state(censuses[0].path))
        inputs = [source for of, source in sources if of == node]
        run(sink.stepped(_in_order(inputs, [each for each in censuses if each.node == node], clocks)), engine, [sink])
        sink.end()
    return samples


def _write(report: Report, form: str, engine: Engine, censuses: list[Census], clocks: dict[str, Clock], stream: TextIO) -> None:
    match form:
        case "html":
            # Few want it, and it takes its time to load.
            from observer.sinks.html_packets import wanted
            from observer.sinks.html_report import write_html
            from observer.sources.packets import located

            ahead_of = {node: clock.put_right for node, clock in clocks.items()}
            with contextlib.closing(Progress(sys.stderr, _sizes(censuses), "packets")) as progress:
                packets = located(censuses, wanted(report), ahead_of, progress.at)
            write_html(report, engine, stream, packets)
        case "json":
            report.write_json(engine, stream)
        case "jsonl":
            report.write_lines(stream)
        case _:
            report.write_text(engine, stream, colour=colourful(stream))


def _sizes(censuses: list[Census]) -> dict[str, int]:
    """Bytes of the capture files that have a size."""
    with contextlib.suppress(OSError):
        return {census.path: Path(census.path).stat().st_size for census in censuses if census.path != "-"}
    return {}


def _remarks(censuses: list[Census], files: list[Beside], remark: Callable[[str], None]) -> None:
    """What a reader should know of the captures, and of the files beside them."""
    for census in censuses:
        for line in census.remarks():
            remark(line)
    for file in files:
        for line in file.remarks(censuses):
            remark(line)
    if not any(census.adverts or census.malformed for census in censuses):
        for census in censuses:
            remark(f"no VRRP in {census.sentence()}")


@contextlib.contextmanager
def _output(name: str | None) -> Iterator[TextIO]:
    """Where to write; a file has its name when it is whole. Raises ConfigError, before the replay, where it cannot be written."""
    if name is None or name == "-":
        yield sys.stdout
        return
    if not name:
        raise ConfigError("-o '': give a file, or - for standard output")
    path = Path(name)
    part = _part(path, name)
    try:
        with _opened(part, name) as stream:
            yield stream
        if part != path:
            part.replace(path)
    except BaseException:
        if part != path:
            with contextlib.suppress(OSError):
                part.unlink()
        raise


def _part(path: Path, name: str) -> Path:
    """Where a file is written until it is whole; a device or pipe has no such place."""
    try:
        return path if path.exists() and not path.is_file() else path.with_name(path.name + ".part")
    except OSError as error:
        raise _unwritable(name, error) from error


def _opened(path: Path, name: str) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _unwritable(name, error) from error


def _unwritable(name: str, error: OSError) -> ConfigError:
    return ConfigError(f"-o {name}: {error.strerror}; write elsewhere")
