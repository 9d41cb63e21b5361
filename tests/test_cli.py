"""The command line: bad input in one line, the contract of the JSON, pipes."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import types
from functools import partial
from pathlib import Path

import pytest
from cases import snapped
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRP
from scapy.utils import wrpcap

from observer.cli import UNUSABLE, main
from observer.model.verdicts import Cause
from observer.rules import DESCRIPTIONS

START = 1_795_000_000
A, B, VIP = "192.0.2.11", "192.0.2.12", "192.0.2.100"


def advert(router, priority, when, ident):
    link = Ether(src=f"52:54:00:00:00:{router[-2:]}", dst="01:00:5e:00:00:12")
    message = VRRP(version=2, vrid=51, priority=priority, addrlist=[VIP], auth1=0, auth2=0)
    frame = link / IP(src=router, dst="224.0.0.18", ttl=255, id=ident, proto=112) / message
    frame.time = START + when
    return frame


def handshake(client, when):
    link = Ether(src="52:54:00:00:00:07", dst="52:54:00:00:00:11")
    there = link / IP(src=client, dst=VIP) / TCP(sport=40000, dport=6443, flags="S", seq=1)
    back = link / IP(src=VIP, dst=client) / TCP(sport=6443, dport=40000, flags="SA", seq=9, ack=2)
    there.time, back.time = START + when, START + when + 0.001
    return [there, back]


def story():
    """A check fails: 65, then 45, then the other router at 60."""
    frames = [advert(A, 65, number, 100 + number) for number in range(20)]
    frames += [advert(A, 45, 20 + number, 120 + number) for number in range(3)]
    frames += [advert(B, 60, 22.766 + number, 7 + number) for number in range(20)]
    return sorted([*frames, *handshake("198.51.100.7", 3.5)], key=lambda frame: frame.time)


@pytest.fixture(scope="module")
def octets(tmp_path_factory):
    path = tmp_path_factory.mktemp("capture") / "story.pcap"
    wrpcap(str(path), story())
    return path.read_bytes()


@pytest.fixture
def capture(tmp_path, octets):
    path = tmp_path / "story.pcap"
    path.write_bytes(octets)
    return path


def call(capsys, *arguments):
    """(exit status, standard output, lines of standard error)."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err.splitlines()


def pcap(linktype, *frames):
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype)
    return head + b"".join(struct.pack("<IIII", START, 0, len(frame), len(frame)) + frame for frame in frames)


# Bad input


UNUSABLE_FILES = {
    "empty": (b"", "empty file"),
    "text": (b"no time to lose, this is a text\n", "not a capture but text"),
    "truncated header": (pcap(1)[:17], ""),
    "unsupported link type": (pcap(127, bytes(60)), "link type 127 is not supported"),
    "a program": (b"\x7fELF" + bytes(60), "a program"),
}


@pytest.mark.parametrize("kind", UNUSABLE_FILES)
@pytest.mark.parametrize("option", ["{}", "--node=m1={}"])
def test_a_file_that_cannot_be_used(capsys, tmp_path, kind, option):
    content, message = UNUSABLE_FILES[kind]
    path = tmp_path / "given.pcap"
    path.write_bytes(content)
    status, out, err = call(capsys, "replay", option.format(path))
    assert (status, out) == (UNUSABLE, "")
    assert len(err) == 1
    assert err[0].startswith(f"vrrp-observer: {path}: ")
    assert message in err[0]


def test_a_file_that_is_not_there(capsys, tmp_path):
    status, out, err = call(capsys, "replay", tmp_path / "missing.pcap")
    assert (status, out) == (UNUSABLE, "")
    assert err == [f"vrrp-observer: {tmp_path}/missing.pcap: no such file; check the path"]


def test_a_directory(capsys, tmp_path):
    status, _, err = call(capsys, "replay", tmp_path)
    assert status == UNUSABLE
    assert err == [f"vrrp-observer: {tmp_path}: no captures in this directory; give one with files named *.pcapng*"]


