"""A learner's export with its calibration, and those that stood day by day.

Honest scores: what a user was scored with at an instant is what stood at the last UTC midnight before it, so a sample
is judged by that and never by what was learnt later, however late its label comes.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.learning.calibration import Points, calibrated
from worker.learning.exports import Export
from worker.learning.preparation import Vectors
from worker.learning.settings import EXPORTS_MOST

__all__ = ["Days", "Scorer"]


class Scorer(msgspec.Struct, frozen=True):
    """What a snapshot says of a target."""

    export: Export
    points: Points

    def scores(self, vectors: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the raw and the calibrated probabilities [n] of prepared vectors [n, F]."""
        raw = self.export.raw(vectors)
        return raw, calibrated(self.points, raw)

    def content(self) -> dict[str, Any]:
        """Return the snapshot's entry."""
        return {**self.export.content(), "calibration": self.points}


class Days:
    """The scorers of each learner as they stood from a midnight on, oldest first; days without news are left out."""

    def __init__(self) -> None:
        self._midnights: list[int] = []
        self._scorers: list[dict[str, Scorer]] = []

    def add(self, midnight_ms: int, scorers: dict[str, Scorer]) -> None:
        """Let `scorers`, by learner, stand from a midnight later than all before."""
        self._midnights.append(midnight_ms)
        self._scorers.append(scorers)

    def forget(self, before_ms: int) -> None:
        """Drop what nothing sampled from `before_ms` on is scored with, and the oldest beyond `EXPORTS_MOST`."""
        first = max(bisect_right(self._midnights, before_ms) - 1, len(self._midnights) - EXPORTS_MOST, 0)
        del self._midnights[:first], self._scorers[:first]

    def standing(self, at_ms: int) -> Mapping[str, Scorer]:
        """Return what stood at an instant; empty where nothing did, or it is forgotten."""
        place = bisect_right(self._midnights, at_ms) - 1
        return self._scorers[place] if place >= 0 else {}

    def state(self) -> list[int]:
        """Return the midnights, by which `restore` finds the parts."""
        return self._midnights

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of every day."""
        for midnight_ms, scorers in zip(self._midnights, self._scorers, strict=True):
            yield f"day/{midnight_ms}", msgspec.msgpack.encode(scorers)

    def restore(self, state: list[int], parts: Mapping[str, bytes]) -> None:
        """Become what `state` and `parts` were given by."""
        for midnight_ms in state:
            self.add(midnight_ms, msgspec.msgpack.decode(parts[f"day/{midnight_ms}"], type=dict[str, Scorer]))
