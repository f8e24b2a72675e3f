"""Latency: how long after an event is produced its transition can be read, and how late that is which time brings.

Events go out evenly, each with the time of day; a `read_committed` reader in the same process notes when a transition
comes in. So both ends go by one clock. The definitions are the demo's and a segment that is left within seconds.
"""

import asyncio
import io
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from ruamel.yaml import YAML

from worker.bench.kafka_place import DEFINITIONS, place
from worker.bench.kafka_worker import Worker, started, until, until_running
from worker.bench.stream import Stream, user_id
from worker.core.records import Transition
from worker.files import configuration
from worker.files.configuration import Configuration, text_of
from worker.kafka import writing
from worker.kafka.clients import reader
from worker.kafka.following import partitions_of
from worker.language.mapping import SHIPPED
from worker.operations import publishing
from worker.settings import Settings

__all__ = ["latency"]

Data = dict[str, Any]

SOON_OVER: Final = {"id": "just_checked_out", "enter": "time_since_checkout < 3s"}
PIECE_SECONDS: Final = 0.01
READ_MS: Final = 200
DAY_SECONDS: Final = 86_400


class Sent(NamedTuple):
    """Events sent at once to a partition: when (s since the epoch), how many, and what the broker will say of them."""

    at: float
    partition: int
    events: int
    written: Any


@dataclass
class Seen:
    """What has come in: of transitions that an event caused its partition, offset, and when; s beyond the grace."""

    grace_seconds: float
    by_event: list[tuple[int, int, float]] = field(default_factory=list)
    late_seconds: list[float] = field(default_factory=list)
    not_over: int = 0  # users in SOON_OVER

    def take(self, change: Transition, now: float) -> None:
        """Take a transition that has just come in."""
        if change.cause == "event" and change.source is not None:
            self.by_event.append((change.source.partition, change.source.offset, now))
        if change.cause == "timer":
            due = datetime.fromisoformat(change.occurred_at).timestamp() + self.grace_seconds
            # An event that makes its user's time pass brings the instant about before the grace is over.
            self.late_seconds.extend([now - due] if now >= due else [])
        if change.segment == SOON_OVER["id"]:
            self.not_over += 1 if change.direction == "entered" else -1


async def latency(settings: Settings, partitions: int, users: int, rate: int, seconds: int) -> Data:
    """Produce `rate` events per second for so many s; return the distribution of both delays in ms."""
    async with (
        place(settings, partitions, clock="wall") as measured,
        started(measured, partitions) as (worker,),
        reader(measured) as reading,
        writing.started(measured) as producing,
    ):
        await publishing.publish(measured, _definitions())
        await until_running([worker])
        reading.assign(await partitions_of(producing.client, measured.topic("segment-changes")))
        await reading.seek_to_beginning()
        seen = Seen(measured.grace_ms / 1000)
        watching = asyncio.create_task(_watch(reading, seen))
        try:
            begun = time.monotonic()
            sent = await _produce(producing, measured.events_topic, partitions, Stream(users), rate * seconds, rate)
            took = time.monotonic() - begun
            await _all_seen(worker, reading, rate * seconds, seen)
        finally:
            await _ended(watching)
        return await _figures(sent, seen, took)


def _definitions() -> Configuration:
    yaml, text = YAML(), io.StringIO()
    data = yaml.load(text_of(DEFINITIONS["demo"]))
    data["segments"].append(SOON_OVER)
    yaml.dump(data, text)
    return configuration.checked(text.getvalue(), text_of(SHIPPED))


async def _produce(
    producing: AIOKafkaProducer, topic: str, partitions: int, stream: Stream, events: int, rate: int
) -> list[Sent]:
    """Send events as they fall due, each some ms after the one before."""
    sent: list[Sent] = []
    begun, count = time.monotonic(), 0
    while count < events:
        await asyncio.sleep(PIECE_SECONDS)
        due = min(events, int((time.monotonic() - begun) * rate))
        if due > count:
            stream.now_ms = time.time_ns() // 1_000_000
            per_day = rate * DAY_SECONDS / stream.users
            (payloads,) = stream.skewed(due - count, due - count, per_day=per_day)
            sent.extend(await _send(producing, topic, partitions, payloads))
            count = due
    return sent


async def _send(producing: AIOKafkaProducer, topic: str, partitions: int, payloads: list[bytes]) -> list[Sent]:
    """Send events, a batch to each partition."""
    at, sent = time.time(), []
    batches: dict[int, Any] = {}
    for payload in payloads:
        key = user_id(payload)
        partition = writing.partition_of(key, partitions)
        batch = batches.setdefault(partition, producing.create_batch())
        batch.append(timestamp=None, key=key, value=payload)
    for partition, batch in batches.items():
        written = await producing.send_batch(batch, topic, partition=partition)
        sent.append(Sent(at, partition, batch.record_count(), written))
    return sent


async def _watch(reading: AIOKafkaConsumer, seen: Seen) -> None:
    decode = msgspec.json.Decoder(Transition).decode
    while True:
        found = await reading.getmany(timeout_ms=READ_MS)
        now = time.time()
        for records in found.values():
            for record in records:
                seen.take(decode(record.value), now)


async def _all_seen(worker: Worker, reading: AIOKafkaConsumer, events: int, seen: Seen) -> None:
    """Wait until all events are worked off, what came of them is read, and nobody is in SOON_OVER any more."""

    async def worked_off() -> bool:
        return (await worker.reading()).records >= events

    async def read() -> bool:
        ends = await reading.end_offsets(reading.assignment())
        return all([await reading.position(partition) >= end for partition, end in ends.items()])

    async def over() -> bool:
        return seen.not_over == 0

    for done, waited_for in ((worked_off, "the events to be worked off"), (read, "transitions"), (over, "timers")):
        await until(done, waited_for)


async def _ended(watching: asyncio.Task[None]) -> None:
    """End the watching; raises what it broke off with."""
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


async def _figures(sent: Sequence[Sent], seen: Seen, seconds: float) -> Data:
    when: dict[tuple[int, int], float] = {}
    for piece in sent:
        first = (await piece.written).offset
        when |= {(piece.partition, first + number): piece.at for number in range(piece.events)}
    delays = [at - when[partition, offset] for partition, offset, at in seen.by_event]
    return {
        "events": len(when),
        "events_per_second": round(len(when) / seconds),
        "transitions": _distribution(delays),
        "timers": _distribution(seen.late_seconds),
    }


def _distribution(seconds: Sequence[float]) -> Data:
    """How many, and the delays in ms; None if there were none."""
    p50, p99, most = np.percentile(seconds, (50, 99, 100)) * 1000 if seconds else (None, None, None)
    named = {"p50_ms": p50, "p99_ms": p99, "max_ms": most}
    return {"count": len(seconds)} | {name: None if ms is None else round(float(ms), 1) for name, ms in named.items()}
