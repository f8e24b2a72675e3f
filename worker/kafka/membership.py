"""The consumer group as a partition's task sees it: what is ours, whether that is being changed, where to read.

The rule: nothing is done in a rebalance listener but noting it, pausing and a seek that keeps aiokafka from asking for
an offset of its own, all before anything is awaited: no heartbeats are sent while `on_partitions_assigned` runs. Only a
revocation waits, for transactions under way, and not for long. Partitions that stay keep rows and producers; fencing
makes that safe, group membership only gives liveness.
"""

import asyncio
from collections.abc import Iterable

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from worker.kafka import clients
from worker.observe.health import Health
from worker.observe.metrics import Metrics
from worker.settings import Settings

__all__ = ["METADATA_AGE_MS", "Membership"]

START_SECONDS_MAX = 60.0
FETCH_BYTES = 8 * 1024 * 1024
METADATA_AGE_MS = 30_000  # so long an input may have grown before it is noticed
# aiokafka leaves a group when nobody has polled for five minutes, as while all partitions wait for definitions, or read
# their state; and it comes back when somebody polls, who would wait for that. What is stuck is the watchdog's business.
NEVER_MS = 1 << 53


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer in the group, from its start to its end."""

    def __init__(self, settings: Settings, metrics: Metrics, health: Health) -> None:
        self.settings = settings
        self.owned: frozenset[int] = frozenset()
        self.generation = 0
        self.changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._metrics, self._health = metrics, health
        self._transactions: dict[int, asyncio.Lock] = {}
        self.consumer = clients.consumer(
            settings, group_id=settings.group, group_instance_id=settings.instance_id,
            session_timeout_ms=settings.session_timeout_ms, heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms, max_partition_fetch_bytes=FETCH_BYTES,
            metadata_max_age_ms=METADATA_AGE_MS,
            max_poll_interval_ms=NEVER_MS,
            # One alone: aiokafka sends a JoinGroup for every assignor in the list.
            partition_assignment_strategy=(StickyPartitionAssignor,),
        )  # fmt: skip

    async def start(self) -> None:
        """Join the group. Raises KafkaError, TimeoutError."""
        self.consumer.subscribe([self.settings.events_topic], listener=self)
        async with asyncio.timeout(START_SECONDS_MAX):
            await self.consumer.start()

    async def stop(self) -> None:
        """Leave it."""
        self.owned = frozenset()
        self._settled.set()
        await clients.discard_consumer(self.consumer)

    def check(self) -> None:
        """Raise what went wrong in the group's background work, which is otherwise told to readers only."""
        self.consumer._coordinator.check_errors()  # noqa: SLF001  aiokafka has no other way to ask

    def lock(self, partition: int) -> asyncio.Lock:
        """Held while a transaction of the partition is under way."""
        return self._transactions.setdefault(partition, asyncio.Lock())

    @property
    def is_settled(self) -> bool:
        """Whether no rebalance is under way."""
        return self._settled.is_set()

    async def settled(self) -> None:
        """Wait while a rebalance is under way."""
        await self._settled.wait()

    def resume(self, place: TopicPartition, offset: int) -> bool:
        """Read a partition from an offset on; False if it isn't ours just now."""
        if not self._settled.is_set() or place not in self.consumer.assignment():
            return False
        self.consumer.seek(place, offset)
        self.consumer.resume(place)
        return True

    def position(self, place: TopicPartition) -> int | None:
        """The next offset that will be read, beyond markers too; None if the partition isn't ours just now."""
        state = self.consumer._subscription.subscription  # noqa: SLF001  `position()` would wait for an assignment
        assignment = state.assignment if state is not None else None
        known = assignment.state_value(place) if assignment is not None and place in assignment.tps else None
        return known.position if known is not None and known.has_valid_position else None

    @property
    def input_partitions(self) -> int | None:
        """How many partitions the input has, as far as this consumer knows; None if it doesn't."""
        known: set[int] | None = self.consumer.partitions_for_topic(self.settings.events_topic)
        return len(known) if known else None

    def pause(self, place: TopicPartition) -> None:
        """Fetch nothing of a partition for now."""
        if place in self.consumer.assignment():
            self.consumer.pause(place)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Note that a rebalance begins, and let transactions under way end."""
        del revoked
        self._settled.clear()
        self.generation += 1
        under_way = [lock for lock in self._transactions.values() if lock.locked()]
        if under_way:
            waits = [asyncio.create_task(_until_free(lock)) for lock in under_way]
            _, late = await asyncio.wait(waits, timeout=self.settings.commit_deadline_ms / 1000)
            for wait in late:
                wait.cancel()
        self.owned = frozenset()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over what is ours now; every partition waits for its task to say where it reads."""
        places = list(assigned)
        for place in places:
            self.consumer.pause(place)
            self.consumer.seek(place, 0)
        self.generation += 1
        self.owned = frozenset(place.partition for place in places)
        self._settled.set()
        self.changed.set()
        self._metrics.rebalanced()
        self._health.joined(True)


async def _until_free(lock: asyncio.Lock) -> None:
    async with lock:
        pass
