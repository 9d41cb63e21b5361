"""A lab: three masters, a client and a foreign host on one bridge, each in a namespace, with real keepalived and HAProxy.

    with Lab(OPENSHIFT_ORIGINAL, out=directory) as lab:
        lab.start()
        lab.wait_active()
        lab.apiserver("m2").kill()

Everything it makes is gone when the `with` ends, also after an exception or SIGTERM. What it leaves are files: captures, logs,
address events, configuration and the truth.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from . import netns, render
from .services import HERE, Apiserver, Clients, Foreign, Frr, HAProxy, Keepalived, Script
from .setting import CLIENT, FOREIGN, HOSTS, MASTERS, Setting, address, mac
from .truth import Truth, pump

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType, TracebackType

Tap = Literal["tcpdump", "any", "dumpcap"]
HUB = "hub"
TOOLS = ("ip", "nft", "sysctl", "keepalived", "haproxy", "tcpdump", "curl")
# Everything about the addresses, and of TCP only what opens and closes connections: small enough to be kept.
CONTROL_ONLY = "arp or icmp or icmp6 or proto 112 or ip6 proto 112 or (tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0)"
_ROUTERS = {"keepalived": Keepalived, "frr": Frr, "script": Script}
_LINK_EVENT = re.compile(r"\[([^\]]+)\] \d+: ([^@:]+)@\S+ <([^>]*)>")
_ADDRESS_EVENT = re.compile(r"\[([^\]]+)\] (Deleted )?\d+: \S+\s+inet6? ([0-9a-f.:]+)")


class Lab:
    """One lab; several may live at once, also in one process."""

    def __init__(self, setting: Setting, out: Path | None = None, *, capture: str | None = "", tap: Tap = "tcpdump") -> None:
        """`capture` is a pcap filter, "" for everything, None for no captures; without `out` the files vanish too.

        `tap` is what captures in the nodes: tcpdump on eth0, tcpdump on all interfaces (cooked), or dumpcap (pcapng).
        """
        self.setting = setting
        self._tap_kind = tap
        self.identity = secrets.token_hex(2)
        self.run = netns.run_directory(self.identity)
        self.run.mkdir(mode=0o700)
        self.out = (out or self.run).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.truth = Truth(self.out / "truth.jsonl")
        self._capture = capture
        self._tracked: list[subprocess.Popen[Any]] = []
        self._pumps: list[threading.Thread] = []
        self._taps: dict[str, list[subprocess.Popen[str]]] = {}
        self._boots: dict[str, int] = {}
        self._faults: dict[str, list[str]] = {}
        self._lost: set[str] = set()
        self._sigterm: Any = None
        self._apiservers = {node: Apiserver(self, node) for node in MASTERS}
        self._haproxies = {node: HAProxy(self, node) for node in MASTERS}
        self._keepaliveds = {node: _ROUTERS[setting.routers](self, node) for node in MASTERS}
        self._foreign = Foreign(self, FOREIGN)
        self.clients = Clients(self, CLIENT)

    # -- life

    def __enter__(self) -> Self:
        netns.reap()
        if threading.current_thread() is threading.main_thread():
            self._sigterm = signal.signal(signal.SIGTERM, _leave)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every process, remove every namespace; captures are closed first, so that they are whole."""
        self.truth.note("end")
        for node in list(self._taps):
            self._stop_taps(node, signal.SIGTERM)
        names = [self.namespace(node) for node in (*HOSTS, HUB)]
        for name in names:
            if (netns.DIRECTORY / name).exists():
                netns.remove(name)
        for process in self._tracked:
            process.wait(5)
        for thread in self._pumps:
            thread.join(5)
        self.truth.close()
        shutil.rmtree(self.run, ignore_errors=True)
        if self._sigterm is not None:
            signal.signal(signal.SIGTERM, self._sigterm)
            self._sigterm = None

    def _build(self) -> None:
        hub = self.namespace(HUB)
        for node in (*HOSTS, HUB):
            netns.run(["ip", "netns", "add", self.namespace(node)])
            self._sysctl(node)
        bridge = ["link add br0 type bridge mcast_snooping 0", "link set br0 up"]
        for host in HOSTS:
            peer = f"netns {self.namespace(host)} address {mac(host)}"
            bridge += [f"link add {host} type veth peer name eth0 {peer}", f"link set {host} master br0 up"]
        netns.run(["ip", "-n", hub, "-batch", "-"], "\n".join(bridge))
        for host in HOSTS:
            host_lines = [
                "link set lo up",
                "link set eth0 up",
                f"addr add {address(host, 4)}/24 dev eth0",
                f"addr add {address(host, 6)}/64 dev eth0 nodad",
            ]
            netns.run(["ip", "-n", self.namespace(host), "-batch", "-"], "\n".join(host_lines))
        if self.setting.redirect:
            for node in MASTERS:
                netns.run([*netns.inside(self.namespace(node)), "nft", "-f", "-"], render.redirect_rules(self.setting))
        self._apply_faults()

    def _sysctl(self, node: str) -> None:
        values = {
            "net.ipv6.conf.default.accept_dad": 0,
            "net.ipv6.conf.all.accept_dad": 0,
            "net.ipv6.conf.default.accept_ra": 0,
            "net.ipv6.conf.default.router_solicitations": 0,
            "net.ipv6.conf.all.keep_addr_on_down": 1,  # or `link down` would undress the node
            "net.ipv4.conf.default.arp_ignore": int(self.setting.routers == "frr"),  # its address is on every node, on a macvlan
            "net.ipv4.ip_forward": int(self.setting.forwarding and node in MASTERS),
            "net.ipv6.conf.all.forwarding": int(self.setting.forwarding and node in MASTERS),
        }
        words = [f"{key}={value}" for key, value in values.items()]
        netns.run([*netns.inside(self.namespace(node)), "sysctl", "-q", "-w", *words])

    def start(self, *, clients: int = 0, absent: tuple[str, ...] = ()) -> None:
        """Start captures and the masters' programs; with `clients`, wait for the address and connect them.

        On `absent` masters keepalived is not started: a router that joins later.
        """
        setting = self.setting
        self.truth.note("start", setting=setting.name, vip=setting.vip, vrid=setting.vrid, family=setting.family)
        for host in (*MASTERS, CLIENT):
            self._start_taps(host)
        if self._capture is not None:
            self._tap(HUB, ["-i", "br0"], self.out / "span.pcap")
        for node in absent:
            # It is installed there: an agent reads its configuration.
            self.keepalived(node).write_configuration()
        for service in (self._apiservers, self._haproxies, self._keepaliveds):
            for node in MASTERS:
                if service is not self._keepaliveds or node not in absent:
                    service[node].start()
            for node in MASTERS:  # listening, or the first checks of keepalived would fail
                service[node].wait_ready()
        if clients:
            self.wait_active()
            self.start_clients(clients)

    def start_clients(self, count: int = 200) -> None:
        """Start clients and wait until all are served."""
        self.clients.count = count
        self.clients.start()
        self.wait_until(lambda: self.clients.totals()["live"] >= count, 15, "all clients served")

    # -- processes

    def namespace(self, node: str) -> str:
        """Return the namespace of a node."""
        return netns.full_name(self.identity, node)

    def exec(self, node: str, argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in a node to its end; options as of subprocess.run, output as text unless they say otherwise."""
        options = {"text": True, "capture_output": True, "timeout": 60, **options}
        check = options.pop("check", False)
        return subprocess.run([*netns.inside(self.namespace(node)), *argv], check=check, **options)

    def popen(self, node: str, argv: list[str], *, log: str | None = None, **options: Any) -> subprocess.Popen[Any]:
        """Start a command in a node; it dies with the lab. With `log`, its output goes to that file, stamped."""
        if log:
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([*netns.inside(self.namespace(node)), *argv], **options)
        self._tracked.append(process)
        if log and process.stdout:
            self._pumps.append(pump(process.stdout, self.out / log, stamped=True))
        return process

    def _tap(self, node: str, where: list[str], path: Path) -> None:
        words = ["-U", "-n", "-Z", "root", "-B", "8192", "-s", "128", "--immediate-mode", "--time-stamp-precision=nano"]
        command = ["tcpdump", *where, *words, "-w", str(path), *([self._capture] if self._capture else [])]
        if self._tap_kind == "any" and node in MASTERS:
            command[1:3] = ["-i", "any", "-y", "LINUX_SLL2"]
        if self._tap_kind == "dumpcap" and node in MASTERS:
            command = ["dumpcap", *where, "-q", "-s", "128", "-w", str(path), "-f", self._capture or "not port 22"]
        process = self.popen(node, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._taps.setdefault(node, []).append(process)
        assert process.stderr
        for line in process.stderr:
            if "listening on" in line or line.startswith("File:"):
                break
        else:
            raise RuntimeError(f"{node}: tcpdump did not start")
        self._pumps.append(pump(process.stderr, path.with_suffix(".tcpdump.log"), stamped=False))

    def _start_taps(self, node: str) -> None:
        """Start the capture and the address events of a node; each boot has its own capture file.

        Of the client it is the neighbours that are followed: the truth about whom it takes for the owner, and so about
        clients that are misdirected.
        """
        boot = self._boots[node] = self._boots.get(node, 0) + 1
        if self._capture is not None:
            self._tap(node, ["-i", "eth0"], self.out / (f"{node}.pcap" if boot == 1 else f"{node}.{boot}.pcap"))
        words, name = (["neigh"], "neighbours") if node == CLIENT else (["address", "link"], "ipmonitor")
        command = ["env", "TZ=UTC", "ip", "-ts", "monitor", *words]
        process = self.popen(node, command, stdout=subprocess.PIPE, text=True)
        self._taps.setdefault(node, []).append(process)
        assert process.stdout
        path = self.out / f"{node}.{name}.log"
        self._pumps.append(pump(process.stdout, path, stamped=False, each=lambda line: self._event(node, line)))

    def _stop_taps(self, node: str, how: signal.Signals) -> None:
        for process in self._taps.pop(node, []):
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)

    def _event(self, node: str, line: str) -> None:
        """Follow who holds the address, from one line of a node's address events; FRR's address is always on its macvlan."""
        if node in self._lost:
            return
        if self.setting.routers == "frr":
            if (match := _LINK_EVENT.match(line)) and match[2] == self.vip_interface:
                self.truth.holds(node, holding="LOWER_UP" in match[3].split(","), at=_nanoseconds(match[1]))
            return
        match = _ADDRESS_EVENT.match(line)
        if match and ipaddress.ip_address(match[3]) == ipaddress.ip_address(self.setting.vip):
            self.truth.holds(node, holding=not match[2], at=_nanoseconds(match[1]))

    # -- what there is to act on

    def apiserver(self, node: str) -> Apiserver:
        """Return a master's apiserver stand-in."""
        return self._apiservers[node]

    def haproxy(self, node: str) -> HAProxy:
        """Return a master's HAProxy."""
        return self._haproxies[node]

    def keepalived(self, node: str) -> Keepalived:
        """Return a master's keepalived."""
        return self._keepaliveds[node]

    def node(self, node: str) -> Node:
        """Return a master as a machine with a power switch."""
        return Node(self, node)

    def link(self, node: str) -> Link:
        """Return a node's network interface."""
        return Link(self, node)

    def foreign(self, priority: int = 200, vip: str | None = None) -> Foreign:
        """Return the keepalived of the foreign host: same VRID, another address."""
        self._foreign.priority = priority
        self._foreign.vip = vip or address(200, self.setting.family)
        return self._foreign

    def flag(self, node: str) -> Path:
        """Return the file whose presence fails the `FLAG_ABSENT` check of a node."""
        return self.run / f"{node}.flag"

    # -- the network

    def partition(self, one: str, other: str, *, both: bool = True, probability: float = 1.0) -> None:
        """Lose adverts on the way from one node to another, each with this probability; captures in the nodes stay true."""
        self.note("partition", one=one, other=other, both=both, probability=probability)
        pairs = [(one, other), (other, one)] if both else [(one, other)]
        chance = "" if probability >= 1 else f"numgen random mod 1000 < {round(probability * 1000)} "
        self._faults[f"partition {one} {other}"] = [
            f'iifname "{source}" oifname "{to}" meta l4proto 112 {chance}drop' for source, to in pairs
        ]
        self._apply_faults()

    def block(self, one: str, other: str) -> None:
        """Lose every frame between two nodes."""
        self.note("block", one=one, other=other)
        pairs = [(one, other), (other, one)]
        self._faults[f"block {one} {other}"] = [f'iifname "{a}" oifname "{b}" drop' for a, b in pairs]
        self._apply_faults()

    def block_backends(self, node: str) -> None:
        """Lose what a node sends to the other masters' apiservers: its proxy alone is cut off from them."""
        self.note("block_backends", node=node)
        port = self.setting.api_port
        self._faults[f"backends {node}"] = [
            f'iifname "{node}" oifname "{peer}" tcp dport {port} drop' for peer in MASTERS if peer != node
        ]
        self._apply_faults()

    def deafen(self, node: str) -> None:
        """Drop adverts in a node's own firewall: captures there still see them arrive, keepalived does not."""
        self.note("deafen", node=node)
        rules = "table inet deaf { chain input { type filter hook input priority 0; meta l4proto 112 drop; }; }"
        netns.run([*netns.inside(self.namespace(node)), "nft", "-f", "-"], rules + "\n")

    def undeafen(self, node: str) -> None:
        """Let a node hear adverts again."""
        self.note("undeafen", node=node)
        netns.run([*netns.inside(self.namespace(node)), "nft", "delete", "table", "inet", "deaf"])

    def mangle(self, node: str, change: str) -> None:
        """Change the adverts of a node on their way, by an nft statement; the mirror port sees them as they were sent."""
        self.note("mangle", node=node, change=change)
        self._faults[f"mangle {node}"] = [f'iifname "{node}" meta l4proto 112 {change}']
        self._apply_faults()

    def heal(self) -> None:
        """Let everything through again, except what nodes that are lost still send."""
        self.note("heal")
        self._faults.clear()
        self._apply_faults()

    def _apply_faults(self) -> None:
        # Forwarded frames are dropped behind the mirror port; of a node without power not even that sees any.
        faults = [f"faults {rule}" for rules in self._faults.values() for rule in rules]
        power = [f'power iifname "{node}" drop' for node in sorted(self._lost)]
        rules = "\n".join(f"add rule bridge lab {rule}" for rule in faults + power)
        text = f"""\
add table bridge lab
add chain bridge lab faults {{ type filter hook forward priority 0; }}
add chain bridge lab power {{ type filter hook prerouting priority -300; }}
flush chain bridge lab faults
flush chain bridge lab power
{rules}
"""
        netns.run([*netns.inside(self.namespace(HUB)), "nft", "-f", "-"], text)

    def ip(self, node: str, *words: str) -> str:
        """Run ip(8) on a node."""
        return netns.run(["ip", "-n", self.namespace(node), *words])

    def ip_hub(self, *words: str) -> str:
        """Run ip(8) where the bridge is."""
        return self.ip(HUB, *words)

    def vip_delete(self, node: str) -> None:
        """Delete the address behind keepalived's back."""
        self.note("vip_delete", node=node)
        self.ip(node, "addr", "del", self.setting.vip_prefix, "dev", self.vip_interface)

    def vip_add(self, node: str) -> None:
        """Add the address behind keepalived's back."""
        self.note("vip_add", node=node)
        self.ip(node, "addr", "add", self.setting.vip_prefix, "dev", self.vip_interface)

    def announce(self, node: str) -> None:
        """Send gratuitous ARP for the address from a node, as scripts that move addresses do (IPv4)."""
        self.note("announce", node=node)
        self.exec(node, [sys.executable, "-I", "-S", str(HERE / "announce.py"), "eth0", self.setting.vip], check=True)

    def malformed(self, node: str) -> None:
        """Send three adverts with a wrong checksum from a node (IPv4)."""
        self.note("malformed", node=node)
        self.exec(node, [sys.executable, "-I", "-S", str(HERE / "malformed.py"), address(node), self.setting.vip], check=True)

    @property
    def vip_interface(self) -> str:
        """The interface that bears the address."""
        if self.setting.routers == "frr":
            return f"vrrp{self.setting.family}-2-{self.setting.vrid}"
        return f"vrrp.{self.setting.vrid}" if self.setting.use_vmac else "eth0"

    # -- looking

    def note(self, action: str, **fields: Any) -> None:
        """Note an action about to be taken in the truth."""
        self.truth.note("action", action=action, **fields)

    def holders(self) -> set[str]:
        """Return the living nodes that hold the address now, by their kernels' events."""
        return set(self.truth.holders)

    def holder(self) -> str:
        """Return the one node that holds the address."""
        holders = self.holders()
        if len(holders) != 1:
            raise AssertionError(f"held by {sorted(holders) or 'nobody'}, not by one")
        return holders.pop()

    def others(self, node: str) -> list[str]:
        """Return the other masters."""
        return [name for name in MASTERS if name != node]

    @property
    def moves(self) -> list[tuple[int, str]]:
        """Each gain of the address: time in nanoseconds, node. Contested elections count each claimant."""
        return sorted(self.truth.moves)

    def wait_active(self, node: str | None = None, *, timeout: float = 15, stable: float = 0.5) -> str:
        """Wait until one node alone (this one, if given) has held the address for a while; return it."""
        since, before = time.monotonic(), set[str]()

        def settled() -> bool:
            nonlocal since, before
            now = self.holders()
            if now != before:
                since, before = time.monotonic(), now
            return len(now) == 1 and node in (None, *now) and time.monotonic() - since >= stable

        self.wait_until(settled, timeout, f"{node or 'one node'} to hold the address")
        return before.pop()

    def wait_move(self, before: str, *, timeout: float = 15) -> str:
        """Wait until another node than this holds the address; return it."""
        others = set(self.others(before))
        self.wait_until(lambda: bool(self.holders() & others), timeout, f"the address to leave {before}")
        return self.wait_active(timeout=timeout) if before not in self.holders() else min(self.holders() & others)

    def wait_until(self, predicate: Callable[[], bool], timeout: float, what: str = "a condition") -> None:
        """Wait until a predicate is true; a time-out is an error that says what was waited for."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout} s for {what}; held by {sorted(self.holders()) or 'nobody'}")
            time.sleep(0.05)


class Node:
    """A master as a machine."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name

    def lose(self) -> None:
        """Cut the power: nothing of what its processes' deaths would send leaves the node."""
        lab, name = self.lab, self.name
        lab.note("node.lose", node=name)
        lab._lost.add(name)
        lab._stop_taps(name, signal.SIGKILL)
        lab._apply_faults()
        netns.empty(lab.namespace(name))
        lab.ip_hub("link", "set", name, "down")
        lab.truth.holds(name, holding=False, why="power")

    def recover(self) -> None:
        """Boot it: an empty interface, then everything a master runs."""
        lab, name = self.lab, self.name
        with contextlib.suppress(RuntimeError):
            lab.ip(name, "addr", "del", lab.setting.vip_prefix, "dev", "eth0")
        lab.note("node.recover", node=name)
        lab._lost.discard(name)
        lab._apply_faults()
        lab.ip_hub("link", "set", name, "up")
        lab._start_taps(name)
        for service in (lab.apiserver(name), lab.haproxy(name), lab.keepalived(name)):
            service.start()


class Link:
    """A node's interface, switched off by its own administrator, or its cable pulled."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name

    def down(self) -> None:
        """Switch the interface off in the node."""
        self.lab.note("link.down", node=self.name)
        self.lab.ip(self.name, "link", "set", "eth0", "down")

    def up(self) -> None:
        """Switch it on again."""
        self.lab.note("link.up", node=self.name)
        self.lab.ip(self.name, "link", "set", "eth0", "up")

    def unplug(self) -> None:
        """Take the carrier away at the bridge's side."""
        self.lab.note("link.unplug", node=self.name)
        self.lab.ip_hub("link", "set", self.name, "down")

    def plug(self) -> None:
        """Give the carrier back."""
        self.lab.note("link.plug", node=self.name)
        self.lab.ip_hub("link", "set", self.name, "up")


def missing() -> str:
    """Say what this machine lacks for a lab; empty if nothing."""
    if os.geteuid() != 0:
        return "not root"
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"not installed: {', '.join(absent)}" if absent else ""


def _nanoseconds(stamp: str) -> int:
    moment = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def _leave(number: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into an exit that runs the `with` blocks."""
    raise SystemExit(128 + number)
