"""Where `shoal bench kafka` measures: topics of its own, removed afterwards, and the brokers that keep them.

The rule: nothing that was there is read or written; every name begins with a prefix that nobody else has.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from aiokafka.errors import KafkaError

from schemas.topics import TOPICS
from worker import settings as configuration
from worker.bench.processes import cpu_seconds, is_local, listener
from worker.bench.stream import Stream, user_id
from worker.errors import JobFailed
from worker.files.configuration import SHIPPED_DEFINITIONS
from worker.kafka import topics
from worker.kafka.clients import admin
from worker.kafka.findings import full_name
from worker.kafka.writing import Written
from worker.settings import Settings

__all__ = ["BATCH", "DEFINITIONS", "Brokers", "keyed", "place", "skewed"]

BATCH: Final = 10_000
DEFINITIONS: Final = {
    "equivalent": Path(__file__).with_name("definitions") / "equivalent.yaml",
    "demo": SHIPPED_DEFINITIONS,
}


@asynccontextmanager
async def place(settings: Settings, partitions: int, **given: Any) -> AsyncIterator[Settings]:
    """Topics under a prefix of their own for the length of a `with`: the settings with which they are used.

    `given` settings go before those of the person who measures. Raises JobFailed or WrongUsage as `topics.create`.
    """
    prefix = f"{settings.topic_prefix}bench-{uuid4().hex[:6]}."
    own = {"topic_prefix": prefix, "input_topic": f"{prefix}events", "group": f"{prefix}workers", "start": "earliest"}
    measured = configuration.load(**{**settings.model_dump(), **own, **given})
    await topics.create(measured, partitions)
    try:
        yield measured
    finally:
        await _remove(measured)


async def _remove(measured: Settings) -> None:
    """Delete the topics of a place; brokers that can't do it now keep them."""
    names = [full_name(measured, topic) for topic in TOPICS]
    with suppress(KafkaError, JobFailed):
        async with admin(measured) as client:
            await client.delete_topics([name for name in names if name.startswith(measured.topic_prefix)])


def keyed(batches: Iterator[list[bytes]]) -> Iterator[list[Written]]:
    """Yield events as records under their users' ids."""
    for batch in batches:
        yield [Written(user_id(payload), payload) for payload in batch]


def skewed(events: int, users: int) -> Iterator[list[Written]]:
    """Yield the usual events of `bench core`, as records: the same every time."""
    return keyed(Stream(users).skewed(events, BATCH))


class Brokers:
    """The brokers' processes: `ids`, or None if not all of them can be seen on this machine."""

    def __init__(self, ids: frozenset[int] | None) -> None:
        self.ids = ids

    @classmethod
    async def of(cls, settings: Settings) -> "Brokers":
        """Return those that the cluster names. Raises JobFailed or WrongUsage if no broker can be used."""
        async with admin(settings) as client:
            described = await client.describe_cluster()
        found = [listener(broker["port"]) if is_local(broker["host"]) else None for broker in described["brokers"]]
        ids = frozenset(number for number in found if number is not None)
        return cls(ids if found and None not in found else None)

    def cpu_seconds(self) -> float | None:
        """Return the s of CPU that they have used so far, together."""
        return None if self.ids is None else sum(map(cpu_seconds, self.ids))
