"""ICMP's word that a host has no process for VRRP: the answer of its kernel to an advert sent to it alone."""

from __future__ import annotations

from observer.model.observations import Family
from observer.wire import ip

UNREACHABLE, PROTOCOL = 3, 2
"""Destination Unreachable, protocol unreachable (RFC 792)."""
PARAMETER_PROBLEM, NEXT_HEADER = 4, 1
"""Parameter Problem, unrecognized Next Header (RFC 4443 3.4)."""
_QUOTED = 8
"""Where the packet in error begins (RFC 792, RFC 4443 3.4)."""


def refuses_vrrp(packet: ip.Packet, message: bytes) -> bool:
    """Whether an ICMP message says that its sender does not take protocol 112."""
    if packet.fragment:
        return False
    if packet.family is Family.IPV4:
        return message[:2] == bytes((UNREACHABLE, PROTOCOL)) and message[_QUOTED + 9 : _QUOTED + 10] == bytes((ip.VRRP,))
    return message[:2] == bytes((PARAMETER_PROBLEM, NEXT_HEADER)) and message[_QUOTED + 6 : _QUOTED + 7] == bytes((ip.VRRP,))
