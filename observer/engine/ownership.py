"""Who holds the addresses, as the kernel of the observing nodes and the neighbours' messages tell."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from observer.model.addresses import VIRTUAL_MAC
from observer.model.observations import NeighbourKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from observer.model.observations import AddressChange, LinkChange, Neighbour

CHANGES = 512
"""Address and link changes kept for each node."""

CLAIMS = 512
"""ARP and ND messages kept that claim an address."""

NODES = 64

_T = TypeVar("_T")


class Ownership:
    """Addresses and links of the observing nodes, and who was heard to claim which address."""

    def __init__(self) -> None:
        self._changes: dict[str, deque[AddressChange]] = {}
        self._links: dict[str, deque[LinkChange]] = {}
        self.interfaces: dict[tuple[str, str], LinkChange] = {}
        """By node and interface, the last state of each link."""
        self._claims: deque[Neighbour] = deque(maxlen=CLAIMS)
        self._present: dict[tuple[str, str], AddressChange] = {}
        self._listed: set[str] = set()
        """Nodes whose addresses were listed at the start, so that one that is not present is not there."""

    def address(self, change: AddressChange) -> None:
        """The kernel of a node added or removed an address."""
        _history(self._changes, change.node).append(change)
        if change.initial and len(self._listed) < NODES:
            self._listed.add(change.node)
        if change.present:
            self._present[change.node, change.address] = change
        else:
            self._present.pop((change.node, change.address), None)

    def link(self, change: LinkChange) -> None:
        """The kernel of a node reported a link."""
        _history(self._links, change.node).append(change)
        if len(self.interfaces) < CLAIMS or (change.node, change.interface) in self.interfaces:
            self.interfaces[change.node, change.interface] = change

    def neighbour(self, message: Neighbour) -> None:
        """A message that claims an address is kept; a question is not."""
        if message.kind is not NeighbourKind.REQUEST:
            self._claims.append(message)

    def changes(self, addresses: Iterable[str]) -> tuple[AddressChange, ...]:
        """Changes of the given addresses, oldest first, by node."""
        wanted = set(addresses)
        return tuple(change for history in self._changes.values() for change in history if change.address in wanted)

    def holds(self, node: str, address: str) -> bool:
        """Whether a node has an address, by its kernel."""
        return (node, address) in self._present

    def lacks(self, node: str, address: str) -> bool:
        """Whether a node is known not to have an address."""
        return node in self._listed and not self.holds(node, address)

    def links(self) -> tuple[LinkChange, ...]:
        """Changes of all links, oldest first, by node."""
        return tuple(change for history in self._links.values() for change in history)

    def claims(self, addresses: Iterable[str]) -> tuple[Neighbour, ...]:
        """Messages that claim one of the addresses, oldest first."""
        wanted = set(addresses)
        return tuple(message for message in self._claims if message.sender in wanted)

    def owners(self, routers: Mapping[str, str | None], taps: Mapping[str, str]) -> dict[str, str]:
        """Router address to the observing node that has it, where its addresses or links are followed.

        ``routers`` tells the MAC address of each. A node's own events need not name its router address (`ip monitor` tells
        changes only); then the MAC address of a link does, or ``taps``, concluded from its frames.
        """
        wanted = set(routers)
        followed = self._changes.keys() | self._links.keys()
        concluded = {router: node for router, node in taps.items() if router in wanted and node in followed}
        links = {change.mac: node for node, history in self._links.items() for change in history if change.mac is not None}
        concluded |= {router: links[mac] for router, mac in routers.items() if mac in links and not mac.startswith(VIRTUAL_MAC)}
        return concluded | {address: node for node, address in self._present if address in wanted}


def _history(table: dict[str, deque[_T]], node: str) -> deque[_T]:
    if node not in table and len(table) >= NODES:
        table.pop(next(iter(table)))
    return table.setdefault(node, deque(maxlen=CHANGES))
