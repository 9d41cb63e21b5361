"""What the priority-0 adverts of a router that gives up tell by when they came. No cause of its own is decided here."""

from observer.model.time import MILLISECOND, SECOND
from observer.rules.view import Run

AT_ONCE = MILLISECOND // 10
"""Priority-0 adverts closer than this waited together for a link: a check that fails sends them 0.5 to 0.7 ms apart."""

LATE = 1.5
"""Intervals without an advert before a resignation, after which something else than a check had kept the router from sending."""

ENDS = 3 * SECOND
"""A process that is stopped has ended by then, after the scripts that it runs; one that ends later was not stopped before."""


def waited(held: Run | None, resignation: Run) -> bool:
    """Whether the adverts of a resignation had waited for a link: they came late, or two of them at once."""
    if held is not None and resignation.first - held.last > LATE * resignation.interval:
        return True
    return resignation.count >= 2 and resignation.last - resignation.first < AT_ONCE
