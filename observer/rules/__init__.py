"""The rules: one cause a file, each a pure function from a view of the flap to a finding, or to the reason why not.

``RULES`` is the order in which they are asked, most specific first; at equal confidence the earlier one is believed.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from observer.model.verdicts import Cause, Finding
from observer.rules import (
    address_removed,
    adverts_rejected,
    check_failed,
    daemon_killed,
    daemon_stalled,
    election,
    link_down,
    moved_outside_vrrp,
    node_lost,
    partition,
    preempted,
    receiver_deaf,
    reloaded,
    stopped,
    unexplained,
    vrid_conflict,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from observer.rules.view import FlapView


@dataclass(frozen=True, slots=True)
class Rule:
    """A cause with its rule."""

    cause: Cause
    find: Callable[[FlapView], Finding | str | None]
    """A finding, why the cause is ruled out, or None where nothing of the kind could be seen."""
    description: str
    """What an operator reads: on the wire, what to do, not to be confused with."""


def _rule(cause: Cause, module: ModuleType) -> Rule:
    return Rule(cause, module.find, inspect.cleandoc(module.__doc__ or ""))


RULES: tuple[Rule, ...] = (
    _rule(Cause.VRID_CONFLICT, vrid_conflict),
    _rule(Cause.MOVED_OUTSIDE_VRRP, moved_outside_vrrp),
    _rule(Cause.LINK_DOWN, link_down),
    _rule(Cause.ADDRESS_REMOVED, address_removed),
    _rule(Cause.RELOADED, reloaded),
    _rule(Cause.CHECK_FAILED, check_failed),
    _rule(Cause.STOPPED, stopped),
    _rule(Cause.PARTITION, partition),
    _rule(Cause.ADVERTS_REJECTED, adverts_rejected),
    _rule(Cause.RECEIVER_DEAF, receiver_deaf),
    _rule(Cause.PREEMPTED, preempted),
    _rule(Cause.DAEMON_STALLED, daemon_stalled),
    _rule(Cause.DAEMON_KILLED, daemon_killed),
    _rule(Cause.NODE_LOST, node_lost),
    _rule(Cause.UNEXPLAINED, unexplained),
)

DESCRIPTIONS: dict[str, str] = {rule.cause.value: rule.description for rule in RULES} | {
    "election": inspect.cleandoc(election.__doc__ or "")
}
"""Every word that a verdict or an election may use as its cause, with what it means."""
