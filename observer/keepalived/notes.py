"""What is left out and why, gathered while a configuration is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from observer.keepalived.blocks import Statement

_T = TypeVar("_T")


class Notes:
    """Counts what is not needed; keeps what keepalived would log and go on without."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self.ignored = 0

    def ignore(self, statement: Statement) -> None:
        """A statement that the observer has no use for, or that nobody knows; all within it goes with it."""
        pending = [statement]
        while pending:
            self.ignored += 1
            pending.extend(pending.pop().block)

    def problem(self, statement: Statement, what: str, follows: str) -> None:
        """Something that keepalived says is not valid; ``what`` may quote names, never values."""
        self.problems.append(f"{statement.place}: {what}; {follows}")

    def value(self, statement: Statement, value: _T | None, instead: _T, keyword: str | None = None) -> _T:
        """A value, or what keepalived takes instead where it is not valid."""
        if value is None:
            self.problem(statement, f"{keyword or statement.keyword} is missing, not a number or out of range", "not taken")
            return instead
        return value
