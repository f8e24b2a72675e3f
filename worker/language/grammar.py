"""The grammar of conditions, read by recursive descent.

    or > and > not > comparison, chain, in > + - > * / > unary - + > number, "text", name, call("…"), ( … )

binds as in Python. The rule: one reading finds every mistake it can. A wrong name or type is noted and reading goes on;
where the grammar breaks, the rest of that clause is skipped, up to the next `and`, `or` or closing parenthesis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, cast

from worker.language.catalogue import FEATURE_NAMES
from worker.language.clauses import (
    NESTING_MAX,
    And,
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Member,
    Negative,
    Not,
    OneOf,
    Operand,
    Or,
    Read,
)
from worker.language.tokens import ConditionMistake, Token, source
from worker.language.vocabulary import CALLS, Vocabulary, nearest

__all__ = ["Reader"]

COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
EXAMPLES: Final = {"interest": '("shoes")', "trait": '("country")', "percentile": '("spend_365d")',
                   "probability": '("purchase_7d")', "cluster": "()", "member": '("vip")'}  # fmt: skip

Type = Literal["number", "text", "either", "truth", "unsure"]
"""`either` is a trait's, known only with the user; `unsure` follows a mistake and fits everywhere."""


class _Broken(Exception):  # noqa: N818
    """The grammar broke, and the mistake is noted: the clause is given up."""


class _TooDeep(Exception):  # noqa: N818
    """The nesting limit was reached, and the mistake is noted: the condition is given up."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the tree, its type, the places of its first token and of the one behind it, and its depth."""

    node: Condition | Operand
    type: Type
    first: int
    last: int
    depth: int = 1


_NOTHING: Final = Constant(0.0)


