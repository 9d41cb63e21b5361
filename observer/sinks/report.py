"""The outcome of a replay: collected while it runs, printed at its end as text or as the JSON of the contract."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from observer.model.flaps import BurstSeen, Elected, Flap, FlapJudged, FlapStage, ResetBurst, Storm, StormSeen
from observer.sinks import encoding, sentences, text
from observer.sinks.text_timeline import timeline_line
from observer.sinks.timeline import Timeline

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
        self.timeline = Timeline()

    def observed(self, observation: Observation) -> None:
        """Keep what a timeline shows."""
        self.timeline.observed(observation)

    def happened(self, event: Event) -> None:
        """Keep what is final, and what a timeline shows."""
        self.timeline.happened(event)
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
        if engine.coverage.clocks:
            document["clocks"] = [encoding.clock(clock) for clock in engine.coverage.clocks.values()]
        json.dump(document, stream, indent=2)
        stream.write("\n")

    def write_lines(self, stream: TextIO) -> None:
        """A JSON object a line for each flap, reset burst and storm, in order of time, as the agent writes them at their end."""
        told: list[tuple[int, dict[str, Any]]] = [
            (flap.time, {"event": "flap", "stage": FlapStage.CLOSED.value, "flap": encoding.flap(flap)})
            for flap in self.ordered()
        ]
        told += [(burst.time, {"event": "reset_burst", "reset_burst": encoding.burst(burst)}) for burst in self.bursts]
        # Behind the last flap of the storm, which has the same time: sorting keeps the order of what is equal.
        told += [(storm.end, {"event": "storm", "over": True, "storm": encoding.storm(storm)}) for storm in self.storms.values()]
        told.sort(key=lambda entry: entry[0])
        stream.writelines(json.dumps(line, separators=(",", ":")) + "\n" for _, line in told)

    def write_text(self, engine: Engine, stream: TextIO, *, colour: bool) -> None:
        """The story of every flap."""
        stream.writelines(
            sentences.clock(clock) + "\n" for clock in engine.coverage.clocks.values() if clock.node != clock.reference
        )
        stream.writelines(text.election(event) + "\n" for event in self.elections)
        for flap in self.ordered():
            lines = text.story(flap, colour=colour, timeline=timeline_line(self.timeline, flap))
            stream.write("\n" + "\n".join(lines) + "\n")
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
        stream.write(("\n" if self.elections or self.flaps or self.bursts or engine.coverage.clocks else "") + summary + "\n")
