"""How each role does: who is in its group, what it reads and how far behind, what its partitions say of themselves.

The rule: how far behind somebody is, brokers know, and so it is told of who is silent too; why something stands still
only its own partition can say.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.access import DELIVERED, LEARNT_FROM, MEASURED_FROM
from schemas.control import Answer
from worker.kafka.ages import ages_seconds
from worker.kafka.clients import admin, reader
from worker.kafka.following import spans_of
from worker.kafka.offsets import committed
from worker.kafka.topics import input_partitions
from worker.operations.commanding import Place, Progress, standings
from worker.operations.groups import described
from worker.settings import Settings

__all__ = ["roles"]

READ_BY: Mapping[str, tuple[str, ...]] = {
    "worker": ("events",), "trainer": LEARNT_FROM, "lift": MEASURED_FROM, "sinks": DELIVERED,
}  # fmt: skip

Role = dict[str, Any]


class Unread(NamedTuple):
    """What a group has yet to read of a partition, and since when its first record is there."""

    records: int
    seconds: float


async def roles(
    settings: Settings, missing: set[str], seconds_max: float, progress: Progress | None = None
) -> dict[str, Role]:
    """Return each role as an object of JSON; topics that are `missing` are asked for nothing.

    A partition that doesn't answer in time has `answered` false; what a group has never read isn't among its `reads`.
    """
    names = _groups(settings)
    async with admin(settings) as client:
        groups = {role: await described(client, group) for role, group in names.items()}
    async with reader(settings) as reading:
        unread = {role: await _unread(settings, reading, role, group, missing) for role, group in names.items()}
    # Of whom nobody is there nobody will answer: whoever looks needn't wait to be told.
    asked = [role for role, group in groups.items() if group["members"]]
    needed = {settings.events_topic, *map(settings.topic, ("commands", "answers"))}
    answers: dict[Place, Answer | None] = {}
    if not missing & needed:
        silent = dict.fromkeys(Place("worker", number) for number in range(await input_partitions(settings)))
        answers = silent | await standings(settings, asked, seconds_max, progress)
    return {
        role: group | _behind(unread[role]) | {"partitions": _partitions(role, answers, unread[role])}
        for role, group in groups.items()
    }


def _groups(settings: Settings) -> dict[str, str]:
    return {
        "worker": settings.group, "trainer": settings.trainer, "lift": settings.lift,
        "sinks": settings.of_sinks().group,
    }  # fmt: skip


async def _unread(
    settings: Settings, reading: AIOKafkaConsumer, role: str, group: str, missing: set[str]
) -> dict[TopicPartition, Unread]:
    """Return what a role has yet to read, of the partitions in which its group has committed an offset."""
    names = [settings.events_topic if name == "events" else settings.topic(name) for name in READ_BY[role]]
    spans = {place: span for name in set(names) - missing for place, span in (await spans_of(reading, name)).items()}
    reached = await committed(settings, group, spans)
    begins = {place: max(copy.offset, spans[place].begin) for place, copy in reached.items()}
    return await _beyond(reading, begins, {place: spans[place].end for place in begins})


async def _beyond(
    reading: AIOKafkaConsumer, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Unread]:
    ages = await ages_seconds(reading, {place: begin for place, begin in begins.items() if begin < ends[place]})
    return {place: Unread(max(0, ends[place] - begin), ages.get(place, 0.0)) for place, begin in sorted(begins.items())}


def _behind(unread: Mapping[TopicPartition, Unread]) -> Role:
    """Return how far a role is behind, by topic and in all; None where it has never read anything."""
    reads = [
        {"topic": name, **_summed(left for place, left in unread.items() if place.topic == name)}
        for name in sorted({place.topic for place in unread})
    ]
    return {"reads": reads, **(_summed(unread.values()) if unread else {"lag_records": None, "lag_seconds": None})}


def _summed(unread: Iterable[Unread]) -> dict[str, int | float]:
    found = list(unread)
    return {
        "lag_records": sum(left.records for left in found), "lag_seconds": max(left.seconds for left in found),
    }  # fmt: skip


def _partitions(
    role: str, answers: Mapping[Place, Answer | None], unread: Mapping[TopicPartition, Unread]
) -> list[Role]:
    return [
        {"partition": place.partition, "answered": given is not None, **_told(place, given, unread)}
        for place, given in answers.items()
        if place.role == role
    ]


def _told(place: Place, given: Answer | None, unread: Mapping[TopicPartition, Unread]) -> Role:
    """Return what a partition says; a worker's also with how far it is behind in its partition of the input."""
    body: Role = dict(given.body) if given else {}
    if place.role != "worker":
        return body
    left = next((left for where, left in unread.items() if where.partition == place.partition), None)
    records = body.get("lag_records", left.records if left else None)  # it knows which offsets are markers
    seconds = left.seconds if left else None
    return body | {"lag_records": records, "lag_seconds": 0.0 if records == 0 else seconds}
