"""The original bug, live: real keepalived and HAProxy, an outage of etcd, an address that wanders, and who says why.

`python -m tests.demo` as root; `make demo` installs what it needs first. Nothing is staged but the outage: if the address moves
for another reason than the one expected, the demo shows that reason. The exit status is 1 if anything did not agree.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import MASTERS, OPENSHIFT_ORIGINAL, Lab, address, missing
from tests.lab.agents import Agent, Flap, nanoseconds, node_of, paired, replay
from tests.lab.moves import Move, moves
from tests.lab.storm import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable

COLOURS = {"bold": "1", "dim": "2", "red": "31;1", "green": "32", "yellow": "33"}
SHOWN = ("vrrp_flaps_total{", "vrrp_active{", "vrrp_addresses_held{", "vrrp_resets_total{", "vrrp_observer_frames_lost_total{")
PER_VALUE = ("vrrp_flaps_total{", "vrrp_active{")
"""Metrics with a series for each value of a label, most of them 0."""
GRACE = 1.0
"""Seconds that the other agents get to speak before a flap is printed."""
LIMIT = 50
"""Below 200 / 3: as long as etcd is slow, a reconnect wave is too much for all three apiservers together."""
STORM = 22.0
"""Seconds from about the first move until etcd has recovered: three or four more moves."""
CONFIDENCE = ("possible", "likely", "certain")
COMPARED = ("cause", "confidence", "warranted", "from", "to")

INTRODUCTION = """\
Three machines, m0, m1 and m2, share one address, {vip}. At any time one of them holds it; if that one is unwell, another takes
over. keepalived decides this: every second the holder says on the network "I am here, and this is how fit I feel", and each
machine lowers its fitness when a check of its own fails. Behind the address stands HAProxy, which passes connections on to an
API server. {clients} clients are connected to the address.

The check asks the API server, through HAProxy, whether it is ready. So when the API servers are in trouble, perfectly healthy
HAProxies look broken, and the address moves though nothing is wrong with the machine that has it. Every move breaks all
connections, and all clients come back at once. That is what we are going to watch: on each machine runs one agent,
`vrrp-observer run`, which sees only what its own network card sees.
"""


class Show:
    """Prints, with the seconds since the start; colour only on a terminal."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._colour = sys.stdout.isatty()

    def style(self, text: str, style: str) -> str:
        """The text in a style, on a terminal."""
        return f"\x1b[{COLOURS[style]}m{text}\x1b[0m" if self._colour else text

    def say(self, text: str = "", style: str = "") -> None:
        """A line or more."""
        print(self.style(text, style) if style else text, flush=True)

    def headline(self, text: str) -> None:
        """The title of a part."""
        self.say(f"\n{text}\n{'-' * len(text)}", "bold")

    def event(self, text: str, style: str = "dim") -> None:
        """Something that we did or saw, with its time."""
        self.say(f"{time.monotonic() - self._start:5.1f} s  {text}", style)


class Watch:
    """Prints each flap once as the agents report it, told by the one that knows most."""

    def __init__(self, agents: list[Agent], show: Show) -> None:
        self._agents, self._show = agents, show
        self._printed: list[Flap] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        waiting: list[tuple[float, Flap]] = []
        while not self._stop.wait(0.2):
            for _, flap in told(self._agents):
                if not any(same(flap, other) for other in (*self._printed, *(other for _, other in waiting))):
                    waiting.append((time.monotonic(), flap))
            for entry in [entry for entry in waiting if time.monotonic() - entry[0] > GRACE]:
                waiting.remove(entry)
                self._print(entry[1])
                self._printed.append(entry[1])

    def _print(self, flap: Flap) -> None:
        witnesses = [(node, other) for node, other in told(self._agents) if same(flap, other)]
        best = best_of(witnesses)
        move = f"{node_of(best['from'])} lost the address to {node_of(best['to'])}"
        style = {"no": "red", "yes": "yellow"}.get(best["warranted"], "")
        self._show.event(f"{move}: {best['cause']} ({best['confidence']}), warranted: {best['warranted']}", style)
        for entry in best["evidence"]:
            self._show.say(f"         {named(entry['statement'])}")
        views = ", ".join(
            f"{node} ({other['cause']}, {other['confidence']}, warranted {other['warranted']})" for node, other in witnesses
        )
        self._show.say(self._show.style(f"         seen by {views}", "dim"))


def told(agents: list[Agent]) -> list[tuple[str, Flap]]:
    """What every agent last said of each flap, with the agent's node."""
    last: dict[tuple[str, str], Flap] = {}
    for agent in agents:
        for event in agent.events():
            if event["event"] == "flap":
                last[agent.node, event["flap"]["id"]] = event["flap"]
    return [(node, flap) for (node, _), flap in last.items()]


def same(one: Flap, other: Flap) -> bool:
    """Whether two agents speak of the same move."""
    near = abs(nanoseconds(one["time"]) - nanoseconds(other["time"])) < 0.5e9
    return near and (one["from"], one["to"]) == (other["from"], other["to"])


