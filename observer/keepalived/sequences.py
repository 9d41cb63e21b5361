"""``~SEQ``, ``~SEQx``, ``~LST``: what a line is repeated with (keepalived.conf(5) "Sequence blocks", "List blocks")."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

from observer.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

Values = tuple[tuple[str, str], ...]
"""Names and what they stand for in one repetition."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_SEQUENCE = re.compile(rf"~SEQ(x?)[ \t]*\([ \t]*({_NAME})[ \t]*,([^)]*)\)")
_LIST = re.compile(r"~LST[ \t]*\(([^)]*)\)")
_NUMBER = re.compile(r"[ \t]*([+-]?)(0[xX][0-9A-Fa-f]{1,16}|0[0-7]{0,20}|[1-9][0-9]{0,18})[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:\{([^{}]*)\}|([^{},]*))[ \t]*(,|$)")


def is_sequence(line: str) -> bool:
    """Whether a line begins with one of the blocks."""
    return line.startswith(("~SEQ", "~LST"))


def sequence(text: str, place: str) -> Iterator[Values]:
    """The values of ``~SEQ(...)`` or ``~LST(...)``, in order. Raises ConfigError."""
    if match := _SEQUENCE.fullmatch(text):
        yield from _numbers(match[2], match[3], bool(match[1]), place)
    elif match := _LIST.fullmatch(text):
        yield from _listed(match[1], place)
    else:
        raise ConfigError(f"{place}: {text[:4]} is not understood; write ~SEQ(name, start, step, end) or ~LST(name, a, b)")


def _numbers(name: str, arguments: str, hexadecimal: bool, place: str) -> Iterator[Values]:
    matches = [_NUMBER.fullmatch(part) for part in arguments.split(",")]
    numbers = [_number(match) for match in matches if match]
    if len(numbers) != len(matches) or not 1 <= len(numbers) <= 3:
        raise ConfigError(f"{place}: ~SEQ takes a name and one to three numbers; write ~SEQ(name, start, step, end)")
    end = numbers[-1]
    start = numbers[0] if len(numbers) > 1 else (-1 if end < 0 else 1)
    step = numbers[1] if len(numbers) == 3 else (1 if start <= end else -1)
    if step == 0 or (end - start) * step < 0:
        raise ConfigError(f"{place}: ~SEQ never reaches its end; correct the step")
    if hexadecimal and (start < 0 or end < 0):
        raise ConfigError(f"{place}: ~SEQx counts positive numbers only; use ~SEQ")
    for value in range(start, end + (1 if step > 0 else -1), step):
        yield ((name, f"{value:x}" if hexadecimal else str(value)),)


def _number(match: re.Match[str]) -> int:
    digits = match[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    return int(digits, base) * (-1 if match[1] == "-" else 1)


def _listed(arguments: str, place: str) -> Iterator[Values]:
    wrong = f"{place}: ~LST takes names and as many values; write ~LST({{a, b}}, {{1, 2}}, {{3, 4}})"
    items: list[list[str]] = []
    position, comma = 0, ","
    while comma:
        match = _ITEM.match(arguments, position)
        if match is None:
            raise ConfigError(wrong)
        items.append([part.strip(" \t") for part in (match[1] or match[2] or "").split(",")])
        position, comma = match.end(), match[3]
    names, *values = items
    if not values or not all(re.fullmatch(_NAME, name) for name in names) or any(len(item) > len(names) for item in values):
        raise ConfigError(wrong)
    for item in values:
        yield tuple(zip_longest(names, item, fillvalue=""))
