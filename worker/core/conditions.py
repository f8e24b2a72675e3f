"""Conditions over a row: whether one is true now, and when passing time alone could change that.

Every condition gives a pair (truth, instant). Truth is FALSE, TRUE or UNKNOWN; the instant is a lower bound, in ms
and after the clock, of the first moment at which its truth could differ without an event. Bounds are tight where it
pays: a comparison with a window names the hop that tips it, a conjunction that fails waits for the last of its failing
parts. Evaluating too early is harmless, too late never happens. Null is NaN.
"""

import math

import numpy as np

from worker.core.comparisons import (
    EQUAL,
    FALSE,
    SESSION_GAP_MS,
    TRUE,
    UNKNOWN,
    compare,
    crossing,
    growing_flip,
    session_flip,
    window_flip,
)
from worker.core.compiled import compiled
from worker.core.layout import (
    ACTIVITIES,
    FOREVER,
    INTERESTS,
    NEVER,
    SESSION_EVENTS,
    SESSION_FIRST,
    SESSION_LAST,
)
from worker.core.tables import Integer, Outputs, Program, Row, StateArrays, Table
from worker.core.windows import next_change

__all__ = [
    "ADD", "AGE", "AND", "ATOM", "CONSTANT", "COUNT", "DIVIDE", "GENERAL", "GROWING", "INTEREST", "IN_CLUSTER",
    "IN_SEGMENT", "IN_SESSION", "MAXIMUM", "MONEY", "MULTIPLY", "NEGATE", "NOT", "OR", "REAL", "SESSION",
    "SESSION_SPAN", "SHARE", "SIMPLE", "SINCE", "SKIP_FALSE", "SKIP_TRUE", "STILL", "SUBTRACT", "TEXT", "TEXT_CLUSTER",
    "TEXT_CONSTANT", "TEXT_TRAIT", "TRAIT", "WINDOW", "holds", "number",
]  # fmt: skip

# Instructions of a number: what the stack machine does, in postfix order.
(CONSTANT, COUNT, MONEY, REAL, SINCE, AGE, IN_SESSION, SESSION_SPAN, SHARE, INTEREST, TRAIT,
 ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, NEGATE) = range(17)  # fmt: skip
# Atoms: how a comparison is held against the row.
SIMPLE, GENERAL, TEXT, IN_SEGMENT, IN_CLUSTER = range(5)
# How a simple atom's value moves while time passes.
STILL, WINDOW, GROWING, SESSION = range(4)
# Instructions of a condition.
ATOM, AND, OR, NOT, SKIP_FALSE, SKIP_TRUE = range(6)
# Operands of a text comparison.
TEXT_TRAIT, TEXT_CLUSTER, TEXT_CONSTANT = range(3)


@compiled
def load(p: Program, s: StateArrays, slot: Integer, clock: Integer, code: Row) -> float:
    """Return the value of one instruction that reads the row; NaN is null."""
    operation = code["operation"]
    column = code["column"]
    if operation == COUNT:
        return s.narrow[slot, column] * 1.0
    if operation == MONEY:
        return s.wide[slot, column] / 100.0
    if operation == REAL:
        return s.real[slot, column]
    if operation == SINCE or operation == AGE:
        origin = s.wide[slot, column]
        if origin == NEVER:
            return math.inf if operation == SINCE else math.nan
        return (clock - origin) / 1000.0
    if operation == CONSTANT:
        return code["value"]
    return _load_rare(p, s, slot, clock, operation, column)


@compiled
def _load_rare(p: Program, s: StateArrays, slot: Integer, clock: Integer, operation: Integer, column: Integer) -> float:
    if operation == IN_SESSION:
        live = clock < s.wide[slot, SESSION_LAST] + SESSION_GAP_MS
        return np.float64(s.narrow[slot, SESSION_EVENTS]) if live else 0.0
    if operation == SESSION_SPAN:
        live = clock < s.wide[slot, SESSION_LAST] + SESSION_GAP_MS
        return (s.wide[slot, SESSION_LAST] - s.wide[slot, SESSION_FIRST]) / 1000.0 if live else 0.0
    if operation == SHARE:
        total = s.narrow[slot, ACTIVITIES]
        return float(s.narrow[slot, column] / np.float64(total)) if total > 0 else math.nan
    if operation == TRAIT:
        return s.real[slot, p.traits[column]["number"]]
    return _interest(p, s, slot, column)


@compiled
def _interest(p: Program, s: StateArrays, slot: Integer, category: Integer) -> float:
    ids = p.settings[0]["interest_ids"]
    weights = p.settings[0]["interest_weights"]
    total = 0.0
    own = 0.0
    for place in range(INTERESTS):
        if s.narrow[slot, ids + place] < 0:
            break
        weight = s.real[slot, weights + place]
        total += weight
        if s.narrow[slot, ids + place] == category:
            own = weight
    return own / total if total > 0.0 else math.nan


@compiled
def number(
    p: Program, s: StateArrays, scratch: Table, slot: Integer, clock: Integer, first: Integer, last: Integer
) -> float:
    """Return the value of the instructions [first, last); NaN is null, as is whatever isn't a number."""
    if last - first == 1:
        return load(p, s, slot, clock, p.numbers[first])
    top = -1
    for place in range(first, last):
        code = p.numbers[place]
        operation = code["operation"]
        if operation < ADD:
            top += 1
            scratch[top] = load(p, s, slot, clock, code)
        elif operation == NEGATE:
            scratch[top] = -scratch[top]
        else:
            top -= 1
            scratch[top] = _arithmetic(operation, scratch[top], scratch[top + 1])
    return scratch[top]


