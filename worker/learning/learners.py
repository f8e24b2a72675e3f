"""The learners of a target: the rate of positives, a logistic regression, an adaptive tree.

Each is given mini-batches of a fixed count of samples in the order in which they matured, so that what it knows is a
function of that order alone. Learners see prepared vectors (preparation.py).
"""

from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from river.linear_model import LogisticRegression
from river.optim import Adam
from river.preprocessing import StandardScaler
from river.tree import HoeffdingAdaptiveTreeClassifier

from worker.learning.exports import Export, constant, linear_of, trees_of
from worker.learning.preparation import NAMES, Vectors
from worker.learning.recent import Recent
from worker.learning.settings import (
    BATCH,
    L2_LEAST,
    L2_SAMPLES,
    PRIOR_HURRIED,
    PRIOR_MEMORY,
    RATE,
    RATE_INTERCEPT,
    RECENT,
    REPLAYED,
    SCALE_LEAST,
    SEED,
    STEPS_MOST,
    TREE,
)  # fmt: skip

__all__ = ["Learner", "Linear", "Prior", "Tree"]

Labels = NDArray[np.bool_]


class Learner(Protocol):
    """What learns in mini-batches and can be exported at any time after the first."""

    def learn_many(self, vectors: Vectors, labels: Labels, recent: Recent) -> None:
        """Learn a mini-batch, which are the newest in `recent`."""

    def export(self) -> Export:
        """Return what it knows as plain numbers."""

    def hurry(self, recent: Recent) -> None:
        """After an alarm: let what comes from now on count for more."""

    def state(self) -> Any:
        """Return plain data that `restore` takes."""

    def restore(self, state: Any, recent: Recent) -> None:
        """Go on from a state; `recent` is what it was then."""


class Prior:
    """The floor: the rate of positives, older ones fading."""

    def __init__(self) -> None:
        self._positives, self._samples = 0.0, 0.0

    def learn_many(self, vectors: Vectors, labels: Labels, recent: Recent) -> None:
        """Count."""
        del vectors, recent
        kept = min(1.0, PRIOR_MEMORY / (self._samples + len(labels)))
        self._positives = self._positives * kept + float(np.count_nonzero(labels))
        self._samples = self._samples * kept + len(labels)

    def export(self) -> Export:
        """Return the rate, for everybody (with one sample of each kind added: never 0 or 1)."""
        return constant((self._positives + 1.0) / (self._samples + 2.0))

    def hurry(self, recent: Recent) -> None:
        """Forget all but so many."""
        del recent
        kept = min(1.0, PRIOR_HURRIED / max(self._samples, 1.0))
        self._positives, self._samples = self._positives * kept, self._samples * kept

    def state(self) -> Any:
        """Return the counts."""
        return [self._positives, self._samples]

    def restore(self, state: Any, recent: Recent) -> None:
        """Take the counts."""
        del recent
        self._positives, self._samples = state


def _frame(vectors: NDArray[Any]) -> pa.Table:
    """Return rows as river takes many of them."""
    return pa.Table.from_arrays([pa.array(column) for column in vectors.T.astype(np.float64)], names=list(NAMES))


