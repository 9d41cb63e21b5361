"""Adverts arrived, but a router could not accept them, and took over all the same.

On the wire: a router claims the address while the Active one advertises on schedule, and the adverts of the two differ in
what a receiver must check: authentication, address list, interval (VRRPv2), version. Or the Active one's adverts arrive with
a wrong checksum, TTL or length.

What to do: make the named setting equal on all routers of the group.

Not to be confused with: `receiver_deaf` (nothing is wrong with the adverts), `vrid_conflict` (another group altogether).
"""

from observer.model.host import LogKind
from observer.model.time import SECOND
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.rejected import claimant_of, damaged, differences, unfounded
from observer.rules.view import FlapView

REJECTIONS = frozenset(
    {
        LogKind.AUTHENTICATION_FAILED,
        LogKind.ADDRESS_MISSING,
        LogKind.ADDRESS_COUNT_MISMATCH,
        LogKind.INTERVAL_MISMATCH,
    }
)
"""What keepalived logs when it drops an advert."""


def find(view: FlapView) -> Finding | str:
    """Rejected adverts as the cause, or why not."""
    spoilt = damaged(view)
    if spoilt:
        checks = ", ".join(sorted({advert.reason for advert in spoilt}))
        dropped = f"{len(spoilt)} adverts of {spoilt[0].router} arrived and failed a check that every receiver makes: {checks}"
        claimed = Evidence(view.time, f"{claimant_of(view)} claimed the address all the same")
        return Finding(Cause.ADVERTS_REJECTED, Confidence.CERTAIN, (Evidence(spoilt[0].time, dropped, spoilt[0].node), claimed))
    claim = unfounded(view)
    if isinstance(claim, str):
        return claim
    start = view.taken_over if view.taken_over is not None else view.time
    begin = start - 4 * claim.owner.interval
    logged = next(
        (event for event in view.claimant_log if event.kind in REJECTIONS and begin <= event.time <= start + SECOND), None
    )
    reasons = differences(claim.owner, claim.claimant)
    if logged is not None:
        said = Evidence(logged.time, f"the log of {claim.claimant.router} says: {logged.detail}", logged.node)
        claimed = Evidence(claim.claimant.first, f"{claim.claimant.router} claimed the address all the same", claim.claimant.node)
        return Finding(Cause.ADVERTS_REJECTED, Confidence.CERTAIN, (said, claimed))
    if not reasons:
        return f"nothing is wrong with the adverts of {claim.owner.router}"
    evidence = (
        Evidence(claim.owner.last, f"{claim.owner.router} advertised on schedule at {claim.owner.priority}", claim.owner.node),
        Evidence(claim.claimant.first, f"{claim.claimant.router} claimed the address all the same", claim.claimant.node),
        Evidence(claim.claimant.first, f"their adverts differ: {'; '.join(reasons)}", claim.claimant.node),
    )
    # Another authentication may as well be another group's, which only happens to name the same addresses.
    if claim.heard and claim.intact and claim.owner.authentication_group == claim.claimant.authentication_group:
        return Finding(Cause.ADVERTS_REJECTED, Confidence.CERTAIN, evidence)
    return Finding(
        Cause.ADVERTS_REJECTED,
        Confidence.LIKELY,
        evidence,
        () if claim.heard else (f"whether the adverts arrived at {claim.claimant.router} was not seen",),
    )
