"""The programs of a master, each started, stopped, killed and frozen by name; every action is noted in the truth."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import render
from .netns import signal_quietly
from .setting import HOSTS

if TYPE_CHECKING:
    import subprocess

    from .lab import Lab
    from .setting import Setting

HERE = Path(__file__).parent


class Service:
    """One program in one namespace."""

    kind = ""

    def __init__(self, lab: Lab, node: str) -> None:
        self.lab, self.node = lab, node
        self.process: subprocess.Popen[str] | None = None

    def argv(self) -> list[str]:
        """Return the program's command, its configuration written."""
        raise NotImplementedError

    def note(self, action: str, **fields: Any) -> None:
        """Note an action about to be taken."""
        self.lab.truth.note("action", action=f"{self.kind}.{action}", node=self.node, **fields)

    @property
    def pids(self) -> list[int]:
        """The program's living processes, parent first."""
        return [self.process.pid] if self.process and self.process.poll() is None else []

    def start(self) -> None:
        """Start it, if it is not running."""
        if self.pids:
            return
        self.note("start")
        self.process = self.lab.popen(self.node, self.argv(), log=f"{self.node}.{self.kind}.log")

    def wait_ready(self) -> None:
        """Wait until it answers, where that can be told."""

    def stop(self, timeout: float = 5.0) -> None:
        """End it in order (SIGTERM) and wait."""
        self.note("stop")
        self._signal(signal.SIGTERM)
        self._wait(timeout)

    def kill(self) -> None:
        """Kill it (SIGKILL) and wait."""
        self.note("kill")
        self._signal(signal.SIGKILL)
        self._wait(5.0)

    def freeze(self) -> None:
        """Stop its processes from running (SIGSTOP): sockets stay open, nothing is answered."""
        self.note("freeze")
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        self.note("thaw")
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids:
            signal_quietly(pid, number)

    def _wait(self, timeout: float) -> None:
        if self.process:
            self.process.wait(timeout)


class Apiserver(Service):
    """The stand-in for kube-apiserver, and how it is told to behave."""

    kind = "apiserver"

    @property
    def _control(self) -> Path:
        return self.lab.run / f"{self.node}.apiserver.sock"

    def argv(self) -> list[str]:
        self._control.unlink(missing_ok=True)
        # -I -S: nothing of the environment under test is imported, and it starts in half the time.
        program = [sys.executable, "-I", "-S", str(HERE / "apiserver.py")]
        return [*program, str(self.lab.setting.api_port), str(self._control)]

    def wait_ready(self) -> None:
        self.ask()

    def ask(self, **change: object) -> dict[str, Any]:
        """Send one control request and return the answer."""
        deadline = time.monotonic() + 5
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as control:
                    control.settimeout(5)
                    control.connect(str(self._control))
                    control.sendall(json.dumps(change).encode() + b"\n")
                    with control.makefile() as answer:
                        seen: dict[str, Any] = json.loads(answer.readline())
                        return seen
            except (FileNotFoundError, ConnectionRefusedError):  # not listening yet
                if time.monotonic() > deadline or not self.pids:
                    raise
                time.sleep(0.02)

    def behave(self, action: str, **behaviour: object) -> None:
        """Note and apply a behaviour; see `apiserver.Behaviour`. It starts the process if it is down."""
        self.note(action, **behaviour)
        if not self.pids:
            self.start()
        self.ask(behaviour=behaviour)

    def ok(self) -> None:
        """Answer everything."""
        self.behave("ok")

    def fail(self) -> None:
        """Answer /readyz with 500; watches go on."""
        self.behave("fail", readyz=500)

    def hang(self) -> None:
        """Accept, but never answer."""
        self.behave("hang", hanging=True)

    def deny(self, *sources: str) -> None:
        """Answer /readyz of these source addresses with 429: a rate limit, which HAProxy's own checks meet too."""
        self.behave("deny", denied=sources)

    def delay(self, *sources: str, seconds: float = 3.0) -> None:
        """Answer /readyz of these source addresses late: too late for keepalived's checks, not for HAProxy's."""
        self.behave("delay", late=sources, delay=seconds)

    def overload(self, limit: int = 60, window: float = 8.0, delay: float = 3.0) -> None:
        """Answer /readyz late to a source that opened more than `limit` watches within `window` seconds."""
        self.behave("overload", limit=limit, window=window, delay=delay)