class Linear:
    """river's standard scaler and logistic regression with Adam, by mini-batches, recent samples replayed."""

    def __init__(self) -> None:
        self._scaler = StandardScaler()
        self._optimizer = Adam(RATE)
        self._regression = LogisticRegression(self._optimizer, l2=L2_LEAST, intercept_lr=RATE_INTERCEPT)
        self._since = 0  # the number of the first sample that is replayed: that of the last alarm

    def learn_many(self, vectors: Vectors, labels: Labels, recent: Recent) -> None:
        """Learn the new once, and replayed ones with and after them, drawn by the count of samples so far."""
        self._scaler.learn_many(_frame(vectors))
        for name, variance in self._scaler.vars.items():
            self._scaler.vars[name] = max(variance, 0.0)  # a constant's can come out below 0
        self._regression.l2 = max(L2_LEAST, L2_SAMPLES / recent.count)
        draw = np.random.default_rng((SEED, recent.count))
        first = max(self._since, recent.count - recent.held)
        for step in range(max(1, min(STEPS_MOST, 2 * RECENT // (recent.count - self._since)))):
            drawn = draw.integers(first, recent.count, REPLAYED if step == 0 else BATCH + REPLAYED)
            older, known = recent.at(drawn)
            rows = np.concatenate([vectors, older]) if step == 0 else older
            self._step(rows, np.concatenate([labels, known]) if step == 0 else known)

    def _step(self, vectors: Vectors, labels: Labels) -> None:
        mean, scale = self._scaling()
        self._regression.learn_many(_frame((vectors - mean) / scale), pa.chunked_array([pa.array(labels)]))

    def _scaling(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean = np.array([self._scaler.means[name] for name in NAMES])
        deviation = np.sqrt(np.array([self._scaler.vars[name] for name in NAMES]))
        return mean, np.maximum(deviation, SCALE_LEAST)

    def export(self) -> Export:
        """Return scaling and weights."""
        return linear_of(*self._scaling(), self._regression)

    def hurry(self, recent: Recent) -> None:
        """Learn as in the beginning, and replay nothing from before this mini-batch."""
        self._since = recent.count - recent.count % BATCH

    def state(self) -> Any:
        """Return everything: scaler, weights, and the optimiser's moments; None before the first mini-batch."""
        if self._optimizer.n_iterations == 0:
            return None
        tables = (self._scaler.counts, self._scaler.means, self._scaler.vars, self._regression.weights)
        columns = [[float(table[name]) for name in NAMES] for table in (*tables, self._optimizer.m, self._optimizer.v)]
        return [columns, float(self._regression.intercept), self._optimizer.n_iterations, self._since]

    def restore(self, state: Any, recent: Recent) -> None:
        """Take everything."""
        del recent
        if state is None:
            return
        (counts, means, variances, weights, first, second), intercept, iterations, self._since = state
        named = (dict(zip(NAMES, column, strict=True)) for column in (counts, means, variances))
        self._scaler = StandardScaler._from_state(*named)  # noqa: SLF001 - river's way to resume
        self._regression._weights.update(dict(zip(NAMES, weights, strict=True)))  # noqa: SLF001 - no public way in
        self._regression.intercept = intercept
        self._optimizer.m = dict(zip(NAMES, first, strict=True))
        self._optimizer.v = dict(zip(NAMES, second, strict=True))
        self._optimizer.n_iterations = iterations


class Tree:
    """river's Hoeffding adaptive tree, whose leaves answer with their shares.

    river can't write it down without pickle: resumed, it learns the recent samples anew, and is what it was as long
    as these are all that it ever learnt.
    """

    def __init__(self) -> None:
        self._tree = HoeffdingAdaptiveTreeClassifier(**TREE, seed=SEED)

    def learn_many(self, vectors: Vectors, labels: Labels, recent: Recent) -> None:
        """Learn one by one."""
        del recent
        for vector, label in zip(vectors.tolist(), labels.tolist(), strict=True):
            self._tree.learn_one(dict(zip(NAMES, vector, strict=True)), label)

    def export(self) -> Export:
        """Return the tree."""
        return trees_of(self._tree)

    def hurry(self, recent: Recent) -> None:
        """Do nothing: each of its branches watches its own error."""

    def state(self) -> Any:
        """Return nothing: `recent` is its memory."""
        return None

    def restore(self, state: Any, recent: Recent) -> None:
        """Learn what is recent anew, but for those that wait for a whole mini-batch."""
        del state
        vectors, labels = recent.last(recent.held)
        learnt = len(labels) - recent.count % BATCH
        self.learn_many(vectors[:learnt], labels[:learnt], recent)
