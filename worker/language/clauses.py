"""A condition as a tree: what the parser makes of its text, and what reads it.

Numbers are floats (durations in seconds), texts are strings. The rule: a tree that exists is right. Its names are
known, its types fit, and it is at most `NESTING_MAX` deep, so nothing that walks one has to check again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "NESTING_MAX", "And", "Arithmetic", "Comparison", "Condition", "Constant", "Member", "Negative", "Not", "OneOf",
    "Operand", "Or", "Read", "clauses", "meaning", "reads",
]  # fmt: skip

NESTING_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or a text, as written."""

    value: float | str


@dataclass(frozen=True, slots=True)
class Read:
    """A feature by name; the calls `interest`, `trait`, `percentile`, `probability` have their `argument`."""

    feature: str
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left operator right`, in numbers."""

    operator: Literal["+", "-", "*", "/"]
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Negative:
    """`-operand`; of a constant it is a constant instead."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Comparison:
    """A clause; `text` is its source, white space made single spaces."""

    operator: Literal["==", "!=", "<", "<=", ">", ">="]
    left: Operand
    right: Operand
    text: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """`left in (…)`, a clause: true if `left` equals one of the values."""

    left: Operand
    values: tuple[float | str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """`member("segment")`, a clause; a group or clusters segment means any of its members."""

    segment: str
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`; `a not in (…)` is one of a `OneOf`."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more; a chain such as `0 < x < 5` is one of its comparisons."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more."""

    operands: tuple[Condition, ...]


Operand = Constant | Read | Arithmetic | Negative
Condition = Comparison | OneOf | Member | Not | And | Or


def _nodes(condition: Condition | Operand) -> Iterator[Condition | Operand]:
    """Yield the tree's nodes in order of appearance in the text."""
    waiting: list[Condition | Operand] = [condition]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case Comparison() | Arithmetic():
                waiting += (node.right, node.left)
            case OneOf():
                waiting.append(node.left)
            case Not() | Negative():
                waiting.append(node.operand)
            case And() | Or():
                waiting.extend(reversed(node.operands))


def clauses(condition: Condition) -> tuple[Comparison | OneOf | Member, ...]:
    """Return the comparisons and memberships of a condition in order of appearance: what a reason lists."""
    return tuple(node for node in _nodes(condition) if isinstance(node, Comparison | OneOf | Member))


def reads(condition: Condition | Operand) -> tuple[Read, ...]:
    """Return the features that a condition reads, in order of appearance."""
    return tuple(node for node in _nodes(condition) if isinstance(node, Read))


def meaning(node: Condition | Operand) -> list[object]:
    """Return the tree as nested lists for JSON, without how it was written: what a hash of it covers."""
    match node:
        case Constant(value):
            return ["constant", value]
        case Read(feature, argument):
            return ["read", feature, argument]
        case Arithmetic(operator, left, right) | Comparison(operator, left, right):
            return [operator, meaning(left), meaning(right)]
        case OneOf(left, values):
            return ["in", meaning(left), *values]
        case Member(segment):
            return ["member", segment]
        case Not(operand):
            return ["not", meaning(operand)]
        case Negative(operand):
            return ["negative", meaning(operand)]
        case And(operands) | Or(operands):
            return ["and" if isinstance(node, And) else "or", *map(meaning, operands)]
