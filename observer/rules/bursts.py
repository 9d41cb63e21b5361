"""Why many connections were reset at once without a flap: one table, one function and one description a cause.

``RULES`` is the order in which they are asked; the first that finds something is believed, and the last always does.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observer.model.flaps import BurstCause, ResetReason
from observer.model.time import SECOND
from observer.model.verdicts import Confidence, Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observer.rules.view import ServiceCounts

MOST = 0.5
"""Share of a burst's connections that its cause must account for."""

CLOSED = 10
"""Connections that end within a second or so when a proxy dies; fewer may have ended by themselves."""

SETTLE = SECOND // 5
"""A proxy that dies closes its sockets, and refuses from then on; answers in flight come some milliseconds later."""


@dataclass(frozen=True, slots=True)
class BurstView:
    """One burst with what was seen around it."""

    begin: int
    end: int
    connections: Mapping[ResetReason, int]
    """Distinct connections by reason."""
    spans: Mapping[ResetReason, tuple[int, int]]
    """First and last time by reason."""
    during: ServiceCounts
    """Of the addresses, from a second before the first reset until some seconds after the last, as far as that was seen yet."""

    def count(self, *reasons: ResetReason) -> int:
        """Connections reset for these reasons."""
        return sum(self.connections.get(reason, 0) for reason in reasons)

    def most(self, *reasons: ResetReason) -> bool:
        """These reasons account for most of the burst."""
        return self.count(*reasons) >= MOST * sum(self.connections.values()) and self.count(*reasons) > 0


@dataclass(frozen=True, slots=True)
class BurstFinding:
    """What explains a burst, and how surely."""

    cause: BurstCause
    confidence: Confidence
    evidence: tuple[Evidence, ...]
    blind_spots: tuple[str, ...] = ()


def redirect_lost(view: BurstView) -> BurstFinding | None:
    """The holder of the address forgot its connections: the translation to the proxy's port is gone.

    On the wire: resets without ACK from the address on connections whose handshake the same host answered, which the
    address did not close, and no move of the address.

    What to do: look who rewrote the packet filter: a firewall reload (`nft -f`, `iptables-restore`, firewalld), or a
    flushed connection tracking table (`conntrack -F`). Let the redirect rule be loaded once, or let the proxy listen on
    the port itself.

    Not to be confused with: orphaned connections of a flap, which look the same and come after the address moved;
    proxy_down, where the proxy's kernel closes its connections before it resets anything.
    """
    if not view.most(ResetReason.REDIRECT_LOST):
        return None
    number = view.count(ResetReason.REDIRECT_LOST)
    begin = view.spans[ResetReason.REDIRECT_LOST][0]
    seen = f"{number} connections that the holder had opened and not closed were reset as unknown to it, without a move"
    return BurstFinding(BurstCause.REDIRECT_LOST, Confidence.LIKELY, (Evidence(begin, seen),))


def proxy_down(view: BurstView) -> BurstFinding | None:
    """Nothing listens behind the address any more: the proxy died, was stopped, or is being restarted.

    On the wire: handshakes were answered before; now SYNs are refused. When a proxy dies, its kernel closes its
    connections with FIN or reset at that moment.

    What to do: see why the proxy ended (`journalctl -u haproxy`, `crictl logs`). No move of the address followed in the
    burst; the next check that sees it may move it, and then rightly.

    Not to be confused with: backend_shutdown, where new connections are still accepted; redirect_lost, which refuses new
    connections too where nothing listens on the address's own port, and forgets the old ones.
    """
    refused = view.count(ResetReason.REFUSED)
    if not view.most(ResetReason.REFUSED, ResetReason.ABORTED, ResetReason.LATE_DATA) or not refused:
        return None
    first, last = view.spans[ResetReason.REFUSED]
    during = view.during
    if during.last_syn_ack is not None and first + SETTLE < during.last_syn_ack < last:
        return None
    closed = during.finished + during.aborted
    restarted = during.last_syn_ack is not None and during.last_syn_ack > last
    idle = during.last_action is None or during.last_action <= first + SETTLE
    evidence = [Evidence(first, f"{refused} connection attempts were refused at a port that had been served: nothing listens")]
    blind: tuple[str, ...] = ()
    if closed >= CLOSED and (idle or restarted):
        evidence.append(Evidence(view.begin, f"the address closed connections at the same time ({closed} segments)"))
        confidence = Confidence.CERTAIN
    else:
        blind = ("the connections that lived were not seen to end with it: a lost redirect refuses new ones just so",)
        confidence = Confidence.LIKELY
    if restarted and during.last_syn_ack is not None:
        evidence.append(Evidence(during.last_syn_ack, "handshakes are answered again"))
    return BurstFinding(BurstCause.PROXY_DOWN, confidence, tuple(evidence), blind)


