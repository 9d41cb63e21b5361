"""Frames as fast as one processor sends them: `flood.py INTERFACE SECONDS KIND [RATE]`; prints how many went out, in what time.

KIND is a word of `KINDS`; RATE bounds the frames a second. Runs without site-packages, so that it starts quickly anywhere.
"""

from __future__ import annotations

import ctypes
import json
import socket
import struct
import sys
import time

VIP, ROUTER, OTHER = "192.0.2.100", "192.0.2.11", "192.0.2.12"
VRID = 51
BATCH = 512
"""Frames of one system call, and so many clients."""
TO = bytes.fromhex("0200000000ff")
FROM = bytes.fromhex("020000000011")
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20


def checksum(octets: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - ((total & 0xFFFF) + (total >> 16))


def ipv4(source: str, destination: str, protocol: int, payload: bytes, ident: int = 0, ttl: int = 64) -> bytes:
    """An Ethernet frame."""
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, 0, ttl, protocol, 0) + ends
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return TO + FROM + b"\x08\x00" + head + payload


def tcp(client: int, flags: int, payload: bytes = b"", *, source: str = VIP) -> bytes:
    """A segment from the address to one of many clients."""
    header = struct.pack("!HHIIBBHHH", 6443, 20000 + client, 1_000_000 + client, 0, 0x50, flags, 0, 0, 0)
    return ipv4(source, f"198.51.100.{client % 250 + 1}", 6, header + payload)


def arp(client: int) -> bytes:
    """A request, broadcast."""
    asked = socket.inet_aton(f"192.0.2.{client % 250 + 1}")
    request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + FROM + socket.inet_aton(OTHER) + bytes(6) + asked
    return b"\xff" * 6 + FROM + b"\x08\x06" + request


def advert(ident: int, priority: int = 100, centiseconds: int = 100) -> bytes:
    """VRRPv3 of one virtual address."""
    message = struct.pack("!BBBBHH", 0x31, VRID, priority, 1, centiseconds, 0) + socket.inet_aton(VIP)
    pseudo = socket.inet_aton(ROUTER) + socket.inet_aton("224.0.0.18") + struct.pack("!BBH", 0, 112, len(message))
    message = message[:6] + struct.pack("!H", checksum(pseudo + message)) + message[8:]
    return ipv4(ROUTER, "224.0.0.18", 112, message, ident, 255)


KINDS = {
    "resets": lambda client: tcp(client, 0x04),
    "mixed": lambda client: tcp(client, (0x04, 0x12, 0x11, 0x14)[client % 4], bytes(client % 3 * 8)),
    "data": lambda client: tcp(client, 0x18, bytes(46)),
    "elsewhere": lambda client: tcp(client, 0x04, source="192.0.2.200"),
    "arp": arp,
}
"""Resets of the address; resets, SYN ACKs and FINs of several lengths; data; resets of another address; ARP requests."""


class Sender:
    """Sends the same frames again and again, all with one system call."""

    def __init__(self, interface: str, frames: list[bytes], *, visible: bool = False) -> None:
        """Unless `visible`, captures of the sending node do not see them: that is faster."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind((interface, 0))
        self._socket.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, not visible)
        self._frames = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
        self._vectors = (ctypes.c_uint64 * (2 * len(frames)))()
        # struct mmsghdr: struct msghdr of 56 octets, then msg_len.
        self._messages = (ctypes.c_uint64 * (8 * len(frames)))()
        for index, frame in enumerate(self._frames):
            self._vectors[2 * index], self._vectors[2 * index + 1] = ctypes.addressof(frame), len(frame)
            self._messages[8 * index + 2] = ctypes.addressof(self._vectors) + 16 * index
            self._messages[8 * index + 3] = 1
        self._send = ctypes.CDLL(None, use_errno=True).sendmmsg

    def send(self) -> int:
        """Send all frames once; how many went out."""
        sent = self._send(self._socket.fileno(), self._messages, len(self._frames), 0)
        return max(sent, 0)

    def close(self) -> None:
        """Close its socket."""
        self._socket.close()


def main(interface: str, seconds: float, kind: str, rate: float = 0) -> None:
    """Flood an interface for some seconds."""
    sender = Sender(interface, [KINDS[kind](client) for client in range(BATCH)])
    sent, begin = 0, time.monotonic()
    while (elapsed := time.monotonic() - begin) < seconds:
        if rate and sent > rate * elapsed:
            time.sleep((sent - rate * elapsed) / rate)
        sent += sender.send()
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - begin}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
