"""Drift is found when it is there and stays unsaid when it isn't; constants come from `worker.bench.drift`."""

import numpy as np
import pytest
from scipy.stats import chi2

from worker.bench.drift import delay_days, false_alarms
from worker.language.observed import OBSERVED, Observed
from worker.learning.detector import DAILY, VALUES_MAX, Detector, Share
from worker.learning.drift import TargetDrift, Watches, watched_from_days
from worker.learning.psi import PSI_MIN, Reference, psi, psi_limit
from worker.learning.settings import DAY_MS

WEEKDAYS = np.arange(700) % 7


def test_psi_is_nothing_between_the_same_and_the_textbooks_number_otherwise() -> None:
    """Two bins, half and half against nine in ten: (0.4)(ln 1.8) + (-0.4)(ln 0.2)."""
    even, uneven = np.array([50_000, 50_000]), np.array([90_000, 10_000])
    assert psi(even, even) == 0.0
    assert psi(even, uneven) == pytest.approx(0.4 * np.log(1.8) - 0.4 * np.log(0.2), rel=1e-3)


def test_psi_of_a_stationary_feature_exceeds_its_limit_as_rarely_as_stated() -> None:
    """1,000 pairs of samples of 200 and 300 users: one in a hundred exceeds what one in a hundred may."""
    dice = np.random.default_rng(1)
    found = 0
    for _ in range(1_000):
        reference = Reference.of(dice.normal(size=300), WEEKDAYS[:300])
        counts = reference.histogram(dice.normal(size=200))
        scale = 1 / 200 + 1 / 300
        limit = psi_limit(reference.counts, 200, 0.01)
        assert limit == max(PSI_MIN, scale * chi2.isf(0.01, len(counts) - 1))
        found += psi(reference.counts, counts) > scale * chi2.isf(0.01, len(counts) - 1)
    assert 1 <= found < 25


def test_a_reference_keeps_atoms_in_bins_of_their_own_and_missing_ones_in_the_last() -> None:
    """Half zeros, a quarter missing: shares say so, and what is missing later is seen."""
    values = np.concatenate((np.zeros(50), np.full(25, np.nan), np.arange(1.0, 26.0)))
    exported = Reference.of(values, WEEKDAYS[:100]).exported()
    assert exported["edges"][0] == 0.0
    assert exported["shares"][0] == 0.5
    assert exported["shares"][-1] == 0.25
    assert len(exported["shares"]) == len(exported["edges"]) + 1
    nobody = Reference.of(np.full(10, np.nan), WEEKDAYS[:10]).exported()
    assert nobody == {"edges": [], "shares": [1.0]}


def test_what_weekdays_do_every_week_is_no_change() -> None:
    """Twice as much on Sundays: there as here as much as usual, in standard deviations."""
    values = np.where(WEEKDAYS == 3, 200.0, 100.0) * np.exp(np.random.default_rng(6).normal(0, 0.1, 700))
    reference = Reference.of(values, WEEKDAYS)
    assert abs(reference.standard(200.0, weekday=3)) < 0.5
    assert abs(reference.standard(100.0, weekday=0)) < 0.5
    assert reference.standard(200.0, weekday=0) > 5
    assert reference.standard(float("nan"), weekday=0) == 0.0


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("views_7d", 14),
        ("views_24h", 8),
        ("spend_90d / spend_365d", 372),
        ("refund_rate", 97),
        ("time_since_order", 97),
    ],
)
def test_a_feature_is_watched_from_when_its_window_has_filled(expression: str, days: int) -> None:
    """The longest of its windows and a week; without a window, as long as users count as active."""
    assert watched_from_days(Observed("it", expression)) == days


def test_what_only_ever_grows_is_never_watched() -> None:
    """Ages and totals change by nature; a ratio of them doesn't."""
    assert watched_from_days(Observed("age", "age")) is None
    assert watched_from_days(Observed("orders_total", "orders_total")) is None
    assert watched_from_days(Observed("order_recency", "time_since_order * orders_total / age")) == 97
    watches = Watches()
    assert watches.begin(np.ones((300, len(OBSERVED))), WEEKDAYS[:300], days=10_000)
    assert not {"age", "orders_total", "spend_total", "sessions_total"} & set(watches.by_name)


