"""One partition of the input: fence, restore, run; on any doubt discard everything and start again.

The rule: memory is never more than a copy. Nothing is undone and no outcome of a failed commit is guessed at: the next
fencing settles what became of it, and the state tells where the partition stands. What a person has to decide (a
damaged state, records that are gone) stops the partition with a sentence, and writes nothing.
"""

import asyncio
import gc
import time
from collections import deque
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from worker.core.changelog import Changelog, StateRecordError
from worker.core.engine import Engine
from worker.core.pseudonyms import Pseudonyms
from worker.core.restoring import Restorer
from worker.errors import ShoalError
from worker.kafka import steps
from worker.kafka.beginning import (
    PartitionStopped,
    begin,
    erased_before,
    over_engine,
    over_state,
    over_transaction,
    unless_grown,
    unless_ours,
    where_to_begin,
)
from worker.kafka.context import Context
from worker.kafka.control import Published
from worker.kafka.restore import Takes, restore
from worker.kafka.running import Running
from worker.kafka.steps import Step
from worker.kafka.suspects import EngineFault, Suspects
from worker.kafka.transaction import InDoubt, NoLongerOurs, Transactions
from worker.kafka.unless import unless
from worker.observe.logs import log

__all__ = ["PartitionTask", "Turns", "cause_of"]

BACKOFF_SECONDS_MIN, BACKOFF_SECONDS_MAX = 0.1, 10.0
HEARTBEATS_AFTER_FENCING = 2.5
FENCINGS_MAX, FENCINGS_SECONDS = 3, 60.0  # one that was taken for dead fences once or twice
WAIT_SECONDS = 0.2


class Turns(Protocol):
    """What runs between a restore and the first doubt."""

    committed_at: float

    @property
    def lag_records(self) -> int:
        """How much there is to read."""

    async def turn(self) -> None:
        """Do what there is to do: once."""

    async def end(self) -> None:
        """Commit what the last turns may have left over."""

    async def close(self) -> None:
        """Put away what it holds open, whatever became of it."""

    def known(self) -> dict[str, Any]:
        """Return what it knows of itself, for `shoal status`."""


