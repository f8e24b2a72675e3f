"""Sampled values: percentiles, probabilities, the cluster, and arithmetic on times, computed into the row.

The rule: sums run from left to right in plain loops (no BLAS: its sums depend on the batch), a
probability is rounded to 6 decimals before anyone compares it, and without profiling consent there is none.
"""

import math

import numpy as np

from worker.core.compiled import compiled
from worker.core.conditions import number
from worker.core.layout import PROFILING
from worker.core.tables import Integer, Outputs, Program, StateArrays, Table

__all__ = ["CLUSTER", "EXPRESSION", "PERCENTILE", "PROBABILITY", "sample"]

EXPRESSION, PERCENTILE, PROBABILITY, CLUSTER = range(4)
STAYS_UNLESS_NEARER_THAN = 0.9


@compiled
def _prepare(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Write the model's scaled features to `o.features`."""
    for place in range(len(p.inputs)):
        entry = p.inputs[place]
        value = number(p, s, o.scratch, slot, clock, entry["first"], entry["last"])
        if math.isnan(value) or math.isinf(value):
            value = entry["missing"]
        if entry["log"] == 1:
            value = math.copysign(math.log1p(abs(value)), value)
        o.features[place] = (value - entry["mean"]) / entry["scale"]


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
def _probability(p: Program, o: Outputs, target: Integer) -> float:
    total = 0.0
    for place in range(len(p.inputs)):
        total += p.weights[target, place] * o.features[place]
    total += float(p.targets[target]["intercept"])
    # Beyond 700 the exponential leaves the range of doubles; the probability is 0 or 1 long before.
    raw = 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, total))))
    calibrated = _interpolate(p.calibration, p.targets[target]["first"], p.targets[target]["last"], raw)
    return np.rint(calibrated * 1e6) / 1e6


@compiled
def _distance(p: Program, o: Outputs, centre: Integer) -> float:
    total = 0.0
    for place in range(len(p.inputs)):
        difference = o.features[place] - p.centres[centre, place]
        total += difference * difference
    return math.sqrt(total)


@compiled
def _cluster(p: Program, o: Outputs, held: Integer) -> Integer:
    """Return the text number of the cluster: the nearest centre's, unless that of `held` is nearly as near."""
    nearest = 0
    least = math.inf
    current = math.inf
    for centre in range(len(p.centres)):
        distance = _distance(p, o, centre)
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
def sample(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Compute every sampled value of a row anew, at its clock."""
    consent = s.narrow[slot, PROFILING]
    allowed = consent == 1 or (consent < 0 and p.settings[0]["profiling"] == 1)
    if len(p.inputs) > 0 and allowed:
        _prepare(p, s, o, slot, clock)
    for place in range(len(p.samples)):
        entry = p.samples[place]
        kind = entry["kind"]
        if kind == CLUSTER:
            held = np.int64(s.narrow[slot, entry["column"]])
            known = allowed and len(p.centres) > 0
            s.narrow[slot, entry["column"]] = _cluster(p, o, held) if known else -1
        elif kind == PROBABILITY:
            known = allowed and entry["first"] >= 0
            s.real[slot, entry["column"]] = _probability(p, o, entry["first"]) if known else math.nan
        else:
            value = number(p, s, o.scratch, slot, clock, entry["first"], entry["last"])
            if kind == PERCENTILE:
                value = _percentile(p.quantiles, entry["low"], entry["high"], value) if entry["low"] >= 0 else math.nan
            s.real[slot, entry["column"]] = value
