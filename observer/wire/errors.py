"""Why a frame is refused: the one bounded set of reasons, which are metric labels too.

Checks of one frame only. What two senders disagree about (interval, address list, authentication) is the engine's.
"""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    """A failed check; most are among "Receiving VRRP Packets" (RFC 3768 7.1, RFC 5798 7.1, RFC 9568 7.1)."""

    meaning: str
    """What failed, and the section that says so."""
    counter: str | None
    """The object of RFC 6527 (VRRPV3-MIB) that counts the same."""

    def __new__(cls, label: str, meaning: str, counter: str | None = None) -> Reason:
        """Make a member whose value is the label."""
        member = str.__new__(cls, label)
        member._value_ = label
        member.meaning = meaning
        member.counter = counter
        return member

    CARP = ("carp", "CARP, which shares protocol, group, TTL and first octet with VRRPv2: not an error of VRRP")
    FRAGMENT = ("fragment", "an IP fragment: an Advertisement is judged complete or not at all (RFC 9568 7.1)")
    IP_HEADER = ("ip_header", "the IP header contradicts itself or the frame (RFC 791 3.1, RFC 8200 3, RFC 4302 2)")
    TRUNCATED = ("truncated", "the capture ends before the address list does: nothing is known about the sender")
    TTL = (
        "ttl",
        "the TTL or hop limit to a group is not 255 (RFC 3768 5.2.3, RFC 9568 5.1.1.3, 5.1.2.3)",
        "vrrpv3StatisticsIpTtlErrors",
    )
    VERSION = (
        "version",
        "neither version 3, nor version 2 over IPv4 (RFC 3768 7.1, RFC 9568 7.1)",
        "vrrpv3RouterVersionErrors",
    )
    TYPE = (
        "type",
        "not type 1, ADVERTISEMENT, the only one there is (RFC 3768 5.3.2, RFC 9568 5.2.2)",
        "vrrpv3StatisticsRcvdInvalidTypePackets",
    )
    LENGTH = (
        "length",
        "the message is shorter or longer than its address count says (RFC 3768 7.1, RFC 9568 7.1)",
        "vrrpv3StatisticsPacketLengthErrors",
    )
    CHECKSUM = (
        "checksum",
        "wrong in every form that is in use (RFC 3768 5.3.8, RFC 5798 5.2.8, RFC 9568 5.2.8)",
        "vrrpv3RouterChecksumErrors",
    )
    VRID_ZERO = (
        "vrid_zero",
        "the VRID is outside 1-255 (RFC 3768 5.3.3, RFC 9568 5.2.3)",
        "vrrpv3RouterVrIdErrors",
    )
    COUNT_ZERO = (
        "count_zero",
        "version 3 without a single address (RFC 9568 5.2.5)",
        "vrrpv3StatisticsAddressListErrors",
    )
    AUTHENTICATION_TYPE = (
        "authentication_type",
        "version 2 with an authentication type that nobody defined (RFC 3768 5.3.6, RFC 2338 5.3.6)",
    )
    INTERVAL_ZERO = (
        "interval_zero",
        "an interval of 0, with which every Active Router would be down at once (RFC 3768 5.3.7, RFC 9568 5.2.7)",
        "vrrpv3StatisticsAdvIntervalErrors",
    )


class DecodeError(Exception):
    """A frame was refused. The message is one line and holds lengths at most, never octets of the frame."""

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(f"{reason.value}: {detail or reason.meaning}")
        self.reason = reason
