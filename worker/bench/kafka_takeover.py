"""Takeover: how long the partitions of a killed worker stand still before another commits to them."""

import asyncio
import sys
import time
from contextlib import suppress
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient

from worker.bench.kafka_place import DEFINITIONS, place, skewed
from worker.bench.kafka_worker import Worker, started, until, until_running
from worker.files import configuration
from worker.kafka.clients import admin
from worker.operations import publishing
from worker.operations.importing import feed
from worker.settings import Settings

__all__ = ["takeover"]

Data = dict[str, Any]

RATE: Final = 1_000  # events per second
SETTLE_SECONDS: Final = 0.5  # a commit that the broker had before the kill is through by then
POLL_SECONDS: Final = 0.05


async def takeover(settings: Settings, partitions: int, users: int, session_timeout_ms: int) -> Data:
    """Kill one of two workers under load; return the s until the other has committed to each of its partitions."""
    async with (
        place(settings, partitions, clock="event", session_timeout_ms=session_timeout_ms) as measured,
        started(measured, partitions, 2) as workers,
    ):
        await publishing.publish(measured, configuration.load(DEFINITIONS["demo"]))
        await until_running(workers)
        feeding = asyncio.create_task(feed(measured, skewed(sys.maxsize, users), RATE))
        try:
            return await _killed(measured, *workers)
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError):
                await feeding


async def _killed(measured: Settings, victim: Worker, other: Worker) -> Data:
    async with admin(measured) as client:
        theirs = set(await victim.partitions())

        async def under_load() -> bool:
            return all([(await worker.reading()).records > 0 for worker in (victim, other)])

        await until(under_load, "both workers to be at work")
        victim.kill()
        killed = time.monotonic()
        await asyncio.sleep(SETTLE_SECONDS)
        before = await _committed(measured, client)

        async def taken_over() -> bool:
            offsets = await _committed(measured, client)
            return all(offsets[partition] > before.get(partition, -1) for partition in theirs if partition in offsets)

        await until(taken_over, "the other worker to take over", poll_seconds=POLL_SECONDS)
        seconds = time.monotonic() - killed
    return {
        "seconds": round(seconds, 2),
        "session_timeout_seconds": measured.session_timeout_ms / 1000,
        "partitions": len(theirs),
        "events_per_second": RATE,
    }


async def _committed(measured: Settings, client: AIOKafkaAdminClient) -> dict[int, int]:
    """Return the group's offsets by partition."""
    offsets = await client.list_consumer_group_offsets(measured.group)
    return {found.partition: entry.offset for found, entry in offsets.items() if entry.offset >= 0}
