"""Logs and address events beside captures: in local time, of another year, of another time altogether."""

from __future__ import annotations

import gzip
import json
import os
import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from cases import ROOT
from recorder.tape import captured, recorded
from traces import A, B, Trace

from observer.cli import UNUSABLE, main
from observer.engine.flaps import WINDOW
from observer.model.errors import ConfigError
from observer.model.host import LogEvent, LogKind
from observer.model.observations import AddressChange, Clock, LinkChange, SourceChange, SourceState
from observer.model.time import SECOND
from observer.replay import _in_order
from observer.sources.beside import NEAR, time_zone, until
from observer.sources.census import Census
from observer.sources.recordings import begin, gathered

BUG = ROOT / "check_failed" / "original_bug"
"""A check fails on m1 at 08:54:54 UTC and the address moves; captured from 08:54:43 on."""
DIES = ROOT / "moved_outside_vrrp" / "leader_dies"
NODES = ("m0", "m1", "m2")
INSTANT = re.compile(r"^(\S+T\S+?)Z [A-Z].{23}: ", re.MULTILINE)
EVENT = re.compile(r"\[(\d{4}-\S+)\]")


def syslog(zone, path=BUG / "m1.log", *, days=0):
    """keepalived's log as syslog writes it in a zone."""

    def written(match):
        local = (datetime.fromisoformat(match[1][:26]).replace(tzinfo=UTC) + timedelta(days=days)).astimezone(zone)
        return f"{local:%b %d %H:%M:%S} m1 Keepalived_vrrp[7]: "

    return INSTANT.sub(written, path.read_text())


def monitored(node, ahead):
    """Address events as `ip -ts monitor` writes them where clocks show so many hours more than UTC."""

    def written(match):
        local = datetime.fromisoformat(match[1]) + timedelta(hours=ahead)
        return f"[{local:%Y-%m-%dT%H:%M:%S.%f}]"

    return EVENT.sub(written, (DIES / f"{node}.addresses").read_text())


@pytest.fixture
def replay(capsys):
    """(status, flaps, lines of standard error but those that say that there was no VRRP)."""

    def called(*words):
        status = main(["replay", "--format", "json", *map(str, words)])
        out, err = capsys.readouterr()
        told = [line for line in err.splitlines() if "no VRRP in " not in line]
        return status, json.loads(out)["flaps"] if out else [], told

    return called


@pytest.fixture
def log(tmp_path):
    def written(content):
        path = tmp_path / "m1.log"
        path.write_text(content)
        return path

    return written


@pytest.fixture(scope="module")
def whole():
    """What a replay of m1's capture says with the log as it was recorded, in UTC."""
    return [BUG / "m1.pcap.gz", "--log", BUG / "m1.log"]


# Years


@pytest.mark.parametrize("changed", ["2009-01-01", "2026-11-22", "2031-06-01"])
@pytest.mark.parametrize("kind", ["compressed", "plain", "named"])
def test_a_log_without_years_is_of_the_captures_year(replay, log, tmp_path, changed, kind):
    """A copy of it may be new, or said to be old."""
    path = log(syslog(UTC))
    time = datetime.fromisoformat(changed).replace(tzinfo=UTC).timestamp()
    os.utime(path, (time, time))
    capture = BUG / "m1.pcap.gz"
    if kind == "plain":
        capture = tmp_path / "m1.pcap"
        capture.write_bytes(gzip.decompress((BUG / "m1.pcap.gz").read_bytes()))
    words = [f"--node=m1={capture}", f"--log=m1={path}"] if kind == "named" else [capture, "--log", path]
    status, [flap], err = replay(*words)
    assert (status, flap["check"], err) == (0, "chk_ocp_lb", [])


def story():
    trace = Trace().source(-1)
    trace.adverts(A, 100, 0, 20).adverts(B, 90, 22.65, 70)
    items, frames = captured(trace.observations())
    return recorded(items, frames=frames)[0].done[0]


