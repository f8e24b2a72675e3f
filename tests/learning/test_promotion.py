"""A comparison that may be looked at after every score errs as seldom as it says."""

import numpy as np

from worker.learning.promotion import Comparison
from worker.learning.settings import COMPARED_LEAST, EPOCH


def first_proof(seed: int, mean: float, alpha: float, count: int = EPOCH) -> int | None:
    """After how many paired scores of a mean gain (deviation 1) the bound is above 0, if ever."""
    draw, comparison = np.random.default_rng(seed), Comparison()
    for number, gain in enumerate(draw.normal(mean, 1.0, count)):
        comparison.add(float(gain), number % 2)
        if comparison.bound(alpha) > 0:
            return number + 1
    return None


def test_equals_are_seldom_told_apart() -> None:
    """Looked at after each of 4,096 scores, at most 5 of 100 comparisons of equals prove anything at alpha 0.05."""
    proven = sum(first_proof(seed, 0.0, 0.05) is not None for seed in range(100))
    assert proven <= 5


def test_a_difference_is_found() -> None:
    """A fifth of a deviation, in every run, within 1,500 scores."""
    found = [first_proof(seed, 0.2, 0.01) for seed in range(20)]
    assert all(number is not None and number <= 1_500 for number in found)


def test_nothing_is_proven_by_few_or_by_one_kind() -> None:
    """Below the least count, or with hardly any positives, the bound says nothing."""
    few, one_kind = Comparison(), Comparison()
    for _ in range(COMPARED_LEAST - 1):
        few.add(1.0, 1)
        few.positives //= 2
    for _ in range(1_000):
        one_kind.add(1.0, 0)
    assert few.bound(0.05) == one_kind.bound(0.05) == -np.inf


def test_an_epoch_forgets_the_one_before() -> None:
    """What was worse for a whole epoch and is better now is seen to be better in the next."""
    draw, comparison = np.random.default_rng(1), Comparison()
    for number, gain in enumerate(draw.normal(-0.5, 1.0, EPOCH)):
        comparison.add(float(gain), number % 2)
    for number, gain in enumerate(draw.normal(0.5, 1.0, 1_000)):
        comparison.add(float(gain), number % 2)
    assert comparison.bound(0.01) > 0


def test_who_is_proven_worse_may_begin_anew() -> None:
    """A learner that was worse for its first 600 scores and is better now isn't held back by them."""
    draw, comparison = np.random.default_rng(2), Comparison()
    lost = 0
    for number, gain in enumerate([*draw.normal(-0.5, 1.0, 600), *draw.normal(0.3, 1.0, 800)]):
        comparison.add(float(gain), number % 2)
        if comparison.is_lost(0.01):
            comparison, lost = Comparison(), lost + 1
    assert lost > 0
    assert comparison.bound(0.01) > 0
