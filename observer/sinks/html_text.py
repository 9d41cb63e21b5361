"""Text into HTML: the one place that escapes, and times and sums as the report says them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from observer.model.time import SECOND, duration, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from observer.model.flaps import Bounds


def safe(value: object) -> str:
    """Any text as HTML text or in a quoted attribute; a letter that cannot be printed, or turns text round, is replaced."""
    return html.escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value)))


def moment(time: int) -> str:
    """``2026-11-23 08:12:03.572 UTC``."""
    return rfc3339(time)[:23].replace("T", " ") + " UTC"


def many(count: int, what: str) -> str:
    """``1 flap``, ``2 flaps``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def length(time: int) -> str:
    """A length of time as people say it: ``33 min 26 s``, ``2 h 5 min``; below two minutes as ``duration`` has it."""
    if time < 120 * SECOND:
        return duration(time)
    minutes, seconds = divmod(time // SECOND, 60)
    if minutes < 120:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def span(bounds: Bounds) -> str:
    """Bounds in words."""
    if bounds.maximum is None:
        return f"at least {duration(bounds.minimum)}, not over when last seen"
    if bounds.maximum == bounds.minimum:
        return duration(bounds.minimum)
    if not bounds.minimum:
        return f"at most {duration(bounds.maximum)}"
    return f"between {duration(bounds.minimum)} and {duration(bounds.maximum)}"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are HTML already, the first of each row names it."""
    body = "".join(
        f'<tr><th scope="row">{cells[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in cells[1:]) + "</tr>" for cells in rows
    )
    names = "".join(f'<th scope="col">{safe(name)}</th>' for name in head)
    return (
        f'<div class="wide"><table><caption>{safe(caption)}</caption><thead><tr>{names}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