def test_when_captures_begin(tmp_path):
    recording = tmp_path / "m1.pcapng"
    recording.write_bytes(story())
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(gzip.decompress((BUG / "m1.pcap.gz").read_bytes())[:24])
    bug = Census(str(BUG / "m1.pcap.gz"), "m1")
    first = begin([bug])
    assert first is not None
    assert datetime.fromtimestamp(first // SECOND, UTC) == datetime(2026, 11, 23, 8, 54, 43, tzinfo=UTC)
    assert begin([Census("-", "m1"), Census(str(empty), "m1"), bug]) == first
    assert begin([Census("-", "m1")]) is None
    [census] = gathered([str(recording)])
    assert begin([census]) == 1_795_000_000 * SECOND - SECOND
    # Whoever reads it says what is wrong with it.
    assert begin([Census(str(tmp_path / "none"), "m1")]) is None


# Zones


WRITTEN = {
    "Europe/Berlin": ZoneInfo("Europe/Berlin"),
    "America/St_Johns": ZoneInfo("America/St_Johns"),
    "+02:00": timezone(timedelta(hours=2)),
    "-0930": timezone(-timedelta(hours=9, minutes=30)),
    "+14": timezone(timedelta(hours=14)),
    "UTC": UTC,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_log_in_local_time(replay, log, name):
    right = replay(BUG / "m1.pcap.gz", "--log", log(syslog(UTC)))
    assert replay(BUG / "m1.pcap.gz", "--log", log(syslog(WRITTEN[name])), f"--zone={name}") == right
    assert right[1][0]["check"] == "chk_ocp_lb"


@pytest.mark.parametrize(("zone", "taken"), [(None, "UTC"), ("Asia/Tokyo", "Asia/Tokyo"), ("-05:30", "UTC-05:30")])
def test_a_log_of_another_zone_is_told(replay, log, zone, taken):
    path = log(syslog(ZoneInfo("Europe/Berlin")))
    status, [flap], [line] = replay(BUG / "m1.pcap.gz", "--log", path, *([f"--zone={zone}"] if zone else []))
    assert (status, flap["check"]) == (0, None)
    if zone is None:
        begins, ends = "2026-11-23T09:54:43.000000000Z", "2026-11-23T09:55:02.000000000Z"
        assert f"{path}: nothing in it is of the captures' time: its events are from {begins} to {ends}, " in line
    assert line.endswith(f"taken as {taken}; if it was written in another zone, give that as --zone")


def test_times_that_name_their_zone_are_as_they_say(replay, whole):
    right = replay(*whole)
    assert replay(*whole, "--zone=Asia/Tokyo") == right
    assert right[2] == []


def test_of_these_another_day_is_told(replay, log):
    path = log((BUG / "m1.log").read_text().replace("2026-11-23", "2026-11-22"))
    _, _, [line] = replay(BUG / "m1.pcap.gz", "--log", path)
    assert line.endswith(", as it says itself; give the file that is of their time")


def test_of_a_log_that_is_quiet_in_the_captures_nothing_is_told(replay, log):
    """It says how things stood when they began."""
    lines = (BUG / "m1.log").read_text().splitlines(keepends=True)
    assert replay(BUG / "m1.pcap.gz", "--log", log("".join(lines[:6])))[2] == []


def test_nor_of_one_in_which_keepalived_says_nothing(replay, log):
    path = log("Nov 22 08:00:00 m1 sshd[1]: session opened\n")
    assert replay(BUG / "m1.pcap.gz", "--log", path)[2] == []


def test_a_log_that_is_not_whole_is_told(replay, tmp_path):
    path = tmp_path / "m1.log.gz"
    path.write_bytes(gzip.compress((BUG / "m1.log").read_bytes() * 20)[:-9])
    _, _, [line] = replay(BUG / "m1.pcap.gz", "--log", path)
    assert line.endswith("m1.log.gz: the gzip data ends early; what came before was used")


@pytest.mark.parametrize(
    "text", ["", "Mars/Olympus", "Europe", "../../etc/passwd", "+24:00", "+1", "2", "utc+1", "+01:60", "a\0b"]
)
def test_a_zone_that_is_none(capsys, text):
    assert main(["replay", str(BUG / "m1.pcap.gz"), f"--zone={text}"]) == UNUSABLE
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        f"vrrp-observer: --zone {text!r}: no time zone that is known here;"
        " give a name such as Europe/Berlin, or an offset such as +02:00"
    )


def test_utc_needs_no_data_base(monkeypatch):
    def missing(name):
        raise KeyError(name)

    monkeypatch.setattr("observer.sources.beside.ZoneInfo", missing)
    assert time_zone("UTC") is UTC
    with pytest.raises(ConfigError):
        time_zone("Europe/Berlin")


# Address events


def dies(tmp_path, ahead, *more):
    """The words of a replay of all nodes with address events in local time."""
    words = []
    for node in NODES:
        path = tmp_path / f"{node}.addresses"
        path.write_text(monitored(node, ahead))
        words += [f"--node={node}={DIES / f'{node}.pcap.gz'}", f"--addresses={node}={path}"]
    return [*words, *more]


@pytest.mark.parametrize("ahead", [-12, -1, 0.25, 1, 5.5, 24])
def test_address_events_of_another_zone_make_no_flaps(replay, tmp_path, ahead):
    """Two of the nodes have events, which would be moves of their own."""
    without = replay(*(word for word in dies(tmp_path, 0) if word.startswith("--node")))
    status, flaps, err = replay(*dies(tmp_path, ahead))
    assert (status, [flap["id"] for flap in flaps]) == (0, [flap["id"] for flap in without[1]])
    assert [re.search(r"(m\d)\.addresses: nothing in it is of the captures' time", line)[1] for line in err] == [
        "m0",
        "m1",
    ]
    assert all("taken as UTC; if it was written in another zone, give that as --zone" in line for line in err)


@pytest.mark.parametrize(("ahead", "zone"), [(0, "UTC"), (1, "+01:00"), (-5, "America/New_York")])
def test_address_events_in_local_time(replay, tmp_path, ahead, zone):
    """m0's only event is of some seconds before the captures."""
    status, [flap], err = replay(*dies(tmp_path, ahead, f"--zone={zone}"))
    assert (status, flap["id"], err) == (0, "2026-11-24T15:05:35.592121000Z-ipv4-0", [])


def test_what_each_agent_would_have_shown_has_no_such_flaps_either(capsys, tmp_path):
    def shown(*words):
        assert main(["replay", "--format", "openmetrics", *words]) == 0
        return capsys.readouterr()

    without, ahead = (shown(*words)[0] for words in ([w for w in dies(tmp_path, 0) if "--node" in w], dies(tmp_path, 1)))
    assert without.count("vrrp_flaps_total{") == ahead.count("vrrp_flaps_total{")


# The end of the captures


END = 1_795_000_000 * SECOND
WHO = {"node": "m1", "interface": "eth0"}


def events(time):
    return [
        AddressChange(time=time, address="192.0.2.1", present=True, **WHO),
        LinkChange(time=time, up=True, **WHO),
        LogEvent(time=time, node="m1", kind=LogKind.STARTING),
    ]


def test_events_count_as_long_as_a_flap_may_be_open():
    last, late = events(END + WINDOW), events(END + WINDOW + 1)
    others = [SourceChange(time=END + 2 * WINDOW, node="m1", source="capture", state=SourceState.STOPPED)]
    assert list(until(lambda: END, [*last, *late, *others])) == [*last, *others]


def test_before_it_is_known_when_captures_end_all_events_count():
    assert list(until(lambda: None, events(END))) == events(END)


def test_the_end_is_that_of_the_last_capture_by_the_first_nodes_clock():
    """m2's clock is an hour behind, and so is the time at which its capture says that it ends."""
    hour = 3600 * SECOND
    censuses = [Census("m1.pcap", "m1", end=END), Census("m2.pcap", "m2", end=END - hour + 9 * SECOND)]
    clocks = {"m2": Clock(time=END, node="m2", reference="m1", ahead=-hour, least=-hour, most=-hour, put_right=-hour)}
    kept, dropped = events(END + WINDOW + 8 * SECOND), events(END + WINDOW + 10 * SECOND)
    assert list(_in_order([iter([[item] for item in [*kept, *dropped]])], censuses, clocks)) == kept


def test_what_is_near_is_nearer_than_any_other_zone():
    assert WINDOW < NEAR < 15 * 60 * SECOND
