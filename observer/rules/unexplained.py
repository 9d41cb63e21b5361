"""The evidence fits no cause, or the observer was blind.

On the wire: anything. The blind spots say what was missing.

What to do: look at the blind spots; captures of more nodes, their address events and logs make most of them go away.

Not to be confused with: nothing; it is the honest answer where no other is.
"""

from observer.model.time import duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.rejected import Claim, unfounded
from observer.rules.view import FlapView


def find(view: FlapView) -> Finding:
    """What can be said without a cause."""
    evidence = []
    last = view.last_before
    if last is not None:
        kind = "resigned" if last.priority == 0 else f"advertised {last.priority}"
        moved = view.taken_over if view.taken_over is not None else view.time
        heard = [time for times in view.heard.get(last.router, {}).values() for time in times if time <= moved]
        when = last.last if last.last <= moved else max([last.first, *heard])
        evidence.append(Evidence(when, f"{last.router} {kind} for the last time before the move", last.node))
    if view.taken_over is not None and view.current is not None:
        after = f", {duration(view.silence)} later" if view.silence is not None else ""
        evidence.append(Evidence(view.taken_over, f"{view.current} became Active{after}"))
    blind = [] if view.former else ["who was Active before was not seen"]
    claim = unfounded(view)
    if isinstance(claim, Claim) and not claim.heard:
        blind.append(
            f"whether the adverts of {claim.owner.router} reached {claim.claimant.router} was not seen:"
            " a partition in one direction, or a receiver deaf to them"
        )
    if view.current is not None and view.current not in (view.former, *view.local):
        blind.append(f"the node of {view.current} was not observed from inside: why it claimed the address is unknown")
    return Finding(Cause.UNEXPLAINED, Confidence.POSSIBLE, tuple(evidence), tuple(blind))
