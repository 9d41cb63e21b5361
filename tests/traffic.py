"""A generated capture of any size: the traffic of a virtual address behind which 200 clients watch, with one flap in the middle.

For measuring, and not for judging anything but the speed: the packets are uniform, which real ones are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRP
from scapy.packet import Packet, Raw

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

VIP, OLD, NEW, CLIENT = "192.0.2.100", "192.0.2.11", "192.0.2.12", "192.0.2.21"
CLIENTS = 200
LENGTH = 100
SECONDS = 120
BEGIN = 1_700_000_000
RECORD = np.dtype([("second", "<u4"), ("nano", "<u4"), ("captured", "<u4"), ("length", "<u4"), ("frame", "u1", LENGTH)])
HEADER = bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000")
"""Little endian, nanoseconds, Ethernet."""
MACS = {OLD: "02:00:00:00:00:11", NEW: "02:00:00:00:00:12", CLIENT: "02:00:00:00:00:21"}


def write_capture(path: Path, packets: int) -> None:
    """Write so many packets, evenly over two minutes; the address moves for a failed check in the middle."""
    templates = np.stack([_padded(segment) for segment in _segments()])
    kinds = np.zeros(packets, dtype=np.int64)
    rows = np.arange(packets)
    kinds[rows % 2 == 1] = 1
    for kind, slot in enumerate((10, 20, 70), start=2):
        kinds[rows % 100 == slot] = kind
    records = np.zeros(packets, dtype=RECORD)
    records["frame"] = templates[kinds]
    ports = (40000 + rows % CLIENTS).astype(">u2").view("u1").reshape(-1, 2)
    to_client = np.isin(kinds, (1, 3))
    records["frame"][to_client, 36:38] = ports[to_client]
    records["frame"][~to_client, 34:36] = ports[~to_client]
    times = rows * (SECONDS * 10**9 // packets)
    for at, frame in _rare():
        row = min(packets - 1, at * packets // (SECONDS * 10**9))
        while records["frame"][row, 23] == 112:
            row += 1
        records["frame"][row], times[row] = frame, at
    order = np.argsort(times, kind="stable")
    records["second"], records["nano"] = BEGIN + times // 10**9, times % 10**9
    records["captured"] = records["length"] = LENGTH
    with path.open("wb") as file:
        file.write(HEADER)
        records[order].tofile(file)


def _segments() -> list[Packet]:
    """Data both ways, and what opens and closes connections."""
    up = Ether(src=MACS[CLIENT], dst=MACS[OLD]) / IP(src=CLIENT, dst=VIP)
    down = Ether(src=MACS[OLD], dst=MACS[CLIENT]) / IP(src=VIP, dst=CLIENT)
    ports: dict[str, Any] = {"sport": 40000, "dport": 6443, "seq": 1000, "ack": 1000}
    back: dict[str, Any] = {"sport": 6443, "dport": 40000, "seq": 1000, "ack": 1000}
    return [
        up / TCP(flags="PA", **ports) / Raw(b"x" * 46),
        down / TCP(flags="PA", **back) / Raw(b"x" * 46),
        up / TCP(flags="S", **ports),
        down / TCP(flags="SA", **back),
        up / TCP(flags="FA", **ports),
    ]


def _rare() -> list[tuple[int, NDArray[np.uint8]]]:
    """An advert a second: the old owner's, three of them at a lower priority in the middle, then the new owner's."""
    middle, found = SECONDS // 2, []
    for second in range(SECONDS):
        router, number = (OLD, second + 100) if second < middle else (NEW, second - middle + 1)
        priority = 45 if middle - 3 <= second < middle else 65
        ip = IP(src=router, dst="224.0.0.18", ttl=255, proto=112, id=number)
        vrrp = VRRP(version=2, vrid=51, priority=priority, addrlist=[VIP], ipcount=1, adv=1, auth1=0, auth2=0)
        found.append((second * 10**9 + 10**6, _padded(Ether(src=MACS[router], dst="01:00:5e:00:00:12") / ip / vrrp)))
    return found


def _padded(packet: Packet) -> NDArray[np.uint8]:
    return np.frombuffer(bytes(packet).ljust(LENGTH, b"\0"), dtype=np.uint8)
