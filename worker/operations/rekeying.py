"""A topic copied with the user's id as key, each record exactly once, whatever dies in between.

The rule: how far the copy has come is committed in the transaction that writes it, under a group and a transactional id
made of the two topics' names. A run first starts its producer, which ends whatever an earlier one left open, and only
then asks how far that came; so a second run goes on where the first one died, and two at once stop each other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError

from worker.errors import JobFailed, WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import Records, Span, merged, partitions_of, pieces, spans_of
from worker.kafka.offsets import committed
from worker.kafka.writing import Written, started, write
from worker.language.mapping import Mapping
from worker.operations.keys import key_of
from worker.operations.publishing import in_force
from worker.settings import Settings

__all__ = ["rekey"]

BYTES_MAX = 8 << 20  # of a transaction
IDLE_SECONDS = 0.5

Positions = dict[TopicPartition, int]  # the next offset to copy


@dataclass
class Copy:
    """How many records have been copied, and how many of them kept their key for want of a user."""

    copied: int = 0
    without_user: int = 0


async def rekey(
    settings: Settings,
    source: str,
    target: str,
    *,
    stop: asyncio.Event,
    follow: bool = False,
    progress: Callable[[int, int | None, int], None] | None = None,
) -> Copy:
    """Copy what `source` has now, or with `follow` whatever comes, until `stop` is set; return what this run did.

    Raises:
        WrongUsage: the topics are one, or the target has records and nothing says how far a copy has come.
        JobFailed: a topic isn't there, records went before they were copied, or the copy was cut off.
    """
    if source == target:
        raise WrongUsage(f"{source} can't be copied onto itself: name another topic with --to.")
    under, _ = await in_force(settings)
    name = f"{settings.topic_prefix}rekey.{source}.{target}"
    async with started(settings, name) as producing, reader(settings) as reading:
        partitions = len(await partitions_of(producing.client, target))
        copying = _Copying(settings, name, target, partitions, under.mapping, producing)
        spans = await spans_of(reading, source)
        copies = await committed(settings, name, list(spans))
        positions = {place: copy.offset for place, copy in copies.items()}
        if not positions:
            await _refuse_unless_empty(reading, target)
        while True:
            todo = _todo(spans, positions, accept_lost=settings.accept_lost_records)
            total = copying.done.copied + sum(span.end - span.begin for span in todo.values())
            async for batch in _batches(reading, todo, settings.batch_records_max):
                positions |= await copying.copy(batch)
                if progress:
                    progress(copying.done.copied, total, copying.done.copied)
                if stop.is_set():
                    break
            if not follow or await _is_set(stop, IDLE_SECONDS):
                return copying.done
            spans = await spans_of(reading, source)


async def _is_set(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for it a little, and say whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


@dataclass
class _Copying:
    """Copies batch after batch, each in a transaction with the offsets after it."""

    settings: Settings
    name: str
    target: str
    partitions: int
    mapping: Mapping
    producing: AIOKafkaProducer
    done: Copy = field(default_factory=Copy)

    async def copy(self, batch: Records) -> Positions:
        """Copy a batch and return the positions after it. Raises JobFailed if nobody knows what became of it."""
        made = [self._rekeyed(record) for record in batch]
        after = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in batch}
        try:
            async with asyncio.timeout(self.settings.transaction_timeout_ms / 1000):
                await self.producing.begin_transaction()
                await write(self.producing, self.target, self.partitions, made)
                offsets = {place: OffsetAndMetadata(offset, "") for place, offset in after.items()}
                await self.producing.send_offsets_to_transaction(offsets, self.name)
                await self.producing.commit_transaction()
        except (KafkaError, TimeoutError) as error:  # not every fence is a ProducerFenced
            raise JobFailed(
                f"The copy was cut off after {self.done.copied:,} records ({type(error).__name__}): unless another "
                "copy of the same topics has begun, see that the brokers are well and run it again, it goes on where "
                "it stopped."
            ) from error
        self.done.copied += len(batch)
        return after

    def _rekeyed(self, record: Any) -> Written:
        key = None if record.value is None else key_of(record.value, self.mapping)
        self.done.without_user += key is None
        kept = record.key if key is None else key
        return Written(kept, record.value, record.timestamp, record.headers)


async def _batches(
    reading: AIOKafkaConsumer, spans: dict[TopicPartition, Span], records_max: int
) -> AsyncIterator[Records]:
    """The records of the spans in the order of their times, as many at once as a transaction takes."""
    batch: Records = []
    size_bytes = 0
    async for record in merged(reading, spans):
        batch.append(record)
        size_bytes += record.serialized_value_size
        if len(batch) >= records_max or size_bytes >= BYTES_MAX:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _todo(spans: dict[TopicPartition, Span], positions: Positions, *, accept_lost: bool) -> dict[TopicPartition, Span]:
    """What is still to be copied. Raises JobFailed where records are gone, or the source is another than it was."""
    todo = {}
    for place, span in spans.items():
        position = positions.get(place, span.begin)
        if position > span.end:
            raise JobFailed(
                f"{place.topic} {place.partition} was copied up to {position:,} and ends at {span.end:,}: it was made "
                "anew, so copy it to a new topic."
            )
        if position < span.begin and not accept_lost:
            raise JobFailed(
                f"Retention took {span.begin - position:,} records of {place.topic} {place.partition} before they were "
                "copied: set SHOAL_ACCEPT_LOST_RECORDS=true to go on without them."
            )
        todo[place] = Span(max(position, span.begin), span.end)
    return todo


async def _refuse_unless_empty(reading: AIOKafkaConsumer, target: str) -> None:
    """Nobody knows how far a copy has come: then there must be none."""
    async for piece in pieces(reading, await spans_of(reading, target)):
        raise WrongUsage(
            f"{target} has records ({piece[0].partition}:{piece[0].offset} is one), and nothing says how far the copy "
            "has come: name an empty topic with --to."
        )
