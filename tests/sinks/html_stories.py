"""Reports of traces: of one flap, of hundreds, and of hostile words."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from traces import VIP, A, B, C, Trace, at

from observer.engine.engine import Engine
from observer.model.host import LogEvent, LogKind
from observer.model.segments import Tcp
from observer.run import run
from observer.sinks.html_report import write_html
from observer.sinks.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observer.model.observations import Observation, TimePassed


def page(items: Iterable[Observation | TimePassed]) -> str:
    """The report of a replay of these."""
    sink, engine, stream = Report(), Engine(), io.StringIO()
    run(items, engine, [sink])
    write_html(sink, engine, stream)
    return stream.getvalue()


def one_flap() -> Trace:
    """A check failed on A."""
    return Trace().adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 60, 22.766, 70).passed(95)


def many_flaps(count: int) -> Trace:
    """A storm: clients are reset and reconnect at every turn, and every node logs."""
    trace, routers = Trace().adverts(A, 65, 0, 10), (A, B, C)
    for turn in range(count):
        owner, heir = routers[turn % 3], routers[(turn + 1) % 3]
        low = trace.clock + 1
        trace.adverts(owner, 45, low, 3)
        when = low + 3.766
        for client in range(20):
            port, moment = 20000 + (turn * 20 + client) % 40000, when + 0.05 + client / 100
            trace.orphaned(heir, "198.51.100.1", moment, client_port=port)
            trace.tcp("198.51.100.1", VIP, Tcp.SYN, moment + 0.1, ports=(port, 6443), sequence=turn)
            trace.tcp(VIP, "198.51.100.1", Tcp.SYN | Tcp.ACK, moment + 0.101, ports=(6443, port), by=heir, sequence=turn)
        for node in ("m0", "m1", "m2"):
            trace.items += [log(low + 0.3 * line, f"Script `chk` now returning {line}", node) for line in range(6)]
        trace.adverts(heir, 65, when, 4)
    return trace


def log(when: float, detail: str, node: str = "m0") -> LogEvent:
    """A line of a log."""
    return LogEvent(time=at(when), node=node, kind=LogKind.CHECK_RETURNED, detail=detail)
