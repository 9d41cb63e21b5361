"""Addresses between their three forms: bytes on the wire, text for people, two words for columns."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_MAPPED = 0xFFFF << 32

VIRTUAL_MAC = "00:00:5e:00:0"
"""What Virtual Router MAC addresses of both families begin with (RFC 9568 7.3)."""


def virtual_mac(vrid: int, *, six: bool) -> str:
    """The Virtual Router MAC address (RFC 9568 7.3)."""
    return f"{VIRTUAL_MAC}{2 if six else 1}:{vrid:02x}"


@lru_cache(maxsize=4096)
def address_text(octets: bytes) -> str:
    """4 or 16 octets as canonical text (dotted quad; RFC 5952)."""
    return str(ipaddress.IPv4Address(octets) if len(octets) == 4 else ipaddress.IPv6Address(octets))


@lru_cache(maxsize=4096)
def address_words(text: str) -> tuple[int, int]:
    """Canonical text as (high, low) 64-bit words, IPv4 mapped into IPv6 (RFC 4291 2.5.5.2)."""
    number = int(ipaddress.ip_address(text))
    if ":" not in text:
        return 0, _MAPPED | number
    return number >> 64, number & (2**64 - 1)


def words_text(high: int, low: int) -> str:
    """The inverse of ``address_words``."""
    if high == 0 and low >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(low & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(high << 64 | low))


def mac_text(octets: bytes) -> str:
    """6 octets as lower-case text with colons."""
    return octets.hex(":")


def mac_number(text: str) -> int:
    """A MAC address as a number, as ``TcpSegments.macs`` holds it."""
    return int(text.replace(":", ""), 16)
