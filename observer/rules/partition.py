"""Routers advertise, each deaf to the other.

On the wire: adverts of both for more than two intervals, each missing at the other's tap; or a router that is heard again
after a silence, with an identification that shows that it had gone on advertising. It ends with one yielding.

What to do: look at the path of protocol 112 between the nodes: multicast snooping, firewall rules, unicast against multicast
peers, a lossy port. Both held the address: clients of the loser were cut off.

Not to be confused with: an election's overlap (milliseconds), `daemon_stalled` (the identification stood still meanwhile),
`receiver_deaf` and `adverts_rejected` (the adverts arrived), `link_down` of a router that does not see its link go (a bridge,
`dont_track_primary`): it goes on numbering adverts too, but nothing of its node is heard, and none leave its interface.
"""

from dataclasses import replace
from itertools import pairwise

from observer.model.time import duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.process import burst, counts, unheard
from observer.rules.rejected import damaged, differences, unfounded
from observer.rules.silence import SILENT, complete, fell_silent, left_with, lost_to_all, never_left, on_beat, timely
from observer.rules.view import FlapView, Run

APART = 2
"""Intervals for which both advertise that are more than an election."""

BEFORE = 30
"""Intervals in which it is looked how many of the owner's adverts the claimant's tap caught."""

CHANCE = 0.005
"""By which a lossy tap would have lost all adverts that are said not to have arrived; more is not certain."""

NEVER_SENT = 2
"""Adverts that a FAULT numbers and a lost link keeps from being sent; one that goes on until another takes over sends more."""


def find(view: FlapView) -> Finding | str:
    """A partition as the cause, or why not."""
    if view.foreign:
        return "the other sender is of another group"
    if view.resignation is not None:
        return f"{view.resignation.router} had resigned"
    if view.same_group() is False:
        return "the routers are not of one group (other addresses or authentication): they would not take each other's adverts"
    if view.outside is not None:
        return _announced_only(view)
    if damaged(view):
        return "the adverts arrived, and failed a check"
    found = (
        _sent_and_not_received(view)
        or _silence_was_ours(view)
        or _claimed_elsewhere(view)
        or _side_by_side(view)
        or _unheard(view)
        or _ended(view)
    )
    return found or "nobody advertised unheard or side by side"


def _announced_only(view: FlapView) -> Finding | str:
    """Another host announces the address; its adverts, if any, pass elsewhere."""
    claim, held = view.outside, view.held
    if claim is None or held is None or claim.node is not None:
        return "the other host was not seen to advertise"
    beside = f"{claim.mac} announced the address while {held.router} advertised it"
    return Finding(Cause.PARTITION, Confidence.POSSIBLE, (Evidence(claim.time, beside),))


