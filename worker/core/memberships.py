"""Who is in which segment, read off the rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from worker.core.effects import iso
from worker.core.interning import Strings, Users
from worker.core.layout import CLOCK, NEVER, SEQ
from worker.core.program import Version
from worker.core.state import Rows

__all__ = ["member_counts", "memberships"]


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
    for slot in slots:
        if narrow[slot, SEQ] == 0:
            continue
        held = [(name, int(wide[slot, column]), cluster) for name, column, cluster in columns]
        yield {
            "user_id": users.ids[slot],
            "segments": [
                {"id": name if cluster < 0 else strings.texts[narrow[slot, cluster]], "since": iso(since)}
                for name, since, cluster in held
                if since != NEVER
            ],
            "seq": int(narrow[slot, SEQ]),
            "as_of": iso(max(int(wide[slot, CLOCK]), passed_ms)),
        }


def _columns(version: Version) -> list[tuple[str, int, int]]:
    """Return (id, column of the entry time, column of the cluster's segment or -1) in the file's order."""
    layout = version.layout
    columns = []
    for segment in version.checked.definitions.segments:
        cluster = layout[f"cluster_of:{segment.id}"] if segment.clusters else -1
        columns += [(name, layout[f"member:{name}"], cluster) for name in segment.member_ids]
    return columns
