"""Where the proxy listens on this node, as far as the wire, the rules and the operator say; shared by the looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Services:
    """Each attribute is replaced whole, so that any thread may read it."""

    def __init__(self, ports: Iterable[int] = ()) -> None:
        self.configured: tuple[int, ...] = tuple(ports)
        """Ports that the operator named; empty: find them."""
        self.virtual: Mapping[str, frozenset[int]] = {}
        """Virtual addresses, and the ports at which they were seen to serve."""
        self.redirects: Mapping[tuple[str, int], int] | None = None
        """Address and port to the port on this node that a rule sends them to; None: rules cannot be read here."""
