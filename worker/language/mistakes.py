"""What is wrong in a definitions file or a mapping, and where.

A mistake is told to the person who wrote the file: in which definition, at what spot, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["DefinitionsError", "MappingError", "Mistake"]


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake: `line` and `column` count from 1, `definition` is an id, such as `vip` or `value_tier:high`.

    Where there is no id `definition` is the place in the file, such as `caps[0]` or `timezone`, and empty where the
    file as a whole is meant. `nearest` is the valid name nearest to the one written, if one is near.
    """

    line: int
    column: int
    definition: str
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}"
        owner = f", {self.definition}" if self.definition else ""
        hint = f" (nearest: {self.nearest})" if self.nearest is not None else ""
        return f"{where}{owner}: {self.message}{hint}"


class DefinitionsError(Exception):
    """All mistakes of a file, in the order of the file; printed, one to a line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes), key=lambda mistake: (mistake.line, mistake.column, mistake.message))
        super().__init__("\n".join(map(str, self.mistakes)))


class MappingError(DefinitionsError):
    """The same of a mapping of events or of columns."""
