"""What looks at the former router's own node tell of its proxy: down, hung, cut off, or well. No cause is decided here.

A listening socket alone proves nothing: the kernel keeps it for a process that is stopped, and then its accept queue only grows.
Nor does a living process, for one that reaches no server serves nobody. ``well`` therefore takes a listener that stayed, a sign
of life after the first sign of trouble, and a sign that a server was reached.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from observer.model.host import HostSample
from observer.model.time import MILLISECOND, SECOND, duration
from observer.model.verdicts import Evidence
from observer.rules.view import FlapView

STUCK = 2 * SECOND
"""A live HAProxy empties its accept queue within milliseconds; the kernel's own look at it is a second apart."""

SENT = 1500 * MILLISECOND
"""Age of the data that counts as sent lately in a sample: only a sample this much later tells of after the trouble."""

CHECKED = 3 * SECOND
"""After so long HAProxy's own word on its servers tells of after the trouble: its checks come every second to every five, and
keepalived's, which was the first sign, takes two or three failures."""

AFTER = 1500 * MILLISECOND
"""How long after the move the proxy is still looked at: where the move comes within a second, no look falls before it."""

STOPPED = frozenset("Tt")
"""Process states of proc(5): stopped by a signal or by a tracer."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """The former router's proxy as its node saw it: ``broken``, ``well``, or neither."""

    broken: tuple[Evidence, ...] = ()
    """It could not serve."""
    well: tuple[Evidence, ...] = ()
    """It could, and did."""
    blind_spots: tuple[str, ...] = ()


def seen(view: FlapView, *, stayed: int = AFTER, latest: int | None = None) -> Proxy:
    """The proxy from the first sign of trouble until ``stayed`` after the move; it is ``broken`` if it was by ``latest``."""
    moved = view.taken_over if view.taken_over is not None else view.now
    latest = moved if latest is None else latest
    end = min(view.now, moved + stayed)
    who = view.former or "the former router"
    sockets = _busiest([sample for sample in view.samples if sample.source == "sockets" and sample.time <= end])
    haproxy = [sample for sample in view.samples if sample.source == "haproxy" and sample.time <= end]
    if not sockets and not haproxy:
        return Proxy()
    begin = view.trouble
    signs = (_down(sockets, who), _frozen(view, end, who), _queueing(sockets, begin, who), _mute(sockets, haproxy, begin, who))
    broken = tuple(sign for sign in signs if sign is not None)
    if not broken:
        alone, uncertain = _cut_off(view, haproxy, end, who)
        if uncertain is not None:
            return Proxy(blind_spots=(uncertain,))
        broken = () if alone is None else (alone,)
    if broken and min(sign.time for sign in broken) > latest:
        return Proxy(blind_spots=(f"the proxy of {who} was down a moment later; whether it was by then was not seen",))
    if broken:
        return Proxy(broken=broken)
    since = [sample for sample in sockets if sample.time >= begin]
    sending = [sample for sample in since if sample.sending and sample.time >= begin + SENT]
    answered = [sample for sample in haproxy if sample.answers and sample.time >= begin]
    accepted = [sample for sample in since if _accepted(view, sample)]
    if not _stayed(sockets, begin):
        return Proxy(blind_spots=(f"the proxy of {who} was restarted around the first sign of trouble",))
    gone = next((each for each in view.samples if each.redirected is False and each.time <= end), None)
    if gone is not None:
        return Proxy(blind_spots=(f"the rule that redirects {gone.subject} to the proxy of {who} was gone",))
    if not (sending or answered or accepted):
        return Proxy(blind_spots=(f"the proxy of {who} listened; whether it still worked was not seen",))
    reached = _reached(view, sending, answered, who)
    if reached is None:
        return Proxy(blind_spots=(f"the proxy of {who} was alive; whether it reached a backend was not seen",))
    last = since[-1] if since else None
    if last is None or not last.listening:
        return Proxy(blind_spots=(f"the proxy of {who} was alive; whether it listened was not seen",))
    if last.queued and not last.sending:
        return Proxy(blind_spots=(f"connections wait at the proxy of {who}; whether it is only busy was not seen",))
    waiting = f"{last.queued} connections waited" if last.queued else "nothing waited"
    queue = (
        f"the proxy of {who} was up: it listened at port {last.subject}, {waiting} in its accept queue,"
        f" {last.established} connections were established"
    )
    return Proxy(well=(Evidence(last.time, queue, last.node), reached))


def _busiest(samples: list[HostSample]) -> list[HostSample]:
    """The samples of the port with the most connections: an address may serve something else besides."""
    most: dict[str, int] = {}
    for sample in samples:
        most[sample.subject] = max(most.get(sample.subject, 0), sample.established or 0)
    subject = max(most, key=lambda each: (most[each], each), default=None)
    return [sample for sample in samples if sample.subject == subject]


