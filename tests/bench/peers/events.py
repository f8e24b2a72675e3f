"""The events that all peers read, and what has to come of them, by the job in plain Python."""

import json
import zlib
from collections.abc import Iterator
from typing import Any, Final

from tests.bench.peers import job
from worker.bench.stream import Stream

__all__ = ["Expected", "keyed", "partition"]

BATCH: Final = 10_000


def keyed(events: int, users: int, seed: int = 1) -> Iterator[list[tuple[bytes, bytes]]]:
    """Yield batches of (user id, event); the same arguments, the same bytes. A user does five things a day."""
    for batch in Stream(users, seed).skewed(events, BATCH):
        yield [(payload.partition(b'"userId":"')[2].partition(b'"')[0], payload) for payload in batch]


def partition(user: bytes) -> int:
    """Return the partition of a user's events."""
    return zlib.crc32(user) % job.PARTITIONS


class Expected:
    """What the job makes of the events it is told of: `tiers` by user, how many `changes`; `as_of` by user.

    `as_of` is the latest time any event had when the user's last one came: up to then, a peer that lets time pass
    between events has to be compared.
    """

    def __init__(self) -> None:
        self.tiers: dict[str, str] = {}
        self.as_of: dict[str, str] = {}
        self.changes = 0
        self._states: dict[str, job.State] = {}
        self._newest = ""

    def told(self, batch: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Take the next events, and hand them on."""
        for _, payload in batch:
            self._add(json.loads(payload))
        return batch

    def _add(self, event: dict[str, Any]) -> None:
        user = event["userId"]
        self._newest = max(self._newest, event["timestamp"])
        self.as_of[user] = self._newest
        _, tier = job.apply(self._states.setdefault(user, job.fresh()), event)
        if tier is not None:
            self.tiers[user] = tier
            self.changes += 1

    def differences(self, found: dict[str, str]) -> list[str]:
        """Return the users whose tier was found to be another one, in order."""
        users = sorted(self.tiers.keys() | found.keys())
        return [user for user in users if self.tiers.get(user, job.NONE) != found.get(user, job.NONE)]
