"""Past incidents as OpenMetrics: what an agent would have shown, when, and in a form that a real Prometheus takes."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from recorder.tape import captured, recorded
from traces import EPOCH, A, B, Trace, at

from observer.cli import main
from observer.engine.engine import Engine
from observer.run import run
from observer.sinks.metrics import Metrics

FLAP = {"cause": "check_failed", "warranted": "unknown"}


def story():
    """A check fails and the address moves; a minute later the better router takes it back."""
    trace = Trace().source(-1).address(-0.5, present=False)
    trace.adverts(A, 100, 0, 30).adverts(A, 60, 30, 3).adverts(B, 90, 32.9, 60).adverts(A, 100, 92.5, 700)
    return captured(trace.observations())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    items, frames = story()
    tape, _ = recorded(items, before=3600, after=3600, frames=frames)
    path = tmp_path_factory.mktemp("backfill") / "vrrp-m1.pcapng"
    path.write_bytes(tape.done[0])
    return path


def exposition(capsys, *words):
    assert main(["replay", "--format", "openmetrics", *map(str, words)]) == 0
    return capsys.readouterr().out


def series(text, name, **labels):
    """(time, value) of the one series that has these labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                found.setdefault(tuple(sorted(sample.labels.items())), []).append((float(sample.timestamp), sample.value))
    [(_, samples)] = found.items()
    return samples


def test_it_is_openmetrics(capsys, path):
    text = exposition(capsys, path)
    assert text.endswith("# EOF\n")
    families = list(text_string_to_metric_families(text))
    assert {"vrrp_flaps", "vrrp_active", "vrrp_adverts", "vrrp_observer_source_up"} <= {family.name for family in families}
    assert "vrrp_observer_lag_seconds" not in text


def test_a_flap_counts_when_its_verdict_was_told(capsys, path):
    items, _ = story()
    told = []

    class Watch:
        def observed(self, observation):
            pass

        def happened(self, event):
            if getattr(event, "counts", False):
                told.append((event.time, event.flap.verdict))

    run(items, Engine(), [Watch()])
    first, verdict = told[0]
    samples = series(exposition(capsys, path), "vrrp_flaps_total", cause=verdict.cause.value, warranted=verdict.warranted.value)
    assert samples[0][1] == 0
    assert next(moment for moment, value in samples if value == 1) == pytest.approx(first / 1e9, abs=0.001)
    assert samples[0][0] < first / 1e9


def test_no_series_is_forgotten_between_two_samples(capsys, path):
    samples = series(exposition(capsys, path), "vrrp_priority", router=A)
    times = [moment for moment, _ in samples]
    assert times == sorted(set(times))
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 15
    assert times[-1] - times[0] > 700


def test_at_the_end_it_is_what_the_agent_shows(capsys, path):
    items, _ = story()
    metrics = Metrics()
    run(items, Engine(), [metrics])
    last = {}
    for family in text_string_to_metric_families(exposition(capsys, path)):
        for sample in family.samples:
            own = {name: value for name, value in sample.labels.items() if name not in ("job", "instance")}
            last[sample.name, tuple(sorted(own.items()))] = sample.value
    shown = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if not family.name.startswith("vrrp_observer_la")
    }
    # The end of the recording is the end of what was listening.
    shown["vrrp_observer_source_up", (("source", "capture"),)] = 0
    assert last == shown


def test_labels_are_those_of_a_scrape_or_what_one_asks_for(capsys, path):
    assert 'instance="m1",interface="eth0",job="vrrp-observer"' in exposition(capsys, path)
    text = exposition(capsys, "--label", "instance=10.0.0.1:9965", "--label", 'note=a "b"', path)
    assert 'instance="10.0.0.1:9965",interface="eth0",job="vrrp-observer",note="a \\"b\\""' in text
    assert main(["replay", "--format", "openmetrics", "--label", "no-name=1", str(path)]) == 2


def test_of_no_frames_there_is_no_sample(capsys, path, tmp_path):
    """None at the beginning of 1970 either, which is where time begins that nothing has told."""
    quiet = tmp_path / "quiet.pcap"
    quiet.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    assert exposition(capsys, quiet) == "# EOF\n"
    beside = exposition(capsys, f"--node=m0={quiet}", f"--node=m1={path}")
    assert 'instance="m1"' in beside
    assert 'instance="m0"' not in beside


def test_a_label_that_is_not_utf_8_is_one_that_can_be_read(capsys, path, tmp_path):
    text = exposition(capsys, path, "--label", "site=m\udcfc")
    assert r'site="m\\udcfc"' in text
    assert series(text, "vrrp_active", router=B, site=r"m\udcfc")
    assert main(["replay", "--format", "openmetrics", str(path), "--label", "site=m\udcfc", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["__name__", "__a", "vrid", "cause", "source"])
def test_a_label_that_would_hide_or_be_hidden_is_refused(capsys, path, name):
    assert main(["replay", "--format", "openmetrics", "--label", f"{name}=x", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"--label '{name}=x': {name} is a label" in err


def test_nodes_are_shown_each_by_itself(capsys, path):
    text = exposition(capsys, "--node", f"m1={path}", "--node", f"m2={path}")
    one = series(text, "vrrp_adverts_total", router=A, instance="m1")
    assert one == series(text, "vrrp_adverts_total", router=A, instance="m2")


def test_a_recording_that_begins_in_the_middle_shows_what_was_known(capsys, tmp_path):
    trace = Trace().source(-1).address(-0.5, present=True)
    trace.adverts(A, 100, 0, 600).adverts(B, 90, 603.65, 80)
    items, frames = captured(trace.observations())
    tape, _ = recorded(items, before=20, frames=frames)
    path = tmp_path / "vrrp-m1.pcapng"
    path.write_bytes(tape.done[0])
    text = exposition(capsys, path)
    active = series(text, "vrrp_active", router=A)
    assert active[0][1] == 1
    assert active[0][0] > at(500) / 1e9
    assert active[-1][1] == 0
    assert series(text, "vrrp_addresses_held")[0][1] == 1
    assert series(text, "vrrp_observer_source_up", source="capture")[0][1] == 1


@contextmanager
def prometheus(data, tmp_path):
    """A real one over these blocks; yields a function that asks it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    process = subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}",
         "--storage.tsdb.retention.time=50y", "--log.level=error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                    break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.2)

        def ask(query, moment):
            words = urllib.parse.urlencode({"query": query, "time": moment})
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{words}", timeout=10) as answer:
                return json.load(answer)["data"]["result"]

        yield ask
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.lab
def test_a_real_prometheus_shows_the_incident(capsys, path, tmp_path):
    text, data = tmp_path / "incident.om", tmp_path / "data"
    text.write_text(exposition(capsys, path))
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    start = EPOCH / 1e9
    with prometheus(data, tmp_path) as ask:
        [found] = ask("sum by (cause) (increase(vrrp_flaps_total[2m])) > 0.5", start + 75)
        assert (found["metric"], round(float(found["value"][1]))) == ({"cause": "check_failed"}, 1)
        [active] = ask("vrrp_active == 1", start + 20)
        assert (active["metric"]["router"], active["metric"]["instance"]) == (A, "m1")
        [active] = ask("vrrp_active == 1", start + 60)
        assert active["metric"]["router"] == B
