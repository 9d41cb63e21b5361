"""keepalived died without resigning, and its node lives.

On the wire: silence, yet the node still answers ARP or ND for the address, or still holds it: two holders. In multicast its
kernel leaves the group (IGMP, MLD) the moment the process dies; in unicast it answers the new router's adverts with ICMP, for no
process takes VRRP there any more. If keepalived comes back it is a
new process, which counts the identification of its adverts from the start.

What to do: remove the address on the old node if keepalived does not come back there; look for an OOM kill or a crash.

Not to be confused with: `daemon_stalled` (the same process resumes; until it does, nothing on the wire tells the two apart),
`node_lost` (nothing at all from the node any more), `partition` (it goes on advertising where we cannot hear it).
"""

from observer.model.addresses import VIRTUAL_MAC
from observer.model.host import LogKind
from observer.model.observations import NeighbourKind
from observer.model.time import SECOND, duration
from observer.model.verdicts import Cause, Confidence, Evidence, Finding
from observer.rules.process import gone, restarted, unheard
from observer.rules.silence import BOOT, complete, fell_silent, left_with, timely, too_soon, was_away
from observer.rules.view import FlapView, Run

REFUSALS = 3
"""Adverts after which a kernel without a process for VRRP has answered at least one (it limits the rate of ICMP)."""

LATE = 1.5
"""Intervals after which the first refusal is late: a kernel refuses the first advert, and one a second from then on."""

STILL_HELD = SECOND
"""An address still there this long after another router took over was not removed: keepalived takes about 5 ms."""

FORCED = "its node was not seen to live after that: a forced power-off kills every process first"
BOOTED = "a node that lost its power, and has booted meanwhile, would look the same"


