"""A flap in words for a terminal: one line, or the whole story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.model.time import clock_time, duration, rfc3339
from observer.model.verdicts import Cause, Confidence, Warranted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observer.model.flaps import Bounds, Elected, Flap

MEANING = {
    Cause.CHECK_FAILED: "a check failed on the former router",
    Cause.STOPPED: "keepalived was stopped on the former router",
    Cause.NODE_LOST: "the former router's node is gone",
    Cause.LINK_DOWN: "the former router's interface went down",
    Cause.DAEMON_KILLED: "keepalived died on the former router, its node lives",
    Cause.DAEMON_STALLED: "keepalived was frozen on the former router and came back",
    Cause.PARTITION: "routers did not hear each other's adverts",
    Cause.VRID_CONFLICT: "a foreign group uses the same VRID on this segment",
    Cause.ADDRESS_REMOVED: "the address was deleted outside keepalived",
    Cause.ADVERTS_REJECTED: "a router received adverts and could not accept them",
    Cause.RECEIVER_DEAF: "a router received adverts and did not read them",
    Cause.RELOADED: "keepalived was reloaded with another configuration",
    Cause.MOVED_OUTSIDE_VRRP: "the address was moved, or added elsewhere, with no VRRP behind it",
    Cause.PREEMPTED: "a better router took over from a healthy one",
    Cause.UNEXPLAINED: "the evidence does not tell why",
}
WARRANTED = {
    Warranted.YES: "the move was warranted: the former router could not serve",
    Warranted.NO: "the move was NOT warranted: the former router could have gone on serving",
    Warranted.UNKNOWN: "whether the move was warranted was not seen",
}
_STYLE = {Warranted.YES: "33", Warranted.NO: "31;1", Warranted.UNKNOWN: "36"}


def sure(confidence: Confidence) -> str:
    """A confidence as a word before a cause."""
    return {Confidence.CERTAIN: "certainly", Confidence.LIKELY: "likely", Confidence.POSSIBLE: "possibly"}[confidence]


def line(flap: Flap, *, colour: bool = False) -> str:
    """One line: when, what, from whom to whom, why, warranted or not, cost."""
    verdict = flap.verdict
    reset = "" if flap.connections.reset is None else f", {flap.connections.reset} connections reset"
    text = (
        f"{clock_time(flap.time)}  {flap.virtual_router.label} {_moved(flap)}"
        f"  {verdict.cause.value} ({verdict.confidence.label}), warranted: {verdict.warranted.value}{reset}"
    )
    return f"\x1b[{_STYLE[verdict.warranted]}m{text}\x1b[0m" if colour else text


def story(flap: Flap, *, colour: bool = False) -> Iterator[str]:
    """The whole verdict, a line each."""
    verdict = flap.verdict
    yield _styled(f"{rfc3339(flap.time)}  {flap.virtual_router.label}  {', '.join(flap.addresses)}", "1", colour)
    yield f"  {_moved(flap)}"
    yield f"  cause:      {verdict.cause.value}: {sure(verdict.confidence)} {MEANING[verdict.cause]}"
    if verdict.check is not None:
        yield f"  check:      {verdict.check}"
    yield _styled(f"  warranted:  {verdict.warranted.value}: {WARRANTED[verdict.warranted]}", _STYLE[verdict.warranted], colour)
    yield f"  outage:     {_span(flap.outage)}"
    if flap.dual_active.minimum:
        yield f"  two Active: {_span(flap.dual_active)}"
    if flap.misdirected:
        yield f"  misdirected: {duration(flap.misdirected)}: the last announcement was of a router that lost the election"
    connections = flap.connections
    if connections.reset is not None:
        clients = f"{connections.clients} client{'' if connections.clients == 1 else 's'}"
        yield f"  cost:       {connections.reset} connections reset, {connections.refused} refused, {clients}"
    else:
        yield "  cost:       not seen from here: the new router's own capture shows the resets"
    for entry in verdict.evidence:
        yield f"  evidence:   {clock_time(entry.time)}  {entry.statement}"
    for ruled in verdict.ruled_out:
        yield f"  ruled out:  {ruled.cause.value}: {ruled.reason}"
    for blind in verdict.blind_spots:
        yield f"  blind spot: {blind}"


def election(event: Elected) -> str:
    """One line for an election."""
    began = "is Active (perhaps for long)" if event.at_start else "was elected: nobody was Active before"
    return f"{clock_time(event.time)}  {event.virtual_router.label} {event.router} {began}"


def _moved(flap: Flap) -> str:
    if flap.current is None:
        return f"lost by {flap.former or 'unknown'}, taken over by nobody"
    if flap.current == flap.former:
        return f"interrupted at {flap.former}"
    return f"moved from {flap.former or 'unknown'} to {flap.current}"


def _span(bounds: Bounds) -> str:
    if bounds.maximum is None:
        return f"at least {duration(bounds.minimum)}, not over when last seen"
    if bounds.maximum == bounds.minimum:
        return duration(bounds.minimum)
    return f"between {duration(bounds.minimum)} and {duration(bounds.maximum)}"


def _styled(text: str, style: str, colour: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if colour else text
