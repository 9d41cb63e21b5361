"""Addresses and links of this node as the kernel tells them (rtnetlink, through pyroute2)."""

from __future__ import annotations

import errno
import ipaddress
import threading
import time
from typing import TYPE_CHECKING, Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK

from observer.model.errors import SourceError
from observer.model.observations import AddressChange, FramesLost, LinkChange, Observation, SourceChange, SourceState
from observer.sources.host.requester import Requesters
from observer.sources.interfaces import Link

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = "addresses"
_UP = 0x1 | 0x10000
"""IFF_UP and IFF_LOWER_UP (linux/if.h)."""
_LOOPBACK = 0x8


class Addresses:
    """Listens in a thread of its own; ``start`` returns when the present state has been delivered."""

    def __init__(self, node: str, deliver: Callable[[Observation], None], clock: Callable[[], int] = time.time_ns) -> None:
        self._node = node
        self._deliver = deliver
        self._clock = clock
        self._links: dict[int, Link] = {}
        self._names: dict[str, Link] = {}
        """Replaced whole at every change, so that other threads may read it."""
        self._known: dict[int, LinkChange] = {}
        self._present: set[tuple[str, str]] = set()
        self._requesters = Requesters()
        self._began = threading.Event()
        self._failed: Exception | None = None

    def links(self) -> dict[str, Link]:
        """The links as they are now, by name."""
        return self._names

    def start(self) -> None:
        """Subscribe, deliver what is there, and follow changes from then on. Raises SourceError."""
        threading.Thread(target=self._work, name=SOURCE, daemon=True).start()
        self._began.wait()
        if self._failed is not None:
            raise SourceError(f"netlink: {self._failed}; addresses and links cannot be followed") from self._failed

    def _work(self) -> None:
        # pyroute2 gives each thread a socket of its own: only the thread that subscribed gets the messages.
        try:
            netlink = IPRoute()
            netlink.bind(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)
            self._dump()
        except (OSError, NetlinkError) as error:
            self._failed = error
            return
        finally:
            self._began.set()
        self._tell(SourceState.STARTED)
        try:
            self._follow(netlink)
        except (OSError, NetlinkError) as error:
            self._tell(SourceState.FAILED, str(error))

    def _follow(self, netlink: Any) -> None:
        while True:
            try:
                for message in netlink.get():
                    self._message(message, initial=False)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._deliver(FramesLost(time=self._clock(), node=self._node, source=SOURCE, count=1))
                self._dump()

    def _dump(self) -> None:
        """The present state; addresses that are gone since the last one are told as removed."""
        with IPRoute() as netlink:
            links = list(netlink.get_links())
            addresses = list(netlink.get_addr())
        for message in links:
            self._message(message, initial=True)
        before, self._present = self._present, set()
        for message in addresses:
            self._message(message, initial=True)
        for interface, address in before - self._present:
            self._address(interface, address, present=False, initial=True, requester=None)

    def _message(self, message: Any, *, initial: bool) -> None:
        kind = message["event"]
        if kind in ("RTM_NEWLINK", "RTM_DELLINK"):
            self._link(message, gone=kind == "RTM_DELLINK", initial=initial)
        elif kind in ("RTM_NEWADDR", "RTM_DELADDR"):
            link = self._links.get(message["index"])
            address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if link is not None and isinstance(address, str):
                self._address(
                    link.name,
                    _canonical(address),
                    present=kind == "RTM_NEWADDR",
                    initial=initial,
                    requester=message["header"]["pid"],
                )

    def _address(self, interface: str, address: str, *, present: bool, initial: bool, requester: int | None) -> None:
        known = (interface, address) in self._present
        if known == present and not initial:
            # The kernel repeats an address when only its lifetime or flags change.
            return
        (self._present.add if present else self._present.discard)((interface, address))
        self._deliver(
            AddressChange(
                time=self._clock(),
                node=self._node,
                interface=interface,
                address=address,
                present=present,
                initial=initial,
                requester=None if initial else requester,
                requester_name=None if initial else self._requesters.name(requester),
            )
        )

    def _link(self, message: Any, *, gone: bool, initial: bool) -> None:
        index = message["index"]
        if message["family"] != 0:
            # AF_BRIDGE messages speak of a port's bridge state, not of the link.
            return
        name = message.get_attr("IFLA_IFNAME")
        if gone:
            self._links.pop(index, None)
        else:
            master = message.get_attr("IFLA_MASTER")
            self._links[index] = Link(
                name=name,
                up=message["flags"] & _UP == _UP,
                mac=message.get_attr("IFLA_ADDRESS"),
                loopback=bool(message["flags"] & _LOOPBACK),
                kind=_kind(message),
                master_kind=None if master is None else self._kind_of(master),
            )
        self._names = {link.name: link for link in self._links.values()}
        change = LinkChange(
            time=self._clock(),
            node=self._node,
            interface=name,
            up=not gone and message["flags"] & _UP == _UP,
            mac=message.get_attr("IFLA_ADDRESS"),
            initial=initial,
        )
        known = self._known.get(index)
        if initial or known is None or (known.up, known.interface) != (change.up, change.interface):
            self._deliver(change)
        self._known[index] = change
        if gone:
            self._known.pop(index)

    def _kind_of(self, index: int) -> str:
        link = self._links.get(index)
        return (link.kind if link is not None else None) or "unknown"

    def _tell(self, state: SourceState, detail: str = "") -> None:
        self._deliver(SourceChange(time=self._clock(), node=self._node, source=SOURCE, state=state, detail=detail))


def _kind(message: Any) -> str | None:
    info = message.get_attr("IFLA_LINKINFO")
    return info.get_attr("IFLA_INFO_KIND") if info is not None else None


def _canonical(address: str) -> str:
    return str(ipaddress.ip_address(address))
