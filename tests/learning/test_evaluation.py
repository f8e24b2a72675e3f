"""Measures are what scikit-learn says they are."""

import numpy as np
import pytest
from sklearn import metrics

from worker.learning.evaluation import Window, at_threshold, auc, calibration_error, measures
from worker.learning.settings import EVALUATED


def scored(seed: int, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and labels that lean their way."""
    draw = np.random.default_rng(seed)
    scores = np.round(draw.uniform(0.01, 0.99, count), 2)
    return scores, (draw.random(count) < scores).astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_measures_equal_those_of_scikit_learn(seed: int) -> None:
    """AUC with ties, log loss, Brier score."""
    scores, labels = scored(seed)
    found = measures(scores, labels)
    assert found.auc == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert found.log_loss == pytest.approx(metrics.log_loss(labels, scores))
    assert found.brier == pytest.approx(metrics.brier_score_loss(labels, scores))
    assert found.n == 500


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_calls_at_a_threshold_equal_those_of_scikit_learn(threshold: float) -> None:
    """Precision, recall, F1 and accuracy; a score at the threshold is called positive, as definitions do with >=."""
    scores, labels = scored(7)
    called = scores >= threshold
    found = at_threshold(scores, labels, threshold)
    assert found.precision == pytest.approx(metrics.precision_score(labels, called))
    assert found.recall == pytest.approx(metrics.recall_score(labels, called))
    assert found.f1 == pytest.approx(metrics.f1_score(labels, called))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, called))


def test_what_needs_both_classes_is_unknown_with_one() -> None:
    """NaN, not an error and not 0."""
    assert np.isnan(auc(np.array([0.1, 0.2]), np.ones(2)))
    assert np.isnan(at_threshold(np.array([0.1]), np.ones(1), 0.5).precision)


def test_calibration_error_is_the_gap_where_there_is_one() -> None:
    """Scores of 0.3 for what happens every second time: 0.2."""
    assert calibration_error(np.full(1_000, 0.3), np.tile([0.0, 1.0], 500)) == pytest.approx(0.2)


def test_a_window_keeps_the_last_scores_in_order() -> None:
    """Beyond its size the oldest go; saved and resumed it is the same."""
    window = Window()
    for number in range(EVALUATED + 100):
        window.append(number, number / 2, number % 2)
    raw, score, label = Window(window.state()).columns()
    np.testing.assert_array_equal(raw, np.arange(100, EVALUATED + 100))
    np.testing.assert_array_equal(score, raw / 2)
    np.testing.assert_array_equal(label, raw % 2)
