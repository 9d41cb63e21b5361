"""Prometheus metrics: one table of them, from which this sink, the documentation and the tests come.

Labels are few and bounded: never a client's address, never a name from the wire other than a router's address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

import observer
from observer.model.flaps import (
    ActiveChanged,
    BurstCause,
    BurstSeen,
    Elected,
    FlapJudged,
    FlapStage,
    FlapWithdrawn,
    ResetReason,
    ResetsSeen,
    StormSeen,
    VirtualRouter,
)
from observer.model.observations import (
    AddressChange,
    Advert,
    FramesLost,
    Malformed,
    SourceChange,
    SourceState,
)
from observer.model.time import seconds
from observer.model.verdicts import Cause, Warranted

if TYPE_CHECKING:
    from observer.model.flaps import Event
    from observer.model.observations import Observation

ROUTER = ("interface", "vrid", "family")

SERIES = 4096
"""Children of one metric. Beyond them a segment full of invented routers is summed under "other"."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as it is declared and documented."""

    name: str
    kind: type[Counter] | type[Gauge]
    labels: tuple[str, ...]
    help: str


METRICS: tuple[Metric, ...] = (
    Metric(
        "vrrp_flaps_total", Counter, (*ROUTER, "cause", "warranted"), "Flaps: the addresses moved, were claimed by two, or lost."
    ),
    Metric("vrrp_flaps_open", Gauge, ROUTER, "Flaps whose verdict is not certain yet, and which are not counted yet."),
    Metric("vrrp_last_flap_timestamp_seconds", Gauge, ROUTER, "When the last flap was."),
    Metric("vrrp_elections_total", Counter, ROUTER, "Routers that became Active where none was before; not flaps."),
    Metric("vrrp_active", Gauge, (*ROUTER, "router"), "1 for the Active Router, 0 for routers that were Active before."),
    Metric("vrrp_priority", Gauge, (*ROUTER, "router"), "Priority last advertised by a router."),
    Metric("vrrp_adverts_total", Counter, (*ROUTER, "router"), "Valid advertisements heard, copies included."),
    Metric("vrrp_malformed_adverts_total", Counter, ("interface", "reason"), "Frames for VRRP that failed a check, by check."),
    Metric("vrrp_addresses", Gauge, ROUTER, "Addresses that the virtual router advertises."),
    Metric("vrrp_addresses_held", Gauge, ROUTER, "Of these, the addresses that this node has."),
    Metric(
        "vrrp_flap_connections_reset_total", Counter, ROUTER, "Connections reset by the new holder after a flap, at its close."
    ),
    Metric(
        "vrrp_flap_connections_refused_total",
        Counter,
        ROUTER,
        "Connections refused by the new holder after a flap, at its close.",
    ),
    Metric(
        "vrrp_flap_connections_left_total",
        Counter,
        ROUTER,
        "Connections of the former holder that nothing told that they are gone, at the flap's close.",
    ),
    Metric(
        "vrrp_flap_misdirected_seconds_total",
        Counter,
        ROUTER,
        "Seconds in which clients were sent to a router that had lost the election, at the flap's close.",
    ),
    Metric("vrrp_resets_total", Counter, (*ROUTER, "reason"), "TCP resets from or to the addresses seen here, copies included."),
    Metric("vrrp_reset_bursts_total", Counter, (*ROUTER, "cause"), "Times that many connections were reset without a flap."),
    Metric("vrrp_storms_total", Counter, ROUTER, "Storms: three or more flaps in close succession."),
    Metric("vrrp_storm_active", Gauge, ROUTER, "1 while a storm is not over, else 0."),
    Metric("vrrp_observer_source_up", Gauge, ("source",), "Whether a source of observations is listening."),
    Metric("vrrp_observer_frames_lost_total", Counter, ("source",), "Frames or messages that a source lost."),
    Metric(
        "vrrp_observer_late_observations_total", Counter, (), "Observations that came after the hold-back and were handled late."
    ),
    Metric(
        "vrrp_observer_lag_seconds",
        Gauge,
        (),
        "Time between an observation and its handling, of the last one; the hold-back included.",
    ),
    Metric("vrrp_observer_build_info", Gauge, ("version",), "Always 1."),
)

COST = ("connections_reset", "connections_refused", "connections_left", "misdirected_seconds")
"""What a flap's close adds up."""


