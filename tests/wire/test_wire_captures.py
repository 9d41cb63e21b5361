"""Captures that others made (see README.md beside them)."""

from __future__ import annotations

import pathlib
from collections import Counter

import numpy as np
import pytest
from scapy.utils import RawPcapReader

from observer.model.observations import Advert, Malformed, Neighbour
from observer.wire.frames import FrameDecoder
from observer.wire.links import supported
from observer.wire.tcp import select

CAPTURES = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "captures"
pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"{CAPTURES} is not there")


def frames(name):
    """(link type, frame, length on the wire) of each packet."""
    with RawPcapReader(str(CAPTURES / name)) as reader:
        for frame, meta in reader:
            yield getattr(meta, "linktype", None) or reader.linktype, frame, meta.wirelen


def decoded(name):
    decoder = FrameDecoder()
    return [
        decoder.decode(time=time, node="a", interface=None, linktype=linktype, frame=frame, original_length=length)
        for time, (linktype, frame, length) in enumerate(frames(name))
    ]


def test_tcpdumps_sample():
    seen = decoded("tcpdump-vrrp.pcap")
    assert all(isinstance(advert, Advert) for advert in seen)
    assert Counter((a.vrid, a.version, a.family.label, a.checksum, a.authentication, len(a.addresses)) for a in seen) == {
        (42, 2, "ipv4", "message", "simple", 3): 34,
        (43, 2, "ipv4", "message", "none", 1): 34,
        (44, 3, "ipv4", "pseudo_header", "none", 2): 33,
        (45, 3, "ipv6", "pseudo_header", "none", 2): 32,
        (46, 3, "ipv6", "pseudo_header", "none", 5): 32,
    }
    assert {advert.interval for advert in seen} == {10_000_000_000}
    assert {advert.authentication_group for advert in seen} == {0, 1}


def test_its_password_is_in_no_repr():
    linktype, frame, _ = next(frames("tcpdump-vrrp.pcap"))
    password = frame[-8:]
    assert password.isalnum()
    decoder = FrameDecoder()
    for broken in (frame, frame[:-1], frame[:-12], frame[:22] + b"\1" + frame[23:], frame[:40] + b"\0" + frame[41:]):
        seen = decoder.decode(time=1, node="a", interface=None, linktype=linktype, frame=broken)
        assert seen is not None
        assert password.decode() not in repr(seen) + repr(decoder)
    everything = repr(decoded("tcpdump-vrrp.pcap"))
    assert password.decode() not in everything
    assert password.hex() not in everything


def test_ndpis_version_3_over_ipv6():
    seen = decoded("ndpi-vrrp3-ipv6.pcapng")
    assert len(seen) == 10
    assert {(a.vrid, a.version, a.family.label, a.checksum, a.mac) for a in seen} == {
        (36, 3, "ipv6", "pseudo_header", "00:00:5e:00:02:24")
    }


def test_gratuitous_arp_of_a_router():
    seen = decoded("networklessons-vrrp-gratuitous-arp.pcapng")
    assert [type(one) for one in seen] == [Advert, Neighbour, Neighbour, Advert]
    assert {(one.kind, one.sender, one.target, one.mac) for one in seen if isinstance(one, Neighbour)} == {
        ("announcement", "192.168.1.3", "192.168.1.3", "00:00:5e:00:01:01")
    }


def test_what_a_fuzzer_found():
    assert not any(supported(linktype) for linktype, _, _ in frames("tcpdump-vrrp-oobr.pcap"))
    assert decoded("tcpdump-vrrp-oobr.pcap") == [None] * 3
    seen = decoded("tcpdump-vrrp-oobr-2.pcap")
    assert {type(one) for one in seen} == {Malformed}
    assert {one.reason for one in seen} == {"fragment"}


@pytest.mark.parametrize("name", ["tcpdump-vrrp.pcap", "networklessons-vrrp-gratuitous-arp.pcapng"])
def test_all_of_it_goes_the_rare_road(name):
    taken = [frame for _, frame, _ in frames(name)]
    lengths = np.array([len(frame) for frame in taken], np.int64)
    selection = select(
        node="a",
        interface=None,
        linktype=1,
        data=np.frombuffer(b"".join(taken), np.uint8),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        times=np.arange(len(taken), dtype=np.int64),
        data_segments=True,
    )
    assert selection.rare.tolist() == list(range(len(taken)))
    assert selection.segments is None
    assert selection.truncated == 0
