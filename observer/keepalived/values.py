"""From words to values: numbers, lengths of time, addresses, switches. None where keepalived would say that it is not valid."""

from __future__ import annotations

import ipaddress
import re

from observer.model.observations import Family
from observer.model.time import SECOND

_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,18})?", re.ASCII)
_DECIMAL = re.compile(r"([0-9]{0,9})(?:\.([0-9]*))?")


def integer(word: str | None, low: int, high: int) -> int | None:
    """A whole number within limits. keepalived takes what a word begins with, and 0 where it begins with no number."""
    match = _INTEGER.match(word) if word is not None else None
    if match is None:
        return None
    value = int(match[1] or "0")
    return value if low <= value <= high else None


def timer(word: str | None, low: int, high: int) -> int | None:
    """Seconds with a fraction (``<TIMER>``) as nanoseconds, within limits in nanoseconds; keepalived keeps microseconds."""
    match = _DECIMAL.fullmatch(word.strip()) if word is not None else None
    if match is None or not (match[1] or match[2]):
        return None
    value = int(match[1] or "0") * SECOND + int((match[2] or "")[:6].ljust(6, "0")) * 1_000
    return value if low <= value <= high else None


def switch(word: str | None) -> bool:
    """``<BOOL>``; a keyword alone switches on."""
    return word not in ("off", "false", "no")


def address(word: str | None) -> tuple[str, int | None] | None:
    """``<IPADDR>[/<MASK>]`` as canonical text and prefix length; one that is too long becomes the whole address."""
    text, slash, mask = (word or "").partition("/")
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text:
        return None
    return str(found), integer(mask, 0, found.max_prefixlen) if slash else None


def family(text: str) -> Family:
    """The family of an address in canonical text."""
    return Family.IPV6 if ":" in text else Family.IPV4