class HAProxy(Service):
    """HAProxy in the foreground: one process."""

    kind = "haproxy"

    def argv(self) -> list[str]:
        path = self.lab.out / f"{self.node}.haproxy.cfg"
        path.write_text(render.haproxy_cfg(self.lab.setting, self.node, self.lab.run), encoding="utf-8")
        return ["haproxy", "-q", "-db", "-f", str(path)]

    def wait_ready(self) -> None:
        control = self.lab.run / f"{self.node}.haproxy.sock"
        self.lab.wait_until(control.exists, 5, f"HAProxy of {self.node} to start")

    def start(self) -> None:
        super().start()
        # In the foreground HAProxy writes no pid file; the process check reads this one.
        if self.process:
            (self.lab.run / f"{self.node}.haproxy.pid").write_text(f"{self.process.pid}\n", encoding="ascii")


class Keepalived(Service):
    """keepalived: a parent and its VRRP child."""

    kind = "keepalived"

    def __init__(self, lab: Lab, node: str) -> None:
        super().__init__(lab, node)
        self.setting = lab.setting

    @property
    def configuration(self) -> Path:
        """Its keepalived.conf."""
        return self.lab.out / f"{self.node}.keepalived.conf"

    @property
    def pids(self) -> list[int]:
        parent = super().pids
        children = []
        for pid in parent:
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return parent + [int(pid) for pid in children]

    def write_configuration(self) -> None:
        """Write keepalived.conf and the scripts it names."""
        run = self.lab.run
        for check in self.setting.checks:
            script = render.script_path(run, self.node, check)
            script.write_text(render.check_script(self.setting, check, run, self.node), encoding="utf-8")
            script.chmod(0o700)
        text = render.keepalived_conf(self.setting, self.node, run)
        self.configuration.write_text(text, encoding="utf-8")

    def argv(self) -> list[str]:
        self.write_configuration()
        return self.command(self.lab.run, self.node, self.configuration)

    @staticmethod
    def command(run: Path, node: str, configuration: Path) -> list[str]:
        """Return keepalived's command line: own pid files, or a second one says that it is already running."""
        own = [f"--{word}={run / f'{node}.{word}'}" for word in ("pid", "vrrp_pid", "checkers_pid")]
        return ["keepalived", "-P", "-n", "-l", "-D", "-f", str(configuration), *own]

    def kill(self) -> None:
        """Kill it so that the address stays: the parent must not see its child die, the child not its parent."""
        self.note("kill")
        pids = self.pids
        for parent in pids[:1]:
            signal_quietly(parent, signal.SIGSTOP)
        for pid in reversed(pids):
            signal_quietly(pid, signal.SIGKILL)
        self._wait(5.0)

    def kill_parent(self) -> None:
        """Kill only the parent: the child stops in order."""
        self.note("kill_parent")
        for pid in self.pids[:1]:
            signal_quietly(pid, signal.SIGKILL)
        self._wait(5.0)

    def kill_child(self) -> None:
        """Kill only the child: the parent starts another."""
        self.note("kill_child")
        for pid in self.pids[1:]:
            signal_quietly(pid, signal.SIGKILL)

    def reload(self, setting: Setting | None = None) -> None:
        """Read the configuration again (SIGHUP), changed or not."""
        self.note("reload", setting=None if setting is None else setting.name)
        self.setting = setting or self.setting
        self.write_configuration()
        for pid in self.pids[:1]:
            os.kill(pid, signal.SIGHUP)


