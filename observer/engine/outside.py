"""Who holds an address with no VRRP behind it: by announcements on the wire and by the kernels of the observing nodes.

Whether the address belongs to a virtual router, and what is made of a claim, is the engine's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from observer.model.addresses import VIRTUAL_MAC, address_words, mac_number, words_text
from observer.model.observations import AddressChange, Neighbour, NeighbourKind
from observer.model.time import MILLISECOND
from observer.rules.view import Outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observer.model.observations import LinkChange
    from observer.model.segments import TcpSegments

ADDRESSES = 512
"""Addresses of which the last holder is remembered; one more forgets the one not heard of for longest."""

HOSTS = 1024
"""Hosts whose own address is remembered."""

LEARNT = 16
"""Hosts whose own address is looked for in one batch of segments, whatever a segment announces."""

STEADY = 2
"""Announcements at different times that make a host the holder of an address: one alone is any host that starts."""

APART = 500 * MILLISECOND
"""Announcements closer than this are one."""


NOBODY = ("fe80:", "0.", "::")
"""What addresses begin with that name no host to others: link-local ones, and the unspecified ones of probes."""


@dataclass(slots=True)
class Holder:
    """The last host that was seen to have an address."""

    mac: str | None
    node: str | None
    last: int
    announced: int = 0
    """At how many different times it announced the address."""
    kernel: bool = False
    """Its own kernel says so."""

    @property
    def steady(self) -> bool:
        """More than a host that said so once."""
        return self.kernel or self.announced >= STEADY


@dataclass(slots=True)
class Outsiders:
    """The holders of all addresses that are announced, or that the observing nodes gain."""

    links: Mapping[tuple[str, str], LinkChange]
    """By node and interface, the last state of each link."""
    _holders: OrderedDict[str, Holder] = field(default_factory=OrderedDict)
    _hosts: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """MAC address to an address of the host's own."""

    def neighbour(self, message: Neighbour) -> Outside | None:
        """An announcement as a claim; other messages tell which address a host has."""
        if message.kind is not NeighbourKind.ANNOUNCEMENT:
            if message.kind is NeighbourKind.REQUEST:
                self._host(message.mac, message.sender)
            return None
        if message.mac.startswith(VIRTUAL_MAC):
            return None
        return Outside(message.time, message.sender, message.mac, None, None)

    def address(self, change: AddressChange) -> Outside | None:
        """An address that a node's kernel gained, as a claim; one that it lost is no longer held there."""
        if not change.present:
            holder = self._holders.get(change.address)
            if holder is not None and holder.node == change.node:
                holder.last = change.time
            return None
        link = self.links.get((change.node, change.interface))
        mac = None if link is None else link.mac
        if change.interface.startswith("vrrp") or (mac is not None and mac.startswith(VIRTUAL_MAC)):
            # A macvlan of VRRP's own (keepalived's use_vmac, FRR): there an address may wait, its link down, until it is needed.
            return None
        claim = Outside(change.time, change.address, mac, change.node, change.requester)
        if change.initial:
            self._holders.setdefault(change.address, Holder(mac, change.node, change.time, kernel=True))
            return None
        return claim

    @property
    def unnamed(self) -> set[str]:
        """MAC addresses of steady holders of which no address of their own is known."""
        holders = self._holders.values()
        return {holder.mac for holder in holders if holder.mac and holder.steady and holder.mac not in self._hosts}

    def segments(self, segments: TcpSegments) -> None:
        """Which address the holders' hosts send from, where that is not known: in IPv6 they ask with link-local ones."""
        unknown = self.unnamed
        if not unknown:
            return
        held = [address_words(address) for address in self._holders]
        for mac in sorted(unknown)[:LEARNT]:
            sent = segments.sources[segments.macs == np.uint64(mac_number(mac))]
            for high, low in np.unique(sent, axis=0).tolist():
                if (high, low) not in held:
                    self._host(mac, words_text(high, low))
                    break

    def moved(self, claim: Outside) -> tuple[Holder, Holder] | None:
        """Take a claim of an address that no virtual router has: its former steady holder and the new one, if it moved."""
        holder = self._holders.get(claim.address)
        if holder is not None and _same(holder, claim):
            if claim.node is None and (claim.time - holder.last >= APART or not holder.announced):
                holder.announced += 1
            holder.last = claim.time
            holder.mac, holder.node = holder.mac or claim.mac, holder.node or claim.node
            holder.kernel = holder.kernel or claim.node is not None
            self._holders.move_to_end(claim.address)
            return None
        current = Holder(claim.mac, claim.node, claim.time, int(claim.node is None), claim.node is not None)
        self._holders[claim.address] = current
        self._holders.move_to_end(claim.address)
        if len(self._holders) > ADDRESSES:
            self._holders.popitem(last=False)
        if holder is None or not holder.steady:
            return None
        return holder, current

    def name(self, holder: Holder) -> str | None:
        """A host's own address, where that is known by now; else its MAC address, or the observing node."""
        return self._hosts.get(holder.mac or "", holder.mac or holder.node)

    def _host(self, mac: str, address: str) -> None:
        if mac.startswith(VIRTUAL_MAC) or address in self._holders or address.startswith(NOBODY):
            return
        self._hosts.setdefault(mac, address)
        if len(self._hosts) > HOSTS:
            self._hosts.popitem(last=False)


def _same(holder: Holder, claim: Outside) -> bool:
    if holder.mac is not None and claim.mac is not None:
        return holder.mac == claim.mac
    if holder.node is not None and claim.node is not None:
        return holder.node == claim.node
    # A kernel's report and an announcement name different things; the first announcement after a report is its node's.
    return holder.node is not None and not holder.announced
