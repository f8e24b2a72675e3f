"""A deployment of a test's own: topics, definitions, events and workers on a broker, and a look at what is there.

The rule: everything is small and quick to notice, so that a fault and its end fit into seconds; and nothing is left
running after `close`, whatever happened.
"""

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import BY_NAME
from tests.support import streams
from tests.support.kafka.broker import Broker, Cluster
from tests.support.kafka.worker_process import Process
from tests.support.random_definitions import text_of
from worker import settings as configuration
from worker.core.engine import Engine
from worker.core.pseudonyms import Pseudonyms
from worker.core.restoring import Restorer
from worker.errors import JobFailed
from worker.files.configuration import checked
from worker.kafka import clients, following, offsets, topics, writing
from worker.kafka.writing import Written
from worker.language.mapping import SHIPPED
from worker.operations import publishing
from worker.settings import Settings

__all__ = ["QUICK", "Deployment", "Event", "events"]

# Timeouts of a worker in a hurry. They are real ones: a busy machine may restart a partition once more, and that is
# all that it may do.
QUICK: Mapping[str, Any] = {
    "commit_deadline_ms": 1_500,
    "request_timeout_ms": 2_500,
    "transaction_timeout_ms": 4_000,
    "session_timeout_ms": 3_000,
    "heartbeat_interval_ms": 300,
    "rebalance_timeout_ms": 6_000,
    "batch_records_max": 200,
}
SECONDS_MAX = 120.0
POLL_SECONDS = 0.1
USUAL_GAPS_MS = {0: 3.0, 1: 1.0, 900: 2.0, 20_000: 4.0, 240_000: 5.0, 900_000: 1.0, 2_400_000: 0.3}

Event = tuple[bytes | None, bytes]
T = TypeVar("T")


def events(seed: int, count: int, **settings: Any) -> list[Event]:
    """Return a seeded log of all sorts of events, keyed by user (`tests.support.streams`, of 60 users over days)."""
    chosen = {"users": 60, "gaps": USUAL_GAPS_MS, **settings}
    made = streams.records(random.Random(seed), count, streams.Settings(**chosen))
    return [(record.key, record.payload) for record in made]