def test_a_file_without_a_name_is_not_this_directory(capsys, capture, monkeypatch, tmp_path):
    (tmp_path / "story.pcapng").write_bytes(capture.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "replay", ".")[0] == 0
    status, out, err = call(capsys, "replay", "")
    assert (status, out) == (UNUSABLE, "")
    assert err == ["vrrp-observer: replay '': give a capture file, or - for standard input"]


@pytest.mark.parametrize("flag", ["--addresses", "--log", "--keepalived-conf"])
@pytest.mark.parametrize("option", ["", "capture="])
def test_what_belongs_to_a_node_needs_a_name_too(capsys, capture, flag, option):
    status, out, err = call(capsys, "replay", capture, flag, option)
    assert (status, out, err) == (UNUSABLE, "", [f"vrrp-observer: {flag} {option!r}: give [NODE=]FILE"])


def test_an_output_without_a_name(capsys, capture):
    status, out, err = call(capsys, "replay", capture, "-o", "")
    assert (status, out, err) == (UNUSABLE, "", ["vrrp-observer: -o '': give a file, or - for standard output"])


@pytest.mark.parametrize(
    "octets",
    [b"\x1f\x8b", b"\x1f\x8b\x08", gzip.compress(b"", mtime=0)[:15]],
    ids=["before the method", "with the method", "within the data"],
)
def test_a_compressed_file_of_a_few_bytes(capsys, tmp_path, octets):
    path = tmp_path / "begun.pcap.gz"
    path.write_bytes(octets)
    status, _, err = call(capsys, "replay", path)
    assert (status, err) == (
        UNUSABLE,
        [f"vrrp-observer: {path}: the gzip data ends early; there is nothing to read, copy it again"],
    )


@pytest.mark.parametrize("octets", [b"\x1f\x8b\x07", b"\x1f\x8b\x07" + bytes(60)])
def test_gzip_of_a_method_that_there_is_not(capsys, tmp_path, octets):
    path = tmp_path / "other.pcap.gz"
    path.write_bytes(octets)
    status, _, err = call(capsys, "replay", path)
    assert (status, len(err)) == (UNUSABLE, 1)
    assert "not a capture but gzip data" in err[0]


def test_a_bad_file_beside_a_good_one(capsys, capture, tmp_path):
    status, out, err = call(capsys, "replay", capture, tmp_path / "missing.pcap")
    assert (status, out, len(err)) == (UNUSABLE, "", 1)


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """Somebody to whom permission can be denied, in an empty directory."""
    # While the code itself can still be read.
    importlib.import_module("observer.replay")
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    if user:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def closed(tmp_path, octets):
    """Directories: ``shut`` can be looked through by nobody, ``blind`` lists no names, ``half`` has a part that does not."""
    for name, mode in (("shut", 0o600), ("blind", 0o711), ("half/blind", 0o711)):
        directory = tmp_path / name
        directory.mkdir(parents=True)
        (directory / "x.pcapng").write_bytes(octets)
        directory.chmod(mode)
    (tmp_path / "half" / "y.pcapng").write_bytes(octets)
    yield
    for name in ("shut", "blind", "half/blind"):
        (tmp_path / name).chmod(0o755)


DENIED = {"shut/x.pcapng": "shut/x.pcapng", "shut": "shut", "blind": "blind", "half": "half/blind"}


@pytest.mark.usefixtures("closed", "nobody")
@pytest.mark.parametrize("path", DENIED)
def test_what_may_not_be_read(capsys, path):
    status, out, err = call(capsys, "replay", path)
    assert (status, out) == (UNUSABLE, "")
    assert err == [f"vrrp-observer: {DENIED[path]}: permission denied; make it readable or run as its owner"]


@pytest.mark.usefixtures("closed", "nobody")
def test_a_file_in_a_directory_that_lists_no_names(capsys):
    status, out, _ = call(capsys, "replay", "blind/x.pcapng")
    assert status == 0
    assert "1 flap," in out


