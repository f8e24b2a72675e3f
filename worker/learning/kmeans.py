"""Where clusters begin: k-means on a bounded sample, and how many clusters there are.

Seeds by k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's iterations, the best of a few starts; the number of
clusters by the silhouette (Rousseeuw 1987) on users who weren't fitted on. Seeded, and without BLAS, whose sums depend
on the machine's number of threads.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAR", "best_fit", "distances", "fitted", "nearest", "silhouette", "within_reach"]

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]

CLUSTERS_MIN: Final = 3
CLUSTERS_MAX: Final = 8
NEARLY: Final = 0.1
"""More clusters say more: the largest number is taken whose silhouette is within this share of the best one's."""
SHARE_MIN: Final = 0.02
"""A cluster of fewer users is not worth a segment: such a number of clusters is not taken."""

STARTS: Final = 10
ITERATIONS_MAX: Final = 50
JUDGED_MAX: Final = 1_000
SEED: Final = 20_070_101
FAR: Final = 4.0
"""Standard deviations beyond which a user pulls no harder: a few extreme ones don't get a centre to themselves."""


class Fit(NamedTuple):
    """Centres, and the silhouette of users who weren't fitted on."""

    centres: Rows
    silhouette: float


def best_fit(rows: Rows) -> Fit:
    """Return the centres to begin with, [cluster, feature], for prepared rows.

    Every other row is fitted on, the rest judges; there must be at least `2 * CLUSTERS_MAX` rows.
    """
    near = within_reach(rows)
    learnt, judged = near[::2], near[1::2][:JUDGED_MAX]
    between = distances(judged, judged)
    fits = []
    for count in range(CLUSTERS_MIN, CLUSTERS_MAX + 1):
        centres = fitted(learnt, count)
        labels = nearest(judged, centres)
        smallest = np.bincount(labels, minlength=count).min() / len(judged)
        fits.append((smallest >= SHARE_MIN, Fit(centres, silhouette(between, labels))))
    worth = [fit for large, fit in fits if large] or [fits[0][1]]
    best = max(fit.silhouette for fit in worth)
    return [fit for fit in worth if fit.silhouette >= best - NEARLY * abs(best)][-1]


def within_reach(rows: Rows) -> Rows:
    """Return prepared rows for centres to learn from: cut at `FAR`."""
    return np.clip(rows, -FAR, FAR)


def fitted(rows: Rows, count: int) -> Rows:
    """Return the best centres of a few seeded starts: those with the least sum of squared distances."""
    dice = np.random.default_rng(SEED)
    tries = [_lloyd(rows, _seeds(rows, count, dice)) for _ in range(STARTS)]
    return min(tries, key=lambda centres: float(distances(rows, centres).min(axis=1).sum()))


def distances(rows: Rows, centres: Rows) -> Rows:
    """Return the squared distances, [row, centre], summed over the features from left to right."""
    total = np.zeros((len(rows), len(centres)))
    for feature in range(rows.shape[1]):
        total += (rows[:, feature, None] - centres[None, :, feature]) ** 2
    return total


def nearest(rows: Rows, centres: Rows) -> Labels:
    """Return the number of the nearest centre for each row."""
    return distances(rows, centres).argmin(axis=1)


def silhouette(between: Rows, labels: Labels) -> float:
    """Return the mean silhouette, -1 to 1, from squared distances between all rows; 0 for a single cluster."""
    apart = np.sqrt(between)
    sizes = np.bincount(labels)
    present = np.flatnonzero(sizes)
    if len(present) < 2:
        return 0.0
    totals = np.stack([apart[:, labels == label].sum(axis=1) for label in present], axis=1)
    own = np.searchsorted(present, labels)
    place = np.arange(len(labels))
    within = totals[place, own] / np.maximum(sizes[labels] - 1, 1)
    means = totals / sizes[present]
    means[place, own] = np.inf
    beside = means.min(axis=1)
    widths = np.where(sizes[labels] > 1, (beside - within) / np.maximum(np.maximum(within, beside), 1e-300), 0.0)
    return float(widths.mean())


def _seeds(rows: Rows, count: int, dice: np.random.Generator) -> Rows:
    chosen = [int(dice.integers(len(rows)))]
    least = distances(rows, rows[chosen])[:, 0]
    while len(chosen) < count:
        chosen.append(_drawn(least, dice))
        least = np.minimum(least, distances(rows, rows[chosen[-1:]])[:, 0])
    return rows[chosen]


def _drawn(weights: Rows, dice: np.random.Generator) -> int:
    """Return a place, drawn with these weights; any if all are 0."""
    steps = np.cumsum(weights)
    if steps[-1] <= 0:
        return int(dice.integers(len(weights)))
    return min(int(np.searchsorted(steps, dice.random() * steps[-1], "right")), len(weights) - 1)


def _lloyd(rows: Rows, centres: Rows) -> Rows:
    for _ in range(ITERATIONS_MAX):
        labels = nearest(rows, centres)
        sizes = np.bincount(labels, minlength=len(centres))
        totals = np.stack([np.bincount(labels, column, len(centres)) for column in rows.T], axis=1)
        moved = np.where(sizes[:, None] > 0, totals / np.maximum(sizes, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres
