"""Send adverts with a wrong checksum: `malformed.py ADDRESS VIP [COUNT]`, in the namespace of the node with that IPv4 address."""

from __future__ import annotations

import socket
import sys

VRRP = 112
GROUP = "224.0.0.18"


def malformed(address: str, vip: str, count: int) -> None:
    """Version 2, VRID 51, priority 100, one address; everything is right but the checksum."""
    advert = bytes([0x21, 51, 100, 1, 0, 1, 0xDE, 0xAD, *socket.inet_aton(vip), *bytes(8)])
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP) as raw:
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        for _ in range(count):
            raw.sendto(advert, (GROUP, 0))


if __name__ == "__main__":
    malformed(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 3)
