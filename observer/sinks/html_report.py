"""The report of a replay as one HTML file: what happened in plain words, the timeline, and the evidence of every flap.

It fetches nothing, every string is escaped, times are UTC, and no client's address is in it. This file holds the order of the
page and the flaps, storms and bursts one by one; the top is in ``html_summary``, the timeline in ``html_picture``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import observer
from observer.model.time import clock_time, duration, rfc3339
from observer.rules import DESCRIPTIONS
from observer.sinks import text
from observer.sinks.html_assets import POLICY, SCRIPT, STYLE
from observer.sinks.html_packets import PacketWords
from observer.sinks.html_picture import axis_of, picture
from observer.sinks.html_summary import code, moved, summary, title
from observer.sinks.html_text import many, moment, safe, span, table
from observer.sinks.sentences import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from observer.engine.engine import Engine
    from observer.model.flaps import Flap, ResetBurst, Storm
    from observer.model.packets import Packets
    from observer.model.verdicts import Evidence
    from observer.sinks.html_picture import Axis
    from observer.sinks.report import Report

TURNS = 40
"""Turns of a storm that are shown at once; a longer storm's are folded away."""


def write_html(report: Report, engine: Engine, stream: TextIO, packets: Packets | None = None) -> None:
    """The page of a replay that is over; ``packets`` is where in the captures stands what it tells."""
    stream.writelines(part + "\n" for part in _parts(report, engine, PacketWords(packets)))


def _parts(report: Report, engine: Engine, packets: PacketWords) -> Iterator[str]:
    ordered, bursts, storms = report.ordered(), report.bursts, list(report.storms.values())
    timeline = report.timeline
    flaps = {f"flap-{number}": flap for number, flap in enumerate(ordered, 1)}
    axis = axis_of(timeline, flaps, bursts)
    name = safe(title(ordered, bursts))
    yield (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{safe(POLICY)}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{name}</title><style>{STYLE}</style></head><body><main>"
    )
    yield f'<h1>{name}</h1><p class="soft">Report of vrrp-observer. All times are UTC (offset +00:00).</p>'
    yield summary(ordered, bursts, storms)
    yield '<h2 id="timeline">Timeline</h2>'
    yield picture(axis, timeline, flaps, bursts, storms, packets)
    if timeline.left_out:
        yield f"<p>What was seen first is drawn; {timeline.left_out:,} more did not fit into the timeline.</p>"
    if flaps:
        yield '<h2 id="flaps">Flaps</h2>'
        if len(flaps) > 1:
            yield _overview(flaps)
        yield from (_flap(fragment, flap, axis, packets, opened=len(flaps) <= 3) for fragment, flap in flaps.items())
    if storms:
        fragments = {flap.id: fragment for fragment, flap in flaps.items()}
        yield '<h2 id="storms">Storms</h2>'
        yield from (_storm(storm, fragments) for storm in storms)
    if bursts:
        yield '<h2 id="bursts">Reset bursts</h2>'
        yield from (_burst(burst, axis, packets, opened=len(bursts) <= 3) for burst in bursts)
    yield _basis(engine, report, packets)
    yield f"</main><script>{SCRIPT}</script></body></html>"


def _overview(flaps: Mapping[str, Flap]) -> str:
    routers = {flap.virtual_router for flap in flaps.values()}
    several = len(routers) > 1
    rows = [
        (
            f'<a href="#{fragment}">{moment(flap.time)}</a>',
            *([safe(flap.virtual_router.label)] if several else []),
            safe(flap.former or "unknown"),
            safe(flap.current or "nobody"),
            safe(f"{flap.verdict.cause.value} ({flap.verdict.confidence.label})"),
            f'<span class="{flap.verdict.warranted.value}">{flap.verdict.warranted.value}</span>',
            safe(span(flap.outage)),
            "not seen" if flap.connections.reset is None else f"{flap.connections.reset:,}",
        )
        for fragment, flap in flaps.items()
    ]
    head = ("time", *(["virtual router"] if several else []), "from", "to", "cause", "warranted", "outage", "reset")
    where = "" if several else f" of {next(iter(routers)).label}"
    made = table(f"{many(len(flaps), 'flap')}{where} in order of time", head, rows)
    return made if len(rows) <= 25 else f"<details><summary>All {len(rows)} flaps as a table</summary>{made}</details>"


