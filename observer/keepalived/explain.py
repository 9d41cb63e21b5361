"""The nodes' configurations as the engine asks them: which checks explain what a virtual router did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.keepalived.steps import explain_step, faulting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from observer.keepalived.model import Configuration, Instance
    from observer.model.flaps import VirtualRouter


class Configurations:
    """One configuration for each node; answers None for what they do not name."""

    def __init__(self, nodes: Mapping[str, Configuration]) -> None:
        self._nodes = nodes

    def step(self, node: str, router: VirtualRouter, before: int, after: int) -> tuple[tuple[str, ...], ...] | None:
        """Sets of checks whose failure takes the priority from one value to the other."""
        instance = self._instance(node, router)
        return None if instance is None else explain_step(self._nodes[node], instance, before, after)

    def faulting(self, node: str, router: VirtualRouter) -> tuple[str, ...] | None:
        """Checks whose failure puts the virtual router in FAULT."""
        instance = self._instance(node, router)
        return None if instance is None else faulting(instance)

    def named(self, node: str, router: VirtualRouter) -> tuple[str, str | None] | None:
        """What the virtual router is called in keepalived's log, and the interface that it works on."""
        instance = self._instance(node, router)
        return None if instance is None else (instance.name, instance.interface)

    def _instance(self, node: str, router: VirtualRouter) -> Instance | None:
        configuration = self._nodes.get(node)
        found = [
            instance
            for instance in (configuration.instances if configuration is not None else ())
            if (instance.vrid, instance.family) == (router.vrid, router.family)
        ]
        if len(found) > 1:
            found = [instance for instance in found if instance.interface == router.interface]
        return found[0] if len(found) == 1 else None