class Frr(Keepalived):
    """FRR's vrrpd in keepalived's place, with its zebra: the address is on a macvlan that is up while the router is Active."""

    kind = "frr"

    @property
    def configuration(self) -> Path:
        return self.lab.out / f"{self.node}.frr.conf"

    @property
    def pids(self) -> list[int]:
        return Service.pids.fget(self)  # type: ignore[attr-defined, no-any-return]

    def write_configuration(self) -> None:
        self.configuration.write_text(render.frr_conf(self.setting, self.node), encoding="utf-8")

    def start(self) -> None:
        if self.pids:
            return
        self.write_configuration()
        links = self.lab.ip(self.node, "-o", "link", "show")
        if self.lab.vip_interface not in links:
            self._interface()
            self.lab.popen(self.node, self._daemon("zebra"), log=f"{self.node}.zebra.log")
            self.lab.wait_until((self._directory / "zserv").exists, 5, f"zebra of {self.node} to start")
        super().start()

    def argv(self) -> list[str]:
        return self._daemon("vrrpd")

    @property
    def _directory(self) -> Path:
        """Of zebra's socket: FRR's daemons drop root for a user of their own, who must reach it."""
        path = self.lab.run / f"{self.node}.frr"
        if not path.exists():
            self.lab.run.chmod(0o711)
            path.mkdir()
            shutil.chown(path, "frr", "frr")
        return path

    def _daemon(self, name: str) -> list[str]:
        own = self._directory
        shutil.copy(self.configuration, own / "frr.conf")
        files = ["-f", str(own / "frr.conf"), "-i", str(own / f"{name}.pid"), "-z", str(own / "zserv")]
        return [f"/usr/lib/frr/{name}", *files, "--vty_socket", str(own), "-P", "0", "--log", "stdout"]

    def _interface(self) -> None:
        """Make the macvlan with the Virtual Router MAC that vrrpd looks for; backups keep it down."""
        setting, name = self.lab.setting, self.lab.vip_interface
        virtual = f"00:00:5e:00:0{1 if setting.family == 4 else 2}:{setting.vrid:02x}"
        width = 24 if setting.family == 4 else 64
        for words in (
            f"link add {name} link eth0 type macvlan mode bridge",
            f"link set dev {name} addrgenmode none",
            f"link set dev {name} address {virtual}",
            f"addr add {setting.vip}/{width} dev {name} nodad",
            f"addr add fe80::5e:{HOSTS[self.node]}/64 dev {name} nodad",
            f"link set dev {name} up",
        ):
            self.lab.ip(self.node, *words.split())

    def kill(self) -> None:
        Service.kill(self)


class Script(Keepalived):
    """A script in keepalived's place: it adds the address and announces it every three seconds, with no VRRP, as kube-vip does.

    Killed, it leaves the address behind. Who runs it is the story's choice, as a lease's is in Kubernetes.
    """

    kind = "script"

    def argv(self) -> list[str]:
        return [sys.executable, "-I", "-S", str(HERE / "announce.py"), "eth0", self.lab.setting.vip, "3"]

    def start(self) -> None:
        if self.pids:
            return
        with contextlib.suppress(RuntimeError):  # left there when it was killed
            self.lab.vip_add(self.node)
        Service.start(self)

    def stop(self, timeout: float = 5.0) -> None:
        Service.stop(self, timeout)
        self.lab.vip_delete(self.node)

    def kill(self) -> None:
        Service.kill(self)


class Foreign(Service):
    """A keepalived on the same segment that is not of the group but uses its VRID."""

    kind = "keepalived"
    priority = 200
    vip = ""

    def argv(self) -> list[str]:
        path = self.lab.out / f"{self.node}.keepalived.conf"
        path.write_text(render.foreign_conf(self.lab.setting, self.priority, self.vip), encoding="utf-8")
        return Keepalived.command(self.lab.run, self.node, path)


class Clients(Service):
    """The client processes of the client's host."""

    kind = "clients"
    count = 200

    @property
    def log(self) -> Path:
        """What happened to each connection, as JSON lines."""
        return self.lab.out / f"{self.node}.clients.jsonl"

    def argv(self) -> list[str]:
        program = [sys.executable, "-I", "-S", str(HERE / "client.py")]
        return [*program, self.lab.setting.vip, "6443", str(self.count), str(self.log)]

    def totals(self) -> dict[str, int]:
        """Return the totals of the last second: live, established, reset, refused, timeout, eof, unreachable."""
        last: dict[str, int] = {"live": 0}
        if self.log.exists():
            with self.log.open(encoding="utf-8") as lines:
                for line in lines:
                    if '"totals"' in line and line.endswith("\n"):
                        last = json.loads(line)
        return {key: value for key, value in last.items() if key not in ("time", "event")}
