"""Clusters that learn along beside scikit-learn's k-means, refitted weekly: how distinct they are, how names last.

Every week's observations are assigned by the clusters in force when the week began, and by a k-means of as many
centres fitted on all observations before it, in the same space of prepared features.
"""

from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.models import Snapshot
from worker.bench.learning_run import Outcome
from worker.learning.inputs import Observation
from worker.learning.settings import DAY_MS
from worker.simulate.truth import type_of

__all__ = ["cluster_figures"]

Data = dict[str, Any]
Reals = NDArray[np.float64]
Labels = NDArray[np.int64]
WEEK_MS: Final = 7 * DAY_MS
SEED: Final = 1
SILHOUETTE_ROWS: Final = 2_000
WEEK_ROWS_LEAST: Final = 50


def cluster_figures(outcome: Outcome, truth: Data | None) -> Data | None:
    """Return the figures, means over weeks by their observations; None where there never were clusters.

    `silhouette`, `davies_bouldin` and `batch_…` beside; `kept`: the share of users seen in two weeks running who are in
    the cluster of the same name; `names_kept`: the share of a week's names that are there the week after;
    `rand_index`: adjusted, of the clusters and the shop's `truth` in the last week.
    """
    weeks = _weeks(outcome)
    rows = [found for begin_ms in sorted(weeks) if (found := _week(outcome, weeks, begin_ms)) is not None]
    if not rows:
        return None
    sizes = [row["n"] for row in rows]
    means = {name: float(np.average([row[name] for row in rows], weights=sizes)) for name in rows[0]["measures"]}
    return {
        "weeks": len(rows),
        "k": rows[-1]["k"],
        **means,
        **_stability(rows),
        "rand_index": _rand_index(rows[-1], truth) if truth else None,
    }


def _weeks(outcome: Outcome) -> dict[int, list[Observation]]:
    weeks: dict[int, list[Observation]] = defaultdict(list)
    for observation in outcome.observations:
        weeks[observation.observed_ms // WEEK_MS * WEEK_MS].append(observation)
    return weeks


def _standing(models: list[tuple[int, Snapshot]], at_ms: int) -> Snapshot | None:
    place = bisect_right([midnight_ms for midnight_ms, _ in models], at_ms) - 1
    return models[place][1] if place >= 0 else None


def _week(outcome: Outcome, weeks: dict[int, list[Observation]], begin_ms: int) -> Data | None:
    """Return a week's figures, None where there were no clusters yet or too few observations."""
    model = _standing(outcome.models, begin_ms)
    observations = weeks[begin_ms]
    if model is None or model.clusters is None or len(observations) < WEEK_ROWS_LEAST:
        return None
    before = [each for week, seen in weeks.items() if week < begin_ms for each in seen]
    vectors = _vectors(model, observations)
    centres = np.array(model.clusters.centres)
    labels = ((vectors[:, np.newaxis] - centres) ** 2).sum(axis=2).argmin(axis=1)
    measures = _measures("", vectors, labels) | _measures("batch_", vectors, _batch(model, before, vectors))
    names = [model.clusters.names[label] for label in labels]
    users = {each.user_id: name for each, name in zip(observations, names, strict=True)}
    return {"n": len(names), "k": len(centres), "users": users, "measures": list(measures), **measures}


def _vectors(model: Snapshot, observations: list[Observation]) -> Reals:
    """Return observations as the clusters read them, [n, inputs]."""
    assert model.clusters is not None
    inputs = model.inputs_of(model.clusters)
    raw = np.array([[each.ranked[feature.name] for feature in inputs] for each in observations])
    known = np.where(np.isfinite(raw), raw, np.array([feature.missing for feature in inputs]))
    logged = np.where([feature.log for feature in inputs], np.sign(known) * np.log1p(np.abs(known)), known)
    mean, scale = (np.array([getattr(feature, name) for feature in inputs]) for name in ("mean", "scale"))
    return (logged - mean) / scale


def _batch(model: Snapshot, before: list[Observation], asked: Reals) -> Labels:
    from sklearn.cluster import KMeans  # noqa: PLC0415 - a yardstick, no part of what is installed

    assert model.clusters is not None
    fitted = KMeans(len(model.clusters.names), n_init=3, random_state=SEED).fit(_vectors(model, before))
    return np.asarray(fitted.predict(asked), dtype=np.int64)


def _measures(prefix: str, vectors: Reals, labels: Labels) -> dict[str, float]:
    from sklearn.metrics import davies_bouldin_score, silhouette_score  # noqa: PLC0415

    if len(np.unique(labels)) < 2:
        return {f"{prefix}silhouette": 0.0, f"{prefix}davies_bouldin": float("nan")}
    rows = min(SILHOUETTE_ROWS, len(vectors))
    silhouette = silhouette_score(vectors, labels, sample_size=rows, random_state=SEED)
    return {
        f"{prefix}silhouette": float(silhouette),
        f"{prefix}davies_bouldin": float(davies_bouldin_score(vectors, labels)),
    }


def _stability(rows: list[Data]) -> dict[str, float | None]:
    kept, users, names_kept, names = 0, 0, 0, 0
    for week, following in pairwise(rows):
        both = week["users"].keys() & following["users"].keys()
        kept += sum(week["users"][user] == following["users"][user] for user in both)
        users += len(both)
        had, has = set(week["users"].values()), set(following["users"].values())
        names_kept, names = names_kept + len(had & has), names + len(had)
    return {"kept": kept / users if users else None, "names_kept": names_kept / names if names else None}


def _rand_index(week: Data, truth: Data) -> float:
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415

    users = sorted(week["users"])
    return float(adjusted_rand_score([type_of(truth, user) for user in users], [week["users"][user] for user in users]))
