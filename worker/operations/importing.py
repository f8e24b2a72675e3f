"""Events from elsewhere (files, the simulated shop) onto the input topic, at full speed or at a given rate."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from aiokafka.errors import KafkaError

from worker.errors import JobFailed
from worker.kafka.following import partitions_of
from worker.kafka.writing import Written, started, write
from worker.language.mapping import Mapping
from worker.operations.keys import key_of
from worker.settings import Settings

__all__ = ["feed", "keyed"]

PIECES_PER_SECOND = 10  # at a given rate, so that it is even


def keyed(payloads: Iterable[bytes], mapping: Mapping) -> list[Written]:
    """Return the records with their users' ids as keys; what nobody can read has none, and goes along."""
    return [Written(key_of(payload, mapping), payload) for payload in payloads]


async def feed(
    settings: Settings,
    batches: Iterable[list[Written]],
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write all records onto the input topic, at most `rate` per second; return how many.

    `progress` is given the number so far after each piece. Raises JobFailed, which says how many got there, if the
    brokers take no more.
    """
    count, topic = 0, settings.events_topic
    clock = asyncio.get_running_loop().time
    async with started(settings) as producing:
        partitions = len(await partitions_of(producing.client, topic))
        begun = clock()
        for piece in _pieces(batches, rate):
            try:
                count += await write(producing, topic, partitions, piece)
            except (KafkaError, TimeoutError) as error:
                raise _cut_off(topic, count, error) from error
            if progress:
                progress(count)
            if rate is not None:
                await asyncio.sleep(begun + count / rate - clock())
    return count


def _pieces(batches: Iterable[list[Written]], rate: float | None) -> Iterator[list[Written]]:
    for batch in batches:
        size = len(batch) if rate is None else max(1, round(rate / PIECES_PER_SECOND))
        for first in range(0, len(batch), size or 1):
            yield batch[first : first + size]


def _cut_off(topic: str, count: int, error: BaseException) -> JobFailed:
    return JobFailed(
        f"{topic} took {count:,} records and then no more ({type(error).__name__}): see that the brokers are well, and "
        "feed an empty topic anew, or only what is missing."
    )
