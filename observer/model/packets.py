"""Where in which capture file a frame stands: its number as Wireshark counts them. Found by ``sources.packets``, told by reports.

No observation carries a number: the live agent has none to give, and a verdict must not depend on it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class PacketKind(enum.IntEnum):
    """What a frame was found to be; where several are of one time, the least is believed."""

    ADVERT = 0
    RARE = 1
    """Malformed, ARP, neighbour discovery, ICMP or IGMP about VRRP."""
    ENTRY = 2
    """A journal entry of a recording, which Wireshark counts too."""
    CONTROL = 3
    """TCP with SYN, FIN or RST."""
    OTHER = 4


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame, or an entry of a recording."""

    file: str
    number: int
    """From 1, in order of the file."""
    kind: PacketKind
    router: str | None = None
    """Of adverts: who sent it."""


@dataclass(slots=True)
class Wanted:
    """What a report asks for, in nanoseconds since the epoch."""

    times: set[int] = field(default_factory=set)
    seconds: set[int] = field(default_factory=set)
    """Where seconds begin of which the first and the last frame are asked for."""


@dataclass(slots=True)
class Packets:
    """What was found."""

    by_time: dict[str, dict[int, list[Packet]]] = field(default_factory=dict)
    """By node and time."""
    spans: dict[str, dict[int, dict[str, tuple[int, int]]]] = field(default_factory=dict)
    """By node, beginning of the second, and file: the numbers of its first and last frame."""
    files: list[tuple[str, str]] = field(default_factory=list)
    """Node and path of each file that was looked through."""

    def at(self, time: int, node: str, *, router: str | None = None, kinds: frozenset[PacketKind] | None = None) -> Packet | None:
        """The frame of this time in a capture of the node; with ``router``, an advert of it. None where there is none."""
        found = [
            packet
            for packet in self.by_time.get(node, {}).get(time, ())
            if (router is None or packet.router == router) and (kinds is None or packet.kind in kinds)
        ]
        return min(found, key=lambda packet: packet.kind, default=None)
