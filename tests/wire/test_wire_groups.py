"""Leaving the group of VRRP: IGMP built by hand and MLD by scapy, read by our decoder and chosen by the columns."""

from __future__ import annotations

from socket import inet_aton

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6MLDMultAddrRec,
    ICMPv6MLDone,
    ICMPv6MLReport2,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Ether
from wire_building import decode

from observer.model.observations import GroupLeft
from observer.wire.links import LinkType
from observer.wire.tcp import select

HOST, HOST6 = "192.0.2.11", "fe80::11"
VRRP, VRRP6, OTHER, OTHER6 = "224.0.0.18", "ff02::12", "224.0.0.251", "ff02::fb"
TO_INCLUDE, TO_EXCLUDE, IS_EXCLUDE = 3, 4, 2


def igmp3(*records):
    """A report (RFC 3376 4.2), as Linux sends it, with a Router Alert."""
    body = bytes.fromhex("22000000") + len(records).to_bytes(4)
    for kind, group, froms in records:
        body += bytes((kind, 0, 0, len(froms))) + inet_aton(group) + b"".join(map(inet_aton, froms))
    return bytes(Ether() / IP(src=HOST, dst="224.0.0.22", ttl=1, proto=2, options=[IPOption_Router_Alert()]) / body)


def igmp2(kind, group):
    """A report or a leave (RFC 2236 2)."""
    return bytes(Ether() / IP(src=HOST, dst="224.0.0.2", ttl=1, proto=2) / (bytes((kind, 0, 0, 0)) + inet_aton(group)))


def mld(body):
    return bytes(Ether() / IPv6(src=HOST6, dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / body)


def mld2(*records):
    return mld(
        ICMPv6MLReport2(
            records=[ICMPv6MLDMultAddrRec(rtype=kind, dst=group, sources=list(froms)) for kind, group, froms in records]
        )
    )


LEAVES = {
    "IGMPv3": (igmp3((TO_INCLUDE, VRRP, ())), HOST),
    "IGMPv3, another group first": (igmp3((TO_EXCLUDE, OTHER, ("192.0.2.1",)), (TO_INCLUDE, VRRP, ())), HOST),
    "IGMPv2": (igmp2(0x17, VRRP), HOST),
    "MLDv2": (mld2((TO_INCLUDE, VRRP6, ())), HOST6),
    "MLDv2, another group first": (mld2((TO_EXCLUDE, OTHER6, ("fe80::1",)), (TO_INCLUDE, VRRP6, ())), HOST6),
    "MLDv1": (mld(ICMPv6MLDone(mladdr=VRRP6)), HOST6),
}
NONE = {
    "joining": igmp3((TO_EXCLUDE, VRRP, ())),
    "the answer to a query": igmp3((IS_EXCLUDE, VRRP, ())),
    "from now on from one source only": igmp3((TO_INCLUDE, VRRP, ("192.0.2.12",))),
    "another group": igmp3((TO_INCLUDE, OTHER, ())),
    "IGMPv2, joining": igmp2(0x16, VRRP),
    "IGMPv2, another group": igmp2(0x17, OTHER),
    "MLDv2, joining": mld2((TO_EXCLUDE, VRRP6, ())),
    "MLDv2, another group": mld2((TO_INCLUDE, OTHER6, ())),
    "MLDv1, another group": mld(ICMPv6MLDone(mladdr=OTHER6)),
}


def chosen(frame):
    """Whether the columns hand a frame to the decoder."""
    found = select(
        node="m0",
        interface=None,
        linktype=LinkType.ETHERNET,
        data=np.frombuffer(frame, np.uint8),
        offsets=np.zeros(1, np.int64),
        lengths=np.array([len(frame)], np.int64),
        times=np.ones(1, np.int64),
        data_segments=True,
    )
    return len(found.rare) == 1


@pytest.mark.parametrize("name", LEAVES)
def test_a_host_leaves(name):
    frame, router = LEAVES[name]
    found = decode(frame)
    assert isinstance(found, GroupLeft)
    assert found.router == router
    assert chosen(frame)


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_leave(name):
    assert decode(NONE[name]) is None


@given(st.sampled_from(sorted(LEAVES)), st.data())
def test_cut_short_or_garbled_it_is_never_an_error(name, data):
    frame = bytearray(LEAVES[name][0])
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(14, len(frame) - 1))] = data.draw(st.integers(0, 255))
    decode(bytes(frame[: data.draw(st.integers(0, len(frame)))]))