class Metrics:
    """Keeps the metrics of one agent in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library gives it no types
        self.registry = CollectorRegistry(auto_describe=True)
        self._metrics: dict[str, Any] = {
            metric.name: metric.kind(metric.name, metric.help, metric.labels, registry=self.registry) for metric in METRICS
        }
        self._children: dict[str, set[tuple[str, ...]]] = {metric.name: set() for metric in METRICS}
        self._routers: dict[VirtualRouter, tuple[str, ...]] = {}
        """Virtual routers with their addresses."""
        self._active: dict[VirtualRouter, str] = {}
        self._held: set[tuple[str, str]] = set()
        """Interface and address."""
        self._open: dict[VirtualRouter, set[str]] = {}
        self._of("vrrp_observer_build_info", observer.__version__).set(1)

    def observed(self, observation: Observation) -> None:
        """Count what is counted without judgement."""
        match observation:
            case Advert():
                router = VirtualRouter(observation.vrid, observation.family, observation.interface)
                self._of("vrrp_adverts_total", *_labels(router), observation.router).inc()
                self._of("vrrp_priority", *_labels(router), observation.router).set(observation.priority)
            case Malformed():
                self._of("vrrp_malformed_adverts_total", observation.interface or "", observation.reason).inc()
            case AddressChange():
                (self._held.add if observation.present else self._held.discard)((observation.interface, observation.address))
                self._holdings()
            case SourceChange():
                up = observation.state is SourceState.STARTED
                self._of("vrrp_observer_source_up", observation.source).set(up)
            case FramesLost():
                self._of("vrrp_observer_frames_lost_total", observation.source).inc(observation.count)
            case _:
                pass

    def happened(self, event: Event) -> None:
        """Count what was judged."""
        match event:
            case FlapJudged():
                self._flap(event)
            case FlapWithdrawn():
                waiting = self._open.setdefault(event.flap.virtual_router, set())
                waiting.discard(event.flap.id)
                self._of("vrrp_flaps_open", *_labels(event.flap.virtual_router)).set(len(waiting))
            case Elected():
                self._of("vrrp_elections_total", *_labels(event.virtual_router)).inc()
            case ResetsSeen():
                for reason, number in event.counts:
                    self._of("vrrp_resets_total", *_labels(event.virtual_router), reason.value).inc(number)
            case BurstSeen():
                self._of("vrrp_reset_bursts_total", *_labels(event.burst.virtual_router), event.burst.cause.value).inc()
            case StormSeen():
                self._of("vrrp_storms_total", *_labels(event.storm.virtual_router)).inc(event.counts)
                self._of("vrrp_storm_active", *_labels(event.storm.virtual_router)).set(not event.over)
            case ActiveChanged():
                router = event.virtual_router
                before = self._active.pop(router, None)
                if before is not None:
                    self._of("vrrp_active", *_labels(router), before).set(0)
                if event.router is not None:
                    self._active[router] = event.router
                    self._of("vrrp_active", *_labels(router), event.router).set(1)
                if router not in self._routers:
                    self._begin(router)
                self._routers[router] = event.addresses
                self._holdings()

    def handled(self, lag: float, late: int) -> None:
        """How far behind its observations the agent was, and how many came too late since last told."""
        self._of("vrrp_observer_lag_seconds").set(lag)
        self._of("vrrp_observer_late_observations_total").inc(late)

    def _begin(self, router: VirtualRouter) -> None:
        """Show every flap counter at 0 first, or rate() and increase() would not see the first flap."""
        for cause in Cause:
            for warranted in Warranted:
                self._of("vrrp_flaps_total", *_labels(router), cause.value, warranted.value)
        for reason in ResetReason:
            self._of("vrrp_resets_total", *_labels(router), reason.value)
        for burst in BurstCause:
            self._of("vrrp_reset_bursts_total", *_labels(router), burst.value)
        for name in (*(f"vrrp_flap_{cost}_total" for cost in COST), "vrrp_elections_total", "vrrp_storms_total"):
            self._of(name, *_labels(router))
        self._of("vrrp_storm_active", *_labels(router)).set(0)

    def _flap(self, event: FlapJudged) -> None:
        flap = event.flap
        labels = _labels(flap.virtual_router)
        waiting = self._open.setdefault(flap.virtual_router, set())
        if event.counts:
            verdict = flap.verdict
            self._of("vrrp_flaps_total", *labels, verdict.cause.value, verdict.warranted.value).inc()
            self._of("vrrp_last_flap_timestamp_seconds", *labels).set(seconds(flap.time))
        if event.counts or event.stage is FlapStage.CLOSED:
            waiting.discard(flap.id)
        elif event.stage is FlapStage.PROVISIONAL:
            waiting.add(flap.id)
        self._of("vrrp_flaps_open", *labels).set(len(waiting))
        if event.stage is FlapStage.CLOSED:
            told = flap.connections
            amounts = (told.reset, told.refused, told.left, None if flap.misdirected is None else seconds(flap.misdirected))
            for cost, amount in zip(COST, amounts, strict=True):
                self._of(f"vrrp_flap_{cost}_total", *labels).inc(amount or 0)

    def _holdings(self) -> None:
        held = {address for _, address in self._held}
        for router, addresses in self._routers.items():
            self._of("vrrp_addresses", *_labels(router)).set(len(addresses))
            self._of("vrrp_addresses_held", *_labels(router)).set(sum(1 for address in addresses if address in held))

    def _of(self, name: str, *labels: str) -> Any:
        metric = self._metrics[name]
        if not labels:
            return metric
        children = self._children[name]
        if labels not in children:
            if len(children) >= SERIES:
                labels = tuple("other" for _ in labels)
            children.add(labels)
        return metric.labels(*labels)


def _labels(router: VirtualRouter) -> tuple[str, str, str]:
    return router.interface or "", str(router.vrid), router.family.label
