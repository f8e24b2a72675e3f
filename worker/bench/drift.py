"""False alarms of drift on a shop where nothing changes, and the delay until a planted change is found.

`python -m worker.bench.drift` prints the table from which the constants of `worker.learning.drift` and
`worker.learning.psi` come: alarms per day of a whole population, by size of the shop, with its daily and weekly
rhythm; then, by size of the change, after how many days it is found.
"""

import sys
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.language.observed import OBSERVED
from worker.learning.drift import ALARMS_PER_DAY
from worker.learning.inputs import Observation
from worker.learning.panel import WEEK_MS
from worker.learning.population import Population
from worker.learning.settings import DAY_MS

__all__ = ["Shop", "delay_days", "false_alarms", "table"]

Rows = NDArray[np.float64]

START_MS: Final = 20_000 * DAY_MS
SETTLED_DAYS: Final = 378  # 54 weeks: by then every feature is watched
SHOPS: Final = ((300, 7_000), (2_000, 2_100), (20_000, 350))
SHIFTS: Final = (0.3, 0.5, 1.0)
TRIES: Final = 6


class Shop:
    """Active users, each with ways of her own, observed once a week; nothing changes but the hour and the weekday.

    A third of the features are counts, a third amounts or times of which many users have none, a third shares.
    """

    def __init__(self, users: int, seed: int) -> None:
        self.dice = np.random.default_rng(seed)
        self.users = users
        self.phases = np.sort(self.dice.integers(0, WEEK_MS, users))
        self.ways = self.dice.normal(size=(users, len(OBSERVED)))

    def observations(self, first_day: int, days: int, shift: float = 0.0, shifted: int = 0) -> Iterator[Observation]:
        """Yield the observations of these days; `shift` moves the ways of one feature, in standard deviations."""
        for week in range(first_day // 7, (first_day + days) // 7):
            moments = START_MS + week * WEEK_MS + self.phases
            rows = self._rows(moments, shift, shifted)
            for user, (moment, row) in enumerate(zip(moments.tolist(), rows, strict=True)):
                yield Observation(f"{user}/{moment}", f"u-{user}", moment, row, {"spend_365d": float(row[1])})

    def _rows(self, moments: NDArray[np.int64], shift: float, shifted: int) -> Rows:
        rhythm = 0.2 * np.sin(2 * np.pi * moments / DAY_MS) + 0.2 * np.sin(2 * np.pi * moments / WEEK_MS)
        moods = self.ways + self.dice.normal(size=self.ways.shape)
        moods = moods / np.sqrt(2) + rhythm[:, None]
        moods[:, shifted] += shift
        kinds = np.arange(moods.shape[1]) % 3
        counts = self.dice.poisson(np.exp(np.minimum(moods, 6.0))).astype(np.float64)
        amounts = np.where(moods > 0.3, np.exp(3 + moods), np.nan)
        shares = 1 / (1 + np.exp(-moods))
        return np.select([kinds == 0, kinds == 1], [counts, amounts], shares)


def false_alarms(users: int, days: int, seed: int) -> dict[str, int]:
    """Count the alarms by what they are about, over so many days of a shop where nothing changes."""
    shop, population = Shop(users, seed), Population(["spend_365d"], clusters=True)
    _settle(population, shop)
    for observation in shop.observations(SETTLED_DAYS, days):
        population.observe(observation)
    return _counted(population.decisions())


def delay_days(users: int, shift: float, seed: int, days: int = 28) -> dict[str, float]:
    """Return after how many days a change of one feature's ways is found, by what found it."""
    shop, population = Shop(users, seed), Population(["spend_365d"], clusters=True)
    _settle(population, shop)
    for observation in shop.observations(SETTLED_DAYS, 28):
        population.observe(observation)
    population.decisions()
    begins = SETTLED_DAYS + 28
    shifted = seed % len(OBSERVED)
    for observation in shop.observations(begins, days, shift, shifted):
        population.observe(observation)
    found: dict[str, float] = {}
    for record in population.decisions():
        if record["kind"] == "alarm" and record["name"] == OBSERVED[shifted].name:
            found.setdefault(record["what"], (record["at_ms"] - START_MS) / DAY_MS - begins)
    return found


def _settle(population: Population, shop: Shop) -> None:
    """A week of observations, a year before the rest: all windows have filled when those come."""
    for observation in shop.observations(0, 7):
        population.observe(observation)


def _counted(decisions: list[dict[str, Any]]) -> dict[str, int]:
    alarms = [record["what"] for record in decisions if record["kind"] == "alarm"]
    return {what: alarms.count(what) for what in ("psi", "mean", "centre", "sizes")}


def table(shops: tuple[tuple[int, int], ...] = SHOPS, seed: int = 1) -> Iterator[str]:
    """Yield the lines of the report: `shops` are numbers of users and of days without a change."""
    yield f"False alarms where nothing changes; stated: at most {ALARMS_PER_DAY} a day."
    yield f"{'users':>8} {'days':>6} {'psi':>4} {'mean':>5} {'centre':>7} {'sizes':>6} {'per day':>8}"
    for users, days in shops:
        found = false_alarms(users, days, seed)
        counts = f"{found['psi']:>4} {found['mean']:>5} {found['centre']:>7} {found['sizes']:>6}"
        yield f"{users:>8} {days:>6} {counts} {sum(found.values()) / days:>8.5f}"
    yield "Days until a change of one feature is found, by its size in standard deviations (- where not in four weeks)."
    yield f"{'users':>8} {'shift':>6}   {TRIES} features"
    for users, _ in shops:
        for shift in SHIFTS:
            delays = [delay_days(users, shift, tried) for tried in range(seed, seed + TRIES)]
            told = " ".join(f"{min(found.values()):>5.1f}" if found else "    -" for found in delays)
            yield f"{users:>8} {shift:>6} {told}"


if __name__ == "__main__":
    for line in table():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