def best_of(witnesses: list[tuple[str, Flap]]) -> Flap:
    """The report that says most: the surest, the one that knows whether the move was warranted, the former holder's own."""

    def knowledge(witness: tuple[str, Flap]) -> tuple[int, bool, bool]:
        node, flap = witness
        return CONFIDENCE.index(flap["confidence"]), flap["warranted"] != "unknown", node == node_of(flap["from"])

    return max(witnesses, key=knowledge)[1]


def named(statement: str) -> str:
    """A sentence with the masters' names for their addresses."""
    for node in MASTERS:
        statement = re.sub(rf"\b{re.escape(address(node))}\b", node, statement)
    return statement


def outage(lab: Lab, show: Show) -> None:
    """Etcd fails, and with it the API servers one by one; they come back, slow to whoever connects a lot.

    The first one back is the holder's. With it alone the other nodes' checks are well again and the holder's is not, as it
    carries all clients. The others come back shortly before the address moves, so that the waves of reconnecting clients hit
    all three alike, and no node is better off than another for having its own API server.
    """
    holder = lab.holder()
    for node in MASTERS:
        show.event(f"etcd fails: the API server on {node} is down")
        lab.apiserver(node).kill()
        time.sleep(1.5)
    time.sleep(2.5)
    back(lab, holder, show)
    recovered = re.compile(r"Changing effective priority from 40 to 60")
    logs = [lab.out / f"{node}.keepalived.log" for node in lab.others(holder)]
    with suppress(TimeoutError):
        lab.wait_until(lambda: any(recovered.search(tail(log)) for log in logs), 12, "a check to be well again")
    time.sleep(2.2)
    for node in lab.others(holder):
        back(lab, node, show)
    time.sleep(STORM)
    show.event("etcd has recovered: all API servers answer at once again")
    for node in MASTERS:
        lab.apiserver(node).ok()
    time.sleep(7)


def tail(log: Path) -> str:
    """What a log said since the last check failed."""
    return log.read_text(encoding="utf-8").rpartition("failed")[2]


def back(lab: Lab, node: str, show: Show) -> None:
    """An API server is back, and slow."""
    show.event(f"the API server on {node} is back, but etcd is slow: it answers late to a machine with many new connections")
    lab.apiserver(node).overload(limit=LIMIT)


def metrics(agents: list[Agent], show: Show) -> None:
    """What a monitoring system would scrape now."""
    show.headline("What each agent's /metrics says")
    for agent in agents:
        lines = [line for line in agent.exposition().splitlines() if line.startswith(SHOWN)]
        lines = [line for line in lines if not (line.startswith(PER_VALUE) and line.endswith(" 0.0"))]
        show.say(agent.node, "bold")
        for line in lines:
            show.say("  " + line.replace('family="ipv4",', "").replace('interface="eth0",', ""))


class Audit:
    """Counts what did not agree."""

    def __init__(self, show: Show) -> None:
        self.wrong = 0
        self._show = show

    def mark(self, reasons: list[str]) -> str:
        """A cell of a table: ok, or what is wrong."""
        self.wrong += bool(reasons)
        return self._show.style("ok", "green") if not reasons else self._show.style("; ".join(reasons), "red")


def compare(agents: list[Agent], out: Path, show: Show, audit: Audit) -> None:
    """Every agent's final word against the replay of its own node's capture."""
    show.headline("Live against replay: the same verdicts, from the capture of each node alone")
    show.say(f"{'node':5}{'time (UTC)':16}{'move':10}{'live':30}{'replayed':30}{'apart':>9}  agree")
    for agent in agents:
        for pair in paired(agent.flaps(), replay(out / f"{agent.node}.pcap")["flaps"]):
            either = pair.live or pair.replayed
            assert either
            apart = "" if not (pair.live and pair.replayed) else f"{pair.apart * 1000:.3f} ms"
            cells = f"{verdict(pair.live):30}{verdict(pair.replayed):30}{apart:>9}"
            show.say(f"{agent.node:5}{clock(either):16}{arrow(either):10}{cells}  {audit.mark(pair.differences(COMPARED))}")


def verdict(flap: Flap | None) -> str:
    """Cause, confidence and warranted in a cell."""
    return "-" if flap is None else f"{flap['cause']} {flap['confidence']} {flap['warranted']}"


def clock(flap: Flap) -> str:
    """The time of day to the millisecond."""
    return str(flap["time"])[11:23]


def arrow(flap: Flap) -> str:
    """From whom to whom."""
    return f"{node_of(flap['from'])}->{node_of(flap['to'])}"


