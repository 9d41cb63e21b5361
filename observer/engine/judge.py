"""From a view of a flap to its verdict and cost: asks every rule, weighs the answers, adds what could not be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from observer.model.addresses import mac_number
from observer.model.flaps import Bounds, Misdirection
from observer.model.observations import NeighbourKind
from observer.model.time import MILLISECOND, SECOND, duration
from observer.model.verdicts import Cause, Confidence, Finding, RuledOut, Verdict
from observer.rules import RULES
from observer.rules.silence import SILENT
from observer.rules.warranted import warranted

if TYPE_CHECKING:
    from collections.abc import Callable

    from observer.rules.view import FlapView

SHORT = 10 * SECOND
"""An observation that began less than this before the move may have missed what led to it."""

BRIEF = 100 * MILLISECOND
"""Clients misdirected for less are not told one by one: the announcements of an election cross for some milliseconds."""


def judge(view: FlapView) -> Verdict:
    """The verdict that the evidence supports at ``view.now``; the last rule always finds something."""
    findings: list[Finding] = []
    ruled_out: list[RuledOut] = []
    for rule in RULES:
        answer = rule.find(view)
        if isinstance(answer, Finding):
            findings.append(answer)
        elif answer is not None:
            ruled_out.append(RuledOut(rule.cause, answer))
    fallback = findings.pop()
    findings.sort(key=lambda finding: -finding.confidence)
    best = findings[0] if findings else fallback
    rivals = findings[1:]
    confidence = best.confidence
    if rivals and rivals[0].confidence is confidence:
        if confidence is Confidence.CERTAIN:
            # Both cannot be: the evidence is not as decisive as it looks.
            confidence = Confidence.LIKELY
        elif confidence is Confidence.POSSIBLE:
            # Nothing prefers one to the other: naming either would be a guess.
            proofs = (evidence for finding in (fallback, *findings) for evidence in finding.evidence)
            best, rivals = replace(fallback, evidence=tuple(dict.fromkeys(proofs))), findings
    doubt = _clocks(view)
    if doubt is not None:
        confidence = min(confidence, Confidence.LIKELY)
        best = replace(best, confidence=confidence)
    answer, proof, unseen = warranted(view, best, rivals)
    blind_spots = [*best.blind_spots, *unseen, *_blind(view), *([doubt] if doubt is not None else [])]
    if best.cause is Cause.UNEXPLAINED and not (blind_spots or rivals):
        blind_spots.append("what was seen fits no cause that is known here")
    blind_spots += [f"{other.cause.value} would fit as well ({other.confidence.label})" for other in rivals]
    return Verdict(
        cause=best.cause,
        confidence=confidence,
        warranted=answer,
        check=best.check,
        evidence=tuple(sorted((*best.evidence, *proof), key=lambda entry: (entry.time, entry.statement))),
        ruled_out=tuple(ruled_out),
        blind_spots=tuple(dict.fromkeys(blind_spots)),
    )


def _blind(view: FlapView) -> list[str]:
    blind = []
    if view.former is not None and view.former not in view.local:
        blind.append(f"the node of {view.former} was not observed from inside: its addresses, link and processes are unknown")
    if view.missing:
        missing = "; ".join(f"{name} ({reason})" for name, reason in sorted(view.missing.items()))
        blind.append(f"on the node of {view.former} this could not be looked at: {missing}")
    if view.frames_lost:
        blind.append(f"{view.frames_lost} frames were lost by the capture around the flap")
    if view.time - view.observed_since < SHORT:
        blind.append("the observation began only shortly before")
    return blind


def _clocks(view: FlapView) -> str | None:
    """Why the order of what different nodes saw is not known; None where it is, as closely as any rule needs it.

    Rules compare times of several nodes in steps of half an advertised interval and more; what needs it closer comes from one.
    """
    if not view.clocks:
        return None
    apart = view.apart()
    if apart is None:
        names = ", ".join(sorted(node for node, clock in view.clocks.items() if clock.error is None))
        reference = next(iter(view.clocks.values())).reference
        return f"the clock of {names} could not be compared with that of {reference}: what happened first is not known"
    held = view.held
    if apart <= (held.interval if held is not None else SECOND) // 2:
        return None
    return f"the nodes' clocks may differ by {duration(apart)}, more than the order of events needs"


def outage(view: FlapView) -> Bounds:
    """How long nobody answered for the addresses, as far as adverts and announcements tell."""
    last = view.last_before
    if last is None:
        return Bounds(0, None)
    end = view.taken_over
    if end is None:
        resumed = [run.first for run in view.runs.get(last.router, ()) if run.first > last.last and run.priority > 0]
        end = resumed[0] if resumed else None
    if end is None and last.priority > 0 and view.current == view.former and view.contenders:
        return Bounds(0, 0)
    if end is None:
        return Bounds(0, None)
    announced = _announced(view, end)
    latest = announced if announced is not None else end
    if last.priority == 0:
        # keepalived removes the addresses when it resigns.
        return Bounds(max(0, end - last.last), max(0, latest - last.first))
    if end - last.last < SILENT * last.interval:
        # The former router was there until the new one announced itself.
        return Bounds(0, max(0, latest - end))
    return Bounds(0, max(0, latest - last.last))


def dual_active(view: FlapView) -> Bounds:
    """How long two routers advertised side by side after the move; the claim may have lasted an interval longer."""
    begin = view.taken_over if view.taken_over is not None else view.time
    rivals = [router for router in (view.former, *view.contenders) if router is not None and router != view.current]
    overlap, interval = 0, 0
    for router in rivals:
        for run in view.runs.get(router, ()):
            last = run.last if view.ended is None else min(run.last, view.ended)
            if last >= begin and run.first <= begin + 3 * run.interval and run.priority > 0:
                overlap = max(overlap, last - begin)
                interval = run.interval
    return Bounds(overlap, overlap + interval if overlap or interval else 0)


def served_again(view: FlapView, first_answer: Callable[[int | None], int | None]) -> Bounds | None:
    """How long until the new holder first answered a handshake, by ``first_answer`` of its link-layer address.

    The former holder served until its last advert at least, and until the new one announced itself at most.
    """
    takeover, last = view.takeover, view.last_before
    if takeover is None or view.taken_over is None:
        return None
    answered = first_answer(mac_number(takeover.mac) if takeover.mac is not None else None)
    if answered is None:
        return None
    if last is None:
        return Bounds(0, None)
    if last.priority == 0:
        begin, latest = last.first, last.last
    else:
        announced = _announced(view, view.taken_over)
        silent = view.taken_over - last.last >= SILENT * last.interval
        begin, latest = last.last if silent else view.taken_over, announced if announced is not None else view.taken_over
    return Bounds(max(0, answered - latest), max(0, answered - begin))


def fell(view: FlapView) -> int | None:
    """When the former router's priority fell, or it resigned, before the flap."""
    drop = view.fall()
    if drop is not None:
        return drop[1].first
    return view.resignation.first if view.resignation is not None else None


