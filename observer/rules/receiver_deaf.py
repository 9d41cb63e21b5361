"""Adverts arrived at a router's interface, but its keepalived did not read them, and it took over.

On the wire, at that router's own tap: the Active Router's adverts, on schedule, with nothing wrong in them, and the take-over
all the same.

What to do: look at the node's firewall for protocol 112, at the raw socket's receive queue and drops, and at what starves the
process.

Not to be confused with: `adverts_rejected` (the adverts differ), `partition` (they never arrived).
"""

from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.rejected import damaged, differences, unfounded
from observer.rules.view import FlapView


def find(view: FlapView) -> Finding | str:
    """A deaf receiver as the cause, or why not."""
    if damaged(view):
        return "the adverts that arrived failed a check"
    claim = unfounded(view)
    if isinstance(claim, str):
        return claim
    reasons = differences(claim.owner, claim.claimant)
    if reasons:
        return f"the adverts differ: {'; '.join(reasons)}"
    if claim.heard is None:
        claimed = Evidence(claim.claimant.first, f"{claim.claimant.router} claimed the address of a router that was on schedule")
        unseen = f"whether the adverts arrived at {claim.claimant.router} was not seen"
        return Finding(Cause.RECEIVER_DEAF, Confidence.POSSIBLE, (claimed,), (unseen,))
    if not claim.heard:
        return f"no advert of {claim.owner.router} arrived at {claim.claimant.router}"
    evidence = (
        Evidence(
            claim.owner.last,
            f"adverts of {claim.owner.router} at {claim.owner.priority} arrived at {claim.claimant.router}, on schedule",
            claim.owner.node,
        ),
        Evidence(claim.claimant.first, f"{claim.claimant.router} claimed the address all the same", claim.claimant.node),
    )
    blind = "why they were not read is not on the wire"
    if claim.intact:
        return Finding(Cause.RECEIVER_DEAF, Confidence.CERTAIN, evidence, (blind,))
    unheard = f"a resignation of {claim.owner.router} that this capture lost would look the same"
    return Finding(Cause.RECEIVER_DEAF, Confidence.LIKELY, evidence, (blind, unheard))
