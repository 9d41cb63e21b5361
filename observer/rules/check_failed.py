"""A tracked check failed: it lowered the Active Router's priority, or put it in FAULT.

On the wire: the same sender goes on at a lower priority and then a router with a higher one takes over, after the three
adverts that it discards (keepalived: ``weight``). Without a weight, failure means FAULT: two priority-0 adverts within a
millisecond or so, where an orderly stop sends one. The other members of its sync group send one only; a router that outranks the
new one, and takes the address back in the same process, was in FAULT with its group.

What to do: find out which check failed and what it tests. A check that asks the apiservers *through* HAProxy fails on healthy
proxies when etcd or an apiserver is in trouble; it should ask HAProxy itself. `warranted` tells whether the proxy was well.

Not to be confused with: `stopped` (one priority 0, and no lower priority before), `preempted` (the former router's own
priority never fell), `reloaded` (the change of priority comes with adverts that are off schedule).
"""

from observer.model.host import LogEvent, LogKind
from observer.model.time import MILLISECOND, SECOND, clock_time, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules import link_down
from observer.rules.process import (
    burst,
    came_up,
    counts,
    keepaliveds,
    off_schedule,
    resigned_after_gap,
    resigned_before_gap,
    restarted,
)
from observer.rules.resignation import close, stood_aside, waited
from observer.rules.silence import at_once, for_its_fall, gappy, on_beat, patience_ended, preempts
from observer.rules.view import FlapView, Run

FAULT_PAIR = 100 * MILLISECOND
"""Two priority-0 adverts closer than this are one FAULT. keepalived 2.2.7 sends them 0.58 ms apart; an orderly stop sends one."""

LOGGED_BEFORE = 3 * SECOND
"""A check is logged as failed at most an interval or so before the advert that shows it."""

FAILURES = (LogKind.CHECK_FAILED, LogKind.CHECK_TIMED_OUT)

STEADY = 2
"""Adverts at the higher priority that make it the router's usual one, rather than one passing value."""


def find(view: FlapView) -> Finding | str:
    """A failed check as the cause, or why not."""
    held = view.held
    if held is None:
        return "no advert of the former Active Router at a real priority was seen before the move"
    if view.same_group() is False:
        return "the router that took over is not of the same group (other addresses or authentication)"
    resignation = view.resignation
    if resignation is not None:
        return _fault(view, resignation)
    return _lowered(view, held)


def _fault(view: FlapView, resignation: Run) -> Finding | str:
    gap = resignation.last - resignation.first
    if view.current == view.former:
        return f"{resignation.router} resumed by itself"
    down = link_down.find(view)
    if isinstance(down, Finding):
        return f"{resignation.router} entered FAULT for its link: {down.evidence[-1].statement}"
    fault = view.logged(LogKind.ENTERED_FAULT, begin=resignation.first - SECOND, end=resignation.last + SECOND)
    pair = twice_at_once(resignation)
    member = next((run for run in view.siblings if twice_at_once(run)), None)
    if not pair and fault is None and member is None:
        aside = stood_aside(view, resignation)
        if aside is not None:
            gave = Evidence(resignation.first, f"{resignation.router} resigned with one priority-0 advert", resignation.node)
            again = (
                f"the same process took the address back {duration(aside.first - resignation.last)} later, by its higher priority"
            )
            unseen = (
                "which member of its sync group entered FAULT was not seen",
                "a router whose address was removed, and that waits before it preempts, leaves the same on the wire",
            )
            return Finding(Cause.CHECK_FAILED, Confidence.LIKELY, (gave, Evidence(aside.first, again, aside.node)), unseen)
        return _one_of_two(view, resignation)
    evidence = []
    if pair:
        two = f"{resignation.router} sent {resignation.count} priority-0 adverts {duration(gap)} apart: it entered FAULT"
        evidence.append(Evidence(resignation.first, two, resignation.node))
    if fault is not None:
        evidence.append(Evidence(fault.time, f"its log says: {fault.detail}", fault.node))
    if member is not None:
        group = (
            f"{member.router} entered FAULT in another virtual router at the same time, with two priority-0 adverts: a sync group"
        )
        evidence.append(Evidence(member.first, group, member.node))
    name, proof, blind = _named(view, None if view.faulting is None else tuple((check,) for check in view.faulting))
    overdue = waited(view, resignation)
    if (overdue or close(resignation)) and (fault is None or name is None):
        link = "a link that was lost for a moment puts a router in FAULT too, which then resigns late and twice at once"
        confidence = Confidence.POSSIBLE if overdue else Confidence.LIKELY
        return Finding(Cause.CHECK_FAILED, confidence, (*evidence, *proof), (*blind, link), name)
    if fault is None and view.faulting is None and not keepaliveds(view.held or resignation):
        other = "its adverts are not keepalived's by their make: another program may resign twice for other reasons"
        return Finding(Cause.CHECK_FAILED, Confidence.LIKELY, (*evidence, *proof), (*blind, other), name)
    if fault is not None or member is not None or _told_apart(view, resignation):
        return Finding(Cause.CHECK_FAILED, Confidence.CERTAIN, (*evidence, *proof), blind, name)
    copied = "the priority-0 adverts carry no distinct identification: one may be a copy of the other"
    return Finding(Cause.CHECK_FAILED, Confidence.LIKELY, (*evidence, *proof), (*blind, copied), name)


