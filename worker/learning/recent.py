"""The last samples of a target, whole: what replay draws from and what a resumed tree learns anew.

A ring of fixed size. Its parts are blocks of rows: only the blocks that were written to change.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.learning.preparation import NAMES, Vectors
from worker.learning.settings import RECENT

__all__ = ["Recent"]

BLOCK: Final = 1_024  # rows of a part: 155 KB


class Recent:
    """The newest `RECENT` prepared vectors with their labels, counted from 0 over all that ever came."""

    def __init__(self) -> None:
        self.count = 0
        self._vectors = np.zeros((RECENT, len(NAMES)), dtype=np.float32)
        self._labels = np.zeros(RECENT, dtype=np.uint8)

    def append(self, vector: Vectors, label: int) -> None:
        """Take a sample in, in place of the oldest if there is no room."""
        place = self.count % RECENT
        self._vectors[place] = vector
        self._labels[place] = label
        self.count += 1

    @property
    def held(self) -> int:
        """How many there are."""
        return min(self.count, RECENT)

    def last(self, rows: int) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return the newest `rows`, or all if there are fewer, oldest first: vectors [n, F] and labels [n]."""
        return self.at(np.arange(self.count - min(rows, self.held), self.count))

    def at(self, numbers: NDArray[np.int64]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return the samples of these numbers, each held still."""
        places = numbers % RECENT
        return self._vectors[places], self._labels[places] != 0

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of every block that was ever written to."""
        for first in range(0, self.held, BLOCK):
            rows = slice(first, first + BLOCK)
            content = (self._vectors[rows].tobytes(), self._labels[rows].tobytes())
            yield f"recent/{first // BLOCK}", msgspec.msgpack.encode(content)

    def restore(self, count: int, parts: Mapping[str, bytes]) -> None:
        """Become what `parts` were given by, when `count` samples had come."""
        self.count = count
        for first in range(0, self.held, BLOCK):
            vectors, labels = msgspec.msgpack.decode(parts[f"recent/{first // BLOCK}"], type=tuple[bytes, bytes])
            rows = slice(first, first + BLOCK)
            self._vectors[rows] = np.frombuffer(vectors, dtype=np.float32).reshape(-1, len(NAMES))
            self._labels[rows] = np.frombuffer(labels, dtype=np.uint8)
