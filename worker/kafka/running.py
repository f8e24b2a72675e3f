"""A restored partition at work, turn by turn: read, step, commit.

The rule: a turn is one transaction or none. What the engine did in memory counts only when it is committed; if that
fails the whole of it is thrown away with the engine, and only the commit moves the next offset.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from worker.core.changelog import Changelog, Point
from worker.core.effects import iso
from worker.core.engine import Engine
from worker.core.records import Effects
from worker.kafka import steps
from worker.kafka.beginning import over_gap, over_timestamps, unless_grown
from worker.kafka.committing import commit
from worker.kafka.context import Context
from worker.kafka.outbox import Outbox
from worker.kafka.points import Points, Turn
from worker.kafka.standing import LOG_APPEND_TIME, Sight
from worker.kafka.steps import Step
from worker.kafka.suspects import EngineFault, Records, Suspects
from worker.kafka.transaction import Transactions
from worker.observe.logs import log

__all__ = ["Running"]

WAIT_MS = 250
MORE_MS = 5
WALL_BEHIND_MS = 1_000
SHOW_SECONDS = 0.5


class Running:
    """The engine of one partition, between a restore and the first doubt."""

    def __init__(self, context: Context, transactions: Transactions, suspects: Suspects, engine: Engine,
                 changelog: Changelog, next_offset: int, commands_offset: int | None) -> None:  # fmt: skip
        self.context = context
        self.settings = context.settings
        self.engine = engine
        self.changelog = changelog
        self.next_offset = next_offset
        self.committed_at = time.monotonic()
        self.place = TopicPartition(self.settings.events_topic, engine.partition)
        self._transactions = transactions
        self._suspects = suspects
        self._generation: int | None = None
        self._sight = Sight(context, self.place)
        self._shown_at = 0.0
        self._members = Counter(engine.members())
        self._points = Points(self.settings, context.control, engine, changelog, commands_offset)
        engine.grace_ms = self.settings.grace_ms

    async def end(self) -> None:
        """Nothing is left over: a turn has committed what it did."""

    async def close(self) -> None:
        """Nothing is held open: the consumer is the process's, and the producer the task's."""

    async def turn(self) -> None:
        """Do what there is to do: once."""
        membership = self.context.membership
        if not self._is_positioned():
            await asyncio.sleep(WAIT_MS / 1000)
            return
        records = await self._read()
        if self._generation != membership.generation:
            return  # what came may be another's by now; after the rebalance it is read again
        steps.reached(Step.READ, self.place.partition)
        turn, next_offset = self._step(records)
        steps.reached(Step.STEPPED, self.place.partition)
        if turn.has_news or next_offset != self.next_offset:
            await self._commit(turn, records, next_offset)
        if time.monotonic() - self._shown_at >= SHOW_SECONDS:
            self._show()

    def _is_positioned(self) -> bool:
        """Go to the next offset after every assignment, which made positions of its own."""
        membership = self.context.membership
        if self._generation != membership.generation and membership.resume(self.place, self.next_offset):
            unless_grown(self.context, self.place.partition)
            self._generation = membership.generation
        return self._generation == membership.generation

    async def _read(self) -> Records:
        """Read records, not sooner after the last commit than the coordinator is ready for another transaction."""
        await asyncio.sleep(self._committed_lately_seconds())
        wait_ms = 0 if self.engine.backlog or self.engine.overdue else WAIT_MS
        most = self._suspects.records_max(self.settings.batch_records_max)
        try:
            records = await self._fetched(wait_ms, most)
            if 0 < len(records) < most:
                # What came had been fetched ahead, during the last transaction; this is what has arrived since.
                records = [*records, *await self._fetched(MORE_MS, most - len(records))]
        except OffsetOutOfRangeError:
            await self._after_a_gap()
            return ()
        if records:
            assert records[0].offset >= self.next_offset, "the consumer went back"
            kinds = {records[0].timestamp_type, records[-1].timestamp_type}
            if self.engine.clock == "wall" and kinds != {LOG_APPEND_TIME}:
                raise over_timestamps(self.place, records[0].offset)
        return records

    async def _fetched(self, wait_ms: int, most: int) -> Records:
        consumer = self.context.membership.consumer
        found: dict[TopicPartition, Records] = await consumer.getmany(self.place, timeout_ms=wait_ms, max_records=most)
        return found.get(self.place, ())

    def _committed_lately_seconds(self) -> float:
        return max(0.0, self.committed_at + self.settings.commit_interval_ms / 1000 - time.monotonic())

    async def _after_a_gap(self) -> None:
        """Go on after records that are gone, if somebody said that they may be; else raise PartitionStopped."""
        first = await self.context.ends.beginning(self.place.topic, self.place.partition)
        if not self.settings.accept_lost_records or first <= self.next_offset:
            raise over_gap(self.place, self.next_offset, first)
        log("partition").error(
            "Records were deleted unread, and are left out as SHOAL_ACCEPT_LOST_RECORDS says.",
            partition=self.place.partition, records=first - self.next_offset, offset=first,
        )  # fmt: skip
        self.next_offset = first
        self._generation = None

    # Step.

    def _step(self, records: Records) -> tuple[Turn, int]:
        """What the engine makes of points, records and passing time, and the offset after them."""
        turn = Turn(Effects(), [])
        wall_ms = self.context.wall.now_ms()
        try:
            self._points.apply(
                turn,
                self.next_offset,
                self.settings.slice_users_max,
                wall_ms=wall_ms,
                read_up_to_ms=None if records else self._read_up_to_ms(),  # these aren't stepped yet
            )
            if records:
                turn.effects.add(self._suspects.step(self.engine, records, wall_ms, self.settings.slice_users_max))
            else:
                self._follow_the_wall(turn, wall_ms)
            self._work_off(turn, wall_ms)
        except Exception as error:
            raise EngineFault(records, error) from error
        return turn, records[-1].offset + 1 if records else self.next_offset

    def _read_up_to_ms(self) -> int | None:
        """Up to when, by the wall, everything that was written has been read; None: something is unread."""
        reading = self.context.ends.reading(self.place.partition)
        position = self.context.membership.position(self.place)
        return reading.asked_ms if reading and position is not None and position >= reading.end else None

    def _follow_the_wall(self, turn: Turn, wall_ms: int) -> None:
        """Let time pass without a record, but only while nothing is unread."""
        read_up_to_ms = self._read_up_to_ms()
        if self.engine.clock == "wall" and read_up_to_ms is not None and self.engine.rows.count:
            clock_ms = read_up_to_ms - WALL_BEHIND_MS
            slice_users = self.settings.slice_users_max
            passed = self.engine.advance(clock_ms, wall_ms=wall_ms, due_rows_max=slice_users)
            if passed.forgotten:  # when is the wall's doing, which no record tells
                self.changelog.point(Point("day", self.next_offset, self.engine.clock_ms))
            turn.effects.add(passed)

    def _work_off(self, turn: Turn, wall_ms: int) -> None:
        """A slice of what a storm or a version has left over."""
        if self.engine.overdue:
            turn.effects.add(self.engine.catch_up(self.settings.slice_users_max, wall_ms=wall_ms))
            turn.changed = True
        if self.engine.backlog:
            turn.effects.add(self.engine.work(self.settings.slice_users_max, wall_ms=wall_ms))
            turn.changed = True

    # Commit.

    async def _commit(self, turn: Turn, records: Records, next_offset: int) -> None:
        outbox = self._outbox(turn, records, next_offset)
        offsets = {self.place: OffsetAndMetadata(next_offset, f"partitions={self.context.partitions}")}
        started = time.monotonic()
        await commit(self.context, self._transactions, outbox, offsets)
        self.committed_at = time.monotonic()
        self.next_offset = next_offset
        self._suspects.passed(next_offset)
        self._count(turn.effects, records, self.committed_at - started)
        self._transactions.assert_no_doubt()

    def _outbox(self, turn: Turn, records: Records, next_offset: int) -> Outbox:
        outbox = Outbox(self.settings.topic_prefix)
        letters = turn.effects.dead_letters
        keyless = turn.effects.keyless
        keys = {record.offset: record.key for record in records if record.offset not in keyless} if letters else {}
        outbox.take(turn.effects, keys)
        outbox.take_tombstones("memberships", (user_id.encode() for user_id in turn.effects.forgotten))
        moved, slots = {transition.user_id for transition in turn.effects.transitions}, self.engine.users.slots
        outbox.take_memberships(
            self.engine.memberships(sorted(slots[user_id] for user_id in moved if user_id in slots))
        )
        for answer in turn.answers:
            outbox.take_answer(answer)
        for receipt in turn.receipts:
            outbox.take_receipt(receipt)
        outbox.take_state(self.changelog.records(next_offset, self._points.commands_offset))
        return outbox

    # What is seen of it.

    def _count(self, effects: Effects, records: Records, seconds: float) -> None:
        wall_ms = self.context.wall.now_ms()
        self._sight.committed(records[-1] if records else None, wall_ms)
        for transition in effects.transitions:
            self._members[transition.segment] += 1 if transition.direction == "entered" else -1
        arrivals_ms: Sequence[int] = [record.timestamp for record in records]
        live = self.engine.clock == "wall"
        self.context.metrics.committed(
            effects, arrivals_ms, seconds=seconds, wall_ms=wall_ms,
            grace_ms=self.engine.grace_ms if live else None,
        )  # fmt: skip

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        standing = self._sight.standing(self.engine, self._held(), self.next_offset)
        campaigns = [campaign.id for campaign in self.engine.version.checked.definitions.campaigns]
        self.context.metrics.stands(self.place.partition, standing, campaigns)

    def _held(self) -> dict[str, int]:
        """Users by segment: of those of the version in force all, of earlier ones those that somebody is yet to leave.

        Of clusters nobody has a list: all that were seen.
        """
        segments = self.engine.version.checked.definitions.segments
        clusters = {segment.id for segment in segments if segment.clusters}
        listed = [name for segment in segments if not segment.clusters for name in segment.member_ids]
        seen = {name: count for name, count in self._members.items() if count or name.partition(":")[0] in clusters}
        return dict.fromkeys(listed, 0) | seen

    @property
    def lag_records(self) -> int:
        """How many offsets lie between the next record and the input's end."""
        return self._sight.lag_records()

    def known(self) -> dict[str, Any]:
        """What the partition knows of itself, for `shoal status`."""
        engine = self.engine
        return {
            "next_offset": self.next_offset, "lag_records": self.lag_records,
            "clock": None if engine.clock_ms is None else iso(engine.clock_ms), "users": len(engine.users),
            "members": self._held(), "definitions": engine.version.definition,
            "model": engine.version.model.label if engine.version.model else None, "backlog_users": engine.backlog,
            "paused": sorted(engine.braked),
        }  # fmt: skip
