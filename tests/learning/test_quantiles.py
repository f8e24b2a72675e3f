"""The panel is a fair sample in whatever order it is filled, and quantiles of it are values that users have."""

import numpy as np

from tests.learning.people import DAY_MS, START_MS
from worker.learning.panel import SIZE, WEEK_MS, Panel, hash_of
from worker.learning.quantiles import LEVELS, quantiles_of, rank_difference


def filled(values: list[float], order: list[int], at_ms: int = START_MS) -> Panel:
    """A panel of one value per user."""
    panel = Panel(1)
    for user in order:
        panel.add(hash_of(f"u-{user}"), at_ms, np.array([values[user]]))
    return panel


def test_the_order_of_observations_doesnt_matter() -> None:
    """Twice as many users as there is room for, forwards and shuffled: the same rows in the same order."""
    values = np.random.default_rng(1).normal(size=2 * SIZE).tolist()
    order = list(range(len(values)))
    shuffled = np.random.default_rng(2).permutation(len(values)).tolist()
    forwards, otherwise = (filled(values, each).recent(START_MS + DAY_MS)[0] for each in (order, shuffled))
    assert len(forwards) == SIZE
    assert np.array_equal(forwards, otherwise)


def test_a_sample_has_the_quantiles_of_all() -> None:
    """Of 20,000 users, within four standard errors at every level."""
    values = np.random.default_rng(3).exponential(size=20_000)
    sample = filled(values.tolist(), list(range(20_000))).recent(START_MS + DAY_MS)[0][:, 0]
    ranks = np.searchsorted(np.sort(values), quantiles_of("spend_365d", sample)) / 20_000
    errors = np.abs(ranks - LEVELS)
    assert (errors <= 4 * np.sqrt(LEVELS * (1 - LEVELS) / SIZE) + 1e-3).all()


def test_every_user_of_a_small_shop_counts_once() -> None:
    """Two weeks of 100 users: at any moment the newest value of each, no user twice and none left out."""
    panel = Panel(1)
    for user in range(200):
        at_ms = START_MS + user * (WEEK_MS // 100)
        panel.add(hash_of(f"{user}"), at_ms, np.array([float(user)]))
        seen = panel.recent(at_ms)[0][:, 0]
        assert sorted(seen) == list(range(max(0, user - 99), user + 1))


def test_two_full_weeks_are_brought_to_one_rate() -> None:
    """A week with ten times as many users as the next: in the middle of both, each half has its users' share."""
    panel = Panel(1)
    dice = np.random.default_rng(4)
    for week, users in ((0, 60_000), (1, 6_000)):
        for moment in np.sort(dice.integers(0, WEEK_MS, users)).tolist():
            panel.add(hash_of(f"{week}/{moment}"), START_MS + week * WEEK_MS + moment, np.array([float(week)]))
    recent = panel.recent(START_MS + WEEK_MS + WEEK_MS // 2)[0][:, 0]
    # 30,000 of the first week and 3,000 of the second are younger than a week, but the second went on to its end.
    assert abs(np.mean(recent == 1.0) - 6_000 / 36_000) < 0.03


def test_a_value_that_many_share_keeps_its_share() -> None:
    """Six in ten without an order: the lowest six tenths of the levels are exactly 0, and the rest isn't."""
    values = np.concatenate((np.zeros(600), np.arange(1.0, 401.0)))
    found = quantiles_of("spend_365d", values)
    assert found[:60] == [0.0] * 60
    assert found[61] > 0
    assert found[-1] == 400.0


def test_who_never_did_it_ranks_last_by_time_and_not_at_all_otherwise() -> None:
    """Half have no value: as a time it is longer than any, as an amount it is nothing to compare with."""
    values = np.array([1.0, 2.0, np.nan, np.inf])
    assert quantiles_of("time_since_order", values)[50:] == [2.0] * 51
    assert quantiles_of("average_order", values)[:51] == [1.0] * 51
    assert quantiles_of("average_order", np.array([np.nan])) == []


def test_the_difference_of_ranks_is_that_of_the_distributions() -> None:
    """Nothing for the same quantiles, all for values that don't overlap, a tenth for a shift of a tenth."""
    one = quantiles_of("spend_365d", np.arange(1_000.0))
    assert rank_difference(one, one) == 0.0
    assert rank_difference(one, [value + 5_000 for value in one]) == 1.0
    assert abs(rank_difference(one, [value + 100 for value in one]) - 0.1) <= 0.011
    assert rank_difference([], one) == 1.0
