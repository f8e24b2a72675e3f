"""The naive twin's scoring: percentiles, probabilities and what moves them, clusters; a snapshot is a plain dict.

Everything is summed left to right in plain floats. `value_of` gives a feature's value by its name.
"""

import bisect
import itertools
import math
from collections.abc import Callable
from typing import Any

from worker.naive.conditions import Value

__all__ = ["cluster", "contributions", "features_of", "percentile", "probability"]

ValueOf = Callable[[str], Value]


def features_of(model: dict[str, Any]) -> set[str]:
    """The names of all features that any part of the model reads."""
    parts = [model, *model.get("targets", {}).values(), model.get("clusters") or {}]
    return {feature["name"] for part in parts for feature in [*part.get("features", []), *part.get("inputs", [])]}


def inputs_of(model: dict[str, Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    """What a target or the clusters read: their own inputs, else the model's features."""
    return part.get("inputs") or model.get("features", [])


def inputs(model: dict[str, Any], part: dict[str, Any], value_of: ValueOf) -> list[float]:
    """The scaled features of a part of the model."""
    scaled = []
    for feature in inputs_of(model, part):
        value = value_of(feature["name"])
        known = isinstance(value, (int, float)) and math.isfinite(value)
        x = float(value) if known and value is not None else float(feature.get("missing", 0.0))
        if feature.get("log", False):
            x = math.copysign(math.log1p(abs(x)), x)
        limit = feature.get("limit") or math.inf
        scaled.append(min(max((x - feature.get("mean", 0.0)) / feature.get("scale", 1.0), -limit), limit))
    return scaled


def calibrated(raw: float, points: list[Any]) -> float:
    """The raw probability through a piecewise linear function; none is the identity."""
    if not points or raw <= points[0][0]:
        return float(points[0][1]) if points else raw
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if raw <= x1:
            return float(y0 + (y1 - y0) * (raw - x0) / (x1 - x0))
    return float(points[-1][1])


def path(trees: dict[str, Any], root: int, x: list[float]) -> list[int]:
    """The nodes on the way from a root to the leaf of x."""
    nodes = [root]
    while trees["left"][nodes[-1]] >= 0:
        node = nodes[-1]
        left = x[trees["feature"][node]] <= trees["threshold"][node]
        nodes.append(trees["left" if left else "right"][node])
    return nodes


def probability(model: dict[str, Any], target: str, value_of: ValueOf) -> float | None:
    """The target's probability, rounded to six decimals; None if the model does not know it."""
    known = model.get("targets", {}).get(target)
    if known is None:
        return None
    x = inputs(model, known, value_of)
    if known["kind"] == "trees":
        raw = sum(known["value"][path(known, root, x)[-1]] for root in known["roots"]) / len(known["roots"])
    else:
        z = 0.0
        for weight, part in zip(known["weights"], x, strict=True):
            z += weight * part
        z += known.get("intercept", 0.0)
        raw = 1.0 / (1.0 + math.exp(-z)) if z > -700 else 0.0
    return round(calibrated(raw, known.get("calibration", [])), 6)


def contributions(model: dict[str, Any], target: str, value_of: ValueOf) -> list[dict[str, Any]]:
    """The five features that move the target's probability most, strongest first, those that don't left out."""
    known = model.get("targets", {}).get(target)
    if known is None:
        return []
    x = inputs(model, known, value_of)
    effects = [0.0] * len(x)
    if known["kind"] == "linear":
        effects = [weight * part for weight, part in zip(known["weights"], x, strict=True)]
    else:
        for root in known["roots"]:
            for parent, child in itertools.pairwise(path(known, root, x)):
                change = known["value"][child] - known["value"][parent]
                effects[known["feature"][parent]] += change / len(known["roots"])
    ranked = sorted(range(len(x)), key=lambda place: -abs(effects[place]))
    names = [feature["name"] for feature in inputs_of(model, known)]
    return [
        {"feature": names[place], "value": finite(value_of(names[place])), "effect": effects[place]}
        for place in ranked[:5]
        if effects[place]
    ]


def finite(value: Value) -> Value:
    """The value as reasons show it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    x = inputs(model, clusters, value_of)
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
