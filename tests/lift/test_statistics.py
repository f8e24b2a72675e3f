"""Intervals and evidence: against scipy, and against the truth over hundreds of campaigns."""

import math

import numpy as np
import pytest
from scipy import stats

from worker.lift.statistics import (
    SUCCESSES_MIN,
    TIGHTEST_AT_USERS,
    USERS_MIN,
    Interval,
    Sums,
    boundary,
    difference,
    evidence_of_mismatch,
    ratio,
)

CAMPAIGNS, DAYS = 300, 60


def sums(values: np.ndarray) -> Sums:
    """The sums of outcomes."""
    return Sums(len(values), int((values > 0).sum()), float(values.sum()), float((values * values).sum()))


def test_fixed_intervals_are_those_of_scipy() -> None:
    """Of means: Welch's, with the normal's quantile in the t's place; of proportions with one of each added as well."""
    rng = np.random.default_rng(7)
    treated, control = rng.gamma(2, 20, 4_000), rng.gamma(2, 18, 900)
    found = difference(sums(treated), sums(control))
    welch = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(0.95)
    assert found is not None
    assert (found.fixed_low, found.fixed_high) == pytest.approx((welch.low, welch.high), abs=0.005)
    bought, held = (rng.random(4_000) < 0.12).astype(float), (rng.random(900) < 0.1).astype(float)
    found = difference(sums(bought), sums(held), binary=True)
    added = [np.append(values, (0.0, 1.0)) for values in (bought, held)]
    caffo = stats.ttest_ind(*added, equal_var=False).confidence_interval(0.95)
    assert found is not None
    assert (found.fixed_low, found.fixed_high) == pytest.approx((caffo.low, caffo.high), abs=5e-5)
    assert found.estimate == bought.mean() - held.mean()


def test_the_ratio_agrees_with_the_bootstrap() -> None:
    """The delta method on the log, held to resampling."""
    rng = np.random.default_rng(8)
    treated, control = rng.gamma(2, 20, 4_000), rng.gamma(2, 18, 900)
    found = ratio(sums(treated), sums(control))
    drawn = [rng.choice(treated, 4_000).mean() / rng.choice(control, 900).mean() - 1 for _ in range(2_000)]
    assert found is not None
    assert (found.fixed_low, found.fixed_high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=0.01)


def test_the_boundary_is_the_papers() -> None:
    """At rho^2 t = 1: sqrt(2 * 2 * log(sqrt(2) / 0.05)); wider than one look needs everywhere, and never by much."""
    scale = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05)) + 1) / TIGHTEST_AT_USERS
    assert boundary(1 / scale) == pytest.approx(math.sqrt(4 * math.log(math.sqrt(2) / 0.05)))
    assert all(1.96 < boundary(users) < 5.5 for users in (200, 1_000, 10_000, 1e5, 1e6, 1e8))
    widths = [boundary(10 * 1.1**step) / math.sqrt(1.1**step) for step in range(150)]
    assert widths == sorted(widths, reverse=True)


def looks(rng: np.random.Generator, *, effect: float, share: float, money: bool) -> list[Interval]:
    """What somebody sees who looks at a campaign every day."""
    users = DAYS * int(rng.integers(20, 200))
    held = rng.random(users) < share
    rate = rng.uniform(0.03, 0.3)
    values = (rng.random(users) < np.where(held, rate, rate + effect)).astype(float)
    if money:
        values = values * rng.lognormal(3, 0.8, users)
    seen = []
    for day in range(1, DAYS + 1):
        until = day * users // DAYS
        arms = [sums(values[:until][chosen]) for chosen in (~held[:until], held[:until])]
        interval = difference(arms[0], arms[1], binary=not money)
        seen += [] if interval is None else [interval]
    return seen


@pytest.mark.parametrize(("effect", "money"), [(0.0, False), (0.03, False), (0.0, True)])
def test_who_looks_every_day_is_fooled_at_most_once_in_twenty(effect: float, money: bool) -> None:
    """300 campaigns of 60 days: the sequence holds on every day of 95 in 100, the fixed interval on the last; who looks
    at the fixed interval daily is fooled far more often, which is what the sequence is for.
    """
    rng = np.random.default_rng(2_026)
    seen = [looks(rng, effect=effect, share=rng.choice((0.1, 0.2, 0.5)), money=money) for _ in range(CAMPAIGNS)]
    fooled = sum(any(not look.low <= effect <= look.high for look in campaign) for campaign in seen)
    peeked = sum(any(not look.fixed_low <= effect <= look.fixed_high for look in campaign) for campaign in seen)
    at_the_end = sum(campaign[-1].fixed_low <= effect <= campaign[-1].fixed_high for campaign in seen if campaign)
    ended = sum(bool(campaign) for campaign in seen)
    assert fooled <= 0.05 * CAMPAIGNS
    assert peeked >= 0.15 * CAMPAIGNS
    assert 0.925 * ended <= at_the_end <= 0.98 * ended


def test_there_is_no_interval_of_too_few() -> None:
    """Neither of few users; nor of amounts, or a ratio, with few who bought."""
    enough, few = Sums(USERS_MIN, SUCCESSES_MIN, 30, 40), Sums(USERS_MIN - 1, SUCCESSES_MIN, 30, 40)
    seldom = Sums(USERS_MIN, SUCCESSES_MIN - 1, 30, 40)
    assert difference(enough, enough)
    assert ratio(enough, enough)
    assert difference(seldom, enough, binary=True)
    found = [difference(enough, few), difference(few, enough), ratio(enough, few), difference(enough, seldom)]
    assert [*found, ratio(seldom, enough, binary=True)] == [None] * 5


def test_a_mismatch_of_the_arms_is_seen_and_chance_isnt() -> None:
    """One in ten lost from an arm is seen within 20,000 users; of 300 sound campaigns watched daily none alarms; and
    users where there should be none are certain.
    """
    rng, shares = np.random.default_rng(3), {"a": 0.45, "b": 0.45, "holdout": 0.1}
    assert evidence_of_mismatch({"a": 8_100, "b": 9_000, "holdout": 2_000}, shares) > 3
    alarms = 0
    for _ in range(CAMPAIGNS):
        counts = np.cumsum(rng.multinomial(200, list(shares.values()), DAYS), axis=0).tolist()
        alarms += any(evidence_of_mismatch(dict(zip(shares, day, strict=True)), shares) >= 3 for day in counts)
    assert alarms <= 1
    assert evidence_of_mismatch({"a": 10, "b": 10, "holdout": 2, "c": 1}, shares) == math.inf
