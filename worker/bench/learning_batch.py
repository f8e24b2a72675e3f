"""The yardstick: scikit-learn's models, refitted every so often on everything labelled so far.

The same features, instants and delay of labels as the learners that go along. Two kinds of "labelled so far": what is
resolved, as is usual, and what is past its horizon (`…, matured`), which keeps early positives from outweighing
late negatives.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.bench.learning_run import Judged
from worker.errors import WrongUsage
from worker.learning.preparation import prepared
from worker.learning.settings import DAY_MS, EVIDENCE_LEAST

__all__ = ["MATURED", "batch_scores", "required"]

Reals = NDArray[np.float64]
MATURED: Final = ", matured"
SEED: Final = 1
Fit = Callable[[Reals, NDArray[np.bool_], Reals], Reals]
"""Prepared features and labels of what is known, features of what is to be scored -> probabilities."""


def required() -> None:
    """Raise WrongUsage unless scikit-learn is there."""
    try:
        import_module("sklearn")
    except ImportError as error:
        raise WrongUsage("scikit-learn, which it is measured beside, is missing: pip install scikit-learn.") from error


def _forest(known: Reals, labels: NDArray[np.bool_], asked: Reals) -> Reals:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - a yardstick, no part of what is installed

    model = RandomForestClassifier(100, min_samples_leaf=5, n_jobs=-1, random_state=SEED)
    return _probabilities(model.fit(known, labels), asked)


def _boosting(known: Reals, labels: NDArray[np.bool_], asked: Reals) -> Reals:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    model = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=60, max_leaf_nodes=8, min_samples_leaf=30, random_state=SEED
    )
    return _probabilities(model.fit(known, labels), asked)


def _logistic(known: Reals, labels: NDArray[np.bool_], asked: Reals) -> Reals:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return _probabilities(model.fit(known, labels), asked)


def _probabilities(model: Any, asked: Reals) -> Reals:
    return np.asarray(model.predict_proba(asked), dtype=np.float64)[:, 1]


MODELS: Final[dict[str, Fit]] = {
    "random forest": _forest, "gradient boosting": _boosting, "logistic regression": _logistic,
}  # fmt: skip


def batch_scores(judged: Judged, refit_days: int) -> dict[str, Reals]:
    """Return by model what it gave each sample [n]: NaN before the first refit with enough of either label."""
    known_ms = {"": judged.resolved_ms, MATURED: judged.due_ms}
    vectors = prepared(judged.features).astype(np.float64)
    return {
        name + kind: _refitted(judged, vectors, refit_days * DAY_MS, fit, known)
        for kind, known in known_ms.items()
        for name, fit in MODELS.items()
    }


def _refitted(judged: Judged, vectors: Reals, every_ms: int, fit: Fit, known_ms: NDArray[np.int64]) -> Reals:
    found = np.full(len(judged.labels), np.nan)
    if len(found) == 0:
        return found
    first = (int(judged.sampled_ms.min()) // DAY_MS + 1) * DAY_MS
    for begin_ms in range(first, int(judged.sampled_ms.max()) + 1, every_ms):
        asked = (judged.sampled_ms >= begin_ms) & (judged.sampled_ms < begin_ms + every_ms)
        known = known_ms < begin_ms
        positives = int(judged.labels[known].sum())
        if asked.any() and min(positives, int(known.sum()) - positives) >= EVIDENCE_LEAST:
            found[asked] = fit(vectors[known], judged.labels[known], vectors[asked])
    return found
