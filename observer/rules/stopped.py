"""keepalived was stopped in order.

On the wire: one priority-0 advert, then silence from that sender; another router takes over after its Skew_Time.

What to do: look who stopped it (a roll-out, a reboot, a kubelet that restarted a static pod). The move itself is as it should be.

Not to be confused with: `check_failed` (a FAULT sends two priority-0 adverts), `address_removed` (the address goes first and
then one priority 0 is sent: from another node this looks the same), a FAULT of a sync group member (one priority 0 as well).
"""

from observer.model.host import LogKind
from observer.model.time import SECOND, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.check_failed import twice_at_once
from observer.rules.process import resigned_after_gap, restarted, taken, unheard
from observer.rules.resignation import ENDS, LEAD, reloads, removed_before
from observer.rules.view import FlapView, Run

RESTART = 15 * SECOND
"""A new process that is Active within this was started by whoever stopped the old one, and not to mend what came before."""


def find(view: FlapView) -> Finding | str:
    """An orderly stop as the cause, or why not."""
    resignation = view.resignation
    if resignation is None:
        return "no priority-0 advert was seen"
    if twice_at_once(resignation):
        return f"{resignation.router} sent {resignation.count} priority-0 adverts, where an orderly stop sends one"
    if any(twice_at_once(run) for run in view.siblings):
        return f"{resignation.router} entered FAULT in another virtual router at the same time"
    back = view.came_back
    anew = back is not None and restarted(resignation, back)
    if view.current == view.former and not anew:
        return f"{resignation.router} resumed by itself"
    if view.left is not None and view.left - resignation.last > ENDS:
        return f"the process at {resignation.router} ended {duration(view.left - resignation.last)} later only"
    removal = removed_before(view, resignation)
    if removal is not None:
        return f"the address was removed on {removal.node} before the priority-0 advert was sent"
    fault = view.logged(LogKind.ENTERED_FAULT, begin=resignation.first - SECOND, end=resignation.last + SECOND)
    if fault is not None:
        return f"its log says: {fault.detail}"
    evidence = [Evidence(resignation.first, f"{resignation.router} resigned with one priority-0 advert", resignation.node)]
    if view.taken_over is not None and view.current not in (None, view.former):
        evidence.append(
            Evidence(
                view.taken_over,
                f"{view.current} took over {duration(view.taken_over - resignation.last)} after the resignation",
            )
        )
    stopping = view.logged(LogKind.STOPPING, begin=resignation.first - LEAD, end=resignation.last + SECOND)
    if stopping is None and (reloading := reloads(view, resignation)) is not None:
        return f"its log says: {reloading.detail}"
    if stopping is not None:
        evidence.append(Evidence(stopping.time, f"its log says: {stopping.detail}", stopping.node))
        return Finding(Cause.STOPPED, Confidence.CERTAIN, tuple(evidence))
    entered = view.logged(LogKind.ENTERED_BACKUP, begin=resignation.first - SECOND, end=resignation.last + SECOND)
    if entered is not None:
        return f"its log says: {entered.detail}; one that is stopped ends without"
    if view.life.refused_vrrp and view.life.first_refused is not None:
        evidence.append(
            Evidence(
                view.life.first_refused,
                f"the kernel of {resignation.router} answers adverts with ICMP: no process takes VRRP there any more",
            )
        )
        return Finding(Cause.STOPPED, Confidence.CERTAIN, tuple(evidence))
    if view.left is not None and view.left - resignation.last <= SECOND:
        gone = f"the kernel of {resignation.router} left the group of VRRP: its last process that listened there had ended"
        return Finding(Cause.STOPPED, Confidence.CERTAIN, (*evidence, Evidence(view.left, gone)))
    if back is not None and anew:
        evidence.append(
            Evidence(
                back.first,
                f"{back.router} came back as a new process: its count began anew ({back.first_ident})",
            )
        )
        if view.held is not None and not _alike(view.held, back):
            changed = "it speaks otherwise than before: a reload that changes how it does resigns and begins anew as well"
            return Finding(Cause.STOPPED, Confidence.LIKELY, tuple(evidence), (changed,))
        if back.first - resignation.last > RESTART:
            since = "another reason to give up the address, and a restart since, leave the same on the wire"
            return Finding(Cause.STOPPED, Confidence.LIKELY, tuple(evidence), (since,))
        return Finding(Cause.STOPPED, Confidence.CERTAIN, tuple(evidence))
    if back is not None and unheard(resignation, back) is not None:
        return f"the same process went on at {back.router}: the identification of its adverts continues"
    if view.held is not None and resigned_after_gap(view.held, resignation):
        return Finding(
            Cause.STOPPED,
            Confidence.POSSIBLE,
            tuple(evidence),
            ("an advert right before the resignation was not heard: if it had priority 0 as well, this was a FAULT",),
        )
    if (listens := taken(view, resignation.router)) is not None:
        return Finding(Cause.STOPPED, Confidence.POSSIBLE, tuple(evidence), (listens.statement,))
    return Finding(
        Cause.STOPPED,
        Confidence.LIKELY,
        tuple(evidence),
        ("an address deleted by hand, and a FAULT of a sync group member, leave the same on the wire",),
    )


def _alike(before: Run, after: Run) -> bool:
    """Whether a router speaks as before: from the same link-layer address, to the same peers, for the same group."""
    return (before.mac, before.peers, before.configuration, before.version) == (
        after.mac,
        after.peers,
        after.configuration,
        after.version,
    )
