"""What TCP shows of the virtual routers' addresses: whether their proxy serves, and what was reset. Sums, by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from observer.engine.tallies import Tallies
from observer.model.addresses import address_words
from observer.model.segments import Tcp
from observer.rules.view import ServiceCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.model.segments import TcpSegments

PORTS = 64
"""Service ports kept for each address."""

KINDS = ("syn", "syn_ack", "finished", "aborted", "data", "refused", "orphaned")


@dataclass(slots=True, eq=False)
class Marks:
    """Which rows of a batch are what, for one address: masks over all rows."""

    syn: NDArray[np.bool_]
    """Clients ask to connect."""
    syn_ack: NDArray[np.bool_]
    finished: NDArray[np.bool_]
    """FIN from the address."""
    refused: NDArray[np.bool_]
    """Answers to SYNs that nothing listens."""
    aborted: NDArray[np.bool_]
    """Resets with live sequence numbers from the address."""
    bare: NDArray[np.bool_]
    """Resets without ACK from the address: it does not know the connection."""
    client: NDArray[np.bool_]
    """Resets from clients."""
    served: NDArray[np.bool_]
    """From or to a port at which the address was seen to serve by then."""


class Service:
    """The TCP of one virtual address, from every vantage point that saw it."""

    def __init__(self, address: str) -> None:
        self.words = address_words(address)
        self.seen = False
        """Any segment from or to the address was seen."""
        self.ports: dict[int, int] = {}
        """Ports at which the address was seen to serve, and since when."""
        self._tallies = {kind: Tallies() for kind in KINDS}

    def segments(self, segments: TcpSegments) -> Marks | None:
        """Sum a batch, and say which of its rows are what; None where none is from or to the address."""
        high, low = np.uint64(self.words[0]), np.uint64(self.words[1])
        incoming = (segments.destinations[:, 0] == high) & (segments.destinations[:, 1] == low)
        outgoing = (segments.sources[:, 0] == high) & (segments.sources[:, 1] == low)
        if not (incoming.any() or outgoing.any()):
            return None
        self.seen = True
        flags = segments.flags & (Tcp.SYN | Tcp.ACK | Tcp.RST | Tcp.FIN)
        syn_ack = outgoing & (flags == Tcp.SYN | Tcp.ACK)
        resets = (flags & Tcp.RST) != 0
        reset = outgoing & resets
        acked = (flags & Tcp.ACK) != 0
        # The holder opens connections of its own from the address too: there it is a client, from a high port.
        low_port = segments.source_ports < segments.destination_ports
        closing = outgoing & ~reset & ~syn_ack & low_port & (((flags & Tcp.FIN) != 0) | (segments.payloads > 0))
        self._serves(segments.source_ports, segments.times, syn_ack | closing)
        served = self._served(np.where(outgoing, segments.source_ports, segments.destination_ports), segments.times)
        server = served | low_port
        refused = reset & acked & (segments.sequence == 0) & (segments.windows == 0)
        marks = Marks(
            syn=incoming & (flags == Tcp.SYN),
            syn_ack=syn_ack,
            finished=outgoing & served & ((flags & (Tcp.FIN | Tcp.RST)) == Tcp.FIN),
            refused=refused & server,
            aborted=reset & acked & ~refused & served,
            bare=reset & ~acked & server,
            client=incoming & resets & (served | (segments.destination_ports < segments.source_ports)),
            served=served,
        )
        kinds = {
            "syn": marks.syn,
            "syn_ack": syn_ack,
            "finished": marks.finished,
            "aborted": marks.aborted,
            "data": outgoing & served & (segments.payloads > 0) & ~reset,
            # A port where nothing ever listened says nothing of the proxy.
            "refused": refused & served,
            "orphaned": marks.bare,
        }
        for name, mask in kinds.items():
            self._tallies[name].add(segments.times[mask], None if segments.weights is None else segments.weights[mask])
        return marks

    def between(self, begin: int, end: int) -> ServiceCounts:
        """What was seen from ``begin`` to ``end``; a tenth of a second is the resolution at the borders."""
        seen = {kind: tallies.between(begin, end) for kind, tallies in self._tallies.items()}
        first = {kind: tally.first for kind, tally in seen.items() if tally is not None}
        last = {kind: tally.last for kind, tally in seen.items() if tally is not None}
        actions = [last[kind] for kind in ("finished", "aborted", "data") if kind in last]
        return ServiceCounts(
            **{kind: 0 if tally is None else tally.total for kind, tally in seen.items()},
            first_refused=first.get("refused"),
            last_refused=last.get("refused"),
            last_syn_ack=last.get("syn_ack"),
            last_action=max(actions, default=None),
        )

    def _serves(self, ports: NDArray[np.uint16], times: NDArray[np.int64], shown: NDArray[np.bool_]) -> None:
        """Note the ports of segments that show that the address serves there, and since when."""
        if not shown.any():
            return
        found, first = np.unique(ports[shown], return_index=True)
        for port, time in zip(found.tolist(), times[shown][first].tolist(), strict=True):
            if len(self.ports) < PORTS:
                self.ports.setdefault(port, time)

    def _served(self, ports: NDArray[np.uint16], times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the ports are such at which the address serves, or had served by then."""
        served = np.zeros(len(ports), dtype=np.bool_)
        for port, since in self.ports.items():
            served |= (ports == port) & (times >= since)
        return served
