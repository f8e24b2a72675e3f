"""Workers as far as questions go: a member of their group that answers for the partitions it is told to."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka import TopicPartition

from schemas.control import AnyCommand, Command
from worker.kafka import clients
from worker.kafka.following import spans_of
from worker.kafka.points import answer
from worker.kafka.writing import append
from worker.settings import Settings

Replies = Mapping[int, Callable[[AnyCommand], dict[str, Any] | None]]


@contextmanager
def answering(
    settings: Settings, partitions: int, replies: Replies, read: Mapping[int, int] | None = None
) -> Iterator[None]:
    """While it lasts, each of these partitions answers every command by its function; `read`: the group's offsets."""
    ready, enough = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_answer(settings, partitions, replies, read or {}, ready, enough))
    )
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        enough.set()
        thread.join()


async def _answer(
    settings: Settings, partitions: int, replies: Replies, read: Mapping[int, int], ready: threading.Event,
    enough: threading.Event,
) -> None:  # fmt: skip
    member = clients.consumer(settings, group_id=settings.group, client_id="worker-1", auto_offset_reset="latest")
    member.subscribe([settings.events_topic])
    await member.start()
    await member.getmany(timeout_ms=0)
    if read:
        await member.commit({TopicPartition(settings.events_topic, place): offset for place, offset in read.items()})
    async with clients.reader(settings) as reading:
        spans = await spans_of(reading, settings.topic("commands"))
        reading.assign(list(spans))
        for place, span in spans.items():
            reading.seek(place, span.end)
        ready.set()
        while not enough.is_set():
            for records in (await reading.getmany(timeout_ms=50)).values():
                for record in records:
                    command = Command.model_validate_json(record.value).root
                    for partition, reply in replies.items():
                        given = answer(command.id, partition, partitions, reply(command), 0)
                        await append(settings, "answers", command.id, given)
    await clients.discard_consumer(member)
