"""The timeline as SVG: a lane for flaps, for each router, for connections, and for each node.

Places along the time axis are percentages, so that zooming is a wider picture in a box that scrolls, and marks keep their size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.model.flaps import ResetReason
from observer.model.time import MILLISECOND, SECOND, clock_time
from observer.sinks import text
from observer.sinks.html_text import length, many, moment, safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observer.model.flaps import Flap, ResetBurst, Storm, VirtualRouter
    from observer.sinks.html_packets import PacketWords
    from observer.sinks.timeline import Heard, Mark, Node, Run, Timeline

HEIGHT = 30
"""Pixels of a lane."""

MARKS = 400
"""Marks of a lane; where there are more, neighbours are drawn as one that tells their number."""

DENSE = 60
"""Flaps from which on their marks are narrow."""

GROUPS = 8
"""Virtual routers drawn."""

BEFORE, AFTER = 15 * SECOND, 40 * SECOND
"""What is drawn around the first and the last flap."""

POINTS = {
    "zero": '<path d="M0 3V23"/>',
    "flap": '<path d="M0 4L9 14L0 24L-9 14Z"/>',
    "narrow": '<path d="M0 4L4 14L0 24L-4 14Z"/>',
    "burst": '<path d="M-7 7H7V21H-7Z"/>',
    "log": '<circle cy="20" r="4"/>',
    "link": '<path d="M-5 3H5V13H-5Z"/>',
    "address": '<path d="M0 2L6 13H-6Z"/>',
    "sample": '<path d="M0 2V13M-5 8H5"/>',
    "lost": '<path d="M-4 3L4 13M4 3L-4 13"/>',
    "wave": '<circle cy="8" r="5"/>',
}
"""Shapes around x = 0, so that colour is never all that tells two kinds apart."""


@dataclass(slots=True)
class _Lane:
    name: str
    items: list[tuple[int, str]] = field(default_factory=list)
    """Time and SVG."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that is drawn."""

    begin: int
    end: int

    def at(self, time: int) -> str:
        """A place in per cent; five digits are below a millisecond in an hour."""
        return f"{100 * (time - self.begin) / (self.end - self.begin):.5f}".rstrip("0").rstrip(".")

    def share(self, time: int) -> str:
        """A place from 0 to 1, as the script takes it."""
        return f"{(time - self.begin) / (self.end - self.begin):.6f}"

    def within(self, time: int) -> bool:
        """Whether it is drawn."""
        return self.begin <= time <= self.end

    def cut(self, begin: int, end: int) -> tuple[int, int] | None:
        """What of a span is drawn."""
        begin, end = max(begin, self.begin), min(end, self.end)
        return (begin, end) if begin < end else None


def picture(
    axis: Axis | None,
    timeline: Timeline,
    flaps: Mapping[str, Flap],
    bursts: Sequence[ResetBurst],
    storms: Sequence[Storm],
    packets: PacketWords,
) -> str:
    """The picture with its names and controls; ``flaps`` by the fragment that their marks link to."""
    shown = {flap.virtual_router for flap in flaps.values()} | {burst.virtual_router for burst in bursts}
    drawn = sorted(shown or timeline.routers, key=_place)[:GROUPS]
    if axis is None or not drawn:
        return "<p>No advert was seen: there is nothing to draw.</p>"
    lanes: list[_Lane] = []
    for router in drawn:
        heard = timeline.routers.get(router)
        here = {fragment: flap for fragment, flap in flaps.items() if flap.virtual_router == router}
        title = router.label if len(drawn) > 1 else ""
        lanes.append(_events(axis, title, here, [b for b in bursts if b.virtual_router == router], storms, router, packets))
        if heard is not None:
            lanes += [_router(axis, name, runs, heard, packets) for name, runs in sorted(heard.runs.items())]
            lanes.append(_connections(axis, heard, list(here.values()), packets))
    virtual = {address for flap in flaps.values() for address in flap.addresses}
    lanes += [_node(axis, name, node, virtual, packets) for name, node in sorted(timeline.nodes.items())]
    lanes = [lane for place, lane in enumerate(lanes) if lane.items or not place]
    rest = len(shown or timeline.routers) - len(drawn)
    return _frame(axis, lanes, dense=len(flaps) > DENSE) + (
        f"<p>{many(rest, 'more virtual router')} not drawn.</p>" if rest > 0 else ""
    )


