"""Could the router that lost the address have gone on serving clients? Answered from its proxy, not from VRRP.

``no``: its proxy was up. ``yes``: it was down, or the node was. ``unknown``: nothing showed it. A completed handshake alone is
the kernel's work and shows only a listener; a process is alive when it closes, aborts or sends.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from observer.model.time import SECOND
from observer.model.verdicts import Cause, Confidence, Evidence, Finding, Warranted
from observer.rules import proxy
from observer.rules.silence import gappy, lost_to_all
from observer.rules.view import FlapView

PROBES = 2
"""Beginnings and ends of backend checks after the first sign of trouble that show a living proxy: one may be its death."""


FLOWING = 3
"""Data segments after the first sign of trouble that show a proxy at work, and not a last retransmission."""


LULL = 2 * SECOND
"""A proxy that neither begins nor ends a backend check for longer may have been restarted meanwhile."""

MOVED_BY_VRRP = frozenset(
    {
        Cause.PREEMPTED,
        Cause.PARTITION,
        Cause.DAEMON_STALLED,
        Cause.VRID_CONFLICT,
        Cause.ADDRESS_REMOVED,
        Cause.ADVERTS_REJECTED,
        Cause.RECEIVER_DEAF,
        Cause.RELOADED,
    }
)
"""Causes that lie in VRRP and not in the service: the former router could have gone on, unless its proxy was seen down."""

NODE_GONE = frozenset({Cause.NODE_LOST, Cause.LINK_DOWN})

STAYED = 2 * SECOND
"""After an orderly stop the proxy must have outlived the move by so long: a node that shuts down stops one after the other."""


def warranted(
    view: FlapView, finding: Finding, rivals: Sequence[Finding] = ()
) -> tuple[Warranted, tuple[Evidence, ...], tuple[str, ...]]:
    """The answer, its evidence and its blind spots; ``rivals`` fit as well, or, where nothing is preferred, fit alike."""
    sure = finding.confidence >= Confidence.LIKELY
    if finding.cause in NODE_GONE:
        return (Warranted.YES if sure else Warranted.UNKNOWN), (), ()
    if finding.cause is Cause.UNEXPLAINED:
        alike = bool(rivals) and {rival.cause for rival in rivals} <= NODE_GONE
        # Where adverts were lost, a resignation may have been, and other frames of a node that lives.
        heard = view.lossless and view.held is not None and not gappy(view.held)
        return (Warranted.YES if alike and heard else Warranted.UNKNOWN), (), ()
    if finding.cause is Cause.MOVED_OUTSIDE_VRRP:
        # The Active Router went on; without VRRP nothing tells what the former holder could have done.
        return (Warranted.NO if sure and view.held is not None else Warranted.UNKNOWN), (), ()
    answer, evidence, blind = _proxy(view, looked(view, finding))
    still = view.former in view.taps and view.service_before.last_action is not None
    if finding.cause is Cause.DAEMON_STALLED and still and answer is Warranted.UNKNOWN:
        frozen = (
            f"the proxy of {view.former} was not seen to do anything either meanwhile: its node may have been frozen as a whole"
        )
        return Warranted.UNKNOWN, evidence, (frozen, *blind)
    back = view.came_back
    unsure = finding.cause is Cause.PARTITION and finding.confidence < Confidence.CERTAIN
    if unsure and back is not None and lost_to_all(view, back):
        # Off the network, and not only out of the other routers' hearing, it could not have served.
        return answer, evidence, blind
    if finding.cause in MOVED_BY_VRRP:
        # What these need not show is a proxy at work; only a dead one changes the answer.
        return (answer, evidence, ()) if answer is Warranted.YES else (Warranted.NO if sure else answer, evidence, ())
    return answer, evidence, blind


def looked(view: FlapView, finding: Finding) -> proxy.Proxy:
    """What looks at the node itself tell of the proxy."""
    if finding.cause is not Cause.STOPPED:
        return proxy.seen(view)
    stopped = proxy.seen(view, stayed=STAYED, latest=view.trouble)
    late = view.taken_over is not None and any(each.time >= view.taken_over + STAYED - SECOND for each in stopped.well)
    return stopped if late or not stopped.well else proxy.Proxy(blind_spots=("whether the proxy stayed up was not seen yet",))


def _proxy(view: FlapView, here: proxy.Proxy) -> tuple[Warranted, tuple[Evidence, ...], tuple[str, ...]]:
    """Whether the former router's proxy was up, as far as its connections and its node tell."""
    before, during, probes = view.service_before, view.service_during, view.probes
    who = view.former or "the former router"
    if view.taken_over is None and view.contenders:
        # Who claims the address beside its owner refuses connections to it as well.
        during = replace(during, refused=0, first_refused=None, last_refused=None)
    refused = before.refused + during.refused
    if refused:
        first = min(time for time in (before.first_refused, during.first_refused) if time is not None)
        taken = max((time for time in (before.last_syn_ack, during.last_syn_ack) if time is not None), default=0)
        if taken < first:
            down = f"{who} refused {refused} connections to the address: nothing listened any more"
            return Warranted.YES, (Evidence(first, down),), ()
        return Warranted.UNKNOWN, (), ("the proxy refused some connections and took others",)
    if here.broken:
        return Warranted.YES, here.broken, ()
    if during.data >= FLOWING:
        flows = f"the proxy of {who} was up: it sent data to clients after the first sign of trouble ({during.data} segments)"
        return Warranted.NO, (Evidence(during.last_action or view.time, flows),), ()
    if here.well:
        return Warranted.NO, here.well, ()
    acts = [time for time in _acts(view) if view.trouble <= time <= (view.taken_over or view.now)]
    answered = sum(1 for probe in view.probes_around if probe.answered and probe.opened > view.trouble - LULL)
    if len(acts) >= PROBES and answered and _steady(view):
        alive = f"the proxy of {who} was up: it went on checking its backends from before the first sign of trouble to the move"
        return Warranted.NO, (Evidence(acts[-1], alive),), ()
    if here.blind_spots:
        return Warranted.UNKNOWN, (), here.blind_spots
    if len(probes) >= PROBES and not answered:
        return Warranted.UNKNOWN, (), (f"none of the backends that the proxy of {who} checked was seen to answer",)
    if during.last_action is not None and during.syn_ack:
        # A dying process closes its connections too, but then no handshake follows.
        unseen = f"the proxy of {who} took and closed connections to the address; whether it reached a backend was not seen"
        return Warranted.UNKNOWN, (), (unseen,)
    if during.syn_ack or before.syn_ack:
        return (
            Warranted.UNKNOWN,
            (),
            ("connections to the address were accepted, but whether a process served them was not seen",),
        )
    return Warranted.UNKNOWN, (), (f"the proxy of {who} was not seen: its node's own capture shows it",)


def _acts(view: FlapView) -> list[int]:
    """When the proxy opened or ended a backend check."""
    return sorted(time for probe in view.probes_around for time in (probe.opened, probe.closed) if time is not None)


def _steady(view: FlapView) -> bool:
    """One process checked its backends from before the first sign of trouble to the move: no restart hides in between.

    Checks that are answered late come less often. But a connection that its opener aborts later was one process's all the
    time, for a dying one's are closed at once.
    """
    end = view.taken_over if view.taken_over is not None else view.now
    begin = max((time for time in _acts(view) if time <= view.trouble), default=None)
    if begin is None:
        return False
    spans = [(probe.opened, probe.closed) for probe in view.probes_around if probe.closed is not None]
    acts = [time for time in _acts(view) if begin <= time < end]
    return all(
        later - earlier < LULL or any(opened <= earlier and later <= closed for opened, closed in spans)
        for earlier, later in pairwise((*acts, end))
    )
