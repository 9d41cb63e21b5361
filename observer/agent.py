"""The live agent: this node's sources, the engine, and the sinks that serve and tell."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TextIO

from observer.config import Configuration, endpoint, toml
from observer.engine.engine import Engine
from observer.model.errors import ConfigError, SourceError
from observer.model.flaps import FlapJudged
from observer.model.observations import TimePassed
from observer.model.time import nanoseconds, seconds
from observer.run import Sink, run
from observer.sinks.events import Lines
from observer.sinks.health import Health
from observer.sinks.http import Route, Server, exposition
from observer.sinks.metrics import Metrics
from observer.sinks.notify import Notifier
from observer.sinks.page import Page
from observer.sinks.tls import Certificates
from observer.sources.addresses import Addresses
from observer.sources.capture import Capture
from observer.sources.interfaces import watched
from observer.sources.live import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from observer.model.flaps import Event
    from observer.model.observations import Observation


NEEDED = frozenset({"addresses", "adverts", "segments"})
"""Sources that must listen for the agent to be ready."""


class Agent:
    """Everything that ``vrrp-observer run`` does. Raises SourceError for what cannot be opened."""

    def __init__(
        self,
        configuration: Configuration,
        stream: TextIO,
        *,
        terminal: bool,
        once: bool = False,
        configure: Callable[[], Configuration] | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``configure`` reads the configuration anew, for ``reload``; ``warn`` takes a line for who runs the agent."""
        self._configuration = configuration
        self._configure = configure
        self._warn = warn
        self._reload = False
        node = configuration.node or socket.gethostname()
        self._live = Live(nanoseconds(configuration.hold_back))
        self._engine = Engine()
        self._metrics = Metrics()
        self._notify = Notifier(os.environ)
        self._health = Health(NEEDED)
        self._page = Page(node, lambda: sorted(self._health.sources.items()))
        self._sinks: list[Sink] = [self._metrics, self._health, self._page, Lines(stream, terminal=terminal)]
        if once:
            self._sinks.append(_Once(self))
        self._addresses = Addresses(node, self._live.deliver)
        self._capture = Capture(node, self._live.deliver, self._watching)
        self._late = 0

    def run(self) -> None:
        """Start everything and work until ``stop``."""
        self._serve()
        self._addresses.start()
        links = self._addresses.links()
        for name in self._configuration.interfaces:
            if name not in links:
                raise SourceError(f"interface {name!r} does not exist here; there are {', '.join(sorted(links))}")
        self._capture.start()
        self._notify.ready()
        try:
            run(self._stream(), self._engine, self._sinks)
        finally:
            self._notify.stopping()
            self._capture.stop()

    def stop(self) -> None:
        """End the work, after what was seen so far is handled."""
        self._live.stop()

    def reload(self) -> None:
        """Read the configuration anew the next time that the loop turns; a signal handler may call it."""
        self._reload = True

    def _serve(self) -> None:
        configuration = self._configuration
        if not configuration.listen:
            return
        certificates = None
        if configuration.tls_cert:
            certificates = Certificates(configuration.tls_cert, configuration.tls_key, configuration.tls_client_ca, self._warn)
        host, port = endpoint(configuration.listen)
        routes = {
            "/": Route(self._page.answer),
            "/metrics": Route(exposition(self._metrics.registry)),
            "/healthz": Route(self._health.healthz, public=True),
            "/readyz": Route(self._health.readyz, public=True),
        }
        Server(host, port, routes, certificates)

    def _reloaded(self) -> None:
        """Take over what can change while the agent runs, and say in a line what did and what did not."""
        self._reload = False
        if self._configure is None:
            return
        self._notify.reloading()
        try:
            wanted = self._configure()
        except ConfigError as error:
            self._warn(f"reload: {error}; nothing changed")
        else:
            self._configuration, told = reconfigured(self._configuration, wanted)
            self._warn(f"reload: {told}")
        self._notify.ready()

    def _stream(self) -> Iterator[Observation | TimePassed]:
        """What the sources deliver; on the way, the kernel's filter and the agent's own metrics are kept up to date."""
        followed: frozenset[str] = frozenset()
        for item in self._live.stream(self._engine.next_deadline):
            yield item
            if isinstance(item, TimePassed):
                self._health.turned()
                self._notify.turned()
                if self._reload:
                    self._reloaded()
                if (addresses := self._engine.watched) != followed:
                    self._capture.follow(addresses)
                    followed = addresses
            else:
                late, self._late = self._live.late + self._live.dropped - self._late, self._live.late + self._live.dropped
                self._metrics.handled(seconds(time.time_ns() - item.time), late)

    def _watching(self, interface: str) -> bool:
        link = self._addresses.links().get(interface)
        return link is not None and watched(link, self._configuration.interfaces)


def reconfigured(present: Configuration, wanted: Configuration) -> tuple[Configuration, str]:
    """The configuration after a reload, and what to say of it.

    Interfaces are added at once. One that is no longer watched would fall silent, and its routers would be taken for dead ones.
    """
    changed, waiting = [], []
    for setting in fields(Configuration):
        before, after = getattr(present, setting.name), getattr(wanted, setting.name)
        if before == after:
            continue
        added = setting.name != "interfaces" or (before and (not after or set(before) <= set(after)))
        if setting.metadata.get("reloads") and added:
            present = replace(present, **{setting.name: after})
            changed.append(f"{setting.name} is now {toml(after)}")
        else:
            waiting.append(setting.name)
    told = "; ".join(changed) or "nothing changed"
    return present, f"{told}; {', '.join(waiting)}: changed, needs a restart" if waiting else told


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