LONG = "a" * 300


@pytest.mark.parametrize("arguments", [[LONG], [f"--node=m1={LONG}"], ["{}", f"--log={LONG}"], ["{}", f"--addresses={LONG}"]])
def test_a_name_that_no_file_can_have(capsys, capture, arguments):
    status, out, err = call(capsys, "replay", *(argument.format(capture) for argument in arguments))
    assert (status, out) == (UNUSABLE, "")
    assert err == [f"vrrp-observer: {LONG}: cannot be opened (File name too long)"]


@pytest.mark.parametrize(("name", "problem"), [(LONG, "File name too long"), ("missing/x", "No such file or directory")])
def test_an_output_that_cannot_be(capsys, capture, name, problem):
    status, out, err = call(capsys, "replay", capture, "-o", name)
    assert (status, out) == (UNUSABLE, "")
    assert err == [f"vrrp-observer: -o {name}: {problem}; write elsewhere"]


@pytest.mark.parametrize("option", ["m1", "=a.pcap", "m1=", "="])
def test_a_node_without_its_capture(capsys, option):
    status, _, err = call(capsys, "replay", "--node", option)
    assert status == UNUSABLE
    assert err == [f"vrrp-observer: --node {option!r}: give NAME=FILE"]


def test_replay_of_nothing(capsys):
    status, _, err = call(capsys, "replay")
    assert (status, len(err)) == (UNUSABLE, 1)
    assert "give a capture file" in err[0]


@pytest.mark.parametrize("arguments", [[], ["reply"], ["replay", "--fromat", "json", "a"], ["replay", "--format", "xml", "a"]])
def test_a_mistake_on_the_command_line(capsys, arguments):
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (UNUSABLE, "")
    assert re.match("vrrp-observer.*: error: ", err[-1])
    assert "Traceback" not in "".join(err)


def test_a_mistake_on_the_command_line_is_one_line(capsys):
    _, _, err = call(capsys)
    assert len(err) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [('lissten = ":1"\n', "observer.toml:1: 'lissten' is not a setting; did you mean 'listen'?"), ("listen :1\n", "line 1")],
)
def test_a_bad_configuration(capsys, tmp_path, text, message):
    path = tmp_path / "observer.toml"
    path.write_text(text)
    status, _, err = call(capsys, "run", "--config", path)
    assert (status, len(err)) == (UNUSABLE, 1)
    assert message in err[0]


def test_a_configuration_that_is_not_there(capsys, tmp_path):
    status, _, err = call(capsys, "run", "--config", tmp_path / "missing.toml")
    assert (status, len(err)) == (UNUSABLE, 1)


def test_a_bad_environment(capsys, monkeypatch):
    monkeypatch.setenv("VRRP_OBSERVER_LISTNE", ":1")
    status, _, err = call(capsys, "run")
    assert status == UNUSABLE
    assert err == ["vrrp-observer: environment: VRRP_OBSERVER_LISTNE is not a setting; did you mean 'VRRP_OBSERVER_LISTEN'?"]


@pytest.mark.parametrize(
    "flags", [["--listen", "9965"], ["--hold-back", "99"], ["--interface", "a b"], ["--evidence", "", "--evidence", "x"]]
)
def test_bad_flags(capsys, flags):
    status, _, err = call(capsys, "run", *flags)
    assert (status, len(err)) == (UNUSABLE, 1)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e30"])
def test_a_duration_that_no_timer_takes(capsys, monkeypatch, seconds):
    def begun(*_arguments, **_settings):
        raise AssertionError("the agent was made before its flags were looked at")

    monkeypatch.setattr("observer.agent.Agent", begun)
    status, _, err = call(capsys, "run", f"--duration={seconds}")
    assert (status, len(err)) == (UNUSABLE, 1)
    assert err[0].endswith("give seconds above 0, up to 1000000000")


# keepalived.conf: told what keepalived would log, refused where it is something else


