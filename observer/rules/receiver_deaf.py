"""Adverts arrived at a router's interface, but its keepalived did not read them, and it took over.

On the wire, at that router's own tap: the Active Router's adverts, on schedule, with nothing wrong in them, and the take-over
all the same.

What to do: look at the node's firewall for protocol 112, at the raw socket's receive queue and drops, and at what starves the
process.

Not to be confused with: `adverts_rejected` (the adverts differ), `partition` (they never arrived), `daemon_stalled` (the router
had fallen silent itself, and claims the address when it goes on).
"""

from itertools import pairwise

from observer.model.time import SECOND, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.rejected import Claim, damaged, differences, dropped, unfounded
from observer.rules.silence import TIMER, complete, interrupted, out_of_patience
from observer.rules.view import FlapView, Run

OWNER = 255
"""Priority of a router that owns the addresses: it is Active as soon as it starts (RFC 9568 6.4.1)."""


def find(view: FlapView) -> Finding | str:
    """A deaf receiver as the cause, or why not."""
    if damaged(view):
        return "the adverts that arrived failed a check"
    claim = unfounded(view)
    if isinstance(claim, str):
        return claim
    before = interrupted(view, claim.claimant)
    if before is not None:
        return f"{claim.claimant.router} had fallen silent itself, {duration(claim.claimant.first - before.last)} earlier"
    reasons = differences(claim.owner, claim.claimant)
    if reasons:
        return f"the adverts differ: {'; '.join(reasons)}"
    if (logged := dropped(view, claim)) is not None:
        return f"the log of {claim.claimant.router} says: {logged.detail}"
    if claim.heard is None:
        claimed = Evidence(claim.claimant.first, f"{claim.claimant.router} claimed the address of a router that was on schedule")
        unseen = f"whether the adverts arrived at {claim.claimant.router} was not seen"
        return Finding(Cause.RECEIVER_DEAF, Confidence.POSSIBLE, (claimed,), (unseen,))
    if not claim.heard:
        return f"no advert of {claim.owner.router} arrived at {claim.claimant.router}"
    evidence: tuple[Evidence, ...] = (
        Evidence(
            claim.owner.last,
            f"adverts of {claim.owner.router} at {claim.owner.priority} arrived at {claim.claimant.router}, on schedule",
            claim.owner.node,
        ),
        Evidence(claim.claimant.first, f"{claim.claimant.router} claimed the address all the same", claim.claimant.node),
    )
    unread = _unread(view, claim.claimant)
    blinds = () if unread else ("why they were not read is not on the wire",)
    evidence = (*evidence, *unread)
    if claim.claimant.last - claim.claimant.first < claim.claimant.interval // 2 and not unread:
        once = f"{claim.claimant.router} claimed it once only: one that was to be better for a moment does so as well"
        return Finding(Cause.RECEIVER_DEAF, Confidence.LIKELY, evidence, (*blinds, once))
    starts = claim.claimant.first_ident == 1 or claim.claimant.priority == OWNER
    if starts and not (unread or _stays(claim) or _waited(view, claim)):
        begun = f"{claim.claimant.router} may have just started: an address owner, and some others, claim it before they listen"
        return Finding(Cause.RECEIVER_DEAF, Confidence.LIKELY, evidence, (*blinds, begun))
    if claim.claimant.peers and claim.owner.router not in claim.claimant.peers:
        stranger = f"{claim.claimant.router} sends nothing to {claim.owner.router}, and may be told to take nothing from it"
        return Finding(Cause.RECEIVER_DEAF, Confidence.LIKELY, evidence, (*blinds, stranger))
    if claim.intact:
        return Finding(Cause.RECEIVER_DEAF, Confidence.CERTAIN, evidence, blinds)
    unheard = f"a resignation of {claim.owner.router} that this capture lost would look the same"
    confidence = Confidence.LIKELY if complete(view, claim.owner) else Confidence.POSSIBLE
    return Finding(Cause.RECEIVER_DEAF, confidence, evidence, (*blinds, unheard))


def _stays(claim: Claim) -> bool:
    """Whether the claimant goes on beside an owner that ranks above it: one that hears it would have yielded."""
    both = min(claim.owner.last, claim.claimant.last) - claim.claimant.first
    return claim.owner.priority > claim.claimant.priority and both >= 2 * claim.owner.interval


def _waited(view: FlapView, claim: Claim) -> bool:
    """Whether it claimed the addresses just when its patience ended, after an advert that arrived: it had listened."""
    slack = max(claim.owner.interval // 20, TIMER)
    tap = view.taps.get(claim.claimant.router)
    return 8 * slack <= claim.owner.interval and out_of_patience(view, claim.owner, claim.claimant, slack, tap)


def _unread(view: FlapView, claimant: Run) -> tuple[Evidence, ...]:
    """What waits in the claimant's VRRP sockets, or was dropped there, before it claimed the address."""
    looks = [sample for sample in view.claimant_samples if sample.source == "raw" and sample.time <= claimant.first + SECOND]
    for before, after in pairwise(looks):
        if after.time < claimant.first - 4 * claimant.interval:
            continue
        dropped = (after.vrrp_dropped or 0) - (before.vrrp_dropped or 0)
        if dropped > 0:
            return (Evidence(after.time, f"keepalived's VRRP sockets on its node dropped {dropped} packets", after.node),)
        if before.vrrp_queued and after.vrrp_queued and after.vrrp_queued >= before.vrrp_queued:
            waits = f"{after.vrrp_queued} bytes wait unread in keepalived's VRRP sockets on its node"
            return (Evidence(after.time, waits, after.node),)
    return ()
