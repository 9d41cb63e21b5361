"""A better router took over while the Active one was well.

On the wire: the first advert of a router that outranks the Active one, whose own priority never fell and who was on schedule;
it yields at once. Either the new one regained the priority that a failed check had cost it, or it joined the group.

What to do: nothing is broken, but connections were reset for it. With equal machines use `nopreempt` or equal priorities.

Not to be confused with: `check_failed` (there the former router's priority fell first), `partition` (both go on advertising),
`vrid_conflict` (the new sender is of another group).
"""

from observer.model.addresses import VIRTUAL_MAC, virtual_mac
from observer.model.host import LogKind
from observer.model.observations import AddressChange, Family, LinkChange
from observer.model.time import MILLISECOND, SECOND
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.partition import returned
from observer.rules.process import came_up, restarted
from observer.rules.silence import SILENT, active_down_interval, complete, on_beat, out_of_patience
from observer.rules.view import FlapView, Run

AT_ONCE = SECOND
"""From a router's first advert to the event that its kernel has the addresses, or back: busy nodes take their time."""

EXACT = 5 * MILLISECOND
"""By how much, or a fiftieth of an interval, a timer of keepalived is late as a rule."""


def find(view: FlapView) -> Finding | str:
    """A preemption as the cause, or why not."""
    held, takeover = view.held, view.takeover
    if held is None or takeover is None or view.taken_over is None:
        return "former and new Active Router were not both heard"
    if view.current == view.former:
        return "the address did not change hands"
    if view.resignation is not None:
        return f"{held.router} had resigned"
    if (view.silence or 0) >= SILENT * held.interval:
        return f"{held.router} had fallen silent"
    if view.same_group() is False:
        return f"{takeover.router} is not of the same group (other addresses or authentication)"
    if takeover.priority <= held.priority:
        return f"{takeover.router} advertises {takeover.priority}, not more than the {held.priority} of {held.router}"
    fall = view.fall()
    if fall is not None and held.priority < fall[0].priority and takeover.priority <= fall[0].priority:
        return f"the priority of {held.router} had fallen from {fall[0].priority} to {held.priority}"
    ended = _ended_before(view, held)
    if ended is not None:
        return ended
    fell = _fell_unheard(view, held, takeover)
    if fell is not None:
        return f"the priority of {held.router} had fallen from {fell.priority} to {held.priority} while it was not heard"
    still = _went_on(view, held)
    if still is not None:
        return f"{held.router} went on advertising long after the move"
    evidence = [
        Evidence(
            view.taken_over,
            f"{takeover.router} came with priority {takeover.priority} while {held.router} advertised {held.priority}",
            takeover.node,
        )
    ]
    earlier = view.preceding(takeover)
    if earlier is not None:
        evidence.append(Evidence(earlier.last, f"{takeover.router} had been Active before, last at {earlier.priority}"))
    fallen = [run for run in view.runs.get(held.router, ()) if run.last < held.first and run.priority >= takeover.priority]
    took = _took_the_address(view, takeover)
    if took is not None:
        evidence.append(Evidence(took, f"{takeover.router} got the address then: it was not Active elsewhere", takeover.node))
    said = _became_active(view, takeover)
    if said is not None:
        evidence.append(said)
    idle = _idle_until_now(earlier, takeover) or _fresh(earlier, takeover) or took is not None or said is not None
    deaf = _unheard_somewhere(view, held)
    if deaf is not None:
        parted = f"adverts of {held.router} arrived at {deaf} no more: a router that does not hear them takes over as well"
        return Finding(Cause.PREEMPTED, Confidence.LIKELY, tuple(sorted(evidence)), (parted,))
    if idle and not came_up(view, takeover, held) and out_of_patience(view, held, takeover, max(held.interval // 50, EXACT)):
        told = f"it came just when it would have for an advert of {held.router} that it heard last, if it is told not to preempt"
        return Finding(Cause.PREEMPTED, Confidence.LIKELY, tuple(sorted(evidence)), (told,))
    if idle and not on_beat(held, view.taken_over):
        missing = f"an advert of {held.router} is missing right before, and may have been its resignation"
        return Finding(Cause.PREEMPTED, Confidence.LIKELY, tuple(sorted(evidence)), (missing,))
    if idle and (fallen or not complete(view, held)):
        unseen = f"adverts were lost, or {held.router} had outranked it before: that its priority fell is not excluded"
        return Finding(Cause.PREEMPTED, Confidence.LIKELY, tuple(sorted(evidence)), (unseen,))
    if idle and view.taken_over - _known_since(view) <= active_down_interval(takeover) + 2 * held.interval:
        begun = f"so little was heard before that the priority of {held.router} may have fallen, or both have started, right then"
        return Finding(Cause.PREEMPTED, Confidence.LIKELY, tuple(sorted(evidence)), (begun,))
    if idle:
        return Finding(Cause.PREEMPTED, Confidence.CERTAIN, tuple(sorted(evidence)))
    if returned(view) is not None:
        healed = f"{takeover.router} may have been Active all the time, unheard: a partition that healed"
        return Finding(Cause.PREEMPTED, Confidence.POSSIBLE, tuple(sorted(evidence)), (healed,))
    return Finding(
        Cause.PREEMPTED,
        Confidence.LIKELY,
        tuple(sorted(evidence)),
        (f"whether {takeover.router} advertised elsewhere before (a partition that healed) was not seen",),
    )


def _known_since(view: FlapView) -> int:
    """From when on something is known of the virtual router: adverts were heard, and not only listened for."""
    first = (run.first for runs in view.runs.values() for run in runs)
    return max(view.observed_since, min(first, default=view.time))


def _went_on(view: FlapView, held: Run) -> Run | None:
    """The former router advertising more than two intervals after the move."""
    for run in view.runs.get(held.router, ()):
        if view.taken_over is not None and run.first <= view.taken_over and run.last > view.taken_over + 2 * run.interval:
            return run
    return None


def _ended_before(view: FlapView, held: Run) -> str | None:
    """Why the former router's process had ended before the move, its resignation unheard; None where nothing says so."""
    taken = view.taken_over
    if taken is not None and view.left is not None and view.left < taken:
        return f"the kernel of {held.router} had left the group of VRRP: its process had ended"
    refused = view.life.first_refused
    if taken is not None and refused is not None and refused - taken < SILENT * held.interval:
        return f"the kernel of {held.router} refused the first adverts of {view.current}: its process had ended"
    return None


def _unheard_somewhere(view: FlapView, held: Run) -> str | None:
    """A node that heard the former router before, and not any more when it was about to lose the addresses."""
    end = view.taken_over if view.taken_over is not None else view.time
    begin = end - int(SILENT * held.interval)
    for node in view.heard.get(held.router, {}):
        before = view.heard_at(held.router, node, begin - 3 * held.interval, begin)
        if before and held.first < begin and not view.heard_at(held.router, node, begin, end):
            return node
    return None


def _fell_unheard(view: FlapView, held: Run, takeover: Run) -> Run | None:
    """The former router's run before, if it outranked the new one then, and that may have taken over because it does not now.

    A backup that is there takes over within Active_Down_Interval of the fall; one that let more time pass came later.
    """
    before = view.preceding(held)
    if before is None or before.priority < takeover.priority:
        return None
    if takeover.first - held.first > active_down_interval(takeover) + held.interval:
        return None
    others = (run for router, runs in view.runs.items() if router != held.router for run in runs)
    return None if any(before.last < run.last and run.first < held.first for run in others) else before


def _idle_until_now(earlier: Run | None, takeover: Run) -> bool:
    """The identification shows that it sent no advert between its last one and this one."""
    if earlier is None or earlier.last_ident is None or takeover.first_ident is None or not takeover.stride:
        return False
    return (takeover.first_ident - earlier.last_ident) % 65536 == takeover.stride


def _fresh(earlier: Run | None, takeover: Run) -> bool:
    """The identification shows that this is the first advert of its process, and not one after a full turn of the count."""
    return takeover.first_ident == 1 and (earlier is None or restarted(earlier, takeover))


def _became_active(view: FlapView, takeover: Run) -> Evidence | None:
    """Its own log says that it became Active around its first advert, and so was not before; stamps may be whole seconds."""
    first = view.at_home(takeover)
    for event in view.claimant_log:
        if event.kind is LogKind.ENTERED_ACTIVE and -AT_ONCE - SECOND <= event.time - first <= AT_ONCE:
            return Evidence(event.time, f"the log of {takeover.router} says: {event.detail}", event.node)
    return None


def _took_the_address(view: FlapView, takeover: Run) -> int | None:
    """When its own kernel got the address, or the interface made for it came up, around its first advert; None otherwise.

    An Active Router has it all the time.
    """
    node, first = view.local.get(takeover.router), view.at_home(takeover)

    def then(change: AddressChange | LinkChange) -> bool:
        return change.node == node and not change.initial and abs(change.time - first) <= AT_ONCE

    got = [change.time for change in view.address_changes if change.present and then(change)]
    up = [change for change in view.link_changes if change.up and then(change)]
    # FRR leaves the address on an interface of its own with the virtual router's MAC, and takes that down (protodown). It comes
    # up with a real link below it as well, and that may have been all that parted an Active Router from the others.
    if all((change.mac or "").startswith(VIRTUAL_MAC) for change in up):
        made = virtual_mac(view.virtual_router.vrid, six=view.virtual_router.family is Family.IPV6)
        got += [change.time for change in up if change.mac == made]
    return min(got, default=None)
