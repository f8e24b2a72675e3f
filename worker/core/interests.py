"""What categories a user is drawn to: the strongest weights, each halved every 14 days.

Old weights don't shrink, new ones grow: all are in the unit of one moment of reference, which moves on long before they
outgrow a double.
"""

import math

import numpy as np

from worker.core.batch import CATEGORY
from worker.core.compiled import compiled
from worker.core.layout import INTERESTS, NEVER
from worker.core.tables import Integer, Program, StateArrays, Surroundings, Table

__all__ = ["add_interests"]

HALF_LIFE_MS = 14 * 86_400_000.0


@compiled
def text_after(z: Surroundings, left: Integer, right: Integer) -> bool:
    """Return whether text number `left` sorts after `right`, by its UTF-8 bytes (the order of code points)."""
    left_at = z.text_ends[left - 1] if left > 0 else 0
    right_at = z.text_ends[right - 1] if right > 0 else 0
    left_length = z.text_ends[left] - left_at
    right_length = z.text_ends[right] - right_at
    for place in range(min(left_length, right_length)):
        if z.text[left_at + place] != z.text[right_at + place]:
            return bool(z.text[left_at + place] > z.text[right_at + place])
    return bool(left_length > right_length)


@compiled
def _interest_factor(p: Program, s: StateArrays, slot: Integer, time: Integer) -> float:
    """Return what a weight of 1 at `time` is in the row's unit, which is a weight of 1 at its reference time."""
    reference = p.settings[0]["interest_reference"]
    weights = p.settings[0]["interest_weights"]
    if s.wide[slot, reference] == NEVER:
        s.wide[slot, reference] = time
    halvings = (time - s.wide[slot, reference]) / HALF_LIFE_MS
    if halvings > 64.0:
        for place in range(INTERESTS):
            s.real[slot, weights + place] *= math.exp2(-halvings)
        s.wide[slot, reference] = time
        return 1.0
    return math.exp2(halvings)


@compiled
def _interest(p: Program, s: StateArrays, z: Surroundings, slot: Integer, category: Integer, weight: float) -> None:
    """Add `weight` to a category; a new one takes a free place, else the weakest's if it comes before it."""
    ids = p.settings[0]["interest_ids"]
    weights = p.settings[0]["interest_weights"]
    weakest = 0
    for place in range(INTERESTS):
        held = s.narrow[slot, ids + place]
        if held == category:
            s.real[slot, weights + place] += weight
            return
        if held < 0:
            s.narrow[slot, ids + place] = category
            s.real[slot, weights + place] = weight
            return
        low = s.real[slot, weights + weakest]
        own = s.real[slot, weights + place]
        if own < low or (own == low and text_after(z, held, s.narrow[slot, ids + weakest])):
            weakest = place
    low = s.real[slot, weights + weakest]
    if weight > low or (weight == low and text_after(z, s.narrow[slot, ids + weakest], category)):
        s.narrow[slot, ids + weakest] = category
        s.real[slot, weights + weakest] = weight


@compiled
def add_interests(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    slot: Integer,
    kind: Integer,
    time: Integer,
    lines: Table,
    first: Integer,
    last: Integer,
) -> None:
    """Add the weight of an event of `kind` at `time` to each distinct category of its lines [first, last)."""
    weight = float(p.kinds[kind]["interest"])
    if first == last:
        return
    factor = _interest_factor(p, s, slot, time)
    for row in range(first, last):
        category = np.int64(lines[row, CATEGORY])
        fresh = bool(category >= 0)
        for earlier in range(first, row):
            if np.int64(lines[earlier, CATEGORY]) == category:
                fresh = False
        if fresh:
            _interest(p, s, z, slot, category, weight * factor)
