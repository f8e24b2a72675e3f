"""Reading a partition's state back: from the start of the topic to the end that was taken after fencing.

The rule: the end is the read_uncommitted one, and it is reached by *position*. The last stable offset would stop short
of a predecessor's commit that is still being marked; the offset of the last record would never come where markers,
aborted records or compaction left nothing to read. Where even the markers are gone there is no position at the end
either: then it is enough that the broker has said so several times. An open transaction is waited for, and told of.
"""

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.core.changelog import StateRecordError
from worker.core.restoring import Restorer
from worker.kafka import clients
from worker.settings import Settings

__all__ = ["restore"]

RECORDS_AT_ONCE = 2_000
WAIT_MS = 500
ANSWERS_EMPTY = 3
FETCH_BYTES = 8 * 1024 * 1024


async def restore(settings: Settings, partition: int, end: int, progress: Callable[[float], None],
                  held_at: Callable[[int], None]) -> Restorer:  # fmt: skip
    """Read the state of a partition up to `end`; `progress` hears how much of it is done, 0 to 1.

    `held_at` hears of an offset beyond which an open transaction lets nothing be read, as long as it does. Raises
    StateRecordError for what is no state, KafkaError, TimeoutError if nothing comes though there is something.
    """
    restorer = Restorer()
    if end == 0:
        return restorer
    place = TopicPartition(settings.topic("state"), partition)
    reading = clients.consumer(settings, max_partition_fetch_bytes=FETCH_BYTES, fetch_max_bytes=FETCH_BYTES)
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await reading.start()
        reading.assign([place])
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await reading.seek_to_beginning(place)
        reader = _Reader(reading, place, settings, restorer)
        await reader.read_to(end, progress, held_at)
    finally:
        await clients.discard_consumer(reading)
    return restorer


class _Reader:
    """A consumer at the beginning of the state, and who takes what it reads."""

    def __init__(
        self, reading: AIOKafkaConsumer, place: TopicPartition, settings: Settings, restorer: Restorer
    ) -> None:
        self.reading, self.place, self.settings, self.restorer = reading, place, settings, restorer
        # Longer than a transaction of a worker's can stay open: what lasts longer is somebody else's.
        self.patience_seconds = (settings.transaction_timeout_ms + settings.request_timeout_ms) / 1000
        self._answers_empty = 0
        self._answered_ms: int | None = None

    async def read_to(self, end: int, progress: Callable[[float], None], held_at: Callable[[int], None]) -> None:
        """Read until the position is at `end`."""
        begin = position = await self.reading.position(self.place)
        moved = time.monotonic()
        while position < end and self._answers_empty < ANSWERS_EMPTY:
            await self._take()
            before, position = position, await self.reading.position(self.place)
            if position > before:
                moved, self._answers_empty = time.monotonic(), 0
                progress((position - begin) / max(end - begin, 1))
            else:
                self._look(end)
            if time.monotonic() - moved > self.patience_seconds:
                await self._unless_readable(position)
                held_at(position)
            await asyncio.sleep(0)  # others have to live too

    def _look(self, end: int) -> None:
        """Count the answers since the position last moved that had nothing, though nothing was held back."""
        answered_ms = self.reading.last_poll_timestamp(self.place)
        if answered_ms != self._answered_ms and (self.reading.last_stable_offset(self.place) or 0) >= end:
            self._answers_empty += 1
        self._answered_ms = answered_ms

    async def _take(self) -> None:
        found = await self.reading.getmany(self.place, timeout_ms=WAIT_MS, max_records=RECORDS_AT_ONCE)
        for record in found.get(self.place, ()):
            try:
                self.restorer.take(record.key, record.value)
            except StateRecordError as error:
                raise StateRecordError(f"at offset {record.offset:,} {error}") from error

    async def _unless_readable(self, position: int) -> None:
        """Raise TimeoutError if the brokers could give what comes next: then it is they who are slow."""
        async with asyncio.timeout(self.settings.request_timeout_ms / 1000):
            stable = (await self.reading.end_offsets([self.place]))[self.place]
        if stable > position:
            raise TimeoutError
