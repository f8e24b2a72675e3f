"""The population stability index (PSI): how differently a feature is spread now and in its reference.

PSI = Σ (q - p) · ln(q / p) over the bins, p and q being their shares then and now. Without a change it is about
(1/n + 1/m) times chi-square with bins - 1 degrees of freedom, n and m being the numbers of users (Yurdakul 2018,
"Statistical properties of population stability index"). So an alarm needs more than chance gives in a shop of this
size, and, in a large shop where everything is significant, more than 0.2: a shop whose users grow older shows half of
that by nature, and 0.1 to 0.25 is what the literature calls a change worth a look.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from worker.learning.pieces import packed_array, unpacked_array
from worker.learning.preparation import logarithm

__all__ = ["PSI_MIN", "Reference", "psi", "psi_limit"]

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

PSI_MIN: Final = 0.2
DECILES: Final = np.linspace(0.1, 1.0, 10)
HALF: Final = 0.5
SCALE_MIN: Final = 0.01


def psi(before: Counts, after: Counts) -> float:
    """Return the index between two histograms of the same bins; half a user more in each, so that none is empty."""
    then = (before + HALF) / (before.sum() + HALF * len(before))
    now = (after + HALF) / (after.sum() + HALF * len(after))
    return float(np.sum((now - then) * np.log(now / then)))


def psi_limit(before: Counts, users: int, chance: float) -> float:
    """Return what the index exceeds without a change with this chance at most, and `PSI_MIN` at least.

    `before` is the reference's histogram, `users` how many are compared with it.
    """
    freedom = max(len(before) - 1, 1)
    return max(PSI_MIN, (1 / users + 1 / int(before.sum())) * float(chi2.isf(chance, freedom)))


class Reference(NamedTuple):
    """How a feature was spread: bins (…, edge] and one beyond the last edge, where missing values count too.

    `means` by weekday and `scale` are of the values' logarithms, NaN left out; weekdays differ in most shops, and what
    they do every week is no change.
    """

    edges: Values
    counts: Counts
    means: list[float]
    scale: float

    @classmethod
    def of(cls, values: Values, weekdays: Counts) -> "Reference":
        """The reference that these users are, each seen on her weekday, 0 to 6; edges are the deciles, each once."""
        known = np.isfinite(values)
        if not known.any():
            return cls(np.empty(0), _histogram(np.empty(0), values), [0.0] * 7, 1.0)
        edges = np.unique(np.quantile(values[known], DECILES, method="inverted_cdf"))
        logs, days = logarithm(values[known]), weekdays[known]
        means = [float((logs[days == day] if (days == day).any() else logs).mean()) for day in range(7)]
        scale = float((logs - np.array(means)[days]).std())
        return cls(edges, _histogram(edges, values), means, scale if scale >= SCALE_MIN else 1.0)

    def histogram(self, values: Values) -> Counts:
        """Return how many of these values are in each bin."""
        return _histogram(self.edges, values)

    def standard(self, value: float, weekday: int) -> float:
        """Return a value's logarithm in standard deviations from the weekday's mean; 0 for a missing one."""
        if not math.isfinite(value):
            return 0.0
        return (math.copysign(math.log1p(abs(value)), value) - self.means[weekday]) / self.scale

    def exported(self) -> dict[str, list[float]]:
        """Return the snapshot's part: edges, and the share of users between them."""
        return {"edges": self.edges.tolist(), "shares": (self.counts / max(self.counts.sum(), 1)).tolist()}

    def packed(self) -> dict[str, Any]:
        """The reference as plain data."""
        return {**self._asdict(), "edges": packed_array(self.edges), "counts": packed_array(self.counts)}

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any]) -> "Reference":
        """The reference that was packed."""
        edges, counts = unpacked_array(packed["edges"]), unpacked_array(packed["counts"])
        return cls(edges, counts, packed["means"], packed["scale"])


def _histogram(edges: Values, values: Values) -> Counts:
    # NaN sorts behind everything, into the last bin; so does an infinite time.
    return np.bincount(np.searchsorted(edges, values, "left"), minlength=len(edges) + 1).astype(np.int64)
