"""Bursts, storms and what a flap cost: as metrics, as lines, in the report; and never a client's address."""

from __future__ import annotations

import io
import json

import pytest
from engine.test_bursts import COUNT, proxy_killed, redirect_removed
from engine.test_resets import bare, handshake, moved
from engine.test_storms import storm
from prometheus_client import generate_latest
from traces import A, B, C, Trace

from observer.engine.engine import Engine
from observer.run import run
from observer.sinks.events import Lines
from observer.sinks.metrics import Metrics
from observer.sinks.report import Report


def metrics(trace):
    sink = Metrics()
    engine = Engine()
    run(trace.observations(), engine, [sink])
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in generate_latest(sink.registry).decode().splitlines()
        if not line.startswith("#")
    }


def label(name, **more):
    labels = {**more, "family": "ipv4", "interface": "eth0", "vrid": "51"}
    return name + "{" + ",".join(f'{key}="{labels[key]}"' for key in sorted(labels)) + "}"


def report(trace):
    sink, engine = Report(), Engine()
    run(trace.observations(), engine, [sink])
    document, text = io.StringIO(), io.StringIO()
    sink.write_json(engine, document)
    sink.write_text(engine, text, colour=False)
    return json.loads(document.getvalue()), text.getvalue()


def lines(trace, *, terminal):
    stream = io.StringIO()
    run(trace.observations(), Engine(), [Lines(stream, terminal=terminal)])
    return stream.getvalue().splitlines()


def test_a_burst_is_counted_by_its_cause():
    found = metrics(proxy_killed())
    assert found[label("vrrp_reset_bursts_total", cause="proxy_down")] == 1
    assert found[label("vrrp_reset_bursts_total", cause="client_abort")] == 0
    assert found[label("vrrp_resets_total", reason="refused")] == COUNT
    assert found[label("vrrp_resets_total", reason="orphaned")] == 0


def test_a_storm_is_counted_once_and_over_at_its_end():
    found = metrics(storm(5))
    assert found[label("vrrp_storms_total")] == 1
    assert found[label("vrrp_storm_active")] == 0
    assert found[label("vrrp_flap_connections_reset_total")] == 250


def test_a_storm_is_active_while_it_lasts():
    sink, engine = Metrics(), Engine()
    shown = []
    for item in storm(4).observations():
        for event in engine.observe(item):
            sink.happened(event)
        text = generate_latest(sink.registry).decode()
        shown.append(label("vrrp_storm_active") + " 1.0" in text)
    assert not shown[0]
    assert any(shown)
    assert not shown[-1]


def test_seconds_of_misdirection_add_up():
    trace = Trace().adverts(A, 65, 0, 20).resign(A, 19.5).adverts(C, 60, 20.3, 70).advert(B, 60, 20.301)
    trace.arp(C, 20.302).arp(B, 20.303).arp(C, 25.3)
    assert metrics(trace)[label("vrrp_flap_misdirected_seconds_total")] == pytest.approx(4.997)
    assert "misdirected: 4.997 s: the last announcement sent clients to 192.0.2.12, not to 192.0.2.13" in report(trace)[1]


def test_a_burst_in_the_report():
    document, text = report(redirect_removed())
    (burst,) = document["reset_bursts"]
    assert (burst["cause"], burst["confidence"], burst["connections"]) == ("redirect_lost", "likely", {"redirect_lost": COUNT})
    assert (burst["virtual_router"]["vrid"], burst["addresses"], burst["clients"]) == (51, ["192.0.2.100"], 20)
    assert document["flaps"] == []
    assert "reset burst\n  cause:      redirect_lost: likely the holder of the address forgot its connections" in text
    assert "0 flaps, 0 not warranted, 60 adverts, 1 reset burst" in text


def test_a_storm_in_the_report():
    document, text = report(storm(4))
    (told,) = document["storms"]
    assert (told["flaps"], told["driven_by_reconnects"], told["connections"]) == (4, True, {"reset": 200, "refused": 0})
    assert [turn["flap"] for turn in told["turns"]] == [flap["id"] for flap in document["flaps"]]
    assert [turn["delay_seconds"] is None for turn in told["turns"]] == [False, False, False, True]
    assert f"loop:       {told['statement']}" in text
    assert text.count("  turn:") == 4


def test_lines_while_it_happens():
    kinds = [json.loads(line)["event"] for line in lines(storm(3), terminal=False)]
    assert kinds.count("storm") == 2
    assert [json.loads(line)["event"] for line in lines(proxy_killed(), terminal=False)].count("reset_burst") == 1
    assert any("storm: 3 flaps" in line and line.endswith("(over)") for line in lines(storm(3), terminal=True))
    assert any("connections reset without a flap: 40 refused" in line for line in lines(proxy_killed(), terminal=True))


def test_the_cost_of_a_flap_in_words():
    trace = moved()
    for number in range(20):
        bare(handshake(trace, B, 23 + number / 20, port=41000 + number), B, 24, port=40000 + number)
    document, text = report(trace)
    (flap,) = document["flaps"]
    assert (flap["connections"]["reset"], flap["connections"]["left"]) == (20, None)
    assert flap["reconnects"] == {"attempts": 20, "peak_per_second": 20, "settled_seconds": pytest.approx(1.134)}
    assert flap["window_seconds"] == pytest.approx(59.0, abs=2)
    assert "20 connections reset, 0 refused, 1 client, within 5" in text
    assert "reconnects: 20 attempts, at most 20 in a second, settled after 1.134 s" in text


@pytest.mark.parametrize("story", [proxy_killed, redirect_removed, lambda: storm(4)])
def test_no_client_is_named(story):
    document, text = report(story())
    everything = json.dumps(document) + text + "\n".join(lines(story(), terminal=False)) + str(metrics(story()))
    assert "198.51.100." not in everything
