"""Send three gratuitous ARP requests: `announce.py INTERFACE ADDRESS`, in the namespace of the announcing node."""

from __future__ import annotations

import socket
import sys

ETH_ARP = 0x0806


def announce(interface: str, address: str) -> None:
    """Say that the address is at this interface's MAC."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, ETH_ARP))
        mac, ip = raw.getsockname()[4], socket.inet_aton(address)
        ethernet = b"\xff" * 6 + mac + ETH_ARP.to_bytes(2, "big")
        request = bytes.fromhex("0001 0800 06 04 0001") + mac + ip + b"\x00" * 6 + ip
        for _ in range(3):
            raw.send(ethernet + request)


if __name__ == "__main__":
    announce(sys.argv[1], sys.argv[2])
