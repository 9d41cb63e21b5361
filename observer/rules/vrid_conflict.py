"""A foreign group uses the same VRID on the segment.

On the wire: two groups of senders with one VRID that share no address, or authenticate otherwise.

What to do: give one of the groups another VRID, or use unicast peers. Routers drop each other's adverts and may starve.

Not to be confused with: `partition` and `adverts_rejected` (members of one group, with the same addresses).
"""

from observer.model.observations import UNNAMED
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.rejected import estranged
from observer.rules.view import FlapView


def find(view: FlapView) -> Finding | str:
    """A conflict of VRIDs as the cause, or why not."""
    if not view.foreign:
        return _another(view) or "no other group advertised the same VRID"
    if (member := estranged(view)) is not None:
        return f"{member.router} and {view.former} send their adverts to each other: they are of one group"
    evidence = [
        Evidence(
            max(run.first, min(view.time, run.last)),
            f"{run.router} advertises VRID {view.virtual_router.vrid} for {', '.join(run.addresses) or 'no address'}",
            run.node,
        )
        for run in view.foreign
    ]
    ours = Evidence(view.time, f"{view.former} advertises the same VRID for {', '.join(view.addresses)}")
    held = view.held
    if held is not None and any(run.authentication_group == held.authentication_group > 0 for run in view.foreign):
        change = "they share a password: one of them may only have been told of other addresses by now"
        return Finding(Cause.VRID_CONFLICT, Confidence.LIKELY, (ours, *evidence), (change,))
    if any(run.ifindex == UNNAMED for run in view.foreign):
        several = "a capture of all interfaces that does not name them (LINUX_SLL) shows two segments of a node as one"
        return Finding(Cause.VRID_CONFLICT, Confidence.LIKELY, (ours, *evidence), (several,))
    if not _on_the_segment(view):
        mirror = "a mirror port that shows several segments without their VLAN tags looks the same"
        return Finding(Cause.VRID_CONFLICT, Confidence.LIKELY, (ours, *evidence), (mirror,))
    return Finding(Cause.VRID_CONFLICT, Confidence.CERTAIN, (ours, *evidence))


def _another(view: FlapView) -> Finding | None:
    """Somebody with another authentication took over for the same addresses."""
    held, takeover = view.held, view.takeover
    if held is None or takeover is None or held.authentication_group == takeover.authentication_group:
        return None
    differs = f"{takeover.router} advertises the same VRID and address with another authentication than {held.router}"
    member = "another group, or a member whose authentication is another: the adverts alone do not tell"
    return Finding(Cause.VRID_CONFLICT, Confidence.POSSIBLE, (Evidence(takeover.first, differs, takeover.node),), (member,))


def _on_the_segment(view: FlapView) -> bool:
    """Whether the former router was heard by a node that has a place on the network itself, as no mirror port has."""
    changed = {change.node for change in view.address_changes} | {change.node for change in view.link_changes}
    nodes = changed | set(view.taps.values())
    return not nodes.isdisjoint(view.heard.get(view.former or "", {}))
