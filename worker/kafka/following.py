"""Reading part of a topic, once and without a group: from given offsets to ends that are known beforehand.

The rule: an end is reached when the position is, whatever the last record's offset: aborted transactions, markers and
compaction leave offsets without a record. What never comes is given up after a while, with a sentence.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from worker.errors import JobFailed
from worker.kafka.clients import reader
from worker.settings import Settings

__all__ = [
    "Records", "Span", "empty_up_to", "everything", "latest", "merged", "partitions_of", "pieces", "spans_of", "tails",
]  # fmt: skip

POLL_MS = 200
STALL_SECONDS_MAX = 30.0

Records = list[ConsumerRecord]


class Span(NamedTuple):
    """Offsets of a partition, the end not included."""

    begin: int
    end: int


async def everything(settings: Settings, topic: str) -> Records:
    """Return what a small topic of one partition holds now, in order. Raises JobFailed if it isn't there."""
    async with reader(settings) as reading:
        spans = await spans_of(reading, topic)
        return [record async for piece in pieces(reading, spans) for record in piece]


async def latest(settings: Settings, topic: str) -> Records:
    """Return the latest record of each key of a small compacted topic, in the order of their writing."""
    found: dict[bytes | None, ConsumerRecord] = {}
    for record in await everything(settings, topic):
        found.pop(record.key, None)
        if record.value is not None:
            found[record.key] = record
    return list(found.values())


async def empty_up_to(settings: Settings, topic: str, begin: int) -> int | None:
    """Return up to where a topic of one partition has markers alone, from an offset on; None if a record comes.

    Raises JobFailed if the topic isn't there.
    """
    async with reader(settings) as reading:
        ((place, span),) = (await spans_of(reading, topic)).items()
        async for _ in pieces(reading, {place: Span(max(begin, span.begin), span.end)}):
            return None
    return span.end


async def partitions_of(client: Any, topic: str) -> list[TopicPartition]:
    """Return a topic's partitions, in order. Raises JobFailed if it isn't there (and doesn't have it made).

    `client` is that of a started producer or consumer.
    """
    cluster = await client.fetch_all_metadata()  # names no topic: brokers that make topics by themselves make none
    numbers = cluster.partitions_for_topic(topic)
    if not numbers:
        raise JobFailed(f"There is no topic {topic}, or this user may not see it: shoal topics check says more.")
    return [TopicPartition(topic, number) for number in sorted(numbers)]


async def spans_of(reading: AIOKafkaConsumer, topic: str) -> dict[TopicPartition, Span]:
    """Return what can be read of each partition now: from the first offset kept to the last that is decided."""
    partitions = await partitions_of(reading._client, topic)  # noqa: SLF001  consumers don't pass it on
    begins, ends = await reading.beginning_offsets(partitions), await reading.end_offsets(partitions)
    return {partition: Span(begins[partition], ends[partition]) for partition in partitions}


def tails(spans: Mapping[TopicPartition, Span], records_max: int) -> dict[TopicPartition, Span]:
    """Return the last offsets of each span, `records_max` in all; what a short one leaves over goes to the others."""
    chosen: dict[TopicPartition, Span] = {}
    left = records_max
    by_length = sorted(spans.items(), key=lambda item: item[1].end - item[1].begin)
    for done, (partition, span) in enumerate(by_length):
        share = min(left // (len(by_length) - done), span.end - span.begin)
        left -= share
        chosen[partition] = Span(span.end - share, span.end)
    return dict(sorted(chosen.items()))


async def pieces(reading: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span]) -> AsyncIterator[Records]:
    """Yield the records of the spans in pieces, each in the order of its partition.

    Raises JobFailed where a record can't be read at all, is gone, or nothing comes for half a minute.
    """
    following = _Following(reading, spans)
    while following.unread:
        for records in (await following.poll(list(following.unread))).values():
            yield records


async def merged(reading: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span]) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of the spans in the order of their times, as far as each partition's order allows.

    Raises JobFailed as `pieces`.
    """
    following = _Following(reading, spans)
    heads: dict[TopicPartition, deque[ConsumerRecord]] = {partition: deque() for partition in spans}
    while following.unread or any(heads.values()):
        empty = [partition for partition in following.unread if not heads[partition]]
        if empty:
            for partition, records in (await following.poll(empty)).items():
                heads[partition] += records
            continue
        partition = min((head[0].timestamp, partition) for partition, head in heads.items() if head)[1]
        yield heads[partition].popleft()


class _Following:
    """A consumer on its way through spans; `unread` are those whose end it hasn't reached."""

    def __init__(self, reading: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span]) -> None:
        self.unread = {partition: span for partition, span in spans.items() if span.begin < span.end}
        self._reading = reading
        self._positions = {partition: span.begin for partition, span in self.unread.items()}
        self._moved = time.monotonic()
        reading.assign(list(self.unread))
        for partition, span in self.unread.items():
            reading.seek(partition, span.begin)

    async def poll(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Records]:
        """Return what has come of some of the unread partitions, perhaps nothing."""
        found = {}
        for partition, records in (await _polled(self._reading, partitions)).items():
            end = self.unread[partition].end
            if wanted := [record for record in records if record.offset < end]:
                found[partition] = wanted
        for partition in partitions:
            await self._look_at(partition)
        if time.monotonic() - self._moved > STALL_SECONDS_MAX:
            raise JobFailed(
                f"Nothing more comes from {_told(partitions)}: see that the brokers are well, and try again."
            )
        return found

    async def _look_at(self, partition: TopicPartition) -> None:
        """See how far a partition is, and leave it at its end."""
        position = await self._reading.position(partition)
        if position != self._positions[partition]:
            self._positions[partition] = position
            self._moved = time.monotonic()
        if position >= self.unread[partition].end:
            self._reading.pause(partition)
            del self.unread[partition]


async def _polled(reading: AIOKafkaConsumer, partitions: list[TopicPartition]) -> Mapping[TopicPartition, Records]:
    try:
        return await reading.getmany(*partitions, timeout_ms=POLL_MS)
    except UnicodeDecodeError as error:
        raise JobFailed(
            f"A record in {_told(partitions)} has a header name that isn't UTF-8, which this client can't read: wait "
            "until retention has taken it, or delete the records up to it."
        ) from error
    except OffsetOutOfRangeError as error:
        raise JobFailed(
            f"Retention took records of {_told(partitions)} before they were read: run it again, from what is left."
        ) from error


def _told(partitions: Any) -> str:
    return ", ".join(f"{partition.topic} {partition.partition}" for partition in partitions)