def backend_shutdown(view: BurstView) -> BurstFinding | None:
    """The proxy ended many clients' connections at once, and goes on accepting new ones.

    On the wire: resets with live sequence numbers from the address, or FINs and then resets to what clients still sent,
    while handshakes go on being answered.

    What to do: look at the proxy's log for backends that went down at that time: HAProxy ends the sessions of a server
    that it marks down (`on-marked-down shutdown-sessions`), and forwards the end of the server's own connections. Find
    out why the servers failed.

    Not to be confused with: proxy_down, where new connections are refused; a reload of the proxy with `hard-stop-after`,
    which ends old sessions just so; flaps, whose new holder resets connections without having closed them.
    """
    if not view.most(ResetReason.ABORTED, ResetReason.LATE_DATA):
        return None
    aborted, late = view.count(ResetReason.ABORTED), view.count(ResetReason.LATE_DATA)
    evidence = []
    if aborted:
        begin = view.spans[ResetReason.ABORTED][0]
        evidence.append(Evidence(begin, f"{aborted} connections were ended with a reset by the process behind the address"))
    if late:
        begin = view.spans[ResetReason.LATE_DATA][0]
        evidence.append(Evidence(begin, f"{late} connections were reset for what clients sent after the address had closed them"))
    blind = ["a reload of the proxy that ends old sessions looks the same: its log tells"]
    if view.during.last_syn_ack is not None and view.during.last_syn_ack > view.begin:
        evidence.append(Evidence(view.during.last_syn_ack, "the address still answers handshakes"))
        confidence = Confidence.LIKELY
    else:
        blind.append("no new connection was seen since: whether the proxy lives is not known")
        confidence = Confidence.POSSIBLE
    return BurstFinding(BurstCause.BACKEND_SHUTDOWN, confidence, tuple(evidence), tuple(blind))


def client_abort(view: BurstView) -> BurstFinding | None:
    """Clients reset their own connections.

    On the wire: resets to the address, and none from it.

    What to do: look at the clients: a process killed with data unread, a monitoring system or load balancer that ends its
    probes with a reset, a security appliance that resets in their name. The address and its proxy did nothing.

    Not to be confused with: a former holder's stale connections, to whose segments clients answer with resets after a
    flap.
    """
    if not view.most(ResetReason.CLIENT):
        return None
    number = view.count(ResetReason.CLIENT)
    others = sum(view.connections.values()) - number
    evidence = (Evidence(view.spans[ResetReason.CLIENT][0], f"clients reset {number} connections"),)
    blind = ("whether a client or something on its way sent them is not on the wire",)
    return BurstFinding(BurstCause.CLIENT_ABORT, Confidence.POSSIBLE if others else Confidence.LIKELY, evidence, blind)


def unattributed(view: BurstView) -> BurstFinding:
    """Many connections were reset, and what was seen of them does not tell why.

    On the wire: most often resets without ACK on connections that are older than the observation, with no move of the
    address seen.

    What to do: let the observation begin earlier, capture at the holder of the address, and look there for what changed
    at that time.

    Not to be confused with: orphaned connections of a flap: then the address moved, and the flap counts them.
    """
    counts = ", ".join(f"{number} {reason.value}" for reason, number in view.connections.items())
    blind = ["the connections are older than the observation, or their ends are of several kinds"]
    if view.count(ResetReason.ORPHANED):
        blind.append(
            "connections of another host were reset with no flap under way: their clients were idle since an earlier move"
        )
    return BurstFinding(
        BurstCause.UNATTRIBUTED, Confidence.POSSIBLE, (Evidence(view.begin, f"connections reset: {counts}"),), tuple(blind)
    )


RULES: tuple[Callable[[BurstView], BurstFinding | None], ...] = (redirect_lost, proxy_down, backend_shutdown, client_abort)

DESCRIPTIONS: dict[str, str] = {rule.__name__: inspect.cleandoc(rule.__doc__ or "") for rule in (*RULES, unattributed)}
"""Every cause of a reset burst, with what it means."""


def explain(view: BurstView) -> BurstFinding:
    """The first rule's finding."""
    return next((finding for rule in RULES if (finding := rule(view)) is not None), None) or unattributed(view)