def _flap(fragment: str, flap: Flap, axis: Axis | None, packets: PacketWords, *, opened: bool) -> str:
    verdict = flap.verdict
    heading = (
        f"{clock_time(flap.time)} {flap.virtual_router.label}: {', '.join(flap.addresses)} {moved(flap)}; {verdict.cause.value}"
    )
    facts = [
        f"{text.sure(verdict.confidence).capitalize()} {text.MEANING[verdict.cause]}."
        + (f' The check is called "{verdict.check}".' if verdict.check else ""),
        f"{text.WARRANTED[verdict.warranted][:1].upper()}{text.WARRANTED[verdict.warranted][1:]}.",
    ]
    ruled = "".join(f"<li><code>{entry.cause.value}</code>: {safe(entry.reason)}</li>" for entry in verdict.ruled_out)
    head = (
        f'<details id="{fragment}"{" open" if opened else ""}><summary>{safe(heading)}, warranted: '
        f'<span class="{verdict.warranted.value}">{verdict.warranted.value}</span></summary>'
    )
    parts = [
        head,
        f"<p>{safe(moment(flap.time))}. {safe(' '.join(facts))} {_show(axis, flap.time)}</p>",
        f"<h3>Evidence</h3>{_evidence(verdict.evidence, packets)}",
        f"<h3>Ruled out</h3><ul>{ruled}</ul>" if ruled else "",
        _blind(verdict.blind_spots),
        f"<h3>Cost</h3><ul>{''.join(f'<li>{safe(line)}</li>' for line in _cost(flap))}</ul></details>",
    ]
    return "".join(parts)


def _cost(flap: Flap) -> Iterator[str]:
    yield f"Outage: {span(flap.outage)}"
    if flap.dual_active.minimum:
        yield f"Two routers claimed the addresses: {span(flap.dual_active)}"
    if flap.served_again is not None:
        yield f"Served again after {span(flap.served_again)}, by the first answered handshake"
    for spell in flap.misdirections:
        yield f"For {duration(spell.end - spell.begin)} {text.misdirected(spell)}"
    cost = flap.connections
    if cost.reset is None:
        yield "Connections: not seen from here; the new router's own capture shows the resets"
    else:
        words = [f"{many(cost.reset, 'connection')} reset", f"{cost.refused or 0:,} refused"]
        words += [f"{cost.aborted:,} aborted by the proxy"] if cost.aborted else []
        words += [f"{cost.left:,} left hanging"] if cost.left else []
        words.append(many(cost.clients or 0, "client"))
        yield f"{', '.join(words)}, within {duration(flap.window)}"
    wave = flap.reconnects
    if wave is not None and wave.attempts:
        yield f"{many(wave.attempts, 'reconnect')}, at most {wave.peak:,} in a second, {text.settled(wave)}"


def _storm(storm: Storm, fragments: Mapping[str, str]) -> str:
    heading = f"{moment(storm.time)} to {moment(storm.end)}: {many(storm.flaps, 'flap')} of {', '.join(storm.addresses)}"
    rows = [
        (
            f'<a href="#{fragments[turn.flap]}">{clock_time(turn.time)}</a>' if turn.flap in fragments else clock_time(turn.time),
            safe(turn.former or "unknown"),
            safe(turn.current or "nobody"),
            turn.cause.value,
            _count(turn.resets),
            _count(turn.reconnects),
            _count(turn.peak),
            "" if turn.delay is None else duration(turn.delay),
        )
        for turn in storm.turns
    ]
    head = ("time", "from", "to", "cause", "reset", "reconnects", "most in a second", "from that peak to the failed check")
    turns = table(f"{many(len(rows), 'turn')} of the storm", head, rows)
    if len(rows) > TURNS:
        turns = f"<details><summary>{many(len(rows), 'turn')}</summary>{turns}</details>"
    cost = "" if storm.reset is None else f" {many(storm.reset, 'connection')} reset, {storm.refused or 0:,} refused in all."
    return (
        f"<h3>{safe(heading)}</h3><p>One every {duration(storm.period)}; {storm.unwarranted} not warranted.{cost}</p>"
        f'<p class="verdict">{"The flaps drive each other" if storm.driven else "The loop"}: {safe(storm.statement)}</p>{turns}'
    )


