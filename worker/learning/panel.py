"""The panel: a uniform sample of the active users, newest week first, that fits in memory whatever their number.

Every active user is observed once in each epoch-aligned week. Of a week's observations those with the `SIZE` smallest
hashes are kept (bottom-k sampling: Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches"). That is a
uniform sample without replacement, the same in whatever order observations come, exact while there are at most
`SIZE`, and it merges: two weeks are brought to one rate by the smaller of their limits. Rows are real users' values, so
that a value which many users share (no order at all) keeps its share, which sketches that interpolate lose.
"""

import hashlib
import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.learning.pieces import packed_array, unpacked_array

__all__ = ["HASHES", "NAME", "SIZE", "WEEK_MS", "Panel", "hash_of"]

SIZE: Final = 4_096
"""Rows per week: a quantile's standard error is sqrt(q(1-q)/SIZE), 0.8 % of users at the median, 0.5 % at 0.9."""

WEEK_MS: Final = 604_800_000
HASHES: Final = 1 << 64
NAME: Final = "population/week"

Rows = NDArray[np.float64]


def hash_of(identifier: str) -> int:
    """The place of an observation among all, 0 to 2^64 - 1, evenly spread."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "big")


class Week:
    """The observations of one week with the smallest hashes: rows of (time in ms, values…)."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._bound = HASHES
        self.rows: dict[int, Rows] = {}
        self._largest: list[int] = []  # a heap of the negated hashes

    @property
    def limit(self) -> int:
        """Every observation of the week whose hash is below this is in it."""
        return min(self._bound, -self._largest[0] + 1 if len(self.rows) >= SIZE else HASHES)

    def add(self, place: int, row: Rows) -> None:
        """Keep the row if its hash is small enough; the same hash again changes nothing."""
        if place in self.rows or place >= self.limit:
            return
        self.rows[place] = row
        heapq.heappush(self._largest, -place)
        if len(self.rows) > SIZE:
            del self.rows[-heapq.heappop(self._largest)]

    def forget(self, place_at: Callable[[int], int]) -> int:
        """Drop the rows of a user, who is at `place_at` an instant; return how many went. Who made room stays out."""
        gone = [place for place, row in self.rows.items() if place == place_at(int(row[0]))]
        self._bound = self.limit if gone else self._bound
        for place in gone:
            del self.rows[place]
        self._largest = [-place for place in self.rows]
        heapq.heapify(self._largest)
        return len(gone)

    def packed(self) -> dict[str, Any]:
        """The week as plain data, in order of the hashes."""
        places = sorted(self.rows)
        rows = np.array([self.rows[place] for place in places], np.float64)
        return {
            "number": self.number, "places": packed_array(np.array(places, np.uint64)), "rows": packed_array(rows),
            "last": self._bound - 1,
        }  # fmt: skip


class Panel:
    """The newest week and the one before, of which `recent` takes the last seven days; a row has `width` values."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.weeks: dict[int, Week] = {}

    def add(self, place: int, at_ms: int, values: Rows) -> None:
        """Take an observation in; one of a week before the last two is too late."""
        week = self._week(at_ms // WEEK_MS)
        if week is not None:
            week.add(place, np.concatenate(([float(at_ms)], values)))

    def recent(self, until_ms: int) -> tuple[Rows, NDArray[np.int64]]:
        """Return the values of users observed in the week up to then, a row each by their hashes, and when, in ms."""
        limit = min((week.limit for week in self.weeks.values()), default=HASHES)
        kept = [
            (place, week.number, row)
            for week in self.weeks.values()
            for place, row in week.rows.items()
            if place < limit and row[0] > until_ms - WEEK_MS
        ]
        kept.sort(key=lambda entry: entry[:2])
        rows = np.array([row for _, _, row in kept], np.float64).reshape(-1, 1 + self.width)
        return rows[:, 1:], rows[:, 0].astype(np.int64)

    def forget(self, place_at: Callable[[int], int]) -> int:
        """Drop the rows of a user, who is at `place_at` an instant; return how many went."""
        return sum(week.forget(place_at) for week in self.weeks.values())

    def packed(self) -> dict[str, dict[str, Any]]:
        """The weeks as plain data, by name; the week after next takes a week's name over."""
        return {f"{NAME}/{week.number % 2}": week.packed() for week in self.weeks.values()}

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any], columns: Sequence[int | None], width: int) -> "Panel":
        """The panel that was packed, each row's values taken from these columns, NaN where there is none."""
        panel = cls(width)
        for entry in sorted(packed.values(), key=lambda entry: entry["number"]):
            week = panel._week(entry["number"])
            assert week is not None
            rows = unpacked_array(entry["rows"])
            week._bound = entry.get("last", HASHES - 1) + 1  # noqa: SLF001  this module's own
            for place, row in zip(unpacked_array(entry["places"]).tolist(), rows, strict=True):
                week.add(place, np.array([row[0], *(np.nan if at is None else row[1 + at] for at in columns)]))
        return panel

    def _week(self, number: int) -> Week | None:
        """The week of this number, or None if it is over for good; a newer one pushes the oldest out."""
        newest = max(self.weeks, default=number)
        if number < newest - 1:
            return None
        self.weeks = {kept: week for kept, week in self.weeks.items() if kept >= number - 1}
        return self.weeks.setdefault(number, Week(number))
