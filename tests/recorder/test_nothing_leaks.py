"""Passwords, and clients' addresses where others read: looked for in all that leaves the program, in a lab and for any advert."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import MASTERS, OPENSHIFT_ORIGINAL, Lab, address
from lab.agents import PORT, Agent, evidence
from lab.scenarios import SCENARIOS
from lab.setting import CLIENT
from recorder.tape import captured, recorded
from traces import VIP, A, B, Trace
from wire import wire_building as build

from observer.cli import main
from observer.engine.engine import Engine
from observer.run import run
from observer.sinks.events import Lines
from observer.sinks.http import exposition
from observer.sinks.metrics import Metrics
from observer.sinks.page import Page
from observer.sources import recording
from observer.wire import journal
from observer.wire.frames import FrameDecoder
from observer.wire.links import LinkType

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("text", "json", "jsonl", "html", "openmetrics")
PAGES = ("/metrics", "/", "/healthz", "/readyz")
PASSWORD = "s3cr3tpw"  # noqa: S105


def replayed(paths):
    """Each format of a replay, and what it says on standard error."""
    told = {}
    for form in FORMATS:
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            assert main(["replay", "--format", form, *map(str, paths)]) == 0
        told[form], told[f"{form}, errors"] = out.getvalue().encode(), errors.getvalue().encode()
    return told


def unpacked(path):
    """A recording as it is, and what is compressed in it."""
    found = recording.head(str(path))
    columns = b""
    for item in recording.items(str(path)):
        if isinstance(item, dict) and journal.COLUMNS in item and item.get("OBSERVER_PART", "1/1") == "1/1":
            columns += b"".join(column.tobytes() for column in journal.unpack(item[journal.COLUMNS]).values())
    return {"file": path.read_bytes(), "memory": (found.memory or "").encode(), "columns": columns}


def holding(what, told):
    return [name for name, octets in told.items() if what.encode() in octets]


@pytest.mark.lab
def test_the_password_of_a_lab_is_nowhere_and_no_client_in_a_label(tmp_path):
    """Agents that see the adverts, and keepalived.conf with the password in it, and its log."""
    setting, told = OPENSHIFT_ORIGINAL.with_password(PASSWORD), {}
    with Lab(setting, tmp_path) as lab:
        lab.start()
        agents = {
            node: Agent(lab, node, "--recordings", str(tmp_path / "recordings" / node), *evidence(lab, node)).start()
            for node in MASTERS
        }
        lab.wait_active()
        for agent in agents.values():
            agent.wait_ready()
        lab.start_clients(20)
        time.sleep(3)
        SCENARIOS["check_failed_original_bug"].steps(lab)
        time.sleep(3)
        for node in MASTERS:
            for page in PAGES:
                accept = "application/openmetrics-text" if page == "/metrics" and node == "m0" else "*/*"
                command = ["curl", "-s", "-m", "5", "-H", f"Accept: {accept}", f"http://127.0.0.1:{PORT}{page}"]
                told[f"{node}{page}"] = lab.exec(node, command).stdout.encode()
        for node, agent in agents.items():
            assert agent.flaps("standing") or agent.flaps("provisional")
            assert agent.stop() == 0
            told[f"{node} lines"], told[f"{node} errors"] = agent.path.read_bytes(), agent.errors.read_bytes()
    assert all(told[f"{node}{page}"] for node in MASTERS for page in PAGES)
    files = list((tmp_path / "recordings").glob("*/*.pcapng"))
    assert len(files) == len(MASTERS)
    for path in files:
        told |= {f"{path.name} {part}": octets for part, octets in unpacked(path).items()}
    told |= replayed([tmp_path / "recordings"])
    told |= {f"captures, {form}": octets for form, octets in replayed(sorted(tmp_path.glob("m?.pcap"))).items()}
    assert PASSWORD.encode() in b"".join((tmp_path / f"{node}.keepalived.conf").read_bytes() for node in MASTERS)
    assert PASSWORD.encode() in (tmp_path / "m0.pcap").read_bytes()
    assert holding(PASSWORD, told) == []
    client = address(CLIENT)
    inside = {name for name in told if name.endswith((" file", " memory", " columns"))}
    assert holding(client, {name: told[name] for name in told.keys() - inside}) == []
    assert any("check_failed" in told[name].decode() for name in ("text", "html", "captures, text"))


secrets = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!%&/=?-", min_size=6, max_size=6).map(
    "Z#".__add__
)
hosts = st.tuples(*[st.integers(100, 254)] * 2).map(lambda two: "198.18.{}.{}".format(*two))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("leaks")


@settings(max_examples=12, deadline=None)
@given(secrets, hosts, st.sampled_from(["sound", "checksum", "addresses", "length"]))
def test_neither_is_what_any_advert_says(directory: Path, secret: str, client: str, damage: str):
    trace = Trace().source(-1).adverts(A, 100, 0, 6).adverts(B, 90, 9.65, 70)
    for number in range(40):
        trace.served(A, client, number * 0.1, client_port=30000 + number)
        trace.orphaned(B, client, 10 + number * 0.01, client_port=30000 + number)
    items, frames = captured(trace.observations())
    # The same adverts once more, with the password, from another group whose password differs.
    decoder, begin = FrameDecoder(), items[0].time
    for number in range(8):
        message = build.v2(vrid=52, addresses=(VIP,), auth_type=1, auth=secret.encode())
        if damage == "checksum":
            message = message[:6] + b"\x12\x34" + message[8:]
        elif damage == "addresses":
            message = build.v2(vrid=52, addresses=(VIP,), count=9, auth_type=1, auth=secret.encode())
        elif damage == "length":
            message += secret.encode()
        octets = build.ethernet(build.ipv4(message, source=A, ident=number + 1))
        when = begin + 10**9 * (1 + number) + 1
        found = decoder.decode(time=when, node="m1", interface="eth0", linktype=LinkType.ETHERNET, frame=octets, outgoing=False)
        frames.append((when, "eth0", int(LinkType.ETHERNET), octets, False, len(octets)))
        items.append(found)
    items.sort(key=lambda item: item.time)
    tape, _ = recorded(items, frames=frames, before=60, after=90)
    path = directory / "one.pcapng"
    path.write_bytes(tape.done[-1])
    metrics, lines, page = Metrics(), io.StringIO(), Page("m1", list)
    told = dict(unpacked(path))
    run(items, Engine(), [metrics, page, Lines(lines, terminal=False), Lines(lines, terminal=True)])
    told["metrics"] = exposition(metrics.registry)("application/openmetrics-text").body
    told["page"], told["lines"] = page.answer("").body, lines.getvalue().encode()
    told |= replayed([path])
    assert holding(secret, told) == []
    inside = {"file", "memory", "columns"}
    assert holding(client, {name: told[name] for name in told.keys() - inside}) == []