def _burst(burst: ResetBurst, axis: Axis | None, packets: PacketWords, *, opened: bool) -> str:
    heading = f"{moment(burst.time)} {burst.virtual_router.label}: {text.BURST_MEANING[burst.cause]}"
    counts = ", ".join(f"{number:,} {reason.value}" for reason, number in burst.connections)
    return (
        f"<details{' open' if opened else ''}><summary>{safe(heading)}</summary>"
        f"<p>{safe(text.sure(burst.confidence).capitalize())} <code>{burst.cause.value}</code>. {_show(axis, burst.time)}</p>"
        f"<p>{safe(counts)}, {many(burst.clients, 'client')}, within {duration(burst.end - burst.time)}.</p>"
        f"<h3>Evidence</h3>{_evidence(burst.evidence, packets)}{_blind(burst.blind_spots)}</details>"
    )


def _basis(engine: Engine, report: Report, packets: PacketWords) -> str:
    """What the report rests on."""
    rows = [
        (
            safe(span.node),
            safe(span.source),
            rfc3339(span.begin),
            "the end" if span.end is None else rfc3339(span.end),
            span.state.value,
            str(span.lost),
        )
        for span in engine.coverage.spans()
    ]
    clocks = "".join(f"<li>{safe(clock(each))}</li>" for each in engine.coverage.clocks.values() if each.node != each.reference)
    malformed = ", ".join(f"{reason} {number}" for reason, number in sorted(engine.malformed.items()))
    used = sorted({flap.verdict.cause.value for flap in report.flaps})
    return (
        f'<h2 id="basis">What this rests on</h2><p>{many(engine.adverts, "advert")}.'
        f"{' Malformed: ' + safe(malformed) + '.' if malformed else ''}</p>"
        f"{_captures(packets)}"
        f"{table('When each source listened', ('node', 'source', 'from', 'to', 'state', 'lost'), rows) if rows else ''}"
        f"{f'<h3>Clocks</h3><ul>{clocks}</ul>' if clocks else ''}"
        f"{''.join(_description(cause) for cause in used)}"
        f'<p class="soft">vrrp-observer {safe(observer.__version__)}. Client addresses and passwords are left out.</p>'
    )


def _captures(packets: PacketWords) -> str:
    if not packets.captures:
        return ""
    made = table("Captures", ("file", "node"), [(f"<code>{safe(name)}</code>", safe(node)) for node, name in packets.captures])
    return f"<p>Packets are numbered as in Wireshark, where Ctrl+G goes to one.</p>{made}"


def _description(cause: str) -> str:
    paragraphs = "".join(f"<p>{code(' '.join(part.split()))}</p>" for part in DESCRIPTIONS[cause].split("\n\n"))
    return f"<details><summary>What <code>{safe(cause)}</code> means</summary>{paragraphs}</details>"


def _evidence(entries: Sequence[Evidence], packets: PacketWords) -> str:
    items = []
    for entry in entries:
        where = "; ".join(filter(None, (entry.node, packets.at(entry.time, entry.node))))
        items.append(
            f'<li><time datetime="{rfc3339(entry.time)}">{clock_time(entry.time)}</time> {safe(entry.statement)}'
            f"{f' <span class=soft>({safe(where)})</span>' if where else ''}</li>"
        )
    return f"<ul>{''.join(items)}</ul>" if items else "<p>None.</p>"


def _blind(spots: Sequence[str]) -> str:
    return f"<h3>Blind spots</h3><ul>{''.join(f'<li>{safe(spot)}</li>' for spot in spots)}</ul>" if spots else ""


def _show(axis: Axis | None, time: int) -> str:
    return "" if axis is None else f'<button type="button" hidden data-at="{axis.share(time)}">Show in the timeline</button>'


def _count(value: int | None) -> str:
    return "not seen" if value is None else f"{value:,}"
