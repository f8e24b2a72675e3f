"""The hot path of a worker: a member of the group, a task for every partition that is ours.

The rule: a partition's trouble is its own task's; trouble with the group is answered by a new consumer, after every
task has put its producer away. Nothing here ends the process but the watchdog.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiokafka.errors import KafkaError

from worker.kafka.context import Context
from worker.kafka.control import Control
from worker.kafka.ends import Ends
from worker.kafka.membership import Membership
from worker.kafka.partition import PartitionTask
from worker.kafka.unless import unless
from worker.kafka.wall import WallClock
from worker.kafka.watchdog import Watchdog
from worker.observe.health import Health
from worker.observe.logs import log
from worker.observe.metrics import Metrics
from worker.settings import Settings

__all__ = ["STOP_SECONDS_MAX", "HotPath"]

LOOK_SECONDS = 0.5
BACKOFF_SECONDS = 1.0
STOP_SECONDS_MAX = 3.0
TOLD_MS_MAX = 2_000


class HotPath:
    """Runs until told to stop; `task` makes what owns a partition."""

    def __init__(
        self, settings: Settings, partitions: int, control: Control, metrics: Metrics, health: Health,
        watchdog: Watchdog, task: Callable[[Context, int], PartitionTask] = PartitionTask,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.partitions = partitions
        self.control = control
        self.metrics, self.health, self.watchdog = metrics, health, watchdog
        self._task = task
        self.wall = WallClock()
        self.ends = Ends(settings, self.wall)
        self._tasks: dict[int, tuple[PartitionTask, asyncio.Task[None]]] = {}
        self._stopping = asyncio.Event()
        self.ended = asyncio.Event()
        self._committed: dict[int, float] = {}
        metrics.shares(partitions)

    def known(self) -> dict[int, dict[str, Any]]:
        """Return what the partitions that run know of themselves."""
        return {
            partition: task.running.known() for partition, (task, _) in self._tasks.items() if task.running is not None
        }

    def stop(self) -> None:
        """Have it end after the transactions that are under way."""
        self._stopping.set()

    async def run(self) -> None:
        """Be a member, over and over; returns when told to stop, everything put away."""
        asking = asyncio.create_task(self.ends.run())
        try:
            while not self._stopping.is_set():
                await self._be_member()
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

    async def _be_member(self) -> None:
        """One consumer's life."""
        membership = Membership(self.settings, self.metrics, self.health)
        context = Context(
            self.settings, self.partitions, membership, self.control, self.ends, self.wall, self.metrics, self.health
        )
        try:
            await unless(self._stopping, membership.start())
            while not self._stopping.is_set():
                self._take_what_is_ours(context)
                await self._look(membership)
        except (KafkaError, TimeoutError, OSError) as error:
            log("group").warning("The group is joined anew.", error=error)
        finally:
            self.health.joined(False)
            await self._let_go(list(self._tasks))
            await membership.stop()
        if not self._stopping.is_set():
            await unless(self._stopping, asyncio.sleep(BACKOFF_SECONDS))

    async def _look(self, membership: Membership) -> None:
        """Wait for a new assignment, not long, and see that everything lives."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await membership.changed.wait()
        membership.changed.clear()
        membership.check()
        for partition, (task, running) in self._tasks.items():
            if running.done():
                running.result()
            self._watch(partition, task)
            self._show_waiting(partition, task)
        lost = [partition for partition in self._tasks if partition not in membership.owned]
        if membership.is_settled:
            await self._let_go(lost)

    def _watch(self, partition: int, task: PartitionTask) -> None:
        """Tell the watchdog if a partition doesn't get on, though brokers say now that it has something to read."""
        running, told = task.running, self.ends.reading(partition)
        silent = told is None or self.wall.now_ms() - told.asked_ms > TOLD_MS_MAX
        moved = running is None or running.committed_at != self._committed.get(partition)
        if running is None or silent or moved or running.lag_records == 0:
            self.watchdog.progress(partition)
        else:
            self.watchdog.lagging(partition)
        if running is not None:
            self._committed[partition] = running.committed_at

    def _show_waiting(self, partition: int, task: PartitionTask) -> None:
        """Have the lag of a partition that doesn't run grow with its input."""
        told = self.ends.reading(partition)
        if task.running is None and told is not None:
            self.metrics.waits(partition, told.end)

    def _take_what_is_ours(self, context: Context) -> None:
        for partition in sorted(context.membership.owned - self._tasks.keys()):
            self.ends.wanted.add(partition)
            task = self._task(context, partition)
            self._tasks[partition] = (task, asyncio.create_task(task.run(), name=f"partition-{partition}"))

    async def _let_go(self, partitions: list[int]) -> None:
        """End tasks; a transaction under way is waited for, not long."""
        if not partitions:
            return
        ending = [self._tasks.pop(partition) for partition in partitions]
        for task, _ in ending:
            task.stop()
        limit = self.settings.commit_deadline_ms / 1000 + STOP_SECONDS_MAX
        _, late = await asyncio.wait([running for _, running in ending], timeout=limit)
        for running in late:
            running.cancel()
        if late:
            await asyncio.wait(late, timeout=STOP_SECONDS_MAX)
        for partition in partitions:
            self.ends.forget(partition)
            self.metrics.forget(partition)
            self.health.forget(partition)
            self.watchdog.progress(partition)
