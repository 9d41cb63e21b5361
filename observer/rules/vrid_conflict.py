"""A foreign group uses the same VRID on the segment.

On the wire: two groups of senders with one VRID that share no address.

What to do: give one of the groups another VRID, or use unicast peers. Routers drop each other's adverts and may starve.

Not to be confused with: `partition` and `adverts_rejected` (members of one group, with the same addresses).
"""

from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.view import FlapView


def find(view: FlapView) -> Finding | str:
    """A conflict of VRIDs as the cause, or why not."""
    if not view.foreign:
        return "no other group advertised the same VRID"
    evidence = [
        Evidence(
            max(run.first, min(view.time, run.last)),
            f"{run.router} advertises VRID {view.virtual_router.vrid} for {', '.join(run.addresses) or 'no address'}",
            run.node,
        )
        for run in view.foreign
    ]
    ours = Evidence(view.time, f"{view.former} advertises the same VRID for {', '.join(view.addresses)}")
    return Finding(Cause.VRID_CONFLICT, Confidence.CERTAIN, (ours, *evidence))
