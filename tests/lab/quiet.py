"""A night of nothing: `python -m lab.quiet --seconds 3600 --out DIRECTORY`, as root, with an agent on each master.

The load jitters, services beside the virtual router are restarted, an unchanged keepalived is reloaded, gratuitous ARP is
repeated: what happens on a good night. Nothing of it moves the address, and no agent may say that it did.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .agents import Agent, evidence
from .lab import Lab
from .services import HERE
from .setting import CLIENT, MASTERS, OPENSHIFT_ORIGINAL, address

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS = 45
"""Long-lived connections: a third of them, at one apiserver, are enough for a burst when it restarts."""
LEAST, MOST = 3, 40
"""Short requests a second."""
REFRESH = 10
"""Seconds between the holder's gratuitous ARPs."""
PAUSE = (8, 25)
"""Seconds between two things that happen."""
LOOK = 30
"""Seconds between two looks at what the agents take."""
RARE = "arp or ip proto 112"
SETTLED = 20
"""Seconds after which an agent has loaded what it needs: its memory is compared with what it was then."""

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Night:
    """What came of it."""

    seconds: float
    moves: int
    """Gains of the address after the beginning, by the kernels' events: a flap would be right if there were any."""
    happened: dict[str, int] = field(default_factory=dict)
    flaps: list[dict[str, Any]] = field(default_factory=list)
    bursts: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """What the agents said on standard error."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Processor time of each agent as a share of one processor."""
    memory: dict[str, list[float]] = field(default_factory=dict)
    """MiB resident of each agent, at each look."""
    served: dict[str, int] = field(default_factory=dict)

    def growth(self, node: str) -> float:
        """MiB by which an agent was larger in the last tenth of the night than after its first quarter, on average."""
        looks = self.memory[node]
        early, late = looks[len(looks) // 4 : len(looks) // 4 + max(1, len(looks) // 10)], looks[-max(1, len(looks) // 10) :]
        return sum(late) / len(late) - sum(early) / len(early)


def backup(lab: Lab) -> str:
    """Any master that does not hold the address."""
    return random.choice(lab.others(lab.holder()))


def apiserver_restarted(lab: Lab) -> None:
    """A backend goes and comes: its connections end, orderly."""
    lab.apiserver(backup(lab)).restart()


def proxy_of_backup_restarted(lab: Lab) -> None:
    """The proxy of a node that does not hold the address: nobody is connected to it."""
    lab.haproxy(backup(lab)).restart()


def backup_reloaded(lab: Lab) -> None:
    """A backup reads its unchanged configuration again."""
    lab.keepalived(backup(lab)).reload()


def owner_reloaded(lab: Lab) -> None:
    """The holder reads its unchanged configuration again: two adverts off schedule, and no change."""
    lab.keepalived(lab.holder()).reload()


def neighbours_flushed(lab: Lab) -> None:
    """The clients' host asks anew who has the address."""
    lab.note("neighbours flushed", node=CLIENT)
    lab.ip(CLIENT, "neigh", "flush", "dev", "eth0")


def unrelated_address(lab: Lab) -> None:
    """An address of a node's own, that is no virtual router's, comes, is announced, and goes."""
    node = random.choice(MASTERS)
    own = address(150 + MASTERS.index(node))
    lab.note("unrelated address", node=node, address=own)
    lab.ip(node, "addr", "add", f"{own}/32", "dev", "eth0")
    lab.exec(node, [sys.executable, "-I", "-S", str(HERE / "announce.py"), "eth0", own], check=True)
    time.sleep(2)
    lab.ip(node, "addr", "del", f"{own}/32", "dev", "eth0")


HAPPENS: tuple[Callable[[Lab], None], ...] = (
    apiserver_restarted,
    proxy_of_backup_restarted,
    backup_reloaded,
    owner_reloaded,
    neighbours_flushed,
    unrelated_address,
)


def quiet(out: Path, seconds: float, *, seed: int = 1) -> Night:
    """Let it pass; `out` keeps the adverts and ARP of every node, the logs, and what the agents said."""
    random.seed(seed)
    # As slow as OpenShift's own: with a test's timings a busy machine makes checks fail, and the address moves in earnest.
    slow = OPENSHIFT_ORIGINAL.with_timings(interval=2, fall=3, rise=3)
    setting = replace(slow, name="quiet", garp_master_refresh=REFRESH)
    with Lab(setting, out, capture=RARE) as lab:
        lab.start()
        agents = {
            node: Agent(lab, node, *evidence(lab, node), "--recordings", str(out / "recordings" / node)).start()
            for node in MASTERS
        }
        lab.wait_active()
        for agent in agents.values():
            agent.wait_ready()
        lab.start_clients(CLIENTS)
        load = [sys.executable, "-I", "-S", str(HERE / "jitter.py"), setting.vip, "6443", str(LEAST), str(MOST)]
        lab.popen(CLIENT, [*load, str(out / "jitter.jsonl")])
        lab.note("night")
        time.sleep(SETTLED)
        night = Night(seconds, 0, memory={node: [] for node in MASTERS})
        before, spent, begun = len(lab.moves), {node: _spent(agent.pid) for node, agent in agents.items()}, time.monotonic()
        happens = looks = begun
        while (now := time.monotonic()) < begun + seconds:
            if now >= happens:
                what = random.choice(HAPPENS)
                what(lab)
                night.happened[what.__name__] = night.happened.get(what.__name__, 0) + 1
                happens = now + random.uniform(*PAUSE)
            if now >= looks:
                for node, agent in agents.items():
                    night.memory[node].append(_resident(agent.pid))
                looks = now + min(LOOK, seconds / 10)
            time.sleep(max(0.0, min(happens, looks, begun + seconds) - time.monotonic()))
        night.seconds = time.monotonic() - begun
        night.cpu = {node: (_spent(agent.pid) - spent[node]) / night.seconds for node, agent in agents.items()}
        night.moves = len(lab.moves) - before
        for node, agent in agents.items():
            agent.stop()
            happened = agent.events()
            night.flaps += [{"node": node, **event} for event in happened if event["event"] == "flap"]
            night.bursts += [{"node": node, **event} for event in happened if event["event"] == "reset_burst"]
            night.said += [f"{node}: {line}" for line in agent.errors.read_text().splitlines()]
        lines = (out / "jitter.jsonl").read_text().splitlines() if (out / "jitter.jsonl").exists() else []
        night.served = json.loads(lines[-1]) if lines else {}
    return night


def _spent(pid: int) -> float:
    """Processor time of a process, in seconds."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 2**20


def main() -> int:
    """Let it pass, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(prog="lab.quiet", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    night = quiet(wanted.out, wanted.seconds, seed=wanted.seed)
    (wanted.out / "night.json").write_text(json.dumps(asdict(night), indent=1) + "\n")
    ends = {node: (looks[0], looks[-1]) for node, looks in night.memory.items()}
    print(json.dumps({**asdict(night), "memory": ends}, indent=1))
    return bool(night.flaps)


if __name__ == "__main__":
    sys.exit(main())