CONF = """\
vrrp_script chk_proxy {
    script "/bin/true"
    weight -20
}
vrrp_instance API {
    interface eth0
    virtual_router_id 51
    priority 65
    virtual_ipaddress { 192.0.2.100 }
    track_script { chk_proxy }
}
"""
NO_CONFIGURATION = {
    "empty": b"",
    "keepalived's log": b"Nov 18 11:06:40 m0 Keepalived_vrrp[7]: (API) Entering BACKUP STATE\n",
    "a program": b"\x7fELF\x02\x01\x01" + bytes(range(35, 256)) * 4,
    "a configuration of virtual servers alone": b"virtual_server 10.0.0.1 80 {\n delay_loop 6\n}\n",
}


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "keepalived.conf"
    path.write_text(CONF)
    return path


def test_a_configuration_without_problems_is_not_told_of(capsys, capture, conf):
    status, out, err = call(capsys, "replay", capture, "--keepalived-conf", conf)
    assert (status, err) == (0, [])
    assert "1 flap," in out


@pytest.mark.parametrize("kind", NO_CONFIGURATION)
@pytest.mark.parametrize("option", ["{}", "capture={}"])
def test_a_configuration_that_is_none(capsys, capture, conf, kind, option):
    conf.write_bytes(NO_CONFIGURATION[kind])
    status, out, err = call(capsys, "replay", capture, "--keepalived-conf", option.format(conf))
    assert (status, out) == (UNUSABLE, "")
    assert err == [f"vrrp-observer: no vrrp_instance in {conf}; give the keepalived.conf of the node"]


def test_lines_for_one_host_are_those_of_the_node_and_not_of_whoever_replays(capsys, capture, conf):
    conf.write_text(CONF.replace("    virtual_router_id 51\n", "    @m1 virtual_router_id 51\n    @m2 virtual_router_id 52\n"))
    status, _, err = call(capsys, "replay", "--node", f"m1.example.org={capture}", "--keepalived-conf", conf)
    assert (status, err) == (0, [])
    status, _, err = call(capsys, "replay", "--node", f"m3={capture}", "--keepalived-conf", conf)
    assert (status, len(err)) == (2, 1)


def test_a_configuration_whose_only_instance_does_not_count(capsys, capture, conf):
    conf.write_text(CONF.replace("virtual_router_id 51", "virtual_router_id 512"))
    status, out, err = call(capsys, "replay", capture, "--keepalived-conf", conf)
    assert (status, out, len(err)) == (UNUSABLE, "", 1)
    assert err[0].startswith(f"vrrp-observer: no valid vrrp_instance in {conf}: {conf}:7: virtual_router_id is missing, ")
    assert err[0].endswith("; and 1 more")


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("priority 65", "priority 6500", ":8: priority is missing, not a number or out of range; not taken"),
        ("{ chk_proxy }", "{ chk_prxy }", ":10: script chk_prxy is not defined before it is tracked; it is not tracked"),
        ("vrrp_script", "include none/*.conf\nvrrp_script", ":1: include matches no file; nothing was included"),
    ],
)
def test_a_problem_of_a_configuration_is_told_with_its_place(capsys, capture, conf, right, wrong, told):
    conf.write_text(CONF.replace(right, wrong, 1))
    status, out, err = call(capsys, "replay", capture, "--keepalived-conf", conf)
    assert (status, err) == (0, [f"vrrp-observer: {conf}{told}"])
    assert "1 flap," in out


@pytest.mark.parametrize(
    ("problems", "lines", "last"), [(10, 10, "{}:10: include"), (11, 11, "{}: and 1 more"), (500, 11, "{}: and 490 more")]
)
def test_many_problems_of_a_configuration_are_counted(capsys, capture, conf, problems, lines, last):
    conf.write_text("include none\n" * problems + CONF)
    status, _, err = call(capsys, "replay", capture, "--keepalived-conf", conf)
    assert (status, len(err)) == (0, lines)
    assert err[-1].startswith("vrrp-observer: " + last.format(conf))