def judge(agents: list[Agent], lab: Lab, show: Show, audit: Audit) -> None:
    """Every move that really happened against what was said of it, and its cost against what the clients counted."""
    show.headline("What really happened, by the kernels' address events, keepalived's own logs and the clients")
    final = [(agent.node, flap) for agent in agents for flap in agent.flaps()]
    really = moves(lab.out)
    show.say(f"{'move':10}{'really':52}{'said':30}{'resets, said':>14}{'by clients':>12}  agree")
    groups: list[list[tuple[str, Flap]]] = []
    for witness in sorted(final, key=lambda entry: str(entry[1]["time"])):
        group = next((group for group in groups if same(group[0][1], witness[1])), None)
        groups.append([witness]) if group is None else group.append(witness)
    for move in really:
        group = next((group for group in groups if move.matches(group[0][1])), None)
        if group is None:
            where = f"{move.former}->{move.current}"
            show.say(f"{where:10}{move.cause:52}{'-':56}  {audit.mark(['nobody reported it'])}")
            continue
        groups.remove(group)
        row(move, group, show, audit)
    for group in groups:
        show.say(f"{arrow(group[0][1]):10}{'nothing':52}{verdict(best_of(group)):30}{'':26}  {audit.mark(['did not happen'])}")


def row(move: Move, group: list[tuple[str, Flap]], show: Show, audit: Audit) -> None:
    """One move: truth, verdict, cost."""
    best = best_of(group)
    # Each node sees the connections that it reset itself: misdirected clients are reset on two nodes.
    said = sum(flap["connections"]["reset"] or 0 for _, flap in group)
    reasons = []
    if best["cause"] != move.cause:
        reasons.append(f"cause: {move.cause} in truth")
    if best["warranted"] != "no":
        reasons.append("warranted: no in truth, HAProxy ran all the time")
    for node, flap in group:
        # Who sees less may know less; what it says must be true all the same.
        if flap["warranted"] == "yes" or (flap["confidence"] == "certain" and flap["cause"] != move.cause):
            reasons.append(f"{node} says {verdict(flap)}")
    if abs(said - move.resets) > max(3, move.resets // 20):
        reasons.append("cost")
    cells = f"{move.cause + ', ' + move.because:52}{verdict(best):30}{said:>14}{move.resets:>12}"
    show.say(f"{arrow(best):10}{cells}  {audit.mark(reasons)}")


def play(out: Path, show: Show) -> int:
    """The whole demo; the number of things that did not agree."""
    # OpenShift's own timings: with three apiservers of which one is slow, a check neither fails nor is well again.
    setting = OPENSHIFT_ORIGINAL.with_timings(interval=1, fall=2, rise=3)
    audit = Audit(show)
    show.say(INTRODUCTION.format(vip=setting.vip, clients=CLIENTS))
    with Lab(setting, out) as lab:
        show.event("building the lab: three masters and a client's machine, real keepalived and HAProxy")
        lab.start()
        holder = lab.wait_active()
        agents = [Agent(lab, node).start() for node in MASTERS]
        for agent in agents:
            agent.wait_ready()
        lab.start_clients(CLIENTS)
        show.event(f"{CLIENTS} clients are connected; {holder} holds the address; an agent watches on each master")
        with Watch(agents, show):
            time.sleep(4)
            outage(lab, show)
        healthy = all(lab.haproxy(node).pids for node in MASTERS)
        show.event(f"end of the outage. HAProxy on all three machines {'never stopped' if healthy else 'DID NOT STAY UP'}.")
        metrics(agents, show)
        for agent in agents:
            if status := agent.stop():
                show.say(f"{agent.node}: {audit.mark([f'the agent ended with status {status}: {agent.errors.read_text()}'])}")
    compare(agents, out, show, audit)
    judge(agents, lab, show, audit)
    really = moves(out)
    if not really:
        show.say(audit.mark(["the address did not move this time: nothing was shown; try again"]))
        return audit.wrong
    lost = sum(move.resets for move in really)
    show.say(f"\n{len(really)} moves, {lost} connections broken, and not one of the machines was unwell.", "bold")
    show.say("The cure: let the check ask HAProxy itself (its monitor page), not the API server behind it.")
    return audit.wrong


def staged(play: Callable[[Path, Show], int], keep: Path | None, name: str, show: Show) -> int | None:
    """Play in a directory that is removed unless it is to be kept: what is wrong by number, None if interrupted."""
    with ExitStack() as running:
        if keep is None:
            out = Path(tempfile.mkdtemp(prefix=f"vrrp-{name}-"))
            running.callback(shutil.rmtree, out, ignore_errors=True)
        else:
            out = keep
        try:
            return play(out, show)
        except KeyboardInterrupt:
            show.say("\ninterrupted; the lab is gone")
            return None


def main() -> int:
    """Run from the command line; 0 if everything agreed, 1 if not, 2 if it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep captures, logs and the agents' output there")
    keep = parser.parse_args().keep
    if lack := missing():
        print(f"demo: {lack}; run `make demo` as root: the lab needs network namespaces, keepalived and HAProxy", file=sys.stderr)
        return 2
    show = Show()
    wrong = staged(play, keep, "demo", show)
    if wrong is None:
        return 130
    show.say(show.style("everything agreed", "green") if not wrong else show.style(f"{wrong} things did not agree", "red"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
