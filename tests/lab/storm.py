"""The incident the program exists for: an etcd outage, and the storm in its recovery.

The loop, each part of it real: the address moves; 200 clients' connections are reset; they reconnect through the new owner's
HAProxy, so every apiserver sees the wave from that node's address; apiservers serve sources fairly, so health requests of that
node, and of no other, wait behind it; keepalived's check, which asks /readyz *through* HAProxy, times out on the owner alone;
its priority falls, and the address moves on. HAProxy is healthy all the time. With all three apiservers back, the wave
divided by three is below the limit, and the storm ends by itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .setting import MASTERS

if TYPE_CHECKING:
    from .lab import Lab

CLIENTS = 200
# Above 200 / 3 and below 200 / 2: three apiservers bear the wave, two do not.
LIMIT = 80


def etcd_outage(lab: Lab, *, storm: float = 24.0, calm: float = 8.0) -> None:
    """Take the apiservers away one by one, bring them back one by one, the first ones overloaded.

    `storm` is how long fewer than three are back, `calm` how long to watch after that; about 12 s more for the outage. Wants
    a setting like OPENSHIFT_ORIGINAL with its fast timings, running, with `CLIENTS` clients.
    """
    lab.note("etcd_outage.begin")
    for node in MASTERS:
        lab.apiserver(node).kill()
        time.sleep(2.0)
    time.sleep(2.0)
    lab.apiserver("m0").overload(limit=LIMIT)
    time.sleep(storm * 2 / 3)
    lab.apiserver("m1").overload(limit=LIMIT)
    time.sleep(storm / 3)
    lab.apiserver("m2").overload(limit=LIMIT)
    lab.note("etcd_outage.all_back")
    time.sleep(calm)
    lab.note("etcd_outage.end")
