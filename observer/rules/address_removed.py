"""The address was deleted outside keepalived.

On the wire: one priority-0 advert, and the same sender resumes by itself after its own Skew_Time, or another takes over
meanwhile. On the node: the kernel reports the removal some milliseconds before the priority 0 is sent.

What to do: find who removed it: a network manager, a script, a container that cleans up at its start.

Not to be confused with: `stopped` (the removal follows the priority 0, and the sender stays silent).
"""

from observer.model.host import LogKind
from observer.model.time import duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.check_failed import twice_at_once
from observer.rules.process import counts, resigned_before_gap, restarted, taken, unheard
from observer.rules.resignation import ENDS, LEAD, removed_before, stood_aside
from observer.rules.silence import skew_time
from observer.rules.view import FlapView


def find(view: FlapView) -> Finding | str:
    """A deleted address as the cause, or why not."""
    resignation = view.resignation
    if resignation is None:
        return "no priority-0 advert was seen"
    if twice_at_once(resignation):
        return f"{resignation.router} sent {resignation.count} priority-0 adverts: a FAULT"
    given_up = Evidence(resignation.first, f"{resignation.router} resigned with one priority-0 advert", resignation.node)
    change = removed_before(view, resignation)
    if change is not None:
        by = f" by {change.requester_name}" if change.requester_name else ""
        lead = duration(view.at_home(resignation) - change.time)
        gone = Evidence(change.time, f"{change.address} was removed{by} {lead} before that", change.node)
        return Finding(Cause.ADDRESS_REMOVED, Confidence.CERTAIN, (gone, given_up))
    begin, end = resignation.first - LEAD, resignation.first + LEAD
    logged = view.logged(LogKind.ADDRESS_REMOVED, begin=begin, end=end, subjects=view.addresses)
    if logged is not None:
        said = Evidence(logged.time, f"its log says: {logged.detail}", logged.node)
        return Finding(Cause.ADDRESS_REMOVED, Confidence.CERTAIN, (given_up, said))
    if view.left is not None and view.left - resignation.last <= ENDS:
        return f"the kernel of {resignation.router} left the group of VRRP: the process had ended"
    back = view.came_back
    if back is None:
        listens = taken(view, resignation.router)
        if listens is not None and view.current != view.former:
            group = "a FAULT of another member of a sync group leaves the same on the wire"
            return Finding(Cause.ADDRESS_REMOVED, Confidence.POSSIBLE, (given_up, listens), (group,))
        return f"{resignation.router} did not come back"
    same = counts(view.held or back) and unheard(resignation, back) is not None
    if view.current != view.former:
        if not same:
            return f"{resignation.router} did not resume by itself"
        if resigned_before_gap(resignation, back):
            return f"{resignation.router} had sent one more advert when it went on: a FAULT's second one, perhaps"
        goes_on = Evidence(back.first, f"the same process went on at {back.router}: it was not stopped", back.node)
        group = "a FAULT of another member of a sync group leaves the same on the wire"
        aside = stood_aside(view, resignation) is not None
        confidence = Confidence.POSSIBLE if aside else Confidence.LIKELY
        return Finding(Cause.ADDRESS_REMOVED, confidence, (given_up, goes_on), (group,))
    if restarted(resignation, back):
        return f"{back.router} came back as a new process"
    gap = back.first - resignation.last
    skew = skew_time(back)
    if gap - (unheard(resignation, back) or 0) * back.interval > skew + back.interval // 2:
        return f"{back.router} resumed {duration(gap)} later; after a removal it waits for its Skew_Time only ({duration(skew)})"
    resumed = Evidence(back.first, f"{back.router} resumed by itself {duration(gap)} later", back.node)
    if counts(view.held or back) and unheard(resignation, back) == 0:
        return Finding(
            Cause.ADDRESS_REMOVED, Confidence.CERTAIN, (given_up, resumed), ("who removed the address is not on the wire",)
        )
    return Finding(Cause.ADDRESS_REMOVED, Confidence.LIKELY, (given_up, resumed), ("the removal itself was not seen",))
