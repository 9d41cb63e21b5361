"""``virtual_ipaddress``, ``virtual_ipaddress_excluded`` and ``unicast_peer``: addresses and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.keepalived.model import VirtualAddress
from observer.keepalived.values import address

if TYPE_CHECKING:
    from observer.keepalived.blocks import Statement
    from observer.keepalived.notes import Notes

_WITH_VALUE = frozenset({"brd", "broadcast", "dev", "scope", "label", "peer", "preferred_lft", "track_group"})
_ALONE = frozenset({"home", "-nodad", "nodad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac"})


def virtual_addresses(statement: Statement, notes: Notes) -> list[VirtualAddress]:
    """The entries of a block, one to a line; keepalived goes on without what it does not understand."""
    found = (_virtual_address(item, notes) for item in statement.block)
    return [item for item in found if item is not None]


def _virtual_address(item: Statement, notes: Notes) -> VirtualAddress | None:
    parsed = address(item.keyword)
    if parsed is None:
        notes.problem(item, "not an address", "the line is left out")
        return None
    options: dict[str, str] = {}
    words = iter(item.words[1:])
    for word in words:
        if word in _WITH_VALUE:
            options[word] = next(words, "")
        elif word not in _ALONE:
            notes.problem(item, "an option that keepalived does not know", "it is left out")
    text, prefix = parsed
    label = None if ":" in text else options.get("label")
    return VirtualAddress(text, prefix, options.get("dev") or None, label or None)


def peers(statement: Statement, notes: Notes) -> list[str]:
    """The addresses of ``unicast_peer``, one to a line, without ``min_ttl`` and ``max_ttl``."""
    found = []
    for item in statement.block:
        parsed = address(item.keyword)
        if parsed is None:
            notes.problem(item, "unicast_peer: not an address", "the line is left out")
        else:
            found.append(parsed[0])
    return found