def find(view: FlapView) -> Finding | str | None:
    """A killed keepalived as the cause, why not, or None where nothing shows whether its node lives."""
    silent = fell_silent(view)
    if isinstance(silent, str):
        return silent
    last, evidence = silent
    if view.current == view.former:
        return f"{last.router} resumed by itself"
    if was_away(view, last):
        return f"nothing at all came from the node of {last.router} when another router took over: it was away as a whole"
    back = view.came_back
    if back is not None and unheard(last, back) is not None:
        return f"the same process went on at {last.router}: the identification of its adverts continues"
    stopping = view.logged(LogKind.STOPPING, begin=last.last - SECOND, end=last.last + 2 * last.interval)
    if stopping is not None:
        return f"its log says: {stopping.detail}"
    died = view.logged(LogKind.CHILD_DIED, begin=last.last - SECOND, end=last.last + 2 * last.interval)
    if died is not None:
        said = Evidence(died.time, f"its log says: {died.detail}", died.node)
        return Finding(Cause.DAEMON_KILLED, Confidence.CERTAIN, (evidence, said))
    started = view.logged(LogKind.STARTING, begin=last.last + SECOND, end=view.now)
    if started is not None and _lived_on(view, last):
        # After a node's loss of power its log says the same.
        again = Evidence(started.time, f"its log says, with no word of a stop before: {started.detail}", started.node)
        return Finding(Cause.DAEMON_KILLED, Confidence.CERTAIN, (evidence, again))
    if too_soon(view, last):
        return f"{view.current} took over before its patience could end, and so not for the silence of {last.router}"
    holds, alive = _still_holds(view, last), _alive(view, last)
    whole = complete(view, last) and timely(view, last)
    sure = Confidence.CERTAIN if whole else Confidence.LIKELY
    unsure = () if whole else ("frames were lost, or the take-over came at another time: a resignation may have been lost",)
    missing = gone(view, last.last - SECOND, (view.taken_over or view.now) + SECOND)
    if missing is not None:
        left = (
            "no process of keepalived is left on its node"
            if not missing.running
            else "a process of keepalived is gone from its node"
        )
        return Finding(Cause.DAEMON_KILLED, sure, (evidence, *holds, Evidence(missing.time, left, missing.node)), unsure)
    if view.life.refused_vrrp and view.life.first_refused is not None:
        refused = Evidence(
            view.life.first_refused,
            f"the kernel of {last.router} answers adverts with ICMP: no process takes VRRP there any more",
        )
        later = view.life.first_refused - (view.taken_over or view.life.first_refused)
        if later > LATE * max(SECOND // 5, last.interval):
            return f"the kernel of {last.router} took adverts for {duration(later)} before it refused them"
        if view.life.first_refused - last.last > BOOT and not (holds or _lived_on(view, last)):
            return Finding(Cause.DAEMON_KILLED, Confidence.LIKELY, (evidence, refused), (*unsure, BOOTED))
        return Finding(Cause.DAEMON_KILLED, sure, (evidence, *holds, refused), unsure)
    if view.left is not None and left_with(view, last):
        ended = f"the kernel of {last.router} left the group of VRRP: its last process that listened there had ended"
        left_group = Evidence(view.left, ended)
        if not (holds or view.life.frames):
            return Finding(Cause.DAEMON_KILLED, Confidence.LIKELY, (evidence, left_group), (*unsure, FORCED))
        return Finding(Cause.DAEMON_KILLED, sure, (evidence, *holds, *alive, left_group), unsure)
    if view.left is not None:
        return f"its process left the group of VRRP {duration(view.left - last.last)} later only"
    if takes_adverts(view, last):
        if holds or back is not None:
            return f"the kernel of {last.router} takes the adverts sent to it: a process still listens, or they do not arrive"
        anew = f"the kernel of {last.router} takes the adverts sent to it: another process would have to listen by now"
        return Finding(Cause.DAEMON_KILLED, Confidence.POSSIBLE, (evidence, *alive), (anew,))
    if back is not None and restarted(last, back) and (holds or alive):
        again = Evidence(
            back.first,
            f"{back.router} came back as a new process: its count began anew ({back.first_ident})",
        )
        if holds or _lived_on(view, last):
            return Finding(Cause.DAEMON_KILLED, sure, (evidence, *holds, *alive, again), unsure)
        return Finding(Cause.DAEMON_KILLED, Confidence.POSSIBLE, (evidence, *alive, again), (*unsure, BOOTED))
    if back is not None:
        return f"{last.router} came back, and nothing shows a new process"
    alike = (
        "a frozen keepalived looks the same until it resumes",
        "a partition of VRRP alone looks the same from this side of it",
    )
    if holds and not (view.takeover is not None and view.takeover.peers):
        # In unicast the new router's tap would show its kernel refuse adverts; elsewhere a partition looks the same.
        plain = last.mac is not None and not last.mac.startswith(VIRTUAL_MAC)
        if plain and last.router in view.taps and view.lossless:
            # On an interface with a Virtual Router MAC the group is left where nobody listens.
            silent = f"the kernel of {last.router} was not seen to leave the group of VRRP, as it does when the process dies"
            return Finding(Cause.DAEMON_KILLED, Confidence.POSSIBLE, (evidence, *holds, *alive), (silent, *alike))
        return Finding(Cause.DAEMON_KILLED, Confidence.LIKELY, (evidence, *holds, *alive), alike)
    if alive or holds:
        unseen = f"whether {last.router} still holds the address was not seen"
        return Finding(Cause.DAEMON_KILLED, Confidence.POSSIBLE, (evidence, *holds, *alive), (unseen,))
    return None


def takes_adverts(view: FlapView, last: Run) -> bool:
    """Adverts were sent to the former router in unicast, its node lives, and its kernel refused none of them."""
    takeover = view.takeover
    sent = takeover is not None and last.router in takeover.peers and takeover.count > REFUSALS
    return sent and view.life.frames > 0 and view.life.refused_vrrp == 0


def _lived_on(view: FlapView, last: Run) -> bool:
    """Whether the former router's node was seen when its next advert was overdue, and sooner than one that boots."""
    return view.life.first is not None and view.life.first - last.last <= BOOT


def _still_holds(view: FlapView, last: Run) -> tuple[Evidence, ...]:
    """The former router's node answering for the address, or holding it, after the move."""
    if view.taken_over is None:
        return ()
    found = []
    takeover = view.takeover
    if last.mac is not None and (takeover is None or takeover.mac != last.mac):
        back = view.came_back
        # Who takes the address over announces it: at its return, of which an advert or two may not have been heard.
        until = back.first - 2 * back.interval if back is not None else view.now
        for message in view.neighbours:
            if message.mac == last.mac and view.taken_over < message.time < until and message.kind is NeighbourKind.REPLY:
                found.append(
                    Evidence(
                        message.time,
                        f"{last.mac} ({last.router}) still answers for {message.sender}: two holders",
                        message.node,
                    )
                )
                break
    node = view.local.get(last.router)
    ended = view.tap_ended is not None and view.tap_ended < view.taken_over + STILL_HELD
    if node is not None and view.now - view.taken_over >= STILL_HELD and not ended:
        own = [change for change in view.address_changes if change.node == node]
        if own and own[-1].present and own[-1].time <= view.taken_over:
            found.append(Evidence(view.taken_over, f"{node} still holds {own[-1].address}", node))
    return tuple(found)


def _alive(view: FlapView, last: Run) -> tuple[Evidence, ...]:
    back = view.came_back
    first = view.life.first
    if first is None or view.life.last is None or (back is not None and first >= back.first):
        return ()
    return (
        Evidence(
            view.life.last,
            f"the node of {last.router} still lives: {view.life.frames} frames from it when its next advert was overdue",
        ),
    )
