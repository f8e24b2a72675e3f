"""The naive twin's scoring: percentiles, probabilities and clusters from a model snapshot given as a plain dict.

Everything is summed left to right in plain floats. `value_of` gives a feature's value by its name.
"""

import bisect
import itertools
import math
from collections.abc import Callable
from typing import Any

from tests.support.twin_conditions import Value

ValueOf = Callable[[str], Value]


def inputs(model: dict[str, Any], value_of: ValueOf) -> list[float]:
    """The model's scaled features."""
    scaled = []
    for feature in model.get("features", []):
        value = value_of(feature["name"])
        known = isinstance(value, (int, float)) and math.isfinite(value)
        x = float(value) if known and value is not None else float(feature.get("missing", 0.0))
        if feature.get("log", False):
            x = math.copysign(math.log1p(abs(x)), x)
        scaled.append((x - feature.get("mean", 0.0)) / feature.get("scale", 1.0))
    return scaled


def calibrated(raw: float, points: list[Any]) -> float:
    """The raw probability through a piecewise linear function; none is the identity."""
    if not points or raw <= points[0][0]:
        return float(points[0][1]) if points else raw
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if raw <= x1:
            return float(y0 + (y1 - y0) * (raw - x0) / (x1 - x0))
    return float(points[-1][1])


def probability(model: dict[str, Any], target: str, value_of: ValueOf) -> float | None:
    """The target's probability, rounded to six decimals; None if the model does not know it."""
    linear = model.get("targets", {}).get(target)
    if linear is None:
        return None
    z = 0.0
    for weight, x in zip(linear["weights"], inputs(model, value_of), strict=True):
        z += weight * x
    z += linear.get("intercept", 0.0)
    raw = 1.0 / (1.0 + math.exp(-z)) if z > -700 else 0.0
    return round(calibrated(raw, linear.get("calibration", [])), 6)


def percentile(model: dict[str, Any], feature: str, value: Value) -> float | None:
    """The share of users with a smaller value; None without quantiles or value."""
    quantiles = model.get("quantiles", {}).get(feature)
    if not quantiles or not isinstance(value, (int, float)):
        return None
    if value <= quantiles[0]:
        return 0.0
    if value > quantiles[-1]:
        return 1.0
    i = bisect.bisect_left(quantiles, value)
    part = (value - quantiles[i - 1]) / (quantiles[i] - quantiles[i - 1])
    return float((i - 1 + part) / (len(quantiles) - 1))


def cluster(model: dict[str, Any], current: str | None, value_of: ValueOf) -> str | None:
    """The nearest cluster, unless the current one is not at least 10 % farther; None without clusters."""
    clusters = model.get("clusters")
    if clusters is None:
        return None
    x = inputs(model, value_of)
    distances: dict[str, float] = {}
    for name, centre in zip(clusters["names"], clusters["centres"], strict=True):
        squares = 0.0
        for place, coordinate in zip(x, centre, strict=True):
            squares += (place - coordinate) ** 2
        distances[name] = math.sqrt(squares)
    nearest = min(distances, key=lambda name: distances[name])
    if current in distances and distances[nearest] > 0.9 * distances[current]:
        return current
    return nearest
