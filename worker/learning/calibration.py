"""A map from a learner's raw scores to probabilities, fitted to its last scores of what it hadn't learnt yet.

Platt's (1999): the logistic of slope·logit(raw) + shift, by maximum likelihood with a prior around the identity, so
that few scores move little. It rises, so it changes no ranking; as points it is what a snapshot carries.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.learning.settings import CALIBRATION_PRIOR

__all__ = ["IDENTITY", "Points", "calibrated", "points_of"]

Points = list[tuple[float, float]]
"""(raw, calibrated), both rising, joined by straight lines and flat beyond the ends; empty: as is."""

IDENTITY: Points = []
LOGIT_MOST: Final = 9.0
GRID: Final = np.linspace(-LOGIT_MOST, LOGIT_MOST, 37)
NEWTON_STEPS: Final = 12
STEP_MOST: Final = 2.0  # of Newton's: the first from far away may overshoot


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-values))


def _logit(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(raw, _logistic(GRID[:1])[0], _logistic(GRID[-1:])[0])
    return np.log(inside / (1.0 - inside))


def points_of(raw: NDArray[np.float64], labels: NDArray[np.float64]) -> Points:
    """Return the map that fits honest raw scores [n] and their labels [n] best."""
    slope, shift = _fitted(_logit(raw), labels)
    image = _logistic(slope * GRID + shift)
    return list(zip(_logistic(GRID).tolist(), image.tolist(), strict=True))


def _fitted(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope (at least 0) and shift by Newton's method on the penalised likelihood, which is concave."""
    held = np.array([1.0, 0.0])
    found, prior = held.copy(), np.array(CALIBRATION_PRIOR)
    for _ in range(NEWTON_STEPS):
        image = _logistic(found[0] * logits + found[1])
        missed, weight = labels - image, image * (1.0 - image)
        gradient = np.array([(missed * logits).sum(), missed.sum()]) - prior * (found - held)
        mixed = (weight * logits).sum()
        information = np.array([[(weight * logits**2).sum(), mixed], [mixed, weight.sum()]]) + np.diag(prior)
        found = found + np.clip(np.linalg.solve(information, gradient), -STEP_MOST, STEP_MOST)
        found[0] = max(found[0], 0.0)
    return float(found[0]), float(found[1])


def calibrated(points: Points, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return raw scores [n] through a map, as the engine does."""
    if not points:
        return raw
    across, up = zip(*points, strict=True)
    return np.interp(raw, across, up)
