"""Address and link changes from files: our own JSON lines, and what people keep of ``ip monitor``."""

from __future__ import annotations

import gzip
import io
import ipaddress
import json
import lzma
import sys
import tracemalloc
import types
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.model.errors import SourceError
from observer.model.observations import AddressChange, LinkChange
from observer.sources.address_events import LONGEST, PATIENCE, LineCensus, decode, encode, read_address_events
from observer.wire.log_lines import iso_time

NODE = "m0"


def at(text: str) -> int:
    time = iso_time(f"2026-11-23T{text}Z", UTC)
    assert time is not None
    return time


def address(time, text, present=True, interface="eth0", initial=False):
    return AddressChange(time=at(time), node=NODE, interface=interface, address=text, present=present, initial=initial)


def link(time, up, interface="eth0", mac="02:00:00:00:00:11", initial=False):
    return LinkChange(time=at(time), node=NODE, interface=interface, up=up, mac=mac, initial=initial)


@pytest.fixture
def read(tmp_path):
    """What a file with this content gives, and its census."""

    def reader(content: str | bytes, **options):
        path = tmp_path / "events"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        census = LineCensus()
        found = list(read_address_events(str(path), NODE, census=census, **options))
        assert census.events == len(found)
        return found, census

    return reader


# A real one: the address leaves and comes back, the cable with it.
MONITOR = """\
[2026-11-23T09:02:28.075424] 2: eth0    inet 192.0.2.100/32 scope global vip
       valid_lft forever preferred_lft forever
[2026-11-23T09:02:33.212145] 2: eth0@if4: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN group default 
    link/ether 02:00:00:00:00:11 brd ff:ff:ff:ff:ff:ff link-netns vrrplab-29986-a8b9-hub
[2026-11-23T09:02:33.213920] Deleted 2: eth0    inet 192.0.2.100/32 scope global vip
       valid_lft forever preferred_lft forever
[2026-11-23T09:02:44.256472] 2: eth0@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default 
    link/ether 02:00:00:00:00:11 brd ff:ff:ff:ff:ff:ff link-netns vrrplab-29986-a8b9-hub
"""  # noqa: W291
EXPECTED = [
    address("09:02:28.075424", "192.0.2.100"),
    link("09:02:33.212145", up=False),
    address("09:02:33.213920", "192.0.2.100", present=False),
    link("09:02:44.256472", up=True),
]


def labelled(text: str) -> str:
    lines = []
    for line in text.splitlines():
        kind = "LINK" if "<" in line else "ADDR"
        lines.append(line.replace("] ", f"] [{kind}]", 1) if line.startswith("[") else line)
    return "\n".join(lines)


def on_its_own_line(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if line.startswith("["):
            clock, micros = line[12:20], int(line[21:27])
            lines += [f"Timestamp: Mon Nov 23 {clock} 2026 {micros} usec", line[29:]]
        else:
            lines.append(line)
    return "\n".join(lines)


COSTUMES = {
    "ip -ts monitor address link": MONITOR,
    "with labels": labelled(MONITOR),
    "of all namespaces": labelled(MONITOR).replace("] [", "] [nsid current]["),
    "ip -t monitor": on_its_own_line(MONITOR),
    "ip -t monitor with labels": on_its_own_line(labelled(MONITOR)),
    "ip -ts -o monitor": MONITOR.replace("\n    ", "\\    "),
    "ip -ts -c monitor": MONITOR.replace("192.0.2.100", "\x1b[35m192.0.2.100\x1b[0m").replace(
        "eth0@if4: ", "\x1b[36meth0@if4: \x1b[0m"
    ),
    "ip -ts -d monitor": MONITOR.replace("-hub\n", "-hub promiscuity 0\n    veth numtxqueues 2\n"),
    "from Windows": MONITOR.replace("\n", "\r\n"),
    "with a mark": "\ufeff" + MONITOR,
    "cut off in the last line": MONITOR[:-1],
}


@pytest.mark.parametrize("costume", COSTUMES)
def test_ip_monitor(read, costume):
    found, census = read(COSTUMES[costume])
    assert found == EXPECTED
    assert census.skipped == 0


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress])
def test_compressed(read, compress):
    assert read(compress(MONITOR.encode()))[0] == EXPECTED


