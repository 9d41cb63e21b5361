"""VRRP Advertisements, version 2 (RFC 3768) and 3 (RFC 5798, RFC 9568): the ladder of checks, and the fields behind it.

What one packet says by itself. That two senders disagree, or that a priority is odd, is the engine's to find.
Authentication data goes into ``AuthenticationGroups`` and comes out as an ordinal: it is in no value, repr or message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from observer.model.addresses import address_text
from observer.model.observations import Authentication, ChecksumForm, Family
from observer.model.time import MILLISECOND, SECOND
from observer.wire import ip
from observer.wire.checksum import checks, pseudo_header
from observer.wire.errors import DecodeError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER: Final = 8
AUTHENTICATION_DATA: Final = 8
"""At the end of every VRRPv2 message, used or not (RFC 3768 5.3.10)."""
CISCO_MD5: Final = 254
MD5_DIGEST: Final = 16
"""Cisco's type 254: the digest follows the authentication data."""
HMAC_TRAILER: Final = 28
"""keepalived 2.4 ``auth_hmac``: type, key id, reserved 2, seconds 4, sub-seconds 2, counter 2, HMAC 16."""
CARP_LENGTH: Final = 36
CARP_AUTHENTICATION_WORDS: Final = 7
"""CARP has a length in 4-octet words where VRRP counts addresses; VRRPv2 with 7 addresses has 44 octets."""
GROUP: Final = bytes([224, 0, 0, 18])

_V2_AUTHENTICATION = {
    0: Authentication.NONE,
    1: Authentication.SIMPLE,
    # Without an Authentication Header around it nothing authenticates it.
    2: Authentication.OTHER,
    CISCO_MD5: Authentication.MD5,
}


class AuthenticationGroups:
    """Small ordinals for equal authentication data, in order of appearance; the data itself is never given back.

    Bounded, as anybody on the link can send passwords: all values after the first ``limit`` share one ordinal.
    """

    __slots__ = ("_limit", "_ordinals")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._ordinals: dict[tuple[Authentication, bytes], int] = {}

    def __repr__(self) -> str:
        return f"AuthenticationGroups({len(self._ordinals)} of {self._limit})"

    def ordinal(self, kind: Authentication, data: bytes) -> int:
        """1 .. limit, or limit + 1 once those are taken."""
        key = (kind, data)
        known = self._ordinals.get(key)
        if known is None and len(self._ordinals) < self._limit:
            known = self._ordinals[key] = len(self._ordinals) + 1
        return self._limit + 1 if known is None else known


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of one Advertisement, named as in ``model.observations.Advert``."""

    version: int
    vrid: int
    priority: int
    interval: int
    """Nanoseconds."""
    addresses: tuple[str, ...]
    authentication: Authentication
    authentication_group: int
    checksum: ChecksumForm


def decode(packet: ip.Packet, payload: bytes, groups: AuthenticationGroups) -> Message:
    """Climb the ladder, then read the fields. ``payload`` is what was captured of the packet's payload.

    Raises DecodeError with the reason of the first check that fails.
    """
    candidate = _Candidate(packet, payload)
    for reason, fails in LADDER:
        if fails(candidate):
            raise DecodeError(reason)
    return candidate.message(groups)


class _Candidate:
    """A payload on the ladder: each property may rely on the rungs below the first check that uses it."""

    __slots__ = ("data", "packet")

    def __init__(self, packet: ip.Packet, data: bytes) -> None:
        self.packet = packet
        self.data = data

    @property
    def version(self) -> int:
        return self.data[0] >> 4

    @property
    def type(self) -> int:
        return self.data[0] & 0x0F

    @property
    def vrid(self) -> int:
        return self.data[1]

    @property
    def count(self) -> int:
        return self.data[3]

    @property
    def interval(self) -> int:
        """Whole seconds in version 2 (RFC 3768 5.3.7), 12 bits of centiseconds in version 3 (RFC 9568 5.2.7)."""
        if self.version == 2:
            return self.data[5] * SECOND
        return ((self.data[4] & 0x0F) << 8 | self.data[5]) * 10 * MILLISECOND

    @property
    def list_end(self) -> int:
        """Octets up to the end of the address list."""
        return HEADER + self.count * len(self.packet.source)

    @property
    def message_end(self) -> int:
        """Octets that the RFC's message has: version 2 ends with authentication data."""
        return self.list_end + (AUTHENTICATION_DATA if self.version == 2 else 0)

    @property
    def lengths(self) -> tuple[int, ...]:
        """All lengths that this message may have on the wire."""
        plain = self.message_end
        digest = (plain + MD5_DIGEST,) if self.version == 2 and self.data[4] == CISCO_MD5 else ()
        return (plain, plain + HMAC_TRAILER, *digest)

    @property
    def trailer(self) -> bool:
        return self.packet.length == self.message_end + HMAC_TRAILER

    def checksum_form(self) -> ChecksumForm | None:
        """What the checksum covers, None if nothing in use fits."""
        if len(self.data) < self.message_end:
            return ChecksumForm.UNVERIFIED
        # A trailer or digest is appended after the checksum was computed, or (IPv6: by the kernel) before.
        for end in dict.fromkeys((self.message_end, self.packet.length)):
            for form, header in self._covers(end):
                if checks(header, self.data[:end]):
                    return form
        return ChecksumForm.UNVERIFIED if len(self.data) < self.packet.length else None

    def _covers(self, length: int) -> tuple[tuple[ChecksumForm, bytes], ...]:
        """The pseudo-headers in use: RFC 3768 5.3.8, RFC 5798 5.2.8, RFC 9568 5.2.8, and old keepalived in unicast."""
        packet = self.packet
        if self.version == 2:
            return ((ChecksumForm.MESSAGE, b""),)
        pseudo = (
            ChecksumForm.PSEUDO_HEADER,
            pseudo_header(packet.source, packet.destination, length, ip.VRRP),
        )
        if packet.family is Family.IPV6:
            return (pseudo,)
        return (
            pseudo,
            (ChecksumForm.MESSAGE, b""),
            (ChecksumForm.PSEUDO_HEADER_MULTICAST, pseudo_header(packet.source, GROUP, length, ip.VRRP)),
        )

    def authentication(self, groups: AuthenticationGroups) -> tuple[Authentication, int]:
        """Kind and group. Digests differ from packet to packet: only a password and a key id tell senders apart."""
        if self.packet.spi is not None:
            return Authentication.AH, groups.ordinal(Authentication.AH, b"")
        if self.trailer:
            key = self.data[self.message_end + 1 : self.message_end + 2]
            return Authentication.HMAC, groups.ordinal(Authentication.HMAC, key) if key else 0
        kind = _V2_AUTHENTICATION[self.data[4]] if self.version == 2 else Authentication.NONE
        if kind is Authentication.NONE:
            return kind, 0
        if kind is not Authentication.SIMPLE:
            return kind, groups.ordinal(kind, b"")
        data = self.data[self.list_end : self.message_end]
        return kind, groups.ordinal(kind, data) if len(data) == AUTHENTICATION_DATA else 0

    def message(self, groups: AuthenticationGroups) -> Message:
        size = len(self.packet.source)
        kind, group = self.authentication(groups)
        return Message(
            version=self.version,
            vrid=self.vrid,
            priority=self.data[2],
            interval=self.interval,
            addresses=tuple(address_text(self.data[at : at + size]) for at in range(HEADER, self.list_end, size)),
            authentication=kind,
            authentication_group=group,
            checksum=self.checksum_form() or ChecksumForm.UNVERIFIED,
        )


