"""What the benchmark does on the cluster besides: makes topics, writes events, asks for offsets, reads results."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from tests.bench.peers.events import partition
from tests.bench.peers.job import PARTITIONS
from worker.errors import JobFailed

__all__ = ["Cluster"]

BATCH_BYTES_MAX: Final = 500_000


class Cluster:
    """A running Kafka, for the length of an `async with`. Raises JobFailed if no broker answers."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._coordinators: dict[str, int] = {}  # by group; asked for once

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
        except KafkaError as error:
            await self._admin.close()
            raise JobFailed(
                f"No broker answers at {self.bootstrap}: start one, or name another with --bootstrap."
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def create(self, topic: str) -> None:
        """Make a topic whose records are stamped as they arrive and stay, however old the events in them are."""
        configuration = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
        await self._admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=configuration)])

    async def remove(self, run: str) -> None:
        """Delete all topics that have the run in their names, also those that the peers made; if that can't be, not."""
        with suppress(KafkaError):
            topics = await self.topics(run)
            if topics:
                await self._admin.delete_topics(sorted(topics))

    async def topics(self, run: str) -> set[str]:
        """Return the topics that have the run in their names."""
        return {topic for topic in await self._admin.list_topics() if run in topic}

    async def write(self, topic: str, batches: Iterable[list[tuple[bytes, bytes]]]) -> None:
        """Write (user id, event) pairs, each user's in one partition."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_batch_size=BATCH_BYTES_MAX)
        await producer.start()
        try:
            for batch in batches:
                for number in range(PARTITIONS):
                    await _write(producer, topic, number, [pair for pair in batch if partition(pair[0]) == number])
        finally:
            await producer.stop()

    async def committed(self, group: str, topic: str) -> int:
        """Return how many records of a topic a group is done with, by its committed offsets."""
        try:
            if group not in self._coordinators:
                self._coordinators[group] = await self._admin.find_coordinator(group)
            offsets = await self._admin.list_consumer_group_offsets(group, self._coordinators[group])
        except KafkaError:  # it isn't there yet
            return 0
        return sum(max(found.offset, 0) for place, found in offsets.items() if place.topic == topic)

    async def read(self, topic: str) -> AsyncIterator[bytes]:
        """Yield the values of all records of a topic that are committed."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(places)
            for place, end in (await consumer.end_offsets(places)).items():
                async for value in _until(consumer, place, end):
                    yield value
        finally:
            await consumer.stop()


async def _write(producer: Any, topic: str, number: int, pairs: list[tuple[bytes, bytes]]) -> None:
    """Write to one partition, in batches as large as they may be."""
    sent, batch = [], producer.create_batch()
    for user, payload in pairs:
        if batch.append(timestamp=None, key=user, value=payload) is None:
            sent.append(await producer.send_batch(batch, topic, partition=number))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=user, value=payload)
    sent.append(await producer.send_batch(batch, topic, partition=number))
    await asyncio.gather(*sent)


async def _until(consumer: Any, place: Any, end: int) -> AsyncIterator[bytes]:
    """Yield a partition's values up to an offset."""
    while await consumer.position(place) < end:
        for records in (await consumer.getmany(place, timeout_ms=500)).values():
            for record in records:
                yield record.value
