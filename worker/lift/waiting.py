"""What comes before its decision: topics are read side by side, and what follows from a decision may be read first.

The rule: it waits for that decision, a week of its partition's time, and not too much of it.
"""

from collections.abc import Callable

import msgspec

from worker.lift.records import Converted, Told
from worker.lift.shelves import Shelf

__all__ = ["Early", "Waiting"]

EARLY_MS, EARLY_MAX, EARLY_OF_ONE_MAX = 7 * 86_400_000, 10_000, 100


class Early(msgspec.Struct):
    """A record whose decision is yet to be read, and its partition's clock when it came."""

    since_ms: int
    partition: int
    converted: Converted | None = None
    told: Told | None = None

    @property
    def content(self) -> Converted | Told:
        """The record."""
        content = self.converted or self.told
        assert content is not None, "it is one of them"
        return content


class Waiting:
    """Early records by user."""

    def __init__(self, shelf: Shelf[list[Early]]) -> None:
        self._shelf = shelf
        self._count = sum(len(waiting) for _, waiting in shelf.items())

    def __len__(self) -> int:
        return self._count

    def put(self, user_id: str, early: Early) -> bool:
        """Keep a record; return whether there was room."""
        waiting = self._shelf.get(user_id) or []
        if self._count >= EARLY_MAX or len(waiting) >= EARLY_OF_ONE_MAX:
            return False
        self._shelf.put(user_id, [*waiting, early])
        self._count += 1
        return True

    def take(self, user_id: str) -> list[Early]:
        """Return what waits for a user's decision, no longer kept."""
        if self._shelf.get(user_id) is None:
            return []
        waiting = self._shelf.drop(user_id) or []
        self._count -= len(waiting)
        return waiting

    def give_up(self, clock_ms: Callable[[int], int]) -> None:
        """Drop what has waited for too long by the clock of its partition: nothing it follows from is known."""
        for user_id, waiting in list(self._shelf.items()):
            left = [early for early in waiting if clock_ms(early.partition) - early.since_ms <= EARLY_MS]
            if len(left) < len(waiting):
                self.take(user_id)
                if left:
                    self._shelf.put(user_id, left)
                    self._count += len(left)
