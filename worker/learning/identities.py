"""The ids of the last samples, so that one that comes again is known.

A ring of the ids' first 64 bits; by counts and not by time, so that it is bounded whatever comes.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from worker.learning.settings import IDS_REMEMBERED

__all__ = ["Identities"]

BLOCK: Final = 8_192  # ids of a part: 64 KB


class Identities:
    """The newest `IDS_REMEMBERED` ids, counted from 0 over all that ever came; `name` is that of their parts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.count = 0
        self._ring = np.zeros(IDS_REMEMBERED, dtype=np.uint64)
        self._known: set[int] = set()

    def add(self, identity: str) -> bool:
        """Take a hexadecimal id in; False if it is known."""
        number = int(identity[:16], 16)
        if number in self._known:
            return False
        place = self.count % IDS_REMEMBERED
        if self.count >= IDS_REMEMBERED:
            self._known.discard(int(self._ring[place]))
        self._ring[place] = number
        self._known.add(number)
        self.count += 1
        return True

    @property
    def _held(self) -> int:
        return min(self.count, IDS_REMEMBERED)

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of every block that was ever written to."""
        for first in range(0, self._held, BLOCK):
            yield f"{self._name}/{first // BLOCK}", self._ring[first : min(first + BLOCK, self._held)].tobytes()

    def restore(self, count: int, parts: Mapping[str, bytes]) -> None:
        """Become what `parts` were given by, when `count` ids had come."""
        self.count = count
        for first in range(0, self._held, BLOCK):
            block = np.frombuffer(parts[f"{self._name}/{first // BLOCK}"], dtype=np.uint64)
            self._ring[first : first + len(block)] = block
        self._known = set(self._ring[: self._held].tolist())
