"""What a worker under test may be made to leave out: each defence, so that a test shows what it is there for; and
where it may be made to wait, so that a test can bring about what is rare.

    hold_*   wait there until the test releases the process: before a fencing, before a restore, after the sends of a
             transaction, before it gets records (as if the brokers were slow)
    clock    the host's clock is set by the test
    others   the defence of that name is left out; or the release lays rows out otherwise, or revokes without waiting

The rule: a function each, that patches one place of the worker; what is left out is nothing but what its name says.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from worker.core.layout import Layout
from worker.core.records import Effects
from worker.kafka import partition, restore, transaction
from worker.kafka.membership import Membership
from worker.kafka.partition import PartitionTask, Turns
from worker.kafka.running import Running
from worker.kafka.transaction import Transactions
from worker.observe.metrics import Metrics

__all__ = ["HARM"]

Mark = Callable[[dict[str, object]], None]
POLL_SECONDS = 0.02


def _replace(owner: Any, name: str, made: Any) -> None:
    """Patch a place of the worker: `setattr`, as mypy has a say about every other way."""
    setattr(owner, name, made)


def _is_released() -> bool:
    return Path(os.environ["SHOAL_TEST_RELEASE"]).exists()


async def _until_released(mark: Mark, name: str, number: int | None = None) -> None:
    if not _is_released():
        mark({"what": name, "partition": number})
        while not _is_released():  # noqa: ASYNC110  another process says when
            await asyncio.sleep(POLL_SECONDS)


def _hold_fence(mark: Mark) -> None:
    fence = Transactions.fence

    async def held(self: Transactions) -> None:
        await _until_released(mark, "hold_fence", self.partition)
        await fence(self)

    _replace(Transactions, "fence", held)


def _hold_restore(mark: Mark) -> None:
    original = restore.restore

    async def held(*arguments: Any) -> Any:
        await _until_released(mark, "hold_restore", arguments[1].partition)
        return await original(*arguments)

    _replace(partition, "restore", held)


def _hold_sends(mark: Mark) -> None:
    original = transaction._all_of

    async def held(sends: Any) -> None:
        await original(sends)
        await _until_released(mark, "hold_sends")

    _replace(transaction, "_all_of", held)


def _hold_fetch(mark: Mark) -> None:
    original = AIOKafkaConsumer.getmany

    async def held(self: AIOKafkaConsumer, *places: Any, timeout_ms: int = 0, **options: Any) -> Any:
        in_a_group = self._group_id is not None
        if in_a_group and places and not _is_released():
            mark({"what": "hold_fetch", "partition": places[0].partition})
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        return await original(self, *places, timeout_ms=timeout_ms, **options)

    _replace(AIOKafkaConsumer, "getmany", held)


def _clock(mark: Mark) -> None:
    """The host's clock is off by as many ms as a file says."""
    original, file, offset_ms = time.time_ns, Path(os.environ["SHOAL_TEST_CLOCK"]), [0]

    def set_by_test() -> int:
        if file.exists() and int(file.read_text()) != offset_ms[0]:
            offset_ms[0] = int(file.read_text())
            mark({"what": "clock", "offset_ms": offset_ms[0]})
        return original() + offset_ms[0] * 1_000_000

    _replace(time, "time_ns", set_by_test)


def _other_layout(_: Mark) -> None:
    lay_out = Layout.of
    _replace(Layout, "of", lambda wanted: lay_out(reversed(list(wanted))))


def _await_sends(_: Mark) -> None:
    async def at_once(sends: Any) -> None:
        del sends

    _replace(transaction, "_all_of", at_once)


def _fence_first(_: Mark) -> None:
    """The end of the state is taken, and what is before it read, ahead of the fencing."""
    fence, restored = Transactions.fence, PartitionTask._restored

    async def later(self: Transactions) -> None:
        del self

    async def early(self: PartitionTask) -> Turns:
        running = await restored(self)
        await fence(self._transactions)
        return running

    _replace(Transactions, "fence", later)
    _replace(PartitionTask, "_restored", early)


def _position(_: Mark) -> None:
    """The end of the state is reached when its last record is read."""

    async def read_to(self: Any, end: int, *_: Any) -> None:
        next_offset = 0
        while next_offset < end:
            found = await self.reading.getmany(self.place, timeout_ms=restore.WAIT_MS)
            for record in found.get(self.place, ()):
                self.taker.take(record.key, record.value)
                next_offset = record.offset + 1

    _replace(restore._Reader, "read_to", read_to)


def _recycle(_: Mark) -> None:
    """After doubt the producer aborts what it has open, and goes on."""
    fence = Transactions.fence

    async def fence_once(self: Transactions) -> None:
        if self._producer is None:
            await fence(self)
        self._unanswered = False

    async def abort(self: Transactions) -> None:
        if self._producer is not None:
            with suppress(Exception):  # with nothing open it refuses to
                await self._producer.abort_transaction()

    _replace(Transactions, "fence", fence_once)
    _replace(Transactions, "discard", abort)


def _ownership(_: Mark) -> None:
    commit = Transactions.commit

    async def anyway(self: Transactions, outbox: Any, offsets: Any, ours: Any) -> None:
        del ours
        await commit(self, outbox, offsets, lambda: True)

    _replace(Transactions, "commit", anyway)


def _wait_at_revocation(_: Mark) -> None:
    async def at_once(self: Membership, revoked: Any) -> None:
        del revoked
        self._settled.clear()
        self.generation += 1
        self.owned = frozenset()

    _replace(Membership, "on_partitions_revoked", at_once)


def _live_clock(_: Mark) -> None:
    """Time follows the wall whatever is unread."""
    _replace(Running, "_read_up_to_ms", lambda self: self.context.wall.now_ms())


def _miscount(mark: Mark) -> None:
    """Count one record of each commit twice, as a mistake would."""
    count = Metrics._count_what_was_read

    def wrong(self: Metrics, effects: Effects, read: int) -> None:
        count(self, effects, read)
        if read:
            mark({"what": "miscount"})
            self._records.add("applied")

    _replace(Metrics, "_count_what_was_read", wrong)


HARM: Mapping[str, Callable[[Mark], None]] = {
    "hold_fence": _hold_fence,
    "hold_restore": _hold_restore,
    "hold_sends": _hold_sends,
    "hold_fetch": _hold_fetch,
    "clock": _clock,
    "other_layout": _other_layout,
    "await_sends": _await_sends,
    "fence_first": _fence_first,
    "position": _position,
    "recycle": _recycle,
    "ownership": _ownership,
    "wait_at_revocation": _wait_at_revocation,
    "live_clock": _live_clock,
    "miscount": _miscount,
}
