"""A recording that is damaged, or made to do harm, gives what can be read of it, and never more than one clear line."""

from __future__ import annotations

import gzip
import random
import re
import struct

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from recorder.tape import captured, observations, recorded
from traces import A, B, Trace

from observer.cli import main
from observer.model.host import LogEvent, LogKind
from observer.model.observations import (
    AddressChange,
    Authentication,
    FramesLost,
    LinkChange,
    Malformed,
    Neighbour,
    NeighbourKind,
    Refused,
    SourceChange,
    SourceState,
)
from observer.sources.recording import head
from observer.wire import journal, pcapng

NOW = 1_795_000_000_123_456_789
WHO = {"time": NOW, "node": "m1"}
OBSERVATIONS = {
    "an address": AddressChange(**WHO, interface="eth0", address="192.0.2.1", present=True, requester=0),
    "an address, IPv6": AddressChange(**WHO, interface="eth0", address="fe80::1", present=False, initial=True),
    "a link": LinkChange(**WHO, interface="eth0", up=False, mac="02:00:00:00:00:01"),
    "a link without MAC": LinkChange(**WHO, interface="tun0", up=True),
    "a log line": LogEvent(
        **WHO, kind=LogKind.CHECK_FAILED, check="chk", status=1, seconds=1.5, detail='with "quotes" = signs\n'
    ),
    "a log line like JSON": LogEvent(**WHO, kind=LogKind.STARTING, detail='"null'),
    "a log line in other scripts": LogEvent(**WHO, kind=LogKind.STARTING, detail="Grüße, мир \x1b[0m \0"),
    "a source": SourceChange(**WHO, source="capture", state=SourceState.FAILED, detail="why"),
    "a loss": FramesLost(**WHO, source="segments", count=2**40),
    "a refusal": Refused(**WHO, interface=None, router="192.0.2.1"),
    "malformed": Malformed(**WHO, interface="eth0", reason="checksum", vrid=0),
    "a question": Neighbour(
        **WHO,
        interface="eth0",
        kind=NeighbourKind.REQUEST,
        mac="02:00:00:00:00:01",
        sender="0.0.0.0",
        target="192.0.2.9",
        outgoing=False,
    ),
    "an advert": next(item for item in Trace().advert(A, 100, 1, authentication=3).items),
    "an advert, IPv6": next(item for item in Trace(family=6, version=3).advert("fe80::11", 100, 1).items),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_an_observation_comes_back_from_its_fields(name):
    observation = OBSERVATIONS[name]
    again = journal.from_fields(journal.to_fields(observation))
    assert again == observation
    assert all(value.isprintable() for value in journal.to_fields(observation).values())


@how(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from([None, -1, 2**62]), st.floats(allow_nan=False), st.sampled_from(list(LogKind)))
def test_so_does_any_text_and_number(detail, number, seconds, kind):
    event = LogEvent(**WHO, kind=kind, before=number, seconds=seconds, detail=detail)
    assert journal.from_fields(journal.to_fields(event)) == event


NONSENSE = {
    "no such observation": {"OBSERVER_OBSERVATION": "Engine"},
    "no observation at all": {},
    "a time that is none": {"OBSERVER_OBSERVATION": "LinkChange", "VRRP_TIME": "soon", "VRRP_NODE": "m1"},
    "a time before all time": {"VRRP_TIME": "-1"},
    "a time after all time": {"VRRP_TIME": "1" + "0" * 30},
    "an address that is none": {"VRRP_ADDRESS": "chalk"},
    "a truth that is none": {"VRRP_PRESENT": "7"},
    "no time": {"VRRP_TIME": None},
    "JSON without end": {"VRRP_PRESENT": "[" * 100_000},
    "columns that are none": {"OBSERVER_OBSERVATION": "TcpSegments", "OBSERVER_COLUMNS": "AAAA"},
    "segments without columns": {"OBSERVER_OBSERVATION": "TcpSegments"},
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(name):
    entry = journal.to_fields(OBSERVATIONS["an address"]) | NONSENSE[name] if NONSENSE[name] else {}
    with pytest.raises(ValueError):  # noqa: PT011 - which one, no caller asks
        journal.from_fields({name: value for name, value in entry.items() if value is not None})


def test_authentication_stays_a_name():
    assert journal.to_fields(OBSERVATIONS["an advert"])["VRRP_AUTHENTICATION"] == Authentication.SIMPLE.value


@pytest.fixture(scope="module")
def octets():
    trace = Trace().source(-1).address(-0.5, present=True)
    trace.adverts(A, 100, 0, 20).adverts(B, 90, 22.65, 70)
    for number in range(20):
        trace.served(A, f"198.51.100.{number}", number * 0.9, client_port=30000 + number)
    items, frames = captured(trace.observations())
    tape, _ = recorded(items, frames=frames)
    return tape.done[0]


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_never_an_exception(octets, seed, tmp_path, capsys):
    dice, damaged = random.Random(seed), bytearray(octets)
    for _ in range(dice.choice((1, 3, 30))):
        at = dice.randrange(len(damaged))
        match dice.randrange(3):
            case 0:
                damaged[at] = dice.randrange(256)
            case 1:
                del damaged[at : at + dice.randrange(9)]
            case 2:
                damaged[at:at] = dice.randbytes(dice.randrange(9))
    path = tmp_path / "damaged.pcapng"
    path.write_bytes(damaged)
    head(str(path))
    observations(path)
    assert main(["replay", str(path)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


# What a reader is told


def told(capsys, path, octets):
    """The lines of standard error of a replay that goes well."""
    path.write_bytes(octets)
    assert main(["replay", str(path)]) == 0
    return capsys.readouterr().err.splitlines()


def blocks(octets):
    """Where each block begins."""
    found, at = [], 0
    while at < len(octets):
        found.append(at)
        at += struct.unpack_from("<I", octets, at + 4)[0]
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vrrp-m1.pcapng"


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_of_a_whole_recording_nothing_is_told(octets, path, capsys, packed):
    assert told(capsys, path, packed(octets)) == []


@pytest.mark.parametrize("missing", [1, 100, 500, 1000, 3000, 6000])
def test_a_recording_cut_short_is_told(octets, path, capsys, missing):
    begins = max(at for at in blocks(octets) if at <= len(octets) - missing)
    [line] = told(capsys, path, octets[:-missing])
    assert line.startswith(f"vrrp-observer: {path}: stops at byte {begins}: the file ends within a block")
    assert line.endswith("; what came before was used")


def test_so_is_one_cut_within_the_head_of_a_block(octets, path, capsys):
    last = blocks(octets)[-1]
    [line] = told(capsys, path, octets[: last + 5])
    assert line.endswith(f": stops at byte {last}: the file ends within a block's header; what came before was used")


def test_so_is_one_cut_between_two_blocks(octets, path, capsys):
    """As the next start leaves what an agent that died was writing."""
    [line] = told(capsys, path, octets[: blocks(octets)[-1]])
    assert line.startswith(f"vrrp-observer: {path}: its end is missing: it is under way, was cut, or its agent died; ")


def test_so_is_one_cut_within_its_compression(octets, path, capsys):
    [line] = told(capsys, path, gzip.compress(octets)[:-3000])
    assert re.search(r"stops at byte \d+: the gzip data ends early; what came before was used", line)


HARM = {
    "its head": (0, 8, r"a block of type 2863311530 claims 2863311530 bytes"),
    "its length": (4, 4, r"a block of type \d claims 2863311530 bytes"),
    "the end of the one before, and its head": (-4, 40, r"a block whose two lengths differ"),
    "the end of the one before": (-4, 4, r"a block whose two lengths differ"),
}
"""What of a block is overwritten."""


@pytest.mark.parametrize("name", HARM)
def test_a_recording_that_cannot_be_followed_is_told(octets, path, capsys, name):
    before, count, problem = HARM[name]
    begins = blocks(octets)
    middle = len(begins) // 2
    at = begins[middle] + before
    [line] = told(capsys, path, octets[:at] + b"\xaa" * count + octets[at + count :])
    stop = begins[middle if before >= 0 else middle - 1]
    assert re.search(f": stops at byte {stop}: {problem}; what came before was used$", line)


def test_entries_that_are_not_understood_are_counted(octets, path, capsys):
    """Damage that leaves the blocks as they are."""
    at = octets.index(b"VRRP_PRESENT=", octets.index(b"OBSERVER_OBSERVATION=AddressChange"))
    [line] = told(capsys, path, octets[:at] + b"VRRP_PRESENT=\xaa\xaa" + octets[at + 15 :])
    assert line == f"vrrp-observer: {path}: 1 packets and entries were left out: damaged, or of a later version"


def test_so_are_packets_that_cannot_be(octets, path, capsys):
    packet = next(at for at in blocks(octets) if octets[at] == pcapng.PACKET)
    [line] = told(capsys, path, octets[: packet + 8] + b"\xaa" * 4 + octets[packet + 12 :])
    assert line.endswith(": 1 packets and entries were left out: damaged, or of a later version")


@pytest.mark.parametrize("count", [1, 40])
def test_a_memory_that_is_damaged_is_told(octets, path, capsys, count):
    at = octets.index(b"OBSERVER_MEMORY=") + 100
    [line] = told(capsys, path, octets[:at] + b"\xaa" * count + octets[at + count :])
    assert line.startswith(f"vrrp-observer: {path}: what was known before it is left out: it is damaged")
