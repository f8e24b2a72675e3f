"""Quantiles of what the definitions rank users by, over the active users of a week.

A quantile is a value that some user has (the inverse of the empirical distribution, type 1 of Hyndman and Fan 1996):
the share of users who have the very same value, such as no order at all, stays what it is.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "quantiles_of", "rank_difference"]

LEVELS: Final = np.linspace(0.0, 1.0, 101)
NEVER: Final = "time_since_"

Values = NDArray[np.float64]


def quantiles_of(name: str, values: Values) -> list[float]:
    """Return the values at `LEVELS`, ascending, or nothing if no user has one.

    Users without a value (NaN) are left out, but for times since something: no value there means never, longer than
    any time, and the largest time stands for it.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    if name.startswith(NEVER):
        known = np.where(np.isfinite(values), values, known.max())
    found: list[float] = np.quantile(known, LEVELS, method="inverted_cdf").tolist()
    return found


def rank_difference(before: list[float], after: list[float]) -> float:
    """Return by how much the share of smaller users differs at most, 0 to 1, between two lists of quantiles.

    It is Kolmogorov and Smirnov's distance between the two, to within a step.
    """
    if not before or not after:
        return float(len(before) != len(after))
    points = np.union1d(before, after)
    return float(np.max(np.abs(_shares(before, points) - _shares(after, points))))


def _shares(quantiles: list[float], points: Values) -> Values:
    return np.searchsorted(np.array(quantiles), points, "right") / len(quantiles)
