"""The Faust app that follows the control topics: an agent each for definitions, models and commands.

The rule: every worker reads all of them from the beginning, in a group of its own that nobody will use again, so that
no committed offset hides a version. Faust's web server, tables, leader topic and exactly-once mode stay off.
"""

import secrets
from collections.abc import AsyncIterable
from typing import Any

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import EventT
from mode.threads import WorkerThread

from worker.kafka import clients
from worker.kafka.control import FOLLOWED, Control
from worker.settings import Settings

__all__ = ["following_app"]


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


AIOKafkaConsumerThread.Worker = _Thread


def following_app(settings: Settings, control: Control) -> faust.App:
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
