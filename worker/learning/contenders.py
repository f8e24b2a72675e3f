"""The field of a target: the learners that are in it, and what each has shown."""

from collections.abc import Mapping
from typing import Any, Final

from worker.learning.calibration import IDENTITY, points_of
from worker.learning.evaluation import Window
from worker.learning.learners import Learner, Linear, Prior, Tree
from worker.learning.recent import Recent
from worker.learning.scorers import Scorer
from worker.learning.settings import CALIBRATED

__all__ = ["FLOOR", "field"]

FLOOR: Final = "prior"


class Contender:
    """A learner, and the window of its honest scores, which its calibration is fitted to."""

    def __init__(self, learner: Learner, *, calibrates: bool) -> None:
        self.learner = learner
        self.window = Window()
        self._calibrates = calibrates

    def scorer(self) -> Scorer:
        """Return what it would be published as now."""
        raw, _, labels = (column[-CALIBRATED:] for column in self.window.columns())
        fitted = self._calibrates and len(raw) > 0
        return Scorer(self.learner.export(), points_of(raw, labels) if fitted else IDENTITY)

    def state(self) -> Any:
        """Return plain data that `restore` takes."""
        return [self.learner.state(), self.window.state()]

    def restore(self, state: Any, recent: Recent) -> None:
        """Go on from a state."""
        learner, window = state
        self.learner.restore(learner, recent)
        self.window = Window(window)


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
