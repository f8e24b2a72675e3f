"""`shoal worker`: the services of one process, in the order in which they depend on each other.

    HTTP        first up, last down: health and metrics are seen while everything else waits for Kafka
    Following   the Faust app with an agent per control topic, made anew if it fails or falls behind
    Partitions  the hot path, once the topics are right and the control topics are read to their ends

The rule: a broker that can't be reached is waited for; topics that are wrong end the start with sentences (exit 2).
SIGTERM and SIGINT let transactions under way finish, and end with 0.
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress

from aiokafka.errors import KafkaError
from mode import Service

from worker.agents.following import following_app
from worker.core.warming import warm_up
from worker.errors import JobFailed, WrongUsage
from worker.kafka import topics, wire
from worker.kafka.control import FOLLOWED, Control
from worker.kafka.ends import Ends
from worker.kafka.hotpath import HotPath
from worker.kafka.unless import unless
from worker.kafka.watchdog import Watchdog
from worker.observe import logs
from worker.observe.health import Health
from worker.observe.http import HttpServer
from worker.observe.logs import log
from worker.observe.metrics import Metrics
from worker.settings import Settings

__all__ = ["run"]

BEAT_SECONDS = 0.5
RETRY_SECONDS = 2.0
LOOK_SECONDS = 5.0
BEHIND_SECONDS_MAX = 60.0
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 5.0
LEAVE_SECONDS_MAX = 1.0


class Following(Service):  # type: ignore[misc]
    """Keeps an app running that follows the control topics."""

    def __init__(self, settings: Settings, control: Control, ends: Ends) -> None:
        super().__init__()
        self.settings, self.control, self.ends = settings, control, ends

    @Service.task  # type: ignore[untyped-decorator]
    async def _keep_following(self) -> None:
        while not self.should_stop:
            app = following_app(self.settings, self.control)
            try:
                async with asyncio.timeout(START_SECONDS_MAX):
                    await app.maybe_start()
                await self._until_behind(app)
            except Exception as error:  # noqa: BLE001  whatever breaks Faust's app, another one is made
                log("following").warning("The control topics are followed anew.", error=error)
            finally:
                with suppress(Exception):
                    async with asyncio.timeout(STOP_SECONDS_MAX):
                        await app.stop()
            await self.sleep(RETRY_SECONDS)

    async def _until_behind(self, app: Service) -> None:
        """Return when the app has crashed, or something was to read for a minute and it hasn't."""
        current = time.monotonic()
        while not self.should_stop and not app.crashed:
            unseen = await self._unseen()
            if unseen is False:
                self.control.caught_up.set()
            if not unseen:
                current = time.monotonic()
            elif time.monotonic() - current > BEHIND_SECONDS_MAX:
                log("following").warning("The control topics are followed anew: there are records it doesn't see.")
                return
            await self.sleep(LOOK_SECONDS if self.control.caught_up.is_set() else LOOK_SECONDS / 50)

    async def _unseen(self) -> bool | None:
        """Whether there is a record that the app has yet to see; None if no broker can say."""
        try:
            for name in FOLLOWED:
                topic = self.settings.topic(name)
                end = await self.ends.end(topic, 0)
                if end < self.control.next_offset[name]:
                    self.control.made_anew(name)
                if self.control.next_offset[name] < end and await self.ends.beginning(topic, 0) < end:
                    return True
        except (KafkaError, TimeoutError, OSError):
            return None
        return False


class Partitions(Service):  # type: ignore[misc]
    """The hot path as a service of the same kind."""

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
            log("worker").error("The hot path has ended by itself; so does the worker.", error=error)
            self.hotpath.ended.set()

    async def on_stop(self) -> None:
        """Let transactions under way finish, and put everything away."""
        self.hotpath.stop()
        if self._running is not None:
            await asyncio.wait([self._running])


async def run(settings: Settings) -> None:
    """Be a worker until SIGTERM or SIGINT. Raises WrongUsage for topics that are wrong, JobFailed if it breaks."""
    logs.configure(settings.log_level, sys.stderr)
    wire.install(settings.events_topic, settings.topic("state"))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics, health, watchdog = Metrics(), Health(), Watchdog(settings.stuck_after_ms)
    server = HttpServer(metrics, health, host=settings.http_host, port=settings.http_port)
    await server.start()
    log("worker").info("The worker starts.", instance=settings.instance_id, http_port=server.port)
    watchdog.start()
    beating = asyncio.create_task(_beat(health, watchdog))
    work = asyncio.create_task(_work(settings, metrics, health, watchdog, stop))
    try:
        await work
    finally:
        beating.cancel()
        watchdog.stop()
        await server.stop()
        log("worker").info("The worker has ended.")
    await _leave()


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


async def _work(settings: Settings, metrics: Metrics, health: Health, watchdog: Watchdog, stop: asyncio.Event) -> None:
    await asyncio.to_thread(warm_up)
    partitions = await _partitions(settings, stop)
    if partitions is None:
        return
    control = Control(metrics.model_refused)
    hotpath = HotPath(settings, partitions, control, metrics, health, watchdog)
    async with Following(settings, control, hotpath.ends):
        if not await _first(control.caught_up, stop):
            return
        async with Partitions(hotpath):
            if not await _first(hotpath.ended, stop):
                return
    raise JobFailed("The worker broke off, see its log: start it again, and report it if it happens twice.")


async def _partitions(settings: Settings, stop: asyncio.Event) -> int | None:
    """How many partitions the input has, once a broker can be asked; None if told to stop meanwhile."""
    while not stop.is_set():
        try:
            findings = await unless(stop, topics.check(settings)) or []
            if fatal := [finding.said for finding in findings if finding.severity == "fatal"]:
                raise WrongUsage("\n".join([*fatal, "The topics can't be used: mend what the lines above say."]))
            for finding in findings:
                log("topics").warning(finding.said)
            return await unless(stop, topics.input_partitions(settings))
        except (JobFailed, KafkaError, TimeoutError, OSError) as error:
            log("worker").warning("Kafka can't be asked for the topics; it is tried again.", error=str(error))
            await unless(stop, asyncio.sleep(RETRY_SECONDS))
    return None


async def _first(wanted: asyncio.Event, stop: asyncio.Event) -> bool:
    """Wait for either; whether it was the one that was wanted."""
    waits = [asyncio.create_task(event.wait()) for event in (wanted, stop)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return wanted.is_set() and not stop.is_set()