def misdirections(view: FlapView) -> list[Misdirection] | None:
    """When the last announcement of an address was a loser's, for the address with most of it; None where none was seen."""
    takeover = view.takeover
    if takeover is None or takeover.mac is None or view.taken_over is None:
        return None
    end = view.ended if view.ended is not None else view.now
    losers = {
        run.mac: run.router
        for router in (view.former, *view.contenders)
        for run in view.runs.get(router or "", ())
        if run.mac is not None and run.mac != takeover.mac
    }
    spells: dict[str, list[Misdirection]] = {}
    wrong: dict[str, tuple[int, str]] = {}
    for message in view.neighbours:
        if message.kind is not NeighbourKind.ANNOUNCEMENT or not view.taken_over <= message.time < end:
            continue
        mine = spells.setdefault(message.sender, [])
        if message.mac == takeover.mac:
            if message.sender in wrong:
                begin, router = wrong.pop(message.sender)
                mine.append(Misdirection(begin, message.time, router, takeover.router))
        elif message.mac in losers:
            wrong.setdefault(message.sender, (message.time, losers[message.mac]))
    for address, (begin, router) in wrong.items():
        spells[address].append(Misdirection(begin, end, router, takeover.router))
    if not spells:
        return None
    return max(spells.values(), key=lambda found: sum(spell.end - spell.begin for spell in found))


def _announced(view: FlapView, begin: int) -> int | None:
    for message in view.neighbours:
        if message.kind is NeighbourKind.ANNOUNCEMENT and message.time >= begin:
            return message.time
    return None
