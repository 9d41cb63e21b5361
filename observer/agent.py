"""The live agent: this node's sources, the engine, and the sinks that serve and tell."""

from __future__ import annotations

import errno
import socket
import sys
import time
from typing import TYPE_CHECKING, TextIO

from prometheus_client import start_http_server

from observer.config import Configuration, endpoint
from observer.engine.engine import Engine
from observer.keepalived.watch import Conf
from observer.model.errors import SourceError
from observer.model.flaps import FlapJudged
from observer.model.observations import AddressChange, Advert, TimePassed
from observer.model.time import SECOND, nanoseconds, seconds
from observer.run import Sink, run
from observer.sinks.events import Lines
from observer.sinks.metrics import Metrics
from observer.sources.addresses import Addresses
from observer.sources.capture import Capture
from observer.sources.host.haproxy import Haproxy
from observer.sources.host.logs import Logs
from observer.sources.host.loop import Host, Look
from observer.sources.host.pressure import Pressure
from observer.sources.host.process import Processes
from observer.sources.host.raw import Raw
from observer.sources.host.redirect import Redirect
from observer.sources.host.services import Services
from observer.sources.host.sockets import Sockets
from observer.sources.interfaces import watched
from observer.sources.live import Live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observer.model.flaps import Event
    from observer.model.observations import Observation


ROUTERS = 256
"""Routers whose priorities are remembered, to look at the node when one changes."""


class Agent:
    """Everything that ``vrrp-observer run`` does. Raises SourceError for what cannot be opened."""

    def __init__(self, configuration: Configuration, stream: TextIO, *, terminal: bool, once: bool = False) -> None:
        self._configuration = configuration
        node = configuration.node or socket.gethostname()
        self._live = Live(nanoseconds(configuration.hold_back))
        conf = Conf(node, configuration.keepalived_conf, _warn)
        self._engine = Engine(conf)
        self._metrics = Metrics()
        self._sinks: list[Sink] = [self._metrics, Lines(stream, terminal=terminal)]
        if once:
            self._sinks.append(_Once(self))
        self._addresses = Addresses(node, self._live.deliver)
        self._capture = Capture(node, self._live.deliver, self._watching)
        self._services = Services(int(port) for port in configuration.service_ports)
        self._host = Host(node, _looks(configuration, node, conf, self._services), self._live.deliver)
        self._priorities: dict[str, int] = {}
        self._learned = 0
        self._late = 0

    def run(self) -> None:
        """Start everything and work until ``stop``."""
        serve(self._configuration.listen, self._metrics)
        self._addresses.start()
        links = self._addresses.links()
        for name in self._configuration.interfaces:
            if name not in links:
                raise SourceError(f"interface {name!r} does not exist here; there are {', '.join(sorted(links))}")
        self._capture.start()
        self._host.start()
        try:
            run(self._stream(), self._engine, self._sinks)
        finally:
            self._capture.stop()
            self._host.stop()

    def stop(self) -> None:
        """End the work, after what was seen so far is handled."""
        self._live.stop()

    def _stream(self) -> Iterator[Observation | TimePassed]:
        """What the sources deliver; on the way, the kernel's filter and the agent's own metrics are kept up to date."""
        followed: frozenset[str] = frozenset()
        for item in self._live.stream(self._engine.next_deadline):
            yield item
            if isinstance(item, TimePassed):
                if (addresses := self._engine.watched) != followed:
                    self._capture.follow(addresses)
                    followed = addresses
                if item.time - self._learned >= SECOND:
                    self._learned, self._services.virtual = item.time, self._engine.served
            else:
                if self._sign_of_trouble(item):
                    self._host.hurry()
                late, self._late = self._live.late + self._live.dropped - self._late, self._live.late + self._live.dropped
                self._metrics.handled(seconds(time.time_ns() - item.time), late)

    def _sign_of_trouble(self, item: Observation) -> bool:
        """Something changed hands, or may soon: what the node's own sources see in the next seconds matters."""
        if isinstance(item, AddressChange):
            return not item.initial
        if not isinstance(item, Advert) or self._priorities.get(item.router) == item.priority:
            return False
        if len(self._priorities) >= ROUTERS:
            self._priorities.clear()
        self._priorities[item.router] = item.priority
        return True

    def _watching(self, interface: str) -> bool:
        link = self._addresses.links().get(interface)
        return link is not None and watched(link, self._configuration.interfaces)


def _looks(configuration: Configuration, node: str, conf: Conf, services: Services) -> list[Look]:
    """What to look at on the node; the redirect first, for it tells where the proxy's sockets are."""
    looks: tuple[Look, ...] = (
        conf,
        Logs(node, configuration.logs),
        Redirect(node, services),
        Sockets(node, services),
        Raw(node),
        Processes(node),
        Pressure(node),
        Haproxy(node, configuration.haproxy_socket),
    )
    return [look for look in looks if look.name in configuration.evidence]


def _warn(text: str) -> None:
    print(f"vrrp-observer: {text}", file=sys.stderr, flush=True)


class _Once:
    """Stops the agent at the first verdict."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def observed(self, observation: Observation) -> None:
        """Nothing."""

    def happened(self, event: Event) -> None:
        """Stop when a flap was judged."""
        if isinstance(event, FlapJudged):
            self._agent.stop()


def serve(listen: str, metrics: Metrics) -> None:
    """Serve /metrics at ``listen``, on all addresses of both families when it names none. Raises SourceError."""
    if not listen:
        return
    host, port = endpoint(listen)
    hosts = [host] if host else ["::", "0.0.0.0"]  # noqa: S104 - the operator did not name an address
    for candidate in hosts:
        try:
            start_http_server(port, candidate, registry=metrics.registry)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SourceError(f"listen {listen}: the port is in use; choose another with --listen") from error
            if candidate == hosts[-1]:
                raise SourceError(f"listen {listen}: {error.strerror or error}") from error
        else:
            return
