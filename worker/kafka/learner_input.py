"""What the trainer reads: all partitions of the topics that it learns from, each from its own offset on.

The rule: only what is committed is read, and the offsets are the trainer's own, which it keeps beside what it has
learnt. Where retention was faster the rest is learnt from; it is told how much was missed.
"""

import asyncio
import time
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.access import LEARNT_FROM
from worker.kafka import clients
from worker.kafka.following import partitions_of
from worker.kafka.learner_state import Progress
from worker.observe.logs import log
from worker.settings import Settings

__all__ = ["Arrived", "LearnerInput"]

WAIT_MS = 200
LOOK_SECONDS = 2.0


class Arrived(NamedTuple):
    """A record, and the topic of the table that it is from."""

    topic: str
    value: bytes | None


class LearnerInput:
    """A consumer of its own, without a group."""

    def __init__(self, settings: Settings) -> None:
        self._consumer: AIOKafkaConsumer = clients.consumer(settings)
        self._start_seconds_max = 2 * settings.request_timeout_ms / 1000
        self._topics = {settings.topic(name): name for name in LEARNT_FROM}
        self._begun = False
        self._looked_at = 0.0
        self.lag_records = 0

    async def begin(self, progress: Progress) -> None:
        """Begin where the progress says, once. Raises JobFailed if a topic isn't there, KafkaError, TimeoutError."""
        if self._begun:
            return
        async with asyncio.timeout(self._start_seconds_max):
            await self._start(progress)
        self._begun = True

    async def _start(self, progress: Progress) -> None:
        await self._consumer.start()
        places = [place for name in self._topics for place in await partitions_of(self._consumer._client, name)]  # noqa: SLF001
        self._consumer.assign(places)
        begins = await self._consumer.beginning_offsets(places)
        for place in places:
            offset = progress.next_offset(place, self._topics[place.topic])
            self._consumer.seek(place, begins[place] if offset is None else offset)

    async def read(self, records_max: int) -> list[Arrived]:
        """Return what has come, perhaps nothing. Raises KafkaError."""
        try:
            found = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=records_max)
        except OffsetOutOfRangeError:
            await self._after_a_gap()
            return []
        await self._look()
        return [
            Arrived(self._topics[place.topic], record.value) for place, records in found.items() for record in records
        ]

    async def offsets(self) -> dict[TopicPartition, int]:
        """Return how far each partition is read."""
        return {place: await self._consumer.position(place) for place in sorted(self._consumer.assignment())}

    def by_topic(self, offsets: dict[TopicPartition, int]) -> dict[str, dict[int, int]]:
        """Return offsets by topic of the table and partition."""
        found: dict[str, dict[int, int]] = {name: {} for name in self._topics.values()}
        for place, offset in offsets.items():
            found[self._topics[place.topic]][place.partition] = offset
        return found

    async def _look(self) -> None:
        """See, every now and then, how much there is to read."""
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            offsets = await self.offsets()
            ends = await self._consumer.end_offsets(list(offsets))
            self.lag_records = sum(max(0, ends[place] - offset) for place, offset in offsets.items())
            self._looked_at = time.monotonic()

    async def _after_a_gap(self) -> None:
        """Go on at the first record that is there where the next one isn't: deleted, or the topic was made anew."""
        offsets = await self.offsets()
        begins = await self._consumer.beginning_offsets(list(offsets))
        ends = await self._consumer.end_offsets(list(offsets))
        for place, offset in offsets.items():
            if not begins[place] <= offset <= ends[place]:
                log("trainer").error(
                    "Records were deleted before they were learnt from; what is left is learnt.", topic=place.topic,
                    partition=place.partition, records=max(0, begins[place] - offset),
                )  # fmt: skip
                self._consumer.seek(place, begins[place])

    async def close(self) -> None:
        """Put it away."""
        await clients.discard_consumer(self._consumer)
