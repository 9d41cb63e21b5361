"""What is seen of a node from inside: lines of keepalived's log, and looks at processes, sockets and the proxy."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class LogKind(enum.StrEnum):
    """What a line of keepalived's log says; its own words are in ``wire.log_messages``."""

    ENTERED_ACTIVE = "entered_active"
    ENTERED_BACKUP = "entered_backup"
    BEGAN_AS_BACKUP = "began_as_backup"
    """The process has just started."""
    ENTERED_FAULT = "entered_fault"
    ADVERTISEMENT_TIMEOUT = "advertisement_timeout"
    """Active_Down_Interval (or Skew_Time after a priority 0) passed without an accepted advert."""
    PRIORITY_ZERO_RECEIVED = "priority_zero_received"
    PRIORITY_ZERO_SENT = "priority_zero_sent"
    PRIORITY_CHANGED = "priority_changed"
    """Effective priority; during a reload it is logged although the wire never shows it."""
    LOWER_PRIORITY_DISCARDED = "lower_priority_discarded"
    ELECTION_FORCED = "election_forced"
    """An Active router heard a lower one and advertises at once."""
    HIGHER_PRIORITY_RECEIVED = "higher_priority_received"
    HIGHER_ADDRESS_RECEIVED = "higher_address_received"
    """Of the same priority."""
    CHECK_RETURNED = "check_returned"
    """A script's exit status is another than last time; what that means depends on ``rise`` and ``fall``."""
    CHECK_FAILED = "check_failed"
    CHECK_TIMED_OUT = "check_timed_out"
    """keepalived ended it, or timeout(1) did (status 124): nothing is known about the checked thing."""
    CHECK_SUCCEEDED = "check_succeeded"
    TIMER_EXPIRED = "timer_expired"
    """keepalived did not run for a while (``seconds``)."""
    LINK_DOWN = "link_down"
    LINK_UP = "link_up"
    ADDRESS_REMOVED = "address_removed"
    """By somebody else: keepalived 2 does not log its own removals so."""
    ADDRESS_ADDED = "address_added"
    AUTHENTICATION_FAILED = "authentication_failed"
    ADDRESS_MISSING = "address_missing"
    """An advert does not list an address that is configured here."""
    ADDRESS_COUNT_MISMATCH = "address_count_mismatch"
    INTERVAL_MISMATCH = "interval_mismatch"
    UNKNOWN_VRID = "unknown_vrid"
    STARTING = "starting"
    STOPPING = "stopping"
    RELOADING = "reloading"
    CHILD_DIED = "child_died"
    """The VRRP process died and its parent starts another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """A line of keepalived's log that is understood. Lines that are not are kept nowhere: they may hold secrets."""

    time: int
    """As good as the log's time stamps: often to the second only, rounded down."""
    node: str
    kind: LogKind
    instance: str | None = None
    """keepalived's name for the virtual router."""
    router: str | None = None
    """Source address of the advert that it is about."""
    check: str | None = None
    """Name of the script or process that is tracked."""
    status: int | None = None
    """Exit status of the script."""
    before: int | None = None
    """Old priority; own priority, address count or interval (seconds) where the line compares."""
    after: int | None = None
    """New priority; the received priority, address count or interval (seconds); the VRID that is unknown."""
    seconds: float | None = None
    """How late a timer was."""
    subject: str | None = None
    """Interface of LINK_* and UNKNOWN_VRID, address of ADDRESS_REMOVED, ADDRESS_ADDED and ADDRESS_MISSING."""
    detail: str = ""
    """keepalived's own words, for evidence to quote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """What one look at the node itself showed. Each source fills its own fields; ``None`` means that it was not looked at.

    What a sample says holds until the next one of the same source and ``subject``: those that say the same again are told only
    once in a while, and each one while there is trouble.
    """

    time: int
    node: str
    source: str
    """Which look it was: ``sockets``, ``raw``, ``process``, ``pressure``, ``haproxy``, ``redirect``."""
    subject: str = ""
    """What was looked at, where a source looks at several things: a port of the proxy, a program's name."""

    listening: bool | None = None
    """sockets: whether something listens at the proxy's port."""
    listener: int | None = None
    """sockets: inode of the oldest listening socket: another number is another process."""
    queued: int | None = None
    """sockets: connections that the kernel completed and that no process has accepted yet."""
    backlog: int | None = None
    """sockets: how many may wait so."""
    established: int | None = None
    """sockets: accepted connections of other hosts at the port."""
    sending: int | None = None
    """sockets: of these, how many were sent data within the last second and a half, retransmissions left out."""

    vrrp_queued: int | None = None
    """raw: bytes that wait in keepalived's VRRP sockets."""
    vrrp_dropped: int | None = None
    """raw: packets that these sockets have dropped so far."""

    running: int | None = None
    """process: how many processes of the program run in this network namespace."""
    states: str | None = None
    """process: their states, one letter each in order of age, as proc(5) has them: ``T`` is stopped."""
    started: int | None = None
    """process: when the youngest of them started."""

    pressure_cpu: float | None = None
    """pressure: share of the time since the sample before in which some task waited for a CPU (PSI)."""
    pressure_io: float | None = None
    pressure_memory: float | None = None
    lag: int | None = None
    """pressure: nanoseconds for which the agent itself was not run although it was due."""

    answers: bool | None = None
    """haproxy: whether HAProxy answered at its stats socket in time."""
    servers: int | None = None
    """haproxy: servers of the backend that is worst off."""
    servers_up: int | None = None
    """haproxy: of these, those that are up, by a last check that succeeded."""

    redirected: bool | None = None
    """redirect: whether a rule sends connections to a virtual address to the proxy's own port."""