def _place(router: VirtualRouter) -> tuple[str, int, int]:
    return router.interface or "", router.vrid, router.family


def axis_of(timeline: Timeline, flaps: Mapping[str, Flap], bursts: Sequence[ResetBurst]) -> Axis | None:
    """What of the time to draw: around the flaps and bursts, or all where there is none; None where nothing was seen."""
    times = [flap.time for flap in flaps.values()] + [time for burst in bursts for time in (burst.time, burst.end)]
    if timeline.begin is None:
        return None
    begin, end = timeline.begin, max(timeline.end, timeline.begin + SECOND)
    if times:
        begin, end = max(begin, min(times) - BEFORE), min(end, max(times) + AFTER)
    return Axis(begin, max(end, begin + SECOND))


def _events(
    axis: Axis,
    title: str,
    flaps: Mapping[str, Flap],
    bursts: Sequence[ResetBurst],
    storms: Sequence[Storm],
    router: VirtualRouter,
    packets: PacketWords,
) -> _Lane:
    lane = _Lane(f"flaps, {title}" if title else "flaps")
    for storm in storms:
        if storm.virtual_router == router and (span := axis.cut(storm.time, storm.end)):
            when = f"from {clock_time(storm.time)} to {clock_time(storm.end)}"
            words = f"Storm of {many(storm.flaps, 'flap')} {when}: {storm.statement}"
            lane.items.append((storm.time, _bar(axis, span, 0, HEIGHT - 2, "storm", words)))
    shape = "flap" if len(flaps) <= DENSE else "narrow"
    for fragment, flap in flaps.items():
        told = [f"Flap at {text.line(flap)}", *(entry.statement for entry in flap.verdict.evidence[:3])]
        words = "; ".join([*told, *_if_known(packets.at(flap.time))])
        said = safe(words)
        link = (
            f'<a class="m {flap.verdict.warranted.value}" href="#{fragment}" aria-label="{said}"><title>{said}</title>'
            f"{_shape(axis, flap.time, shape)}</a>"
        )
        lane.items.append((flap.time, link))
    for burst in bursts:
        words = "; ".join([f"Reset burst at {text.burst_line(burst)}", *_if_known(packets.at(burst.time))])
        lane.items.append((burst.time, _point(axis, burst.time, "burst", words)))
    return lane


def _router(axis: Axis, name: str, runs: Sequence[Run], heard: Heard, packets: PacketWords) -> _Lane:
    lane, most = _Lane(name), max((run.priority for run in runs), default=0)
    for run in runs:
        span = axis.cut(run.first, run.last + (run.interval if run.priority else 0))
        if span is None and not (run.priority == 0 and axis.within(run.first)):
            continue
        who = "; ".join([f", heard by {', '.join(sorted(run.nodes))}", *_if_known(packets.run(name, run))])
        if run.priority == 0:
            words = f"{clock_time(run.first)}: {name} resigned (priority 0, {many(run.adverts, 'advert')}){who}"
            lane.items.append((run.first, _point(axis, run.first, "zero", words)))
        elif span is not None:
            until = clock_time(run.last)
            what = f"priority {run.priority} from {clock_time(run.first)} to {until}"
            words = f"{name} advertised {what}, {many(run.adverts, 'advert')}{who}"
            kind = "run" if run.priority == most else "run low"
            lane.items.append((run.first, _bar(axis, span, 2, 17, kind, words, str(run.priority))))
    for spell in heard.active:
        end = axis.end if spell.end is None else spell.end
        if spell.what == name and (span := axis.cut(spell.begin, end)):
            until = "the end" if spell.end is None else clock_time(end)
            words = f"{name} was Active from {clock_time(spell.begin)} to {until}"
            lane.items.append((spell.begin, _bar(axis, span, 21, 6, "active", words)))
    return lane


