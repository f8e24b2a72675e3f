"""The events that all peers read, and what has to come of them, by the job in plain Python."""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from tests.bench.peers import job
from worker.bench.stream import Stream, user_id
from worker.settings import Settings

__all__ = ["Expected", "differences", "keyed", "milliseconds", "partition"]

BATCH: Final = 10_000
GRACE_MS: Final[int] = Settings.model_fields["grace_ms"].default
HOUR_MS: Final = 3_600_000


def keyed(events: int, users: int, seed: int = 1) -> Iterator[list[tuple[bytes, bytes]]]:
    """Yield batches of (user id, event); the same arguments, the same bytes. A user does five things a day."""
    for batch in Stream(users, seed).skewed(events, BATCH):
        yield [(user_id(payload), payload) for payload in batch]


def partition(user: bytes) -> int:
    """Return the partition of a user's events."""
    return zlib.crc32(user) % job.PARTITIONS


class Expected:
    """What the job makes of the events it is told of: `tiers` by user, how many `changes`; `as_of` by user.

    `as_of` (ms since the epoch) is how far a user's time has come with her last event for a peer that lets time pass
    between events, as Shoal does: up to that event, or to the newest of the partition less the grace.
    """

    def __init__(self) -> None:
        self.tiers: dict[str, str] = {}
        self.as_of: dict[str, int] = {}
        self.changes = 0
        self._states: dict[str, job.State] = {}
        self._newest: dict[int, int] = defaultdict(int)  # by partition, in ms

    def told(self, batch: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Take the next events, and hand them on."""
        for user, payload in batch:
            self._add(json.loads(payload), partition(user))
        return batch

    def _add(self, event: dict[str, Any], number: int) -> None:
        user, at = event["userId"], milliseconds(event["timestamp"])
        self._newest[number] = max(self._newest[number], at)
        self.as_of[user] = max(self.as_of.get(user, 0), at, self._newest[number] - GRACE_MS)
        _, tier = job.apply(self._states.setdefault(user, job.fresh()), event)
        if tier is not None:
            self.tiers[user] = tier
            self.changes += 1

    def tiers_in_time(self) -> dict[str, str]:
        """Return the tiers by user for a peer that lets time pass between events: each at its `as_of`."""
        return {user: job.tier_at(state, self.as_of[user] // HOUR_MS) for user, state in self._states.items()}


def milliseconds(time: str) -> int:
    """Return a time as JSON has it in ms since the epoch."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return the users whose tier was found to be another one, in order."""
    users = sorted(wanted.keys() | found.keys())
    return [user for user in users if wanted.get(user, job.NONE) != found.get(user, job.NONE)]
