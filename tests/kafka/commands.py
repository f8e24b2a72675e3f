"""What the tests of the commands share: a deployment of a test's own on the broker, and `shoal` run against it."""

import asyncio
import io
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from aiokafka import ConsumerRecord

from tests.support.kafka.broker import Broker
from worker import settings as configuration
from worker.cli import app
from worker.errors import ShoalError
from worker.kafka import clients, following, topics, writing
from worker.kafka.writing import Written
from worker.settings import Settings

DEFINITIONS = """\
version: 1
segments:
  - {id: buyer, enter: orders_total > 0}
  - {id: cart_abandoner, enter: cart_items > 0 and time_since_cart_add >= 30m}
campaigns:
  - {id: cart_reminder, trigger: {entered: cart_abandoner}, channel: email}
"""


class Done(NamedTuple):
    """What a command that has ended said on stdout, and why it failed."""

    stdout: str
    stderr: str


@dataclass(frozen=True)
class Deployment:
    """Topics of its own on a broker."""

    settings: Settings

    @classmethod
    def on(cls, broker: Broker, prefix: str) -> "Deployment":
        """One whose topics aren't made yet."""
        return cls(configuration.load(bootstrap_servers=broker.bootstrap, topic_prefix=prefix))

    @classmethod
    def made(cls, broker: Broker, prefix: str, partitions: int = 2) -> "Deployment":
        """One with its topics."""
        deployment = cls.on(broker, prefix)
        asyncio.run(topics.create(deployment.settings, partitions))
        return deployment

    def shoal(self, *arguments: str | Path, status: int = 0) -> Done:
        """Run a command against it, in this process, and expect its exit status."""
        out, errors = io.StringIO(), ""
        with redirect_stdout(out):
            try:
                ended = app(self.arguments(*arguments), prog_name="shoal", standalone_mode=False) or 0
            except ShoalError as error:
                ended, errors = error.exit_status, str(error)
        assert ended == status, errors
        return Done(out.getvalue(), errors)

    def arguments(self, *arguments: str | Path) -> list[str]:
        """A command with the options that lead to this deployment."""
        options = ("--bootstrap-servers", self.settings.bootstrap_servers, "--topic-prefix", self.settings.topic_prefix)
        return [*map(str, arguments), *options]

    def read(self, topic: str) -> list[ConsumerRecord]:
        """Everything in a topic, given by its full name, by partition and offset."""
        return asyncio.run(self._read(topic))

    async def _read(self, topic: str) -> list[ConsumerRecord]:
        async with clients.reader(self.settings) as reading:
            spans = await following.spans_of(reading, topic)
            found = [record async for piece in following.pieces(reading, spans) for record in piece]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def write(self, topic: str, records: Iterable[Written]) -> None:
        """Write records into a topic, given by its full name."""
        asyncio.run(self._write(topic, records))

    async def _write(self, topic: str, records: Iterable[Written]) -> None:
        async with writing.started(self.settings) as producing:
            partitions = await following.partitions_of(producing.client, topic)
            await writing.write(producing, topic, len(partitions), records)