def _down(sockets: list[HostSample], who: str) -> Evidence | None:
    """Nothing listens any more."""
    first = None
    for sample in sockets:
        first = None if sample.listening else (first or sample)
    if first is None:
        return None
    return Evidence(first.time, f"nothing listened at the proxy's port {first.subject} on the node of {who} any more", first.node)


def _frozen(view: FlapView, end: int, who: str) -> Evidence | None:
    """Every process of the proxy is stopped, and stays so."""
    first = None
    for sample in view.samples:
        if (sample.source, sample.subject) == ("process", "haproxy") and sample.time <= end:
            stopped = bool(sample.states) and set(sample.states or "") <= STOPPED
            first = (first or sample) if stopped else None
    if first is None:
        return None
    return Evidence(first.time, f"the proxy of {who} was stopped by a signal (process state {first.states})", first.node)


def _queueing(sockets: list[HostSample], begin: int, who: str) -> Evidence | None:
    """Connections wait, none is accepted, and no client is sent anything."""
    waiting: list[HostSample] = []
    for sample in sockets:
        growing = not waiting or (sample.queued or 0) >= (waiting[-1].queued or 0)
        waiting = ([*waiting, sample] if growing else [sample]) if sample.queued and not sample.sending else []
    if waiting and waiting[-1].time >= begin and waiting[-1].time - waiting[0].time >= STUCK:
        first, now = waiting[0], waiting[-1]
        stuck = (
            f"the proxy of {who} hung: for {duration(now.time - first.time)} it accepted no connection at port {now.subject}"
            f" ({now.queued} wait, {now.backlog} may)"
        )
        return Evidence(first.time, stuck, first.node)
    return None


def _mute(sockets: list[HostSample], haproxy: list[HostSample], begin: int, who: str) -> Evidence | None:
    """HAProxy no longer answers its own socket, and no client is sent anything."""
    if sockets and sockets[-1].sending:
        return None
    silent: list[HostSample] = []
    for sample in haproxy:
        silent = [] if sample.answers else [*silent, sample]
    if silent and silent[-1].time >= begin and silent[-1].time - silent[0].time >= STUCK - SECOND // 2:
        return Evidence(
            silent[0].time, f"the proxy of {who} hung: HAProxy no longer answered at its stats socket", silent[0].node
        )
    return None


def _cut_off(view: FlapView, haproxy: list[HostSample], end: int, who: str) -> tuple[Evidence | None, str | None]:
    """No server is up here, while one is for the router that took over; or where the latter was not seen, that."""
    here: HostSample | None = None
    for sample in haproxy:
        if sample.servers is not None:
            here = None if sample.servers_up else (here or sample)
    if here is None or haproxy[-1].time < view.trouble:
        return None, None
    there = _last(view.claimant_samples, "haproxy", end)
    if there is None or there.servers is None or there.node == here.node:
        return None, f"no server is up for the proxy of {who}; whether one was for the others' was not seen"
    if there.servers_up:
        alone = f"the proxy of {who} was cut off: {_servers(here)}, and {there.servers_up} on {there.node}"
        return Evidence(here.time, alone, here.node), None
    return None, None


def _last(samples: Iterable[HostSample], source: str, end: int) -> HostSample | None:
    found = [sample for sample in samples if sample.source == source and sample.time <= end and sample.answers]
    return found[-1] if found else None


def _stayed(sockets: list[HostSample], begin: int) -> bool:
    """One process's socket listened from before the trouble on."""
    before = [sample for sample in sockets if sample.time < begin]
    around = [*before[-1:], *(sample for sample in sockets if sample.time >= begin)]
    return len({sample.listener for sample in around}) <= 1 and all(sample.listening for sample in around)


def _accepted(view: FlapView, sample: HostSample) -> bool:
    """A handshake was answered after the trouble, and later nothing waits: a process took the connection."""
    last = view.service_during.last_syn_ack
    return last is not None and sample.queued == 0 and bool(sample.established) and sample.time > last + SECOND // 10


def _reached(view: FlapView, sending: list[HostSample], answered: list[HostSample], who: str) -> Evidence | None:
    """A sign that the proxy reached a server after the first sign of trouble."""
    words = [sample for sample in answered if sample.servers is not None]
    if words and not words[-1].servers_up:
        # So for the others, or it would be cut off: it was as able as they.
        return Evidence(words[-1].time, f"it was as able as the others: {_servers(words[-1])} on either node", words[-1].node)
    if sending:
        flows = f"the proxy of {who} went on sending data to {sending[-1].sending} clients"
        return Evidence(sending[-1].time, flows, sending[-1].node)
    probes = [probe for probe in view.probes if probe.answered]
    if probes:
        return Evidence(probes[-1].opened, f"a backend answered the proxy of {who} after the first sign of trouble")
    late = [sample for sample in words if sample.time >= view.trouble + CHECKED and not view.probes]
    if late:
        return Evidence(late[-1].time, f"HAProxy of {who} says: {_servers(late[-1])}", late[-1].node)
    return None


def _servers(sample: HostSample) -> str:
    return f"{sample.servers_up} of {sample.servers} servers up"
