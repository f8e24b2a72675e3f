"""One partition's transactional producer: fence with it, commit with it, throw it away on any doubt.

The order of a commit, numbered as in `steps.py`:

    B3  begin
    B4  send: every topic's records as prepared batches, to the partition's number, or to the only partition there is
    B5  wait for every send; one that failed ends it (aiokafka would commit all the same)
    B6  the group's copy of the offset, with a note beside it
    B7  still ours? A revoked partition commits nothing
    B8  commit

All of it under one deadline. A commit that failed or timed out is neither retried nor aborted: who fences next finds
out what became of it. After an authorisation error `abort_transaction()` sends nothing, and the next commit of the same
producer would publish the aborted records; so it is never called, and no producer lives on after an error.

Nor does one with a request that got no answer, though aiokafka asked again and the commit went through: the first
may be on its way still, and would end the next transaction in the middle (KAFKA-17754).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    InvalidTxnState,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
)

from schemas.topics import BY_NAME
from worker.kafka import clients, steps
from worker.kafka.outbox import Outbox, Outgoing
from worker.kafka.steps import Step
from worker.settings import Settings

__all__ = ["InDoubt", "NoLongerOurs", "Offsets", "TooLarge", "Transactions"]

Offsets = Mapping[TopicPartition, OffsetAndMetadata]
Sends = list[tuple[str, asyncio.Future[object]]]  # topics and what will be acknowledged
FENCE_SECONDS_MAX = 60.0
# aiokafka's sequence numbers wrap to a negative one, which brokers refuse: long before, a new producer begins at 0.
RECORDS_PER_PRODUCER_MAX = 1 << 30


class NoLongerOurs(Exception):  # noqa: N818  a verdict, no error
    """The partition was revoked while a transaction was under way."""


class InDoubt(Exception):  # noqa: N818  as above
    """A commit went through, but a request before it got no answer, and may arrive yet."""


class TooLarge(Exception):  # noqa: N818  a verdict, no error
    """A topic, which is the argument, takes less at once than a worker writes."""


class Transactions:
    """Commits of one partition, under an id of its own; the producer is made anew with every fencing."""

    def __init__(self, settings: Settings, partition: int, transactional_id: str) -> None:
        self.settings = settings
        self.partition = partition
        self._id = transactional_id
        self._producer: AIOKafkaProducer | None = None
        self._records = 0
        self._unanswered = False

    async def fence(self) -> None:
        """Start a producer of this partition's id: any other, and its open transaction, is done for (F1)."""
        await self.discard()
        self._producer = clients.producer(self.settings, self._id)
        self._records = 0
        async with asyncio.timeout(FENCE_SECONDS_MAX):
            try:
                await self._producer.start()
            except (
                AssertionError
            ) as error:  # a broker that is starting itself answers without naming any, itself included
                raise NodeNotReadyError(str(error)) from None
        self._unanswered = False
        self._watch(self._producer.client)
        steps.reached(Step.FENCED, self.partition)

    def _watch(self, client: Any) -> None:
        """Note every request that fails; aiokafka repeats them without a word."""
        send = client.send

        async def watched(*arguments: Any, **options: Any) -> Any:
            try:
                return await send(*arguments, **options)
            except KafkaError:
                self._unanswered = True
                raise

        client.send = watched

    def assert_no_doubt(self) -> None:
        """Raise InDoubt if this producer must not begin another transaction."""
        if self._unanswered:
            raise InDoubt

    @property
    def worn_out(self) -> bool:
        """Whether the producer has sent so much that the next one should take over."""
        return self._records > RECORDS_PER_PRODUCER_MAX

    async def commit(self, outbox: Outbox, offsets: Offsets, ours: Callable[[], bool]) -> None:
        """Commit everything in the outbox and the group's offsets, or raise: then nobody knows, and all begins anew.

        Raises NoLongerOurs, TooLarge, KafkaError, TimeoutError.
        """
        assert self._producer is not None, "fence first"
        producer, partition = self._producer, self.partition
        async with asyncio.timeout(self.settings.commit_deadline_ms / 1000):
            await producer.begin_transaction()
            steps.reached(Step.BEGUN, partition)
            sends = await self._send_all(producer, outbox)
            steps.reached(Step.SENT, partition)
            await _all_of(sends)
            steps.reached(Step.ACKNOWLEDGED, partition)
            await producer.send_offsets_to_transaction(offsets, self.settings.group)
            steps.reached(Step.OFFSETS, partition)
            if not ours():
                raise NoLongerOurs
            steps.reached(Step.OURS, partition)
            await producer.commit_transaction()
        steps.reached(Step.COMMITTED, partition)

    async def _send_all(self, producer: AIOKafkaProducer, outbox: Outbox) -> Sends:
        sends: Sends = []
        try:
            for name, batch in self._batches(producer, outbox):
                topic, partition = self.settings.topic(name), 0 if BY_NAME[name].partitions == "one" else self.partition
                sends.append((topic, await producer.send_batch(batch, topic, partition=partition)))
        except IllegalOperation:
            await _all_of(sends)  # the transaction broke between two sends: what broke it, an earlier one says
            raise
        return sends

    def _batches(self, producer: AIOKafkaProducer, outbox: Outbox) -> Iterator[tuple[str, object]]:
        for name, records in outbox.records.items():
            self._records += len(records)
            for batch in _prepared(producer, records):
                yield name, batch

    async def discard(self) -> None:
        """Put the producer away; what it had open is aborted by the next fencing, or by the broker's timeout."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await clients.discard(producer)


def _prepared(producer: AIOKafkaProducer, records: list[Outgoing]) -> Iterator[object]:
    """The records in as few batches as their size allows."""
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(key=key, value=value, headers=headers, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, headers=headers, timestamp=None)
    yield batch


async def _all_of(sends: Sends) -> None:
    """Wait for every send; raise the first error after all of them are read, so that none is left unseen.

    One that only followed from another's, as aiokafka sends on when the transaction is refused a topic, comes last.
    """
    results = await asyncio.gather(*(sent for _, sent in sends), return_exceptions=True)
    failed = [(topic, error) for (topic, _), error in zip(sends, results, strict=True) if isinstance(error, Exception)]
    for topic, error in sorted(failed, key=lambda failure: isinstance(failure[1], InvalidTxnState)):
        if isinstance(error, MessageSizeTooLargeError):
            raise TooLarge(topic) from error
        raise error if isinstance(error, KafkaError) else KafkaError(repr(error))
