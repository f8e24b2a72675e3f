"""Writing to topics outside of the hot path: prepared batches, every send awaited, nothing lost and nothing doubled."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from pydantic import BaseModel

from schemas.cloudevents import headers
from schemas.topics import BY_NAME
from worker.core.effects import iso
from worker.kafka.clients import discard, producer, security
from worker.kafka.following import partitions_of
from worker.kafka.unreachable import why
from worker.settings import Settings

__all__ = ["Written", "append", "now", "partition_of", "started", "write"]

WRITE_SECONDS_MAX = 60.0
KEYS_REMEMBERED = 1 << 17  # hashing a key takes longer than all else about it


class Written(NamedTuple):
    """A record to be written: at the time of its writing unless another is given, to its key's partition likewise."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


@lru_cache(KEYS_REMEMBERED)
def _hashed(key: bytes) -> int:
    return murmur2(key) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition in which Kafka's own clients put a key.

    >>> partition_of(b"u-7", 12)
    3
    """
    return _hashed(key) % partitions


@asynccontextmanager
async def started(settings: Settings, transactional_id: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer for the length of a `with`, thrown away at its end: wait for what is sent within.

    Raises JobFailed or WrongUsage if no broker can be used.
    """
    producing = producer(settings, transactional_id)
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await producing.start()
    except (KafkaError, OSError, TimeoutError, UnicodeError) as error:
        await discard(producing)
        raise await why(settings, security(settings)) from error
    try:
        yield producing
    finally:
        await discard(producing)  # whoever wrote has waited for it: there is nothing to flush


async def write(producing: AIOKafkaProducer, topic: str, partitions: int, records: Iterable[Written]) -> int:
    """Write records, each to its partition and in order; return how many, once the brokers have them all.

    Records with neither key nor partition go to partition 0. Raises KafkaError or TimeoutError: some may then be
    written.
    """
    count, futures = 0, []
    async with asyncio.timeout(WRITE_SECONDS_MAX):
        for partition, batch in _batches(producing, partitions, records):
            futures.append(await producing.send_batch(batch, topic, partition=partition))
            count += batch.record_count()
        results = await asyncio.gather(*futures, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return count


def _batches(producing: AIOKafkaProducer, partitions: int, records: Iterable[Written]) -> Iterator[tuple[int, Any]]:
    """Yield prepared batches with their partitions: full ones as they fill, the rest at the end."""
    open_batches: dict[int, Any] = {}
    for record in records:
        partition = record.partition
        if partition is None:
            partition = 0 if record.key is None else partition_of(record.key, partitions)
        entry = {
            "timestamp": record.timestamp_ms, "key": record.key, "value": record.value, "headers": list(record.headers)
        }  # fmt: skip
        batch = open_batches.get(partition)
        if batch is None or batch.append(**entry) is None:
            if batch is not None:
                yield partition, batch
            batch = open_batches[partition] = producing.create_batch()
            batch.append(**entry)  # an empty batch takes any record: the broker judges whether it is too large
    yield from open_batches.items()


async def append(settings: Settings, name: str, key: str, *records: BaseModel) -> int:
    """Write records of one key to a topic of the table, with their CloudEvents headers; return the last one's offset.

    Raises JobFailed if the topic isn't there, KafkaError if a record is refused.
    """
    topic, offset = settings.topic(name), -1
    async with started(settings) as producing, asyncio.timeout(WRITE_SECONDS_MAX):
        await partitions_of(producing.client, topic)
        for record in records:
            value = record.model_dump_json().encode()
            own_headers = headers(BY_NAME[name], msgspec.json.decode(value), settings.topic_prefix)
            written = await producing.send_and_wait(topic, value, key.encode(), headers=own_headers)
            offset = int(written.offset)
    return offset


def now() -> str:
    """Return the wall clock the way records have it."""
    return iso(time.time_ns() // 1_000_000)
