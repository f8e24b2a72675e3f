"""A condition's text -> a checked tree.

The one way to a tree (`clauses.py`) is `parse`. Text is parsed, never evaluated as Python, and a tree that exists is
right: names known, types fitting, nesting and length bounded.
"""

from __future__ import annotations

from typing import Final

from worker.language.clauses import Condition
from worker.language.grammar import Reader
from worker.language.tokens import ConditionMistake, tokenize
from worker.language.vocabulary import Vocabulary

__all__ = ["LENGTH_MAX", "ConditionError", "parse"]

LENGTH_MAX: Final = 8192


class ConditionError(Exception):
    """All mistakes of one condition, in order of offset."""

    def __init__(self, mistakes: list[ConditionMistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.offset))
        super().__init__("; ".join(f"at {mistake.offset}: {mistake.message}" for mistake in self.mistakes))


def parse(text: str, vocabulary: Vocabulary) -> Condition:
    """Return the condition written in `text`.

    >>> parse('member("vip")', Vocabulary(segments=["vip"]))
    Member(segment='vip', text='member("vip")')

    Raises ConditionError with everything that is wrong.
    """
    if len(text) > LENGTH_MAX:
        raise ConditionError([ConditionMistake(LENGTH_MAX, f"keep a condition within {LENGTH_MAX} characters")])
    mistakes: list[ConditionMistake] = []
    condition = Reader(tokenize(text, mistakes), vocabulary, mistakes).condition()
    if mistakes:
        raise ConditionError(mistakes)
    return condition
