"""What the priority-0 adverts of a router that gives up tell by when they came. No cause of its own is decided here."""

from observer.model.observations import AddressChange
from observer.model.time import MILLISECOND, SECOND
from observer.rules.process import counts, unheard
from observer.rules.silence import skew_time
from observer.rules.view import FlapView, Run

AT_ONCE = MILLISECOND // 10
"""Priority-0 adverts closer than this waited together for a link: a check that fails sends them 0.5 to 0.7 ms apart."""

LATE = 1.5
"""Intervals without an advert before a resignation, after which something else than a check had kept the router from sending."""

ENDS = 3 * SECOND
"""A process that is stopped has ended by then, after the scripts that it runs; one that ends later was not stopped before."""

LEAD = 2 * SECOND
"""An address removed at most this long before the priority 0 was removed by somebody else (keepalived reacts in about 5 ms)."""


def waited(held: Run | None, resignation: Run) -> bool:
    """Whether the adverts of a resignation had waited for a link: they came late, or two of them at once."""
    if held is not None and resignation.first - held.last > LATE * resignation.interval:
        return True
    return resignation.count >= 2 and resignation.last - resignation.first < AT_ONCE


def removed_before(view: FlapView, resignation: Run) -> AddressChange | None:
    """The removal of an address on the router's own node that it resigned for: shortly before, and not added again since."""
    node, resigned = view.local.get(resignation.router), view.at_home(resignation)
    before = [change for change in view.address_changes if change.node == node and change.time < resigned]
    latest = {change.address: change for change in before}
    gone = [change for change in latest.values() if not change.present and not change.initial]
    return next((change for change in gone if resigned - change.time <= LEAD), None)


def stood_aside(view: FlapView, resignation: Run) -> Run | None:
    """The run with which a better router takes back, in the same process, what it had given up with one advert; None otherwise.

    It was in FAULT meanwhile, of another member of its sync group, or waits by its configuration (``preempt_delay``): one
    whose address was only removed hears the worse router, does not heed it, and is back after its own Skew_Time.
    """
    back, takeover = view.came_back, view.takeover
    if back is None or takeover is None or view.current == view.former or back.priority <= takeover.priority:
        return None
    late = back.first - resignation.last > skew_time(back) + back.interval // 2
    yields = takeover.first < back.first and takeover.last > back.first - 2 * takeover.interval
    same = counts(view.held or back) and unheard(resignation, back) is not None
    return back if late and yields and same else None
