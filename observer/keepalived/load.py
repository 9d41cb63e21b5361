"""The disk: the only place of this package that touches it."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from observer.keepalived.parse import parse

if TYPE_CHECKING:
    from observer.keepalived.model import Configuration

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that are read; a configuration is some kilobytes."""
_BRACES = re.compile(r"\{([^{}]*)\}")
ALTERNATIVES = 4096
"""Patterns that the braces of one pattern may stand for."""


def load(path: str | os.PathLike[str], config_id: str | None = None) -> Configuration:
    """Read a keepalived.conf and what it includes. Raises ConfigError, of one line.

    ``config_id`` is keepalived's ``-i``; None takes what keepalived takes: this host's name up to its first dot. For another
    node's file, give that node's.
    """
    return parse(os.fspath(path), Disk(), os.uname().nodename.partition(".")[0] if config_id is None else config_id)


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