def _sent_and_not_received(view: FlapView) -> Finding | None:
    """Taps on both routers: adverts that left the one before the other claimed the addresses, and did not arrive there."""
    owner = view.held
    took = view.taken_over is not None and view.current != view.former
    claimant = view.current if took else next(iter(view.contenders), None)
    if owner is None or claimant is None or owner.router not in view.taps or claimant not in view.taps:
        return None
    end = view.taken_over if view.taken_over is not None else view.time
    claim = next((run for run in view.runs.get(claimant, ()) if run.priority > 0 and run.last >= end), None)
    begin = end - 3 * owner.interval
    sent, received = _both_ends(view, owner, claimant, begin, end)
    if sent < APART or received:
        return None
    lost = f"{sent} adverts left {owner.router} in the {duration(end - begin)} before {claimant} claimed it; none arrived"
    # What a capture lost did not arrive there either: how often it lost one before tells by what chance it lost all of these.
    last = max((time for time in view.heard[owner.router].get(view.taps[claimant], ()) if time < begin), default=begin)
    remembered = min(view.heard[owner.router][view.taps[owner.router]], default=begin)
    same = last + owner.interval // 4
    before, heard = _both_ends(view, owner, claimant, max(last - BEFORE * owner.interval, remembered), same)
    missing, _ = _both_ends(view, owner, claimant, same, end)
    if claim is not None and claim.priority > owner.priority:
        # It claims the addresses whether it hears these adverts or not, unless it is told not to preempt.
        return Finding(Cause.PARTITION, Confidence.LIKELY, (Evidence(end, lost),)) if heard >= APART else None
    if not view.heard_at(claimant, view.taps[claimant], end - owner.interval // 2, end + owner.interval):
        unsure = f"the capture on {claimant} lacks its own claim as well: it may have lost them"
        return Finding(Cause.PARTITION, Confidence.LIKELY, (Evidence(end, lost),), (unsure,))
    if claim is None or claim.last - claim.first < claim.interval // 2:
        once = f"{claimant} claimed it once only: one whose whole node was frozen does so when it goes on"
        return Finding(Cause.PARTITION, Confidence.LIKELY, (Evidence(end, lost),), (once,))
    if 0 < before <= heard and _by_chance(missing, before) <= CHANCE:
        return Finding(Cause.PARTITION, Confidence.CERTAIN, (Evidence(end, lost),))
    few = f"of the {before} adverts before that, {heard} were captured there: it may have lost these as well"
    return Finding(Cause.PARTITION, Confidence.LIKELY, (Evidence(end, lost),), (few,))


def _by_chance(missing: int, heard: int) -> float:
    """How likely a tap is to have lost so many in a row that caught all of those before (Laplace's rule of succession)."""
    chance: float = (1 / (heard + 2)) ** missing
    return chance


def _both_ends(view: FlapView, owner: Run, claimant: str, begin: int, end: int) -> tuple[int, int]:
    """Adverts of the owner at its own tap and at the claimant's, within a span."""
    at_owner, at_claimant = (
        view.rounds_at(owner.router, view.taps[router], begin, end, owner.interval) for router in (owner.router, claimant)
    )
    return at_owner, at_claimant


def _unheard(view: FlapView) -> Finding | None:
    """The former router's node lives, and its adverts are not heard: a partition cannot be excluded."""
    silent = fell_silent(view)
    if isinstance(silent, str) or view.taken_over is None or view.current == view.former:
        return None
    last, evidence = silent
    back = view.came_back
    if back is not None and (back.priority != last.priority or counts(last, back)):
        return None
    if (back is None and not view.life.frames) or view.life.refused_vrrp or left_with(view, last) or last.router in view.taps:
        return None
    lives = Evidence(view.trouble, f"the node of {last.router} lives; whether it went on advertising was not seen")
    return Finding(Cause.PARTITION, Confidence.POSSIBLE, (evidence, lives))


def _silence_was_ours(view: FlapView) -> Finding | None:
    """The former router fell silent for us and the new one, but went on advertising."""
    last, back = view.last_before, view.came_back
    if last is None or back is None or view.taken_over is None or view.current == view.former or not counts(last, back):
        return None
    unseen = unheard(last, back)
    if (
        unseen is None
        or not kept_on(last, back, unseen)
        or back.first < view.taken_over
        or view.taken_over - last.last < APART * last.interval
        or never_left(view, last, back) is not None
    ):
        return None
    heard = sum(run.count for run in view.tenure())
    sure = _yielded(view, back) and view.lossless and timely(view, last) and _by_chance(unseen, heard) <= CHANCE
    off = lost_to_all(view, back)
    blind = f"nothing else of the node of {last.router} was heard either: it may have been off the network, its link unwatched"
    return Finding(
        Cause.PARTITION,
        Confidence.CERTAIN if sure and not off else Confidence.LIKELY,
        (
            Evidence(last.last, f"{last.router} was not heard any more, here or by {view.current}, which took over", last.node),
            Evidence(
                back.first,
                f"{back.router} was heard again {duration(back.first - last.last)} later, and had sent {unseen} adverts meanwhile"
                f" (identification {last.last_ident} to {back.first_ident})",
                back.node,
            ),
        ),
        (blind,) if off else (),
    )


def _yielded(view: FlapView, back: Run) -> bool:
    """Whether the new router was on schedule until the former one was heard again, and is so no adverts of that were lost here.

    Thawed, a router answers every advert that it finds waiting with one of its own: lost, they look like those of a partition.
    """
    takeover = [run for run in view.runs.get(view.current or "", ()) if run.first < back.first]
    return bool(takeover) and on_beat(replace(takeover[-1], last=min(takeover[-1].last, back.first)), back.first)


def _ended(view: FlapView) -> Finding | None:
    """The new router had fallen silent while Active, and is heard again: perhaps it had been Active all the time."""
    takeover, back = view.takeover, returned(view)
    if takeover is None or back is None:
        return None
    again = f"{takeover.router} is heard again {duration(takeover.first - back.last)} after it fell silent at {back.priority}"
    return Finding(Cause.PARTITION, Confidence.POSSIBLE, (Evidence(takeover.first, again, takeover.node),))


def returned(view: FlapView) -> Run | None:
    """The new router's run before, if that ended in silence, and nothing on the wire tells whether its process went on since."""
    takeover = view.takeover
    if takeover is None or view.current == view.former:
        return None
    earlier = view.preceding(takeover)
    if earlier is None or earlier.priority != takeover.priority or counts(earlier) or burst(takeover):
        return None
    held = view.held
    taken = held is not None and held.first - earlier.last > SILENT * earlier.interval
    return earlier if taken else None


def kept_on(before: Run, after: Run, unseen: int | None) -> bool:
    """Whether the adverts sent unheard between two runs are as many as a router sends that goes on all the time."""
    due = (after.first - before.last) // before.interval - 1
    return unseen is not None and unseen > NEVER_SENT and unseen >= due - max(1, due // 8)


def _claimed_elsewhere(view: FlapView) -> Finding | None:
    """A router that is heard now has been Active before, unheard."""
    claimants = [view.current] if view.taken_over is not None and view.current != view.former else list(view.contenders)
    held = view.held
    for router in claimants:
        run = next((run for run in view.runs.get(router or "", ()) if run.priority > 0 and run.last >= view.time), None)
        if run is None or run.first_ident is None or held is None:
            continue
        earlier = view.preceding(run)
        if earlier is not None:
            unseen = unheard(earlier, run) if counts(earlier) and earlier.priority > 0 else None
            if not kept_on(earlier, run, unseen):
                unseen = None
        else:
            # Adverts of this process before its first one heard; it may have been Active before the observation began.
            since = (run.first - view.observed_since) // run.interval
            # One advert does not show how it counts; members of a group mostly run the same program.
            numbered = counts(run) or (run.count == 1 and counts(held))
            unseen = run.first_ident - 1 if numbered and run.first_ident - 1 <= since else None
        # A better router may have sent them before the observation began, and comes back now.
        alone = complete(view, held) and run.priority <= held.priority and not differences(held, run)
        if unseen is not None and unseen >= APART and view.time - held.last < APART * held.interval:
            return Finding(
                Cause.PARTITION,
                Confidence.CERTAIN
                if earlier is not None and _heard_meanwhile(view, held, earlier.last, run.first)
                else Confidence.LIKELY
                if alone
                else Confidence.POSSIBLE,
                (
                    Evidence(held.last, f"{held.router} was Active and advertised on schedule", held.node),
                    Evidence(
                        run.first,
                        f"{run.router} was heard claiming the address, and had sent {unseen} adverts before, unheard here"
                        f" (identification {run.first_ident})",
                        run.node,
                    ),
                ),
            )
    return None


def _heard_meanwhile(view: FlapView, owner: Run, begin: int, end: int) -> bool:
    """Whether the owner's adverts were heard all through a span, so that another's were not lost here."""
    runs = [run for run in view.runs.get(owner.router, ()) if run.last >= begin and run.first <= end]
    gaps = (later.first - earlier.last > 2 * earlier.interval for earlier, later in pairwise(runs))
    return view.lossless and not any(gaps)


def _side_by_side(view: FlapView) -> Finding | None:
    """A router claims the addresses beside one that is on schedule, and whether it hears its adverts was not seen."""
    claim = unfounded(view)
    if isinstance(claim, str) or claim.heard is not None or differences(claim.owner, claim.claimant):
        return None
    beside = f"{claim.claimant.router} claimed the address while {claim.owner.router} advertised on schedule"
    unseen = f"whether the adverts of {claim.owner.router} reached {claim.claimant.router} was not seen"
    return Finding(
        Cause.PARTITION, Confidence.POSSIBLE, (Evidence(claim.claimant.first, beside, claim.claimant.node),), (unseen,)
    )
