"""Announce an address: `announce.py INTERFACE ADDRESS [EVERY]`, in the namespace of the announcing node.

Three gratuitous ARP requests, or three unsolicited neighbour advertisements for IPv6; with EVERY again and again after so many
seconds, until killed.
"""

from __future__ import annotations

import socket
import sys
import time

ETH_ARP, ETH_IPV6 = 0x0806, 0x86DD


def announce(interface: str, address: str) -> None:
    """Say that the address is at this interface's MAC."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        mac = raw.getsockname()[4]
        frame = _advertisement(mac, address) if ":" in address else _request(mac, address)
        for _ in range(3):
            raw.send(frame)


def _request(mac: bytes, address: str) -> bytes:
    ip = socket.inet_aton(address)
    ethernet = b"\xff" * 6 + mac + ETH_ARP.to_bytes(2, "big")
    return ethernet + bytes.fromhex("0001 0800 06 04 0001") + mac + ip + b"\x00" * 6 + ip


def _advertisement(mac: bytes, address: str) -> bytes:
    """From the address itself to all nodes, with Override (RFC 4861 4.4, 7.2.6)."""
    ip, everybody = socket.inet_pton(socket.AF_INET6, address), socket.inet_pton(socket.AF_INET6, "ff02::1")
    body = bytes.fromhex("88 00 0000 20000000") + ip + b"\x02\x01" + mac
    pseudo = ip + everybody + len(body).to_bytes(4, "big") + b"\x00\x00\x00\x3a"
    total = sum(int.from_bytes((pseudo + body)[at : at + 2], "big") for at in range(0, len(pseudo + body), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + (total ^ 0xFFFF).to_bytes(2, "big") + body[4:]
    header = bytes.fromhex("60000000") + len(body).to_bytes(2, "big") + b"\x3a\xff" + ip + everybody
    return bytes.fromhex("333300000001") + mac + ETH_IPV6.to_bytes(2, "big") + header + body


if __name__ == "__main__":
    announce(sys.argv[1], sys.argv[2])
    while len(sys.argv) > 3:
        time.sleep(float(sys.argv[3]))
        announce(sys.argv[1], sys.argv[2])
