"""A flap in words for a terminal: one line, or the whole story."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from observer.model.flaps import BurstCause
from observer.model.time import clock_time, duration, rfc3339
from observer.model.verdicts import Cause, Confidence, Warranted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from observer.model.flaps import Bounds, Elected, Flap, Misdirection, Reconnects, ResetBurst, Storm

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
BURST_MEANING = {
    BurstCause.PROXY_DOWN: "nothing listens behind the address any more",
    BurstCause.BACKEND_SHUTDOWN: "the proxy ended connections and goes on accepting new ones",
    BurstCause.REDIRECT_LOST: "the holder of the address forgot its connections",
    BurstCause.CLIENT_ABORT: "clients reset their own connections",
    BurstCause.UNATTRIBUTED: "what was seen does not tell why",
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


def misdirected(spell: Misdirection) -> str:
    """Where clients were sent meanwhile."""
    return f"the last announcement sent clients to {spell.router}, not to {spell.instead_of}"


def settled(wave: Reconnects) -> str:
    """Whether a wave of reconnects came to rest."""
    return "not settled when last seen" if wave.settled is None else f"settled after {duration(wave.settled)}"


def colourful(stream: TextIO) -> bool:
    """Whether colours are for this stream: a terminal whose user did not set NO_COLOR (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def line(flap: Flap, *, colour: bool = False) -> str:
    """One line: when, what, from whom to whom, why, warranted or not, cost."""
    verdict = flap.verdict
    reset = "" if flap.connections.reset is None else f", {flap.connections.reset} connections reset"
    text = (
        f"{clock_time(flap.time)}  {flap.virtual_router.label} {_moved(flap)}"
        f"  {verdict.cause.value} ({verdict.confidence.label}), warranted: {verdict.warranted.value}{reset}"
    )
    return f"\x1b[{_STYLE[verdict.warranted]}m{text}\x1b[0m" if colour else text


def story(flap: Flap, *, colour: bool = False, timeline: str | None = None) -> Iterator[str]:
    """The whole verdict, a line each; ``timeline`` is the line of ``text_timeline``."""
    verdict = flap.verdict
    yield _styled(f"{rfc3339(flap.time)}  {flap.virtual_router.label}  {', '.join(flap.addresses)}", "1", colour)
    yield f"  {_moved(flap)}"
    yield f"  cause:      {verdict.cause.value}: {sure(verdict.confidence)} {MEANING[verdict.cause]}"
    if verdict.check is not None:
        yield f"  check:      {verdict.check}"
    yield _styled(f"  warranted:  {verdict.warranted.value}: {WARRANTED[verdict.warranted]}", _STYLE[verdict.warranted], colour)
    if timeline is not None:
        yield _styled(f"  timeline:   {timeline}", "1", colour)
    yield f"  outage:     {_span(flap.outage)}"
    if flap.dual_active.minimum:
        yield f"  two Active: {_span(flap.dual_active)}"
    if flap.served_again is not None:
        yield f"  served:     again after {_span(flap.served_again)}, by the first answered handshake"
    for spell in flap.misdirections:
        yield f"  misdirected: {duration(spell.end - spell.begin)}: {misdirected(spell)}"
    connections = flap.connections
    if connections.reset is not None:
        clients = f"{connections.clients} client{'' if connections.clients == 1 else 's'}"
        aborted = f", {connections.aborted} aborted by the proxy" if connections.aborted else ""
        left = f", {connections.left} left hanging" if connections.left else ""
        cost = f"{connections.reset} connections reset, {connections.refused} refused{aborted}{left}, {clients}"
        yield f"  cost:       {cost}, within {duration(flap.window)}"
    else:
        yield "  cost:       not seen from here: the new router's own capture shows the resets"
    if flap.reconnects is not None and flap.reconnects.attempts:
        wave = flap.reconnects
        yield f"  reconnects: {wave.attempts} attempts, at most {wave.peak} in a second, {settled(wave)}"
    for entry in verdict.evidence:
        yield f"  evidence:   {clock_time(entry.time)}  {entry.statement}"
    for ruled in verdict.ruled_out:
        yield f"  ruled out:  {ruled.cause.value}: {ruled.reason}"
    for blind in verdict.blind_spots:
        yield f"  blind spot: {blind}"


def burst_line(burst: ResetBurst) -> str:
    """One line for a reset burst."""
    counts = ", ".join(f"{number} {reason.value}" for reason, number in burst.connections)
    return (
        f"{clock_time(burst.time)}  {burst.virtual_router.label} connections reset without a flap: {counts}"
        f"  {burst.cause.value} ({burst.confidence.label})"
    )


def burst(value: ResetBurst, *, colour: bool = False) -> Iterator[str]:
    """A reset burst, a line each."""
    title = f"{rfc3339(value.time)}  {value.virtual_router.label}  {', '.join(value.addresses)}  reset burst"
    yield _styled(title, "1", colour)
    yield f"  cause:      {value.cause.value}: {sure(value.confidence)} {BURST_MEANING[value.cause]}"
    counts = ", ".join(f"{number} {reason.value}" for reason, number in value.connections)
    clients = f"{value.clients} client{'' if value.clients == 1 else 's'}"
    yield f"  cost:       {counts}, {clients}, within {duration(value.end - value.time)}"
    for entry in value.evidence:
        yield f"  evidence:   {clock_time(entry.time)}  {entry.statement}"
    for blind in value.blind_spots:
        yield f"  blind spot: {blind}"


def storm_line(value: Storm) -> str:
    """One line for a storm."""
    reset = "" if value.reset is None else f", {value.reset} connections reset"
    return (
        f"{clock_time(value.time)}  {value.virtual_router.label} storm: {value.flaps} flaps until {clock_time(value.end)},"
        f" one every {duration(value.period)}{reset}; {value.statement}"
    )


def storm(value: Storm, *, colour: bool = False) -> Iterator[str]:
    """A storm, turn by turn."""
    title = f"{rfc3339(value.time)}  {value.virtual_router.label}  {', '.join(value.addresses)}  storm"
    yield _styled(title, "1", colour)
    yield f"  flaps:      {value.flaps}, one every {duration(value.period)}, {value.unwarranted} not warranted"
    if value.reset is not None:
        yield f"  cost:       {value.reset} connections reset, {value.refused or 0} refused in all"
    yield f"  loop:       {value.statement}"
    for turn in value.turns:
        words = [f"to {turn.current or 'nobody'}", turn.cause.value]
        if turn.resets is not None:
            words.append(f"{turn.resets} reset")
        if turn.reconnects is not None:
            words.append(f"{turn.reconnects} reconnects, at most {turn.peak} in a second")
        if turn.delay is not None:
            words.append(f"check failed {duration(turn.delay)} after the peak")
        yield f"  turn:       {clock_time(turn.time)}  {', '.join(words)}"


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
