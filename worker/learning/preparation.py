"""Features made ready for learners: a stand-in for what is missing, then sign(x)·log1p(|x|).

The rule: it depends on a feature's name alone, so that samples of any age are prepared alike. Prepared vectors are
float32 wherever they are kept: half the state, and a model can't tell.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.language.observed import OBSERVED
from worker.learning.settings import NEVER_S

__all__ = ["NAMES", "Vectors", "inputs_of", "logarithm", "prepared"]

Vectors = NDArray[np.float32]

NAMES = tuple(feature.name for feature in OBSERVED)
MISSING = np.array([NEVER_S if name.startswith("time_since_") else 0.0 for name in NAMES])


def logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sign(x)·log1p(|x|) of every value."""
    return np.copysign(np.log1p(np.abs(values)), values)


def prepared(features: NDArray[np.float64]) -> Vectors:
    """Return a vector of OBSERVED features [F], or several [n, F], ready for learners; NaN and infinite are missing."""
    known = np.where(np.isfinite(features), features, MISSING)
    return logarithm(known).astype(np.float32)


def inputs_of(
    mean: NDArray[np.float64], scale: NDArray[np.float64], limit: float | None = None
) -> list[dict[str, Any]]:
    """Return a snapshot's `inputs`: how each feature becomes what a model with `mean`, `scale` and `limit` reads."""
    return [
        {
            "name": name,
            "log": True,
            "missing": float(missing),
            "mean": float(middle),
            "scale": float(width),
            "limit": limit,
        }
        for name, missing, middle, width in zip(NAMES, MISSING, mean, scale, strict=True)
    ]