def test_check_config_tells_of_the_configuration_of_keepalived_what_the_agent_would(capsys, conf, tmp_path):
    settings = tmp_path / "observer.toml"
    settings.write_text(f"keepalived_conf = {json.dumps(str(conf))}\n")
    status, out, err = call(capsys, "check-config", settings)
    assert (status, err) == (0, [])
    conf.write_text(CONF.replace("65", "6500"))
    assert call(capsys, "check-config", settings) == (
        0,
        out,
        [f"vrrp-observer: {conf}:8: priority is missing, not a number or out of range; not taken"],
    )
    conf.write_text("")
    status, _, err = call(capsys, "check-config", settings)
    assert (status, err) == (0, [f"vrrp-observer: no vrrp_instance in {conf}; give the keepalived.conf of the node"])
    settings.write_text(settings.read_text() + 'evidence = ["log"]\n')
    status, _, err = call(capsys, "check-config", settings)
    assert (status, err) == (0, [])


# Captures that can be used, with remarks


def test_a_capture_without_vrrp(capsys, tmp_path):
    path = tmp_path / "web.pcap"
    wrpcap(str(path), handshake("198.51.100.7", 0))
    status, out, err = call(capsys, "replay", path)
    assert status == 0
    assert "0 flaps" in out
    assert len(err) == 1
    assert f"no VRRP in {path}: 2 frames from 2026-11-18T11:06:40" in err[0]


def test_adverts_captured_too_short(capsys, tmp_path, octets):
    path = tmp_path / "short.pcap"
    path.write_bytes(snapped(octets, 40))
    status, out, err = call(capsys, "replay", path)
    assert status == 0
    assert "0 flaps" in out
    assert re.search(r"short\.pcap: \d+ adverts were captured too short to be read, .* capture whole frames", err[0])


def test_a_capture_of_no_frames(capsys, tmp_path):
    path = tmp_path / "quiet.pcap"
    path.write_bytes(pcap(1))
    status, _, err = call(capsys, "replay", path)
    assert (status, err) == (0, [f"vrrp-observer: no VRRP in {path}: no frames"])


def test_a_capture_cut_short(capsys, tmp_path, octets):
    path = tmp_path / "cut.pcap"
    path.write_bytes(octets[:-7])
    status, out, err = call(capsys, "replay", "--format", "json", path)
    assert status == 0
    assert [flap["cause"] for flap in json.loads(out)["flaps"]] == ["check_failed"]
    assert len(err) == 1
    assert re.search(r"cut\.pcap: stops at byte \d+: .*; what came before was used", err[0])


def test_compressed(capsys, tmp_path, octets):
    path = tmp_path / "story.pcap.gz"
    path.write_bytes(gzip.compress(octets))
    status, out, err = call(capsys, "replay", path)
    assert (status, err) == (0, [])
    assert "1 flap," in out


@pytest.mark.parametrize("option", ["{}", "--node=m1={}"])
def test_text_tells_the_story(capsys, capture, option):
    status, out, err = call(capsys, "replay", option.format(capture))
    assert (status, err) == (0, [])
    for part in (f"moved from {A} to {B}", "check_failed", "warranted:", "evidence:", "VRID 51 (ipv4)", "1 flap,"):
        assert part in out
    assert "\x1b" not in out


def test_standard_input(capsys, octets, monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(octets)))
    status, out, _ = call(capsys, "replay", "--format", "json", "-")
    assert status == 0
    assert len(json.loads(out)["flaps"]) == 1


def test_several_nodes_are_one_story(capsys, capture, tmp_path, octets):
    other = tmp_path / "other.pcap"
    other.write_bytes(octets)
    status, out, _ = call(capsys, "replay", "--format=json", f"--node=m1={capture}", f"--node=m2={other}")
    document = json.loads(out)
    assert status == 0
    assert [flap["cause"] for flap in document["flaps"]] == ["check_failed"]
    assert {span["node"] for span in document["coverage"]} == {"m1", "m2"}


