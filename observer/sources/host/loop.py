"""Asks every look in turn, in one thread; tells what is new, all of it while there is trouble, and what cannot be had."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from observer.model.errors import SourceError
from observer.model.host import HostSample
from observer.model.observations import Observation, SourceChange, SourceState
from observer.model.time import SECOND, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

REPEAT = 10 * SECOND
"""A sample that says the same as the one before is told again after so long."""

RETRY = 10.0
"""Seconds until a look that failed is tried again."""

TROUBLE = 8.0
"""Seconds for which every sample is told after a sign of trouble: a flap is judged from those around it."""

QUICK = 2.0
"""Looks that come at least so often (seconds) are taken at once at a sign of trouble, and then ..."""

URGENT = 1.0
"""... every so many seconds while it lasts."""

LAG = 0.5
"""Seconds by which the thread must have been woken too late to be worth a word; a loaded node delays it by some 0.01 s."""


_AT_WORK = str.maketrans("RDI", "SSS")
"""Process states (proc(5)) between which whatever works changes all the time: it runs, waits for a disk, idles, or sleeps."""


class Look(Protocol):
    """One thing to look at."""

    name: str
    """The source's name in metrics and blind spots."""
    interval: float
    """Seconds from look to look."""

    def look(self, now: int) -> Iterable[Observation]:
        """What is seen at ``now``. Raises SourceError or OSError, whose text is the blind spot."""

    def close(self) -> None:
        """Let go of what it holds open."""


class Host:
    """All looks at this node."""

    def __init__(
        self,
        node: str,
        looks: Sequence[Look],
        deliver: Callable[[Observation], None],
        *,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._looks = looks
        self._deliver = deliver
        self._clock = clock
        self._monotonic = monotonic
        self._due = [0.0] * len(looks)
        self._failed: dict[str, str | None] = {}
        """Why a look failed last; None for one that works. Missing before the first."""
        self._told: dict[tuple[str, str], tuple[int, HostSample]] = {}
        """When a sample of a source and subject was told last, and its gist."""
        self._troubled = 0.0
        self._hurried = 0.0
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        if self._looks:
            self._thread = threading.Thread(target=self._work, name="host", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and let every look go of what it holds."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2)

    def hurry(self) -> None:
        """There is a sign of trouble: look at once, and tell everything for a while. From any thread."""
        self._troubled = self._monotonic() + TROUBLE
        if self._hasty:
            self._wake.set()

    @property
    def _hasty(self) -> bool:
        """The trouble is newer than the last look in a hurry; of signs that follow each other, the first one counts."""
        return self._hurried < self._troubled - TROUBLE / 2

    def turn(self) -> float:
        """Take the looks that are due; seconds until the next is."""
        now = self._monotonic()
        if now < self._troubled and self._hasty:
            self._hurried = self._troubled
            self._due = [
                min(due, now) if look.interval <= QUICK else due for look, due in zip(self._looks, self._due, strict=True)
            ]
        for number, look in enumerate(self._looks):
            if self._due[number] <= now:
                self._due[number] = now + self._take(look)
        return max(0.0, min(self._due, default=now + 1) - self._monotonic())

    def _work(self) -> None:
        lagging = any(look.name == "pressure" for look in self._looks)
        while not self._stopped:
            wait = self.turn()
            expected = self._monotonic() + wait
            if self._wake.wait(wait):
                self._wake.clear()
            late = self._monotonic() - expected
            if lagging and late >= LAG and not self._stopped:
                time_ = self._clock()
                self._deliver(HostSample(time=time_, node=self._node, source="pressure", subject="agent", lag=nanoseconds(late)))
        for look in self._looks:
            look.close()

    def _take(self, look: Look) -> float:
        """One look; seconds until it is due again."""
        try:
            for observation in look.look(self._clock()):
                if not isinstance(observation, HostSample) or self._news(observation):
                    self._deliver(observation)
        except SourceError as error:
            return self._broken(look, str(error))
        except OSError as error:
            return self._broken(look, f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        except Exception as error:
            # Whatever a file of the system holds: looking must never end the agent, nor the other looks.
            return self._broken(look, f"{type(error).__name__}: {error}")
        if self._failed.get(look.name, "") is not None:
            self._failed[look.name] = None
            self._change(look, SourceState.STARTED, "")
        troubled = self._monotonic() < self._troubled and look.interval <= QUICK
        return min(look.interval, URGENT) if troubled else look.interval

    def _broken(self, look: Look, reason: str) -> float:
        reason = " ".join(reason.split())
        if self._failed.get(look.name, "") != reason:
            self._failed[look.name] = reason
            self._change(look, SourceState.FAILED, reason)
        return max(look.interval, RETRY)

    def _change(self, look: Look, state: SourceState, detail: str) -> None:
        self._deliver(SourceChange(time=self._clock(), node=self._node, source=look.name, state=state, detail=detail))

    def _news(self, sample: HostSample) -> bool:
        key, gist = (sample.source, sample.subject), coarse(sample)
        at, known = self._told.get(key, (0, None))
        if gist == known and self._monotonic() >= self._troubled and sample.time - at < REPEAT:
            return False
        if sample.source == "process" and known is not None and gist != known:
            self.hurry()
        self._told[key] = sample.time, gist
        return True


def coarse(sample: HostSample) -> HostSample:
    """A sample without what always changes a little: states of work, connections by magnitude, shares in twentieths."""
    return replace(
        sample,
        time=0,
        states=sample.states and sample.states.translate(_AT_WORK),
        established=_magnitude(sample.established),
        sending=_magnitude(sample.sending),
        pressure_cpu=_twentieths(sample.pressure_cpu),
        pressure_io=_twentieths(sample.pressure_io),
        pressure_memory=_twentieths(sample.pressure_memory),
    )


def _magnitude(number: int | None) -> int | None:
    return None if number is None else number.bit_length()


def _twentieths(share: float | None) -> float | None:
    return None if share is None else round(share * 20)
