"""The address was moved, or added elsewhere, with no VRRP behind it: by kube-vip, Talos, a script, a hand.

On the wire: another host announces the address while the Active Router goes on as before; or, with no adverts at all, one that
another host had been announcing. On the node: its kernel gains the address, and its router advertises nothing.

What to do: find who asked the kernel for it (the netlink port is in the evidence); two managers of one address fight.

Not to be confused with: `address_removed` (deleted from the Active Router, which resigns), `partition` (the other host
advertises where it is not heard).
"""

from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.silence import complete
from observer.rules.view import FlapView


def find(view: FlapView) -> Finding | str:
    """A move outside VRRP as the cause, or why not."""
    claim = view.outside
    if claim is None:
        return "nobody was seen to claim the address without advertising it"
    who = claim.node or claim.mac or "a host"
    how = f"the kernel of {who} gained {claim.address}" if claim.node is not None else f"{who} announced {claim.address}"
    asked = "" if not claim.requester else f", asked for by netlink port {claim.requester}"
    evidence = [Evidence(claim.time, how + asked, claim.node)]
    held = view.held
    if held is None:
        moved = f"it had been at {view.former} before, and nobody advertised it by VRRP"
        blind = "unicast adverts between other hosts would not be seen here"
        # At one of the two they would be.
        here = claim.node is not None or claim.former is not None
        confidence = Confidence.LIKELY if here else Confidence.POSSIBLE
        return Finding(Cause.MOVED_OUTSIDE_VRRP, confidence, (*evidence, Evidence(claim.time, moved)), (blind,))
    on = next((run for run in view.runs.get(held.router, ()) if run.last > claim.time and run.priority > 0), None)
    if on is None:
        return f"{held.router} did not go on advertising"
    evidence.append(Evidence(on.last, f"{held.router} went on advertising it as before", on.node))
    if claim.node is not None and claim.node in {node for times in view.heard.values() for node in times}:
        # Its own capture shows what leaves it.
        evidence.append(Evidence(claim.time, f"no advert left {claim.node}"))
        return Finding(Cause.MOVED_OUTSIDE_VRRP, Confidence.CERTAIN, tuple(evidence))
    if claim.node is None:
        unseen = "adverts of the other host that do not arrive here would not be seen: a partition looks the same"
        return Finding(Cause.MOVED_OUTSIDE_VRRP, Confidence.POSSIBLE, tuple(evidence), (unseen,))
    if not complete(view, held):
        lost = f"frames were lost: adverts with which {who} took the address over may have been among them"
        return Finding(Cause.MOVED_OUTSIDE_VRRP, Confidence.POSSIBLE, tuple(evidence), (lost,))
    return Finding(Cause.MOVED_OUTSIDE_VRRP, Confidence.LIKELY, tuple(evidence))
