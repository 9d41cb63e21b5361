"""Generated captures of any size: the traffic of a virtual address behind which 200 clients watch, with one flap in the middle.

For measuring, and not for judging anything but the speed: the packets are uniform, which real ones are not. Of a thousand
packets 899 are TCP data as a snapshot length of 128 leaves them, 100 are TCP control segments (SYN, SYN-ACK, FIN, RST), and one
is an advert or ARP, which come every half second.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vrrp import VRRP
from scapy.packet import Raw

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray
    from scapy.packet import Packet

    Octets = NDArray[np.uint8]

VIP, OLD, NEW, CLIENT = "192.0.2.100", "192.0.2.11", "192.0.2.12", "192.0.2.21"
CLIENTS = 200
SNAP = 128
BEGIN = 1_700_000_000
PACE = 1000
"""Packets from one advert or ARP to the next."""
APART = 500_000_000
"""Nanoseconds from one advert or ARP to the next."""
CHUNK = 1000 * PACE
MACS = {OLD: "02:00:00:00:00:11", NEW: "02:00:00:00:00:12", CLIENT: "02:00:00:00:00:21"}


class _Kind(NamedTuple):
    frame: Octets
    """As captured."""
    length: int
    """On the wire."""
    port: int | None = None
    """Where the client's port stands in the frame."""


def write_capture(path: Path, packets: int, *, pcapng: bool = False) -> None:
    """Write so many packets; the address moves for a failed check in the middle. Little endian, microseconds, Ethernet."""
    kinds = _segments()
    pattern = _pattern(len(kinds))
    with path.open("wb") as file:
        file.write(_PCAPNG_HEAD if pcapng else struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP, 1))
        for begin in range(0, packets, CHUNK):
            count = min(CHUNK, packets - begin)
            _chunk(file, begin, count, packets, kinds, pattern, pcapng=pcapng)


_PCAPNG_HEAD = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28) + struct.pack("<IIHHII", 1, 20, 1, 0, SNAP, 20)


def _pattern(segments: int) -> NDArray[np.int64]:
    """Kinds of a thousand packets: 0 and 1 are data up and down, then control, and the last is rare."""
    kinds = np.arange(PACE) % 2
    control = np.arange(100) * 10 + np.arange(100) % 7 + 1
    kinds[control] = 2 + np.arange(100) % (segments - 2)
    kinds[0] = segments
    return kinds


def _chunk(
    file: BinaryIO, begin: int, count: int, packets: int, segments: list[_Kind], pattern: NDArray[np.int64], *, pcapng: bool
) -> None:
    numbers = np.arange(begin, begin + count)
    drawn = pattern[numbers % PACE]
    rare = {int(number): _rare(int(number) // PACE, packets // PACE) for number in numbers[drawn == len(segments)]}
    kinds = [*segments, *rare.values()]
    drawn[drawn == len(segments)] = len(segments) + np.arange(len(rare))
    captured = np.array([len(kind.frame) for kind in kinds])[drawn]
    wire = np.array([kind.length for kind in kinds])[drawn]
    head = 28 if pcapng else 16
    size = captured + 16 if not pcapng else (captured + 3 & ~3) + 32
    at = np.concatenate(([0], np.cumsum(size)))
    octets = np.zeros(int(at[-1]), np.uint8)
    times = BEGIN * 10**6 + numbers * (APART // PACE) // 1000
    if pcapng:
        fields = (np.full(count, 6), size, np.zeros(count), times >> 32, times & 0xFFFFFFFF, captured, wire)
    else:
        fields = (times // 10**6, times % 10**6, captured, wire)
    for index, field in enumerate(fields):
        octets[at[:-1, None] + np.arange(4 * index, 4 * index + 4)] = field.astype("<u4").view("u1").reshape(-1, 4)
    if pcapng:
        octets[at[1:, None] + np.arange(-4, 0)] = size.astype("<u4").view("u1").reshape(-1, 4)
    for number, kind in enumerate(kinds[: len(segments)]):
        its = np.flatnonzero(drawn == number)
        octets[at[its, None] + head + np.arange(len(kind.frame))] = kind.frame
        if kind.port is not None:
            ports = (40000 + numbers[its] * 7 % CLIENTS).astype(">u2").view("u1").reshape(-1, 2)
            octets[at[its, None] + head + kind.port + np.arange(2)] = ports
    for number, kind in rare.items():
        where = int(at[number - begin]) + head
        octets[where : where + len(kind.frame)] = kind.frame
    octets.tofile(file)


def _segments() -> list[_Kind]:
    """Data both ways, and what opens, closes and breaks connections."""
    up = Ether(src=MACS[CLIENT], dst=MACS[OLD]) / IP(src=CLIENT, dst=VIP)
    down = Ether(src=MACS[OLD], dst=MACS[CLIENT]) / IP(src=VIP, dst=CLIENT)
    ports: dict[str, Any] = {"sport": 40000, "dport": 6443, "seq": 1000, "ack": 1000}
    back: dict[str, Any] = {"sport": 6443, "dport": 40000, "seq": 1000, "ack": 1000}
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 1)), ("NOP", None), ("WScale", 7)]
    stamp = [("NOP", None), ("NOP", None), ("Timestamp", (1, 1))]
    data = Raw(b"x" * 1200)
    return [
        _kind(up / TCP(flags="PA", options=stamp, **ports) / data, 34),
        _kind(down / TCP(flags="PA", options=stamp, **back) / data, 36),
        _kind(up / TCP(flags="S", options=options, **ports), 34),
        _kind(down / TCP(flags="SA", options=options, **back), 36),
        _kind(up / TCP(flags="FA", options=stamp, **ports), 34),
        _kind(down / TCP(flags="FA", options=stamp, **back), 36),
        _kind(up / TCP(flags="R", **ports), 34),
    ]


def _rare(number: int, of: int) -> _Kind:
    """An advert and an ARP request in turn; the old owner's adverts, the last three lower, then the new owner's."""
    turn, middle = number // 2, of // 4
    router = OLD if turn < middle else NEW
    if number % 2:
        arp = ARP(op="who-has", hwsrc=MACS[CLIENT], psrc=CLIENT, pdst=VIP)
        return _kind(Ether(src=MACS[CLIENT], dst="ff:ff:ff:ff:ff:ff") / arp)
    priority = 45 if middle - 3 <= turn < middle else 65
    ip = IP(src=router, dst="224.0.0.18", ttl=255, proto=112, id=1 + turn % 65535)
    vrrp = VRRP(version=2, vrid=51, priority=priority, addrlist=[VIP], ipcount=1, adv=1, auth1=0, auth2=0)
    return _kind(Ether(src=MACS[router], dst="01:00:5e:00:00:12") / ip / vrrp)


def _kind(packet: Packet, port: int | None = None) -> _Kind:
    octets = bytes(packet)
    return _Kind(np.frombuffer(octets[:SNAP], np.uint8), len(octets), port)
