"""Time as integer nanoseconds since the epoch, UTC. No clock is read here."""

from datetime import UTC, datetime

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


def seconds(nanoseconds: int) -> float:
    """Nanoseconds as seconds, for output."""
    return nanoseconds / SECOND


def nanoseconds(seconds: float) -> int:
    """Seconds as nanoseconds, for configuration values."""
    return round(seconds * SECOND)


def rfc3339(time: int) -> str:
    """A time as RFC 3339 with nanoseconds, in UTC: ``2026-11-23T08:12:03.000000001Z``."""
    whole, fraction = divmod(time, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def clock_time(time: int) -> str:
    """The time of day in milliseconds, UTC, as sentences say it: ``08:12:03.572``."""
    whole, fraction = divmod(time, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%H:%M:%S}.{fraction // MILLISECOND:03d}"


def duration(nanoseconds: int) -> str:
    """A length of time as sentences say it: ``3.572 s`` or ``0.33 ms``."""
    if abs(nanoseconds) < 100 * MILLISECOND:
        return f"{nanoseconds / MILLISECOND:.2f} ms"
    return f"{nanoseconds / SECOND:.3f} s"
