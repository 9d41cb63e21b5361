"""A page for people: who is Active now in every virtual router, and the last flaps with their verdicts.

Plain HTML that is made here and runs nothing; every value is escaped. No client's address is in what it is given.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

import observer
from observer.model.flaps import ActiveChanged, FlapJudged, FlapStage, FlapWithdrawn, VirtualRouter
from observer.model.observations import AddressChange, Advert
from observer.model.time import rfc3339
from observer.sinks import text
from observer.sinks.http import HEADERS, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from observer.model.flaps import Event
    from observer.model.observations import Observation

FLAPS = 20
"""Flaps kept to be shown."""

ROUTERS = 512
"""Virtual routers shown; as many as the engine follows."""

ADDRESSES = 4096
"""Addresses of this node kept, to say which virtual addresses it holds."""

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#1b1f24;background:#fff}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3em .7em;border-bottom:1px solid #d8dee4;"
    "vertical-align:top}pre{overflow-x:auto;margin:.3em 0 1em;padding:.7em;background:#f6f8fa}summary{cursor:pointer}"
    ".no{color:#b31d28;font-weight:600}.yes{color:#22863a}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}"
    "pre{background:#161b22}th,td{border-color:#30363d}.no{color:#ff7b72}.yes{color:#56d364}}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"{HEADERS['Content-Security-Policy']}; style-src 'sha256-{_HASH}'"


@dataclass(frozen=True, slots=True)
class _Router:
    """A virtual router as it is now."""

    active: str | None
    priority: int | None
    addresses: tuple[str, ...]
    since: int
    heard: int


class Page:
    """Keeps what the page shows; written by the engine's thread, read by those of the server."""

    def __init__(self, node: str, sources: Callable[[], Iterable[tuple[str, str]]]) -> None:
        """``sources`` tells each source's name and state."""
        self._node = node
        self._sources = sources
        self._routers: dict[VirtualRouter, _Router] = {}
        self._held: set[str] = set()
        self._flaps: OrderedDict[str, FlapJudged] = OrderedDict()
        self._lock = threading.Lock()

    def observed(self, observation: Observation) -> None:
        """Follow the Active Router's priority, and which addresses this node has."""
        if isinstance(observation, Advert):
            key = VirtualRouter(observation.vrid, observation.family, observation.interface)
            known = self._routers.get(key)
            if known is not None and known.active == observation.router:
                # The key is there: no lock is needed to replace its value.
                self._routers[key] = replace(known, priority=observation.priority, heard=observation.time)
        elif isinstance(observation, AddressChange):
            with self._lock:
                if not observation.present:
                    self._held.discard(observation.address)
                elif len(self._held) < ADDRESSES:
                    self._held.add(observation.address)

    def happened(self, event: Event) -> None:
        """Keep the newest word on who is Active and on each flap."""
        with self._lock:
            match event:
                case ActiveChanged():
                    if event.virtual_router in self._routers or len(self._routers) < ROUTERS:
                        self._routers[event.virtual_router] = _Router(
                            event.router, event.priority, event.addresses, event.time, event.time
                        )
                case FlapJudged():
                    self._flaps[event.flap.id] = event
                    while len(self._flaps) > FLAPS:
                        self._flaps.popitem(last=False)
                case FlapWithdrawn():
                    self._flaps.pop(event.flap.id, None)
                case _:
                    pass

    def answer(self, _: str) -> Answer:
        """The page as it is now."""
        with self._lock:
            routers = sorted(self._routers.items(), key=lambda item: (item[0].interface or "", item[0].vrid, item[0].family))
            flaps = sorted(self._flaps.values(), key=lambda event: (event.flap.time, event.flap.id), reverse=True)
            held = set(self._held)
        title = f"vrrp-observer on {self._node}"
        parts = [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>",
            f"<h1>{escape(title)}</h1>",
            "<h2>Virtual routers</h2>",
            _routers(routers, held) if routers else "<p>None heard so far.</p>",
            "<h2>Last flaps</h2>",
            *(_flap(event) for event in flaps),
            "" if flaps else "<p>None since this agent started.</p>",
            "<h2>Sources</h2>",
            _table(("source", "state"), [(escape(name), escape(state)) for name, state in self._sources()]),
            f"<p>Version {escape(observer.__version__)}. <a href=/metrics>Metrics</a>, <a href=/readyz>readiness</a>.</p>",
        ]
        return Answer("\n".join(parts).encode(), "text/html; charset=utf-8", headers=(("Content-Security-Policy", _POLICY),))


def _routers(routers: Sequence[tuple[VirtualRouter, _Router]], held: set[str]) -> str:
    rows = [
        (
            escape(key.interface or ""),
            str(key.vrid),
            escape(key.family.label),
            "<span class=no>nobody</span>" if router.active is None else escape(router.active),
            "" if router.active is None or router.priority is None else str(router.priority),
            _time(router.since),
            "" if router.active is None else _time(router.heard),
            escape(", ".join(router.addresses)),
            _held(router.addresses, held),
        )
        for key, router in routers
    ]
    head = ("interface", "VRID", "family", "Active", "priority", "since", "last advert", "addresses", "held by this node")
    return _table(head, rows)


def _held(addresses: tuple[str, ...], held: set[str]) -> str:
    here = sum(1 for address in addresses if address in held)
    if not addresses or here in (0, len(addresses)):
        return "yes" if here else "no"
    return f"{here} of {len(addresses)}"


def _flap(event: FlapJudged) -> str:
    warranted = event.flap.verdict.warranted.value
    stage = "" if event.stage is FlapStage.CLOSED else f" <em>({event.stage.value})</em>"
    return (
        f"<details><summary class={warranted}>{rfc3339(event.flap.time)[:10]} {escape(text.line(event.flap))}{stage}</summary>"
        f"<pre>{escape(chr(10).join(text.story(event.flap)))}</pre></details>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{name}</th>" for name in head) + f"</tr>{body}</table>"


def _time(at: int) -> str:
    return rfc3339(at)[:19].replace("T", " ") + " UTC"
