"""Metrics: what each of the table says of a trace, in how many series, with which labels."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from traces import EPOCH, VIP, A, B, Trace, flaps

import observer
import observer.sinks.metrics as metrics_module
from observer.engine.engine import Engine
from observer.model.flaps import Connections, FlapJudged, FlapStage
from observer.model.observations import Malformed, SourceState, TimePassed
from observer.model.segments import Tcp
from observer.model.time import SECOND
from observer.model.verdicts import Cause, Confidence, Warranted
from observer.run import run
from observer.sinks.metrics import METRICS, Metrics

LABELS = {
    "interface",
    "vrid",
    "family",
    "router",
    "cause",
    "warranted",
    "confidence",
    "reason",
    "state",
    "source",
    "version",
}
CLIENT = "198.51.100.77"


def eventful():
    """Something of everything."""
    trace = Trace().source(-1).source(-1, name="addresses").address(-0.5, present=True, initial=True)
    trace.address(-0.5, present=True, address=A, initial=True)
    trace.adverts(A, 65, 0, 20).adverts(A, 45, 20, 3).adverts(B, 60, 22.766, 70)
    trace.served(A, CLIENT, 15).served(A, CLIENT, 21.2, client_port=40001)
    trace.orphaned(B, CLIENT, 23.5, client_port=40002).refused(B, CLIENT, 23.6, client_port=40003)
    trace.address(22.772, present=False).arp(B, 22.77, count=5)
    trace.frames_lost(50, 3).source(93, SourceState.FAILED, name="addresses")
    malformed = Malformed(time=EPOCH + 40 * SECOND, node="m1", interface="eth0", reason="checksum")
    trace.items.append(malformed)
    return trace.passed(94)


def stopped():
    """One resignation, watched from outside."""
    return Trace(interface="ens3").adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 70).passed(93)


def measured(trace):
    metrics = Metrics()
    run(trace.observations(), Engine(), [metrics])
    return metrics


def exposition(metrics):
    return generate_latest(metrics.registry).decode()


def samples(metrics):
    """{(name, labels): value} of everything exposed."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
    }


def value(metrics, name, **labels):
    return samples(metrics)[name, tuple(sorted(labels.items()))]


def test_how_the_agent_itself_is():
    metrics = measured(eventful())
    metrics.handled(0.25, 2)
    assert value(metrics, "vrrp_observer_lag_seconds") == 0.25
    assert value(metrics, "vrrp_observer_late_observations_total") == 2
    assert value(metrics, "vrrp_observer_frames_lost_total", source="capture") == 3
    assert value(metrics, "vrrp_observer_frames_lost_total", source="addresses") == 0
    assert value(metrics, "vrrp_observer_source_up", source="capture") == 1
    assert value(metrics, "vrrp_observer_source_up", source="addresses") == 0
    assert value(metrics, "vrrp_observer_build_info", version=observer.__version__) == 1
    assert value(metrics, "vrrp_malformed_adverts_total", interface="eth0", reason="checksum") == 1
    assert value(metrics, "vrrp_malformed_adverts_total", interface="eth0", reason="ttl") == 0


def test_counters_of_a_virtual_router_are_there_before_they_count():
    """rate() and increase() do not see the event that makes a series."""
    metrics = measured(Trace().adverts(A, 65, 0, 3))
    shown = samples(metrics)
    counters = {
        metric.name: metric for metric in METRICS if metric.kind is metrics_module.Counter and metric.labels != ("source",)
    }
    assert set(counters) - {name for name, _ in shown} == set()
    assert sum(name == "vrrp_flaps_total" for name, _ in shown) == len(Cause) * len(Warranted)
    assert sum(name == "vrrp_router_flaps_total" for name, _ in shown) == len(Cause) * len(Warranted)
    assert sum(name == "vrrp_verdicts_total" for name, _ in shown) == len(Cause) * len(Confidence)
    assert not any(amount for (name, _), amount in shown.items() if "flap" in name or "verdict" in name or "malformed" in name)


def test_what_is_not_known_of_this_node_is_not_shown():
    """Nobody told of its addresses: 0 would say that it has none."""
    shown = {name for name, _ in samples(measured(Trace().adverts(A, 65, 0, 3)))}
    assert "vrrp_addresses" in shown
    assert not shown & {"vrrp_addresses_held", "vrrp_router_local"}


def test_a_router_is_known_as_this_node_whichever_is_seen_first():
    router = {"family": "ipv4", "interface": "eth0", "vrid": "51", "router": A}
    before = measured(Trace().address(-1, present=True, address=A, initial=True).adverts(A, 65, 0, 3))
    after = measured(Trace().adverts(A, 65, 0, 3).address(2.5, present=True, address=A))
    assert value(before, "vrrp_router_local", **router) == value(after, "vrrp_router_local", **router) == 1


def test_a_router_that_is_gone_keeps_its_series():
    """They are its history's; a series that comes and goes would cost more than one that stays."""
    metrics = measured(Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 600))
    router = {"family": "ipv4", "interface": "eth0", "vrid": "51", "router": A}
    assert value(metrics, "vrrp_active", **router) == 0
    assert value(metrics, "vrrp_priority", **router) == 0


