"""Who is in which segment, read off the rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from worker.core.effects import iso
from worker.core.interning import Strings, Users
from worker.core.layout import CLOCK, NEVER, SEQ
from worker.core.program import Version
from worker.core.state import Rows
from worker.core.tables import Table

__all__ = ["member_counts", "memberships"]

USERS_AT_ONCE = 1024


def member_counts(version: Version, rows: Rows, strings: Strings) -> dict[str, int]:
    """Return how many users are in each segment (tiers and clusters by their full id)."""
    wide, narrow = rows.carried_over(np.arange(rows.count, dtype=np.int64))
    counts: dict[str, int] = {}
    for segment in version.checked.definitions.segments:
        if segment.clusters:
            held = narrow[: rows.count, version.layout[f"cluster_of:{segment.id}"]]
            numbers, totals = np.unique(held[held >= 0], return_counts=True)
            counts.update(sorted((strings.texts[n], int(total)) for n, total in zip(numbers, totals, strict=True)))
            continue
        for name in segment.member_ids:
            since = wide[: rows.count, version.layout[f"member:{name}"]]
            counts[name] = int(np.count_nonzero(since != NEVER))
    return counts


def memberships(version: Version, rows: Rows, users: Users, strings: Strings, passed_ms: int,
                slots: Sequence[int]) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield the membership record of each user of `slots` who has had a transition; time has passed to `passed_ms`."""
    wide, narrow = rows.carried_over(np.array(slots, np.int64))
    columns = _columns(version)
    for first in range(0, len(slots), USERS_AT_ONCE):
        several = np.array(slots[first : first + USERS_AT_ONCE], np.int64)
        chosen = several[narrow[several, SEQ] > 0]
        segments = _segments(columns, wide, narrow, chosen, strings)
        numbers = (narrow[chosen, SEQ].tolist(), np.maximum(wide[chosen, CLOCK], passed_ms).tolist())
        for slot, held, seq, as_of in zip(chosen.tolist(), segments, *numbers, strict=True):
            yield {"user_id": users.ids[slot], "segments": held, "seq": seq, "as_of": iso(as_of)}


def _segments(columns: list[tuple[str, int, int]], wide: Table, narrow: Table, slots: Table,
              strings: Strings) -> list[list[dict[str, str]]]:  # fmt: skip
    """Return the segments that each of the users is in: most are in few of many, so those alone are gone through."""
    entered = wide[slots[:, None], np.array([column for _, column, _ in columns], np.int64)]
    held: list[list[dict[str, str]]] = [[] for _ in range(len(slots))]
    for user, place in np.argwhere(entered != NEVER).tolist():
        name, _, cluster = columns[place]
        named = name if cluster < 0 else strings.texts[narrow[slots[user], cluster]]
        held[user].append({"id": named, "since": iso(int(entered[user, place]))})
    return held


def _columns(version: Version) -> list[tuple[str, int, int]]:
    """Return (id, column of the entry time, column of the cluster's segment or -1) in the file's order."""
    layout = version.layout
    columns = []
    for segment in version.checked.definitions.segments:
        cluster = layout[f"cluster_of:{segment.id}"] if segment.clusters else -1
        columns += [(name, layout[f"member:{name}"], cluster) for name in segment.member_ids]
    return columns
