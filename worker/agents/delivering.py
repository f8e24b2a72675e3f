"""A partition's sinks at work between a restore and the first doubt: read, deliver, commit what is through.

The rule: an offset moves when everything before it has an outcome, in the transaction that writes dead letters and
audience events. How much is read ahead is bounded; while an endpoint doesn't answer nothing more is read, and the
topics keep it. What somebody has asked a sink to deliver again is through in the same way: the command up to which all
is done is noted with the offset of the topic that the sink reads.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, OffsetAndMetadata, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.control import EraseCommand, RedeliverCommand
from worker.core.timestamps import instant_ms
from worker.kafka import clients
from worker.kafka.committing import commit
from worker.kafka.context import Context
from worker.kafka.control import COMMANDS
from worker.kafka.gaps import leave_gaps
from worker.kafka.offsets import Committed
from worker.kafka.originals import Place, originals
from worker.kafka.outbox import Outbox
from worker.kafka.transaction import Transactions
from worker.observe.logs import log
from worker.observe.sinks import SinkMetrics
from worker.sinks.lane import Lane
from worker.sinks.parcels import Outcome, Received, Sink

__all__ = ["CLOSE_SECONDS_MAX", "RENEW_SECONDS", "Delivering"]

WAIT_MS = 200
COMMIT_SECONDS = 0.5
RENEW_SECONDS = 86_400.0  # brokers drop what a group hasn't committed for a week, of topics it doesn't subscribe to
GAP = "Records were deleted before they were delivered; what is left is delivered."
NOTE = "commands="  # with an offset: whatever is asked before is through
CLOSE_SECONDS_MAX = 8.0  # for requests under way when the partition is given up


class Delivering:
    """What is on its way from one partition, and how it gets further."""

    def __init__(self, context: Context, partition: int, metrics: SinkMetrics, transactions: Transactions) -> None:
        self.context, self.partition, self.metrics = context, partition, metrics
        self.settings = context.settings
        self.committed_at = time.monotonic()
        self._transactions = transactions
        self._consumer: AIOKafkaConsumer = clients.consumer(self.settings)
        self._lanes: Mapping[TopicPartition, Lane] = {}
        self._through: list[tuple[str, Outcome]] = []  # since the last commit, with the sink's name
        self._again: Mapping[str, Lane] = {}  # by sink: requests to deliver again
        self._again_from: dict[str, int] = {}  # by sink: the first command that may be such a request, not yet taken
        self._first_new = 0  # the first command that has come since
        self._saved: dict[TopicPartition, OffsetAndMetadata] = {}
        self._renewed_at = -float("inf")
        self._erased_ms: dict[str, int] = {}
        self._commands_seen = 0

    @property
    def lag_records(self) -> int:
        """Nothing that a restart of the process would help with: deliveries wait for endpoints, and say so."""
        return 0

    def known(self) -> dict[str, Any]:
        """What it knows of itself, for `shoal status`: why it delivers nothing, if so."""
        troubles = [f"{sink.name}: {sink.trouble}" for sink in self._sinks if sink.trouble]
        return {"sinks": [sink.name for sink in self._sinks]} | ({"detail": "; ".join(troubles)} if troubles else {})

    @property
    def _sinks(self) -> list[Sink]:
        return [lane.sink for lane in self._lanes.values()]

    def is_erased(self, user_id: str, timestamp_ms: int) -> bool:
        """Whether a user was erased after a record about her was written."""
        return timestamp_ms < self._erased_ms.get(user_id, 0)

    async def begin(self, lanes: Mapping[TopicPartition, Lane], again: Mapping[str, Lane],
                    known: Mapping[TopicPartition, Committed]) -> None:  # fmt: skip
        """Begin where the group's offsets say, or where the settings do. Raises KafkaError, TimeoutError."""
        self._lanes, self._again = lanes, again
        self._saved = {place: OffsetAndMetadata(copy.offset, copy.note) for place, copy in known.items()}
        self._first_new = self.context.control.next_offset[COMMANDS]
        for place, lane in lanes.items():
            note = known[place].note if place in known else ""
            noted = note.startswith(NOTE)
            self._again_from[lane.sink.name] = int(note.removeprefix(NOTE)) if noted else self._first_new
        async with asyncio.timeout(2 * self.settings.request_timeout_ms / 1000):
            await self._consumer.start()
            places = list(lanes)
            self._consumer.assign(places)
            earliest = self.settings.start == "earliest"
            first = await (self._consumer.beginning_offsets if earliest else self._consumer.end_offsets)(places)
        for place in places:
            self._consumer.seek(place, known[place].offset if place in known else first[place])

    async def turn(self) -> None:
        """Do what there is to do: once."""
        self._take_commands()
        await self._read()
        self._take_through()
        if time.monotonic() - self.committed_at >= COMMIT_SECONDS:
            await self._commit()
        self._show()

    async def end(self) -> None:
        """Let requests under way end, and commit what is through."""
        async with asyncio.TaskGroup() as closing:
            for lane in self._all_lanes:
                closing.create_task(lane.close(CLOSE_SECONDS_MAX))
        self._take_through()
        if self.partition in self.context.membership.owned:
            await self._commit()

    async def close(self) -> None:
        """Give up what is on its way, and put the consumer away."""
        for lane in self._all_lanes:
            await lane.close(0)
        self.metrics.forget(self.partition)
        await clients.discard_consumer(self._consumer)

    @property
    def _all_lanes(self) -> list[Lane]:
        return [*self._lanes.values(), *self._again.values()]

    def _take_through(self) -> None:
        for lane in self._all_lanes:
            self._through += [(lane.sink.name, outcome) for outcome in lane.through()]

    def _take_commands(self) -> None:
        """Take note of who is erased: nothing written about her before is delivered any more; and of requests."""
        for issued in self.context.control.since(self._commands_seen):
            self._commands_seen = issued.offset + 1
            match issued.command:
                case EraseCommand(user_id=user_id, requested_at=requested_at):
                    self._erased_ms[user_id] = instant_ms(requested_at)
                case RedeliverCommand(partition=self.partition):
                    self._take_request(issued.offset, issued.command)

    def _take_request(self, offset: int, command: RedeliverCommand) -> None:
        """Have records delivered again, unless that was done in an earlier life."""
        sink, wanted = command.sink, msgspec.json.encode(command.offsets)
        if sink not in self._again:
            if offset >= self._first_new:
                log("sinks").warning("A sink that isn't configured was to deliver again.", sink=sink)
            return
        if offset >= self._again_from[sink]:
            self._again_from[sink] = offset + 1
            at_ms = instant_ms(command.requested_at)
            self._again[sink].take([Received(COMMANDS, self.partition, offset, at_ms, b"", wanted)])

    async def lookup(self, topic: str, partition: int, offsets: Sequence[int]) -> dict[int, Received]:
        """Return those of the records of a topic of the table that are still there, by offset."""
        named = TopicPartition(self.settings.topic(topic), partition)
        async with clients.reader(self.settings) as reading:
            found = await originals(reading, [Place(named, offset) for offset in offsets])
        return {place.offset: _received(topic, record) for place, record in found.items()}

    async def _read(self) -> None:
        """Take what has come, where there is room; else wait a moment."""
        room = {place: lane.room for place, lane in self._lanes.items() if lane.room > 0}
        if not room:
            await asyncio.sleep(WAIT_MS / 1000)
            return
        try:
            found = await self._consumer.getmany(*room, timeout_ms=WAIT_MS, max_records=min(room.values()))
        except OffsetOutOfRangeError:
            await leave_gaps(self._consumer, "sinks", GAP)
            return
        for place, records in found.items():
            lane = self._lanes[place]
            lane.take([_received(lane.sink.topic, record) for record in records])

    async def _commit(self) -> None:
        copies = await self._offsets()
        if copies == self._saved and time.monotonic() - self._renewed_at < RENEW_SECONDS:
            self.committed_at = time.monotonic()
            return
        outbox = self._outbox([outcome for _, outcome in self._through])
        await commit(self.context, self._transactions, outbox, copies)
        self.committed_at = self._renewed_at = time.monotonic()
        self._saved = copies
        self.metrics.settled((sink, outcome.result) for sink, outcome in self._through)
        self._through = []
        self._transactions.assert_no_doubt()

    async def _offsets(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """Return up to where everything has an outcome: in each topic, and among its sink's requests to do it again."""
        return {
            place: OffsetAndMetadata(await self._offset(place, lane), f"{NOTE}{self._asked_up_to(lane.sink.name)}")
            for place, lane in self._lanes.items()
        }

    def _asked_up_to(self, sink: str) -> int:
        oldest = self._again[sink].oldest
        return self._again_from[sink] if oldest is None else oldest.offset

    async def _offset(self, place: TopicPartition, lane: Lane) -> int:
        """The next offset that has no outcome yet; with none under way where the consumer is, beyond markers."""
        oldest = lane.oldest
        return oldest.offset if oldest is not None else int(await self._consumer.position(place))

    def _outbox(self, outcomes: Sequence[Outcome]) -> Outbox:
        outbox = Outbox(self.settings.topic_prefix)
        outbox.take_audience_events((outcome.key, outcome.event) for outcome in outcomes if outcome.event is not None)
        outbox.take_sink_dead_letters(outcome.letter for outcome in outcomes if outcome.letter is not None)
        return outbox

    def _show(self) -> None:
        """Say since when each sink's oldest record waits."""
        now_ms = time.time_ns() // 1_000_000
        for lane in self._lanes.values():
            oldest = lane.oldest
            waits = 0.0 if oldest is None else max(0, now_ms - oldest.timestamp_ms) / 1000
            self.metrics.oldest(self.partition, lane.sink.name, waits)


def _received(topic: str, record: ConsumerRecord) -> Received:
    return Received(topic, record.partition, record.offset, record.timestamp, record.key or b"", record.value or b"")
