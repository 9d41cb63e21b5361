"""Prometheus metrics: one table of them, from which this sink, the documentation and the tests come.

Labels are few and bounded: never a client's address, never a name from the wire other than a router's address. A series that was
once shown stays until the agent restarts, also that of a router which is gone; what is not known is not shown.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
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
from observer.model.verdicts import Cause, Confidence, Warranted
from observer.wire.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values of labels that are known beforehand, where they are others than those of ``KNOWN``."""


KNOWN = {
    "cause": tuple(cause.value for cause in Cause),
    "warranted": tuple(warranted.value for warranted in Warranted),
    "confidence": tuple(confidence.label for confidence in Confidence),
}
"""Labels whose values are known beforehand. A counter that has no other labels than such and those of a virtual router (or of a
router in it) is shown at 0 first, because rate() and increase() do not see the event that makes a series."""

METRICS: tuple[Metric, ...] = (
    Metric(
        "vrrp_flaps_total", Counter, (*ROUTER, "cause", "warranted"), "Flaps: the addresses moved, were claimed by two, or lost."
    ),
    Metric(
        "vrrp_router_flaps_total",
        Counter,
        (*ROUTER, "router", "cause", "warranted"),
        "The same flaps, by the router that had the addresses before.",
    ),
    Metric("vrrp_verdicts_total", Counter, (*ROUTER, "cause", "confidence"), "The same flaps, by how sure the verdict is."),
    Metric(
        "vrrp_flaps_open",
        Gauge,
        ROUTER,
        "Flaps that were told as the best that can be said so far, and are not counted yet: their verdict is not certain.",
    ),
    Metric(
        "vrrp_last_flap_timestamp_seconds",
        Gauge,
        (*ROUTER, "cause", "warranted"),
        "When the last flap of this cause was, in seconds since the epoch.",
    ),
    Metric("vrrp_elections_total", Counter, ROUTER, "Routers that became Active where none was before; not flaps."),
    Metric(
        "vrrp_outage_seconds_total",
        Counter,
        ROUTER,
        "Seconds in which certainly nobody answered for the addresses: the lower bound of each flap's outage, at its close.",
    ),
    Metric(
        "vrrp_dual_active_seconds_total",
        Counter,
        ROUTER,
        "Seconds in which certainly two routers claimed the addresses: the lower bound of each flap's, at its close.",
    ),
    Metric(
        "vrrp_active",
        Gauge,
        (*ROUTER, "router"),
        "1 for the Active Router, 0 for routers that were Active before, also for those that are gone.",
    ),
    Metric(
        "vrrp_priority",
        Gauge,
        (*ROUTER, "router"),
        "Priority last advertised by a router. Only the Active Router advertises: of another one this is old.",
    ),
    Metric(
        "vrrp_router_local",
        Gauge,
        (*ROUTER, "router"),
        "1 if the router is this node, by its addresses, else 0. Not shown while the node's addresses are unknown.",
    ),
    Metric("vrrp_adverts_total", Counter, (*ROUTER, "router"), "Valid advertisements heard, copies included."),
    Metric(
        "vrrp_advert_interval_seconds",
        Gauge,
        (*ROUTER, "router"),
        "Time between two of its advertisements that a router last announced.",
    ),
    Metric(
        "vrrp_malformed_adverts_total",
        Counter,
        ("interface", "reason"),
        "Frames for VRRP that failed a check, by check.",
        known={"reason": tuple(reason.value for reason in Reason)},
    ),
    Metric("vrrp_addresses", Gauge, ROUTER, "Addresses that the virtual router advertises."),
    Metric(
        "vrrp_addresses_held",
        Gauge,
        ROUTER,
        "Of these, the addresses that this node has. Not shown while the node's addresses are unknown.",
    ),
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
    Metric(
        "vrrp_resets_total",
        Counter,
        (*ROUTER, "reason"),
        "TCP resets from or to the addresses seen here, copies included.",
        known={"reason": tuple(reason.value for reason in ResetReason)},
    ),
    Metric(
        "vrrp_reset_bursts_total",
        Counter,
        (*ROUTER, "cause"),
        "Times that many connections were reset without a flap.",
        known={"cause": tuple(cause.value for cause in BurstCause)},
    ),
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

NOTES = (
    """A flap is counted once by every agent that sees it: when its verdict stands, or when it closes, a minute after the move.
    What it cost is added when it closes.""",
    """A flap's counters carry the flap's id, the one in the agent's lines, as an exemplar (``flap``), for those who ask for
    OpenMetrics, as Prometheus does.""",
    """Counters of a virtual router are shown at 0 as soon as it is heard, with every cause, so that ``rate()`` and ``increase()``
    see the first flap. A router's first advert makes its series.""",
    """Resets are counted once their second is over; a few that nothing depends on may take some seconds more.""",
    """A series stays until the agent restarts, also that of a router that is gone: its ``vrrp_active`` is 0, its
    ``vrrp_adverts_total`` stands still, its ``vrrp_priority`` is what it said last (0: it resigned).""",
    """A metric has at most 4096 series; what is beyond that is summed under ``other``. A virtual router of three has about 250
    series, nearly all of them 0.""",
)
"""What a reader of the metrics should know of all of them."""

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
        self._held: set[tuple[str, str]] | None = None
        """Interface and address of what this node has; None while that is not known."""
        self._open: dict[VirtualRouter, set[str]] = {}
        self._of("vrrp_observer_build_info", observer.__version__).set(1)

    def observed(self, observation: Observation) -> None:
        """Count what is counted without judgement."""
        match observation:
            case Advert():
                self._advert(observation)
            case Malformed():
                self._of("vrrp_malformed_adverts_total", observation.interface or "", observation.reason).inc()
            case AddressChange():
                held = self._held = self._held if self._held is not None else set()
                (held.add if observation.present else held.discard)((observation.interface, observation.address))
                self._holdings()
                self._locals(sorted(self._children["vrrp_adverts_total"]))
            case SourceChange():
                up = observation.state is SourceState.STARTED
                self._of("vrrp_observer_source_up", observation.source).set(up)
                self._of("vrrp_observer_frames_lost_total", observation.source)
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
                    self._begin(router, event.router)
                if router not in self._routers:
                    self._begin(router)
                self._routers[router] = event.addresses
                self._holdings()

    def handled(self, lag: float, late: int) -> None:
        """How far behind its observations the agent was, and how many came too late since last told."""
        self._of("vrrp_observer_lag_seconds").set(lag)
        self._of("vrrp_observer_late_observations_total").inc(late)

    def _advert(self, advert: Advert) -> None:
        labels = (*_labels(VirtualRouter(advert.vrid, advert.family, advert.interface)), advert.router)
        new = labels not in self._children["vrrp_adverts_total"]
        self._of("vrrp_adverts_total", *labels).inc()
        self._of("vrrp_priority", *labels).set(advert.priority)
        self._of("vrrp_advert_interval_seconds", *labels).set(seconds(advert.interval))
        if new:
            self._locals([labels])

    def _begin(self, router: VirtualRouter, member: str | None = None) -> None:
        """Show the counters of a virtual router, or those of a router in it, at 0 first."""
        given = dict(zip(ROUTER, _labels(router), strict=True)) | ({"router": member} if member is not None else {})
        for metric in METRICS:
            if metric.kind is Counter and metric.labels and ("router" in metric.labels) == (member is not None):
                values = {label: (value,) for label, value in given.items()} | KNOWN | dict(metric.known)
                for labels in itertools.product(*(values.get(label, ()) for label in metric.labels)):
                    self._of(metric.name, *labels)
        if member is None:
            self._of("vrrp_storm_active", *_labels(router)).set(0)

    def _flap(self, event: FlapJudged) -> None:
        flap = event.flap
        labels = _labels(flap.virtual_router)
        waiting = self._open.setdefault(flap.virtual_router, set())
        if event.counts:
            verdict = flap.verdict
            said = (verdict.cause.value, verdict.warranted.value)
            exemplar = {"flap": flap.id}
            self._of("vrrp_flaps_total", *labels, *said).inc(exemplar=exemplar)
            self._of("vrrp_router_flaps_total", *labels, flap.former or "", *said).inc(exemplar=exemplar)
            self._of("vrrp_verdicts_total", *labels, verdict.cause.value, verdict.confidence.label).inc(exemplar=exemplar)
            self._of("vrrp_last_flap_timestamp_seconds", *labels, *said).set(seconds(flap.time))
        if event.counts or event.stage is FlapStage.CLOSED:
            waiting.discard(flap.id)
        elif event.stage is FlapStage.PROVISIONAL:
            waiting.add(flap.id)
        self._of("vrrp_flaps_open", *labels).set(len(waiting))
        if event.stage is FlapStage.CLOSED:
            self._of("vrrp_outage_seconds_total", *labels).inc(seconds(flap.outage.minimum))
            self._of("vrrp_dual_active_seconds_total", *labels).inc(seconds(flap.dual_active.minimum))
            told = flap.connections
            amounts = (told.reset, told.refused, told.left, None if flap.misdirected is None else seconds(flap.misdirected))
            for cost, amount in zip(COST, amounts, strict=True):
                self._of(f"vrrp_flap_{cost}_total", *labels).inc(amount or 0)

    def _holdings(self) -> None:
        for router, addresses in self._routers.items():
            self._of("vrrp_addresses", *_labels(router)).set(len(addresses))
            if self._held is not None:
                held = {address for _, address in self._held}
                self._of("vrrp_addresses_held", *_labels(router)).set(sum(1 for address in addresses if address in held))

    def _locals(self, routers: Iterable[tuple[str, ...]]) -> None:
        """Say of routers, by their labels, whether they are this node."""
        if self._held is not None:
            own = {address for _, address in self._held}
            for labels in routers:
                self._of("vrrp_router_local", *labels).set(labels[-1] in own)

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