# The contract of the JSON


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
FLAP = {
    "id",
    "time",
    "virtual_router",
    "addresses",
    "from",
    "to",
    "cause",
    "confidence",
    "warranted",
    "check",
    "outage_seconds",
    "dual_active_seconds",
    "misdirected_seconds",
    "misdirected",
    "served_again_seconds",
    "connections",
    "reconnects",
    "window_seconds",
    "evidence",
    "ruled_out",
    "blind_spots",
}
DOCUMENT = {"schema", "flaps", "reset_bursts", "storms", "routers", "malformed", "coverage"}


def check_flap(flap):
    """The contract of design.md, field by field."""
    assert set(flap) >= FLAP
    assert set(flap["virtual_router"]) == {"vrid", "family", "interface"}
    assert isinstance(flap["virtual_router"]["vrid"], int)
    assert flap["virtual_router"]["family"] in ("ipv4", "ipv6")
    assert isinstance(flap["virtual_router"]["interface"], str | None)
    assert isinstance(flap["id"], str)
    assert TIME.fullmatch(flap["time"])
    assert all(isinstance(address, str) for address in flap["addresses"])
    for name in ("from", "to", "check"):
        assert isinstance(flap[name], str | None)
    assert flap["cause"] in {cause.value for cause in Cause}
    assert flap["confidence"] in ("certain", "likely", "possible")
    assert flap["warranted"] in ("yes", "no", "unknown")
    for name in ("outage_seconds", "dual_active_seconds"):
        assert set(flap[name]) == {"min", "max"}
        assert isinstance(flap[name]["min"], float | int)
        assert isinstance(flap[name]["max"], float | int | None)
    assert isinstance(flap["misdirected_seconds"], float | int | None)
    for spell in flap["misdirected"]:
        assert set(spell) == {"time", "seconds", "from", "to"}
    if flap["served_again_seconds"] is not None:
        assert set(flap["served_again_seconds"]) == {"min", "max"}
    if flap["reconnects"] is not None:
        assert set(flap["reconnects"]) == {"attempts", "peak_per_second", "settled_seconds"}
    assert flap["window_seconds"] >= 0
    assert set(flap["connections"]) >= {"reset", "refused", "clients"}
    assert all(isinstance(number, int | None) for number in flap["connections"].values())
    for entry in flap["evidence"]:
        assert set(entry) == {"time", "statement", "node"}
        assert TIME.fullmatch(entry["time"])
        assert isinstance(entry["node"], str | None)
    for entry in flap["ruled_out"]:
        assert set(entry) == {"cause", "reason"}
        assert entry["cause"] in {cause.value for cause in Cause}
    assert all(isinstance(entry, str) for entry in flap["blind_spots"])


def test_the_contract_of_the_json(capsys, capture):
    _, out, _ = call(capsys, "replay", "--format", "json", capture)
    document = json.loads(out)
    assert set(document) >= DOCUMENT
    assert document["schema"] == 1
    (flap,) = document["flaps"]
    check_flap(flap)
    assert (flap["from"], flap["to"], flap["addresses"]) == (A, B, [VIP])
    assert flap["time"] == "2026-11-18T11:07:02.766000000Z"
    assert isinstance(document["malformed"], dict)
    assert all({"node", "source", "begin", "end"} <= set(span) for span in document["coverage"])
    for span in document["coverage"]:
        assert TIME.fullmatch(span["begin"])


def test_nothing_is_in_the_json_that_the_contract_does_not_name(capsys, capture):
    _, out, _ = call(capsys, "replay", "--format", "json", capture)
    document = json.loads(out)
    assert set(document) - {"elections"} == DOCUMENT
    assert set(document["flaps"][0]) == FLAP


def test_without_flaps_the_json_has_all_its_keys(capsys, tmp_path):
    path = tmp_path / "quiet.pcap"
    path.write_bytes(pcap(1))
    _, out, _ = call(capsys, "replay", "--format", "json", path)
    document = json.loads(out)
    assert set(document) >= DOCUMENT
    assert document["flaps"] == document["routers"] == document["coverage"] == []


