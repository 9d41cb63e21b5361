"""The states of a virtual router as an observer sees them, as a table that the engine consults, tests walk and docs print.

This is not the state machine of RFC 9568 6.4, which is each router's own; it follows all of them from outside.
"""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """Who is Active, as far as adverts tell."""

    UNKNOWN = "unknown"
    """No advert heard yet."""
    ACTIVE = "active"
    """One router is Active."""
    RESIGNED = "resigned"
    """The Active Router gave up with priority 0, and no other has taken over yet."""
    DOWN = "down"
    """The Active Router fell silent for longer than any backup waits, and no other has taken over."""
    CONTESTED = "contested"
    """A router that the Active one outranks advertises as well."""


class Signal(enum.StrEnum):
    """What can happen to a virtual router, as the observer tells it apart."""

    OWN = "own advert"
    """The Active Router advertises."""
    OWN_RESIGNATION = "own resignation"
    """The Active Router (or, while none is known, any) sends priority 0."""
    BETTER = "better rival"
    """Another router advertises and outranks the Active one (RFC 9568 6.4.3: priority, then address)."""
    WORSE = "worse rival"
    """Another router advertises that the Active one outranks."""
    SUCCESSOR = "successor"
    """Another router advertises after the Active one was silent for as long as a backup waits."""
    EXPIRY = "expiry"
    """The Active Router was silent for longer than any backup waits."""
    SUBSIDED = "rival subsided"
    """The rival of a contest was silent for two intervals while the Active Router went on."""


class Action(enum.StrEnum):
    """What the engine does on a transition."""

    NOTHING = "-"
    ELECT = "note an election"
    TAKE_OVER = "open a flap, or name its new owner"
    LOSE = "open a flap without a new owner"
    RESUME = "the former owner has it again"
    RESIGN = "open a flap: given up"
    REVIVE = "the silent owner goes on: a flap, unless the silence was only ours"
    CLAIM = "open a flap, claimed by two, unless it is the end of one"


TRANSITIONS: dict[tuple[State, Signal], tuple[State, Action]] = {
    (State.UNKNOWN, Signal.SUCCESSOR): (State.ACTIVE, Action.ELECT),
    (State.UNKNOWN, Signal.OWN_RESIGNATION): (State.RESIGNED, Action.RESIGN),
    (State.ACTIVE, Signal.OWN): (State.ACTIVE, Action.NOTHING),
    (State.ACTIVE, Signal.OWN_RESIGNATION): (State.RESIGNED, Action.RESIGN),
    (State.ACTIVE, Signal.BETTER): (State.ACTIVE, Action.TAKE_OVER),
    (State.ACTIVE, Signal.SUCCESSOR): (State.ACTIVE, Action.TAKE_OVER),
    (State.ACTIVE, Signal.WORSE): (State.CONTESTED, Action.CLAIM),
    (State.ACTIVE, Signal.EXPIRY): (State.DOWN, Action.LOSE),
    (State.RESIGNED, Signal.OWN): (State.ACTIVE, Action.RESUME),
    (State.RESIGNED, Signal.OWN_RESIGNATION): (State.RESIGNED, Action.NOTHING),
    (State.RESIGNED, Signal.BETTER): (State.ACTIVE, Action.TAKE_OVER),
    (State.RESIGNED, Signal.WORSE): (State.ACTIVE, Action.TAKE_OVER),
    (State.RESIGNED, Signal.SUCCESSOR): (State.ACTIVE, Action.TAKE_OVER),
    (State.RESIGNED, Signal.EXPIRY): (State.DOWN, Action.NOTHING),
    (State.DOWN, Signal.OWN): (State.ACTIVE, Action.REVIVE),
    (State.DOWN, Signal.OWN_RESIGNATION): (State.RESIGNED, Action.NOTHING),
    (State.DOWN, Signal.BETTER): (State.ACTIVE, Action.TAKE_OVER),
    (State.DOWN, Signal.WORSE): (State.ACTIVE, Action.TAKE_OVER),
    (State.DOWN, Signal.SUCCESSOR): (State.ACTIVE, Action.TAKE_OVER),
    (State.CONTESTED, Signal.OWN): (State.CONTESTED, Action.NOTHING),
    (State.CONTESTED, Signal.OWN_RESIGNATION): (State.RESIGNED, Action.RESIGN),
    (State.CONTESTED, Signal.WORSE): (State.CONTESTED, Action.CLAIM),
    (State.CONTESTED, Signal.BETTER): (State.ACTIVE, Action.TAKE_OVER),
    (State.CONTESTED, Signal.SUCCESSOR): (State.ACTIVE, Action.TAKE_OVER),
    (State.CONTESTED, Signal.EXPIRY): (State.DOWN, Action.LOSE),
    (State.CONTESTED, Signal.SUBSIDED): (State.ACTIVE, Action.NOTHING),
}
"""(state, signal) to (next state, action). A pair that is not here cannot happen."""


def outranks(priority: int, router: tuple[int, int], other_priority: int, other: tuple[int, int]) -> bool:
    """Whether a router wins an election against another: higher priority, then higher address (RFC 9568 6.4.3).

    Routers are given by address as (high, low) words, which compare as unsigned numbers.
    """
    return (priority, router) > (other_priority, other)
