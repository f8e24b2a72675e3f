"""A long-running role as a process: its services, in the order in which they depend on each other.

    HTTP        first up, last down: health and metrics are seen while everything else waits for Kafka
    Following   the Faust app with an agent per control topic, made anew if it fails or falls behind
    Partitions  what the group shares out, once the topics are right and the control topics are read to their ends

The rule: a broker that can't be reached is waited for; topics that are wrong end the start with sentences (exit 2).
SIGTERM and SIGINT let transactions under way finish, and end with 0.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka.errors import KafkaError
from mode import Service

from schemas.access import Role
from worker.agents.following import Following
from worker.errors import JobFailed, WrongUsage
from worker.kafka import topics
from worker.kafka.context import Context
from worker.kafka.control import Control
from worker.kafka.hotpath import HotPath
from worker.kafka.partition import PartitionTask
from worker.kafka.telling import Telling
from worker.kafka.unless import unless
from worker.kafka.watchdog import Watchdog
from worker.observe import logs
from worker.observe.health import Health
from worker.observe.http import HttpServer
from worker.observe.logs import log
from worker.observe.metrics import Metrics
from worker.settings import Settings

__all__ = ["Process"]

BEAT_SECONDS = 0.5
RETRY_SECONDS = 2.0
LEAVE_SECONDS_MAX = 1.0


class Partitions(Service):  # type: ignore[misc]
    """The hot path as a service of the same kind as the Faust app."""

    def __init__(self, hotpath: HotPath) -> None:
        super().__init__()
        self.hotpath = hotpath
        self._running: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Begin to be a member of the group."""
        self._running = asyncio.create_task(self.hotpath.run(), name="hotpath")
        self._running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        """A hot path that ends by itself is a mistake of ours: it ends the process too."""
        if not self.should_stop:
            error = None if running.cancelled() else running.exception()
            log("process").error("The hot path has ended by itself; so does the process.", error=error)
            self.hotpath.ended.set()

    async def on_stop(self) -> None:
        """Let transactions under way finish, and put everything away."""
        self.hotpath.stop()
        if self._running is not None:
            await asyncio.wait([self._running])


@dataclass(frozen=True)
class Process:
    """A role, and what is peculiar to it: its metrics, what it does first, and what owns a partition."""

    role: Role
    settings: Settings
    metrics: Metrics
    task: Callable[[Context, int], PartitionTask] = PartitionTask
    prepare: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Go on until SIGTERM or SIGINT. Raises WrongUsage for topics that are wrong, JobFailed if it breaks."""
        logs.configure(self.settings.log_level, sys.stderr)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        health, watchdog = Health(), Watchdog(self.settings.stuck_after_ms)
        server = HttpServer(self.metrics, health, host=self.settings.http_host, port=self.settings.http_port)
        await server.start()
        log(self.role).info(f"The {self.role} starts.", instance=self.settings.instance_id, http_port=server.port)
        watchdog.start()
        beating = asyncio.create_task(_beat(health, watchdog))
        work = asyncio.create_task(self._work(health, watchdog, stop))
        try:
            await work
        finally:
            beating.cancel()
            watchdog.stop()
            await server.stop()
            log(self.role).info(f"The {self.role} has ended.")
        await _leave()

    async def _work(self, health: Health, watchdog: Watchdog, stop: asyncio.Event) -> None:
        await asyncio.to_thread(self.prepare)
        partitions = await self._partitions(stop)
        if partitions is None:
            return
        control = Control(self.metrics.model_refused)
        hotpath = HotPath(self.settings, partitions, control, self.metrics, health, watchdog, self.task)
        async with Following(self.settings, control, hotpath.ends):
            if not await _first(control.caught_up, stop):
                return
            telling = asyncio.create_task(Telling(self.role, hotpath).run(), name="telling")
            try:
                async with Partitions(hotpath):
                    if not await _first(hotpath.ended, stop):
                        return
            finally:
                telling.cancel()
        raise JobFailed(f"The {self.role} broke off, see its log: start it again, and report it if it happens twice.")

    async def _partitions(self, stop: asyncio.Event) -> int | None:
        """How many partitions the group shares, once a broker can be asked; None if told to stop meanwhile."""
        while not stop.is_set():
            try:
                findings = await unless(stop, topics.check(self.settings, self.role)) or []
                if fatal := [finding.said for finding in findings if finding.severity == "fatal"]:
                    raise WrongUsage("\n".join([*fatal, "The topics can't be used: mend what the lines above say."]))
                for finding in findings:
                    log("topics").warning(finding.said)
                return await unless(stop, topics.input_partitions(self.settings))
            except (JobFailed, KafkaError, TimeoutError, OSError) as error:
                log(self.role).warning("Kafka can't be asked for the topics; it is tried again.", error=str(error))
                await unless(stop, asyncio.sleep(RETRY_SECONDS))
        return None


async def _leave() -> None:
    """Leave nothing to be waited for: tasks of Faust's don't end before a broker has answered, whoever cancels them."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left and (await asyncio.wait(left, timeout=LEAVE_SECONDS_MAX))[1]:
        sys.stderr.flush()
        os._exit(0)


async def _beat(health: Health, watchdog: Watchdog) -> None:
    while True:
        health.beat(time.monotonic())
        watchdog.beat()
        await asyncio.sleep(BEAT_SECONDS)


async def _first(wanted: asyncio.Event, stop: asyncio.Event) -> bool:
    """Wait for either; whether it was the one that was wanted."""
    waits = [asyncio.create_task(event.wait()) for event in (wanted, stop)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return wanted.is_set() and not stop.is_set()
