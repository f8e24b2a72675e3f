"""How far a group has come: its committed offsets, asked for so that no answer is mistaken for another.

aiokafka's own look-ups take an answer with an error at its top for one without offsets, and whoever trusts them begins
anew. Hence the request itself, repeated until it is answered.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from worker.kafka.clients import admin
from worker.settings import Settings

__all__ = ["Committed", "committed"]

RETRY_SECONDS = 0.1
COORDINATOR_IS_COMING = (14, 15, 16)  # it loads, there is none yet, it has moved


class Committed(NamedTuple):
    """A group's offset in a partition, and what was noted with it."""

    offset: int
    note: str


async def committed(
    settings: Settings, group: str, places: Iterable[TopicPartition]
) -> dict[TopicPartition, Committed]:
    """Return the offsets of the partitions that have one. Raises JobFailed, KafkaError or TimeoutError."""
    wanted: dict[str, list[int]] = defaultdict(list)
    for place in places:
        wanted[place.topic].append(place.partition)
    async with admin(settings) as client, asyncio.timeout(settings.request_timeout_ms / 1000):
        while True:
            try:
                return _offsets(await _asked(client, group, wanted))
            except KafkaError as error:
                if getattr(error, "errno", None) not in COORDINATOR_IS_COMING:
                    raise
            await asyncio.sleep(RETRY_SECONDS)


async def _asked(client: Any, group: str, wanted: dict[str, list[int]]) -> Any:
    node = await client.find_coordinator(group)
    return await client._send_request(OffsetFetchRequest(group, list(wanted.items())), node)  # noqa: SLF001


def _offsets(answer: Any) -> dict[TopicPartition, Committed]:
    """Read an answer to its end. Raises KafkaError if there is an error anywhere in it."""
    codes, offsets = [answer.error_code], {}
    for topic, partitions in answer.topics:
        for partition, offset, note, code in partitions:
            codes.append(code)
            if offset >= 0:
                offsets[TopicPartition(topic, partition)] = Committed(offset, note or "")
    for code in filter(None, codes):
        raise for_code(code)
    return offsets
