"""TCP segments as columns: there may be millions, and most of what is asked of them is asked of all at once."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Tcp(enum.IntFlag):
    """TCP header flags (RFC 9293 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frames:
    """The first octets of captured frames, for recording: row *i* is ``octets[offsets[i] : offsets[i] + lengths[i]]``.

    A copy that nobody changes; at most 128 octets a frame, so headers and hardly any data.
    """

    octets: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    original_lengths: NDArray[np.int64]
    """Octets on the wire."""
    linktype: int
    """LINKTYPE_ number of all of them."""
    outgoing: NDArray[np.bool_]
    """Sent by the observing node."""

    def rows(self, selection: Any) -> Frames:
        """The frames of a slice, a mask or an index array; the octets are shared."""
        return Frames(
            octets=self.octets,
            offsets=self.offsets[selection],
            lengths=self.lengths[selection],
            original_lengths=self.original_lengths[selection],
            linktype=self.linktype,
            outgoing=self.outgoing[selection],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TcpSegments:
    """TCP segments of one vantage point as columns, in order of time; row *i* of every column is one segment.

    Holds segments with SYN, FIN or RST, and in replay those that carry data. Addresses are two 64-bit words, high and low, IPv4
    mapped into IPv6 (RFC 4291 2.5.5.2), so that both families go the same way.
    """

    node: str
    interface: str | None
    times: NDArray[np.int64]
    sources: NDArray[np.uint64]
    """Shape (n, 2)."""
    destinations: NDArray[np.uint64]
    """Shape (n, 2)."""
    source_ports: NDArray[np.uint16]
    destination_ports: NDArray[np.uint16]
    flags: NDArray[np.uint8]
    sequence: NDArray[np.uint32]
    acknowledgement: NDArray[np.uint32]
    windows: NDArray[np.uint16]
    payloads: NDArray[np.uint32]
    """Bytes of data, from the IP header's length and not from what was captured."""
    macs: NDArray[np.uint64]
    """Link-layer source as a number, 0 where the link layer has none."""
    frames: Frames | None = None
    """The frames themselves, row by row, where a live source was asked to keep them; None in replay."""
    weights: NDArray[np.uint32] | None = None
    """How many segments each row stands for, where a reader left out others of its kind (see ``wire.sift``); None for one."""

    @property
    def time(self) -> int:
        """Time of the first segment."""
        return int(self.times[0])

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, selection: Any) -> TcpSegments:
        """The segments of a slice, a mask or an index array."""
        return TcpSegments(
            node=self.node,
            interface=self.interface,
            times=self.times[selection],
            sources=self.sources[selection],
            destinations=self.destinations[selection],
            source_ports=self.source_ports[selection],
            destination_ports=self.destination_ports[selection],
            flags=self.flags[selection],
            sequence=self.sequence[selection],
            acknowledgement=self.acknowledgement[selection],
            windows=self.windows[selection],
            payloads=self.payloads[selection],
            macs=self.macs[selection],
            frames=None if self.frames is None else self.frames.rows(selection),
            weights=None if self.weights is None else self.weights[selection],
        )


def joined(parts: list[TcpSegments]) -> TcpSegments:
    """Batches of one vantage point that follow one another in time, as one."""
    if len(parts) == 1:
        return parts[0]
    # Not at the top: what needs only the names in this module starts faster without it.
    import numpy as np

    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    if any(part.weights is not None for part in parts):
        weights = [np.ones(len(part), np.uint32) if part.weights is None else part.weights for part in parts]
        columns["weights"] = np.concatenate(weights)
    return TcpSegments(node=parts[0].node, interface=parts[0].interface, **columns)


_COLUMNS = [field.name for field in fields(TcpSegments) if field.name not in ("node", "interface", "frames", "weights")]
