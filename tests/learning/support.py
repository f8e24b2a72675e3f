"""Streams of labelled samples with a known truth, as the engine would emit them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.definitions import Target
from worker.language.observed import OBSERVED
from worker.language.wanted import Wanted
from worker.learning.inputs import Sample
from worker.learning.learning import Learning

DAY = 86_400_000
HORIZON = 7 * DAY
START = 20_000 * DAY
NAMES = [observed.name for observed in OBSERVED]
Odds = Callable[[NDArray[np.float64], float], float]


def wanting(*targets: str, horizon: str = "7d") -> Wanted:
    """What definitions with nothing but targets want."""
    ids = targets or ("purchase",)
    found = [Target.model_validate({"id": name, "positive": "order", "horizon": horizon}) for name in ids]
    return Wanted(found, traits=[], thresholds={}, ranked=[], clusters=False)


def learning(parts: Mapping[str, bytes] | None = None, **thresholds: list[float]) -> Learning:
    """The learning of one target, `purchase`."""
    return Learning(wanting()._replace(thresholds=thresholds), parts=parts)


def useless(features: NDArray[np.float64], day: float) -> float:
    """Odds that have nothing to do with features or time."""
    del features, day
    return -1.0


def plain(features: NDArray[np.float64], day: float) -> float:
    """Log-odds of a buyer: who views and has a full cart, more; who was long away, less."""
    del day
    views, cart, away = (features[NAMES.index(name)] for name in ("views_7d", "cart_items", "time_since_activity"))
    return float(0.8 * np.log1p(views) + 1.2 * np.log1p(cart) - 0.5 * np.log1p(away / 86_400) - 1.5)


def features_of(draw: np.random.Generator) -> NDArray[np.float64]:
    """Somebody's features: counts, times, shares, some of them missing."""
    counts = draw.poisson(draw.gamma(1.0, 4.0), len(NAMES)).astype(np.float64)
    times = draw.exponential(5 * 86_400, len(NAMES))
    values = np.where([name.startswith("time_since") or name == "age" for name in NAMES], times, counts)
    return np.where(draw.random(len(NAMES)) < 0.05, np.nan, values)


def sample(number: int, sampled_ms: int, label: int, features: NDArray[np.float64], **changes: Any) -> Sample:
    """A sample of `purchase`; positives are resolved after a day, negatives at their deadline."""
    resolved_ms = sampled_ms + (DAY if label else HORIZON)
    known = Sample(
        f"{number:032x}", f"u-{number}", "purchase", sampled_ms, resolved_ms, label, features, np.nan, None, ()
    )
    return known._replace(id=f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:016x}", **changes)


def stream(seed: int, count: int, odds: Odds = plain, *, a_day: int = 100) -> list[Sample]:
    """`count` samples, so many a day, in the order in which they are resolved."""
    draw = np.random.default_rng(seed)
    return sorted(_samples(draw, count, odds, a_day), key=lambda one: (one.resolved_ms, one.id))


def _samples(draw: np.random.Generator, count: int, odds: Odds, a_day: int) -> Iterator[Sample]:
    for number in range(count):
        sampled_ms = START + number * DAY // a_day
        features = features_of(draw)
        missing_as_none = np.nan_to_num(features)
        chance = 1 / (1 + np.exp(-odds(missing_as_none, number / a_day)))
        yield sample(number, sampled_ms, int(draw.random() < chance), features)
