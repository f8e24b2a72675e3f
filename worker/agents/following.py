"""The Faust app that follows the control topics: an agent each for definitions, models and commands.

The rule: every process reads all of them from the beginning, in a group of its own that nobody will use again, so that
no committed offset hides a version. It sees what is committed only: models are published in transactions. Faust's web
server, tables, leader topic and exactly-once mode stay off.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterable
from contextlib import suppress
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import EventT
from mode import Service
from mode.threads import WorkerThread

from worker.errors import JobFailed
from worker.kafka import clients
from worker.kafka.control import FOLLOWED, Control
from worker.kafka.ends import Ends
from worker.kafka.following import empty_up_to
from worker.observe.logs import log
from worker.settings import Settings

__all__ = ["Following"]

RETRY_SECONDS = 2.0
LOOK_SECONDS = 5.0
BEHIND_SECONDS_MAX = 60.0
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 5.0


class _App(faust.App):  # type: ignore[misc]
    """An app that keeps nothing on disk: Faust makes folders for tables wherever it is started, for every id anew."""

    def _create_directories(self) -> None:
        pass


class _Thread(WorkerThread):  # type: ignore[misc]
    """Faust's consumer in a thread for which nobody waits: it ends when a broker answers, or with the process."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True

    def stop(self) -> None:
        pass


_made_by_faust = AIOKafkaConsumerThread._create_worker_consumer  # noqa: SLF001


def _reading_what_is_committed(thread: Any, transport: Any) -> Any:
    """Faust would read committed records only in its exactly-once mode."""
    consumer = _made_by_faust(thread, transport)
    consumer._isolation_level = "read_committed"  # noqa: SLF001  there is no other way, and it isn't started yet
    return consumer


AIOKafkaConsumerThread.Worker = _Thread
AIOKafkaConsumerThread._create_worker_consumer = _reading_what_is_committed  # noqa: SLF001


class Following(Service):  # type: ignore[misc]
    """Keeps an app running that follows the control topics."""

    def __init__(self, settings: Settings, control: Control, ends: Ends) -> None:
        super().__init__()
        self.settings, self.control, self.ends = settings, control, ends
        self._waited_for: dict[str, int] = {}

    @Service.task  # type: ignore[untyped-decorator]
    async def _keep_following(self) -> None:
        while not self.should_stop:
            app = _app(self.settings, self.control)
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
                if self.control.next_offset[name] < end and await self._holds_more(name):
                    return True
        except (JobFailed, KafkaError, TimeoutError, OSError):
            return None
        return False

    async def _holds_more(self, name: str) -> bool:
        """Whether what a topic has beyond the last record taken is records, and not only markers."""
        begin = self.control.next_offset[name]
        if self._waited_for.get(name) == begin:
            return True  # asked before, and it hasn't come yet
        empty_to = await empty_up_to(self.settings, self.settings.topic(name), begin)
        if empty_to is None:
            self._waited_for[name] = begin
            return True
        self.control.passed(name, empty_to)
        return False


def _app(settings: Settings, control: Control) -> faust.App:
    """Return an app, not yet started, that feeds `control`."""
    app = _App(
        f"{settings.group}.control.{secrets.token_hex(8)}",
        broker=[f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
        broker_client_id=f"{settings.instance_id}.control",
        broker_credentials=_credentials(settings),
        broker_request_timeout=settings.request_timeout_ms / 1000,
        broker_session_timeout=min(settings.session_timeout_ms, settings.request_timeout_ms) / 1000,
        broker_heartbeat_interval=settings.heartbeat_interval_ms / 1000,
        consumer_auto_offset_reset="earliest",
        processing_guarantee="at_least_once",
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
    )
    for name in FOLLOWED:
        topic = app.topic(
            settings.topic(name), key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(topic, name=name)(_follower(control, name))
    return app


def _follower(control: Control, name: str) -> Any:
    async def follow(stream: Any) -> None:
        events: AsyncIterable[EventT] = stream.events()
        async for event in events:
            control.take(name, event.message.offset, event.message.value)

    return follow


def _credentials(settings: Settings) -> Any:
    """The login in Faust's terms."""
    ssl_context = clients.security(settings).get("ssl_context")
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username, password=settings.password, ssl_context=ssl_context,
            mechanism=settings.sasl_mechanism,
        )  # fmt: skip
    return faust.SSLCredentials(ssl_context) if ssl_context is not None else None
