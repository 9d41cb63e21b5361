"""Whether the former router's proxy could have gone on, from looks at its node: what shows it, and what only seems to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rules.stories import Setting, check_failed, daemon_killed, stopped
from traces import A, B, Trace, at, flaps

from observer.model.observations import SourceChange, SourceState
from observer.model.verdicts import Cause, Warranted

if TYPE_CHECKING:
    from observer.model.flaps import Flap

TROUBLE, MOVED = 20.0, 22.766
"""Seconds at which the priority falls, and at which the address moves."""
YES, NO, UNKNOWN = Warranted.YES, Warranted.NO, Warranted.UNKNOWN
LOOKS = [15.5 + number for number in range(12)]
"""Once a second, from well before the trouble."""


class Node:
    """The node of the router that loses the address, as its own sources see it, once a second."""

    def __init__(self, story=check_failed, router: str = A, node: str = "m1") -> None:
        self.trace = Trace(node)
        if story is not None:
            story(Setting(), self.trace)
        self.trace.address(0, present=True, address=router, initial=True)

    def sockets(self, port="9445", looks=LOOKS, **changes):
        for when in looks:
            fields = {"listening": True, "listener": 7, "queued": 0, "backlog": 128, "established": 40, "sending": 0}
            fields |= {key: value(when) if callable(value) else value for key, value in changes.items()}
            self.trace.sample(when, "sockets", port, **fields)
        return self

    def haproxy(self, looks=LOOKS[::2], **changes):
        for when in looks:
            fields = {"answers": True, "servers": 3, "servers_up": 3}
            fields |= {key: value(when) if callable(value) else value for key, value in changes.items()}
            if not fields["answers"]:
                fields = {"answers": False}
            self.trace.sample(when, "haproxy", **fields)
        return self

    def process(self, states, program="haproxy"):
        for when in LOOKS:
            found = states(when)
            self.trace.sample(when, "process", program, running=len(found), states=found, started=len(found) or None)
        return self

    def redirect(self, there):
        for when in LOOKS:
            self.trace.sample(when, "redirect", "192.0.2.100 port 6443", redirected=there(when))
        return self

    def flap(self) -> Flap:
        (flap,) = flaps(self.trace)
        return flap


def before(then, now, when=TROUBLE):
    """A value until a time, and another from then on."""
    return lambda at: then if at < when else now


def nowhere_to_go(servers_there):
    """No server is up for the former router's proxy; the other node says how many are for its own."""
    here = Node().sockets().haproxy(servers_up=0)
    there = Node(None, B, "m2").haproxy(servers_up=servers_there)
    here.trace += there.trace
    return here


