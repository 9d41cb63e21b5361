"""The whole way from a file's name to a Configuration, without touching a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from observer.keepalived import resolve, routers
from observer.keepalived.blocks import statements
from observer.keepalived.lines import Reader
from observer.keepalived.model import Configuration
from observer.keepalived.notes import Notes
from observer.keepalived.tracks import CHECK_BLOCKS, check
from observer.keepalived.values import integer, switch

if TYPE_CHECKING:
    from observer.keepalived.blocks import Statement
    from observer.keepalived.lines import Files
    from observer.keepalived.model import Check, CheckKind

_K = TypeVar("_K")
_V = TypeVar("_V")


def parse(path: str, files: Files, config_id: str | None = None) -> Configuration:
    """Read a configuration. ``config_id`` is what ``@id`` lines are compared with (keepalived: host name up to the first dot).

    Raises ConfigError, of one line, where the file cannot be read or its blocks, quotes or sequences are broken.
    """
    reader = Reader(files, config_id)
    top = statements(reader.lines(path))
    return _configuration(top, Notes(reader.problems), tuple(reader.files_read))


def parse_text(text: str, name: str = "keepalived.conf", config_id: str | None = None) -> Configuration:
    """Read a configuration from text; its includes find nothing. Raises ConfigError."""
    return parse(name, _Text(text), config_id)


class _Text:
    def __init__(self, text: str) -> None:
        self._text = text

    def find(self, directory: str, pattern: str) -> list[str]:  # noqa: ARG002
        return []

    def read(self, path: str) -> str:  # noqa: ARG002
        return self._text

    def directory(self, path: str) -> str:  # noqa: ARG002
        return "."


def _configuration(top: list[Statement], notes: Notes, files: tuple[str, ...]) -> Configuration:
    defaults = resolve.Defaults()
    checks: dict[tuple[CheckKind, str], Check] = {}
    raw_groups: dict[str, routers.RawGroup] = {}
    raw_instances: dict[str, routers.RawInstance] = {}
    for statement in top:
        name = statement.word(1) or ""
        if statement.keyword == "global_defs":
            _global(statement, defaults, notes)
        elif statement.keyword in CHECK_BLOCKS:
            found = check(statement, notes)
            if found is not None:
                _once(checks, (found.kind, found.name), found, statement, notes)
        elif statement.keyword == "vrrp_sync_group":
            _once(raw_groups, name, routers.group(statement, checks, notes), statement, notes)
        elif statement.keyword == "vrrp_instance":
            _once(raw_instances, name, routers.instance(statement, checks, notes), statement, notes)
        else:
            notes.ignore(statement)
    groups = resolve.groups(tuple(raw_groups.values()), raw_instances, notes)
    member_of = {member: group for group in groups for member in group.members}
    instances = []
    for name, raw in raw_instances.items():
        group = member_of.get(name)
        own_weights = group is not None and raw_groups[group.name].own_weights
        if instance := resolve.instance(raw, group, own_weights, defaults, notes):
            instances.append(instance)
    return Configuration(
        instances=tuple(instances),
        checks=tuple(checks.values()),
        sync_groups=groups,
        version=defaults.version,
        router_id=defaults.router_id,
        files=files,
        ignored=notes.ignored,
        problems=tuple(notes.problems),
    )


def _once(known: dict[_K, _V], key: _K, value: _V, statement: Statement, notes: Notes) -> None:
    """The first block of a name counts."""
    if key in known:
        notes.problem(statement, f"{statement.keyword} {statement.word(1) or ''} is defined twice", "the first counts")
    else:
        known[key] = value


def _global(statement: Statement, defaults: resolve.Defaults, notes: Notes) -> None:
    """``global_defs``."""
    for item in statement.block:
        match item.keyword:
            case "vrrp_version":
                defaults.version = notes.value(item, integer(item.word(1), 2, 3), defaults.version)
            case "router_id":
                defaults.router_id = item.word(1)
            case "vrrp_min_garp":
                defaults.min_garp = switch(item.word(1))
            case "vrrp_down_timer_adverts":
                defaults.down_timer_adverts = notes.value(item, integer(item.word(1), 1, 100), defaults.down_timer_adverts)
            case keyword if keyword.startswith("vrrp_") and keyword.removeprefix("vrrp_") in routers.GARP:
                if (value := routers.garp(item, notes)) is not None:
                    defaults.garp[keyword.removeprefix("vrrp_")] = value
            case _:
                notes.ignore(item)
