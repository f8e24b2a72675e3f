"""Checked conditions to instructions of the pass: postfix programs over columns that are still names.

Columns are asked for by name while lowering and get their place afterwards, when everything that is read is known; so
a row here may hold a column's name where the finished table holds its offset.
"""

import math
from typing import Any

from worker.core import conditions as c
from worker.core.comparisons import EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL, UNEQUAL
from worker.core.interning import Strings
from worker.core.layout import EARLIEST, EVENINGS, FOREVER, LAST_ACTIVITY, NEVER, SESSIONS, WEEKENDS
from worker.core.scoring import CLUSTER, EXPRESSION, PERCENTILE, PROBABILITY
from worker.core.segments import OF_CLUSTER, OF_MEMBER, OF_MEMBER_CLUSTER, OF_NUMBER, OF_TRAIT
from worker.language.catalogue import Feature, feature
from worker.language.clauses import (
    And,
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Member,
    Negative,
    Not,
    OneOf,
    Or,
    Read,
    reads,
)

__all__ = ["Lowering", "Row"]

Row = dict[str, Any]

_OPERATORS = {"<": LESS, "<=": LESS_EQUAL, ">": GREATER, ">=": GREATER_EQUAL, "==": EQUAL, "!=": UNEQUAL}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_ARITHMETIC = {"+": c.ADD, "-": c.SUBTRACT, "*": c.MULTIPLY, "/": c.DIVIDE}
_SECONDS_PER_MONTH = 2_592_000.0
_TOTALS = {"average_order": ("spend_total", "orders_total"), "refund_rate": ("refunds_total", "orders_total")}
_FLOWS = {c.SINCE: c.GROWING, c.AGE: c.GROWING, c.IN_SESSION: c.SESSION, c.SESSION_SPAN: c.SESSION}


def first_ms(seconds: float, *, beyond: bool) -> int:
    """Return the smallest whole ms whose seconds, as a double, are at least (`beyond`: more than) `seconds`."""
    if not seconds < 1e12:
        return FOREVER
    guess = max(math.floor(seconds * 1000) - 2, -FOREVER)
    while not (guess / 1000 > seconds if beyond else guess / 1000 >= seconds):
        guess += 1
    return guess


def is_time(node: object) -> bool:
    """Return whether a read is a time that grows by itself."""
    return isinstance(node, Read) and (node.feature.startswith("time_since_") or node.feature == "age")


def _has_time(node: object) -> bool:
    if isinstance(node, Arithmetic):
        return _has_time(node.left) or _has_time(node.right)
    return _has_time(node.operand) if isinstance(node, Negative) else is_time(node)


