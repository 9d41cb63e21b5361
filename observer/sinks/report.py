"""The outcome of a replay: collected while it runs, printed at its end as text or as the JSON of the contract."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TextIO

from observer.model.flaps import BurstSeen, Elected, Flap, FlapJudged, FlapStage, ResetBurst, Storm, StormSeen
from observer.sinks import encoding, text

if TYPE_CHECKING:
    from observer.engine.engine import Engine
    from observer.model.flaps import Event
    from observer.model.observations import Observation


class Report:
    """Keeps the final word on every flap."""

    def __init__(self) -> None:
        self.flaps: list[Flap] = []
        self.elections: list[Elected] = []
        self.bursts: list[ResetBurst] = []
        self.storms: dict[str, Storm] = {}

    def observed(self, observation: Observation) -> None:
        """Nothing: observations are not kept."""

    def happened(self, event: Event) -> None:
        """Keep what is final."""
        if isinstance(event, FlapJudged) and event.stage is FlapStage.CLOSED:
            self.flaps.append(event.flap)
        elif isinstance(event, Elected):
            self.elections.append(event)
        elif isinstance(event, BurstSeen):
            self.bursts.append(event.burst)
        elif isinstance(event, StormSeen):
            self.storms[event.storm.id] = event.storm

    def ordered(self) -> list[Flap]:
        """The flaps in order of time."""
        return sorted(self.flaps, key=lambda flap: (flap.time, flap.id))

    def write_json(self, engine: Engine, stream: TextIO) -> None:
        """One JSON object, as design's contract names its fields."""
        document = {
            "schema": encoding.SCHEMA,
            "flaps": [encoding.flap(flap) for flap in self.ordered()],
            "reset_bursts": [encoding.burst(burst) for burst in self.bursts],
            "storms": [encoding.storm(storm) for storm in self.storms.values()],
            "elections": [encoding.elected(event) for event in self.elections],
            "routers": [encoding.router(tracker) for tracker in engine.trackers],
            "malformed": dict(sorted(engine.malformed.items())),
            "coverage": [encoding.span(span) for span in engine.coverage.spans()],
        }
        json.dump(document, stream, indent=2)
        stream.write("\n")

    def write_text(self, engine: Engine, stream: TextIO, *, colour: bool) -> None:
        """The story of every flap."""
        stream.writelines(text.election(event) + "\n" for event in self.elections)
        stream.writelines("\n" + "\n".join(text.story(flap, colour=colour)) + "\n" for flap in self.ordered())
        stream.writelines("\n" + "\n".join(text.storm(storm, colour=colour)) + "\n" for storm in self.storms.values())
        stream.writelines("\n" + "\n".join(text.burst(burst, colour=colour)) + "\n" for burst in self.bursts)
        count = len(self.flaps)
        unwarranted = sum(1 for flap in self.flaps if flap.verdict.warranted.value == "no")
        summary = f"{count} flap{'s' if count != 1 else ''}, {unwarranted} not warranted, {engine.adverts} adverts"
        if self.storms:
            summary += f", {len(self.storms)} storm{'s' if len(self.storms) != 1 else ''}"
        if self.bursts:
            summary += f", {len(self.bursts)} reset burst{'s' if len(self.bursts) != 1 else ''}"
        if engine.malformed:
            summary += ", malformed: " + ", ".join(f"{reason} {n}" for reason, n in sorted(engine.malformed.items()))
        stream.write(("\n" if self.elections or self.flaps or self.bursts else "") + summary + "\n")
