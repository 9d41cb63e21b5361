"""Observations in words, as a recording shows them beside its packets. Verdicts in words are in ``text``."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from observer.model.host import LogEvent
from observer.model.observations import AddressChange, Advert, Clock, FramesLost, LinkChange, Malformed, SourceChange
from observer.model.segments import TcpSegments
from observer.model.time import duration

if TYPE_CHECKING:
    from observer.model.observations import Observation


def sentence(observation: Observation) -> str:
    """One observation."""
    match observation:
        case AddressChange(initial=True, present=True):
            return f"{observation.interface} has {observation.address}"
        case AddressChange():
            return f"{observation.address} {'added to' if observation.present else 'removed from'} {observation.interface}"
        case LinkChange():
            return f"{observation.interface} is {'up' if observation.up else 'down'}"
        case LogEvent():
            return f"keepalived: {observation.detail or observation.kind.value}"
        case SourceChange():
            detail = f": {observation.detail}" if observation.detail else ""
            return f"source {observation.source} {observation.state.value}{detail}"
        case FramesLost():
            return f"{observation.count} lost by source {observation.source}"
        case Malformed():
            return f"malformed VRRP from {observation.router or 'unknown'}: {observation.reason}"
        case Advert():
            return f"advert of {observation.router}: VRID {observation.vrid}, priority {observation.priority}"
        case Clock():
            return clock(observation)
        case TcpSegments():
            span = duration(int(observation.times[-1]) - observation.time)
            return f"{len(observation)} TCP segments on {observation.interface or 'unknown'} within {span}, as columns"
        case _:
            named = ((field.name, getattr(observation, field.name)) for field in fields(observation))
            said = ", ".join(f"{name} {value}" for name, value in named if name not in ("time", "node") and value is not None)
            return f"{type(observation).__name__}: {said}"


def clock(value: Clock) -> str:
    """How a node's clock compares with the reference, and what was done about it."""
    if value.ahead is None or value.least is None or value.most is None:
        return f"the clock of {value.node} could not be compared with that of {value.reference}: too few packets seen at both"
    way = "ahead of" if value.ahead >= 0 else "behind"
    low, high = sorted((value.least, value.most), key=abs) if value.least * value.most > 0 else (value.least, value.most)
    if value.ahead < 0 and value.least * value.most > 0:
        low, high = abs(low), abs(high)
    done = ": put right" if value.put_right else ""
    return (
        f"the clock of {value.node} is {duration(abs(value.ahead))} {way} that of {value.reference}"
        f" (between {duration(low)} and {duration(high)}){done}"
    )
