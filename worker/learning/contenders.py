"""The field of a target: the learners that are in it, and what each has shown."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.learning.calibration import IDENTITY, points_of
from worker.learning.evaluation import Window
from worker.learning.learners import Learner, Linear, Prior, Tree
from worker.learning.preparation import Vectors
from worker.learning.recent import Recent
from worker.learning.scorers import Scorer
from worker.learning.settings import CALIBRATED, CALIBRATED_LEAST

__all__ = ["FLOOR", "field"]

FLOOR: Final = "prior"


class Contender:
    """A learner, the window of its honest scores, and the scores that its calibration is fitted to.

    Those are what the learner gave a mini-batch just before it learnt it: as honest, and a horizon fresher than those
    of the day on which the samples were taken.
    """

    def __init__(self, learner: Learner, *, calibrates: bool) -> None:
        self.learner = learner
        self.window = Window()
        self._calibrates = calibrates
        self._has_learnt = False
        self._progress = np.zeros((0, 2))  # raw score and label, the last `CALIBRATED`

    def learn_many(self, vectors: Vectors, labels: NDArray[np.bool_], recent: Recent) -> None:
        """Let the learner learn a mini-batch, the newest in `recent`, which it is asked about first."""
        if self._calibrates and self._has_learnt:
            asked = np.column_stack([self.learner.export().raw(vectors), labels])
            self._progress = np.concatenate([self._progress, asked])[-CALIBRATED:]
        self.learner.learn_many(vectors, labels, recent)
        self._has_learnt = True

    def hurry(self, recent: Recent) -> None:
        """Let the learner hurry, and calibrate by what comes from now on."""
        self.learner.hurry(recent)
        self._progress = self._progress[:0]

    def scorer(self) -> Scorer:
        """Return what it would be published as now."""
        raw, labels = self._progress.T
        return Scorer(self.learner.export(), points_of(raw, labels) if len(raw) >= CALIBRATED_LEAST else IDENTITY)

    def state(self) -> Any:
        """Return plain data that `restore` takes."""
        return [self.learner.state(), self.window.state(), self._has_learnt, self._progress.tolist()]

    def restore(self, state: Any, recent: Recent) -> None:
        """Go on from a state."""
        learner, window, self._has_learnt, progress = state
        self.learner.restore(learner, recent)
        self.window = Window(window)
        self._progress = np.array(progress).reshape(-1, 2)


def field() -> Mapping[str, Contender]:
    """Return everyone who may become champion, the floor first.

    A forest isn't among them: river's adaptive one of ten trees ranked better than the tree on shop data, nowhere
    better than the linear learner, and costs four times as much as the whole field without it.
    """
    return {
        FLOOR: Contender(Prior(), calibrates=False),
        "linear": Contender(Linear(), calibrates=True),
        "tree": Contender(Tree(), calibrates=True),
    }
