"""Sampled values: percentiles, probabilities, the cluster, and arithmetic on times, computed into the row.

The rule: sums run from left to right in plain loops (no BLAS: its sums depend on the batch), a
probability is rounded to 6 decimals before anyone compares it, and without profiling consent there is none.
"""

import math

import numpy as np

from worker.core.compiled import compiled
from worker.core.conditions import number
from worker.core.layout import PROFILING
from worker.core.tables import Integer, Outputs, Program, Row, StateArrays, Table

__all__ = [
    "CLUSTER", "EXPRESSION", "LINEAR", "PERCENTILE", "PROBABILITY", "TREES", "child_of", "may_profile", "prepare",
    "probability_of", "sample",
]  # fmt: skip

EXPRESSION, PERCENTILE, PROBABILITY, CLUSTER = range(4)
LINEAR, TREES = range(2)  # kinds of targets
STAYS_UNLESS_NEARER_THAN = 0.9


@compiled
def may_profile(p: Program, s: StateArrays, slot: Integer) -> bool:
    """Return whether the user may be scored: her word, else what the definitions say."""
    consent = s.narrow[slot, PROFILING]
    return bool(consent == 1 or (consent < 0 and p.settings[0]["profiling"] == 1))


@compiled
def _value(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, entry: Row) -> float:
    """Return what inputs scale: a feature of the row, or what stands for it, perhaps its logarithm."""
    value = number(p, s, o.scratch, slot, clock, entry["first"], entry["last"])
    if math.isnan(value) or math.isinf(value):
        value = float(entry["missing"])
    if entry["log"] == 1 and value != 0.0:  # as most counts are
        value = math.copysign(math.log1p(abs(value)), value)
    return value


@compiled
def _scale(p: Program, o: Outputs, first: Integer, last: Integer) -> None:
    """Write the inputs [first, last) to `o.features`, from the values that they need."""
    for place in range(first, last):
        entry = p.inputs[place]
        scaled = (o.values[entry["value"]] - entry["mean"]) / entry["scale"]
        o.features[place] = max(-entry["limit"], min(entry["limit"], scaled))


@compiled
def prepare(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, first: Integer, last: Integer
) -> None:
    """Write the inputs [first, last) of a row at `clock` to `o.features`."""
    for place in range(first, last):
        value = p.inputs[place]["value"]
        o.values[value] = _value(p, s, o, slot, clock, p.values[value])
    _scale(p, o, first, last)


@compiled
def _interpolate(points: Table, first: Integer, last: Integer, raw: float) -> float:
    """Return the piecewise linear image of `raw` through points [first, last), flat beyond the ends."""
    if first == last:
        return raw
    if raw <= points[first, 0]:
        return points[first, 1]
    for place in range(first + 1, last):
        if raw <= points[place, 0]:
            share = (raw - points[place - 1, 0]) / (points[place, 0] - points[place - 1, 0])
            return points[place - 1, 1] + share * (points[place, 1] - points[place - 1, 1])
    return points[last - 1, 1]


@compiled
def _logistic(p: Program, o: Outputs, target: Row) -> float:
    """Return a linear target's probability over the prepared features."""
    total = 0.0
    first = target["inputs_first"]
    last = target["inputs_last"]
    weights = target["weights"] - first
    for place in range(first, last):
        total += p.weights[weights + place] * o.features[place]
    total += float(target["intercept"])
    # Beyond 700 the exponential leaves the range of doubles; the probability is 0 or 1 long before.
    return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, total))))


@compiled
def child_of(p: Program, o: Outputs, node: Integer) -> Integer:
    """Return the node that the prepared features lead to from a split."""
    split = p.nodes[node]
    return np.int64(split["left"] if o.features[split["feature"]] <= split["threshold"] else split["right"])


@compiled
def _mean_leaf(p: Program, o: Outputs, target: Row) -> float:
    """Return the mean of the leaves that the prepared features reach, a leaf per tree."""
    total = 0.0
    for place in range(target["roots_first"], target["roots_last"]):
        node = p.roots[place]
        while p.nodes[node]["left"] >= 0:
            node = child_of(p, o, node)
        total += p.nodes[node]["value"]
    return float(total / np.float64(target["roots_last"] - target["roots_first"]))


