"""From logical lines to statements and blocks: words, quotes and braces. No keyword is known here but those of passwords."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observer.keepalived.lines import DEPTH
from observer.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observer.keepalived.lines import Line

_WORD = re.compile(r'"([^"]*)"?|([^\s"]+)', re.ASCII)


@dataclass(slots=True)
class Statement:
    """A keyword with its words and, where braces follow it, the statements between them."""

    words: tuple[str, ...]
    file: str
    line: int
    block: list[Statement] = field(default_factory=list)

    @property
    def keyword(self) -> str:
        """The first word."""
        return self.words[0]

    @property
    def place(self) -> str:
        """As every message begins."""
        return f"{self.file}:{self.line}"

    def word(self, index: int) -> str | None:
        """A word by position, if there is one."""
        return self.words[index] if index < len(self.words) else None


def statements(lines: Iterable[Line]) -> list[Statement]:
    """The statements of a configuration; a brace may stand on its keyword's line or on the next. Raises ConfigError."""
    top: list[Statement] = []
    open_blocks: list[Statement] = []
    may_open: Statement | None = None
    for line in lines:
        within = open_blocks[-1].block if open_blocks else top
        if line.text == "{":
            if may_open is None:
                raise ConfigError(f"{line.place}: a block begins without a keyword; remove the brace or name the block")
            if len(open_blocks) >= DEPTH:
                raise ConfigError(f"{line.place}: blocks are nested too deeply; a closing brace is missing before")
            open_blocks.append(may_open)
            may_open = None
        elif line.text == "}":
            if not open_blocks:
                raise ConfigError(f"{line.place}: a closing brace too many; remove it or open the block that it closes")
            open_blocks.pop()
            may_open = None
        elif words := _words(line.text):
            may_open = Statement(_without_secret(words, open_blocks), line.file, line.number)
            within.append(may_open)
    if open_blocks:
        begun = open_blocks[-1]
        raise ConfigError(f"{begun.place}: the block that begins here is not closed; add a closing brace")
    return top


def _words(text: str) -> tuple[str, ...]:
    """Words between white space; double quotes keep what they enclose together, and end a word."""
    return tuple(match[1] if match[1] is not None else match[2] for match in _WORD.finditer(text))


def _without_secret(words: tuple[str, ...], open_blocks: list[Statement]) -> tuple[str, ...]:
    """The words of a statement, without those of ``auth_pass`` and anything else that may be secret in ``authentication``."""
    within = any(block.keyword == "authentication" for block in open_blocks)
    if words[0] == "auth_type" or not (within or words[0].startswith("auth_")):
        return words
    # What follows a password that held a white space or brace may be the rest of it.
    return (words[0] if words[0] == "auth_pass" else "",)
