"""`shoal bench learning`: how good and how fast it learns, beside scikit-learn's models refitted now and then.

Every data set goes through the real engine, which learns on the way; then the yardsticks are given the same samples.
All measures of a target are over the same samples: those that everybody scored and whose horizon ended within the data.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.bench.learning_batch import batch_scores, required
from worker.bench.learning_clusters import cluster_figures
from worker.bench.learning_report import as_table
from worker.bench.learning_run import Judged, Outcome, outcome_of
from worker.bench.learning_sets import DataSet, found, simulated
from worker.bench.learning_speed import field_speed, linear_speed, scoring_us
from worker.bench.meter import machine
from worker.core.warming import warm_up
from worker.learning.evaluation import measures
from worker.simulate.shop import Settings

__all__ = ["CHAMPION", "Plan", "as_table", "judge", "run"]

Data = dict[str, Any]
Say = Callable[[str], object]
CHAMPION: Final = "champion"


@dataclass(frozen=True)
class Plan:
    """How large the simulated shop is, and with how many samples, users and events speed is measured."""

    shop: Settings = field(default_factory=lambda: Settings(users=1_500, days=100, seed=11))
    linear_samples: int = 100_000
    field_samples: int = 10_000
    users: int = 20_000
    events: int = 100_000


FULL: Final = Plan()


def run(folder: Path | None, say: Say = lambda _: None, plan: Plan = FULL) -> Data:
    """Measure on the data sets in a folder, or without one on a simulated shop; `say` is told what is being measured.

    Returns `sets` (one object each: `targets`, `clusters`), `speed`, `machine`.

    Raises:
        WrongUsage: scikit-learn is missing, or the folder has no known data set.
    """
    required()
    data_sets = found(folder) if folder else [simulated(plan.shop)]
    warm_up()
    measured = [_measured(data, say) for data in data_sets]
    say("measuring speed")
    data, (outcome, _) = data_sets[0], measured[0]
    speed = {
        "linear_samples_per_second": round(linear_speed(outcome.judged[0], plan.linear_samples)),
        "field_samples_per_second": round(field_speed(data, outcome.judged[0], plan.field_samples)),
        "scoring": scoring_us(data, outcome.models[-1][1], plan.users, plan.events) if outcome.models else None,
    }
    return {"sets": [figures for _, figures in measured], "speed": speed, "machine": machine()}


def _measured(data: DataSet, say: Say) -> tuple[Outcome, Data]:
    name = data.known.name
    say(f"{name}: learning on {len(data.payloads):,} events")
    outcome = outcome_of(data)
    targets = []
    for judged in outcome.judged:
        say(f"{name}: refitting batch models for {judged.target}")
        targets.append(judge(judged, batch_scores(judged, data.known.refit_days), outcome.end_ms))
    say(f"{name}: clusters")
    figures = {
        "name": name,
        "events": outcome.events,
        "seconds": round(outcome.seconds, 1),
        "refit_days": data.known.refit_days,
        "models": len(outcome.models),
        "targets": targets,
        "clusters": cluster_figures(outcome, data.truth),
    }
    return outcome, figures


def judge(judged: Judged, batch: dict[str, NDArray[np.float64]], end_ms: int) -> Data:
    """Return the measures of a target, by model: over what everybody scored, and over what the champion did, too.

    `models` has auc, log_loss, brier, ece; `live_…` the same over the samples that the champion, too, had scored when
    they were taken: it says nothing before there is proof. The champion has the latter only.
    """
    learners = {name: scores for name, scores in judged.scores.items() if name != CHAMPION}
    everyone = {**learners, **batch}
    whole = judged.due_ms <= end_ms
    common = np.logical_and.reduce([whole, *(~np.isnan(scores) for scores in everyone.values())])
    live = common & ~np.isnan(judged.scores[CHAMPION])
    models = {name: _over(scores, judged, common, "") | _over(scores, judged, live, "live_")
              for name, scores in everyone.items()}  # fmt: skip
    champion = _over(judged.scores[CHAMPION], judged, live, "live_")
    return {
        "target": judged.target,
        "samples": len(judged.labels),
        "compared": int(common.sum()),
        "positives": int(judged.labels[common].sum()),
        "live": int(live.sum()),
        "models": {CHAMPION: champion, **models},
    }


def _over(scores: NDArray[np.float64], judged: Judged, rows: NDArray[np.bool_], prefix: str) -> Data:
    labels = judged.labels[rows]
    if not labels.any() or labels.all():
        return {}
    found = measures(scores[rows], labels.astype(np.float64))._asdict()
    return {f"{prefix}{name}": round(float(value), 4) for name, value in found.items() if name != "n"}