def _one_of_two(view: FlapView, resignation: Run) -> Finding | str:
    """One priority-0 advert was heard: whether the numbers of others show that it had a second one."""
    resigned = Evidence(resignation.first, f"{resignation.router} resigned with priority 0", resignation.node)
    back = view.came_back
    if back is not None and resigned_before_gap(resignation, back) and view.current != view.former:
        second = f"it had sent one more advert when it went on ({resignation.last_ident} to {back.first_ident}), as in a FAULT"
        went_on = Evidence(back.first, second, back.node)
        return Finding(Cause.CHECK_FAILED, Confidence.LIKELY, (resigned, went_on), ("what that advert said was not heard",))
    if view.held is not None and resigned_after_gap(view.held, resignation) and not view.log:
        before = "an advert right before the resignation was not heard: if it had priority 0 as well, this was a FAULT"
        return Finding(Cause.CHECK_FAILED, Confidence.POSSIBLE, (resigned,), (before,))
    return f"{resignation.router} gave up with one priority-0 advert, where a FAULT sends two"


def twice_at_once(resignation: Run) -> bool:
    """Whether a router resigned with two adverts, as keepalived does when it enters FAULT."""
    return resignation.count >= 2 and resignation.last - resignation.first <= FAULT_PAIR


def _told_apart(view: FlapView, resignation: Run) -> bool:
    """Whether the adverts of a resignation are no copies of one: by their identification, or where nothing is captured twice."""
    if resignation.first_ident:
        return resignation.first_ident != resignation.last_ident
    held, takeover = view.held, view.takeover
    once = resignation.captured == 1 and held is not None and not gappy(held)
    return once and takeover is not None and not burst(takeover)


def _named(
    view: FlapView, candidates: tuple[tuple[str, ...], ...] | None
) -> tuple[str | None, tuple[Evidence, ...], tuple[str, ...]]:
    """Which check it was: from the log, else from the sets of checks that the configuration allows; evidence; blind spots."""
    event, others = _logged(view, candidates)
    if event is not None:
        how = "timed out" if event.kind is LogKind.CHECK_TIMED_OUT else "failed"
        status = "" if event.status is None else f" (exit status {event.status})"
        return event.check, (Evidence(event.time, f"its log says: check {event.check} {how}{status}", event.node),), ()
    if others and not (candidates is not None and len(candidates) == 1):
        return None, (), (f"its log says that {' and '.join(others)} failed; which of them made the priority fall is not told",)
    if candidates is None:
        return None, (), ("which check failed is not on the wire",)
    if len(candidates) == 1:
        name = " + ".join(candidates[0])
        return name, (Evidence(view.trouble, f"by its node's configuration that is {name}"),), ()
    if not candidates:
        return None, (), ("no check of its node's configuration explains it",)
    fit = " or ".join(" + ".join(names) for names in candidates[:4])
    return None, (), (f"by its node's configuration it may be {fit}",)


def _logged(view: FlapView, candidates: tuple[tuple[str, ...], ...] | None) -> tuple[LogEvent | None, tuple[str, ...]]:
    """The failure of a check in the log that explains the priority; of several that might, their names instead.

    keepalived logs the change of priority right after the failure that makes it.
    """
    begin, end = view.trouble - LOGGED_BEFORE - SECOND, view.trouble + SECOND
    failed = [event for event in view.log if event.kind in FAILURES and event.check is not None and begin <= event.time <= end]
    names = tuple(dict.fromkeys(event.check for event in failed if event.check is not None))
    if candidates:
        # With a configuration only those whose weight explains the step, by themselves, come into question.
        alone = {names[0] for names in candidates if len(names) == 1}
        failed = [event for event in failed if event.check in alone] or (failed if len(names) == 1 else [])
        left = {event.check for event in failed}
    else:
        left = set(names)
    if len(left) > 1:
        drop = view.fall()
        step = next((event for event in view.log if drop is not None and _is_step(event, *drop)), None)
        lines = view.log[: view.log.index(step)] if step is not None else ()
        failed = [event for event in reversed(lines) if event in failed][:1]
    return (failed[0], ()) if failed else (None, names)


