"""What the priority-0 adverts of a router that gives up tell by when they came. No cause of its own is decided here."""

from observer.model.time import MICROSECOND
from observer.rules.process import resigned_after_gap
from observer.rules.silence import TIMER
from observer.rules.view import FlapView, Run

AT_ONCE = 10 * MICROSECOND
"""Priority-0 adverts closer than this left one queue: keepalived sends those of a FAULT some 0.1 to 0.7 ms apart. Where they are
received they may be closer than they were sent, for what forwards them, and the card that takes them in, does several at once."""


def late(held: Run | None, resignation: Run) -> bool:
    """Whether a resignation came when the next advert was overdue, and had been sent no more than it: it waited for a link."""
    if held is None or resigned_after_gap(held, resignation):
        return False
    return resignation.first - held.last > held.interval + max(held.interval // 10, TIMER)


def together(resignation: Run) -> bool:
    """Whether two priority-0 adverts came out of a queue, the router's own or another's."""
    return resignation.count >= 2 and resignation.last - resignation.first < AT_ONCE


def waited(view: FlapView, resignation: Run) -> bool:
    """Whether the adverts of a resignation had waited for a link: they came late, or left the router two at once."""
    at_home = view.taps.get(resignation.router) == resignation.node
    return late(view.held, resignation) or (at_home and together(resignation))