def test_cut_short_while_compressed(read):
    found, census = read(gzip.compress(MONITOR.encode() * 50)[:-12])
    assert found[:4] == EXPECTED
    assert census.broken is not None
    assert "ends early" in census.broken


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(MONITOR.encode())))
    assert list(read_address_events("-", NODE)) == EXPECTED


def test_zone(read):
    (first, *_), _ = read(MONITOR, zone=ZoneInfo("Europe/Vilnius"))
    assert first == address("07:02:28.075424", "192.0.2.100")
    (first, *_), _ = read(on_its_own_line(MONITOR), zone=ZoneInfo("Europe/Vilnius"))
    assert first == address("07:02:28.075424", "192.0.2.100")


STAMP = "[2026-11-23T09:00:00.000001] "
LINES = {
    "secondary": (
        "2: eth0    inet 192.0.2.2/24 scope global secondary eth0",
        [address("09:00:00.000001", "192.0.2.2")],
    ),
    "with a peer": (
        "2: eth0    inet 192.0.2.9 peer 10.0.0.1/32 scope global eth0",
        [address("09:00:00.000001", "192.0.2.9")],
    ),
    "IPv6": (
        "2: eth0    inet6 2001:db8::100/128 scope global nodad deprecated ",
        [address("09:00:00.000001", "2001:db8::100")],
    ),
    "tentative": ("2: eth0    inet6 fd00::1/64 scope global tentative ", [address("09:00:00.000001", "fd00::1")]),
    "removed while tentative": (
        "Deleted 2: eth0    inet6 fe80::ff:fe00:11/64 scope link tentative ",
        [address("09:00:00.000001", "fe80::ff:fe00:11", present=False)],
    ),
    "refreshed or new": (
        "2: eth0    inet6 fd00::1/64 scope global dynamic mngtmpaddr ",
        [address("09:00:00.000001", "fd00::1", initial=True)],
    ),
    "keepalived's macvlan": (
        "5: vrrp.51@eth0    inet 192.0.2.100/32 scope global vrrp.51",
        [address("09:00:00.000001", "192.0.2.100", interface="vrrp.51")],
    ),
    "down, administratively": (
        "2: eth0@if3: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN group default ",
        [link("09:00:00.000001", up=False, mac=None)],
    ),
    "up without carrier": (
        "2: eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc fq_codel state DOWN ",
        [link("09:00:00.000001", up=False, mac=None)],
    ),
    "carrier but not up": (
        "2: eth0: <BROADCAST,LOWER_UP> mtu 1500 qdisc fq_codel state DOWN ",
        [link("09:00:00.000001", up=False, mac=None)],
    ),
    "up, and perhaps for long": (
        "2: eth0: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP ",
        [link("09:00:00.000001", up=True, mac=None, initial=True)],
    ),
    "removed": (
        "Deleted 2: eth0: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noop state DOWN group default ",
        [link("09:00:00.000001", up=False, mac=None)],
    ),
    "leaving a bridge": ("Deleted 2: eth0: <BROADCAST,UP,LOWER_UP> mtu 1500 master br0 state UP ", []),
    "a port's state": ("2: eth0: <NO-CARRIER,BROADCAST,UP> mtu 1500 master br0 state LOWERLAYERDOWN ", []),
    "a neighbour": ("192.0.2.100 dev eth0 lladdr 02:00:00:00:00:12 REACHABLE ", []),
    "a route": ("[ROUTE]local 192.0.2.100 dev eth0 table local proto kernel scope host src 192.0.2.100 ", []),
    "another namespace": ("[nsid 3][ADDR]2: eth0    inet 192.0.2.2/24 scope global eth0", []),
    "no address": ("2: eth0    inet 192.0.2.256/24 scope global eth0", []),
    "an address and more": ("2: eth0    inet 192.0.2.2x/24 scope global eth0", []),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_of_ip_monitor(read, name):
    text, expected = LINES[name]
    found, census = read(STAMP + text + "\n")
    assert found == expected
    assert (census.lines, census.understood, census.skipped) == (1, 1, 0)


def test_link_layer_addresses_of_other_lengths_are_none(read):
    infiniband = "    link/infiniband 80:00:00:48:fe:80:00:00:00:00:00:00:00:02:c9:03:00:2f:79:a1 brd 00:ff:ff:ff:ff:12\n"
    text = f"{STAMP}2: ib0: <BROADCAST,MULTICAST> mtu 2044 qdisc pfifo_fast state DOWN \n"
    assert read(text + infiniband)[0] == [link("09:00:00.000001", up=False, interface="ib0", mac=None)]


def test_what_only_repeats_is_not_told(read):
    lines = [
        "2: eth0    inet6 fd00::1/64 scope global tentative ",
        "2: eth0    inet6 fd00::1/64 scope global ",
        "Deleted 2: eth0    inet6 fd00::1/64 scope global ",
        "Deleted 2: eth0    inet6 fd00::1/64 scope global ",
        "2: eth0    inet6 fd00::1/64 scope global dynamic ",
        "3: eth1    inet6 fd00::1/64 scope global ",
        "2: eth0: <UP,LOWER_UP> mtu 1500 qdisc noqueue state UP ",
        "2: eth0: <UP,LOWER_UP,PROMISC> mtu 1500 qdisc noqueue state UP ",
        "2: eth0: <UP> mtu 1500 qdisc noqueue state DOWN ",
        "2: eth0: <UP> mtu 9000 qdisc noqueue state DOWN ",
        "Deleted 2: eth0: <UP> mtu 9000 qdisc noop state DOWN ",
        "2: eth0: <UP> mtu 9000 qdisc noop state DOWN ",
    ]
    found, _ = read("".join(f"{STAMP}{line}\n" for line in lines))
    assert [(getattr(one, "present", None), getattr(one, "up", None), one.initial, one.interface) for one in found] == [
        (True, None, False, "eth0"),
        (False, None, False, "eth0"),
        (True, None, False, "eth0"),
        (True, None, False, "eth1"),
        (None, True, True, "eth0"),
        (None, False, False, "eth0"),
        (None, False, False, "eth0"),
        (None, False, False, "eth0"),
    ]


DUMP = """\
2: eth0@if4: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 02:00:00:00:00:99 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    inet 192.0.2.11/24 brd 192.0.2.255 scope global eth0
       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.100/32 scope global vip\\       valid_lft forever preferred_lft forever
"""


@pytest.mark.parametrize("place", range(0, 9, 2))
@pytest.mark.parametrize("costume", ["ip -ts monitor address link", "ip -ts -o monitor"])
def test_a_dump_in_between_is_ignored(read, place, costume):
    lines = COSTUMES[costume].splitlines(keepends=True)
    place //= 8 // len(lines)
    found, census = read("".join(lines[:place]) + DUMP + "".join(lines[place:]))
    assert found == EXPECTED
    assert census.skipped == 2


def test_a_dump_in_between_with_times_on_their_own_lines(read):
    text = on_its_own_line(MONITOR)
    assert read(DUMP + text + "\n" + DUMP)[0] == EXPECTED


def test_garbage_is_skipped_and_counted(read):
    lines = MONITOR.splitlines()
    garbage = [
        "what",
        "[2026-11-23T25:00:00.000001] 2: eth0    inet 192.0.2.3/24 scope global",
        "\0\1\2",
        '{"kind": 1}',
        "{",
        "{}",
    ]
    garbage += ['{"kind": "LinkChange"}', "x" * (3 * LONGEST), "Timestamp: Mon Nov 33 09:00:00 2026 1 usec"]
    found, census = read("\n".join([*garbage, *lines[:4], *garbage, *lines[4:], *garbage]))
    assert found == EXPECTED
    assert census.skipped == 3 * len(garbage)


def test_an_endless_line_takes_no_memory(read):
    zeros = gzip.compress(bytes(64 * 1024 * 1024)) + gzip.compress(b"\n" + MONITOR.encode())
    tracemalloc.start()
    found, census = read(zeros)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == EXPECTED
    assert (census.lines, census.skipped) == (9, 1)
    assert peak < 16 * 1024 * 1024


def test_an_empty_file_is_one_in_which_nothing_happened(read):
    assert read("")[0] == []
    assert read("\n \n")[0] == []


WRONG = {
    "text": "Nov 23 08:57:17 m0 Keepalived_vrrp[1]: (VI_1) Entering MASTER STATE\n",
    "ip -ts -br monitor": f"{STAMP}eth0@if3         DOWN           {STAMP}192.0.2.100/32 {STAMP}Deleted 192.0.2.100/32 ",
    "a capture": bytes.fromhex("d4c3b2a1020004000000000000000000") + bytes(100),
    "other JSON": '{"a": 1}\n[1]\n',
    "long, and other": "what\n" * (3 * PATIENCE),
    "without a line end": b"\xff" * (3 * LONGEST),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files(read, name):
    with pytest.raises(SourceError, match="neither address events as the recorder writes them nor") as caught:
        read(WRONG[name])
    assert "\n" not in str(caught.value)
    assert "-ts was missing" not in str(caught.value)


def test_a_long_wrong_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "long"
    path.write_text("what\n" * (3 * PATIENCE))
    census = LineCensus()
    with pytest.raises(SourceError):
        list(read_address_events(str(path), NODE, census=census))
    assert census.lines == PATIENCE


def test_without_times(read):
    with pytest.raises(SourceError, match="-ts was missing"):
        read("".join(f"{line[29:] if line.startswith('[') else line}\n" for line in MONITOR.splitlines()))


def test_files_that_cannot_be_opened(tmp_path):
    for path, words in [(tmp_path / "none", "no such file"), (tmp_path, "is a directory"), ("a\0b", "cannot be opened")]:
        with pytest.raises(SourceError, match=words):
            list(read_address_events(str(path), NODE))
    (tmp_path / "broken").write_bytes(gzip.compress(b"")[:12])
    with pytest.raises(SourceError, match="ends early"):
        list(read_address_events(str(tmp_path / "broken"), NODE))


NAMES = st.text(max_size=15)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
MACS = st.none() | st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
CHANGES = st.one_of(
    st.builds(
        AddressChange,
        time=st.integers(0, 2**63 - 1),
        node=NAMES,
        interface=NAMES,
        address=ADDRESSES,
        present=st.booleans(),
        initial=st.booleans(),
        requester=st.none() | st.integers(0, 2**32 - 1),
    ),
    st.builds(
        LinkChange,
        time=st.integers(0, 2**63 - 1),
        node=NAMES,
        interface=NAMES,
        up=st.booleans(),
        mac=MACS,
        initial=st.booleans(),
    ),
)


@given(CHANGES)
def test_what_is_encoded_comes_back(change):
    text = encode(change)
    assert decode(text, change.node) == change
    assert "\n" not in text
    assert "node" not in json.loads(text)


def test_the_form_that_is_written():
    change = AddressChange(
        time=at("08:57:17.038848542"), node=NODE, interface="eth0", address="fd00::1", present=True, requester=7
    )
    assert json.loads(encode(change)) == {
        "kind": "AddressChange",
        "time": "2026-11-23T08:57:17.038848542Z",
        "interface": "eth0",
        "address": "fd00::1",
        "present": True,
        "initial": False,
        "requester": 7,
        "requester_name": None,
    }
    change = LinkChange(time=at("08:57:17.000000001"), node=NODE, interface="eth0", up=False, mac="02:00:00:00:00:11")
    assert json.loads(encode(change)) == {
        "kind": "LinkChange",
        "time": "2026-11-23T08:57:17.000000001Z",
        "interface": "eth0",
        "up": False,
        "mac": "02:00:00:00:00:11",
        "initial": False,
    }


@settings(max_examples=50)
@given(changes=st.lists(CHANGES, max_size=8))
def test_a_file_of_them_comes_back(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("events") / "events"
    path.write_text("".join(f"{encode(change)}\n" for change in changes))
    census = LineCensus()
    assert [encode(change) for change in read_address_events(str(path), NODE, census=census)] == [
        encode(change) for change in changes
    ]
    assert (census.understood, census.skipped) == (len(changes), 0)


GOOD = {"kind": "AddressChange", "time": "2026-11-23T08:57:17Z", "interface": "eth0", "address": "fd00::1", "present": True}


def test_what_may_be_left_out_and_what_may_be_added():
    assert decode(json.dumps(GOOD), NODE) == address("08:57:17", "fd00::1")
    assert decode(json.dumps(GOOD | {"node": "m9", "more": [1]}), NODE) == address("08:57:17", "fd00::1")
    assert decode(json.dumps(GOOD | {"address": "FD00:0::1"}), NODE) == address("08:57:17", "fd00::1")
    assert decode(json.dumps(GOOD | {"time": "2026-11-23T10:57:17+02:00"}), NODE) == address("08:57:17", "fd00::1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "addresschange"},
        {"kind": None},
        {"time": "2026-11-23"},
        {"time": "2026-11-23T08:57:17Z "},
        {"time": 1795424237},
        {"time": None},
        {"interface": 2},
        {"address": "192.0.2.256"},
        {"address": 3221225985},
        {"present": 1},
        {"present": None},
        {"initial": 0},
        {"initial": None},
        {"requester": "7"},
        {"requester": True},
        {"kind": "LinkChange"},
        {"kind": "LinkChange", "up": 1},
        {"kind": "LinkChange", "up": True, "mac": 5},
    ],
    ids=str,
)
def test_near_misses_of_our_own_form(read, wrong):
    text = json.dumps(GOOD | wrong)
    assert decode(text, NODE) is None
    _, census = read(f"{text}\n{json.dumps(GOOD)}\n")
    assert (census.understood + census.skipped, census.events) == (2, 1)


def test_other_observations_of_the_recorder_are_no_garbage(read):
    found, census = read('{"kind": "Advert", "time": "2026-11-23T08:57:17Z"}\n')
    assert found == []
    assert (census.understood, census.skipped) == (1, 0)


def test_both_forms_in_one_file(read):
    lines = MONITOR.splitlines(keepends=True)
    found, _ = read("".join(lines[:3]) + encode(EXPECTED[0]) + "\n" + "".join(lines[4:]))
    # The MAC address was cut off by the line in between.
    assert found == [EXPECTED[0], link("09:02:33.212145", up=False, mac=None), EXPECTED[0], *EXPECTED[2:]]


FRAGMENTS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([line.encode() for text in COSTUMES.values() for line in text.splitlines()]),
    st.sampled_from([(STAMP + text).encode() for text, _ in LINES.values()]),
    st.just(json.dumps(GOOD).encode()),
    st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(
        lambda value: json.dumps(value).encode()
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAGMENTS, max_size=20), st.booleans())
def test_no_file_raises_anything_else(tmp_path_factory, fragments, compress):
    path = tmp_path_factory.mktemp("events") / "events"
    content = b"\n".join(fragments)
    path.write_bytes(gzip.compress(content) if compress else content)
    census = LineCensus()
    found, failure = [], ""
    try:
        found += read_address_events(str(path), NODE, census=census)
    except SourceError as error:
        failure = str(error)
    assert "\n" not in failure
    assert census.events == len(found)
    assert not (failure and found)
    for change in found:
        assert decode(encode(change), NODE) == change
        if isinstance(change, AddressChange):
            assert str(ipaddress.ip_address(change.address)) == change.address


def test_deep_nesting(read):
    found, census = read('{"kind":' * 100_000 + "\n" + MONITOR)
    assert found == EXPECTED
    assert census.skipped == 1