class PartitionTask:
    """Runs until told to stop; owns the partition's rows and its producer, and shares neither."""

    def __init__(self, context: Context, partition: int, transactional_id: str | None = None) -> None:
        """`transactional_id` is the role's own; None: the partition's."""
        self.context = context
        self.partition = partition
        self.running: Turns | None = None
        self._stopping = asyncio.Event()
        name = transactional_id or context.settings.transactional_id(partition)
        self._transactions = Transactions(context.settings, partition, name)
        self._suspects = Suspects()
        self._failures = 0
        self._fenced_at: deque[float] = deque(maxlen=FENCINGS_MAX)

    def stop(self) -> None:
        """Have it end after the transaction that is under way."""
        self._stopping.set()

    async def run(self) -> None:
        """Fence, restore, run, over and over; returns when told to stop."""
        try:
            while not self._stopping.is_set():
                await self._once()
        finally:
            await self._discard()

    async def _once(self) -> None:
        """One life, and what is done about its end."""
        try:
            await self._live()
        except PartitionStopped as stopped:
            log("partition").error(str(stopped), partition=self.partition)
            self._say("stopped", detail=str(stopped))
            await self._discard()
            await self._stopping.wait()
        except Exception as error:  # noqa: BLE001  whatever it is, the answer is the same
            await self._back_off(error)

    async def _live(self) -> None:
        self.running = await unless(self._stopping, self._made_ready())
        if self.running is None:
            return
        self._say("running")
        begun = self.running.committed_at
        try:
            while not self._transactions.worn_out:
                if not self.context.membership.is_settled:
                    await unless(self._stopping, self.context.membership.settled())
                if self._stopping.is_set():
                    break
                await self.running.turn()
            await self.running.end()
        finally:
            self._failures = 0 if self.running.committed_at > begun else self._failures
        await self._discard()

    async def _made_ready(self) -> Turns:
        """Fence and restore, once the group has settled."""
        await self.context.membership.settled()
        if self._suspects.everything_breaks:
            raise over_engine(self.partition)
        unless_grown(self.context, self.partition)
        self._say("fencing")
        await self._transactions.fence()
        return await self._restored()

    async def _back_off(self, error: Exception) -> None:
        """Discard everything and wait: longer every time in a row, and after a fencing until heartbeats could tell."""
        cause = cause_of(error)
        if isinstance(error, EngineFault) and self._suspects.blame(error):
            self._failures = 0  # it gets nearer to the one
        pause_seconds = min(BACKOFF_SECONDS_MIN * 2.0**self._failures, BACKOFF_SECONDS_MAX)
        self._failures = min(self._failures + 1, 10)
        if cause == "fenced":
            self._note_fencing()
            heartbeat_seconds = self.context.settings.heartbeat_interval_ms / 1000
            pause_seconds = max(pause_seconds, HEARTBEATS_AFTER_FENCING * heartbeat_seconds)
        log("partition").warning(
            "The partition starts again.", partition=self.partition, cause=cause, error=error,
            pause_seconds=pause_seconds, exc_info=cause in ("engine", "unexpected"),
        )  # fmt: skip
        self._say("backing_off", detail=f"{cause}: {type(error).__name__}")
        self.context.metrics.restarted(cause)
        await self._discard()
        await self._rest(pause_seconds)

    def _note_fencing(self) -> None:
        """Tell, if it happens over and over, what it must come from."""
        self._fenced_at.append(time.monotonic())
        if len(self._fenced_at) == FENCINGS_MAX and self._fenced_at[-1] - self._fenced_at[0] < FENCINGS_SECONDS:
            log("partition").error(
                "The partition is fenced over and over: another worker runs under this SHOAL_INSTANCE_ID, or another "
                "deployment, with a SHOAL_GROUP of its own, under this SHOAL_TOPIC_PREFIX; give each its own.",
                partition=self.partition, instance=self.context.settings.instance_id,
            )  # fmt: skip

    async def _rest(self, seconds: float) -> None:
        """Wait, but no longer than until told to stop."""
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stop], timeout=seconds)
        stop.cancel()

    async def _discard(self) -> None:
        running, self.running = self.running, None
        self.context.membership.pause(TopicPartition(self.context.settings.events_topic, self.partition))
        await self._transactions.discard()
        if running is not None:
            await running.close()
            del running
        gc.collect()  # rows, batches and a producer hang on what just failed; collections by count are far apart

    def _say(self, state: str, detail: str = "", progress: float | None = None) -> None:
        self.context.health.partition(self.partition, state, time.monotonic(), detail=detail, progress=progress)
        self.context.metrics.state(self.partition, state)

    # Restore.

    def _progress(self, done: float) -> None:
        self._say("restoring", progress=done)

    def _held_at(self, place: TopicPartition, offset: int) -> None:
        said = over_transaction(place, offset)
        log("partition").error(said, partition=self.partition)
        self._say("restoring", detail=said)

    async def _restored(self) -> Turns:
        """Read the state up to the end that is taken here, after fencing, and go on from its checkpoint."""
        settings, started = self.context.settings, time.monotonic()
        restorer = Restorer(Pseudonyms(settings.pseudonym_keys))
        try:
            await self._read_back("state", restorer)
            found = restorer.finish()
        except StateRecordError as error:
            raise over_state(settings, self.partition, error) from error
        checkpoint = restorer.checkpoint
        if found is None or checkpoint is None:
            running = await self._begun()
        else:
            unless_ours(self.context, self.partition, checkpoint)
            running = self._running(*found, checkpoint.next_offset, checkpoint.commands_offset)
        steps.reached(Step.RESTORED, self.partition)
        seconds = time.monotonic() - started
        self.context.metrics.restored(seconds)
        log("partition").info(
            "The partition runs.", partition=self.partition, offset=running.next_offset,
            users=len(running.engine.users), records=restorer.records, seconds=round(seconds, 3),
        )  # fmt: skip
        return running

    async def _read_back(self, topic: str, taker: Takes) -> None:
        """Have somebody take all that a topic of ours holds. Raises StateRecordError, KafkaError, TimeoutError."""
        place = TopicPartition(self.context.settings.topic(topic), self.partition)
        end = await self.context.ends.end(place.topic, self.partition)
        steps.reached(Step.END_TAKEN, self.partition)
        self._say("restoring", progress=0.0)
        await restore(self.context.settings, place, end, taker, self._progress, lambda at: self._held_at(place, at))

    async def _begun(self) -> Running:
        """Begin a partition that has no state, once there are definitions."""
        offset = await where_to_begin(self.context, self.partition)
        published = await self._published()
        engine, changelog = begin(self.context, published, self.partition, offset, await erased_before(self.context))
        return self._running(engine, changelog, offset, None)

    async def _published(self) -> Published:
        control = self.context.control
        if control.definitions is None:
            said = "waits for definitions: shoal definitions publish"
            log("partition").warning(
                "No definitions are published: shoal definitions publish.", partition=self.partition
            )
            self._say("restoring", detail=said)
        while control.definitions is None:
            await self._rest(WAIT_SECONDS)
            if self._stopping.is_set():
                raise NoLongerOurs
        return control.definitions

    def _running(self, engine: Engine, changelog: Changelog, next_offset: int, commands_offset: int | None) -> Running:
        return Running(
            self.context, self._transactions, self._suspects, engine, changelog, next_offset, commands_offset
        )


def cause_of(error: Exception) -> str:
    """Return the name under which a restart is counted."""
    fenced = (ProducerFenced, InvalidProducerEpoch)
    if isinstance(error, fenced) or isinstance(error.__cause__, fenced):
        return "fenced"
    if isinstance(error, EngineFault):
        return "engine"
    if isinstance(error, NoLongerOurs):
        return "revoked"
    if isinstance(error, InDoubt):
        return "in_doubt"
    if isinstance(error, TimeoutError):
        return "timeout"
    # What our own clients say of brokers that can't be used is a sentence, and no mistake of ours.
    return "kafka" if isinstance(error, KafkaError | ShoalError) else "unexpected"
