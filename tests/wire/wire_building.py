"""Builders of frames, octet by octet and independent of the decoder; every argument is a field as it stands on the wire."""

from __future__ import annotations

import ipaddress
import struct

from observer.wire.frames import FrameDecoder
from observer.wire.links import LinkType

ROUTER_MAC = bytes.fromhex("02000000000a")
GROUP_MAC = bytes.fromhex("01005e000012")
VIRTUAL_MAC = bytes.fromhex("00005e00012a")


def packed(address):
    return ipaddress.ip_address(address).packed


def checksum(octets):
    """RFC 1071, the slow way."""
    octets += b"\0" * (len(octets) % 2)
    total = 0
    for at in range(0, len(octets), 2):
        total += octets[at] * 256 + octets[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def with_checksum(message, header=b"", at=6):
    blank = message[:at] + b"\0\0" + message[at + 2 :]
    return message[:at] + struct.pack("!H", checksum(header + blank)) + message[at + 2 :]


def pseudo(source, destination, length, protocol=112):
    if ":" in source:
        return packed(source) + packed(destination) + struct.pack("!II", length, protocol)
    return packed(source) + packed(destination) + struct.pack("!BBH", 0, protocol, length)


def v2(vrid=42, priority=100, interval=1, addresses=("10.4.42.1",), auth_type=0, auth=bytes(8), first=0x21, count=None):
    count = len(addresses) if count is None else count
    header = bytes([first, vrid, priority, count, auth_type, interval, 0, 0])
    return with_checksum(header + b"".join(map(packed, addresses)) + auth)


def v3_blank(vrid=44, priority=100, centiseconds=100, addresses=("10.4.44.1",), first=0x31, count=None, reserved=0):
    count = len(addresses) if count is None else count
    header = bytes([first, vrid, priority, count]) + struct.pack("!HH", reserved << 12 | centiseconds, 0)
    return header + b"".join(map(packed, addresses))


def v3(source="10.0.0.5", destination="224.0.0.18", covered=None, **fields):
    """With the pseudo-header of ``covered`` (default: the real destination)."""
    message = v3_blank(**fields)
    return with_checksum(message, pseudo(source, covered or destination, len(message)))


def v3_message_only(**fields):
    return with_checksum(v3_blank(**fields))


def v6(source="fe80::5", destination="ff02::12", addresses=("fe80::100", "2001:db8::100"), **fields):
    return v3(source=source, destination=destination, addresses=addresses, **fields)


def ipv4(
    payload,
    source="10.0.0.5",
    destination="224.0.0.18",
    ttl=255,
    protocol=112,
    ident=7,
    fragment=0,
    options=b"",
    total=None,
):
    words = 5 + len(options) // 4
    total = words * 4 + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0xC0, total, ident, fragment, ttl, protocol, 0)
    head = with_checksum(head + packed(source) + packed(destination) + options, at=10)
    return head + payload


def ipv6(payload, source="fe80::5", destination="ff02::12", hop_limit=255, protocol=112, length=None):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", 0x60000000, length, protocol, hop_limit) + packed(source) + packed(destination) + payload


def ah(payload, following=112, spi=0x0A000005):
    """As keepalived's: 24 octets."""
    return struct.pack("!BBHII", following, 4, 0, spi, 1) + bytes(12) + payload


def ethertype_of(network):
    return {4: 0x0800, 6: 0x86DD}[network[0] >> 4]


def ethernet(network, ethertype=None, vlans=(), source=ROUTER_MAC, destination=GROUP_MAC):
    """``vlans``: (tag's ethertype, identifier) from the outermost."""
    ethertype = ethertype_of(network) if ethertype is None else ethertype
    tags = b"".join(struct.pack("!HH", tag, 0xE000 | vlan) for tag, vlan in vlans)
    return destination + source + tags + struct.pack("!H", ethertype) + network


def sll(network, kind=0, mac=ROUTER_MAC, ethertype=None):
    ethertype = ethertype_of(network) if ethertype is None else ethertype
    return struct.pack("!HHH", kind, 1, len(mac)) + mac.ljust(8, b"\0") + struct.pack("!H", ethertype) + network


def sll2(network, kind=0, mac=ROUTER_MAC, ifindex=3, ethertype=None):
    ethertype = ethertype_of(network) if ethertype is None else ethertype
    return struct.pack("!HHIHBB", ethertype, 0, ifindex, 1, kind, len(mac)) + mac.ljust(8, b"\0") + network


def null(network, order="<"):
    return struct.pack(f"{order}I", {4: 2, 6: 30}[network[0] >> 4]) + network


LINKS = {
    "ethernet": (LinkType.ETHERNET, ethernet),
    "802.1q": (LinkType.ETHERNET, lambda network: ethernet(network, vlans=[(0x8100, 5)])),
    "qinq": (LinkType.ETHERNET, lambda network: ethernet(network, vlans=[(0x88A8, 5), (0x8100, 6)])),
    "stacked 0x9100": (
        LinkType.ETHERNET,
        lambda network: ethernet(network, vlans=[(0x9100, 5), (0x8100, 6), (0x8100, 7)]),
    ),
    "twelve tags": (LinkType.ETHERNET, lambda network: ethernet(network, vlans=[(0x8100, 5)] * 12)),
    "cooked": (LinkType.LINUX_SLL, sll),
    "cooked 802.1q": (
        LinkType.LINUX_SLL,
        lambda network: sll(struct.pack("!HH", 5, ethertype_of(network)) + network, ethertype=0x8100),
    ),
    "cooked v2": (LinkType.LINUX_SLL2, sll2),
    "raw": (LinkType.RAW, bytes),
    "raw dlt 12": (LinkType.RAW_DLT, bytes),
    "raw dlt 14": (LinkType.RAW_DLT_OPENBSD, bytes),
    "null, little endian": (LinkType.NULL, null),
    "null, big endian": (LinkType.NULL, lambda network: null(network, ">")),
    "loop": (LinkType.LOOP, lambda network: null(network, ">")),
}
"""name: (link type, a function from a network packet to a frame)."""

SECRET = b"s3cr3t!!"


def decode(frame, linktype=LinkType.ETHERNET, decoder=None, **more):
    """One frame, seen by node "a" at time 1."""
    decoder = decoder or FrameDecoder()
    return decoder.decode(time=1, node="a", interface="eth0", linktype=linktype, frame=frame, **more)
