"""Topics read as one: all their partitions, each from its own offset on, merged by the records' own times.

The rule: only what is committed is read, and the offsets are the reader's own, which it keeps beside what it has made
of the records: those that were taken, not those that were fetched. Where retention was faster the rest is read; the
log says how much was missed.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from worker.kafka import clients
from worker.kafka.following import partitions_of
from worker.kafka.gaps import leave_gaps
from worker.kafka.merging import Arrived, Merging
from worker.observe.logs import log
from worker.settings import Settings

__all__ = ["MergedInput", "Offsets", "Reading"]

GAP = "Records were deleted before they were read; the rest is read."
WAIT_MS = 200
LOOK_SECONDS = 2.0
HELD_MAX = 1_000  # records of a partition that wait for the others; no more are fetched of it meanwhile
IDLE_SECONDS_MAX = 10.0  # of waiting for a partition that has more and gives nothing: its broker may be away for long

Offsets = Mapping[str, Mapping[int, int]]
"""Next to be taken: by topic of the table, by partition; what isn't there is read from its beginning."""

Reading = Callable[[bytes], tuple[int, object]]
"""Returns a record's own time in ms and what it says. Raises ValueError where it says nothing to be understood."""


class MergedInput:
    """A consumer of its own, without a group. `readings` say for each topic of the table what its records say."""

    def __init__(self, settings: Settings, readings: Mapping[str, Reading]) -> None:
        self._consumer: AIOKafkaConsumer = clients.consumer(settings)
        self._start_seconds_max = 2 * settings.request_timeout_ms / 1000
        self._topics = {settings.topic(name): name for name in readings}
        self._readings = readings
        self._merging = Merging()
        self._begun = False
        self._looked_at = 0.0
        self._taken_at = time.monotonic()
        self.lag_records = 0

    async def begin(self, offsets: Offsets) -> None:
        """Begin at these offsets, once. Raises JobFailed if a topic isn't there, KafkaError, TimeoutError."""
        if self._begun:
            return
        async with asyncio.timeout(self._start_seconds_max):
            await self._start(offsets)
        self._begun = True

    async def _start(self, offsets: Offsets) -> None:
        await self._consumer.start()
        places = [place for name in self._topics for place in await partitions_of(self._consumer._client, name)]  # noqa: SLF001
        self._consumer.assign(places)
        begins = await self._consumer.beginning_offsets(places)
        for place in places:
            offset = offsets.get(self._topics[place.topic], {}).get(place.partition)
            self._consumer.seek(place, begins[place] if offset is None else offset)

    async def read(self, records_max: int) -> list[Arrived]:
        """Return what comes next, perhaps nothing. Raises KafkaError."""
        if wanted := [place for place in self._consumer.assignment() if self._merging.held(place) < HELD_MAX]:
            await self._fetch(wanted, records_max)
        await self._look()
        taken = self._merging.take(records_max, await self._behind())
        if not taken and time.monotonic() - self._taken_at > IDLE_SECONDS_MAX:
            taken = self._merging.take(records_max, ())
        if taken or not any(map(self._merging.held, self._consumer.assignment())):
            self._taken_at = time.monotonic()
        return taken

    async def _fetch(self, wanted: Iterable[TopicPartition], records_max: int) -> None:
        try:
            found = await self._consumer.getmany(*wanted, timeout_ms=WAIT_MS, max_records=records_max)
        except OffsetOutOfRangeError:
            await leave_gaps(self._consumer, "input", GAP)
            return
        for place, records in found.items():
            self._merging.put(place, [self._arrived(self._topics[place.topic], record) for record in records])

    def _arrived(self, topic: str, record: ConsumerRecord) -> Arrived:
        """What a record says; one that says nothing has its time from Kafka."""
        try:
            at_ms, content = self._readings[topic](record.value or b"")
        except ValueError as error:
            log("input").warning("A record says nothing and is left out.", topic=topic, error=error)
            return Arrived(topic, record.partition, record.offset, record.timestamp, None)
        return Arrived(topic, record.partition, record.offset, at_ms, content)

    async def _behind(self) -> list[TopicPartition]:
        """The partitions that are known to have more, or of which it isn't known yet."""
        found = []
        for place in self._consumer.assignment():
            end = self._consumer.last_stable_offset(place)
            if end is None or await self._consumer.position(place) < end:
                found.append(place)
        return found

    async def offsets(self) -> dict[TopicPartition, int]:
        """Return what is next to be taken of each partition."""
        found = {}
        for place in sorted(self._consumer.assignment()):
            waiting = self._merging.next_offset(place)
            found[place] = await self._consumer.position(place) if waiting is None else waiting
        return found

    def by_topic(self, offsets: dict[TopicPartition, int]) -> dict[str, dict[int, int]]:
        """Return offsets by topic of the table and partition."""
        found: dict[str, dict[int, int]] = {name: {} for name in self._topics.values()}
        for place, offset in offsets.items():
            found[self._topics[place.topic]][place.partition] = offset
        return found

    async def _look(self) -> None:
        """See, every now and then, how much there is to take."""
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            offsets = await self.offsets()
            ends = await self._consumer.end_offsets(list(offsets))
            self.lag_records = sum(max(0, ends[place] - offset) for place, offset in offsets.items())
            self._looked_at = time.monotonic()

    async def close(self) -> None:
        """Put it away."""
        await clients.discard_consumer(self._consumer)
