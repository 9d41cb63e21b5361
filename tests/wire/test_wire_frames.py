"""A decoder that remembers what frames said says of every frame what one that never saw any says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_wire_neighbours import arp
from wire_building import LINKS, decode, ethernet, ipv4, ipv6, v2, v3, v6

from observer.wire import frames
from observer.wire.frames import KNOWN, FrameDecoder
from observer.wire.links import LinkType

FRAMES = {
    "v2": ethernet(ipv4(v2())),
    "v3": ethernet(ipv4(v3())),
    "v3 in a VLAN": ethernet(ipv4(v3()), vlans=((0x8100, 7),)),
    "v3 over IPv6": ethernet(ipv6(v6())),
    "v2 with a low TTL": ethernet(ipv4(v2(), ttl=3)),
    "ARP": ethernet(arp(1, "10.0.0.5", "10.0.0.5"), 0x0806),
}


@pytest.mark.parametrize("name", FRAMES)
@given(data=st.data())
def test_another_octet_is_another_frame(name, data):
    frame = FRAMES[name]
    decoder = FrameDecoder()
    decode(frame, decoder=decoder)
    at = data.draw(st.integers(0, len(frame) - 1), "at")
    octet = data.draw(st.integers(0, 255), "octet")
    other = frame[:at] + bytes([octet]) + frame[at + 1 :]
    assert decode(other, decoder=decoder) == decode(other)
    assert decode(frame[:at], decoder=decoder) == decode(frame[:at])


@pytest.mark.parametrize("name", LINKS)
def test_an_advert_differs_from_the_next_by_time_and_identification(name):
    linktype, link = LINKS[name]
    decoder = FrameDecoder()
    for number in (7, 8, 65535, 0):
        frame = link(ipv4(v2(), ident=number))
        heard = decoder.decode(time=number, node="a", interface="eth0", linktype=linktype, frame=frame)
        assert (heard.time, heard.ident, heard.priority) == (number, number, 100)


@pytest.mark.parametrize(
    "other",
    [{"node": "b"}, {"interface": "eth1"}, {"outgoing": True}, {"linktype": LinkType.RAW}, {"original_length": 40}],
    ids=str,
)
def test_where_and_how_a_frame_was_seen_belongs_to_it(other):
    decoder = FrameDecoder()
    plain = {"time": 1, "node": "a", "interface": "eth0", "linktype": LinkType.ETHERNET, "frame": FRAMES["v3"]}
    if "original_length" in other:
        plain["frame"] = plain["frame"][:40]
    before = decoder.decode(**plain)
    after = decoder.decode(**{**plain, **other})
    assert after == FrameDecoder().decode(**{**plain, **other})
    assert after != before


def test_what_is_remembered_is_bounded():
    decoder = FrameDecoder()
    for number in range(3 * KNOWN):
        decode(ethernet(ipv4(v2(addresses=(f"10.4.{number >> 8}.{number & 255}",)))), decoder=decoder)
        assert len(decoder._known) <= KNOWN


def test_a_frame_is_read_once(monkeypatch):
    decoder = FrameDecoder()
    first = decode(FRAMES["v3"], decoder=decoder)
    monkeypatch.setattr(frames.vrrp, "decode", None)
    assert decode(FRAMES["v3"], decoder=decoder) == first
