"""What the priority-0 adverts of a router that gives up tell by when they came. No cause of its own is decided here."""

from observer.model.host import LogEvent, LogKind
from observer.model.observations import AddressChange
from observer.model.time import MICROSECOND, SECOND
from observer.rules.process import counts, resigned_after_gap, unheard
from observer.rules.silence import TIMER, skew_time
from observer.rules.view import FlapView, Run

AT_ONCE = 10 * MICROSECOND
"""Priority-0 adverts closer than this, where they are sent, left one queue."""

CLOSE = 100 * MICROSECOND
"""Priority-0 adverts closer than this may have: keepalived was seen to send those of a FAULT 0.15 to 0.7 ms apart. Where they are
received they may be closer than they were sent, for what forwards them, and the card that takes them in, does several at once."""

ENDS = 3 * SECOND
"""A process that is stopped has ended by then, after the scripts that it runs; one that ends later was not stopped before."""

LEAD = 2 * SECOND
"""An address removed at most this long before the priority 0 was removed by somebody else (keepalived reacts in about 5 ms)."""


def late(held: Run | None, resignation: Run) -> bool:
    """Whether a resignation came when the next advert was overdue, and had been sent no more than it: it waited for a link."""
    if held is None or resigned_after_gap(held, resignation):
        return False
    return resignation.first - held.last > held.interval + max(held.interval // 10, TIMER)


def close(resignation: Run, most: int = CLOSE) -> bool:
    """Whether two priority-0 adverts came so close to each other that they may have waited together."""
    return resignation.count >= 2 and resignation.last - resignation.first < most


def waited(view: FlapView, resignation: Run) -> bool:
    """Whether the adverts of a resignation had waited for a link: they came late, or left the router two at once."""
    at_home = view.taps.get(resignation.router) == resignation.node
    return late(view.held, resignation) or (at_home and close(resignation, AT_ONCE))


def reloads(view: FlapView, resignation: Run) -> LogEvent | None:
    """The line that says that keepalived was reloaded when it resigned, as it does where the virtual router is gone by then."""
    return view.logged(LogKind.RELOADING, begin=resignation.first - LEAD, end=resignation.last + SECOND)


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
