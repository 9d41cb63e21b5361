"""Labs with an agent on every master."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from lab import MASTERS, Lab, Setting
from lab.agents import Agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Watched = Callable[..., AbstractContextManager[tuple[Lab, dict[str, Agent]]]]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A lab that runs, with clients, watched from every master."""

    @contextmanager
    def build(
        setting: Setting, *, clients: int = 0, flags: Callable[[Lab, str], tuple[str, ...]] | None = None
    ) -> Iterator[tuple[Lab, dict[str, Agent]]]:
        with Lab(setting, tmp_path) as lab:
            lab.start()
            agents = {node: Agent(lab, node, *(flags(lab, node) if flags else ())).start() for node in MASTERS}
            lab.wait_active()
            for agent in agents.values():
                agent.wait_ready()
            if clients:
                lab.start_clients(clients)
            yield lab, agents

    return build
