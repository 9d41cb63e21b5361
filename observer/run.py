"""The one loop, for live and for replay: observations in, events to the sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from observer.model.observations import TimePassed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observer.engine.engine import Engine
    from observer.model.flaps import Event
    from observer.model.observations import Observation


class Sink(Protocol):
    """Where what was observed and what happened go out."""

    def observed(self, observation: Observation) -> None:
        """An observation, as the engine is about to take it."""

    def happened(self, event: Event) -> None:
        """An event of the engine."""


def run(observations: Iterable[Observation | TimePassed], engine: Engine, sinks: Sequence[Sink]) -> None:
    """Feed the engine until the observations end, and tell every sink what was seen and what happened."""
    for item in observations:
        if isinstance(item, TimePassed):
            events = engine.advance(item.time)
        else:
            for sink in sinks:
                sink.observed(item)
            events = engine.observe(item)
        _tell(events, sinks)
    _tell(engine.finish(), sinks)


def _tell(events: Iterable[Event], sinks: Sequence[Sink]) -> None:
    for event in events:
        for sink in sinks:
            sink.happened(event)
