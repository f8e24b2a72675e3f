"""Whom to forget without being asked, and what of the texts is then used by nobody any more.

The rule: a function of the rows, so of the log. Idle is who has had no record for longer than so many days of the
partition clock, when another begins; where there are too many users those leave whose last record is longest ago, of
one day the lowest slots, until there is room for a twentieth: so the rows are gone through once for many new users.
"""

import numpy as np
import numpy.typing as npt

from worker.core.campaigns import ORIGIN_SEGMENT, SEGMENT_MASK
from worker.core.checks import LAST_ORIGIN, ORIGIN
from worker.core.interning import Users
from worker.core.layout import NEVER, SEEN
from worker.core.program import Version
from worker.core.state import Rows

__all__ = ["Slots", "idle_users", "longest_idle", "samples_pending", "texts_used"]

Slots = npt.NDArray[np.int64]

DAY_MS = 86_400_000
ROOM_SHARE = 20
ROWS_AT_ONCE = 256


def idle_users(rows: Rows, users: Users, idle_ms: int, day: int) -> Slots:
    """Return the slots of those who have been idle for too long when a day, counted from the epoch, begins."""
    slots, seen = _seen(rows, users)
    return slots[(day - seen) * DAY_MS > idle_ms]


def longest_idle(rows: Rows, users: Users, users_max: int) -> Slots:
    """Return the slots of those who have to go for another user to come."""
    slots, seen = _seen(rows, users)
    too_many = len(slots) - users_max + max(1, users_max // ROOM_SHARE)
    return np.sort(slots[np.argsort(seen, kind="stable")[:too_many]])


def _seen(rows: Rows, users: Users) -> tuple[Slots, Slots]:
    """Return everybody's slot, ascending, and the day of the last record."""
    slots = np.array(sorted(users.slots.values()), np.int64)
    _, narrow = rows.carried_over(slots)
    return slots, narrow[slots, SEEN].astype(np.int64)


def samples_pending(version: Version, rows: Rows, slots: Slots) -> int:
    """Return how many samples wait for their label in these rows, int64[n] slots."""
    columns = version.program.pending["sampled"]
    return int(np.count_nonzero(rows.rows[slots[:, None], columns[None, :]] != NEVER)) if len(columns) else 0


def texts_used(version: Version, rows: Rows, texts: int) -> set[int]:
    """Return the numbers, of so many texts, that a row or the version in force refers to; all rows lie as it lays them.

    Marks rather than sets, and a few rows at a time, which a cache holds.
    """
    used = np.zeros(texts + 1, np.bool_)  # the last for what is none, -1
    used[list(version.texts)] = True
    held = [np.arange(column.offset, column.offset + column.length) for column in version.layout.of_texts()]
    columns = np.concatenate(held) if held else np.empty(0, np.int64)
    campaigns = version.program.campaigns
    origins = np.concatenate((campaigns["pending"] + ORIGIN, campaigns["last"] + LAST_ORIGIN))
    for first in range(0, rows.count, ROWS_AT_ONCE):
        several = rows.rows[first : min(first + ROWS_AT_ONCE, rows.count)]
        used[several.view(np.int32)[:, columns]] = True
        segments = (several[:, origins] >> ORIGIN_SEGMENT) & SEGMENT_MASK
        used[segments[segments < texts]] = True
    return set(np.flatnonzero(used[:texts]).tolist())