class Lowering:
    """Collects instructions, atoms, clauses and sampled values of all conditions of a version."""

    def __init__(self, strings: Strings, traits: list[str], segments: dict[str, Row]) -> None:
        self.strings = strings
        self.traits = traits
        self.segments = segments
        self.wanted: list[tuple[str, str, int, float]] = []
        self.numbers: list[Row] = []
        self.atoms: list[Row] = []
        self.conditions: list[Row] = []
        self.clauses: list[Row] = []
        self.clause_texts: list[str] = []
        self.samples: dict[str, Row] = {}
        self.windows: set[Feature] = set()

    def column(self, name: str, view: str, length: int = 1, fill: float = 0) -> str:
        """Ask for a column; return its name."""
        self.wanted.append((name, view, length, fill))
        return name

    # Numbers.

    def expression(self, node: object, *, sampling: bool = False) -> tuple[int, int]:
        """Lower a number; return where its instructions are. `sampling` computes what is otherwise read as sampled."""
        rows: list[Row] = []
        self._number(node, sampling, rows)
        first = len(self.numbers)
        self.numbers += rows
        return first, len(self.numbers)

    def _number(self, node: object, sampling: bool, rows: list[Row]) -> None:
        if isinstance(node, Constant):
            rows.append({"operation": c.CONSTANT, "value": float(node.value)})
        elif isinstance(node, Read):
            self._read(node, sampling, rows)
        elif not sampling and _has_time(node):
            rows.append(self._sampled(EXPRESSION, repr(node), node))
        elif isinstance(node, Negative):
            self._number(node.operand, sampling, rows)
            rows.append({"operation": c.NEGATE})
        elif isinstance(node, Arithmetic):
            self._number(node.left, sampling, rows)
            self._number(node.right, sampling, rows)
            rows.append({"operation": _ARITHMETIC[node.operator]})
        else:
            raise TypeError(f"not a number: {node!r}")

    def _sampled(self, kind: int, name: str, node: object, **fields: Any) -> Row:
        """Read a sampled column; its value is computed by instructions of its own."""
        column = self.column(f"sample:{name}", "real", 1, math.nan)
        if column not in self.samples:
            row: Row = {"kind": kind, "column": column, **fields}
            if node is not None:
                # What it reads that is sampled itself is computed, so listed, before it.
                row["first"], row["last"] = self.expression(node, sampling=True)
            self.samples[column] = row
        return {"operation": c.REAL, "column": column}

    def _read(self, read: Read, sampling: bool, rows: list[Row]) -> None:
        if read.argument is not None:
            rows.append(self._call(read))
        elif read.feature in _TOTALS:
            for name in _TOTALS[read.feature]:
                self._read(Read(name, None), sampling, rows)
            rows.append({"operation": c.DIVIDE})
        elif read.feature == "average_rating":
            rows.append({"operation": c.REAL, "column": self.column("rating_sum", "real")})
            rows.append({"operation": c.COUNT, "column": self.column("ratings", "narrow")})
            rows.append({"operation": c.DIVIDE})
        elif read.feature == "orders_per_month":
            if not sampling:
                rows.append(self._sampled(EXPRESSION, "orders_per_month", read))
                return
            self._read(Read("orders_total", None), sampling, rows)
            rows.append({"operation": c.AGE, "column": EARLIEST})
            rows.append({"operation": c.CONSTANT, "value": _SECONDS_PER_MONTH})
            rows.append({"operation": c.DIVIDE})
            rows.append({"operation": c.CONSTANT, "value": 1.0})
            rows += [{"operation": c.MAXIMUM}, {"operation": c.DIVIDE}]
        else:
            rows.append(self._plain(feature(read.feature)))

    def _call(self, read: Read) -> Row:
        argument = read.argument or ""
        if read.feature == "interest":
            return {"operation": c.INTEREST, "column": self.strings.number(argument)}
        if read.feature == "trait":
            return {"operation": c.TRAIT, "column": self.traits.index(argument)}
        if read.feature == "percentile":
            return self._sampled(PERCENTILE, f"percentile:{argument}", Read(argument, None), quantiles=argument)
        return self._sampled(PROBABILITY, f"probability:{argument}", None, target=argument)

    def _plain(self, what: Feature) -> Row:
        """Lower a feature that is one column, or one look at the row."""
        if what.measure in ("count", "amount"):
            return self._counted(what)
        if what.measure == "since":
            column = self.column(f"since:{what.kind}", "wide", 1, NEVER)
            return {"operation": c.SINCE, "column": column}
        fixed: dict[str, Row] = {
            "time_since_activity": {"operation": c.SINCE, "column": LAST_ACTIVITY},
            "age": {"operation": c.AGE, "column": EARLIEST},
            "sessions_total": {"operation": c.COUNT, "column": SESSIONS},
            "session_events": {"operation": c.IN_SESSION, "column": 0},
            "session_seconds": {"operation": c.SESSION_SPAN, "column": 0},
            "evening_share": {"operation": c.SHARE, "column": EVENINGS},
            "weekend_share": {"operation": c.SHARE, "column": WEEKENDS},
        }
        if what.measure == "cart_items":
            return {"operation": c.REAL, "column": self.column("cart_items", "real")}
        if what.measure == "cart_value":
            return {"operation": c.MONEY, "column": self.column("cart_value", "wide")}
        return fixed[what.measure]

    def _counted(self, what: Feature) -> Row:
        view, operation = ("narrow", c.COUNT) if what.measure == "count" else ("wide", c.MONEY)
        name = f"{what.measure}:{what.kind}:{what.window or 'total'}"
        row: Row = {"operation": operation, "column": self.column(name, view)}
        if what.window is not None:
            self.windows.add(what)
            row["window"] = name
        return row

    # Conditions.

    def condition(self, node: Condition) -> Row:
        """Lower a condition and its clauses; return the fields `first`, `last`, `clauses_first`, `clauses_last`."""
        first, clause = len(self.conditions), len(self.clauses)
        self._condition(node)
        last = len(self.conditions)
        self._clauses(node)
        return {"first": first, "last": last, "clauses_first": clause, "clauses_last": len(self.clauses)}

    def _condition(self, node: object) -> None:
        if isinstance(node, And | Or):
            self._operands(node)
        elif isinstance(node, Not):
            self._condition(node.operand)
            self.conditions.append({"operation": c.NOT})
        elif isinstance(node, OneOf):
            self._condition(Or(tuple(Comparison("==", node.left, Constant(v), node.text) for v in node.values)))
        else:
            atom = self._member_atom(node) if isinstance(node, Member) else self._comparison(node)
            self.conditions.append({"operation": c.ATOM, "argument": len(self.atoms)})
            self.atoms.append(atom)

    def _operands(self, node: And | Or) -> None:
        """Lower parts one by one; a part that decides for good skips the rest."""
        combine, skip = (c.AND, c.SKIP_FALSE) if isinstance(node, And) else (c.OR, c.SKIP_TRUE)
        skips = []
        for place, operand in enumerate(node.operands):
            self._condition(operand)
            if place > 0:
                self.conditions.append({"operation": combine})
            if place + 1 < len(node.operands):
                skips.append(len(self.conditions))
                self.conditions.append({"operation": skip})
        for place in skips:
            self.conditions[place]["argument"] = len(self.conditions)

    def _member_atom(self, node: Member) -> Row:
        place = self._segment(node)
        if "text" in place:
            return {"kind": c.IN_CLUSTER, "left_first": place["column"], "right_first": place["text"]}
        return {"kind": c.IN_SEGMENT, "left_first": place["first"], "left_last": place["last"]}

    def _segment(self, node: Member) -> Row:
        """Return members [first, last) of a segment or group, or column and text number of a cluster's segment."""
        known = self.segments.get(node.segment)
        if known is not None:
            return known
        unit = self.segments[node.segment.partition(":")[0]]
        return {"column": unit["column"], "text": self.strings.number(node.segment)}

    def _comparison(self, node: object) -> Row:
        if not isinstance(node, Comparison):
            raise TypeError(f"not a condition: {node!r}")
        if self._is_text(node.left) or self._is_text(node.right) or (
            self._is_trait(node.left) and self._is_trait(node.right) and node.operator in ("==", "!=")
        ):  # fmt: skip
            return self._text_atom(node)
        operator: str = node.operator
        left, right = node.left, node.right
        if isinstance(left, Constant) and not isinstance(right, Constant):
            operator, left, right = _FLIPPED[operator], right, left
        row: Row = {"kind": c.GENERAL, "operator": _OPERATORS[operator]}
        row["left_first"], row["left_last"] = self.expression(left)
        row["right_first"], row["right_last"] = self.expression(right)
        for side, operand in (("left_time", left), ("right_time", right)):
            row[side] = self.numbers[row[side.replace("time", "first")]]["column"] if is_time(operand) else -1
        if isinstance(right, Constant) and row["left_last"] - row["left_first"] == 1:
            row |= self._simple(self.numbers[row["left_first"]], float(right.value))
        return row

    @staticmethod
    def _simple(load: Row, constant: float) -> Row:
        flow = c.WINDOW if "window" in load else _FLOWS.get(load["operation"], c.STILL)
        row: Row = {"kind": c.SIMPLE, "flow": flow, "constant": constant}
        if flow == c.GROWING:
            row |= {"reached": first_ms(constant, beyond=False), "passed": first_ms(constant, beyond=True)}
        return row

    @staticmethod
    def _is_trait(node: object) -> bool:
        return isinstance(node, Read) and node.feature == "trait"

    @staticmethod
    def _is_text(node: object) -> bool:
        is_cluster = isinstance(node, Read) and node.feature == "cluster"
        return is_cluster or (isinstance(node, Constant) and isinstance(node.value, str))

    def _text_atom(self, node: Comparison) -> Row:
        row: Row = {"kind": c.TEXT, "operator": _OPERATORS[node.operator]}
        for side, operand in (("left", node.left), ("right", node.right)):
            if isinstance(operand, Constant):
                kind, place = c.TEXT_CONSTANT, self.strings.number(str(operand.value))
            elif isinstance(operand, Read) and operand.feature == "cluster":
                kind, place = c.TEXT_CLUSTER, 0
                self.reads_cluster()
            elif isinstance(operand, Read):
                kind, place = c.TEXT_TRAIT, self.traits.index(operand.argument or "")
            else:
                raise TypeError(f"not a text: {operand!r}")
            row |= {f"{side}_kind": kind, f"{side}_first": place}
        return row

    def reads_cluster(self) -> None:
        """Have the user's cluster sampled."""
        self.samples["cluster"] = {"kind": CLUSTER, "column": self.column("cluster", "narrow", 1, -1)}

    # Clauses.

    def cluster_clause(self) -> int:
        """Add the clause `cluster()`; return its place."""
        self.clauses.append({"kind": OF_CLUSTER})
        self.clause_texts.append("cluster()")
        return len(self.clauses) - 1

    def _clauses(self, node: object) -> None:
        if isinstance(node, And | Or):
            for operand in node.operands:
                self._clauses(operand)
        elif isinstance(node, Not):
            self._clauses(node.operand)
        elif isinstance(node, Comparison | OneOf | Member):
            first = len(self.conditions)
            self._condition(node)
            truth = {"truth_first": first, "truth_last": len(self.conditions)}
            self.clauses.append(self._clause(node) | truth | self._target(node))
            self.clause_texts.append(node.text)

    def _clause(self, node: Comparison | OneOf | Member) -> Row:
        """Lower what a clause shows as its value: the left side's, the right's if the left is a literal."""
        if isinstance(node, Member):
            place = self._segment(node)
            if "text" in place:
                return {"kind": OF_MEMBER_CLUSTER, "first": place["column"], "last": place["text"]}
            return {"kind": OF_MEMBER, "first": place["first"], "last": place["last"]}
        shown = node.left
        if isinstance(node, Comparison) and isinstance(node.left, Constant):
            shown = node.right
        if isinstance(shown, Read) and shown.feature == "trait":
            return {"kind": OF_TRAIT, "first": self.traits.index(shown.argument or "")}
        if isinstance(shown, Read) and shown.feature == "cluster":
            self.reads_cluster()
            return {"kind": OF_CLUSTER}
        if isinstance(shown, Constant) and isinstance(shown.value, str):
            shown = Constant(math.nan)
        first, last = self.expression(shown)
        return {"kind": OF_NUMBER, "first": first, "last": last}

    @staticmethod
    def _target(node: Comparison | OneOf | Member) -> Row:
        """Return the target of the first `probability()` that a clause reads, by its id."""
        for read in reads(node):
            if read.feature == "probability":
                return {"target": read.argument}
        return {}
