"""What is unread: the input's ends, asked for all partitions of a worker at once, several times a second.

The rule: time may follow the wall only up to the moment at which the brokers were asked and nothing was unread. A slow
or silent broker then holds the clock back, instead of letting a reminder go out while the order waits. Ends are
read_uncommitted ones: what is written but not yet committed is unread too.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from worker.kafka import clients
from worker.kafka.wall import WallClock
from worker.observe.logs import log
from worker.settings import Settings

__all__ = ["Ends", "Reading"]

PAUSE_SECONDS = 0.25
BACKOFF_SECONDS = 1.0


@dataclass(frozen=True)
class Reading:
    """The end of a partition, and the wall clock when it was asked for."""

    end: int
    asked_ms: int


class Ends:
    """Asks for ends as long as it runs; one client of its own, without a group."""

    def __init__(self, settings: Settings, wall: WallClock) -> None:
        self.settings = settings
        self.wall = wall
        self.wanted: set[int] = set()
        self._readings: dict[int, Reading] = {}
        self._client: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    def reading(self, partition: int) -> Reading | None:
        """The latest of a partition of the input, None before the first."""
        return self._readings.get(partition)

    def forget(self, partition: int) -> None:
        """Stop asking for a partition."""
        self.wanted.discard(partition)
        self._readings.pop(partition, None)

    async def end(self, topic: str, partition: int) -> int:
        """The read_uncommitted end of any partition, asked now. Raises KafkaError, TimeoutError."""
        (end,) = (await self._ask("end_offsets", [TopicPartition(topic, partition)])).values()
        return end

    async def beginning(self, topic: str, partition: int) -> int:
        """The first offset of any partition that is still there. Raises KafkaError, TimeoutError."""
        (begin,) = (await self._ask("beginning_offsets", [TopicPartition(topic, partition)])).values()
        return begin

    async def run(self) -> None:
        """Ask until cancelled; a broker that doesn't answer is asked again."""
        try:
            while True:
                pause_seconds = PAUSE_SECONDS if await self._read() else BACKOFF_SECONDS
                await asyncio.sleep(pause_seconds)
        finally:
            await self._discard()

    async def _read(self) -> bool:
        wanted = sorted(self.wanted)
        asked_ms = self.wall.now_ms()
        topic = self.settings.events_topic
        try:
            ends = await self._ask("end_offsets", [TopicPartition(topic, partition) for partition in wanted])
        except (KafkaError, TimeoutError, OSError) as error:
            log("ends").warning("The input's ends can't be asked for; time stands still meanwhile.", error=error)
            return False
        for place, end in ends.items():
            if place.partition in self.wanted:
                self._readings[place.partition] = Reading(end, asked_ms)
        return True

    async def _ask(self, question: str, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = list(places)
        if not asked:
            return {}
        async with self._lock:
            try:
                async with asyncio.timeout(self.settings.request_timeout_ms / 1000):
                    client = await self._started()
                    answer: dict[TopicPartition, int] = await getattr(client, question)(asked)
            except BaseException:
                await self._discard()
                raise
        return answer

    async def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            self._client = clients.consumer(self.settings, isolation_level="read_uncommitted")
            await self._client.start()
        return self._client

    async def _discard(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await clients.discard_consumer(client)
