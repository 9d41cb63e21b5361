"""The metrics that the live agent would have shown, with their times, as OpenMetrics text: a past incident for Prometheus.

Each series has a sample whenever an event changes it, and one at every step in between, for Prometheus forgets a series of
which it hears nothing for five minutes. What a metric means belongs to ``metrics``.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from observer.model.flaps import ActiveChanged
from observer.model.observations import TimePassed
from observer.model.segments import TcpSegments
from observer.model.time import MILLISECOND, SECOND
from observer.sinks.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from observer.engine.engine import Engine
    from observer.model.flaps import Event
    from observer.model.observations import Observation

STEP = 15 * SECOND
"""As scrape intervals are."""

OF_THE_AGENT = frozenset({"vrrp_observer_lag_seconds", "vrrp_observer_late_observations"})
"""Of how the agent itself fared nothing is known."""


@dataclass(slots=True)
class Series:
    """Samples of one series, in order of time."""

    times: array[int] = field(default_factory=lambda: array("q"))
    """Milliseconds since the epoch, which is what Prometheus has."""
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, time: int, value: float) -> None:
        """A sample; a second one within a millisecond replaces the first."""
        if self.times and self.times[-1] >= time:
            self.values[-1] = value
        else:
            self.times.append(time)
            self.values.append(value)


@dataclass(slots=True)
class Family:
    """A metric with all its series."""

    kind: str
    help: str
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    """By the sample's name and its labels as text."""


class Samples:
    """All samples of all nodes."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def take(self, metrics: Metrics, time: int, labels: Mapping[str, str], *, changed: bool) -> None:
        """The metrics as they stand at ``time`` ns; with ``changed``, only series that are another than last time."""
        for metric in metrics.registry.collect():
            if metric.name in OF_THE_AGENT:
                continue
            family = self._families.setdefault(metric.name, Family(metric.type, metric.documentation))
            for sample in metric.samples:
                text = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted({**labels, **sample.labels}.items()))
                series = family.series.setdefault((sample.name, text), Series())
                if not changed or not series.values or series.values[-1] != sample.value:
                    series.add(time // MILLISECOND, sample.value)

    def write(self, stream: TextIO) -> None:
        """OpenMetrics 1.0: family by family, series by series, in order of time."""
        for name, family in sorted(self._families.items()):
            if not family.series:
                continue
            stream.write(f"# HELP {name} {_escaped(family.help)}\n# TYPE {name} {family.kind}\n")
            for (sample, labels), series in sorted(family.series.items()):
                head = f"{sample}{{{labels}}}" if labels else sample
                stream.writelines(
                    f"{head} {number(value)} {time // 1000}.{time % 1000:03d}\n"
                    for time, value in zip(series.times, series.values, strict=True)
                )
        stream.write("# EOF\n")


class Backfill:
    """A sink for the replay of one node; ``labels`` are what a scrape would have added."""

    def __init__(self, samples: Samples, labels: Mapping[str, str]) -> None:
        self._samples = samples
        # A name given on the command line may hold octets that are not UTF-8.
        self._labels = {name: value.encode(errors="backslashreplace").decode() for name, value in labels.items()}
        self._metrics = Metrics()
        self._time = 0

    def begin(self, engine: Engine, state: Iterable[Observation]) -> None:
        """Show what an engine knows already, and the node's state, where the observations do not begin at the beginning."""
        for observation in state:
            self._metrics.observed(observation)
        for tracker in engine.trackers:
            if tracker.active is not None:
                known = tracker.virtual_router, tracker.active, tracker.priority, tracker.addresses
                self._metrics.happened(ActiveChanged(0, *known))

    def stepped(self, items: Iterable[Observation | TimePassed]) -> Iterator[Observation | TimePassed]:
        """The observations, with time told at every step, and a sample of everything taken there and at the end."""
        due: int | None = None
        for item in items:
            if due is None:
                due = item.time - item.time % STEP + STEP
                self._take(item.time, changed=False)
            while item.time >= due:
                # How often time is told cannot change a result; so each event comes before the first step after it.
                yield TimePassed(due)
                self._take(due, changed=False)
                due += STEP
            yield item
            self._time = max(self._time, int(item.times[-1]) if isinstance(item, TcpSegments) else item.time)

    def end(self) -> None:
        """The last sample of everything; where nothing was seen there is no time to give it."""
        if self._time:
            self._take(self._time, changed=False)

    def observed(self, observation: Observation) -> None:
        """Count."""
        self._metrics.observed(observation)

    def happened(self, event: Event) -> None:
        """Count, and show what it changed at its time."""
        self._metrics.happened(event)
        self._take(event.time, changed=True)

    def _take(self, time: int, *, changed: bool) -> None:
        self._time = max(self._time, time)
        self._samples.take(self._metrics, self._time, self._labels, changed=changed)


def number(value: float) -> str:
    """A value as OpenMetrics has it: the shortest that is exact."""
    return repr(value) if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
