"""The top of the report, for a reader in a hurry: what happened, why, whether it was warranted, what it cost, what to do."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from observer.model.flaps import Bounds
from observer.model.verdicts import Warranted
from observer.rules import DESCRIPTIONS as FLAPS
from observer.rules.bursts import DESCRIPTIONS as BURSTS
from observer.sinks import text
from observer.sinks.html_text import length, many, moment, safe, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observer.model.flaps import Flap, ResetBurst, Storm

CAUSES = 4
"""Causes whose advice is shown; that of the others is in the description of each flap."""


def title(flaps: Sequence[Flap], bursts: Sequence[ResetBurst]) -> str:
    """What happened, as a headline (not escaped)."""
    if len(flaps) == 1:
        (flap,) = flaps
        return f"{_addresses(flaps)} {moved(flap)}"
    if flaps:
        what = f" changed hands {len(flaps):,} times" if all(map(_changed_hands, flaps)) else f": {many(len(flaps), 'flap')}"
        return f"{_addresses(flaps)}{what}"
    if bursts:
        return f"{_addresses(bursts)}: {many(len(bursts), 'reset burst')}, and no flap"
    return "No flap was seen"


def summary(flaps: Sequence[Flap], bursts: Sequence[ResetBurst], storms: Sequence[Storm]) -> str:
    """Question and answer."""
    if not flaps and not bursts:
        return "<p>The virtual addresses stayed where they were, as far as these captures show.</p>"
    asked = [("What happened", _happened(flaps, bursts, storms)), ("Why", _why(flaps, bursts))]
    if flaps:
        asked.append(("Was it warranted?", _warranted(flaps)))
    asked += [("What it cost", _cost(flaps, bursts)), ("What to do", _advice(flaps, bursts))]
    return '<dl class="summary">' + "".join(f"<dt>{question}</dt><dd>{answer}</dd>" for question, answer in asked) + "</dl>"


def moved(flap: Flap) -> str:
    """From whom to whom (not escaped)."""
    if flap.current is None:
        return f"was lost by {flap.former or 'an unknown router'}, and nobody took over"
    if flap.current == flap.former:
        return f"was interrupted at {flap.former}"
    return f"moved from {flap.former or 'an unknown router'} to {flap.current}"


def _changed_hands(flap: Flap) -> bool:
    return flap.current not in (None, flap.former)


def advice(cause: str) -> str:
    """The paragraph of the cause's description that says what to do, as HTML; empty where there is none."""
    for paragraph in (FLAPS | BURSTS).get(cause, "").split("\n\n"):
        begin, found, rest = paragraph.partition("What to do: ")
        if found and not begin:
            words = " ".join(rest.split())
            return code(words[:1].upper() + words[1:])
    return ""


def code(words: str) -> str:
    """Escaped, with what stands in backticks as code, and between asterisks with stress."""
    return re.sub(r"\*(\w+)\*", r"<em>\1</em>", re.sub(r"`([^`]+)`", r"<code>\1</code>", safe(words)))


def _happened(flaps: Sequence[Flap], bursts: Sequence[ResetBurst], storms: Sequence[Storm]) -> str:
    said = []
    if len(flaps) == 1:
        (flap,) = flaps
        said.append(f"At {moment(flap.time)} {_addresses(flaps)} {moved(flap)} ({flap.virtual_router.label}).")
    elif flaps:
        routers = {flap.virtual_router for flap in flaps}
        where = f"of {next(iter(routers)).label}" if len(routers) == 1 else f"of {len(routers)} virtual routers"
        lasted = f"{many(len(flaps), 'flap')} {where} in {length(flaps[-1].time - flaps[0].time)}"
        moves = sum(map(_changed_hands, flaps))
        rest = len(flaps) - moves
        outcome = f"{_addresses(flaps)} changed hands {many(moves, 'time')}"
        if rest:
            outcome += f", and {many(rest, 'time')} nobody took over, or the same router came back"
        said.append(f"{lasted}, from {moment(flaps[0].time)} to {moment(flaps[-1].time)}: {outcome}.")
    said += [f"{many(storm.flaps, 'flap')} followed each other closely, a storm: {storm.statement}." for storm in storms[:3]]
    if bursts:
        said.append(
            f"{many(len(bursts), 'time')} many connections were reset at once while the addresses stayed where they were."
        )
    return _paragraphs(said)


