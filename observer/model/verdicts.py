"""Why a flap happened and how sure we are: causes, confidence, whether the move was warranted, and the reasons given."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Cause(enum.StrEnum):
    """The catalogue of causes; each has its file in ``rules`` and its page in docs/causes.md."""

    CHECK_FAILED = "check_failed"
    STOPPED = "stopped"
    NODE_LOST = "node_lost"
    LINK_DOWN = "link_down"
    DAEMON_KILLED = "daemon_killed"
    DAEMON_STALLED = "daemon_stalled"
    PARTITION = "partition"
    PREEMPTED = "preempted"
    VRID_CONFLICT = "vrid_conflict"
    ADDRESS_REMOVED = "address_removed"
    ADVERTS_REJECTED = "adverts_rejected"
    RECEIVER_DEAF = "receiver_deaf"
    RELOADED = "reloaded"
    MOVED_OUTSIDE_VRRP = "moved_outside_vrrp"
    UNEXPLAINED = "unexplained"


class Confidence(enum.IntEnum):
    """How far the evidence carries."""

    POSSIBLE = 1
    """The evidence fits, and other causes would leave the same."""
    LIKELY = 2
    """The evidence fits this cause better than any other, but does not exclude them all."""
    CERTAIN = 3
    """The evidence is decisive: no other cause of the catalogue leaves it."""

    @property
    def label(self) -> str:
        """As metrics and JSON name it."""
        return self.name.lower()


class Warranted(enum.StrEnum):
    """Whether the router that lost the address could not have gone on serving clients."""

    YES = "yes"
    """It could not: the move was right."""
    NO = "no"
    """It could: the move cost connections for nothing."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Evidence:
    """One thing seen, as a sentence, with the time it was seen and by which node (None: by all that took part)."""

    time: int
    statement: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A cause that was considered, and what speaks against it."""

    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's answer when its cause fits."""

    cause: Cause
    confidence: Confidence
    evidence: tuple[Evidence, ...]
    blind_spots: tuple[str, ...] = ()
    check: str | None = None
    """Name of the check that failed, where it is known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a flap, with everything a reader needs to doubt it."""

    cause: Cause
    confidence: Confidence
    warranted: Warranted
    check: str | None
    evidence: tuple[Evidence, ...]
    ruled_out: tuple[RuledOut, ...]
    blind_spots: tuple[str, ...]
