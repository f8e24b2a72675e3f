"""The naive twin's conditions: Python's own parser reads them, a plain walk over the tree judges them.

A duration such as `30m` is written `m30` first (a name of the same length, so that positions in the text stay true),
then `ast` parses the text as a Python expression; nothing is ever evaluated as Python. Truth is True, False or None
(unknown). The rules are CONTRACT section 4 and docs/semantics.md ("Conditions").
"""

import ast
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = [
    "Comparison",
    "Condition",
    "Constant",
    "Expression",
    "Member",
    "OneOf",
    "Read",
    "Truth",
    "Value",
    "clauses_of",
    "compute",
    "is_sampled",
    "judge",
    "number",
    "parse",
    "reads_of",
    "reason_of",
    "samples_of",
    "sides_of",
]

Value = float | str | None
Truth = bool | None
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
TOKEN = re.compile(r"""("[^"]*"|'[^']*')|(\s+)|(?<![\w.])(\d+)([smhdw])\b""")
COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
SAMPLED_READS = {"percentile", "probability", "cluster", "orders_per_month"}


@dataclass(frozen=True)
class Constant:
    """A number (durations in seconds) or a text."""

    value: float | str


@dataclass(frozen=True)
class Read:
    """A feature: a plain name, or a call with its argument."""

    feature: str
    argument: str | None = None

    @property
    def is_time(self) -> bool:
        """Whether the value grows by itself."""
        return self.feature == "age" or self.feature.startswith("time_since_")


@dataclass(frozen=True)
class Arithmetic:
    """`left operator right`; a negative is `0 - right`."""

    operator: str
    left: "Expression"
    right: "Expression"


Expression = Constant | Read | Arithmetic


@dataclass(frozen=True)
class Comparison:
    """Two sides, and the clause's own text."""

    operator: str
    left: Expression
    right: Expression
    text: str


@dataclass(frozen=True)
class OneOf:
    """`left in (…)`."""

    left: Expression
    values: tuple[float | str, ...]
    text: str


@dataclass(frozen=True)
class Member:
    """`member("vip")`."""

    segment: str
    text: str


@dataclass(frozen=True)
class Not:
    """`not operand`."""

    operand: "Condition"


@dataclass(frozen=True)
class Several:
    """`and` or `or` of two or more."""

    word: str
    operands: tuple["Condition", ...]


Clause = Comparison | OneOf | Member
Condition = Clause | Not | Several


def parse(text: str) -> Condition:
    """The condition of a text that is known to be valid."""

    def rewritten(found: re.Match[str]) -> str:
        quoted, space, digits, unit = found.groups()
        return quoted or (" " if space else unit + digits)

    def tidy(found: re.Match[str]) -> str:
        return " " if found[2] else found[0]

    source = TOKEN.sub(tidy, text.strip())
    return Parser(source).condition(ast.parse(TOKEN.sub(rewritten, source), mode="eval").body)


def number(text: str) -> "Expression":
    """The expression of a text that is known to be a number."""
    condition = parse(f"{text} == 0")
    assert isinstance(condition, Comparison)
    return condition.left


