"""The learners of a target: the rate of positives, a logistic regression, an adaptive tree.

Each is given mini-batches of a fixed count of samples in the order in which they matured, so that what it knows is a
function of that order alone. Learners see prepared vectors (preparation.py).
"""

import math
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from river.linear_model import LogisticRegression
from river.optim import SGD
from river.preprocessing import StandardScaler
from river.tree import HoeffdingAdaptiveTreeClassifier

from worker.learning.exports import Export, constant, linear_of, trees_of
from worker.learning.preparation import NAMES, Vectors
from worker.learning.recent import Recent
from worker.learning.settings import (
    BATCH,
    L2,
    LIMIT,
    PRIOR_HURRIED,
    PRIOR_MEMORY,
    RATE,
    RECENT,
    REPLAYED_BEFORE,
    SCALE_LEAST,
    SEED,
    SETTLED,
    TREE,
    YOUNG,
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


def _log_odds(labels: Labels) -> float:
    """Return the log-odds of a positive, one sample of each kind added."""
    positives = np.count_nonzero(labels)
    return math.log((positives + 1.0) / (len(labels) - positives + 1.0))


class Linear:
    """river's standard scaler and logistic regression by gradient descent, in small batches, recent samples replayed.

    What it answers with is the average of its weights over the last steps (Polyak and Juditsky 1992): a single step
    follows its own batch too far. Scaled features are cut at `LIMIT`: in its first weeks a learner has seen too little
    of a feature to be trusted beyond.
    """

    def __init__(self) -> None:
        self._scaler = StandardScaler()
        self._optimizer = SGD(RATE)
        self._regression = LogisticRegression(self._optimizer, l2=L2, intercept_lr=RATE)
        self._average = np.zeros(len(NAMES) + 1)  # of weights and intercept
        self._missing = 1.0  # the share of the average that has yet to be filled
        self._since = 0  # the number of the first sample since the last alarm

    def learn_many(self, vectors: Vectors, labels: Labels, recent: Recent) -> None:
        """Learn the new once, in order, each small batch followed by replayed ones, drawn by the count of samples.

        It begins at the first mini-batch's rate of positives: from even odds it would need weeks to get to a rare one.
        """
        if self._optimizer.n_iterations == 0:
            self._regression.intercept = _log_odds(labels)
        first = recent.count - len(labels)
        pace = YOUNG if first - self._since < RECENT else SETTLED
        oldest = recent.count - min(recent.held, recent.count - self._since + REPLAYED_BEFORE)
        draw = np.random.default_rng((SEED, recent.count))
        for start in range(0, len(labels), pace.batch):
            rows = slice(start, start + pace.batch)
            self._scale(vectors[rows])
            self._step(vectors[rows], labels[rows], pace.kept)
            for _ in range(pace.replays):
                drawn = draw.integers(oldest, first + min(start + pace.batch, len(labels)), pace.batch)
                self._step(*recent.at(drawn), pace.kept)

    def _scale(self, vectors: Vectors) -> None:
        self._scaler.learn_many(_frame(vectors))
        for name, variance in self._scaler.vars.items():
            self._scaler.vars[name] = max(variance, 0.0)  # a constant's can come out below 0

    def _step(self, vectors: Vectors, labels: Labels, kept: float) -> None:
        mean, scale = self._scaling()
        scaled = np.clip((vectors - mean) / scale, -LIMIT, LIMIT)
        self._regression.learn_many(_frame(scaled), pa.chunked_array([pa.array(labels)]))
        self._average = kept * self._average + (1.0 - kept) * self._weights()
        self._missing *= kept

    def _weights(self) -> NDArray[np.float64]:
        weights = self._regression.weights
        return np.array([*(weights.get(name, 0.0) for name in NAMES), self._regression.intercept])

    def _scaling(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean = np.array([self._scaler.means[name] for name in NAMES])
        deviation = np.sqrt(np.array([self._scaler.vars[name] for name in NAMES]))
        return mean, np.maximum(deviation, SCALE_LEAST)

    def averaged(self) -> LogisticRegression:
        """Return the regression of the averaged weights, over features that are scaled and cut."""
        average = self._average / (1.0 - self._missing)
        regression = LogisticRegression(intercept_init=float(average[-1]))
        regression._weights.update(dict(zip(NAMES, average[:-1].tolist(), strict=True)))  # noqa: SLF001 - the way in
        return regression

    def export(self) -> Export:
        """Return scaling and weights."""
        return linear_of(*self._scaling(), self.averaged())

    def hurry(self, recent: Recent) -> None:
        """Learn as in the beginning, and replay little from before this mini-batch."""
        self._since = recent.count - recent.count % BATCH

    def state(self) -> Any:
        """Return everything: scaler, weights and their average; None before the first mini-batch."""
        if self._optimizer.n_iterations == 0:
            return None
        tables = (self._scaler.counts, self._scaler.means, self._scaler.vars)
        columns = [[float(table[name]) for name in NAMES] for table in tables]
        averaging = [self._average.tolist(), self._missing]
        return [columns, self._weights().tolist(), self._optimizer.n_iterations, averaging, self._since]

    def restore(self, state: Any, recent: Recent) -> None:
        """Take everything."""
        del recent
        if state is None:
            return
        (counts, means, variances), weights, iterations, (average, self._missing), self._since = state
        named = (dict(zip(NAMES, column, strict=True)) for column in (counts, means, variances))
        self._scaler = StandardScaler._from_state(*named)  # noqa: SLF001 - river's way to resume
        self._regression._weights.update(dict(zip(NAMES, weights[:-1], strict=True)))  # noqa: SLF001 - as above
        self._regression.intercept = weights[-1]
        self._optimizer.n_iterations = iterations
        self._average = np.array(average)


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