def test_a_detector_that_was_restored_is_what_it_was() -> None:
    """Restored after every length, also past the bound where it begins again: the same finding at the same value."""
    values = np.concatenate((np.random.default_rng(2).beta(2, 2, 9_000), np.random.default_rng(3).beta(4, 2, 3_000)))
    whole, resumed = Detector(0.05), Detector(0.05)
    for place, value in enumerate(values.tolist()):
        found = whole.update(value)
        assert resumed.update(value) == found
        if place % 977 == 0:
            resumed = Detector(0.05, resumed.state())
        if found is not None:
            assert place > 9_000
            assert found.before < found.after
            assert len(whole.state()) == 0
            return
        assert len(whole.state()) <= 2 * VALUES_MAX
    raise AssertionError("the change was not found")


def test_a_share_looks_at_a_bounded_number_a_day() -> None:
    """A thousand a day, from the second on about as many as is allowed; on a day of half of that, half."""
    share, looked = Share(), []
    dice = np.random.default_rng(4)
    for day, count in ((0, 1_000), (1, 1_000), (3, 1_000), (4, 500)):
        places = dice.integers(0, 2**63, count, dtype=np.uint64).astype(object) * 2
        looked.append(sum(share.takes(day * DAY_MS + hour, place) for hour, place in enumerate(places)))
    assert looked[0] == 1_000
    assert all(abs(found - DAILY) < 80 for found in looked[1:3])
    assert abs(looked[3] - DAILY / 2) < 60


def loss_stream(days: int, chances: list[float], seed: int) -> list[tuple[int, str, float]]:
    """Log losses of a calibrated model whose world changes by a stretch of days each: 500 samples a day."""
    dice = np.random.default_rng(seed)
    stream = []
    for stretch, chance in enumerate(chances):
        for number in range(days * 500):
            at_ms = (stretch * days * 500 + number) * DAY_MS // 500
            predicted = 0.1 + 0.2 * dice.random()
            label = dice.random() < chance * predicted
            stream.append((at_ms, f"{stretch}/{number}", float(-np.log(predicted if label else 1 - predicted))))
    return stream


@pytest.mark.parametrize("seed", range(3))
def test_a_rise_of_the_loss_is_found_within_a_week_and_a_fall_is_no_alarm(seed: int) -> None:
    """Twice as many buy as before: found within seven days; half as many again: the loss falls, which is no alarm."""
    drift = TargetDrift()
    found = [
        (at_ms, shift)
        for at_ms, name, loss in loss_stream(30, [1.0, 2.5, 1.0], seed)
        if (shift := drift.update(at_ms, name, loss))
    ]
    assert len(found) == 1
    at_ms, shift = found[0]
    assert 30 * DAY_MS < at_ms < 37 * DAY_MS
    assert shift.after > shift.before


def test_a_targets_drift_that_was_restored_is_what_it_was() -> None:
    """Restored every day: the same finding, and the same bytes in the end."""
    whole, resumed = TargetDrift(), TargetDrift()
    for place, (at_ms, name, loss) in enumerate(loss_stream(20, [1.0, 2.0], 5)):
        assert whole.update(at_ms, name, loss) == resumed.update(at_ms, name, loss)
        if place % 500 == 0:
            resumed = TargetDrift(resumed.state())
    assert whole.state() == resumed.state()


@pytest.mark.parametrize("seed", range(3))
def test_a_stationary_shop_stays_quiet(seed: int) -> None:
    """Ten weeks of 400 users with their daily and weekly rhythm, all features watched: not one alarm."""
    assert sum(false_alarms(users=400, days=70, seed=seed).values()) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_change_is_found_within_a_week(seed: int) -> None:
    """One feature of 700 users moves by a standard deviation: an alarm with its name within seven days."""
    found = delay_days(users=700, shift=1.0, seed=seed, days=14)
    assert found
    assert min(found.values()) <= 7
