"""How good scores were: the measures, and a window of the last ones.

Prequential: every score was made before its label was known (exports.py of the day; Gama, Sebastião, Rodrigues 2013).
Measures over a window without positives or without negatives are NaN where they need both.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from worker.learning.settings import EVALUATED, LOG_LOSS_CLIP

__all__ = ["Window", "at_threshold", "auc", "calibration_error", "log_losses", "measures"]

BINS = 10

Numbers = NDArray[np.float64]


class Measures(NamedTuple):
    """Over `n` scores: area under the ROC curve, mean log loss, Brier score, expected calibration error."""

    auc: float
    log_loss: float
    brier: float
    ece: float
    n: int


class AtThreshold(NamedTuple):
    """What calling every score from a threshold on positive would have given."""

    precision: float
    recall: float
    f1: float
    accuracy: float


def log_losses(scores: Numbers, labels: Numbers) -> Numbers:
    """Return -log of what each label was given, scores kept `LOG_LOSS_CLIP` away from 0 and 1."""
    inside = np.clip(scores, LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP)
    return -np.log(np.where(labels > 0, inside, 1.0 - inside))


def auc(scores: Numbers, labels: Numbers) -> float:
    """Return the chance that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    positives = int(np.count_nonzero(labels))
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    above = rankdata(scores)[labels > 0].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def calibration_error(scores: Numbers, labels: Numbers) -> float:
    """Return the expected calibration error: |mean score - share of positives| over ten bins of equal counts.

    Equal counts (Nguyen and O'Connor 2015), since with few positives most scores would share one bin of equal width.
    """
    bins = np.array_split(np.argsort(scores, kind="stable"), BINS)
    return float(sum(abs(scores[rows].sum() - labels[rows].sum()) for rows in bins) / len(scores))


def measures(scores: Numbers, labels: Numbers) -> Measures:
    """Return the measures of scores [n] of labels [n]; n is at least 1."""
    brier = float(((scores - labels) ** 2).mean())
    loss = float(log_losses(scores, labels).mean())
    return Measures(auc(scores, labels), loss, brier, calibration_error(scores, labels), len(scores))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def at_threshold(scores: Numbers, labels: Numbers, threshold: float) -> AtThreshold:
    """Return precision, recall, F1 and accuracy of `score >= threshold`."""
    called, positive = scores >= threshold, labels > 0
    hits, calls, positives = (int(np.count_nonzero(rows)) for rows in (called & positive, called, positive))
    right = int(np.count_nonzero(called == positive))
    return AtThreshold(
        _ratio(hits, calls), _ratio(hits, positives), _ratio(2 * hits, calls + positives), _ratio(right, len(scores))
    )


class Window:
    """The last `EVALUATED` (raw score, calibrated score, label), oldest first."""

    def __init__(self, content: bytes = b"") -> None:
        self._rows = np.frombuffer(content, dtype=np.float64).reshape(-1, 3).copy()
        self._new: list[tuple[float, float, float]] = []

    def append(self, raw: float, score: float, label: int) -> None:
        """Take a score in."""
        self._new.append((raw, score, float(label)))
        if len(self._new) >= EVALUATED:
            self._settle()

    def _settle(self) -> None:
        if self._new:
            self._rows = np.concatenate([self._rows, np.array(self._new)])[-EVALUATED:]
            self._new = []

    def columns(self) -> tuple[Numbers, Numbers, Numbers]:
        """Return raw scores, calibrated scores, labels, each [n]."""
        self._settle()
        return self._rows[:, 0], self._rows[:, 1], self._rows[:, 2]

    def state(self) -> bytes:
        """Return what the constructor takes."""
        self._settle()
        return self._rows.tobytes()