class Reader:
    """Reads `tokens`, adding what is wrong to `mistakes`; each lower-case method reads one rule of the grammar."""

    def __init__(self, tokens: list[Token], vocabulary: Vocabulary, mistakes: list[ConditionMistake]) -> None:
        self.tokens, self.vocabulary, self.mistakes = tokens, vocabulary, mistakes
        self.at = 0
        self.nesting = 0

    def condition(self) -> Condition:
        """Read it all; the tree means something only if there are no mistakes."""
        try:
            part = self._truth(self._either())
        except _TooDeep:
            return cast("Condition", _NOTHING)
        if self._token.kind != "end":
            self._note(self._token, "take this parenthesis away: none is open")
        return cast("Condition", part.node)

    # Truths

    def _either(self) -> _Part:
        return self._joined("or", Or, lambda: self._joined("and", And, self._negation))

    def _joined(self, symbol: str, node: type[And | Or], operand: Callable[[], _Part]) -> _Part:
        parts = [operand()]
        while self._takes(symbol):
            parts.append(operand())
        if len(parts) == 1:
            return parts[0]
        return self._made(node(tuple(cast("Condition", self._truth(part).node) for part in parts)), "truth", *parts)

    def _negation(self) -> _Part:
        first = self.at
        if not self._takes("not"):
            return self._clause()
        operand = self._truth(self._deeper(self._negation))
        return self._made(Not(cast("Condition", operand.node)), "truth", operand, first=first)

    def _clause(self) -> _Part:
        """Read a comparison, a chain, an `in`, or what stands alone; after a break skip to the next clause."""
        first = self.at
        try:
            part = self._comparisons()
            if self._token.kind != "end" and self._token.symbol not in ("and", "or", ")"):
                near = nearest(self._token.text, ("and", "or", "in")) if self._token.kind == "name" else None
                raise self._broken(f"write `and`, `or` or a comparison before `{self._token.text}`", near)
        except _Broken:
            self._skip(first)
            return _Part(_NOTHING, "unsure", first, self.at)
        return part

    def _skip(self, first: int) -> None:
        """Step to the end of the clause that began at `first`, over the parentheses opened in it."""
        symbols = [token.symbol for token in self.tokens[first : self.at]]
        depth = symbols.count("(") - symbols.count(")")
        while self._token.kind != "end":
            depth += {"(": 1, ")": -1}.get(self._token.symbol, 0)
            if depth < 0 or (depth == 0 and self._token.symbol in ("and", "or")):
                break
            self.at += 1

    def _comparisons(self) -> _Part:
        left = self._sum()
        found: list[_Part] = []
        while operator := self._takes(*COMPARISONS):
            right = self._sum()
            found.append(self._compared(operator, left, right))
            left = right
        if self._token.symbol == "in" or (self._token.symbol == "not" and self.tokens[self.at + 1].symbol == "in"):
            found.append(self._one_of(left))
        if not found:
            return left
        if len(found) == 1:
            return found[0]
        return self._made(And(tuple(cast("Condition", part.node) for part in found)), "truth", *found)

    def _compared(self, operator: str, left: _Part, right: _Part) -> _Part:
        operands = self._value(left), self._value(right)
        types = {part.type for part in operands}
        if types == {"number", "text"}:
            self._note(self.tokens[left.first], "compare a number with a number, and text with text")
        elif "text" in types and operator not in ("==", "!="):
            self._note(self.tokens[left.last], f"compare text with `==`, `!=` or `in`, not with `{operator}`")
        text = source(self.tokens[left.first : right.last])
        node = Comparison(operator, left.node, right.node, text)  # type: ignore[arg-type]
        return self._made(node, "truth", left, right)

    def _one_of(self, left: _Part) -> _Part:
        self._value(left)
        negated = self._takes("not") is not None
        self.at += 1
        values = self._values(left.type)
        text = source(self.tokens[left.first : self.at])
        node: Condition = OneOf(cast("Operand", left.node), values, text)
        return self._made(Not(node) if negated else node, "truth", left)

    def _values(self, wanted: Type) -> tuple[float | str, ...]:
        """Read the parenthesis after `in`."""
        self._expects("(", "write the values in parentheses, such as `in (1, 2)`")
        values: list[float | str] = []
        while not self._takes(")"):
            start, part = self._token, self._unary()
            if not isinstance(part.node, Constant):
                self._note(start, "write only numbers, durations and texts after `in`")
            elif {wanted, part.type} == {"number", "text"}:
                self._note(start, f"write {wanted}s after `in`: what stands before it is a {wanted}")
            else:
                values.append(part.node.value)
            if self._token.symbol != ")":
                self._expects(",", "write a comma or a closing parenthesis here")
        if not values and self.tokens[self.at - 2].symbol == "(":
            self._note(self.tokens[self.at - 1], "write at least one value between the parentheses")
        return tuple(values)

    # Numbers and texts

    def _sum(self) -> _Part:
        return self._arithmetic(("+", "-"), lambda: self._arithmetic(("*", "/"), self._unary))

    def _arithmetic(self, operators: tuple[str, ...], operand: Callable[[], _Part]) -> _Part:
        left = operand()
        while operator := self._takes(*operators):
            right = operand()
            node = Arithmetic(operator, self._number(left).node, self._number(right).node)  # type: ignore[arg-type]
            left = self._made(node, "number", left, right)
        return left

    def _unary(self) -> _Part:
        first = self.at
        sign = self._takes("-", "+")
        if sign is None:
            return self._primary()
        operand = self._number(self._deeper(self._unary))
        if sign == "+":
            return self._made(operand.node, "number", operand, first=first)
        if isinstance(operand.node, Constant) and isinstance(operand.node.value, float):
            return _Part(Constant(-operand.node.value), "number", first, self.at)
        return self._made(Negative(cast("Operand", operand.node)), "number", operand, first=first)

    def _primary(self) -> _Part:
        first, token = self.at, self._token
        if token.kind in ("number", "text"):
            self.at += 1
            return _Part(Constant(token.value), "number" if token.kind == "number" else "text", first, self.at)
        if token.kind == "name":
            self.at += 1
            return self._call(token, first) if self._token.symbol == "(" else self._feature(token, first)
        if not self._takes("("):
            raise self._broken("write a number, a text, a name or a parenthesis here")
        inner = self._deeper(self._either)
        self._expects(")", f"close the parenthesis opened before `{self.tokens[first + 1].text}`")
        return _Part(inner.node, inner.type, first, self.at, inner.depth)

    def _feature(self, token: Token, first: int) -> _Part:
        if token.text in FEATURE_NAMES:
            return _Part(Read(token.text), "number", first, self.at)
        if token.text in CALLS:
            example = f"{token.text}{EXAMPLES[token.text]}"
            self._note(token, f"write `{token.text}` with parentheses, such as `{example}`", example)
        else:
            near = nearest(token.text, (*FEATURE_NAMES, *CALLS))
            self._note(token, f"use the name of a feature: there is no `{token.text}`", near)
        return _Part(_NOTHING, "unsure", first, self.at)

    def _call(self, token: Token, first: int) -> _Part:
        """Read the parentheses after a name, and judge name and argument."""
        self.at += 1
        given = self._token if self._token.kind == "text" else None
        self.at += given is not None
        if self._token.symbol != ")":
            near = f'"{self._token.text}"' if self._token.kind == "name" else None
            raise self._broken(f"write `{token.text}{EXAMPLES.get(token.text, '(…)')}`, any text in quotes", near)
        self.at += 1
        name, argument = token.text, None if given is None else str(given.value)
        if not self._call_is_right(token, given):
            return _Part(_NOTHING, "truth" if name == "member" else "unsure", first, self.at)
        if name == "member":
            return _Part(Member(str(argument), source(self.tokens[first : self.at])), "truth", first, self.at)
        types: dict[str, Type] = {"trait": "either", "cluster": "text"}
        return _Part(Read(name, argument), types.get(name, "number"), first, self.at)

    def _call_is_right(self, token: Token, given: Token | None) -> bool:
        name = token.text
        if name in FEATURE_NAMES:
            self._note(token, f"write `{name}` without parentheses", name)
        elif name not in CALLS:
            near = nearest(name, (*CALLS, *FEATURE_NAMES))
            self._note(token, f"use one of {', '.join(CALLS)}: there is no `{name}(…)`", near)
        elif (given is None) != (name == "cluster"):
            self._note(given or token, f"write `{name}{EXAMPLES[name]}`")
        elif given is not None and (fault := self.vocabulary.fault(name, str(given.value))):
            self._note(given, *fault)
        else:
            return True
        return False

    # Types

    def _truth(self, part: _Part) -> _Part:
        if part.type not in ("truth", "unsure"):
            text = source(self.tokens[part.first : part.last])
            example = f"{text} > 0" if part.type == "number" else f'{text} == "…"'
            self._note(self.tokens[part.first], f"compare `{text}` with something, such as `{example}`")
        return part

    def _value(self, part: _Part) -> _Part:
        if part.type == "truth":
            self._note(self.tokens[part.first], "compare numbers or texts here: this is a condition already")
        return part

    def _number(self, part: _Part) -> _Part:
        if part.type in ("truth", "text"):
            self._note(self.tokens[part.first], "calculate with numbers only: this is not one")
        return part

    # Tokens

    @property
    def _token(self) -> Token:
        return self.tokens[self.at]

    def _takes(self, *symbols: str) -> str | None:
        """Step over the present token if it is one of `symbols`, and return which."""
        symbol = self._token.symbol
        if symbol not in symbols:
            return None
        self.at += 1
        return symbol

    def _expects(self, symbol: str, message: str) -> None:
        if self._takes(symbol) is None:
            raise self._broken(message)

    def _note(self, token: Token, message: str, near: str | None = None) -> None:
        self.mistakes.append(ConditionMistake(token.offset, message, near))

    def _broken(self, message: str, near: str | None = None) -> _Broken:
        """Note a grammar mistake at the present token, unless the token is a mistake already noted."""
        if self._token.kind != "bad":
            self._note(self._token, message, near)
        return _Broken()

    # Nesting

    def _deeper(self, rule: Callable[[], _Part]) -> _Part:
        self.nesting += 1
        self._check_depth(self.nesting)
        try:
            return rule()
        finally:
            self.nesting -= 1

    def _made(self, node: Condition | Operand, kind: Type, *parts: _Part, first: int | None = None) -> _Part:
        """Return a new node over `parts`, which ends at the present token."""
        depth = 1 + max(part.depth for part in parts)
        self._check_depth(depth)
        return _Part(node, kind, parts[0].first if first is None else first, self.at, depth)

    def _check_depth(self, depth: int) -> None:
        if depth > NESTING_MAX:
            self._note(self._token, f"split the condition, using `member`: it nests more than {NESTING_MAX} deep")
            raise _TooDeep
