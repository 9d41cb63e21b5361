"""When each source listened and what it says it lost: what was silent outside these spans may not have been."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from observer.model.observations import Clock, FramesLost, SourceChange, SourceState

EVIDENCE = ("conf", "log", "sockets", "raw", "process", "pressure", "haproxy", "redirect")
"""Sources that look at the node itself: each may be missing, which is then a blind spot."""

NO_FRAMES = frozenset({"addresses", *EVIDENCE})
"""Sources that tell of the node and not of the wire."""


@dataclass(frozen=True, slots=True)
class Span:
    """A source of one node listened from ``begin`` to ``end`` (None: still does)."""

    node: str
    source: str
    begin: int
    end: int | None
    lost: int
    state: SourceState
    detail: str


class Coverage:
    """The spans of all sources, bounded."""

    def __init__(self, spans: int = 256) -> None:
        self._spans: deque[Span] = deque(maxlen=spans)
        self._losses: deque[FramesLost] = deque(maxlen=1024)
        self.clocks: dict[str, Clock] = {}
        """By node, in a replay of several; a replay has few."""

    def changed(self, change: SourceChange) -> None:
        """A source began or ceased to listen."""
        if change.source in EVIDENCE:
            # Only their latest state matters; one that comes and goes must not push out what tells of silence.
            for span in [span for span in self._spans if (span.node, span.source) == (change.node, change.source)]:
                self._spans.remove(span)
        if change.state is SourceState.STARTED:
            self._spans.append(Span(change.node, change.source, change.time, None, 0, change.state, change.detail))
            return
        for index, span in enumerate(self._spans):
            if (span.node, span.source) == (change.node, change.source) and span.end is None:
                self._spans[index] = Span(
                    span.node, span.source, span.begin, change.time, span.lost, change.state, change.detail or span.detail
                )
                return
        self._spans.append(Span(change.node, change.source, change.time, change.time, 0, change.state, change.detail))

    def lost(self, loss: FramesLost) -> None:
        """A source lost frames."""
        self._losses.append(loss)
        for index, span in enumerate(self._spans):
            if (span.node, span.source) == (loss.node, loss.source) and span.end is None:
                self._spans[index] = Span(
                    span.node, span.source, span.begin, span.end, span.lost + loss.count, span.state, span.detail
                )

    def silent(self, time: int) -> set[str]:
        """Nodes whose sources had all ceased to listen by a time."""
        known = {span.node for span in self._spans}
        return known - {span.node for span in self._spans if span.end is None or span.end >= time}

    def since(self) -> int | None:
        """When the first source of frames began to listen; None while none has."""
        return min((span.begin for span in self._spans if span.source not in NO_FRAMES), default=None)

    def ended(self, node: str) -> int | None:
        """When a node's last source of frames ceased to listen; None while one still does, or where there was none."""
        ends = [span.end for span in self._spans if span.node == node and span.source not in NO_FRAMES]
        return max((end for end in ends if end is not None), default=None) if None not in ends else None

    def deaf(self, time: int) -> bool:
        """Whether every source of frames had ceased to listen by a time, so that silence says nothing."""
        frames = [span for span in self._spans if span.source not in NO_FRAMES]
        return bool(frames) and all(span.end is not None and span.end < time for span in frames)

    def missing(self, node: str | None, time: int) -> dict[str, str]:
        """Sources of evidence that a node was to have and that did not work by a time, with the reason."""
        latest = {span.source: span for span in self._spans if span.node == node and span.source in EVIDENCE}
        return {
            name: span.detail
            for name, span in latest.items()
            if span.state is SourceState.FAILED and span.end is not None and span.end <= time
        }

    def lost_between(self, begin: int, end: int) -> int:
        """Frames that sources said they lost in a span."""
        return sum(loss.count for loss in self._losses if begin <= loss.time <= end)

    def spans(self) -> tuple[Span, ...]:
        """All spans, in order of their begin."""
        return tuple(self._spans)
