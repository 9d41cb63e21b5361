"""The disk: the only place of this package that touches it."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from observer.keepalived.parse import parse
from observer.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from observer.keepalived.model import Configuration

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that are read; a configuration is some kilobytes."""
_BRACES = re.compile(r"\{([^{}]*)\}")
ALTERNATIVES = 4096
"""Patterns that the braces of one pattern may stand for."""
TOLD = 10
"""Problems of a configuration that are told one by one."""


def load(path: str | os.PathLike[str], config_id: str | None = None) -> Configuration:
    """Read a keepalived.conf and what it includes.

    ``config_id`` is keepalived's ``-i``; None takes what keepalived takes: this host's name up to its first dot. For another
    node's file, give that node's.

    Raises ConfigError, of one line, for what cannot be read, and where no ``vrrp_instance`` is valid: nearly any text passes for
    statements that nobody knows, so only that tells a configuration from something else.
    """
    name = os.fspath(path)
    found = parse(name, Disk(), os.uname().nodename.partition(".")[0] if config_id is None else config_id)
    if found.instances:
        return found
    if not found.problems:
        raise ConfigError(f"no vrrp_instance in {name}; give the keepalived.conf of the node")
    more = len(found.problems) - 1
    raise ConfigError(f"no valid vrrp_instance in {name}: {found.problems[0]}" + (f"; and {more} more" if more else ""))


def remarks(configuration: Configuration) -> Iterator[str]:
    """The problems of a configuration for who gave it: ``TOLD`` of them, a line each, and a line that counts the rest."""
    yield from configuration.problems[:TOLD]
    if (more := len(configuration.problems) - TOLD) > 0:
        yield f"{configuration.files[0]}: and {more} more"


class Disk:
    """Files as keepalived finds them: glob patterns with csh braces, regular files only."""

    def find(self, directory: str, pattern: str) -> list[str]:
        """See ``lines.Files``."""
        # Path.glob takes no absolute patterns.
        found = (glob.glob(str(Path(directory, each))) for each in _alternatives(pattern))  # noqa: PTH207
        paths = (path for each in found for path in sorted(each))
        return [path for path in paths if Path(path).is_file()]

    def read(self, path: str) -> str:
        """See ``lines.Files``."""
        with Path(path).open("rb") as file:
            return file.read(LARGEST).decode(errors="replace")

    def directory(self, path: str) -> str:
        """See ``lines.Files``."""
        return str(Path(path).parent)


def _alternatives(pattern: str) -> list[str]:
    """A pattern's csh braces written out, the innermost first: ``a{b,c}`` is ``ab`` and ``ac``."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        each = waiting.pop(0)
        match = _BRACES.search(each)
        if match is None:
            done.append(each)
            continue
        waiting[:0] = [each[: match.start()] + part + each[match.end() :] for part in match[1].split(",")]
        if len(waiting) + len(done) > ALTERNATIVES:
            raise OSError(0, "the pattern stands for too many paths")
    return done
