"""What reading a capture file gives, whichever its format: batches of frames, losses, and where it broke off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CAPTURED = 262_144
"""Captured bytes of one frame: MAXIMUM_SNAPLEN of libpcap and WTAP_MAX_PACKET_SIZE_STANDARD of Wireshark. More is corruption."""

NO_TIME = 0
"""Time of a frame whose record holds none (pcapng's Simple Packet Block)."""


class Heads(Protocol):
    """What the heads of a batch's records say, read when asked for: of most frames nobody asks."""

    def times(self, rows: Any) -> NDArray[np.int64]:
        """Nanoseconds since the epoch of the records of a slice, a mask or an index array."""

    def originals(self, rows: Any) -> NDArray[np.int64]:
        """Bytes on the wire."""

    def part(self, rows: slice) -> Heads:
        """The heads of some records."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameBatch:
    """Consecutive frames of one interface of a capture, in the order of the file; row *i* of every column is one frame.

    ``data[offsets[i] : offsets[i] + lengths[i]]`` is frame *i* from its link-layer header on. Batches share buffers that are
    never written again, so frames stay valid as long as they are referred to; keeping one keeps its whole window.
    """

    interface: str | None
    """pcapng's if_name; None in pcap, and where pcapng gives no name."""
    linktype: int
    """LINKTYPE_ value as the file says (https://www.tcpdump.org/linktypes.html), understood or not."""
    data: NDArray[np.uint8]
    """Read-only."""
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    """Captured bytes, at most ``MAX_CAPTURED``."""
    heads: Heads
    directions: NDArray[np.int8] | None = None
    """0 unknown, 1 inbound, 2 outbound (pcapng's epb_flags); None if unknown for all frames."""
    number: int = 1
    """Of the first frame, counted from where reading began; as Wireshark counts, which numbers journal entries too."""

    def __len__(self) -> int:
        return len(self.offsets)

    def part(self, rows: slice) -> FrameBatch:
        """Some of the frames."""
        return FrameBatch(
            interface=self.interface,
            linktype=self.linktype,
            data=self.data,
            offsets=self.offsets[rows],
            lengths=self.lengths[rows],
            heads=self.heads.part(rows),
            directions=None if self.directions is None else self.directions[rows],
            number=self.number + (rows.start or 0),
        )

    @property
    def originals(self) -> NDArray[np.int64]:
        """Bytes on the wire, as the file says."""
        return self.heads.originals(slice(None))

    @property
    def times(self) -> NDArray[np.int64]:
        """Nanoseconds since the epoch; ``NO_TIME`` where the file has none."""
        return self.heads.times(slice(None))


@dataclass(frozen=True, slots=True)
class LostFrames:
    """The capturing program says that it lost frames of an interface, not counting what earlier items already said."""

    interface: str | None
    time: int
    """Nanoseconds since the epoch: they were lost before this."""
    count: int


@dataclass(frozen=True, slots=True)
class Truncated:
    """Nothing can be read from here on: the file ends within a record, or is corrupt. Always the last item."""

    offset: int
    """Of the first record that was not read, in the file as decompressed."""
    detail: str


Item: TypeAlias = FrameBatch | LostFrames | Truncated