def _is_step(event: LogEvent, before: Run, after: Run) -> bool:
    """Whether a line of the log says that the priority changed as the wire shows it."""
    return event.kind is LogKind.PRIORITY_CHANGED and (event.before, event.after) == (before.priority, after.priority)


def _lowered(view: FlapView, held: Run) -> Finding | str:
    drop = view.fall()
    if drop is None:
        return f"the priority of {held.router} did not fall while it was Active"
    before, after = drop
    if restarted(before, after):
        return f"{held.router} changed its priority with a reload: its identification began anew"
    if held.priority >= before.priority:
        return f"{held.router} had its priority of {before.priority} back before the move"
    takeover = view.takeover
    further = f", and further to {held.priority}" if held.priority < after.priority else ""
    if takeover is not None and takeover.priority > before.priority:
        return f"{takeover.router} advertises {takeover.priority}, more than the {before.priority} before the fall as well"
    evidence = [
        Evidence(
            after.first,
            f"{after.router} lowered its priority from {before.priority} to {after.priority}"
            f" ({after.priority - before.priority:+d}){further}",
            after.node,
        )
    ]
    if takeover is None or view.taken_over is None:
        return f"the priority of {held.router} fell to {held.priority}, but nobody took over"
    if takeover.router == held.router:
        return f"the priority of {held.router} fell to {held.priority}, but it kept the address"
    if takeover.priority <= held.priority:
        return (
            f"the priority of {held.router} fell to {held.priority}, but {takeover.router} advertises"
            f" {takeover.priority}, which is not more"
        )
    if not for_its_fall(view, before, held):
        return f"{takeover.router} took over {duration(view.taken_over - held.last)} after {held.router} had fallen silent"
    evidence.append(
        Evidence(
            view.taken_over,
            f"{takeover.router} took over at priority {takeover.priority},"
            f" {duration(view.taken_over - before.last)} after the last advert at {before.priority}"
            f" ({clock_time(before.last)})",
            takeover.node,
        )
    )
    name, proof, unnamed = _named(view, view.steps)
    evidence += proof
    confidence, blind = Confidence.CERTAIN, list(unnamed)
    if before.count < STEADY:
        confidence = Confidence.LIKELY
        blind.append(f"only {before.count} advert at priority {before.priority} was seen before the fall")
    # keepalived keeps its schedule when a check changes the priority, and breaks it when it reloads.
    if off_schedule(before, after):
        confidence = Confidence.LIKELY if counts(before) or name is not None else Confidence.POSSIBLE
        blind.append("adverts off schedule around the fall: a reload with another priority looks like this")
    if not keepaliveds(before) and view.steps is None and name is None:
        confidence = min(confidence, Confidence.LIKELY)
        blind.append("its adverts are not keepalived's by their make: a priority set by hand may leave their schedule as it is")
    if not counts(before) and (gappy(before) or gappy(after)):
        confidence = min(confidence, Confidence.LIKELY)
        blind.append("adverts were lost, and carry no identification: a reload's may have been among them")
    if not (at_once(takeover, view.taken_over, after) or came_up(view, takeover, held) or preempts(view, takeover.router)):
        confidence = min(confidence, Confidence.LIKELY)
        blind.append(f"{takeover.router} came late: one that is told not to preempt does so when it hears {held.router} no more")
    if not (on_beat(held, view.taken_over) or patience_ended(takeover, view.taken_over - before.last, held.interval)):
        confidence = min(confidence, Confidence.LIKELY)
        blind.append(f"{held.router} was due to advertise again before the move: a resignation that was lost may have led to it")
    if (view.silence or 0) > 2 * held.interval + held.interval // 2:
        confidence = min(confidence, Confidence.LIKELY)
        blind.append(f"{held.router} had fallen silent as well before the move")
    return Finding(Cause.CHECK_FAILED, confidence, tuple(evidence), tuple(blind), name)
