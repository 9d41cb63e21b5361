"""The interface of the former router went down.

On the node: the kernel reports the link down, or without carrier. Elsewhere: silence. Where keepalived does not see it (a bridge
above the link, `dont_track_primary`): adverts that are numbered, and that the node's own capture lacks like everything else.

What to do: look at the cable, the switch port, the bond, and who changed the interface.

Not to be confused with: `node_lost`. From elsewhere the two look the same, and the verdict is `unexplained`; the move is
warranted all the same.
"""

from observer.model.addresses import VIRTUAL_MAC, virtual_mac
from observer.model.host import LogKind
from observer.model.observations import Family, LinkChange
from observer.model.time import MILLISECOND, SECOND, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.process import restarted, unheard
from observer.rules.resignation import waited
from observer.rules.silence import fell_silent, never_left, vanished
from observer.rules.view import FlapView, Run

WRITTEN = SECOND // 10
"""A line of keepalived's log and an advert may swap places within this."""

TOGETHER = 50 * MILLISECOND
"""The kernel takes down what lies on a link right after it."""

BEFORE = 3 * SECOND
"""How long before the last advert's successor was due the link may have gone down."""


def find(view: FlapView) -> Finding | str | None:
    """A lost link as the cause, why not, or None where neither its links nor their loss could be observed."""
    held = view.held
    if held is None:
        return "the former Active Router was not heard before the move"
    end = held.last + 2 * held.interval
    if view.resignation is not None:
        # Back after a short while, keepalived resigns late; a link that is there carries the resignation at once.
        end = view.resignation.first
    elif isinstance(silent := fell_silent(view), str):
        return silent
    last = Evidence(held.last, f"last advert of {held.router} at {held.priority} before the move", held.node)
    node = view.local.get(held.router)
    known = _interfaces(view, node)
    # Nothing leaves on a link that is down, so the line is not earlier than the last advert.
    begin = held.last - WRITTEN - (view.apart() or 0)
    logged = view.logged(LogKind.LINK_DOWN, begin=begin, end=end, subjects=known)
    if logged is not None:
        said = Evidence(logged.time, f"its log says: {logged.detail}", logged.node)
        if known is not None:
            return Finding(Cause.LINK_DOWN, Confidence.CERTAIN, (last, said))
        which = f"whether {held.router} advertises on {logged.subject} was not seen"
        return Finding(Cause.LINK_DOWN, Confidence.LIKELY, (last, said), (which,))
    if node is None:
        return _without_carrier(view, last) or _from_elsewhere(view, last)
    for change in view.link_changes:
        if change.node != node or change.up or change.initial or _virtual(change):
            continue
        own = _its_own(view, held, change)
        # A router that resigned may have taken its virtual link down itself, for another link that it watches.
        upper = _taken_along(view, change) if view.resignation is None else None
        if (own or upper is not None) and held.last - BEFORE <= change.time <= end:
            down = Evidence(change.time, f"{change.interface} went down on {node}", node)
            above = _above(view, change, end)
            if above is not None:
                stayed = f"{above}, with the same MAC address, stayed up: another link of a bond may have carried the adverts"
                return Finding(Cause.LINK_DOWN, Confidence.LIKELY, (last, down), (stayed,))
            if not own:
                beneath = f"that {change.interface} carries the adverts was told only by {upper}, which went down with it"
                return Finding(Cause.LINK_DOWN, Confidence.LIKELY, (last, down), (beneath,))
            return Finding(Cause.LINK_DOWN, Confidence.CERTAIN, (last, down))
    return _without_carrier(view, last) or f"no link of {node} that carries its adverts went down"


def _interfaces(view: FlapView, node: str | None) -> set[str] | None:
    """Where the former router advertises, or holds the addresses, without links that VRRP itself takes down; None if unknown."""
    found = {view.virtual_router.interface, view.own_interface}
    found |= {change.interface for change in view.address_changes if change.node == node and node is not None}
    if found == {None}:
        return None
    virtual = {change.interface for change in view.link_changes if change.node == node and _virtual(change)}
    return {name for name in found if name is not None} - virtual


def _without_carrier(view: FlapView, last: Evidence) -> Finding | None:
    """The former router numbered adverts that its own node's capture lacks, for no link took them: perhaps one below a bridge."""
    held, back = view.last_before, view.came_back
    if held is None or back is None or view.current == view.former or (kept := never_left(view, held, back)) is None:
        return None
    return Finding(Cause.LINK_DOWN, Confidence.LIKELY, (last, kept), ("the link itself was not seen",))


def _from_elsewhere(view: FlapView, last: Evidence) -> Finding | str | None:
    """Nothing at all comes from the node any more: its link may be lost, or all of it."""
    held = view.last_before
    if held is None or view.current == view.former:
        return None
    if held.priority == 0:
        if held.count < 2 or not waited(view, held):
            return None
        then = f"{held.router} resigned {duration(held.first - last.time)} later, as after a link that was lost for a moment"
        return Finding(Cause.LINK_DOWN, Confidence.POSSIBLE, (last, Evidence(held.first, then, held.node)))
    back = view.came_back
    if back is not None and restarted(held, back):
        return f"{held.router} came back as a new process"
    if back is not None and unheard(held, back) is not None:
        # A node that was frozen as a whole comes back like this as well.
        return None
    gone = vanished(view, held)
    return Finding(Cause.LINK_DOWN, Confidence.POSSIBLE, (last, gone)) if gone is not None else None


def _above(view: FlapView, change: LinkChange, end: int) -> str | None:
    """Another link of the node with the same MAC address that stays up: the bond or bridge of the one that went down."""
    if change.mac is None or change.interface in (view.virtual_router.interface, view.own_interface):
        return None
    last = {each.interface: each for each in view.link_changes if each.node == change.node and each.time <= end}
    return next((name for name, each in last.items() if name != change.interface and each.mac == change.mac and each.up), None)


def _its_own(view: FlapView, last: Run, change: LinkChange) -> bool:
    """Whether a link is the one that the router advertises on; a node has others, which come and go with its containers."""
    if view.virtual_router.interface == change.interface:
        return True
    if change.mac is not None and last.mac is not None and not last.mac.startswith(VIRTUAL_MAC):
        return change.mac == last.mac
    return change.interface in {entry.interface for entry in view.address_changes if entry.node == change.node}


def _taken_along(view: FlapView, change: LinkChange) -> str | None:
    """The link with the Virtual Router MAC that went down with another one, as one does that lies on it; None for none."""
    router = view.virtual_router
    made = virtual_mac(router.vrid, six=router.family is Family.IPV6)
    for each in view.link_changes:
        if each.node == change.node and each.mac == made and not each.up and 0 <= each.time - change.time <= TOGETHER:
            return each.interface
    return None


def _virtual(change: LinkChange) -> bool:
    """A link with a Virtual Router MAC (keepalived's ``use_vmac``, FRR's macvlan) is taken down by VRRP itself: a consequence."""
    return change.mac is not None and change.mac.startswith(VIRTUAL_MAC)
