"""Which features describe how a user behaves, how they become numbers near zero, and the words for much and little.

Clusters are found in this space: every value is taken sign(x)·log1p(|x|), then less the mean, over the standard
deviation of the users it was fitted on, so that no feature rules by its unit. The same formula as the snapshot's.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.language.observed import OBSERVED
from worker.learning.preparation import logarithm

__all__ = ["BEHAVIOUR", "Preparation"]

Rows = NDArray[np.float64]

SCALE_MIN: Final = 0.01
"""A feature that is nearly the same for everybody isn't scaled up: the first user who differs would be far from all."""


class Behaviour(NamedTuple):
    """A feature, what stands for a missing value in its unit, and what users are called who have much or little."""

    name: str
    missing: float
    much: str
    little: str


BEHAVIOUR: Final = (
    Behaviour("views_90d", 0.0, "many views", "few views"),
    Behaviour("searches_per_view", 0.0, "searching", "few searches"),
    Behaviour("wishlists_per_view", 0.0, "wishing", "few wishes"),
    Behaviour("cart_adds_per_view", 0.0, "quick to the cart", "slow to the cart"),
    Behaviour("orders_365d", 0.0, "many orders", "few orders"),
    Behaviour("refund_rate", 0.0, "returning goods", "keeping goods"),
    Behaviour("complaints_90d", 0.0, "complaining", "no complaints"),
    Behaviour("evening_share", 0.0, "evenings", "daytime"),
)
"""How much, how often per view, when; nothing that flows. A time since something grows for everybody every day and
falls at every visit: users would cross borders to and fro without changing their ways. Counts of windows and not
totals, so that who changes her ways changes her place: of a year where an event is rare, or one order more or less
would be another behaviour. Shares of views beside counts, or everything but how much would be drowned in how much."""

_ORDER: Final = [each.name for each in OBSERVED]
_PLACES: Final = [_ORDER.index(each.name) for each in BEHAVIOUR]
_MISSING: Final = np.array([each.missing for each in BEHAVIOUR])


class Preparation(NamedTuple):
    """Mean and scale per feature of `BEHAVIOUR`, after the logarithm."""

    mean: Rows
    scale: Rows

    @classmethod
    def fitted(cls, rows: Rows) -> "Preparation":
        """What brings these rows, [user, OBSERVED], to mean 0 and standard deviation 1."""
        values = _logarithms(rows)
        return cls(values.mean(axis=0), _scale(values.std(axis=0)))

    def apply(self, rows: Rows) -> Rows:
        """Return [user, BEHAVIOUR], prepared."""
        return (_logarithms(rows) - self.mean) / self.scale

    def translate(self, centres: Rows, other: "Preparation") -> Rows:
        """Return centres of this space in the space of another preparation."""
        return (centres * self.scale + self.mean - other.mean) / other.scale

    def inputs(self) -> list[dict[str, Any]]:
        """How the snapshot says it: an input per feature."""
        return [
            {"name": each.name, "log": True, "missing": each.missing, "mean": float(mean), "scale": float(scale)}
            for each, mean, scale in zip(BEHAVIOUR, self.mean, self.scale, strict=True)
        ]

    def in_units(self, centre: Sequence[float] | Rows) -> dict[str, float]:
        """Return a prepared centre in the features' own units."""
        values = np.asarray(centre) * self.scale + self.mean
        units = np.copysign(np.expm1(np.abs(values)), values)
        return {each.name: float(unit) for each, unit in zip(BEHAVIOUR, units, strict=True)}


def _scale(deviation: Rows) -> Rows:
    return np.where(deviation >= SCALE_MIN, deviation, 1.0)


def _logarithms(rows: Rows) -> Rows:
    values = rows[:, _PLACES]
    return logarithm(np.where(np.isfinite(values), values, _MISSING))