def test_what_is_malformed_is_counted_by_reason(capsys, tmp_path):
    frame = bytes(advert(A, 65, 0, 1))
    path = tmp_path / "bad.pcap"
    path.write_bytes(pcap(1, frame[:22] + b"\1" + frame[23:]))
    _, out, err = call(capsys, "replay", "--format", "json", path)
    document = json.loads(out)
    assert sum(document["malformed"].values()) == 1
    assert err == []


# causes


def test_causes(capsys):
    status, out, err = call(capsys, "causes")
    assert (status, err) == (0, [])
    assert all(f"{cause.value}\n{'-' * len(cause.value)}\n" in out for cause in Cause)
    assert "election\n--------\n" in out


@pytest.mark.parametrize("cause", sorted(DESCRIPTIONS))
def test_one_cause(capsys, cause):
    status, out, err = call(capsys, "causes", cause)
    assert (status, err) == (0, [])
    assert out.startswith(f"{cause}\n")
    for part in ("What to do:", "Not to be confused with:"):
        assert part in out


def test_an_unknown_cause(capsys):
    status, out, err = call(capsys, "causes", "gremlins")
    assert (status, out, len(err)) == (UNUSABLE, "", 1)
    assert "'gremlins' is not a cause; causes are " in err[0]
    assert "check_failed" in err[0]


# Pipes, as a shell makes them


def process(*arguments, **more):
    command = [sys.executable, "-c", "import sys; from observer.cli import main; sys.exit(main())", *map(str, arguments)]
    return subprocess.Popen(command, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more)


