"""Adverts arrived, but a router could not accept them, and took over all the same.

On the wire: a router claims the address while the Active one advertises on schedule, and the adverts of the two differ in
what a receiver must check: authentication, address list, interval (VRRPv2), version. Or the Active one's adverts arrive with
a wrong checksum, TTL or length.

What to do: make the named setting equal on all routers of the group.

Not to be confused with: `receiver_deaf` (nothing is wrong with the adverts), `vrid_conflict` (another group altogether).
"""

from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.rejected import claimant_of, damaged, differences, dropped, estranged, unfounded
from observer.rules.view import FlapView


def find(view: FlapView) -> Finding | str | None:
    """Rejected adverts as the cause, why not, or None where what arrived was not seen."""
    spoilt = damaged(view)
    if spoilt:
        checks = ", ".join(sorted({advert.reason for advert in spoilt}))
        arrived = f"{len(spoilt)} adverts of {spoilt[0].router} arrived and failed a check that every receiver makes: {checks}"
        claimed = Evidence(view.time, f"{claimant_of(view)} claimed the address all the same")
        return Finding(Cause.ADVERTS_REJECTED, Confidence.CERTAIN, (Evidence(spoilt[0].time, arrived, spoilt[0].node), claimed))
    member, held = estranged(view), view.held
    if member is not None and held is not None:
        differ = f"{member.router} and {held.router} send each other adverts that differ: {'; '.join(differences(held, member))}"
        return Finding(Cause.ADVERTS_REJECTED, Confidence.LIKELY, (Evidence(view.time, differ, member.node),))
    claim = unfounded(view)
    if isinstance(claim, str):
        return claim
    logged = dropped(view, claim)
    reasons = differences(claim.owner, claim.claimant)
    if logged is not None:
        said = Evidence(logged.time, f"the log of {claim.claimant.router} says: {logged.detail}", logged.node)
        claimed = Evidence(claim.claimant.first, f"{claim.claimant.router} claimed the address all the same", claim.claimant.node)
        return Finding(Cause.ADVERTS_REJECTED, Confidence.CERTAIN, (said, claimed))
    if not reasons and claim.heard is None:
        return None
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