def _why(flaps: Sequence[Flap], bursts: Sequence[ResetBurst]) -> str:
    if len(flaps) == 1 and not bursts:
        verdict = flaps[0].verdict
        check = f' The check is called "{verdict.check}".' if verdict.check else ""
        sure = text.sure(verdict.confidence).capitalize()
        return _paragraphs([f"{sure} {text.MEANING[verdict.cause]} ({verdict.cause.value}).{check}"])
    said = []
    for cause, number in Counter(flap.verdict.cause for flap in flaps).most_common():
        checks = sorted({flap.verdict.check for flap in flaps if flap.verdict.cause is cause and flap.verdict.check})
        check = f"; failed: {', '.join(checks[:5])}" if checks else ""
        said.append(f"{many(number, 'flap')}: {text.MEANING[cause]} ({cause.value}{check})")
    for what, number in Counter(burst.cause for burst in bursts).most_common():
        said.append(f"{many(number, 'reset burst')}: {text.BURST_MEANING[what]} ({what.value})")
    return "<ul>" + "".join(f"<li>{safe(line)}</li>" for line in said) + "</ul>"


def _warranted(flaps: Sequence[Flap]) -> str:
    if len(flaps) == 1:
        value = flaps[0].verdict.warranted
        words = text.WARRANTED[value]
        return f'<p class="verdict {value.value}">{_answer(value)}: {safe(words)}.</p>'
    counts = Counter(flap.verdict.warranted for flap in flaps)
    return "".join(
        f'<p class="verdict {value.value}">{_answer(value)}, {counts[value]} of {len(flaps)}: {safe(_MANY[value])}.</p>'
        for value in (Warranted.NO, Warranted.YES, Warranted.UNKNOWN)
        if counts[value]
    )


_MANY = {
    Warranted.YES: "the former router could not serve",
    Warranted.NO: "the former router could have gone on serving",
    Warranted.UNKNOWN: "whether the former router could have gone on was not seen",
}


def _answer(value: Warranted) -> str:
    return {Warranted.YES: "Yes", Warranted.NO: "No", Warranted.UNKNOWN: "Not known"}[value]


def _cost(flaps: Sequence[Flap], bursts: Sequence[ResetBurst]) -> str:
    said = []
    if flaps:
        ends = [flap.outage.maximum for flap in flaps]
        whole = Bounds(sum(flap.outage.minimum for flap in flaps), None if None in ends else sum(end or 0 for end in ends))
        told = f"Time in which nobody answered for the addresses{' in all' * (len(flaps) > 1)}: {span(whole)}."
        said.append(told if whole.maximum != 0 else "Somebody answered for the addresses all the time, as far as adverts tell.")
        both = sum(flap.dual_active.minimum for flap in flaps)
        if both:
            most = [flap.dual_active.maximum for flap in flaps]
            spell = Bounds(both, None if None in most else sum(end or 0 for end in most))
            said.append(f"Time in which two routers claimed them: {span(spell)}.")
        seen = [flap.connections for flap in flaps if flap.connections.reset is not None]
        if seen:
            words = [
                f"{many(_sum(one.reset for one in seen), 'connection')} reset",
                f"{_sum(one.refused for one in seen):,} refused",
            ]
            for number, verb in (
                (_sum(c.aborted for c in seen), "aborted by the proxy"),
                (_sum(c.left for c in seen), "left hanging"),
            ):
                words += [f"{number:,} {verb}"] if number else []
            if len(flaps) == 1:
                words.append(f"of {many(_sum(one.clients for one in seen), 'client')}")
            part = "" if len(seen) == len(flaps) else f" (seen for {len(seen)} of {len(flaps)} flaps)"
            said.append(", ".join(words) + part + ".")
        else:
            said.append("What it cost in connections was not seen from here: the new router's own capture shows it.")
        attempts = _sum(flap.reconnects.attempts for flap in flaps if flap.reconnects is not None)
        if attempts:
            peak = max(flap.reconnects.peak for flap in flaps if flap.reconnects is not None)
            said.append(f"Clients then tried {many(attempts, 'new connection')}, at most {peak:,} within a second.")
    if bursts:
        number = sum(count for burst in bursts for _, count in burst.connections)
        said.append(f"Reset bursts cost {many(number, 'connection')}.")
    return _paragraphs(said)


def _advice(flaps: Sequence[Flap], bursts: Sequence[ResetBurst]) -> str:
    counts: Counter[str] = Counter(flap.verdict.cause.value for flap in flaps) + Counter(burst.cause.value for burst in bursts)
    shown = [(cause, words) for cause, _ in counts.most_common(CAUSES) if (words := advice(cause))]
    if len(counts) == 1:
        return "".join(f"<p>{words}</p>" for _, words in shown)
    return "<ul>" + "".join(f"<li><code>{safe(cause)}</code>: {words}</li>" for cause, words in shown) + "</ul>"


def _addresses(values: Sequence[Flap] | Sequence[ResetBurst]) -> str:
    found = sorted({address for value in values for address in value.addresses})
    if not found:
        return "A virtual address"
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def _sum(values: Iterable[int | None]) -> int:
    return sum(value or 0 for value in values)


def _paragraphs(said: Sequence[str]) -> str:
    return "".join(f"<p>{safe(line)}</p>" for line in said)
