"""Records looked up where they are said to be, as long as retention has left them there."""

from collections import defaultdict
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from worker.errors import JobFailed
from worker.kafka.following import Span, pieces, spans_of

__all__ = ["Place", "originals"]

GAP_MAX = 1_000  # offsets between two records that are read through rather than jumped over


class Place(NamedTuple):
    """Where a record is."""

    partition: TopicPartition
    offset: int

    def __str__(self) -> str:
        return f"{self.partition.topic} {self.partition.partition}:{self.offset}"


async def originals(reading: AIOKafkaConsumer, places: list[Place]) -> dict[Place, ConsumerRecord]:
    """Return the records that are still there, in as few readings as their gaps allow.

    Raises JobFailed if nothing comes for half a minute, KafkaError.
    """
    wanted: dict[TopicPartition, list[int]] = defaultdict(list)
    kept: dict[TopicPartition, Span] = {}
    for topic in {place.partition.topic for place in places}:
        kept |= await _kept(reading, topic)
    for place in sorted(set(places), key=lambda place: place.offset):
        if place.partition in kept and kept[place.partition].begin <= place.offset < kept[place.partition].end:
            wanted[place.partition].append(place.offset)
    found: dict[Place, ConsumerRecord] = {}
    chosen = set(places)
    while any(wanted.values()):
        spans = {partition: _cluster(offsets) for partition, offsets in wanted.items() if offsets}
        async for piece in pieces(reading, spans):
            read = {Place(TopicPartition(record.topic, record.partition), record.offset): record for record in piece}
            found |= {place: record for place, record in read.items() if place in chosen}
    return found


async def _kept(reading: AIOKafkaConsumer, topic: str) -> dict[TopicPartition, Span]:
    try:
        return await spans_of(reading, topic)
    except JobFailed:  # the topic itself is gone
        return {}


def _cluster(offsets: list[int]) -> Span:
    """Take the first offsets that lie close together out of a sorted list, and return what they span."""
    end = next(
        (place for place in range(1, len(offsets)) if offsets[place] - offsets[place - 1] > GAP_MAX), len(offsets)
    )
    span = Span(offsets[0], offsets[end - 1] + 1)
    del offsets[:end]
    return span