@compiled
def _probability(p: Program, o: Outputs, target: Row) -> float:
    """Return a target's probability over the prepared features, calibrated and rounded."""
    raw = _mean_leaf(p, o, target) if target["kind"] == TREES else _logistic(p, o, target)
    calibrated = _interpolate(p.calibration, target["calibration_first"], target["calibration_last"], raw)
    return float(np.rint(calibrated * 1e6) / 1e6)


@compiled
def probability_of(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, target: Integer) -> float:
    """Return the probability by the model's target at place `target`; NaN without it (below 0) or without consent."""
    if target < 0 or not may_profile(p, s, slot):
        return math.nan
    entry = p.targets[target]
    prepare(p, s, o, slot, clock, entry["inputs_first"], entry["inputs_last"])
    return _probability(p, o, entry)


@compiled
def _distance(p: Program, o: Outputs, centre: Integer, first: Integer, last: Integer) -> float:
    total = 0.0
    for place in range(first, last):
        difference = o.features[place] - p.centres[centre, place - first]
        total += difference * difference
    return math.sqrt(total)


@compiled
def _cluster(p: Program, o: Outputs, held: Integer, first: Integer, last: Integer) -> Integer:
    """Return the text number of the cluster: the nearest centre's, unless that of `held` is nearly as near."""
    nearest = 0
    least = math.inf
    current = math.inf
    for centre in range(len(p.centres)):
        distance = _distance(p, o, centre, first, last)
        if distance < least:
            least = distance
            nearest = centre
        if p.clusters[centre] == held:
            current = distance
    if current < math.inf and least > STAYS_UNLESS_NEARER_THAN * current:
        return held
    return p.clusters[nearest]


@compiled
def _percentile(quantiles: Table, first: Integer, last: Integer, value: float) -> float:
    """Return the share of smaller values, from quantiles at equal steps, linear in between."""
    if math.isnan(value):
        return math.nan
    low = first
    high = last
    while low < high:
        middle = (low + high) // 2
        if quantiles[middle] < value:
            low = middle + 1
        else:
            high = middle
    if low == first:
        return 0.0
    if low == last:
        return 1.0
    below = quantiles[low - 1]
    return (low - 1 - first + (value - below) / (quantiles[low] - below)) / (last - first - 1)


@compiled
def _score(p: Program, s: StateArrays, o: Outputs, slot: Integer, entry: Row) -> None:
    """Compute a sampled probability or cluster anew, from the values that were read."""
    column = entry["column"]
    if entry["kind"] == CLUSTER:
        _scale(p, o, entry["first"], entry["last"])
        s.narrow[slot, column] = _cluster(p, o, np.int64(s.narrow[slot, column]), entry["first"], entry["last"])
        return
    target = p.targets[entry["first"]]
    _scale(p, o, target["inputs_first"], target["inputs_last"])
    s.real[slot, column] = _probability(p, o, target)


@compiled
def sample(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Compute every sampled value of a row anew, at its clock; what several parts of the model need is read once."""
    allowed = may_profile(p, s, slot)
    if allowed:
        for place in range(p.settings[0]["values_sampled"]):
            o.values[place] = _value(p, s, o, slot, clock, p.values[place])
    for place in range(len(p.samples)):
        entry = p.samples[place]
        kind = entry["kind"]
        column = entry["column"]
        if kind == CLUSTER or kind == PROBABILITY:
            if allowed and entry["first"] >= 0:
                _score(p, s, o, slot, entry)
            elif kind == CLUSTER:
                s.narrow[slot, column] = -1
            else:
                s.real[slot, column] = math.nan
        else:
            value = number(p, s, o.scratch, slot, clock, entry["first"], entry["last"])
            if kind == PERCENTILE:
                value = _percentile(p.quantiles, entry["low"], entry["high"], value) if entry["low"] >= 0 else math.nan
            s.real[slot, column] = value
