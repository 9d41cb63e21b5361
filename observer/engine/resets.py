"""Resets from and to a virtual address, each with its reason, in columns.

The shape of a segment proves little: an orphan, late data and a lost redirect look alike. What tells them apart is what was seen
of the connection before, and whether the address had moved; where that is unknown, the reason is ``UNATTRIBUTED``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from observer.engine.flows import (
    NEVER,
    Finishes,
    FlowMemory,
    History,
    Openings,
    Signs,
    client_keys,
    connection_keys,
    flow_keys,
    service_keys,
)
from observer.model.flaps import ResetReason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from observer.engine.service import Marks
    from observer.model.segments import TcpSegments

BEFORE_FIN = 1 << 24
"""Bytes before a FIN that a client may not have acknowledged yet: more than any window of a proxy's."""

REASONS = tuple(ResetReason)
_CODE = {reason: number for number, reason in enumerate(REASONS)}


@dataclass(slots=True, eq=False)
class Control:
    """What opened and reset connections of one address in a batch; rows in order of time."""

    times: NDArray[np.int64]
    """Of the resets."""
    flows: NDArray[np.uint64]
    clients: NDArray[np.uint64]
    reasons: NDArray[np.uint8]
    """Places in ``REASONS``."""
    served: NDArray[np.bool_]
    """The reset concerns a port at which the address was seen to serve."""
    attempts: Signs
    """SYNs from clients; a repeated one has the key of the first."""
    answered: NDArray[np.int64]
    """Times at which handshakes were answered."""
    answerers: NDArray[np.uint64]
    """Link-layer sources of these answers."""

    def of(self, reason: ResetReason) -> NDArray[np.bool_]:
        """The resets with this reason."""
        same: NDArray[np.bool_] = self.reasons == _CODE[reason]
        return same

    def counts(self) -> dict[ResetReason, int]:
        """Segments by reason, without those of which there are none."""
        numbers = np.bincount(self.reasons, minlength=len(REASONS)).tolist()
        return {reason: number for reason, number in zip(REASONS, numbers, strict=True) if number}


def sort_out(
    segments: TcpSegments, marks: Marks, words: tuple[int, int], memory: FlowMemory, gained: int | None
) -> Control | None:
    """The control segments that ``marks`` shows; None for none. Openings and FINs are remembered.

    ``gained`` is when a router other than before began to claim the address, if that was lately.
    """
    out = np.flatnonzero(marks.syn_ack | marks.finished | marks.refused | marks.aborted | marks.bare)
    into = np.flatnonzero(marks.syn | marks.client)
    if not (len(out) or len(into)):
        return None
    sent = slice(None) if len(out) == len(segments) else out
    away = client_keys(segments.destinations[sent])
    flows = flow_keys(away, segments.destination_ports[sent], service_keys(words, segments.source_ports[sent]))
    times, macs, sequence = segments.times[sent], segments.macs[sent], segments.sequence[sent]
    opens, ends = _where(marks.syn_ack[sent]), _where(marks.finished[sent])
    openings = Openings(flows[opens], times[opens], sequence[opens], macs[opens])
    behind = sequence[ends] + segments.payloads[sent][ends] + np.uint32(1)
    finishes = Finishes(flows[ends], times[ends], behind, macs[ends])

    refused, aborted, bare = marks.refused[sent], marks.aborted[sent], _where(marks.bare[sent])
    reasons = np.zeros(len(out), dtype=np.uint8)
    reasons[refused] = _CODE[ResetReason.REFUSED]
    reasons[aborted] = _CODE[ResetReason.ABORTED]
    if len(asked := flows[bare]):
        history = memory.before(Signs(asked, times[bare]), openings, finishes)
        reasons[bare] = _bare(history, macs[bare], sequence[bare], memory, gained)
        flows[bare] = connection_keys(asked, history.opened)
    memory.note(openings, finishes)

    here = client_keys(segments.sources[into])
    back = flow_keys(here, segments.source_ports[into], service_keys(words, segments.destination_ports[into]))
    client, syn = _where(marks.client[into]), _where(marks.syn[into])
    broken = _where(marks.bare[sent] | refused | aborted)
    theirs = into[client]
    rows = np.concatenate((out[broken], theirs))
    order: Any = np.argsort(rows) if len(theirs) else slice(None)
    reasons = np.concatenate((reasons[broken], np.full(len(theirs), _CODE[ResetReason.CLIENT], dtype=np.uint8)))
    rows = rows[order]
    return Control(
        times=segments.times[rows],
        flows=np.concatenate((flows[broken], back[client]))[order],
        clients=np.concatenate((away[broken], here[client]))[order],
        reasons=reasons[order],
        served=marks.served[rows],
        attempts=Signs(back[syn] ^ segments.sequence[into][syn].astype(np.uint64), segments.times[into][syn]),
        answered=times[opens],
        answerers=macs[opens],
    )


def _where(mask: NDArray[np.bool_]) -> Any:
    """Rows to choose columns by: all of a flood are alike, and need not be copied."""
    return slice(None) if mask.all() else np.flatnonzero(mask)


def _bare(
    history: History,
    macs: NDArray[np.uint64],
    sequence: NDArray[np.uint32],
    memory: FlowMemory,
    gained: int | None,
) -> NDArray[np.uint8]:
    """Why resets without ACK were sent, which answer segments of connections that the holder does not know.

    Their sequence number is what the client had acknowledged (RFC 9293 3.10.7.1). Late data: the address had closed it in
    order, and the client knew, or this same host had. Orphaned: another host opened it, by its link-layer address, or the
    address had it before it moved. Redirect lost: the holder itself opened it since. Where no handshake was seen, it was orphaned
    if the address moved lately and nothing since then was forgotten; else there is no telling.
    """
    since = gained if gained is not None else NEVER
    opened = history.opened > NEVER
    # Nothing follows a FIN, so the client had acknowledged it, or a little less. Far from it is another connection of the same
    # ports, which another host had meanwhile.
    short = (history.behind - sequence).astype(np.int32)
    finished = (history.finished > NEVER) & (history.finished >= history.opened) & (short >= 0) & (short < BEFORE_FIN)
    elsewhere = (opened & _another(history.holder, macs)) | (finished & _another(history.finisher, macs))
    unheard = _another(history.finisher, macs) & (short > 0)
    remembered = gained is not None and memory.horizon < gained
    reasons = np.full(len(opened), _CODE[ResetReason.UNATTRIBUTED], dtype=np.uint8)
    if remembered:
        reasons[~opened] = _CODE[ResetReason.ORPHANED]
    reasons[opened] = _CODE[ResetReason.REDIRECT_LOST]
    reasons[opened & (history.opened < since)] = _CODE[ResetReason.ORPHANED]
    reasons[elsewhere] = _CODE[ResetReason.ORPHANED]
    reasons[finished & ~unheard] = _CODE[ResetReason.LATE_DATA]
    return reasons


def _another(holder: NDArray[np.uint64], macs: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Both link-layer addresses are known, and differ."""
    other: NDArray[np.bool_] = (holder != macs) & (holder != 0) & (macs != 0)
    return other
