"""A data set through the real engine, learning on the way as a replay does; what everyone had foretold comes out.

Honest: a sample's scores are those that stood at the last UTC midnight before it was taken, the champion's the one
that the engine itself put on it.
"""

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.models import Snapshot
from worker.bench.learning_sets import DataSet
from worker.core.engine import Engine
from worker.core.records import Effects
from worker.files.learning import Lessons
from worker.files.replay import Job
from worker.files.sinks import Folder
from worker.learning.inputs import Observation, Sample, observation_of, sample_of
from worker.learning.settings import DAY_MS

__all__ = ["Judged", "Outcome", "outcome_of"]

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]
BATCH = 10_000


@dataclass(frozen=True)
class Judged:
    """The samples of one target in the order in which they were resolved, and what was foretold of them.

    `features` [n, F] are those of OBSERVED with NaN for null; `scores` [n] by learner, NaN where there was none; the
    champion's are those that the engine gave. `due_ms` is when a sample's horizon is over.
    """

    target: str
    features: Reals
    labels: NDArray[np.bool_]
    sampled_ms: Integers
    resolved_ms: Integers
    due_ms: Integers
    scores: dict[str, Reals]


@dataclass(frozen=True)
class Outcome:
    """What came of a data set; `models` are the snapshots that took effect, each with its midnight."""

    judged: list[Judged]
    observations: list[Observation]
    models: list[tuple[int, Snapshot]]
    decisions: list[dict[str, Any]]
    end_ms: int
    events: int
    seconds: float


class Watched(Lessons):
    """Lessons, with a note of all that was taught and of what each learner had foretold."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.scored: list[tuple[Sample, dict[str, float]]] = []
        self.observations: list[Observation] = []
        self.models: list[tuple[int, Snapshot]] = []
        self.decisions: list[dict[str, Any]] = []
        self._unscored: list[Sample] = []

    def take(self, effects: Effects) -> None:
        """Note the day's samples and observations."""
        super().take(effects)
        self._unscored += map(sample_of, map(msgspec.to_builtins, effects.samples))
        self.observations += map(observation_of, map(msgspec.to_builtins, effects.observations))

    def model_at(self, midnight_ms: int) -> Snapshot | None:
        """Learn the day; its samples were given what stood when they were taken, which is still known."""
        model = super().model_at(midnight_ms)
        self.scored += [(sample, self.learning.scores(sample)) for sample in self._unscored]
        self._unscored.clear()
        self.decisions += self.learning.decisions()
        if model is not None:
            self.models.append((midnight_ms, model))
        return model


def outcome_of(data: DataSet) -> Outcome:
    """Run the engine over a data set."""
    lessons = Watched(data.under.checked)
    begun = perf_counter()
    with tempfile.TemporaryDirectory() as place, Folder(Path(place) / "out") as folder:
        engine = Engine(data.under.checked, data.under.mapping, clock="event")
        job = Job(data.under, folder, engine, lessons=lessons)
        for first in range(0, len(data.payloads), BATCH):
            payloads = data.payloads[first : first + BATCH]
            job.feed(payloads, range(first, first + len(payloads)))
        job.pass_time()
        end_ms = engine.clock_ms or 0
    lessons.model_at((end_ms // DAY_MS + 1) * DAY_MS)
    horizons = {target.id: target.horizon for target in data.under.checked.definitions.targets}
    return Outcome(
        judged=[_judged(target, horizon, lessons.scored) for target, horizon in horizons.items()],
        observations=lessons.observations,
        models=lessons.models,
        decisions=lessons.decisions,
        end_ms=end_ms,
        events=len(data.payloads),
        seconds=perf_counter() - begun,
    )


def _judged(target: str, horizon_ms: int, scored: list[tuple[Sample, dict[str, float]]]) -> Judged:
    rows = sorted(
        ((sample, scores) for sample, scores in scored if sample.target == target),
        key=lambda row: (row[0].resolved_ms, row[0].sampled_ms, row[0].id),
    )
    samples = [sample for sample, _ in rows]
    by_learner: dict[str, Reals] = defaultdict(lambda: np.full(len(rows), np.nan))
    by_learner["champion"][:] = [sample.probability for sample in samples]
    for place, (_, scores) in enumerate(rows):
        for learner, score in scores.items():
            by_learner[learner][place] = score
    sampled = np.array([sample.sampled_ms for sample in samples], dtype=np.int64)
    return Judged(
        target,
        np.array([sample.features for sample in samples]),
        np.array([sample.label for sample in samples], dtype=np.bool_),
        sampled,
        np.array([sample.resolved_ms for sample in samples], dtype=np.int64),
        sampled + horizon_ms,
        dict(by_learner),
    )
