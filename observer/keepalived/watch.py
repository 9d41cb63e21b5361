"""This node's keepalived.conf, read again when it changes, as the engine asks it: one of the looks of ``sources.host``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from observer.keepalived.explain import Configurations
from observer.keepalived.load import load, remarks
from observer.model.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from observer.model.flaps import VirtualRouter
    from observer.model.host import HostSample

DEFAULT = "/etc/keepalived/keepalived.conf"

_Mark = tuple[int, int, int, int] | None
"""Device, inode, size, time of change of a file; None for one that is not there."""


class Conf:
    """Looks whether the files changed; between two looks the engine asks what was read last."""

    name = "conf"
    interval = 3.0

    def __init__(self, node: str, path: str = "", warn: Callable[[str], None] = lambda _: None) -> None:
        self._node = node
        self._path = path or DEFAULT
        self._warn = warn
        self._configurations = Configurations({})
        self._files: tuple[str, ...] = (self._path,)
        self._marks: list[_Mark] | None = None
        self._error: str | None = None
        self._problems: tuple[str, ...] = ()

    def look(self, now: int) -> Iterator[HostSample]:  # noqa: ARG002 - what is read is not an observation
        """Read what changed. Raises SourceError for a configuration that cannot be read."""
        marks = [_mark(path) for path in self._files]
        if marks != self._marks or self._error is not None:
            self._read()
        if self._error is not None:
            raise SourceError(self._error)
        return iter(())

    def close(self) -> None:
        """Nothing is held."""

    def step(self, node: str, router: VirtualRouter, before: int, after: int) -> tuple[tuple[str, ...], ...] | None:
        """See ``engine.Explain``."""
        return self._configurations.step(node, router, before, after)

    def faulting(self, node: str, router: VirtualRouter) -> tuple[str, ...] | None:
        """See ``engine.Explain``."""
        return self._configurations.faulting(node, router)

    def named(self, node: str, router: VirtualRouter) -> tuple[str, str | None] | None:
        """See ``engine.Explain``."""
        return self._configurations.named(node, router)

    def _read(self) -> None:
        before, self._error = self._error, None
        try:
            configuration = load(self._path)
        except ConfigError as error:
            # What keepalived runs is what it read before, and so is what is known here.
            self._error = str(error)
            if self._error != before and (self._path != DEFAULT or Path(DEFAULT).exists()):
                self._warn(self._error)
        else:
            self._configurations = Configurations({self._node: configuration})
            if configuration.problems != self._problems:
                self._problems = configuration.problems
                for line in remarks(configuration):
                    self._warn(line)
            self._files = (self._path, *(path for path in configuration.files if path != self._path))
        self._marks = [_mark(path) for path in self._files]


def _mark(path: str) -> _Mark:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
