"""What a lab is made of, as values: no process, no file, no namespace is touched here.

A `Setting` says everything that distinguishes one deployment from another; `render` turns it into configuration files and
`Lab` into namespaces. The presets are the deployments people run, with check timings shortened so that a test is short.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

MASTERS = ("m0", "m1", "m2")
CLIENT = "c0"
FOREIGN = "f0"
HOSTS = {"m0": 11, "m1": 12, "m2": 13, CLIENT: 21, FOREIGN: 50}

Family = Literal[4, 6]


def address(host: str | int, family: Family = 4) -> str:
    """Return the address of a host, by name or by its last part; documentation and local prefixes only."""
    number = HOSTS[host] if isinstance(host, str) else host
    return f"192.0.2.{number}" if family == 4 else f"fd00:db8::{number}"


def mac(host: str) -> str:
    """Return the fixed MAC of a host: recordings of two runs can then be compared by eye."""
    return f"02:00:00:00:00:{HOSTS[host]}"


# Check commands. Placeholders: front, monitor and api are ports, pidfile is that of the node's own HAProxy, flag is the file of
# `Lab.flag`, limit is just under the check's time-out, so that a late answer is exit status 124, as on OpenShift.
READYZ_THROUGH_PROXY = "timeout {limit} curl -sf -o /dev/null http://127.0.0.1:{front}/readyz"
READYZ_LOCAL = "timeout {limit} curl -sf -o /dev/null http://127.0.0.1:{api}/readyz"
PROXY_MONITOR_PAGE = "timeout {limit} curl -sf -o /dev/null http://127.0.0.1:{monitor}/haproxy_ready"
# `killall -0 haproxy` in the documentation; here several HAProxies share one process table.
PROXY_PROCESS = 'kill -0 "$(cat {pidfile})"'
# For tests that want a check to fail on demand: `Lab.flag(node).touch()`.
FLAG_ABSENT = "test ! -e {flag}"


@dataclass(frozen=True)
class Check:
    """One vrrp_script: `weight` None means that failure is FAULT; `reverse` makes its success lower the priority."""

    name: str
    command: str
    weight: int | None = None
    interval: int = 1
    timeout: int = 1
    rise: int = 2
    fall: int = 2
    reverse: bool = False


@dataclass(frozen=True)
class Setting:
    """One deployment: the virtual router, its checks, and the way to the apiservers.

    `redirect` is OpenShift's way (prerouting rule from VIP:6443 to HAProxy on 9445, apiservers on 6443); without it HAProxy
    itself listens on 6443 and the apiservers on 6444. `forwarding` decides whether a misdirected client meets a black hole.
    `sync` puts a second virtual router into a group with the first, and the checks are the second one's. `routers` are
    keepalived, FRR's vrrpd, or a script that holds and announces the address with no VRRP behind it, as kube-vip does.
    """

    name: str
    priorities: tuple[int, int, int] = (100, 100, 100)
    unicast: bool = True
    version: Literal[2, 3] = 2
    family: Family = 4
    vrid: int = 51
    advert_int: float = 1
    checks: tuple[Check, ...] = ()
    nopreempt: bool = False
    password: str | None = None
    use_vmac: bool = False
    garp_master_refresh: int | None = None
    redirect: bool = False
    forwarding: bool = True
    backend_inter: int = 1
    preempt_delay: int | None = None
    sync: bool = False
    more_vips: tuple[int, ...] = ()
    routers: Literal["keepalived", "frr", "script"] = "keepalived"

    @property
    def vip(self) -> str:
        """The virtual router's address."""
        return address(100, self.family)

    @property
    def vip_prefix(self) -> str:
        """The address as keepalived adds it: a host route, as all deployments have it."""
        return f"{self.vip}/{32 if self.family == 4 else 128}"

    @property
    def second_vip_prefix(self) -> str:
        """The address of the second virtual router of a sync group."""
        return f"{address(101, self.family)}/{32 if self.family == 4 else 128}"

    @property
    def front_port(self) -> int:
        """HAProxy's own port."""
        return 9445 if self.redirect else 6443

    @property
    def api_port(self) -> int:
        """The apiservers' port."""
        return 6443 if self.redirect else 6444

    @property
    def monitor_port(self) -> int:
        """HAProxy's monitor page, which says that HAProxy lives and nothing else."""
        return 9444

    def priority(self, node: str) -> int:
        """Return the base priority of a master."""
        return self.priorities[MASTERS.index(node)]

    def with_priority(self, node: str, priority: int) -> Setting:
        """Return this setting with one master's base priority changed."""
        first, second, third = (priority if name == node else self.priority(name) for name in MASTERS)
        return replace(self, priorities=(first, second, third))

    def with_checks(self, *checks: Check) -> Setting:
        """Return this setting with other checks."""
        return replace(self, checks=checks)

    def with_password(self, password: str | None) -> Setting:
        """Return this setting with another password."""
        return replace(self, password=password)

    def with_timings(self, *, interval: int, fall: int, rise: int) -> Setting:
        """Return this setting with all checks timed alike; deployments' own timings are slower than a test's."""
        checks = tuple(replace(check, interval=interval, fall=fall, rise=rise) for check in self.checks)
        return replace(self, checks=checks)


PLAIN = Setting("plain")
PLAIN_MULTICAST = Setting("plain-multicast", unicast=False)
PLAIN_V3 = Setting("plain-v3", version=3, unicast=False)
PLAIN_V6 = Setting("plain-v6", version=3, family=6, unicast=False)
RANKED = Setting("ranked", priorities=(120, 110, 100))

OPENSHIFT_ORIGINAL = Setting(
    "openshift-original",
    priorities=(40, 40, 40),
    checks=(
        Check("chk_ocp_lb", READYZ_THROUGH_PROXY, weight=20),
        Check("chk_ocp_both", READYZ_LOCAL, weight=5),
    ),
    password="lab_api_",  # noqa: S106
    garp_master_refresh=60,
    redirect=True,
)
OPENSHIFT_FIXED = replace(
    OPENSHIFT_ORIGINAL,
    name="openshift-fixed",
    checks=(
        Check("chk_ocp_lb", PROXY_MONITOR_PAGE, weight=20),
        Check("chk_ocp_both", f"{PROXY_MONITOR_PAGE} || {READYZ_LOCAL}", weight=5),
    ),
)
KUBEADM = Setting(
    "kubeadm",
    priorities=(101, 100, 100),
    unicast=False,
    checks=(Check("check_apiserver", READYZ_THROUGH_PROXY, weight=-2),),
    password="42",  # noqa: S106
)
K3S = Setting(
    "k3s",
    priorities=(200, 100, 100),
    unicast=False,
    checks=(Check("chk_haproxy", PROXY_PROCESS),),
)

PRESETS = {
    setting.name: setting
    for setting in (PLAIN, PLAIN_MULTICAST, PLAIN_V3, PLAIN_V6, RANKED, OPENSHIFT_ORIGINAL, OPENSHIFT_FIXED, KUBEADM, K3S)
}