def test_seconds_without_a_holder_are_added_when_the_flap_closes():
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 70)
    router = {"family": "ipv4", "interface": "eth0", "vrid": "51"}
    assert value(measured(trace), "vrrp_outage_seconds_total", **router) == pytest.approx(0.8)
    assert value(measured(trace), "vrrp_dual_active_seconds_total", **router) == 0


def test_a_storm_is_active_until_it_is_over():
    """Four moves to and fro, each after a fall of the priority, ten seconds apart."""
    trace, when = Trace(), 0.0
    for turn in range(4):
        here, there = (A, B) if turn % 2 == 0 else (B, A)
        trace.adverts(here, 65, when, 6).adverts(here, 45, when + 6, 3)
        when += 8.766
        trace.advert(there, 60, when)
        when += 1
    trace.adverts(A, 65, when, 5)
    metrics, engine, active = Metrics(), Engine(), []
    router = (("family", "ipv4"), ("interface", "eth0"), ("vrid", "51"))
    for item in trace.passed(when + 400).observations():
        events = engine.advance(item.time) if isinstance(item, TimePassed) else engine.observe(item)
        for event in events:
            metrics.happened(event)
            active.append(samples(metrics).get(("vrrp_storm_active", router)))
    assert next(value for value in active if value is not None) == 0
    assert 1 in active
    assert active[-1] == 0
    assert samples(metrics)["vrrp_storms_total", router] == 1


def test_connections_that_nothing_told_are_added_when_the_flap_closes():
    [flap] = flaps(stopped())
    told = replace(flap, connections=Connections(3, 0, 1, established=10, left=7))
    metrics = Metrics()
    metrics.happened(FlapJudged(flap.time, told, FlapStage.CLOSED, counts=True))
    assert value(metrics, "vrrp_flap_connections_left_total", family="ipv4", interface="ens3", vrid="51") == 7


def test_a_flap_is_found_by_its_id_from_its_counters():
    """Exemplars, which only OpenMetrics carries."""
    text = openmetrics.generate_latest(measured(stopped()).registry).decode()
    exemplars = [line for line in text.splitlines() if " # {" in line]
    assert {line.partition("{")[0] for line in exemplars} == {
        "vrrp_flaps_total",
        "vrrp_router_flaps_total",
        "vrrp_verdicts_total",
    }
    [flap] = flaps(stopped())
    assert all(f'# {{flap="{flap.id}"}} 1.0' in line for line in exemplars)
    assert text.endswith("# EOF\n")
    parsed = {family.name for family in text_string_to_metric_families(text)}
    assert {"vrrp_flaps", "vrrp_active"} <= parsed


def test_flaps_open_counts_while_a_verdict_waits():
    metrics, engine, seen = Metrics(), Engine(), []
    for item in Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(B, 60, 20.3, 70).observations():
        metrics.observed(item)
        for event in engine.observe(item):
            metrics.happened(event)
        found = samples(metrics).get(("vrrp_flaps_open", (("family", "ipv4"), ("interface", "eth0"), ("vrid", "51"))))
        seen.append(found)
    assert 1 in seen
    for event in engine.finish():
        metrics.happened(event)
    assert value(metrics, "vrrp_flaps_open", family="ipv4", interface="eth0", vrid="51") == 0


def test_a_flap_that_is_withdrawn_leaves_nothing_open():
    """Adverts lost for longer than the settling; the identification shows that the router went on."""
    trace = Trace().adverts(A, 65, 0, 20).sent_elsewhere(A, 8).adverts(A, 65, 28, 20)
    metrics = measured(trace)
    assert value(metrics, "vrrp_flaps_open", family="ipv4", interface="eth0", vrid="51") == 0
    assert not any(amount for (name, _), amount in samples(metrics).items() if name == "vrrp_flaps_total")


def test_what_they_say_of_a_flap():
    metrics = measured(eventful())
    router = {"family": "ipv4", "interface": "eth0", "vrid": "51"}
    flaps = {labels: amount for (name, labels), amount in samples(metrics).items() if name == "vrrp_flaps_total" and amount}
    assert [(dict(labels)["cause"], amount) for labels, amount in flaps.items()] == [("check_failed", 1)]
    assert value(metrics, "vrrp_active", **router, router=A) == 0
    assert value(metrics, "vrrp_active", **router, router=B) == 1
    assert value(metrics, "vrrp_priority", **router, router=A) == 45
    assert value(metrics, "vrrp_adverts_total", **router, router=B) == 70
    assert value(metrics, "vrrp_elections_total", **router) == 1
    said = {"cause": "check_failed", "warranted": dict(next(iter(flaps)))["warranted"]}
    assert value(metrics, "vrrp_last_flap_timestamp_seconds", **router, **said) == pytest.approx(EPOCH / SECOND + 22.766)
    assert value(metrics, "vrrp_router_flaps_total", **router, router=A, **said) == 1
    assert value(metrics, "vrrp_verdicts_total", **router, cause="check_failed", confidence="certain") == 1
    assert value(metrics, "vrrp_advert_interval_seconds", **router, router=A) == 1
    assert value(metrics, "vrrp_router_local", **router, router=A) == 1
    assert value(metrics, "vrrp_router_local", **router, router=B) == 0
    assert value(metrics, "vrrp_addresses", **router) == 1
    assert value(metrics, "vrrp_addresses_held", **router) == 0
    assert value(metrics, "vrrp_flap_connections_reset_total", **router) == 1
    assert value(metrics, "vrrp_flap_connections_refused_total", **router) == 1
    assert value(metrics, "vrrp_resets_total", **router, reason="orphaned") == 1
    assert value(metrics, "vrrp_resets_total", **router, reason="refused") == 1
    assert value(metrics, "vrrp_malformed_adverts_total", interface="eth0", reason="checksum") == 1
    assert value(metrics, "vrrp_observer_source_up", source="addresses") == 0
    assert value(metrics, "vrrp_observer_source_up", source="capture") == 1
    assert value(metrics, "vrrp_observer_frames_lost_total", source="capture") == 3


