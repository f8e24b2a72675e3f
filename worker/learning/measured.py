"""What the metrics page says of targets: measures of each model over its window of honest scores.

A measure that the window can't give (a class is missing) is left out. The model `live` is what users were really
scored with when their samples were taken.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from worker.learning.evaluation import Window, at_threshold, measures
from worker.learning.figures import Figure
from worker.learning.target import TargetLearning

__all__ = ["target_figures", "target_metrics"]

LIVE = "live"


def _windows(learning: TargetLearning) -> Iterator[tuple[str, Window]]:
    yield from ((name, contender.window) for name, contender in learning.field.items())
    yield LIVE, learning.live


def target_metrics(learning: TargetLearning) -> dict[str, dict[str, float]]:
    """Return a snapshot's metrics of a target: by model auc, log_loss, brier, ece and n, where there are scores."""
    found: dict[str, dict[str, float]] = {}
    for model, window in _windows(learning):
        _, scores, labels = window.columns()
        if len(scores):
            known = measures(scores, labels)._asdict().items()
            found[model] = {name: value for name, value in known if not np.isnan(value)}
    return found


def target_figures(learning: TargetLearning, thresholds: Sequence[float]) -> Iterator[Figure]:
    """Yield what is known of a target: evidence, measures, and what its `thresholds` would have called."""
    target = learning.target.id
    for name, count in learning.evidence.items():
        yield Figure("evidence", {"target": target, "kind": name}, count)
    for model in learning.field:
        yield Figure("champion", {"target": target, "model": model}, float(model == learning.champion))
    yield Figure("drift_alarms", {"kind": "loss", "name": target}, learning.alarms)
    for model, found in target_metrics(learning).items():
        for name, value in found.items():
            label = "calibration_error" if name == "ece" else name
            yield Figure(label, {"target": target, "model": model}, value)
    for model, window in _windows(learning):
        _, scores, labels = window.columns()
        for threshold in thresholds if len(scores) else ():
            for name, value in at_threshold(scores, labels, threshold)._asdict().items():
                if not np.isnan(value):
                    yield Figure(name, {"target": target, "model": model, "threshold": f"{threshold:g}"}, value)
