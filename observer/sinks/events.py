"""What happens as lines while it happens: words for a terminal, JSON for everything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TextIO

from observer.model.flaps import ActiveChanged, BurstSeen, Elected, FlapJudged, FlapStage, FlapWithdrawn, ResetsSeen, StormSeen
from observer.model.time import clock_time, rfc3339
from observer.sinks import encoding, text

if TYPE_CHECKING:
    from observer.model.flaps import Event
    from observer.model.observations import Observation


class Lines:
    """A line for every flap: when its verdict is given, when it changes, and when its cost is final."""

    def __init__(self, stream: TextIO, *, terminal: bool) -> None:
        self._stream = stream
        self._terminal = terminal
        self._colour = text.colourful(stream)

    def observed(self, observation: Observation) -> None:
        """Nothing: observations are not told."""

    def happened(self, event: Event) -> None:
        """Tell an event."""
        match event:
            case FlapJudged():
                if self._terminal:
                    closed = "  (closed)" if event.stage is FlapStage.CLOSED else ""
                    self._write(text.line(event.flap, colour=self._colour) + closed)
                    if event.stage is not FlapStage.CLOSED:
                        for entry in event.flap.verdict.evidence:
                            self._write(f"              {entry.statement}")
                else:
                    self._json({"event": "flap", "stage": event.stage.value, "flap": encoding.flap(event.flap)})
            case FlapWithdrawn():
                if self._terminal:
                    self._write(f"{clock_time(event.time)}  withdrawn: the flap of {clock_time(event.flap.time)} was none")
                else:
                    self._json({"event": "withdrawn", "id": event.flap.id, "time": rfc3339(event.time)})
            case Elected():
                if self._terminal:
                    self._write(text.election(event))
                else:
                    self._json({"event": "election", "election": encoding.elected(event)})
            case BurstSeen():
                if self._terminal:
                    self._write(text.burst_line(event.burst))
                else:
                    self._json({"event": "reset_burst", "reset_burst": encoding.burst(event.burst)})
            case StormSeen():
                if self._terminal:
                    self._write(text.storm_line(event.storm) + ("  (over)" if event.over else ""))
                else:
                    self._json({"event": "storm", "over": event.over, "storm": encoding.storm(event.storm)})
            case ActiveChanged() | ResetsSeen():
                pass

    def _json(self, value: dict[str, object]) -> None:
        self._write(json.dumps(value, separators=(",", ":")))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