def test_a_flap_is_counted_once_however_often_it_is_told():
    metrics, counted = Metrics(), []

    class Sink:
        def observed(self, observation):
            pass

        def happened(self, event):
            if isinstance(event, FlapJudged):
                counted.append((event.flap.id, event.counts, event.stage))

    run(eventful().observations(), Engine(), [metrics, Sink()])
    assert len({flap for flap, _, _ in counted}) == sum(counts for _, counts, _ in counted) == 1
    assert sum(stage is FlapStage.CLOSED for _, _, stage in counted) == 1


def test_an_address_that_one_interface_loses_may_be_on_another():
    """Moved by hand from one interface of the node to another, the new one first."""
    trace = Trace().adverts(A, 65, 0, 5).address(0.5, present=True)
    change = replace(trace.items[-1], interface="eth1", time=EPOCH + SECOND)
    trace.items += [change, replace(trace.items[-1], present=False, time=EPOCH + 2 * SECOND)]
    metrics = measured(trace)
    assert value(metrics, "vrrp_addresses_held", family="ipv4", interface="eth0", vrid="51") == 1


def test_labels_are_of_the_contract_and_nothing_names_a_client():
    assert {label for metric in METRICS for label in metric.labels} <= LABELS
    metrics = measured(eventful())
    assert {name for _, labels in samples(metrics) for name, _ in labels} <= LABELS
    assert CLIENT not in exposition(metrics)


def test_names_follow_the_conventions():
    for metric in METRICS:
        assert metric.name.startswith("vrrp_")
        assert metric.name.endswith("_total") == (metric.kind is metrics_module.Counter)
        assert metric.help.endswith(".")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_when_a_series_was_created_is_not_told():
    """It doubles the series of all counters and tells nothing that is needed."""
    assert not [name for name, _ in samples(measured(eventful())) if name.endswith("_created")]
    assert "_created" not in exposition(measured(eventful()))


def test_series_are_bounded_under_hostile_adverts(monkeypatch):
    monkeypatch.setattr(metrics_module, "SERIES", 50)
    metrics, dice = Metrics(), random.Random(1)
    model = Trace().advert(A, 100, 0).items[0]
    for number in range(3000):
        router = f"10.{dice.randrange(256)}.{dice.randrange(256)}.1"
        advert = replace(
            model, router=router, vrid=dice.randint(1, 255), interface=f"eth{dice.randrange(9)}", time=EPOCH + number
        )
        metrics.observed(advert)
        metrics.observed(Malformed(time=EPOCH, node="m1", interface=f"v{number}", reason=f"r{number % 7}"))
    by_name = {}
    for name, _ in samples(metrics):
        by_name[name] = by_name.get(name, 0) + 1
    assert max(by_name.values()) <= 51
    everything = [amount for (name, _), amount in samples(metrics).items() if name == "vrrp_adverts_total"]
    assert sum(everything) == 3000


def test_what_a_hostile_segment_makes_the_engine_tell_is_bounded_too(monkeypatch):
    monkeypatch.setattr(metrics_module, "SERIES", 20)
    metrics, dice = Metrics(), random.Random(2)
    model = Trace().advert(A, 100, 0).items[0]
    adverts = [
        replace(
            model,
            time=EPOCH + number * SECOND,
            vrid=dice.randint(1, 40),
            router=f"10.0.{dice.randrange(9)}.1",
            priority=dice.choice((0, 100, 200)),
            ident=number,
        )
        for number in range(600)
    ]
    run(adverts, Engine(), [metrics])
    by_name = {}
    for name, _ in samples(metrics):
        by_name[name] = by_name.get(name, 0) + 1
    assert max(by_name.values()) <= 21


def test_resets_are_counted_whatever_else_is_in_the_batch():
    trace = Trace().adverts(A, 65, 0, 3)
    for number in range(10):
        trace.tcp(VIP, CLIENT, Tcp.RST | Tcp.ACK if number % 2 else Tcp.FIN | Tcp.ACK, 1 + number / 10, ports=(6443, 40000))
    router = {"family": "ipv4", "interface": "eth0", "vrid": "51"}
    assert value(measured(trace), "vrrp_resets_total", **router, reason="aborted") == 5
