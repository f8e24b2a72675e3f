"""The topics on the cluster: made as the table says, looked at, judged.

The rule: what is there is never changed, only told of; and looking makes nothing, whatever the brokers' settings.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from schemas.access import Role
from schemas.topics import BY_NAME, TOPICS, Topic
from worker.errors import JobFailed, WrongUsage
from worker.kafka.clients import admin
from worker.kafka.findings import REPLICAS_SAFE, Finding, Seen, full_name, judge, looked_at
from worker.settings import Settings

__all__ = ["PARTITIONS_DEFAULT", "check", "create", "input_partitions"]

PARTITIONS_DEFAULT = 12  # it can't be changed later, and limits how many workers share the work
VISIBLE_SECONDS_MAX = 30
VISIBLE_POLL_SECONDS = 0.05

NONE, UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE, TOPIC_UNAUTHORIZED, CLUSTER_UNAUTHORIZED = 0, 3, 5, 29, 31
ALREADY_EXISTS, INVALID_REPLICATION_FACTOR = 36, 38
UNSEEN = {
    UNKNOWN_TOPIC: "is missing: run shoal topics create.",
    TOPIC_UNAUTHORIZED: "may not be seen by this client: allow it what shoal topics acls says.",
}
NOT_MADE = {
    TOPIC_UNAUTHORIZED: "this client may not create topics; shoal topics acls says what to allow",
    CLUSTER_UNAUTHORIZED: "this client may not create topics; shoal topics acls says what to allow",
    INVALID_REPLICATION_FACTOR: "there are too few brokers; give a smaller --replication-factor",
}


@dataclass(frozen=True)
class Creation:
    """A topic of the table: its full name, its partitions, and whether it was made just now or was there."""

    name: str
    partitions: int
    made: bool


async def create(
    settings: Settings, partitions: int | None = None, replication_factor: int | None = None
) -> list[Creation]:
    """Make the topics that are missing; return all.

    Without `partitions` as many as the input has, if it is there; without a factor three, or as many as there are
    brokers. Raises WrongUsage if the input is there with other partitions, JobFailed if the brokers refuse.
    """
    async with _asking(settings) as client:
        metadata = await _metadata(client, settings)
        known = {name: found for name, found in _found(metadata).items() if isinstance(found, int)}
        count = _partitions(settings, known.get(settings.events_topic), partitions)
        copies = replication_factor or min(REPLICAS_SAFE, len(metadata["brokers"]))
        missing = [topic for topic in TOPICS if full_name(settings, topic) not in known]
        made = await _make(client, settings, missing, count, copies)
        await _until_visible(client, settings, made)
    return [
        Creation(name, known.get(name, topic.partitions_for(count)), made=name in made)
        for topic in TOPICS
        for name in [full_name(settings, topic)]
    ]


async def check(settings: Settings, role: Role = "worker") -> list[Finding]:
    """Return what is wrong with the topics that a role looks at, fatal things first; nothing if all is well."""
    async with _asking(settings) as client:
        metadata = await _metadata(client, settings, looked_at(role))
        found = _found(metadata)
        there = [name for name, partitions in found.items() if isinstance(partitions, int)]
        configured = await _configured(client, there)
    copies = {
        topic["topic"]: min((len(partition["replicas"]) for partition in topic["partitions"]), default=0)
        for topic in metadata["topics"]
    }
    seen = {
        name: Seen(partitions, copies[name], configured[name]) if isinstance(partitions, int) else partitions
        for name, partitions in found.items()
    }
    return judge(settings, len(metadata["brokers"]), seen, role)


async def input_partitions(settings: Settings) -> int:
    """Return how many partitions the topic of the events has. Raises JobFailed if it isn't there."""
    async with _asking(settings) as client:
        found = _found(await _metadata(client, settings, [BY_NAME["events"]]))[settings.events_topic]
    if isinstance(found, str):
        raise JobFailed(f"{settings.events_topic} {found}")
    return found


@asynccontextmanager
async def _asking(settings: Settings) -> AsyncIterator[Any]:
    """An admin client; what Kafka raises becomes a JobFailed."""
    async with admin(settings) as client:
        try:
            yield client
        except (KafkaError, TimeoutError) as error:
            said = type(error).__name__
            raise JobFailed(f"The brokers didn't say how the topics are ({said}): try again.") from error


async def _metadata(client: Any, settings: Settings, topics: Iterable[Topic] = TOPICS) -> dict[str, Any]:
    """Return brokers and topics. `describe_topics` would have brokers that make topics by themselves make them."""
    names = [full_name(settings, topic) for topic in topics]
    request = MetadataRequest(names, allow_auto_topic_creation=False)
    return (await client._send_request(request)).to_object()  # noqa: SLF001


def _found(metadata: dict[str, Any]) -> dict[str, int | str]:
    """Return each topic's partitions, or why it can't be seen."""
    return {topic["topic"]: _partitions_or_reason(topic) for topic in metadata["topics"]}


def _partitions_or_reason(topic: dict[str, Any]) -> int | str:
    code = topic["error_code"]
    if code in (NONE, LEADER_NOT_AVAILABLE):
        return len(topic["partitions"])
    return UNSEEN.get(code, f"can't be looked at ({for_code(code).__name__}): see that the brokers are well.")


async def _configured(client: Any, names: list[str]) -> dict[str, dict[str, str] | None]:
    """Return the settings in force of topics that are there; None where this client may not read them."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers = await client.describe_configs(resources) if resources else []
    configured: dict[str, dict[str, str] | None] = dict.fromkeys(names)
    for code, _, _, name, entries in (resource for answer in answers for resource in answer.resources):
        if code == NONE:
            configured[name] = {entry[0]: entry[1] for entry in entries}
    return configured


def _partitions(settings: Settings, there: int | None, wanted: int | None) -> int:
    if there is None:
        return wanted or PARTITIONS_DEFAULT
    if wanted not in (None, there):
        raise WrongUsage(
            f"{settings.events_topic} has {there} partitions, and that can't be changed: leave --partitions out, or "
            "copy the events with shoal rekey to a topic that has as many as you want."
        )
    return there


async def _make(client: Any, settings: Settings, topics: list[Topic], partitions: int, copies: int) -> set[str]:
    """Make topics; return the names of those that nobody else made meanwhile."""
    extra = {"min.insync.replicas": "2"} if copies >= REPLICAS_SAFE else {}
    wanted = [
        NewTopic(
            full_name(settings, topic),
            topic.partitions_for(partitions),
            copies,
            topic_configs={**topic.configuration, **extra},
        )
        for topic in topics
    ]
    answer = await client.create_topics(wanted) if wanted else None
    codes = {name: (code, message) for name, code, message in answer.topic_errors} if answer else {}
    for name, (code, message) in sorted(codes.items()):
        if code not in (NONE, ALREADY_EXISTS):
            raise JobFailed(f"{name} can't be made: {NOT_MADE.get(code, f'{for_code(code).__name__}, {message}')}.")
    return {name for name, (code, _) in codes.items() if code == NONE}


async def _until_visible(client: Any, settings: Settings, made: set[str]) -> None:
    """Wait until the brokers know of what was just made, so that whoever comes next finds it."""
    topics = [topic for topic in TOPICS if full_name(settings, topic) in made]
    async with asyncio.timeout(VISIBLE_SECONDS_MAX):
        while topics:
            found = _found(await _metadata(client, settings, topics))
            topics = [topic for topic in topics if not isinstance(found[full_name(settings, topic)], int)]
            await asyncio.sleep(VISIBLE_POLL_SECONDS)
