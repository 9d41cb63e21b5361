"""Whether the agent is alive and ready, for probes: /healthz and /readyz. What a watchdog is told is ``notify``'s."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from observer.model.observations import SourceChange, SourceState
from observer.sinks.http import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from observer.model.flaps import Event
    from observer.model.observations import Observation

STALLED = 10.0
"""Seconds after which a loop that did not turn is called dead; when nothing happens it turns once a second."""


class Health:
    """Alive while the loop turns; ready once every source that must listen does."""

    def __init__(self, needed: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        """``needed`` names the sources without which there is nothing to observe; ``clock`` is monotonic, in seconds."""
        self._needed = needed
        self._clock = clock
        self._turned = clock()
        self.sources: dict[str, SourceState] = {}
        """State of each source as last told; replaced whole, so that other threads may read it."""

    def observed(self, observation: Observation) -> None:
        """Note how the sources are."""
        if isinstance(observation, SourceChange):
            self.sources = {**self.sources, observation.source: observation.state}

    def happened(self, event: Event) -> None:
        """Nothing."""

    def turned(self) -> None:
        """The engine's loop came round."""
        self._turned = self._clock()

    def healthz(self, _: str) -> Answer:
        """200 while the loop turns, else 503: restart it."""
        since = self._clock() - self._turned
        if since > STALLED:
            return _answer(ok=False, lines=[f"the engine's loop has not turned for {since:.0f} s"])
        return _answer(ok=True, lines=[])

    def readyz(self, _: str) -> Answer:
        """200 while every source that is needed listens, else 503; and how each one is."""
        sources = self.sources
        down = [name for name in sorted(self._needed) if sources.get(name) is not SourceState.STARTED]
        lines = [f"{name}: {sources[name].value if name in sources else 'not started'}" for name in sorted({*sources, *down})]
        return _answer(ok=not down, lines=lines)


def _answer(*, ok: bool, lines: list[str]) -> Answer:
    text = "\n".join(["ok" if ok else "not ok", *lines]) + "\n"
    return Answer(text.encode(), status=HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE)