WELL = {"sending": 12}
CASES = {
    "it sends data to clients": (Node().sockets(**WELL), NO),
    "it sends data, and HAProxy says that all is well": (Node().sockets(**WELL).haproxy(), NO),
    "nobody is served, but HAProxy answers and its servers are up": (Node().sockets().haproxy(), NO),
    "its servers are down, and so are the others'": (nowhere_to_go(0), NO),
    "nothing listens": (Node().sockets(listening=before(True, False, 17), queued=before(0, None, 17)), YES),
    "connections wait and nobody takes them": (Node().sockets(queued=lambda at: max(0, int(at) - 16)), YES),
    "HAProxy does not answer any more": (Node().sockets().haproxy(answers=before(True, False, 17)), YES),
    "its process is stopped": (Node().sockets().process(before("SS", "TT", 17)), YES),
    "it alone is cut off from its servers": (nowhere_to_go(3), YES),
    "a listener alone": (Node().sockets(), UNKNOWN),
    "data flowed before the trouble only": (Node().sockets(sending=before(12, 0)), UNKNOWN),
    "data flowed until the trouble": (Node().sockets(sending=before(12, 0, TROUBLE + 1)), UNKNOWN),
    "connections have been waiting for a moment": (
        Node().sockets(queued=lambda at: int(at) if at > 22 else 0).haproxy(),
        UNKNOWN,
    ),
    "HAProxy was late with its last answer": (
        Node().sockets().haproxy(looks=LOOKS[:7:2], answers=before(True, False, 21)),
        UNKNOWN,
    ),
    "HAProxy answers, but what its servers do was last checked before": (
        Node().sockets().haproxy(looks=(16, 18, 20.5), servers_up=3),
        UNKNOWN,
    ),
    "its servers are down; the others' were not seen": (Node().sockets(**WELL).haproxy(servers_up=0), UNKNOWN),
    "HAProxy lives, and nothing says whether it listens": (Node().haproxy(), UNKNOWN),
    "it was restarted meanwhile": (Node().sockets(listener=before(7, 8, 21), **WELL), UNKNOWN),
    "it was down and is up again": (
        Node().sockets(listening=lambda at: not 18 < at < 21, listener=before(7, 8, 21), **WELL),
        UNKNOWN,
    ),
    "the rule that leads to it is gone": (Node().sockets(**WELL).redirect(before(True, False, 19)), UNKNOWN),
    "it went down after the move": (Node().sockets(listening=before(True, False, MOVED + 0.5)), UNKNOWN),
    "connections wait, but others are served: it is full": (
        Node().sockets(queued=lambda at: max(0, int(at) - 16), **WELL),
        NO,
    ),
    "connections wait for a moment": (Node().sockets(queued=lambda at: 3 if 19 < at < 20 else 0, **WELL), NO),
    "HAProxy was late with one answer": (Node().sockets(**WELL).haproxy(answers=lambda at: not 19 < at < 20), NO),
    "one of two HAProxies is stopped": (Node().sockets(**WELL).process(before("SS", "ST", 17)), NO),
    "another port of the address has no listener": (
        Node().sockets(**WELL).sockets("22", listening=False, established=0),
        NO,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_looks_at_the_node_decide_whether_the_move_was_warranted(name):
    node, warranted = CASES[name]
    flap = node.flap()
    assert flap.verdict.cause is Cause.CHECK_FAILED
    assert flap.verdict.warranted is warranted
    assert warranted is not UNKNOWN or flap.verdict.blind_spots


def test_what_is_missing_is_said():
    (flap,) = flaps(Node().sockets().trace)
    assert f"the proxy of {A} listened; whether it still worked was not seen" in flap.verdict.blind_spots


def test_a_full_proxy_is_not_said_to_have_an_empty_queue():
    said = [entry.statement for entry in Node().sockets(queued=5, **WELL).flap().verdict.evidence]
    assert any("5 connections waited in its accept queue" in statement for statement in said)


def test_looks_at_another_node_say_nothing_of_this_one():
    trace = Node().trace + Node(None, B, "m2").sockets(**WELL).haproxy().trace
    (flap,) = flaps(trace)
    assert flap.verdict.warranted is UNKNOWN


@pytest.mark.parametrize(
    ("looks", "up", "warranted"),
    [
        (LOOKS, lambda _: True, NO),
        (LOOKS, lambda at: at < 21, UNKNOWN),
        (LOOKS, lambda at: at < 18, YES),
        ((18, 19, 19.9, 21, 22), lambda at: at < 19.5, UNKNOWN),
        ((18, 19, 20, 21), lambda _: True, UNKNOWN),
    ],
    ids=["it stayed", "it was stopped right after", "it was down before", "it was stopped with it", "it was not seen to stay"],
)
def test_after_an_orderly_stop_the_proxy_must_have_stayed(looks, up, warranted):
    """keepalived is stopped at 19.4 s, and the address moves at 20.2 s."""
    flap = Node(stopped).sockets(looks=looks, listening=up, sending=lambda at: 12 if up(at) else 0).flap()
    assert (flap.verdict.cause, flap.verdict.warranted) == (Cause.STOPPED, warranted)


def keepalived(states):
    """A silence at 19 s, and what the processes of keepalived were seen to be."""
    node = Node(daemon_killed).process(states, "keepalived")
    return node.flap().verdict


def test_processes_that_are_gone_were_killed():
    verdict = keepalived(lambda at: "SS" if at < 19.2 else "")
    assert (verdict.cause, verdict.confidence.label) == (Cause.DAEMON_KILLED, "certain")


def test_a_process_that_is_stopped_was_not_killed():
    verdict = keepalived(lambda at: "SS" if at < 19.2 else "TT")
    assert (verdict.cause, verdict.confidence.label) == (Cause.DAEMON_STALLED, "certain")


def test_a_child_that_is_gone_and_a_parent_that_is_stopped_were_killed():
    verdict = keepalived(lambda at: "SS" if at < 19.2 else "T")
    assert (verdict.cause, verdict.confidence.label) == (Cause.DAEMON_KILLED, "certain")


def test_processes_that_come_were_not_killed():
    verdict = keepalived(lambda at: "" if at < 20.2 else "SS")
    assert not any("process" in entry.statement for entry in verdict.evidence)


def test_processes_that_go_on_are_neither():
    verdict = keepalived(lambda _: "SS")
    assert not any("process" in entry.statement for entry in verdict.evidence)


def test_a_node_that_froze_froze_its_observer_too():
    node = Node(daemon_killed)
    node.trace.sample(25, "pressure", "agent", lag=5_800_000_000)
    verdict = node.flap().verdict
    assert verdict.cause is Cause.DAEMON_STALLED
    assert any("the whole node froze" in entry.statement for entry in verdict.evidence)


def test_a_short_lag_is_no_frozen_node():
    node = Node(daemon_killed)
    node.trace.sample(20, "pressure", "agent", lag=900_000_000)
    assert not any("froze" in entry.statement for entry in node.flap().verdict.evidence)


def test_what_could_not_be_looked_at_is_a_blind_spot():
    node = Node()
    node.trace.items.append(
        SourceChange(time=at(1), node="m1", source="sockets", state=SourceState.FAILED, detail="Operation not permitted")
    )
    (blind,) = [spot for spot in node.flap().verdict.blind_spots if "could not be looked at" in spot]
    assert "sockets (Operation not permitted)" in blind
