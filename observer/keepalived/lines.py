"""From files to logical lines, as keepalived reads them: comments, includes, definitions, conditions, sequences and lists.

keepalived.conf(5) "ADVANCED CONFIGURATION" is the specification. Nothing here knows a keyword but ``include``. An error never
quotes what it found, for that may be a password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from observer.keepalived.sequences import is_sequence, sequence
from observer.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 250_000
"""Lines after all expansion; more is a mistake in a sequence or a definition that contains itself."""
DEPTH = 32
"""Includes within includes, and definitions within definitions; more is a loop."""
REPLACEMENTS = 1_000
"""Definitions used in one line, those within definitions included."""
LENGTH = 65_536
"""Characters of a line after substitution."""

_DEFINITION = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)", re.DOTALL)
_USE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)((?: +[0-9]+)*)\}|([A-Za-z_][A-Za-z0-9_]*)(?=[ \t,)]|$))")
_INCLUDE = re.compile(r"include([rmwba]?)[ \t]+(.*)", re.DOTALL)
_COMMENT = re.compile(r'\\.|[!#"]', re.DOTALL)
_BRACE = re.compile(r'"[^"]*"|[{}]|"')


class Line(NamedTuple):
    """A piece of a line that is either a brace or text without one (outside quotes), and where it was written."""

    text: str
    file: str
    number: int

    @property
    def place(self) -> str:
        """As every message begins."""
        return f"{self.file}:{self.number}"


class Files(Protocol):
    """How files are reached; the only way out of the parser. Both raise OSError."""

    def find(self, directory: str, pattern: str) -> list[str]:
        """The paths that a glob pattern matches, sorted; a relative pattern starts at ``directory``."""

    def read(self, path: str) -> str:
        """The text of a file."""

    def directory(self, path: str) -> str:
        """Where the patterns of a file's own includes start."""