@compiled
def _arithmetic(operation: Integer, left: float, right: float) -> float:
    if operation == ADD:
        return left + right
    if operation == SUBTRACT:
        return left - right
    if operation == MULTIPLY:
        return left * right
    if operation == MAXIMUM:
        return max(left, right)
    return left / right if right != 0.0 else math.nan


@compiled
def _simple(p: Program, s: StateArrays, slot: Integer, clock: Integer, atom: Row) -> tuple[Integer, Integer]:
    code = p.numbers[atom["left_first"]]
    value = load(p, s, slot, clock, code)
    operator = atom["operator"]
    truth = compare(operator, value, atom["constant"])
    flow = atom["flow"]
    if flow == STILL or truth == UNKNOWN:
        return truth, FOREVER
    if flow == GROWING:
        return truth, growing_flip(s.wide[slot, code["column"]], clock, operator, atom["reached"], atom["passed"])
    if flow == WINDOW:
        return truth, window_flip(p, s, slot, code["window"], operator, atom["constant"], truth)
    return truth, session_flip(s, slot, clock)


@compiled
def _general(
    p: Program, s: StateArrays, scratch: Table, slot: Integer, clock: Integer, atom: Row
) -> tuple[Integer, Integer]:
    left = number(p, s, scratch, slot, clock, atom["left_first"], atom["left_last"])
    right = number(p, s, scratch, slot, clock, atom["right_first"], atom["right_last"])
    instant = FOREVER
    if atom["left_time"] >= 0 and atom["right_time"] < 0:
        instant = crossing(s.wide[slot, atom["left_time"]], clock, right)
    elif atom["right_time"] >= 0 and atom["left_time"] < 0:
        instant = crossing(s.wide[slot, atom["right_time"]], clock, left)
    for place in range(atom["left_first"], atom["right_last"]):
        code = p.numbers[place]
        if code["operation"] == IN_SESSION or code["operation"] == SESSION_SPAN:
            instant = min(instant, session_flip(s, slot, clock))
        elif code["window"] >= 0:
            instant = min(instant, next_change(p, s.wide, s.narrow, slot, code["window"]))
    return compare(atom["operator"], left, right), instant


@compiled
def _text_of(p: Program, s: StateArrays, slot: Integer, kind: Integer, place: Integer) -> tuple[Integer, float]:
    """Return (text number or -1, numeric value or NaN) of an operand of a text comparison."""
    if kind == TEXT_CONSTANT:
        return np.int64(place), math.nan
    if kind == TEXT_CLUSTER:
        return np.int64(s.narrow[slot, p.settings[0]["cluster"]]), math.nan
    trait = p.traits[place]
    return np.int64(s.narrow[slot, trait["text"]]), s.real[slot, trait["number"]]


@compiled
def _text(p: Program, s: StateArrays, slot: Integer, atom: Row) -> Integer:
    left, left_number = _text_of(p, s, slot, atom["left_kind"], atom["left_first"])
    right, right_number = _text_of(p, s, slot, atom["right_kind"], atom["right_first"])
    if left >= 0 and right >= 0:
        same = left == right
        return TRUE if same == (atom["operator"] == EQUAL) else FALSE
    return compare(atom["operator"], left_number, right_number)


@compiled
def _atom(
    p: Program, s: StateArrays, scratch: Table, slot: Integer, clock: Integer, atom: Row
) -> tuple[Integer, Integer]:
    kind = atom["kind"]
    if kind == SIMPLE:
        return _simple(p, s, slot, clock, atom)
    if kind == GENERAL:
        return _general(p, s, scratch, slot, clock, atom)
    if kind == TEXT:
        return _text(p, s, slot, atom), FOREVER
    if kind == IN_CLUSTER:
        return (TRUE if s.narrow[slot, atom["left_first"]] == atom["right_first"] else FALSE), FOREVER
    for place in range(atom["left_first"], atom["left_last"]):
        if s.wide[slot, p.members[place]["since"]] != NEVER:
            return TRUE, FOREVER
    return FALSE, FOREVER


@compiled
def _both(
    decisive: Integer, left: Integer, left_instant: Integer, right: Integer, right_instant: Integer
) -> tuple[Integer, Integer]:
    """Combine two parts of an `and` (`decisive` FALSE) or an `or` (`decisive` TRUE)."""
    if left == decisive and right == decisive:
        return decisive, max(left_instant, right_instant)
    if left == decisive:
        return decisive, left_instant
    if right == decisive:
        return decisive, right_instant
    truth = UNKNOWN if left == UNKNOWN or right == UNKNOWN else left
    return truth, min(left_instant, right_instant)


@compiled
def holds(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, first: Integer, last: Integer
) -> tuple[Integer, Integer]:
    """Return (truth, instant) of the condition whose instructions are [first, last)."""
    top = -1
    place = first
    while place < last:
        operation = p.conditions[place]["operation"]
        argument = p.conditions[place]["argument"]
        place += 1
        if operation == ATOM:
            top += 1
            o.truths[top], o.instants[top] = _atom(p, s, o.scratch, slot, clock, p.atoms[argument])
        elif operation == AND or operation == OR:
            top -= 1
            o.truths[top], o.instants[top] = _both(
                FALSE if operation == AND else TRUE,
                o.truths[top], o.instants[top], o.truths[top + 1], o.instants[top + 1],
            )  # fmt: skip
        elif operation == NOT:
            if o.truths[top] != UNKNOWN:
                o.truths[top] = TRUE - o.truths[top]
        elif o.instants[top] == FOREVER and o.truths[top] == (FALSE if operation == SKIP_FALSE else TRUE):
            place = argument
    return o.truths[top], o.instants[top]
