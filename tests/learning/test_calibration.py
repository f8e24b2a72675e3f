"""Raw scores become probabilities."""

import numpy as np
import pytest

from worker.learning.calibration import IDENTITY, calibrated, points_of
from worker.learning.evaluation import calibration_error

NO_SCORES = np.zeros(0)


def overconfident(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores whose log-odds are twice and one more than the truth's, and their labels."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(-1.0, 1.0, count)
    labels = (draw.random(count) < 1 / (1 + np.exp(-logits))).astype(np.float64)
    return 1 / (1 + np.exp(-(2 * logits + 1))), labels


def test_overconfident_scores_are_set_right() -> None:
    """On scores that it wasn't fitted to, the calibration error falls from 0.1 to what chance makes of it."""
    points = points_of(*overconfident(1, 2_000))
    raw, labels = overconfident(2, 20_000)
    assert calibration_error(raw, labels) > 0.1
    assert calibration_error(calibrated(points, raw), labels) < 0.02


def test_few_scores_move_little() -> None:
    """Ten scores, all of positives, don't make everybody one."""
    points = points_of(np.full(10, 0.2), np.ones(10))
    assert 0.2 < calibrated(points, np.array([0.2]))[0] < 0.65


def test_without_scores_it_is_the_identity() -> None:
    """Within what straight lines between points cost."""
    raw = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(calibrated(points_of(NO_SCORES, NO_SCORES), raw), raw, atol=0.01)
    np.testing.assert_array_equal(calibrated(IDENTITY, raw), raw)


@pytest.mark.parametrize("seed", range(20))
def test_points_always_rise(seed: int) -> None:
    """Whatever the labels are, even the reverse of the scores, or all the same, or the scores 0 and 1."""
    draw = np.random.default_rng(seed)
    raw = np.round(draw.random(300), seed % 3)
    labels = ((raw < draw.random(300)) if seed % 2 else np.full(300, seed % 4 == 0)).astype(np.float64)
    across, up = np.array(points_of(raw, labels)).T
    assert np.all(np.diff(across) > 0)
    assert np.all(np.diff(up) >= 0)
    assert np.all((up >= 0) & (up <= 1))
