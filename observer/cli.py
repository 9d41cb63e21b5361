"""The command line: wiring and nothing else. Each command imports what it needs when it runs, so that it starts fast."""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import io
import os
import signal
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, NoReturn

import observer
from observer.config import FILE, KEYS, Configuration, effective, load, toml
from observer.model.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

UNUSABLE = 2
"""Exit status for input or configuration that cannot be used, and for an output with no room."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    # What is imported stays: nothing is gained by looking for garbage in it again and again.
    gc.disable()
    try:
        parsed = _understood(arguments)
        status = int(parsed.work(parsed))
        sys.stdout.flush()
    except (ConfigError, SourceError) as error:
        print(f"vrrp-observer: {error}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        # What is left in the buffer would be tried once more at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"vrrp-observer: the output is not whole: {error.strerror}; make room or write elsewhere", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        return 130
    finally:
        gc.enable()
    return status


def _understood(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with streams for what it prints. Raises ConfigError where it would print, and nobody could read it."""
    closed = not sys.stdout
    _streams()
    parsed = _parser().parse_args(arguments)
    if closed and getattr(parsed, "output", None) in (None, "-"):
        raise ConfigError("standard output is closed; write to a file, or to /dev/null if nobody shall read it")
    return parsed


def _streams() -> None:
    """Print UTF-8 whatever the locale says: pages and expositions say so of themselves, and readers of JSON expect it.

    What has no place in it, as an octet of an argument that is not UTF-8, is written with a backslash. A stream that is closed
    takes what is written and keeps nothing.
    """
    for name in ("stdout", "stderr"):
        if not getattr(sys, name):
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(io.FileIO(os.devnull, "w"))))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


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
        "--zone",
        default="UTC",
        metavar="ZONE",
        help="of time stamps of --log and --addresses that name none: a name such as Europe/Berlin, or an offset such as +02:00;"
        " --zone=-05:00 has its equals sign (default UTC)",
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
    from observer.keepalived.watch import Conf

    found = effective(parsed.config, os.environ, {})
    configuration = found.configuration
    if configuration.tls_cert:
        from observer.sinks.tls import Certificates

        Certificates(configuration.tls_cert, configuration.tls_key, configuration.tls_client_ca, warn=_warn)
    if Conf.name in configuration.evidence:
        # An agent goes on without it, but says so.
        with contextlib.suppress(SourceError):
            Conf(configuration.node, configuration.keepalived_conf, _warn).look(0)
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
    from observer.replay import Request, replay

    gc.freeze()
    gc.enable()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As at an interrupt from the keyboard: what is not whole is removed. What is ignored, as with nohup, stays so.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    replay(Request(**{option.name: getattr(parsed, option.name) for option in fields(Request)}), _warn)
    return 0


def _run(parsed: argparse.Namespace) -> int:
    import faulthandler

    from observer.agent import Agent

    flags = {key: getattr(parsed, key, None) for key in KEYS}
    flags |= {key: tuple(value) for key, value in flags.items() if isinstance(value, list)}

    def configure() -> Configuration:
        return load(parsed.config, os.environ, flags)

    if parsed.duration is not None and not 0 < parsed.duration <= 1e9:
        raise ConfigError(f"--duration is {parsed.duration:g}: give seconds above 0, up to 1000000000")
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
