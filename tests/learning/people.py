"""Active users with known ways, observed once a week, as the engine would emit them."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.language.observed import OBSERVED
from worker.learning.inputs import Observation

__all__ = ["DAY_MS", "KINDS", "NAMES", "START_MS", "Kind", "crowd", "observations"]

Rows = NDArray[np.float64]

DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
START_MS: Final = 20_001 * WEEK_MS  # a Thursday, where weeks begin
NAMES: Final = [each.name for each in OBSERVED]


class Kind(NamedTuple):
    """A kind of user: means of what she does in 90 days, and her evenings."""

    views: float
    orders: float
    adds_per_view: float
    evening: float


KINDS: Final = (
    Kind(views=60.0, orders=0.1, adds_per_view=0.01, evening=0.8),
    Kind(views=12.0, orders=6.0, adds_per_view=0.6, evening=0.2),
    Kind(views=3.0, orders=0.5, adds_per_view=0.3, evening=0.5),
)


def crowd(kinds: NDArray[np.int64], dice: np.random.Generator, table: Sequence[Kind] = KINDS) -> Rows:
    """Features of users of these kinds, [user, OBSERVED]; what doesn't tell kinds apart is noise."""
    rows = np.exp(dice.normal(size=(len(kinds), len(NAMES))))
    means = np.array(table)[kinds]
    for place, name in enumerate(("views_90d", "orders_90d")):
        rows[:, NAMES.index(name)] = dice.poisson(means[:, place] * np.exp(dice.normal(0, 0.2, len(kinds))))
    rows[:, NAMES.index("orders_365d")] = rows[:, NAMES.index("orders_90d")]
    rows[:, NAMES.index("cart_adds_per_view")] = means[:, 2] * np.exp(dice.normal(0, 0.1, len(kinds)))
    rows[:, NAMES.index("evening_share")] = np.clip(dice.normal(means[:, 3], 0.1), 0, 1)
    for name in ("searches_per_view", "wishlists_per_view", "complaints_90d", "refund_rate"):
        rows[:, NAMES.index(name)] = 0.0
    return rows


def observations(
    users: int, weeks: int, seed: int = 1, first_week: int = 0, table: Sequence[Kind] = KINDS
) -> Iterator[Observation]:
    """Observations of so many users in so many weeks, in order of time; user n is of kind n modulo the kinds."""
    dice = np.random.default_rng([seed, first_week])
    phases = np.sort(np.random.default_rng(seed).integers(0, WEEK_MS, users)).tolist()
    for week in range(first_week, first_week + weeks):
        rows = crowd(np.arange(users) % len(table), dice, table)
        for user, (phase, row) in enumerate(zip(phases, rows, strict=True)):
            moment = START_MS + week * WEEK_MS + phase
            spent = float(row[0]) if user % 2 else 0.0
            yield Observation(f"{moment:016x}{user:016x}", f"u-{user}", moment, row, {"spend_365d": spent})
