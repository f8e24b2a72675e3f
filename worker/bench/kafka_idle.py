"""Idle: what a worker costs that has users and nothing to read."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

from worker.bench.kafka_place import BATCH, DEFINITIONS, keyed, place
from worker.bench.kafka_worker import Worker, started, until
from worker.bench.stream import Stream
from worker.files import configuration
from worker.operations import publishing
from worker.operations.importing import feed
from worker.settings import Settings

__all__ = ["idle"]

Data = dict[str, Any]

QUIET_SECONDS: Final = 5.0  # the last commit is at least so long ago


async def idle(settings: Settings, partitions: int, users: int, seconds: float) -> Data:
    """Let a worker that has read an event per user stand for so many s; return its CPU in % of a core, and commits.

    It goes by the wall clock, as it would in earnest; under the equivalent definitions nothing falls due for a day.
    """
    async with (
        place(settings, partitions, clock="wall") as measured,
        started(measured, partitions) as (worker,),
    ):
        await publishing.publish(measured, configuration.load(DEFINITIONS["equivalent"]))
        await feed(measured, keyed(_now(users)))
        await _quiet(worker, users)
        before, begun = await worker.reading(), time.monotonic()
        await asyncio.sleep(seconds)
        after, took = await worker.reading(), time.monotonic() - begun
    return {
        "seconds": round(took, 1),
        "cpu_percent": round((after.cpu_seconds - before.cpu_seconds) / took * 100, 2),
        "commits": after.commits - before.commits,
        "partitions": partitions,
        "users": users,
    }


def _now(users: int) -> Iterator[list[bytes]]:
    """An event per user, of this second."""
    stream = Stream(users)
    stream.now_ms = time.time_ns() // 1_000_000
    return stream.first(BATCH)


async def _quiet(worker: Worker, users: int) -> None:
    """Wait until everything is read and no commit has followed for a while."""

    async def read() -> bool:
        return (await worker.reading()).records >= users

    async def nothing_new() -> bool:
        before = (await worker.reading()).commits
        await asyncio.sleep(QUIET_SECONDS)
        return (await worker.reading()).commits == before

    await until(read, "the events to be read")
    await until(nothing_new, "the worker to be idle")