def _connections(axis: Axis, heard: Heard, flaps: Sequence[Flap], packets: PacketWords) -> _Lane:
    lane = _Lane("resets and reconnects")
    # Seconds of a long time are sums of some seconds: a bar must be wide enough to be seen.
    width = max(1, -(-(axis.end - axis.begin) // (MARKS * SECOND))) * SECOND
    sums: dict[int, dict[ResetReason, int]] = {}
    for second, counts in heard.resets.items():
        if axis.within(second + SECOND):
            total = sums.setdefault(second if width == SECOND else second // width * width, {})
            for reason, number in counts.items():
                total[reason] = total.get(reason, 0) + number
    most = max((sum(total.values()) for total in sums.values()), default=1)
    for begin, total in sorted(sums.items()):
        if span := axis.cut(begin, begin + width):
            number = sum(total.values())
            height = max(3, round((HEIGHT - 4) * number / most))
            reasons = ", ".join(f"{count} {reason.value}" for reason, count in sorted(total.items()))
            told = f"{clock_time(begin)}, within {width // SECOND} s: {many(number, 'reset segment')}: {reasons}"
            words = "; ".join([told, *(f"among {where}" for where in _if_known(packets.within(begin, begin + width)))])
            kind = "refused" if total.get(ResetReason.REFUSED, 0) * 2 > number else "reset"
            lane.items.append((begin, _bar(axis, span, HEIGHT - 2 - height, height, kind, words)))
    for flap in flaps:
        wave = flap.reconnects
        if wave is not None and wave.attempts and axis.within(wave.peak_time):
            words = f"{clock_time(wave.peak_time)}: peak of {wave.attempts} reconnects, {wave.peak} within a second"
            lane.items.append((wave.peak_time, _point(axis, wave.peak_time, "wave", words)))
    return lane


def _node(axis: Axis, name: str, node: Node, virtual: set[str], packets: PacketWords) -> _Lane:
    lane = _Lane(f"node {name}")
    for address, spells in sorted(node.held.items()):
        for spell in spells:
            end = axis.end if spell.end is None else spell.end
            if address in virtual and (span := axis.cut(spell.begin, end)):
                until = "the end" if spell.end is None else clock_time(end)
                words = f"the kernel of {name} had {address} from {clock_time(spell.begin)} to {until}"
                lane.items.append((spell.begin, _bar(axis, span, HEIGHT - 5, 4, "held", words)))
    for marks in _gathered(axis, [mark for mark in node.marks if axis.within(mark.time)]):
        first = marks[0]
        words = "; ".join(
            " (".join([f"{clock_time(mark.time)}: {mark.text}", *(f"{where})" for where in _if_known(packets.entry(name, mark)))])
            for mark in marks[:3]
        )
        if len(marks) > 3:
            words += f"; and {len(marks) - 3} more until {clock_time(marks[-1].time)}"
        lane.items.append((first.time, _point(axis, first.time, first.kind, f"{name}, {words}")))
    return lane


def _if_known(words: str) -> list[str]:
    return [words] if words else []


def _gathered(axis: Axis, marks: Sequence[Mark]) -> list[list[Mark]]:
    """Each mark alone, or neighbours of a kind together where there are too many."""
    if len(marks) <= MARKS:
        return [[mark] for mark in marks]
    bins: dict[tuple[int, str], list[Mark]] = {}
    for mark in marks:
        bins.setdefault(((mark.time - axis.begin) * MARKS // (axis.end - axis.begin), mark.kind), []).append(mark)
    return list(bins.values())


def _bar(axis: Axis, span: tuple[int, int], y: int, height: int, kind: str, words: str, label: str = "") -> str:
    """A span; what is nested in an ``svg`` is cut at its edge, so that a label that has no room is not seen."""
    begin, end = span
    width = f"{100 * (end - begin) / (axis.end - axis.begin):.5f}".rstrip("0").rstrip(".")
    inner = f'<text x="4" y="{height - 4}" aria-hidden="true">{safe(label)}</text>' if label else ""
    return (
        f'<svg class="m {kind}" role="img" tabindex="0" x="{axis.at(begin)}%" y="{y}" width="{width}%" height="{height}">'
        f'<title>{safe(words)}</title><rect width="100%" height="100%"/>{inner}</svg>'
    )


def _point(axis: Axis, time: int, kind: str, words: str) -> str:
    shape = _shape(axis, time, kind)
    return f'<g class="m {kind}" role="img" tabindex="0"><title>{safe(words)}</title>{shape}</g>'


def _shape(axis: Axis, time: int, kind: str) -> str:
    return f'<svg x="{axis.at(time)}%" overflow="visible">{POINTS[kind]}</svg>'


def _frame(axis: Axis, lanes: Sequence[_Lane], *, dense: bool) -> str:
    height = len(lanes) * HEIGHT + 24
    rows = []
    for place, lane in enumerate(lanes):
        # In order of time, which is the order of the keyboard.
        items = "".join(item for _, item in sorted(lane.items, key=lambda item: item[0]))
        back = f'<rect class="back" width="100%" height="{HEIGHT}"/>' if place % 2 == 0 else ""
        rows.append(
            f'<svg class="lane" role="group" aria-label="{safe(lane.name)}" y="{place * HEIGHT}" width="100%" height="{HEIGHT}"'
            f' overflow="visible">{back}{items}</svg>'
        )
    eighths = [(number, axis.begin + (axis.end - axis.begin) * number // 8) for number in range(8)]
    ticks = "".join(f'<text x="{12.5 * place:g}%" y="{height - 7}">{clock_time(time)[:-4]}</text>' for place, time in eighths)
    names = "".join(f"<li>{safe(lane.name)}</li>" for lane in lanes)
    milliseconds = (axis.end - axis.begin) // MILLISECOND
    data = f'data-begin="{axis.begin // MILLISECOND}" data-length="{milliseconds}"' + (' class="dense"' if dense else "")
    return (
        f'<div class="controls" id="controls" hidden><button type="button" id="in">Zoom in</button> '
        f'<button type="button" id="out">Zoom out</button> <button type="button" id="all">Whole</button>'
        f" Keys in the picture: + and - zoom, arrows go from mark to mark.</div>"
        f'<div class="timeline"><ul class="names" aria-hidden="true">{names}</ul>'
        f'<div class="box" id="box" tabindex="0" role="group" aria-label="Timeline, {len(lanes)} lanes">'
        f'<svg id="picture" width="100%" height="{height}" {data}'
        f' role="group" aria-label="Timeline from {moment(axis.begin)} to {moment(axis.end)}">'
        f'{"".join(rows)}<g id="ticks" class="ticks" aria-hidden="true">{ticks}</g></svg></div></div>'
        f'<output id="told">{_LEGEND_HINT}</output>{_legend("".join(rows))}'
        f"<p>From {moment(axis.begin)} to {moment(axis.end)} ({length(axis.end - axis.begin)}).</p>"
    )


_LEGEND_HINT = "Point at a mark, or go to it with the keyboard, to read what it shows."

_LEGEND = (
    ("flap no", "flap", "flap, not warranted"),
    ("flap yes", "flap", "flap, warranted"),
    ("flap unknown", "flap", "flap, not known whether warranted"),
    ("burst", "burst", "reset burst"),
    ("zero", "zero", "resigned: priority 0"),
    ("wave", "wave", "peak of reconnects"),
    ("log", "log", "line of a log"),
    ("link", "link", "link"),
    ("address", "address", "address came or went"),
    ("sample", "sample", "proxy or process changed"),
    ("lost", "lost", "frames lost"),
)
_BARS = (
    ("run", "adverts, with their priority"),
    ("run low", "at less than its highest"),
    ("active", "Active"),
    ("held", "node has the address"),
    ("reset", "resets"),
    ("refused", "mostly refused"),
    ("storm", "storm"),
)


_LOWER = {"log": -7, "link": 5, "address": 5, "sample": 5, "lost": 5, "wave": 5}
"""Pixels by which a shape of the legend is moved to the middle of its line."""


def _legend(drawn: str) -> str:
    """The kinds that are drawn."""
    bars = "".join(
        f'<li><svg class="{kind}" width="22" height="14" aria-hidden="true"><rect width="22" height="14"/></svg> {name}</li>'
        for kind, name in _BARS
        if f'class="m {kind}"' in drawn
    )
    points = "".join(
        f'<li><svg class="{kind}" width="22" height="26" aria-hidden="true">'
        f'<svg x="50%" y="{_LOWER.get(shape, 0)}" overflow="visible">{POINTS[shape]}'
        f"</svg></svg> {name}</li>"
        for kind, shape, name in _LEGEND
        if f'class="m {kind.removeprefix("flap ")}"' in drawn
    )
    return f'<ul class="legend" aria-label="Legend">{bars}{points}</ul>'