class Parser:
    """Turns Python's tree into ours; `source` is the text as written, for the clauses."""

    def __init__(self, source: str) -> None:
        self.encoded = source.encode("utf-8")

    def condition(self, node: ast.expr) -> Condition:
        """A truth."""
        if isinstance(node, ast.BoolOp):
            word = "and" if isinstance(node.op, ast.And) else "or"
            return Several(word, tuple(self.condition(value) for value in node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return Not(self.condition(node.operand))
        if isinstance(node, ast.Call):
            read = self.expression(node)
            assert isinstance(read, Read)
            assert read.feature == "member"
            assert read.argument is not None
            return Member(read.argument, self.text(node.col_offset, node.end_col_offset))
        assert isinstance(node, ast.Compare), ast.dump(node)
        return self.comparison(node)

    def comparison(self, node: ast.Compare) -> Condition:
        """One comparison, or the `and` of a chain's."""
        sides = [node.left, *node.comparators]
        clauses: list[Condition] = []
        for number, operator in enumerate(node.ops):
            start = node.col_offset if number == 0 else self.after_operator(sides[number - 1], sides[number])
            last = number == len(node.ops) - 1
            end = node.end_col_offset if last else self.before_operator(sides[number + 1], sides[number + 2])
            text = self.text(start, end)
            left, right = self.expression(sides[number]), sides[number + 1]
            if isinstance(operator, (ast.In, ast.NotIn)):
                one_of = OneOf(left, self.values(right), text)
                clauses.append(one_of if isinstance(operator, ast.In) else Not(one_of))
            else:
                clauses.append(Comparison(COMPARISONS[type(operator)], left, self.expression(right), text))
        return clauses[0] if len(clauses) == 1 else Several("and", tuple(clauses))

    def text(self, start: int, end: int | None) -> str:
        """A piece of the source."""
        return self.encoded[start:end].decode("utf-8").strip()

    def before_operator(self, left: ast.expr, right: ast.expr) -> int:
        """Where the operand left of an operator ends, its parentheses included."""
        between = self.encoded[left.end_col_offset : right.col_offset]
        found = re.match(rb"[\s)]*", between)
        assert found is not None
        assert left.end_col_offset is not None
        return left.end_col_offset + found.end()

    def after_operator(self, left: ast.expr, right: ast.expr) -> int:
        """Where the operand right of an operator begins, its parentheses included."""
        between = self.encoded[left.end_col_offset : right.col_offset]
        found = re.search(rb"[\s(]*$", between)
        assert found is not None
        assert left.end_col_offset is not None
        return left.end_col_offset + found.start()

    def values(self, node: ast.expr) -> tuple[float | str, ...]:
        """The constants of an `in`."""
        found = [self.expression(item) for item in (node.elts if isinstance(node, ast.Tuple) else [node])]
        return tuple(item.value for item in found if isinstance(item, Constant))

    def expression(self, node: ast.expr) -> Expression:
        """A number or a text."""
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, (int, float, str))
            return Constant(node.value if isinstance(node.value, str) else float(node.value))
        if isinstance(node, ast.Name):
            duration = re.fullmatch(r"([smhdw])(\d+)", node.id)
            return Constant(float(int(duration[2]) * SECONDS[duration[1]])) if duration else Read(node.id)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            arguments = [item.value for item in node.args if isinstance(item, ast.Constant)]
            return Read(node.func.id, str(arguments[0]) if arguments else None)
        if isinstance(node, ast.UnaryOp):
            operand = self.expression(node.operand)
            if isinstance(operand, Constant) and not isinstance(operand.value, str):
                return Constant(-operand.value if isinstance(node.op, ast.USub) else operand.value)
            return Arithmetic("-", Constant(0.0), operand)
        assert isinstance(node, ast.BinOp), ast.dump(node)
        return Arithmetic(OPERATORS[type(node.op)], self.expression(node.left), self.expression(node.right))


def clauses_of(condition: Condition) -> Iterator[Clause]:
    """All comparisons and memberships, in order of appearance."""
    if isinstance(condition, Not):
        yield from clauses_of(condition.operand)
    elif isinstance(condition, Several):
        for operand in condition.operands:
            yield from clauses_of(operand)
    else:
        yield condition


def sides_of(clause: Clause) -> tuple[Expression, ...]:
    """The expressions of a clause."""
    if isinstance(clause, Comparison):
        return clause.left, clause.right
    return (clause.left,) if isinstance(clause, OneOf) else ()


def reads_of(expression: Expression) -> Iterator[Read]:
    """All features in an expression."""
    if isinstance(expression, Read):
        yield expression
    elif isinstance(expression, Arithmetic):
        yield from reads_of(expression.left)
        yield from reads_of(expression.right)


def is_sampled(expression: Expression) -> bool:
    """Whether the value is computed only at times and holds in between."""
    if isinstance(expression, Arithmetic):
        return any(read.is_time or read.feature == "orders_per_month" for read in reads_of(expression))
    return isinstance(expression, Read) and expression.feature in SAMPLED_READS


def samples_of(expression: Expression) -> Iterator[Expression]:
    """The largest sampled parts of an expression."""
    if is_sampled(expression):
        yield expression
    elif isinstance(expression, Arithmetic):
        yield from samples_of(expression.left)
        yield from samples_of(expression.right)


def compute(expression: Expression, value_of: Callable[[Expression], Value], *, top: bool = True) -> Value:
    """The value of an expression; `value_of` gives that of reads (and, asked first, of what is sampled).

    Null, a division by zero and what is not a number are all None.
    """
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Read) or (top and is_sampled(expression)):
        return value_of(expression)
    left, right = compute(expression.left, value_of, top=top), compute(expression.right, value_of, top=top)
    if left is None or right is None or isinstance(left, str) or isinstance(right, str):
        return None
    if expression.operator == "/":
        result = left / right if right else math.nan
    elif expression.operator == "*":
        result = left * right
    else:
        result = left + right if expression.operator == "+" else left - right
    return None if math.isnan(result) else result


def compared(operator: str, left: Value, right: Value) -> Truth:
    """One comparison; None where it is unknown."""
    if left is None or right is None or isinstance(left, str) != isinstance(right, str):
        return None
    if operator in ("==", "!="):
        return (left == right) == (operator == "==")
    if isinstance(left, str) or isinstance(right, str):
        return None
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]


def negation(truth: Truth) -> Truth:
    """`not`, which keeps unknown."""
    return None if truth is None else not truth


def both(word: str, truths: list[Truth]) -> Truth:
    """`and` or `or` of truths, as in SQL."""
    decisive = word == "or"
    if decisive in truths:
        return decisive
    return None if None in truths else not decisive


def judge(condition: Condition, value_of: Callable[[Expression], Value], is_member: Callable[[str], bool]) -> Truth:
    """The truth of a condition now."""
    if isinstance(condition, Not):
        return negation(judge(condition.operand, value_of, is_member))
    if isinstance(condition, Several):
        return both(condition.word, [judge(operand, value_of, is_member) for operand in condition.operands])
    if isinstance(condition, Member):
        return is_member(condition.segment)
    left = compute(condition.left, value_of)
    if isinstance(condition, OneOf):
        return both("or", [compared("==", left, value) for value in condition.values])
    return compared(condition.operator, left, compute(condition.right, value_of))


def reason_of(
    condition: Condition | None, value_of: Callable[[Expression], Value], is_member: Callable[[str], bool]
) -> list[dict[str, object]]:
    """The clauses with their values, infinite and null ones as None."""
    reason: list[dict[str, object]] = []
    for clause in clauses_of(condition) if condition else ():
        value: object
        if isinstance(clause, Member):
            value = is_member(clause.segment)
        else:
            left_is_literal = isinstance(clause, Comparison) and isinstance(clause.left, Constant)
            value = compute(sides_of(clause)[1 if left_is_literal else 0], value_of)
            value = None if isinstance(value, float) and not math.isfinite(value) else value
        reason.append({"clause": clause.text, "value": value})
    return reason
