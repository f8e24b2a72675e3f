"""Restore: how long a worker takes to read back the state of many users that another one left.

The state is made by a worker, of an event per user; so it holds a row of each once, as it would after compaction.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from worker.bench.kafka_place import BATCH, DEFINITIONS, keyed, place
from worker.bench.kafka_worker import Worker, started, until, until_running
from worker.bench.stream import Stream
from worker.files import configuration
from worker.operations import publishing
from worker.operations.importing import feed
from worker.settings import Settings

__all__ = ["restore"]

Data = dict[str, Any]

MAKE_SECONDS_MAX: Final = 3_600.0
LARGE: Final = 20_000  # records of a transaction while the state is made


async def restore(settings: Settings, partitions: int, users: int) -> Data:
    """Make the state of so many users under the demo's definitions, and restore it.

    Returns `seconds` (a partition's restore, on average; they restore side by side), `ready_seconds` (from the start of
    the process until all partitions run), users and bytes of their rows in memory.
    """
    async with place(settings, partitions, clock="event") as measured:
        await publishing.publish(measured, configuration.load(DEFINITIONS["demo"]))
        await feed(measured, keyed(Stream(users).first(BATCH)))
        await _make(measured, partitions, users)
        begun = time.monotonic()
        async with started(measured, partitions) as (worker,):
            await until_running([worker])
            ready_seconds = time.monotonic() - begun
            totals = await _told(worker, users)
    return {
        "users": users,
        "state_bytes": round(totals["shoal_state_bytes"]),
        "partitions": partitions,
        "seconds": round(totals["shoal_restore_seconds_sum"] / totals["shoal_restore_seconds_count"], 2),
        "ready_seconds": round(ready_seconds, 2),
    }


async def _make(measured: Settings, partitions: int, users: int) -> None:
    async with started(measured.model_copy(update={"batch_records_max": LARGE}), partitions) as (worker,):

        async def made() -> bool:
            return (await worker.reading()).records >= users

        await until(made, "the state to be made", MAKE_SECONDS_MAX)


async def _told(worker: Worker, users: int) -> Mapping[str, float]:
    """Return the metrics of a worker that has restored everybody; they are there with each partition's first turn."""

    async def everybody() -> bool:
        return (await worker.reading()).totals["shoal_state_users"] == users

    await until(everybody, "all users to be restored")
    return (await worker.reading()).totals
