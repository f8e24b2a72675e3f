"""A comparison in three-valued logic, and the instant at which passing time changes it.

The rule: an instant is exact or early, never late; an evaluation that changes nothing shows nowhere.
"""

import math

import numpy as np

from worker.core.compiled import compiled
from worker.core.layout import FOREVER, HEADS, NEVER, SESSION_LAST
from worker.core.tables import Integer, Program, StateArrays
from worker.core.windows import WIDTHS

__all__ = [
    "EQUAL", "FALSE", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "SESSION_GAP_MS", "TRUE", "UNEQUAL", "UNKNOWN",
    "compare", "crossing", "growing_flip", "session_flip", "window_flip",
]  # fmt: skip

FALSE, TRUE, UNKNOWN = 0, 1, 2
SESSION_GAP_MS = 1_800_000
# Operators of a comparison.
LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, UNEQUAL = range(6)


@compiled
def compare(operator: Integer, left: float, right: float) -> Integer:
    """Return whether `left operator right` holds, UNKNOWN where either is null."""
    if math.isnan(left) or math.isnan(right):
        return UNKNOWN
    if operator == GREATER_EQUAL:
        return TRUE if left >= right else FALSE
    if operator == GREATER:
        return TRUE if left > right else FALSE
    if operator == LESS:
        return TRUE if left < right else FALSE
    if operator == LESS_EQUAL:
        return TRUE if left <= right else FALSE
    if operator == EQUAL:
        return TRUE if left == right else FALSE
    return TRUE if left != right else FALSE


@compiled
def window_flip(
    p: Program, s: StateArrays, slot: Integer, place: Integer, operator: Integer, constant: float, truth: Integer
) -> Integer:
    """Return when a window's value, losing hop after hop, first compares differently."""
    if operator < EQUAL and compare(operator, 0.0, constant) == truth:
        return FOREVER
    window = p.windows[place]
    amount = window["amount"] == 1
    hops = window["hops"]
    head = np.int64(s.narrow[slot, HEADS + window["width"]])
    rest = s.wide[slot, window["sum"]] if amount else np.int64(s.narrow[slot, window["sum"]])
    for hop in range(head - hops + 1, head + 1):
        if rest == 0:
            break
        cell = window["at"] + hop % hops
        lost = s.wide[slot, cell] if amount else np.int64(s.narrow[slot, cell])
        if lost != 0:
            rest -= lost
            if compare(operator, rest / 100.0 if amount else np.float64(rest), constant) != truth:
                return (hop + hops) * WIDTHS[window["width"]]
    return FOREVER


@compiled
def growing_flip(origin: Integer, clock: Integer, operator: Integer, reached: Integer, passed: Integer) -> Integer:
    """Return when a time since `origin` crosses its threshold: equal from `reached` ms on, above from `passed` on."""
    if origin == NEVER:
        return FOREVER
    elapsed = clock - origin
    if elapsed < reached and operator != GREATER and operator != LESS_EQUAL:
        return min(origin + reached, FOREVER)
    if elapsed < passed and operator != GREATER_EQUAL and operator != LESS:
        return min(origin + passed, FOREVER)
    return FOREVER


@compiled
def session_flip(s: StateArrays, slot: Integer, clock: Integer) -> Integer:
    """Return when the session under way ends if nothing more happens."""
    end = s.wide[slot, SESSION_LAST] + SESSION_GAP_MS
    return end if clock < end else FOREVER


@compiled
def crossing(origin: Integer, clock: Integer, seconds: float) -> Integer:
    """Return the next ms at which a time since `origin` reaches or passes `seconds`."""
    if origin == NEVER or not abs(seconds) < 1e14:
        return FOREVER
    elapsed = clock - origin
    candidate = max(elapsed + 1, np.int64(math.floor(seconds * 1000.0)) - 1)
    for _ in range(4):
        now = candidate / 1000.0
        before = (candidate - 1) / 1000.0
        if (now >= seconds) != (before >= seconds) or (now > seconds) != (before > seconds):
            return origin + candidate
        candidate += 1
    return FOREVER