class Reader:
    """Reads one configuration; ``files_read`` and ``problems`` are filled as ``lines`` goes."""

    def __init__(self, files: Files, config_id: str | None) -> None:
        self._files = files
        self._config_id = config_id
        self._definitions: dict[str, list[str]] = {"_HASH": ["#"], "_BANG": ["!"]}
        if config_id is not None:
            self._definitions["_INSTANCE"] = [config_id]
        self._count = 0
        self.files_read: list[str] = []
        self.problems: list[str] = []

    def lines(self, path: str, depth: int = 0) -> Iterator[Line]:
        """The lines of a file and of all that it includes. Raises ConfigError."""
        try:
            text = self._files.read(path)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror or 'cannot be read'}; check the path and its permissions") from None
        self.files_read.append(path)
        directory = self._files.directory(path)
        self._definitions["_PWD"] = [directory]
        growing: list[str] | None = None
        for number, physical in enumerate(text.split("\n"), 1):
            place = Line("", path, number)
            # The C library's string functions see nothing after a NUL.
            raw = physical.partition("\0")[0].rstrip("\r")
            line = _without_comment(raw, place)
            if growing is not None:
                growing = _grown(growing, raw, line)
                continue
            for piece in self._expanded(line, place):
                if isinstance(piece, list):
                    growing = piece
                elif include := _INCLUDE.fullmatch(piece.text):
                    yield from self._included(include[2].strip(), include[1], directory, place, depth)
                    self._definitions["_PWD"] = [directory]
                else:
                    yield piece

    def _included(self, pattern: str, check: str, directory: str, place: Line, depth: int) -> Iterator[Line]:
        if depth >= DEPTH:
            raise ConfigError(f"{place.place}: includes within includes are too deep; remove the file that includes itself")
        try:
            paths = self._files.find(directory, pattern.strip('"'))
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise ConfigError(f"{place.place}: include: {reason}; check the path and its permissions") from None
        if not paths:
            what = f"include{check} matches no file"
            if check:
                raise ConfigError(f"{place.place}: {what}; correct the pattern, or use include where there may be none")
            self.problems.append(f"{place.place}: {what}; nothing was included")
        for path in paths:
            yield from self.lines(path, depth + 1)

    def _expanded(self, text: str, place: Line) -> Iterator[Line | list[str]]:
        """Pieces of a line; a list is the body of a definition that goes on in the lines that follow."""
        waiting: list[Iterator[str]] = [iter((text,))]
        while waiting:
            line = next(waiting[-1], None)
            if line is None:
                waiting.pop()
                continue
            self._count += 1
            if self._count > LIMIT:
                raise ConfigError(f"{place.place}: more than {LIMIT} lines after expansion; check the sequences and definitions")
            line = line.strip(" \t")
            condition = self._condition(line)
            if condition is None:
                continue
            if definition := _DEFINITION.fullmatch(condition):
                growing = self._define(definition[1], definition[2])
                if growing is not None:
                    yield growing
                continue
            if is_sequence(condition):
                head, closing, rest = condition.partition(")")
                arguments, more = self._substituted(head + closing, place)
                if more:
                    raise ConfigError(f"{place.place}: a definition of several lines in {head[:4]}; use one of a single line")
                waiting.append(self._repeated(arguments, rest, place))
                continue
            if condition.startswith("~"):
                raise ConfigError(f"{place.place}: not a block that is understood; only ~SEQ, ~SEQx and ~LST are")
            result, more = self._substituted(condition, place)
            if more:
                waiting.append(iter(more))
            if result != condition:
                waiting.append(iter((result,)))
            elif condition:
                # The pattern of an include may hold braces of its own.
                piece, rest = (condition, "") if _INCLUDE.fullmatch(condition) else _first_piece(condition)
                if rest:
                    waiting.append(iter((rest,)))
                yield Line(piece, place.file, place.number)

    def _condition(self, line: str) -> str | None:
        """The line behind ``@id`` or ``@^id``; None where it is not for this configuration id."""
        if not line.startswith("@"):
            return line
        word, *rest = re.split(r"[ \t]+", line, maxsplit=1)
        negated = word.startswith("@^")
        matches = self._config_id is not None and word[2 if negated else 1 :] == self._config_id
        return rest[0] if rest and matches != negated else None

    def _define(self, name: str, value: str) -> list[str] | None:
        several = value.endswith("\\")
        first = value.removesuffix("\\").rstrip(" \t") if several else value
        body = [first] if first or not several else []
        self._definitions[name] = body
        return body if several else None

    def _repeated(self, arguments: str, text: str, place: Line) -> Iterator[str]:
        for values in sequence(arguments, place.place):
            for name, value in values:
                self._definitions[name] = [value]
            yield text

    def _substituted(self, line: str, place: Line) -> tuple[str, list[str]]:
        """The line with the definitions it uses, and the lines that follow it where one of them had several.

        Replacement is recursive and happens where a definition is used, not where it is made.
        """
        more: list[str] = []
        start = 0
        for _ in range(REPLACEMENTS):
            use = _USE.search(line, start)
            if use is None:
                return line, more
            body = self._value(use, place)
            if body is None or (len(body) > 1 and use.end() != len(line)):
                start = use.start() + 1
                continue
            more = [*body[1:], *more]
            first = body[0] if body else ""
            line = line[: use.start()] + first + line[use.end() :]
            start = use.start()
            if len(line) > LENGTH or len(more) > LIMIT:
                break
            if first.lstrip(" \t").startswith("~"):
                return line, more
        raise ConfigError(f"{place.place}: a definition grows without end; remove the one that contains itself")

    def _value(self, use: re.Match[str], place: Line) -> list[str] | None:
        name = use[1] or use[3]
        if name == "_RANDOM":
            low = (use[2] or "").split() or ["0"]
            self.problems.append(f"{place.place}: ${{_RANDOM}} is known to the running keepalived only; taken as {int(low[0])}")
            return [str(int(low[0]))]
        return None if use[2] else self._definitions.get(name)


def _grown(body: list[str], raw: str, line: str) -> list[str] | None:
    """A definition of several lines with one more; None where that was its last.

    A blank line ends it; one that is blank but for a comment does not.
    """
    if not line:
        return body if raw else None
    if text := line.removesuffix("\\").rstrip(" \t"):
        body.append(text)
    return body if line.endswith("\\") else None


def _without_comment(line: str, place: Line) -> str:
    r"""The line up to the first ``!`` or ``#`` outside double quotes; ``\!`` and ``\#`` stand for themselves."""
    kept, start, quoted = [], 0, False
    for match in _COMMENT.finditer(line):
        found = match[0]
        if found == '"':
            quoted = not quoted
        elif not quoted and found in ("\\!", "\\#"):
            kept.append(line[start : match.start()])
            start = match.start() + 1
        elif not quoted and found in "!#":
            return ("".join(kept) + line[start : match.start()]).strip(" \t")
    if quoted:
        raise ConfigError(f"{place.place}: a quote is not closed; close it on the same line")
    return ("".join(kept) + line[start:]).strip(" \t")


def _first_piece(line: str) -> tuple[str, str]:
    """A brace, or the text before the first one outside double quotes; and what follows it."""
    if line[0] in "{}":
        return line[0], line[1:].strip(" \t")
    for match in _BRACE.finditer(line):
        if match[0] in "{}":
            return line[: match.start()].strip(" \t"), line[match.start() :]
        if match[0] == '"':
            break
    return line, ""
