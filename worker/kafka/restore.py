"""Reading a state back, a partition's or the trainer's: from its start to the end that was taken after fencing.

The rule: the end is the read_uncommitted one, and it is reached by *position*. The last stable offset would stop short
of a predecessor's commit that is still being marked; the offset of the last record would never come where markers,
aborted records or compaction left nothing to read: the marker or the empty batch at the end of a log is never compacted
away. A broker that doesn't answer is waited for, and so is somebody else's open transaction, which is told of.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.core.changelog import StateRecordError
from worker.kafka import clients
from worker.settings import Settings

__all__ = ["WAIT_MS", "Takes", "restore"]

RECORDS_AT_ONCE = 2_000
WAIT_MS = 500
FETCH_BYTES = 8 * 1024 * 1024


class Takes(Protocol):
    """Whoever makes something of the records of a state, in order."""

    def take(self, key: bytes | None, value: bytes | None, /) -> None:
        """Take a record. Raises StateRecordError if it can't be one of the state."""


async def restore(settings: Settings, place: TopicPartition, end: int, taker: Takes,
                  progress: Callable[[float], None], held_at: Callable[[int], None]) -> None:  # fmt: skip
    """Hand a partition's records up to `end` to `taker`; `progress` hears how much of it is done, 0 to 1.

    `held_at` hears of an offset beyond which an open transaction lets nothing be read, as long as it does. Raises
    StateRecordError for what is no state, KafkaError, TimeoutError if nothing comes though there is something.
    """
    if end == 0:
        return
    reading = clients.consumer(settings, max_partition_fetch_bytes=FETCH_BYTES, fetch_max_bytes=FETCH_BYTES)
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await reading.start()
        reading.assign([place])
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await reading.seek_to_beginning(place)
        await _Reader(reading, place, settings, taker).read_to(end, progress, held_at)
    finally:
        await clients.discard_consumer(reading)


class _Reader:
    """A consumer at the beginning of the state, and who takes what it reads."""

    def __init__(self, reading: AIOKafkaConsumer, place: TopicPartition, settings: Settings, taker: Takes) -> None:
        self.reading, self.place, self.settings, self.taker = reading, place, settings, taker
        # Longer than a transaction of a worker's can stay open: what lasts longer is somebody else's.
        self.patience_seconds = (settings.transaction_timeout_ms + settings.request_timeout_ms) / 1000

    async def read_to(self, end: int, progress: Callable[[float], None], held_at: Callable[[int], None]) -> None:
        """Read until the position is at `end`."""
        begin = position = await self.reading.position(self.place)
        moved = time.monotonic()
        while position < end:
            await self._take()
            before, position = position, await self.reading.position(self.place)
            if position > before:
                moved = time.monotonic()
                progress((position - begin) / max(end - begin, 1))
            elif time.monotonic() - moved > self.patience_seconds:
                await self._unless_readable(position)
                held_at(position)
                moved = time.monotonic()
            await asyncio.sleep(0)  # others have to live too

    async def _take(self) -> None:
        found = await self.reading.getmany(self.place, timeout_ms=WAIT_MS, max_records=RECORDS_AT_ONCE)
        for record in found.get(self.place, ()):
            try:
                self.taker.take(record.key, record.value)
            except StateRecordError as error:
                raise StateRecordError(f"at offset {record.offset:,} {error}") from error

    async def _unless_readable(self, position: int) -> None:
        """Raise TimeoutError if the brokers could give what comes next: then it is they who are slow."""
        async with asyncio.timeout(self.settings.request_timeout_ms / 1000):
            stable = (await self.reading.end_offsets([self.place]))[self.place]
        if stable > position:
            raise TimeoutError
