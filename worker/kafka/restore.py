"""Reading a partition's state back: from the start of the topic to the end that was taken after fencing.

The rule: the end is the read_uncommitted one, and it is reached by *position*. The last stable offset would stop short
of a predecessor's commit that is still being marked; the offset of the last record would never come where markers,
aborted records or compaction left nothing to read.
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
FETCH_BYTES = 8 * 1024 * 1024


async def restore(settings: Settings, partition: int, end: int, progress: Callable[[float], None]) -> Restorer:
    """Read the state of a partition up to `end`; `progress` hears how much of it is done, 0 to 1.

    Raises StateRecordError for what is no state, KafkaError, TimeoutError if nothing comes for a transaction's timeout.
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
        await _read_to(reading, place, end, restorer, settings, progress)
    finally:
        await clients.discard_consumer(reading)
    return restorer


async def _read_to(
    reading: AIOKafkaConsumer,
    place: TopicPartition,
    end: int,
    restorer: Restorer,
    settings: Settings,
    progress: Callable[[float], None],
) -> None:
    # Longer than a foreign transaction can stay open: then somebody else writes here, which nobody may.
    patience = (settings.transaction_timeout_ms + settings.request_timeout_ms) / 1000
    begin = position = await reading.position(place)
    moved = time.monotonic()
    while position < end:
        found = await reading.getmany(place, timeout_ms=WAIT_MS, max_records=RECORDS_AT_ONCE)
        for record in found.get(place, ()):
            restorer.take(record.key, record.value)
        before, position = position, await reading.position(place)
        if position > before:
            moved = time.monotonic()
            progress((position - begin) / max(end - begin, 1))
        elif time.monotonic() - moved > patience:
            raise StateRecordError(
                f"nothing can be read from offset {position:,} to its end {end:,}: somebody else has a transaction open"
            )
        await asyncio.sleep(0)  # others have to live too
