"""Whether a challenger is better than the champion, asked after every score.

Better means a smaller log loss on the same honest scores. Since it is asked again and again, the proof is an
asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, "Time-uniform central limit theory
and asymptotic confidence sequences", theorem 2.2; of forecasters: Choe, Ramdas 2023, "Comparing sequential
forecasters"): mean - deviation · sqrt(2(nρ²+1)/(n²ρ²) · log(sqrt(nρ²+1)/α)) stays below the true mean gain for all n
at once with probability 1 - α.
"""

import math
from typing import Final

import msgspec

from worker.learning.settings import ALPHA_PROMOTION, COMPARED_LEAST, EPOCH

__all__ = ["Comparison"]

TIGHTEST: Final = 1_000  # paired scores at which the bound is tightest
_LOG: Final = -2.0 * math.log(ALPHA_PROMOTION)
RHO_SQUARED: Final = (_LOG + math.log(_LOG) + 1.0) / TIGHTEST
LABELS_LEAST: Final = 20  # of either kind: with fewer, the deviation isn't known


class Comparison(msgspec.Struct):
    """The gains of a challenger over the champion: the champion's loss less the challenger's, sample by sample."""

    n: int = 0
    positives: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, gain: float, label: int) -> None:
        """Take a paired score in; after an epoch begin anew."""
        if self.n >= EPOCH:
            self.n, self.positives, self.total, self.squares = 0, 0, 0.0, 0.0
        self.n += 1
        self.positives += label
        self.total += gain
        self.squares += gain * gain

    @property
    def mean(self) -> float:
        """The mean gain."""
        return self.total / self.n if self.n else 0.0

    def bound(self, alpha: float) -> float:
        """Return what the true mean gain is above, but in a share `alpha` of epochs; -inf while there is too little."""
        return self.mean - self._margin(alpha)

    def is_lost(self, alpha: float) -> bool:
        """Whether the challenger is proven worse: it begins anew then, its first weeks not held against it."""
        return self.mean + self._margin(alpha) < 0.0

    def _margin(self, alpha: float) -> float:
        if self.n < COMPARED_LEAST or min(self.positives, self.n - self.positives) < LABELS_LEAST:
            return math.inf
        variance = max(self.squares / self.n - self.mean**2, 0.0)
        grown = self.n * RHO_SQUARED + 1.0
        width = 2.0 * grown / (self.n**2 * RHO_SQUARED) * math.log(math.sqrt(grown) / alpha)
        return math.sqrt(variance * width)