class Deployment:
    """Topics and definitions of its own on a broker, and workers as processes; `settings` go before `QUICK`."""

    def __init__(self, broker: Broker | Cluster | str, prefix: str, *, partitions: int = 2,
                 definitions: Mapping[str, Any] | str | None = None, clock: str = "event",
                 **settings: Any) -> None:  # fmt: skip
        bootstrap = broker if isinstance(broker, str) else broker.bootstrap
        given = {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "group": f"{prefix}workers", "clock": clock}
        given |= {**QUICK, **settings}
        self.given = given
        self.settings: Settings = configuration.load(**given)
        self.partitions = partitions
        self.workers: list[Process] = []
        self._folder = Path(tempfile.mkdtemp(prefix="shoal-workers-"))
        run(topics.create(self.settings, partitions))
        if definitions is not None:
            self.publish(definitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill every worker that runs, and remove their logs."""
        for worker in self.workers:
            worker.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # What goes in.

    def publish(self, definitions: Mapping[str, Any] | str) -> None:
        """Publish definitions, as data or as a text, with the mapping that is shipped."""
        text = definitions if isinstance(definitions, str) else text_of(dict(definitions))
        run(publishing.publish(self.settings, checked(text, SHIPPED.read_text(encoding="utf-8"))))

    def feed(self, records: Iterable[Event]) -> int:
        """Write records onto the input, in order, without gaps in the offsets; return how many."""
        return run(self._write([Written(key, payload) for key, payload in records]))

    @contextlib.contextmanager
    def feeding(self, records: Sequence[Event], per_second: float) -> Iterator[threading.Event]:
        """While it lasts, write records at a pace; all of them are written when it ends, unless the event is set."""
        enough = threading.Event()
        thread = threading.Thread(target=self._feed_slowly, args=(records, per_second, enough))
        thread.start()
        try:
            yield enough
        except BaseException:
            enough.set()
            raise
        finally:
            thread.join()

    def _feed_slowly(self, records: Sequence[Event], per_second: float, enough: threading.Event) -> None:
        written, began = 0, time.monotonic()
        while written < len(records) and not enough.wait(0.1):
            due = min(len(records), int((time.monotonic() - began) * per_second))
            if due > written:
                self.feed(records[written:due])
                written = due

    async def _write(self, records: Sequence[Written]) -> int:
        async with writing.started(self.settings) as producing:
            return await writing.write(producing, self.settings.events_topic, self.partitions, records)

    # Workers.

    def start_worker(self, name: str = "worker", fault: str | None = None, *, without: Iterable[str] = (),
                     environment: Mapping[str, str] | None = None, role: str = "worker",
                     **settings: Any) -> Process:  # fmt: skip
        """Start a worker, or another role; `fault` and `without` as in `worker_under_test`. A name may be used again.

        What SHOAL_TEST_WITHOUT of the test's own environment names is left out too: so a defence is tried out by hand.
        """
        given = {**self.given, "instance_id": name, **settings}
        told = {f"SHOAL_{key.upper()}": str(value) for key, value in given.items()}
        told |= {"SHOAL_TEST_FAULT": fault or "", "SHOAL_TEST_WITHOUT": ",".join([*without, *_left_out()])}
        folder = self._folder / str(len(self.workers))
        folder.mkdir()
        worker = Process(name, told | dict(environment or {}), folder, role)
        self.workers.append(worker)
        return worker

    def wait_until_read(self, seconds: float = SECONDS_MAX) -> None:
        """Wait until every partition's state is past all records, with nothing left over. Raises AssertionError."""
        deadline = time.monotonic() + seconds
        unread = {partition: self.end_of_input(partition) for partition in range(self.partitions)}
        while unread:
            unread = {partition: end for partition, end in unread.items() if not self._is_read(partition, end)}
            assert not unread or time.monotonic() < deadline, f"not read in {seconds:g} s: {unread}\n{self._told()}"
            time.sleep(POLL_SECONDS if unread else 0)

    def end_of_input(self, partition: int) -> int:
        """Return the offset after the partition's last record, markers left aside; 0 for an empty one."""
        log = self.read("events", partition)
        return log[-1].offset + 1 if log else 0

    def _is_read(self, partition: int, end: int) -> bool:
        if self.committed().get(partition, (0, ""))[0] < end:
            return False
        restorer = self.state(partition)
        if restorer.checkpoint is None:
            return end == 0
        found = restorer.finish()
        return restorer.checkpoint.next_offset >= end and found is not None and not _has_work(found[0])

    def _told(self) -> str:
        return "\n".join(f"--- {worker.name} ({worker.pid})\n{worker.last_words()}" for worker in self.workers)

    # What is there.

    def read(self, topic: str, partition: int | None = None) -> list[ConsumerRecord]:
        """Return what is committed in a topic (full name, or that of the table), by partition and offset."""
        return persistently(lambda: self._read(self.full_name(topic), partition))

    def read_together(self, names: Iterable[str]) -> dict[str, list[ConsumerRecord]]:
        """Return what is committed in several topics, as `read`, by the names given."""
        chosen = list(names)
        return persistently(lambda: self._read_together(chosen))

    async def _read_together(self, names: list[str]) -> dict[str, list[ConsumerRecord]]:
        async with clients.reader(self.settings) as reading:
            return {name: await _records(reading, self.full_name(name), None) for name in names}

    async def _read(self, topic: str, partition: int | None) -> list[ConsumerRecord]:
        async with clients.reader(self.settings) as reading:
            return await _records(reading, topic, partition)

    def state(self, partition: int) -> Restorer:
        """Return what the partition's state topic holds, taken in but not yet finished."""
        restorer = Restorer(Pseudonyms(self.settings.pseudonym_keys))
        for record in self.read("state", partition):
            restorer.take(record.key, record.value)
        return restorer

    def committed(self) -> dict[int, tuple[int, str]]:
        """Return the group's offsets and notes, by partition."""
        places = [TopicPartition(self.settings.events_topic, number) for number in range(self.partitions)]
        found = persistently(lambda: offsets.committed(self.settings, self.settings.group, places))
        return {place.partition: (copy.offset, copy.note) for place, copy in found.items()}

    def ends(self, topic: str, isolation_level: str) -> dict[int, int]:
        """Return the high watermarks (`read_uncommitted`) or last stable offsets (`read_committed`) of a topic."""
        return persistently(lambda: self._ends(self.full_name(topic), isolation_level))

    async def _ends(self, topic: str, isolation_level: str) -> dict[int, int]:
        ends = await self._all_ends([topic], isolation_level)
        return {place.partition: end for place, end in ends.items()}

    def unstable(self, names: Iterable[str]) -> list[str]:
        """Return those of the topics (full names) that have an open transaction just now."""
        chosen = list(names)
        stable = persistently(lambda: self._all_ends(chosen, "read_committed"))
        ends = persistently(lambda: self._all_ends(chosen, "read_uncommitted"))
        return sorted({place.topic for place, end in ends.items() if stable[place] < end})

    async def _all_ends(self, names: list[str], isolation_level: str) -> dict[TopicPartition, int]:
        async with clients.reader(self.settings, isolation_level=isolation_level) as reading:
            await reading._client.set_topics(names)  # else it asks for each topic's leader, one after the other
            cluster = reading._client.cluster
            places = [TopicPartition(name, number) for name in names for number in cluster.partitions_for_topic(name)]
            async with asyncio.timeout(SECONDS_MAX):
                ends: dict[TopicPartition, int] = await reading.end_offsets(places)
        return ends

    def full_name(self, topic: str) -> str:
        """Return a topic's name with the prefix, if it is one of the table."""
        if topic == "events":
            return self.settings.events_topic
        return self.settings.topic(topic) if topic in BY_NAME else topic


def _left_out() -> list[str]:
    return list(filter(None, os.environ.get("SHOAL_TEST_WITHOUT", "").split(",")))


def _has_work(engine: Engine) -> bool:
    return engine.backlog > 0 or engine.overdue


async def _records(reading: AIOKafkaConsumer, topic: str, partition: int | None) -> list[ConsumerRecord]:
    spans = await following.spans_of(reading, topic)
    chosen = {place: span for place, span in spans.items() if partition in (None, place.partition)}
    found = [record async for piece in following.pieces(reading, chosen) for record in piece]
    return sorted(found, key=lambda record: (record.partition, record.offset))


def persistently(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ask brokers that may be just coming up or moving until they answer. Raises what they said at last."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            return run(ask())
        except (KafkaError, JobFailed, TimeoutError, OSError):
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, whatever thread this is."""
    return asyncio.run(coroutine)
