"""The points of a partition, read from its state: what took effect before which record."""

import msgspec
from aiokafka import TopicPartition

from worker.core.changelog import CHECKPOINT, NUMBER, POINT, Checkpoint, Point, StateRecordError, opened
from worker.errors import JobFailed, WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import pieces, spans_of
from worker.settings import Settings

__all__ = ["points_of"]


async def points_of(settings: Settings, partition: int) -> tuple[Checkpoint, list[Point]]:
    """Return a partition's checkpoint and its points in order.

    Raises WrongUsage if there is no such partition, JobFailed if it has no state or one that is damaged.
    """
    place = TopicPartition(settings.topic("state"), partition)
    kept: dict[bytes, bytes] = {}
    async with reader(settings) as reading:
        spans = await spans_of(reading, place.topic)
        if place not in spans:
            raise WrongUsage(
                f"{place.topic} has partitions 0 to {len(spans) - 1}, and no {partition}: name one of them."
            )
        async for piece in pieces(reading, {place: spans[place]}):
            kept |= {
                record.key: record.value for record in piece if record.key and record.key[:1] in (CHECKPOINT, POINT)
            }
    if CHECKPOINT not in kept:
        raise JobFailed(f"Partition {partition} has no state yet: run shoal worker first.")
    try:
        checkpoint = msgspec.msgpack.decode(opened(CHECKPOINT, kept[CHECKPOINT]), type=Checkpoint)
        keys = [POINT + NUMBER.pack(number) for number in range(checkpoint.points)]
        return checkpoint, [msgspec.msgpack.decode(opened(key, kept[key]), type=Point) for key in keys]
    except (StateRecordError, msgspec.MsgspecError, KeyError) as error:
        raise JobFailed(f"The state of partition {partition} is damaged ({error}): restore its topic.") from error