@pytest.mark.parametrize("arguments", [("causes",), ("replay", "--format", "json", "{}"), ("replay", "{}")])
@pytest.mark.parametrize(
    "buffering",
    ["", "1"],
)
def test_a_reader_that_has_seen_enough(capture, arguments, buffering):
    """As with ``| head -1``, of which nothing is left when the first line is written."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [argument.format(capture) for argument in arguments]
    run = subprocess.Popen(
        [sys.executable, "-c", "import sys; from observer.cli import main; sys.exit(main())", *command],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": buffering},
    )
    os.close(writer)
    _, err = run.communicate(timeout=30)
    assert err == b""
    assert run.returncode == 0


CLOSED = {
    "input": (("replay", "-"), "<&-", "standard input is closed; give a file, or something to read there"),
    "input for a log": (
        ("replay", "{}", "--log", "-"),
        "<&-",
        "standard input is closed; give a file, or something to read there",
    ),
    "output": (("replay", "{}"), ">&-", "standard output is closed; write to a file, or to /dev/null if nobody shall read it"),
    "output of another command": (("causes",), ">&-", "standard output is closed; write to a file, or to /dev/null if"),
    "output of the agent": (("run",), ">&-", "standard output is closed; write to a file, or to /dev/null if"),
}


def shell(closing, *arguments):
    """A command with a stream that the shell closes; its status and lines of standard error, if that is open."""
    line = f'exec "$@" {closing}'
    command = [sys.executable, "-c", "import sys; from observer.cli import main; sys.exit(main())", *map(str, arguments)]
    run = subprocess.run(["sh", "-c", line, "sh", *command], capture_output=True, text=True, check=False, timeout=30)
    return run.returncode, run.stdout, run.stderr.splitlines()


@pytest.mark.parametrize("kind", CLOSED)
def test_a_stream_that_is_closed(capture, kind):
    arguments, closing, message = CLOSED[kind]
    status, _, err = shell(closing, *(argument.format(capture) for argument in arguments))
    assert (status, len(err)) == (UNUSABLE, 1)
    assert err[0].startswith(f"vrrp-observer: {message}")


def test_a_stream_that_is_closed_and_not_needed(capture, tmp_path):
    path = tmp_path / "report.txt"
    status, told, err = shell("", "replay", capture)
    assert (status, err) == (0, [])
    assert shell("<&- >&-", "replay", capture, "-o", path) == (0, "", [])
    assert path.read_text() == told
    # What is for standard error does not go where the report does.
    assert shell("2>&-", "replay", capture.parent / "missing.pcap") == (UNUSABLE, "", [])


def test_a_replay_that_shall_outlive_its_terminal_does(octets, tmp_path):
    """As with nohup."""
    ignore = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    path = tmp_path / "report.json"
    run = process("replay", "--format", "json", "-", "-o", path, stdin=subprocess.PIPE, preexec_fn=ignore)
    until = time.monotonic() + 20
    while not list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.01)
    run.send_signal(signal.SIGHUP)
    _, err = run.communicate(octets, timeout=30)
    assert (run.returncode, err) == (0, b"")
    assert len(json.loads(path.read_text())["flaps"]) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_replay_that_is_ended_leaves_nothing_half(octets, tmp_path, number):
    path = tmp_path / "report.json"
    path.write_text("of last time")
    # Who started the tests may ignore the signal, as a shell does for what it runs in the background.
    heed = partial(signal.signal, number, signal.SIG_DFL)
    run = process("replay", "--format", "json", "-", "-o", path, stdin=subprocess.PIPE, preexec_fn=heed)
    run.stdin.write(octets)
    run.stdin.flush()
    part = tmp_path / "report.json.part"
    until = time.monotonic() + 20
    while not part.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert part.exists()
    run.send_signal(number)
    _, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (128 + number, b"")
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "of last time"


@pytest.mark.parametrize("arguments", [("causes",), ("replay", "{}"), ("replay", "--format", "json", "{}", "-o", "/dev/full")])
def test_a_full_disk(capture, arguments):
    with Path("/dev/full").open("wb") as full:
        run = process(*(argument.format(capture) for argument in arguments), stdout=full)
        _, err = run.communicate(timeout=30)
    told = b"vrrp-observer: the output is not whole: No space left on device; make room or write elsewhere\n"
    assert (run.returncode, err) == (UNUSABLE, told)


def test_through_a_pipe(octets):
    run = process("replay", "--format", "json", "-", stdin=subprocess.PIPE)
    out, err = run.communicate(octets, timeout=30)
    assert (run.returncode, err) == (0, b"")
    assert [flap["cause"] for flap in json.loads(out)["flaps"]] == ["check_failed"]


# Encodings: what is printed is UTF-8, whatever the locale


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("form", ["text", "html", "openmetrics"])
@pytest.mark.parametrize(("name", "written"), [("mü", "mü"), ("m\udcfc", r"m\udcfc")])
def test_names_that_the_locale_cannot_write(capture, tmp_path, octets, encoding, form, name, written):
    """The second is of a shell that is not UTF-8's; metrics write a backslash as two, pages show a sign for it."""
    other = tmp_path / "other.pcap"
    other.write_bytes(octets)
    outputs, path = [], tmp_path / "output"
    for more in ([], ["-o", path]):
        arguments = ["replay", f"--node=m1={capture}", f"--node={name}={other}", "--format", form, *more]
        run = process(*arguments, env={**os.environ, "PYTHONIOENCODING": encoding})
        out, err = run.communicate(timeout=30)
        assert run.returncode == 0, err
        assert b"Traceback" not in err
        outputs.append(out.decode("utf-8"))
    assert outputs == [path.read_text(encoding="utf-8"), ""]
    assert {"text": written, "html": name.replace("\udcfc", "\ufffd"), "openmetrics": written.replace("\\", r"\\")}[
        form
    ] in outputs[0]


@pytest.mark.parametrize("arguments", [("check-config",), ("causes",)])
def test_every_command_prints_utf_8(arguments):
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "VRRP_OBSERVER_NODE": "mü", "VRRP_OBSERVER_RECORDINGS": "/\udcfc"}
    run = process(*arguments, env=env)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (0, b"")
    assert arguments == ("causes",) or 'node = "mü"' in out.decode("utf-8")
