"""Leaving the VRRP group: what a host's kernel tells routers and switches when its last process that listened there is gone.

Linux does so when keepalived stops, and when it dies; not when it freezes, enters FAULT or loses an address. Other groups, and
joining, say nothing that the adverts do not.
"""

from __future__ import annotations

from observer.model.observations import Family
from observer.wire import ip

IGMP = 2
"""Protocol number (RFC 3376 4)."""
V2_LEAVE, V3_REPORT = 0x17, 0x22
"""IGMP messages (RFC 2236 2.1, RFC 3376 4.2)."""
MLD_DONE, MLD_REPORT = 132, 143
"""MLD messages (RFC 2710 3.1, RFC 3810 5.2)."""
GROUPS = {Family.IPV4: bytes((224, 0, 0, 18)), Family.IPV6: bytes.fromhex("ff020000000000000000000000000012")}
_TO_INCLUDE = 3
"""CHANGE_TO_INCLUDE_MODE; with no sources it is a leave (RFC 3376 4.2.12, RFC 3810 5.2.12)."""
_RECORDS = 64
"""Records of one report that are looked at."""


def leaves_vrrp(packet: ip.Packet, message: bytes) -> bool:
    """Whether an IGMP or MLD message says that its sender leaves the group of VRRP (RFC 9568 5.1.1.2, 5.1.2.2)."""
    if packet.fragment or len(message) < 8:
        return False
    group, kind = GROUPS[packet.family], message[0]
    if packet.protocol == IGMP and packet.family is Family.IPV4:
        return (kind == V2_LEAVE and message[4:8] == group) or (kind == V3_REPORT and _reported(message, group))
    if packet.protocol == ip.ICMPV6:
        return (kind == MLD_DONE and message[8:24] == group) or (kind == MLD_REPORT and _reported(message, group))
    return False


def _reported(message: bytes, group: bytes) -> bool:
    """Whether one of a report's records leaves the group; both protocols lay them out alike."""
    at, count = 8, int.from_bytes(message[6:8])
    for _ in range(min(count, _RECORDS)):
        head = message[at : at + 4 + len(group)]
        if len(head) < 4 + len(group):
            return False
        sources = int.from_bytes(head[2:4])
        if head[0] == _TO_INCLUDE and not sources and head[4:] == group:
            return True
        at += 4 + len(group) * (1 + sources) + 4 * head[1]
    return False
