"""Whether a model serves groups alike: its live scores, told apart by the traits that definitions declare.

The rule: traits are compared here and read by no model. What few have is counted under `other`: it would say little
of them, and something of each.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.learning.evaluation import at_threshold
from worker.learning.figures import Figure
from worker.learning.pieces import cut, joined
from worker.learning.settings import EVALUATED, GROUP_LEAST, GROUPS_MOST

__all__ = ["Groups", "group_figures"]

OTHER: Final = "other"
PART: Final = "groups"

Row = tuple[
    float, int, Mapping[str, str], str, int
]  # score, label, traits, the sample's id and when it was taken in ms


class Group(NamedTuple):
    """Those who have a value of a trait: probabilities [n] that were live, and labels [n]."""

    trait: str
    value: str
    scores: NDArray[np.float64]
    labels: NDArray[np.float64]

    def measured(self, thresholds: Sequence[float]) -> dict[str, Any]:
        """Return the measures of a group, as `Groups.report` has them."""
        rate, score = float(self.labels.mean()), float(self.scores.mean())
        return {
            "trait": self.trait, "value": self.value, "n": len(self.scores), "rate": rate, "score": score,
            "calibration": score - rate, "thresholds": [self._called(threshold) for threshold in thresholds],
        }  # fmt: skip

    def _called(self, threshold: float) -> dict[str, float | None]:
        selection_rate = float((self.scores >= threshold).mean())
        precision = at_threshold(self.scores, self.labels, threshold).precision if selection_rate else None
        return {"threshold": threshold, "selection_rate": selection_rate, "precision": precision}


class Groups:
    """The last `EVALUATED` live scores of a target whose samples have traits, with these."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque(maxlen=EVALUATED)

    def append(self, score: float, label: int, traits: Mapping[str, str], identity: str = "", at_ms: int = 0) -> None:
        """Take a sample's score in; of somebody without declared traits there is nothing to compare."""
        if traits:
            self._rows.append((score, label, traits, identity, at_ms))

    def forget(self, id_at: Callable[[int], str]) -> int:
        """Drop the scores of a user, whose sample at an instant has the id `id_at` gives; return how many went."""
        kept = [row for row in self._rows if row[3] != id_at(row[4])]
        dropped = len(self._rows) - len(kept)
        self._rows = deque(kept, maxlen=EVALUATED)
        return dropped

    def report(self, traits: Sequence[str], thresholds: Sequence[float]) -> list[dict[str, Any]]:
        """Return what each of the `traits` tells apart, largest group first and `other` last.

        A dict per group: trait, value, n, rate (of positives), score (the mean), calibration (score less rate), and by
        threshold the share called positive, `score >= threshold`, and the precision; None where none was called.
        """
        return [group.measured(thresholds) for trait in traits for group in self._groups(trait)]

    def _groups(self, trait: str) -> Iterator[Group]:
        rows = [row for row in self._rows if trait in row[2]]
        counted = Counter(row[2][trait] for row in rows)
        named = sorted((value for value, n in counted.items() if n >= GROUP_LEAST), key=lambda v: (-counted[v], v))
        known = [value for value in named if value != OTHER][:GROUPS_MOST]
        place_of = {value: place for place, value in enumerate(known)}
        places = np.array([place_of.get(row[2][trait], len(known)) for row in rows])
        numbers = np.array([row[:2] for row in rows])
        for place, value in enumerate([*known, OTHER]):
            if (places == place).any():
                yield Group(trait, value, *numbers[places == place].T)

    def parts(self) -> dict[str, bytes]:
        """Return what `restore` takes."""
        return cut(PART, list(self._rows))

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Become what `parts` were given by."""
        for row in joined(PART, parts) or []:
            self.append(*row)


def group_figures(report: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Yield the figures of a report: calibration, and by threshold selection rate and precision."""
    for group in report:
        labels = {name: group[name] for name in ("target", "trait", "value")}
        yield Figure("trait_calibration", labels, group["calibration"])
        for called in group["thresholds"]:
            at = labels | {"threshold": f"{called['threshold']:g}"}
            yield Figure("trait_selection_rate", at, called["selection_rate"])
            if called["precision"] is not None:
                yield Figure("trait_precision", at, called["precision"])
