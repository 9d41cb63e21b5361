"""The live agent: this node's sources, the engine, and the sinks that serve and tell."""

from __future__ import annotations

import gc
import os
import socket
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TextIO

from observer.config import Configuration, endpoint, toml
from observer.engine.engine import Engine
from observer.keepalived.watch import Conf
from observer.model.errors import ConfigError, SourceError
from observer.model.flaps import FlapJudged
from observer.model.observations import AddressChange, Advert, SourceChange, SourceState, TimePassed
from observer.model.time import SECOND, nanoseconds, seconds
from observer.run import Sink, run
from observer.sinks.events import Lines
from observer.sinks.health import Health
from observer.sinks.http import Route, Server, exposition
from observer.sinks.metrics import Metrics
from observer.sinks.notify import Notifier
from observer.sinks.page import Page
from observer.sinks.recorder import Recorder
from observer.sinks.recording_files import Limits, RecordingFiles
from observer.sinks.tls import Certificates
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
    from collections.abc import Callable, Iterator

    from observer.model.flaps import Event
    from observer.model.observations import Observation


NEEDED = frozenset({"addresses", "adverts", "segments"})
"""Sources that must listen for the agent to be ready."""

ROUTERS = 256
"""Routers whose priorities are remembered, to look at the node when one changes."""


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
        self._unheard = False
        """Somebody asked for a recording, and there is no place for one."""
        node = configuration.node or socket.gethostname()
        self._live = Live(nanoseconds(configuration.hold_back))
        conf = Conf(node, configuration.keepalived_conf, warn)
        self._engine = Engine(conf)
        self._metrics = Metrics()
        self._notify = Notifier(os.environ)
        self._health = Health(NEEDED)
        self._page = Page(node, lambda: sorted(self._health.sources.items()))
        self._sinks: list[Sink] = [self._metrics, self._health, self._page, Lines(stream, terminal=terminal)]
        self._recorder: Recorder | None = None
        self._files: RecordingFiles | None = None
        if configuration.recordings:
            self._files, self._recorder = _recording(configuration, node, self._engine, self._recorder_is)
            self._sinks.append(self._recorder)
        if once:
            self._sinks.append(_Once(self))
        self._addresses = Addresses(node, self._deliver)
        recorder = self._recorder
        self._capture = Capture(
            node,
            self._deliver,
            self._watching,
            frame_seen=recorder.frame_seen if recorder is not None else None,
            keep_frames=recorder is not None,
        )
        self._services = Services(int(port) for port in configuration.service_ports)
        self._host = Host(node, _looks(configuration, node, conf, self._services), self._live.deliver)
        self._priorities: dict[str, int] = {}
        self._learned = 0
        self._late = 0

    def run(self) -> None:
        """Start everything and work until ``stop``."""
        self._serve()
        self._addresses.start()
        links = self._addresses.links()
        for name in self._configuration.interfaces:
            if name not in links:
                raise SourceError(f"interface {name!r} does not exist here; there are {', '.join(sorted(links))}")
        if self._files is not None:
            self._files.start()
        self._capture.start()
        self._host.start()
        # What is there by now stays, and need not be looked through for garbage.
        gc.freeze()
        gc.enable()
        self._notify.ready()
        try:
            run(self._stream(), self._engine, self._sinks)
        finally:
            self._notify.stopping()
            self._capture.stop()
            self._host.stop()
            if self._recorder is not None and self._files is not None:
                self._recorder.close()
                self._files.stop()

    def stop(self) -> None:
        """End the work, after what was seen so far is handled."""
        self._live.stop()

    def record(self) -> None:
        """Record what is kept in memory, and on for some time; a signal handler may call it."""
        if self._recorder is not None:
            self._recorder.ask("asked for by SIGUSR1")
        else:
            self._unheard = True

    def _recorder_is(self, state: SourceState, detail: str) -> None:
        """Show whether recordings can be written; the engine need not know."""
        self._metrics.observed(SourceChange(time=time.time_ns(), node="", source="recorder", state=state, detail=detail))
        if state is SourceState.FAILED:
            self._warn(f"recordings: {detail}")

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
        latest: Observation | None = None
        for item in self._live.stream(self._engine.next_deadline):
            yield item
            if not isinstance(item, TimePassed):
                latest = item
                continue
            self._health.turned()
            self._notify.turned()
            if self._reload:
                self._reloaded()
            if self._unheard:
                self._unheard = False
                self._warn("SIGUSR1: nothing is recorded; name a directory with --recordings")
            if latest is not None:
                if (addresses := self._engine.watched) != followed:
                    self._capture.follow(addresses)
                    followed = addresses
                late, self._late = self._live.late + self._live.dropped - self._late, self._live.late + self._live.dropped
                self._metrics.handled(seconds(time.time_ns() - latest.time), late)
                latest = None
            if item.time - self._learned >= SECOND:
                self._learned, self._services.virtual = item.time, self._engine.served

    def _deliver(self, observation: Observation) -> None:
        """From the threads of the capture and of netlink. What a look at the node can see passes, so it comes at once."""
        if self._sign_of_trouble(observation):
            self._host.hurry()
        self._live.deliver(observation)

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


def _recording(
    configuration: Configuration, node: str, engine: Engine, tell: Callable[[SourceState, str], None]
) -> tuple[RecordingFiles, Recorder]:
    limits = Limits(
        size=int(configuration.record_size * 1_000_000),
        count=int(configuration.record_files),
        age=int(configuration.record_days * 86400),
    )
    files = RecordingFiles(configuration.recordings, node, limits, tell)
    before, after = nanoseconds(configuration.record_before), nanoseconds(configuration.record_after)
    return files, Recorder(engine, files, before=before, after=after, always=configuration.record == "always")
