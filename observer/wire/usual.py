"""The most usual frames on the wide road: Ethernet, no tag, IPv4 without options, TCP. Read at fixed places, many at once.

Nothing here that ``columns`` and ``tcp`` would not find as well: this is the short way to the same segments, and frames of any
other shape are left to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from observer.model.segments import Tcp, TcpSegments
from observer.wire import ip
from observer.wire.links import ETHERTYPE_IPV4, LinkType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Octets = NDArray[np.uint8]
    Positions = NDArray[np.int64]
    Heads = NDArray[Any]

_HEAD: Final = np.dtype(
    {
        "names": [
            *("mac_high", "mac_low", "ethertype", "version", "total", "fragment", "protocol", "source", "destination"),
            *("source_port", "destination_port", "sequence", "acknowledgement", "offset", "flags", "window"),
        ],
        "formats": [">u2", ">u4", ">u2", "u1", ">u2", ">u2", "u1", ">u4", ">u4", ">u2", ">u2", ">u4", ">u4", "u1", "u1", ">u2"],
        "offsets": [6, 8, 12, 14, 16, 20, 23, 26, 30, 34, 36, 38, 42, 46, 47, 48],
        "itemsize": 54,
    }
)
"""Ethernet, IPv4 (RFC 791 3.1) and TCP (RFC 9293 3.1) one behind the other."""

_NETWORK, _UPPER = 14, 34
_MAPPED = np.uint64(0xFFFF << 32)
_CONTROL = np.uint8(Tcp.SYN | Tcp.FIN | Tcp.RST)


def usual(linktype: int, data: Octets, offsets: Positions, lengths: Positions) -> tuple[NDArray[np.bool_], Heads]:
    """Which frames have the usual shape, and the headers of these."""
    end = np.minimum(offsets + lengths, len(data))
    which = (offsets >= 0) & (offsets + _HEAD.itemsize <= end)
    if linktype != LinkType.ETHERNET or not which.any():
        return np.zeros(len(offsets), np.bool_), np.zeros(0, _HEAD)
    places = len(data) - _HEAD.itemsize + 1
    octets = np.ndarray((places,), f"V{_HEAD.itemsize}", np.ascontiguousarray(data), strides=(1,))
    heads = octets[offsets if which.all() else np.where(which, offsets, 0)].view(_HEAD)
    which &= (
        (heads["ethertype"] == ETHERTYPE_IPV4)
        & (heads["version"] == 0x45)
        & (heads["protocol"] == ip.TCP)
        & (heads["fragment"] & 0x1FFF == 0)
    )
    return which, heads if which.all() else heads[which]


def segments(
    node: str, interface: str | None, heads: Heads, times: NDArray[np.int64], captured: Positions, *, data_segments: bool
) -> tuple[TcpSegments, Positions]:
    """The segments of interest, in order of time, and which of these frames each is; see ``tcp.select``."""
    control = heads["flags"] & _CONTROL != 0
    if not data_segments and not control.all():
        chosen = np.flatnonzero(control)
        part, rows = segments(node, interface, heads[chosen], times[chosen], captured[chosen], data_segments=True)
        return part, chosen[rows]
    words = heads["offset"] >> 4
    # Segments longer than 64 kB, which a host sees of its own before its card cuts them, have length 0.
    total = heads["total"].astype(np.int64)
    payloads = np.where(total == 0, captured - _NETWORK, total) - (_UPPER - _NETWORK) - words.astype(np.int64) * 4
    wanted = (words >= 5) & (payloads >= 0) & (control | (payloads > 0))
    ordered = bool((times[1:] >= times[:-1]).all())
    if ordered and wanted.all():
        return _columns(node, interface, heads, times, payloads), np.arange(len(heads))
    rows = np.flatnonzero(wanted)
    if not ordered:
        rows = rows[np.argsort(times[rows], kind="stable")]
    return _columns(node, interface, heads[rows], times[rows], payloads[rows]), rows


def _columns(
    node: str, interface: str | None, heads: Heads, times: NDArray[np.int64], payloads: NDArray[np.int64]
) -> TcpSegments:
    return TcpSegments(
        node=node,
        interface=interface,
        times=times,
        sources=_mapped(heads["source"]),
        destinations=_mapped(heads["destination"]),
        source_ports=heads["source_port"].astype(np.uint16),
        destination_ports=heads["destination_port"].astype(np.uint16),
        flags=heads["flags"].copy(),
        sequence=heads["sequence"].astype(np.uint32),
        acknowledgement=heads["acknowledgement"].astype(np.uint32),
        windows=heads["window"].astype(np.uint16),
        payloads=payloads.astype(np.uint32),
        macs=heads["mac_high"].astype(np.uint64) << np.uint64(32) | heads["mac_low"],
    )


def _mapped(addresses: NDArray[Any]) -> NDArray[np.uint64]:
    words = np.empty((len(addresses), 2), np.uint64)
    words[:, 0] = 0
    words[:, 1] = addresses
    words[:, 1] |= _MAPPED
    return words
