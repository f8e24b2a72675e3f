"""Kafka's clients, made from the settings, and put away again.

The rule: every call that can wait has a deadline. A producer about which there is any doubt is discarded, never
reused: its predecessor's open transaction is aborted when the next one fences it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.helpers import create_ssl_context

from worker.errors import WrongUsage
from worker.kafka.unreachable import why
from worker.settings import Settings

__all__ = ["BATCH_BYTES_MAX", "admin", "consumer", "discard", "discard_consumer", "producer", "reader", "security"]

# Uncompressed bytes of a prepared batch: below the broker's default limit for a compressed one (1,048,588).
BATCH_BYTES_MAX = 900_000
DISCARD_SECONDS_MAX = 2.0


def security(settings: Settings) -> dict[str, Any]:
    """Return what every client needs to reach the brokers. Raises WrongUsage for certificates that can't be used."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.password,
        }
    if settings.security_protocol.endswith("SSL"):
        arguments["ssl_context"] = _ssl_context(settings)
    return arguments


def _ssl_context(settings: Settings) -> Any:
    # Without any OpenSSL would ask at the terminal.
    key_password = settings.ssl_key_password.get_secret_value() if settings.ssl_key_password else ""
    files = {
        "cafile": settings.ssl_cafile,
        "certfile": settings.ssl_certfile,
        "keyfile": settings.ssl_keyfile,
    }
    try:
        named = {name: str(path) if path else None for name, path in files.items()}
        return create_ssl_context(**named, password=key_password)
    except OSError as error:  # ssl.SSLError is one
        said = ", ".join(str(path) for path in files.values() if path)
        raise WrongUsage(f"The TLS files ({said}) can't be used ({type(error).__name__}): check SHOAL_SSL_*.") from None


def producer(settings: Settings, transactional_id: str | None = None) -> AIOKafkaProducer:
    """Return an idempotent producer, not yet started; transactional if given an id."""
    return AIOKafkaProducer(
        **security(settings),
        client_id=f"{settings.instance_id}.{transactional_id or 'producer'}",
        transactional_id=transactional_id,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        enable_idempotence=True,
        acks="all",
        compression_type="snappy",  # aiokafka fixes lz4 at level 9, which takes 48 µs for a row; snappy takes 2
        max_batch_size=BATCH_BYTES_MAX,
        request_timeout_ms=settings.request_timeout_ms,
        retry_backoff_ms=20,  # fencing an open transaction: 26 ms instead of 107
    )


def consumer(settings: Settings, **arguments: Any) -> AIOKafkaConsumer:
    """Return a consumer, not yet started, that sees only what is committed and never guesses an offset."""
    return AIOKafkaConsumer(
        **{
            **security(settings),
            "client_id": settings.instance_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "request_timeout_ms": settings.request_timeout_ms,
            "retry_backoff_ms": 100,
            **arguments,
        }
    )


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the length of a `with`. Raises JobFailed or WrongUsage if no broker can be used."""
    client = AIOKafkaAdminClient(**security(settings), request_timeout_ms=settings.request_timeout_ms)
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await client.start()
    except (KafkaError, OSError, TimeoutError, UnicodeError) as error:
        with suppress(Exception):
            await client.close()
        raise await why(settings, security(settings)) from error
    try:
        yield client
    finally:
        with suppress(KafkaError):
            await client.close()


@asynccontextmanager
async def reader(settings: Settings, **arguments: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer without a group, for the length of a `with`. Raises JobFailed or WrongUsage as `admin`."""
    reading = consumer(settings, **arguments)
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await reading.start()
    except (KafkaError, OSError, TimeoutError, UnicodeError) as error:
        await discard_consumer(reading)
        raise await why(settings, security(settings)) from error
    try:
        yield reading
    finally:
        await discard_consumer(reading)


async def discard_consumer(consuming: AIOKafkaConsumer) -> None:
    """Stop a consumer; where a broker doesn't answer `stop()` is given up, and what it would have ended is cut off.

    In a task of its own: it waits for tasks that it has cancelled, and what they raise would cancel whoever stops it.
    """
    stopping = asyncio.create_task(consuming.stop())
    await asyncio.wait([stopping], timeout=DISCARD_SECONDS_MAX)
    if stopping.done() and not stopping.cancelled() and stopping.exception() is None:
        return
    stopping.cancel()
    await _cut_off(consuming._client, consuming._coordinator, consuming._fetcher)  # noqa: SLF001


async def discard(producing: AIOKafkaProducer) -> None:
    """Put a producer away without flushing, committing or aborting anything; never hangs, never raises.

    `stop()` flushes, and hangs while a broker is down; so does a plain cancel of the sender, which waits for its
    requests. aiokafka offers nothing else, hence the private attributes: pending batches are failed, so that
    no future stays open; every task that runs for its sender is cancelled; connections are closed.
    """
    producing._closed = True  # noqa: SLF001
    with suppress(Exception):
        producing._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
    await _cut_off(producing.client, producing._sender)  # noqa: SLF001


async def _cut_off(client: Any, *owners: object) -> None:
    """Cancel every task that runs for the owners, and close the connections; never hangs, never raises."""
    begun = [owner for owner in owners if owner is not None]
    tasks = [task for task in asyncio.all_tasks() if any(_runs_for(task, owner) for owner in begun)]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=DISCARD_SECONDS_MAX)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # seen, so that nobody warns of it
    with suppress(Exception):
        async with asyncio.timeout(DISCARD_SECONDS_MAX):
            await client.close()


def _runs_for(task: asyncio.Task[Any], owner: object) -> bool:
    """Whether a task's coroutine is a method of the owner, or of a handler of its."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    running = frame.f_locals.get("self") if frame is not None else None
    return running is owner or getattr(running, "_sender", None) is owner
