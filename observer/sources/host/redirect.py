"""Rules that send connections to a virtual address to the proxy's own port (nf_tables, iptables-nft's among them).

Reading rules takes CAP_NET_ADMIN in this network namespace. Only chains that see connections before routing are read, and of
these only their own rules: the thousands of chains of a service mesh are not.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from observer.model.addresses import address_text
from observer.model.errors import SourceError
from observer.model.host import HostSample
from observer.sources.host.netlink import Netlink, attributes, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observer.sources.host.services import Services

CHAINS = 20
"""Looks from one reading of the list of chains to the next."""

_NETLINK_NETFILTER = 12
_GETCHAIN, _GETRULE = 10 << 8 | 4, 10 << 8 | 7
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN and NFT_MSG_GETRULE (linux/netfilter/nf_tables.h)."""
_FAMILIES = (1, 2, 10)
"""NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6."""
_PREROUTING = 0
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 1, 3, 4, 7
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4

Chain = tuple[int, bytes, bytes]
"""Family, table, name."""


class Redirect:
    """Looks for the rules, and tells ``Services`` where they lead."""

    name = "redirect"
    interval = 3.0

    def __init__(self, node: str, services: Services, legacy: Path = Path("/proc/self/net/ip_tables_names")) -> None:
        self._node = node
        self._services = services
        self._legacy = legacy
        self._netlink = Netlink(_NETLINK_NETFILTER)
        self._chains: list[Chain] = []
        self._rest = 0
        self._seen: set[tuple[str, int]] = set()

    def look(self, now: int) -> Iterator[HostSample]:
        """A sample for each redirected port of a virtual address. Raises OSError, SourceError where rules cannot be read."""
        try:
            self._rest -= 1
            if self._rest < 0:
                self._chains = list(self._base_chains())
                self._rest = CHAINS
            found = {key: target for chain in self._chains for key, target in self._redirects(chain)}
        except PermissionError as error:
            self._services.redirects = None
            raise SourceError("firewall rules cannot be read without CAP_NET_ADMIN") from error
        except FileNotFoundError:
            # A chain is gone since its list was read.
            self._rest = 0
            found = {}
        if not found and not self._seen and "nat" in _legacy(self._legacy):
            self._services.redirects = None
            raise SourceError("rules of iptables-legacy are not read: set service_ports")
        virtual = self._services.virtual
        found = {key: target for key, target in found.items() if not virtual or key[0] in virtual}
        self._services.redirects = found
        self._seen |= set(found)
        for address, port in sorted(self._seen):
            yield HostSample(
                time=now,
                node=self._node,
                source=self.name,
                subject=f"{address} port {port}",
                redirected=(address, port) in found,
            )

    def close(self) -> None:
        """Close the netlink socket."""
        self._netlink.close()

    def _base_chains(self) -> Iterator[Chain]:
        """Chains of the type nat at the hook before routing."""
        for piece in self._netlink.dump(_GETCHAIN, bytes(4)):
            for body in messages(piece):
                found = dict(attributes(body, 4))
                hook = dict(attributes(found.get(_CHAIN_HOOK, b"")))
                number = int.from_bytes(hook.get(1, b"\xff"), "big")
                if body[0] in _FAMILIES and found.get(_CHAIN_TYPE) == b"nat\0" and number == _PREROUTING:
                    yield body[0], found[_CHAIN_TABLE], found[_CHAIN_NAME]

    def _redirects(self, chain: Chain) -> Iterator[tuple[tuple[str, int], int]]:
        family, table, name = chain
        request = struct.pack("=BBH", family, 0, 0) + _attribute(_RULE_TABLE, table) + _attribute(_RULE_CHAIN, name)
        for piece in self._netlink.dump(_GETRULE, request):
            for body in messages(piece):
                fields = dict(attributes(body, 4))
                if (fields.get(_RULE_TABLE), fields.get(_RULE_CHAIN)) == (table, name):
                    redirect = of_rule(fields.get(_RULE_EXPRESSIONS, b""))
                    if redirect is not None:
                        yield redirect


def of_rule(expressions: bytes) -> tuple[tuple[str, int], int] | None:
    """Address, port and the port on this node that a rule sends them to; None for a rule that does no such thing."""
    loaded: tuple[str, int, int] | None = None
    immediate: dict[int, bytes] = {}
    address: bytes | None = None
    port = target = None
    for _, element in attributes(expressions):
        parts = dict(attributes(element))
        name, data = parts.get(1, b"").rstrip(b"\0"), dict(attributes(parts.get(2, b"")))
        if name == b"payload":
            loaded = ("payload", _number(data, 2), _number(data, 3))
        elif name == b"cmp" and loaded is not None and _number(data, 2) == 0:
            value = dict(attributes(data.get(3, b""))).get(1, b"")
            if loaded[1] == 1 and (loaded[2], len(value)) in ((16, 4), (24, 16)):
                address = value
            elif loaded[1] == 2 and len(value) in (2, 4):
                # Two octets: the destination port; four: both ports, of which a mask left the latter.
                port = int.from_bytes(value[-2:], "big") if loaded[2] == 2 or len(value) == 4 else port
        elif name == b"immediate":
            immediate[_number(data, 1)] = dict(attributes(data.get(2, b""))).get(1, b"")
        elif name == b"redir":
            target = int.from_bytes(immediate.get(_number(data, 1), b"")[:2], "big") or port
        elif name == b"match" and data.get(1, b"").rstrip(b"\0") == b"tcp":
            # xt_tcp: source ports, destination ports (from, to), in host order.
            ports = struct.unpack_from("=4H", data.get(3, b"").ljust(8, b"\0"))
            port = ports[2] if ports[2] == ports[3] else None
        elif name == b"target" and data.get(1, b"").rstrip(b"\0") == b"REDIRECT":
            target = _xt_redirect(data.get(3, b""))
    if address is None or port is None or not target:
        return None
    return (address_text(address), port), target


def _xt_redirect(info: bytes) -> int | None:
    """The port of iptables' REDIRECT target: nf_nat_range in IPv6, nf_nat_ipv4_multi_range_compat, which is shorter, in IPv4."""
    at = 36 if len(info) >= 38 else 16
    return int.from_bytes(info[at : at + 2], "big") or None


def _number(data: dict[int, bytes], key: int) -> int:
    return int.from_bytes(data.get(key, b""), "big")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _legacy(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