def _carp(it: _Candidate) -> bool:
    return it.packet.length == CARP_LENGTH and it.data[0] == 0x21 and it.count == CARP_AUTHENTICATION_WORDS


def _version(it: _Candidate) -> bool:
    return it.version not in ((2, 3) if it.packet.family is Family.IPV4 else (3,))


def _authentication_type(it: _Candidate) -> bool:
    return it.version == 2 and it.data[4] not in _V2_AUTHENTICATION


LADDER: Final[tuple[tuple[Reason, Callable[[_Candidate], bool]], ...]] = (
    # First what makes the octets readable at all, then the order of RFC 9568 7.1, so that a label names the first thing
    # that a receiver would have objected to.
    (Reason.FRAGMENT, lambda it: it.packet.fragment),
    (Reason.LENGTH, lambda it: it.packet.length < HEADER),
    (Reason.TRUNCATED, lambda it: len(it.data) < HEADER),
    (Reason.CARP, _carp),
    # keepalived does not check the TTL of unicast Advertisements, which may be routed.
    (Reason.TTL, lambda it: it.packet.multicast and it.packet.ttl != 255),
    (Reason.VERSION, _version),
    (Reason.TYPE, lambda it: it.type != 1),
    (Reason.LENGTH, lambda it: it.packet.length not in it.lengths),
    (Reason.TRUNCATED, lambda it: len(it.data) < it.list_end),
    (Reason.CHECKSUM, lambda it: it.checksum_form() is None),
    (Reason.VRID_ZERO, lambda it: it.vrid == 0),
    (Reason.COUNT_ZERO, lambda it: it.version == 3 and it.count == 0),
    (Reason.AUTHENTICATION_TYPE, _authentication_type),
    (Reason.INTERVAL_ZERO, lambda it: it.interval == 0),
)
"""(reason, whether it fails), in order: the first that fails is the one reported."""
