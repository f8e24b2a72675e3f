"""Samples whose horizon isn't over yet.

A label that an event brings is known at once, one that silence brings only at the deadline: learnt as they come, the
first would be over-represented whenever traffic grows or begins (Chapelle 2014, "Modeling delayed feedback"). So a
sample is learnt when its horizon has passed, in the order of deadlines, whichever way it was resolved and however
its record was delivered.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from worker.learning.pieces import cut, joined
from worker.learning.preparation import Vectors
from worker.learning.settings import WAITING_MOST

__all__ = ["Waiting", "WaitingSample"]

BLOCK: Final = 2_048  # samples written together: half a megabyte with 50 features, and their traits


class WaitingSample(NamedTuple):
    """A sample with its prepared vector; the first two order it, and no two agree in both."""

    due_ms: int
    id: str
    sampled_ms: int
    label: int
    probability: float
    traits: Mapping[str, str]
    vector: Vectors


class Waiting:
    """A queue by deadline, bounded."""

    def __init__(self) -> None:
        self._heap: list[WaitingSample] = []

    def put(self, sample: WaitingSample) -> None:
        """Let a sample wait."""
        heapq.heappush(self._heap, sample)

    def take(self, until_ms: int) -> Iterator[WaitingSample]:
        """Yield, and forget, those due at `until_ms` or before; beyond `WAITING_MOST` also the nearest to it."""
        while self._heap and (self._heap[0].due_ms <= until_ms or len(self._heap) > WAITING_MOST):
            yield heapq.heappop(self._heap)

    def forget(self, id_at: Callable[[int], str]) -> int:
        """Drop the samples of a user, whose sample at an instant has the id `id_at` gives; return how many went."""
        kept = [sample for sample in self._heap if sample.id != id_at(sample.sampled_ms)]
        dropped = len(self._heap) - len(kept)
        self._heap = sorted(kept)
        return dropped

    def state(self) -> int:
        """Return how many there are, by which `restore` finds the parts."""
        return len(self._heap)

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes)."""
        ordered = sorted(self._heap)
        for first in range(0, len(ordered), BLOCK):
            rows = [(*sample[:6], sample.vector.tobytes()) for sample in ordered[first : first + BLOCK]]
            yield from cut(f"waiting/{first // BLOCK}", rows).items()

    def restore(self, state: int, parts: Mapping[str, bytes]) -> None:
        """Become what `state` and `parts` were given by."""
        for first in range(0, state, BLOCK):
            for row in joined(f"waiting/{first // BLOCK}", parts) or []:
                *known, vector = row
                self.put(WaitingSample._make([*known, np.frombuffer(vector, dtype=np.float32)]))
