"""The interface of the former router went down.

On the node: the kernel reports the link down, or without carrier. Elsewhere: silence.

What to do: look at the cable, the switch port, the bond, and who changed the interface.

Not to be confused with: `node_lost` (from elsewhere the two look the same).
"""

from observer.model.observations import LogKind
from observer.model.time import SECOND
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.view import FlapView

BEFORE = 3 * SECOND
"""How long before the last advert's successor was due the link may have gone down."""


def find(view: FlapView) -> Finding | str | None:
    """A lost link as the cause, why not, or None where its links were not observed."""
    last = view.last_before
    node = view.local.get(view.former or "")
    if last is None:
        return None
    silent = Evidence(last.last, f"last advert of {last.router}", last.node)
    logged = view.logged(LogKind.LINK_DOWN, begin=last.last - BEFORE, end=last.last + 2 * last.interval)
    if logged is not None and view.virtual_router.interface in (None, logged.subject):
        return Finding(
            Cause.LINK_DOWN, Confidence.CERTAIN, (silent, Evidence(logged.time, f"its log says: {logged.detail}", logged.node))
        )
    if node is None:
        return None
    interface = view.virtual_router.interface
    for change in view.link_changes:
        if change.node != node or change.up or change.initial or interface not in (None, change.interface):
            continue
        if last.last - BEFORE <= change.time <= last.last + 2 * last.interval:
            down = Evidence(change.time, f"{change.interface} went down on {node}", node)
            return Finding(Cause.LINK_DOWN, Confidence.CERTAIN, (silent, down))
    return f"no link of {node} went down"
