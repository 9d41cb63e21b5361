"""Others' tools open a recording, and one that went through them is still one."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys

import pytest
from recorder.tape import captured, observations, recorded, said
from traces import A, B, Trace

from observer.cli import main
from observer.model.observations import Advert, Neighbour
from observer.model.segments import TcpSegments
from observer.wire import pcapng


@pytest.fixture(scope="module")
def story():
    """A router falls silent and another takes over, with clients, in both families' worth of frames."""
    trace = Trace().source(-1).address(-0.5, present=True, initial=True)
    trace.adverts(A, 100, 0, 20).adverts(B, 90, 22.65, 70).arp(B, 22.66, count=5)
    for number in range(30):
        trace.served(A, f"198.51.100.{number}", number * 0.6, client_port=30000 + number)
        trace.orphaned(B, f"198.51.100.{number}", 23 + number * 0.01, client_port=30000 + number)
    items, frames = captured(trace.observations())
    tape, flaps = recorded(items, before=60, after=90, frames=frames)
    [octets] = tape.done
    return octets, flaps, items


@pytest.fixture
def path(tmp_path, story):
    path = tmp_path / "vrrp-m1.pcapng"
    path.write_bytes(story[0])
    return path


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tshark_shows_packets_and_entries(path, story):
    _, flaps, items = story
    columns = ("frame.time_epoch", "_ws.col.Protocol", "_ws.col.Info", "frame.interface_name")
    fields = [word for column in columns for word in ("-e", column)]
    rows = [row.split("\t") for row in run("tshark", "-r", path, "-T", "fields", *fields).splitlines()]
    protocols = [row[1] for row in rows]
    adverts = [item for item in items if isinstance(item, Advert)]
    assert protocols.count("VRRP") == len(adverts)
    assert protocols.count("ARP") == sum(isinstance(item, Neighbour) for item in items)
    assert protocols.count("TCP") > 30
    assert {row[3] for row in rows if row[1] in ("VRRP", "ARP", "TCP")} == {"eth0"}
    first = next(row for row in rows if row[1] == "VRRP")
    assert first[0].replace(".", "") == str(adverts[0].time)
    said_ = [row[2] for row in rows if row[1] == "systemd Journal"]
    assert any(flaps[0].verdict.cause.value in line for line in said_)
    assert "eth0 has 192.0.2.100" in said_


def test_tshark_finds_no_fault_in_it(path):
    assert run("tshark", "-r", path, "-o", "ip.check_checksum:TRUE", "-Y", "_ws.malformed || ip.checksum.status == 0") == ""
    assert "vrrp" in run("tshark", "-r", path, "-Y", "vrrp").lower()


def test_tcpdump_reads_the_packets(path, story):
    assert run("tcpdump", "-nr", path, "vrrp").count("VRRPv2") == sum(isinstance(item, Advert) for item in story[2])
    assert "Flags [R]" in run("tcpdump", "-nr", path, "tcp")


@pytest.mark.parametrize("tool", ["editcap", "mergecap"])
def test_what_a_tool_wrote_anew_replays_the_same(tool, path, tmp_path, story, capsys):
    out = tmp_path / f"{tool}.pcapng"
    run("editcap", "-F", "pcapng", path, out) if tool == "editcap" else run("mergecap", "-F", "pcapng", "-w", out, path)
    assert main(["replay", "--format", "json", str(out)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {flap["id"]: json.dumps(flap) for flap in document["flaps"]} == said(story[1])


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz"])
def test_a_compressed_one_is_read_as_well(suffix, path, story, capsys):
    import gzip
    import lzma

    import zstandard

    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}[suffix]
    packed = path.with_name(path.name + suffix)
    packed.write_bytes(pack(path.read_bytes()))
    path.unlink()
    assert main(["replay", "--format", "json", str(path.parent)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {flap["id"]: json.dumps(flap) for flap in document["flaps"]} == said(story[1])


def test_one_that_was_cut_anywhere_gives_what_comes_before(path, story):
    octets = story[0]
    whole = observations(path)
    for at in range(200, len(octets), len(octets) // 40):
        path.write_bytes(octets[:at])
        again = [item for item in observations(path) if not isinstance(item, TcpSegments)]
        assert again[:-1] == [item for item in whole if not isinstance(item, TcpSegments)][: max(0, len(again) - 1)]


# Through a pipe, which can be read only once


def through(octets, *words, path, line):
    """(exit status, standard output, lines of standard error) of a replay in a shell."""
    path.write_bytes(octets)
    program = [sys.executable, "-c", "import sys; from observer.cli import main; sys.exit(main())", "replay", *words]
    done = subprocess.run(["bash", "-c", line, path, *program], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
@pytest.mark.parametrize("way", ['cat "$0" | "$@" -', '"$@" - < "$0"', '"$@" <(cat "$0")'])
def test_a_recording_through_a_pipe_is_refused(path, story, packed, way):
    status, out, [said_] = through(packed(story[0]), path=path, line=way)
    assert (status, out) == (2, "")
    assert said_.endswith(": a recording, which is read more than once; save it, and give the name of its file")


@pytest.mark.parametrize("tool", ["editcap", "mergecap"])
def test_so_is_one_that_a_tool_wrote_anew(tool, path, tmp_path):
    out = tmp_path / f"{tool}.pcapng"
    run("editcap", "-F", "pcapng", path, out) if tool == "editcap" else run("mergecap", "-F", "pcapng", "-w", out, path)
    status, _, err = through(out.read_bytes(), path=path, line='cat "$0" | "$@" -')
    assert (status, len(err)) == (2, 1)


def plain(octets):
    """A recording without its entries: any capture."""
    found, at = b"", 0
    while at < len(octets):
        kind, length = struct.unpack_from("<II", octets, at)
        found += octets[at : at + length] if kind != pcapng.JOURNAL else b""
        at += length
    return found


@pytest.mark.parametrize("kind", ["pcapng", "pcapng of others' entries", "pcapng without end"])
@pytest.mark.parametrize("way", ['cat "$0" | "$@" -', '"$@" <(cat "$0")'])
def test_any_other_capture_comes_through(path, story, kind, way):
    octets = plain(story[0])
    if kind == "pcapng of others' entries":
        octets += pcapng.journal({"MESSAGE": "OBSERVER_RECORDING=1"})
    status, out, _ = through(octets[:-3] if kind == "pcapng without end" else octets, "--format", "json", path=path, line=way)
    assert status == 0
    assert len(json.loads(out)["flaps"]) == 1
