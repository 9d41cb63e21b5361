"""ARP for IPv4 over Ethernet (RFC 826, RFC 5227): who claims or asks for an address. Garbage is None, not an error."""

from __future__ import annotations

from typing import NamedTuple

from observer.model.addresses import address_text, mac_text
from observer.model.observations import NeighbourKind

_ETHERNET_IPV4 = bytes.fromhex("0001 0800 06 04")
_LENGTH = 28
_UNSPECIFIED = bytes(4)


class Claim(NamedTuple):
    """What an ARP or Neighbour Discovery message says, named as in ``model.observations.Neighbour``."""

    kind: NeighbourKind
    mac: str
    sender: str
    target: str


def decode(message: bytes) -> Claim | None:
    """Read one ARP message; octets behind it are padding. None for other operations, hardware and protocols.

    An announcement is told by its addresses alone, for keepalived announces with requests and Cisco with replies
    (RFC 5227 3 defines the former). A probe has sender 0.0.0.0 and is a request (RFC 5227 1.1).
    """
    if len(message) < _LENGTH or message[:6] != _ETHERNET_IPV4:
        return None
    operation = int.from_bytes(message[6:8])
    mac, sender, target = message[8:14], message[14:18], message[24:28]
    if operation not in (1, 2) or (operation == 2 and sender == _UNSPECIFIED):
        return None
    if sender == target and sender != _UNSPECIFIED:
        kind = NeighbourKind.ANNOUNCEMENT
    else:
        kind = NeighbourKind.REQUEST if operation == 1 else NeighbourKind.REPLY
    return Claim(kind, mac_text(mac), address_text(sender), address_text(target))
