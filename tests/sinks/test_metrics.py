"""Metrics: each of the table is moved by something, with few labels, in an exposition that was read and agreed to.

The files ``golden_*.prom`` beside this one are written by machine: ``REWRITE_GOLDEN=1 pytest tests/sinks`` writes them anew;
read the difference before you commit it.
"""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import subprocess
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from traces import EPOCH, VIP, A, B, Trace

import observer
import observer.sinks.metrics as metrics_module
from observer.engine.engine import Engine
from observer.model.flaps import FlapJudged, FlapStage
from observer.model.observations import Malformed, SourceState, Tcp
from observer.model.time import SECOND
from observer.run import run
from observer.sinks.metrics import METRICS, Metrics

HERE = pathlib.Path(__file__).parent
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


TRACES = {"check_failed": eventful, "stopped": stopped}


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


def test_every_metric_is_moved_by_something():
    metrics = Metrics()
    untouched = samples(metrics)
    run(eventful().observations(), Engine(), [metrics])
    metrics.handled(0.25, 2)
    moved = {name for (name, labels), amount in samples(metrics).items() if untouched.get((name, labels)) != amount}
    assert {metric.name for metric in METRICS} - moved == {"vrrp_observer_build_info"}
    assert value(metrics, "vrrp_observer_build_info", version=observer.__version__) == 1


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
    assert value(metrics, "vrrp_last_flap_timestamp_seconds", **router) == pytest.approx(EPOCH / SECOND + 22.766)
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


@pytest.mark.parametrize("name", TRACES)
def test_the_exposition_is_the_one_agreed_to(name):
    text = exposition(measured(TRACES[name]())).replace(f'version="{observer.__version__}"', 'version="X"')
    text = "".join(line for line in text.splitlines(keepends=True) if "_created" not in line)
    path = HERE / f"golden_{name}.prom"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "if the change is meant: REWRITE_GOLDEN=1 pytest tests/sinks"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt-get install prometheus)")
@pytest.mark.parametrize("name", TRACES)
def test_promtool_finds_nothing_to_say(name):
    metrics = measured(TRACES[name]())
    metrics.handled(0.1, 1)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition(metrics), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_resets_are_counted_whatever_else_is_in_the_batch():
    trace = Trace().adverts(A, 65, 0, 3)
    for number in range(10):
        trace.tcp(VIP, CLIENT, Tcp.RST | Tcp.ACK if number % 2 else Tcp.FIN | Tcp.ACK, 1 + number / 10, ports=(6443, 40000))
    router = {"family": "ipv4", "interface": "eth0", "vrid": "51"}
    assert value(measured(trace), "vrrp_resets_total", **router, reason="aborted") == 5
