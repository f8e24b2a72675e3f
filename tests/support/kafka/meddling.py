"""What somebody else may do to a deployment: a careless operator, a foreign program, time.

The rule: each is one function that returns when the brokers have done it; nothing here knows of the worker's code.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.admin import DeleteGroupsRequest

from schemas.topics import BY_NAME
from tests.support.kafka.deployment import Deployment, run
from worker.kafka import clients, topics

__all__ = [
    "commit", "configure", "delete_group", "delete_records", "delete_topic", "grow", "make_again", "open_transaction",
    "write",
]  # fmt: skip

SECONDS_MAX = 60.0
POLL_SECONDS = 0.1

Pair = tuple[bytes | None, bytes | None]


def configure(deployment: Deployment, topic: str, **changes: str) -> None:
    """Change settings of a topic of the table; dots are written as underscores. What isn't given is the table's."""
    told = {name.replace("_", "."): value for name, value in changes.items()}
    resource = ConfigResource(
        ConfigResourceType.TOPIC, deployment.full_name(topic), {**BY_NAME[topic].configuration, **told}
    )

    async def ask() -> None:
        async with clients.admin(deployment.settings) as client:
            answers = await client.alter_configs([resource])
            assert all(entry[0] == 0 for answer in answers for entry in answer.resources), answers
            async with asyncio.timeout(SECONDS_MAX):
                while not await _are_in_force(client, resource.name, told):  # noqa: ASYNC110  as below
                    await asyncio.sleep(POLL_SECONDS)

    run(ask())


async def _are_in_force(client: Any, topic: str, wanted: Mapping[str, str]) -> bool:
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    found = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
    return wanted.items() <= found.items()


def delete_topic(deployment: Deployment, topic: str) -> None:
    """Delete a topic, and wait until nobody sees it any more."""
    name = deployment.full_name(topic)

    async def ask() -> None:
        async with clients.admin(deployment.settings) as client, asyncio.timeout(SECONDS_MAX):
            await client.delete_topics([name])
            while name in await client.list_topics():  # noqa: ASYNC110  the brokers tell nobody
                await asyncio.sleep(POLL_SECONDS)

    run(ask())


def make_again(deployment: Deployment) -> None:
    """Make the topics that are missing."""
    run(topics.create(deployment.settings, deployment.partitions))


def grow(deployment: Deployment, partitions: int, *names: str) -> None:
    """Give topics more partitions."""

    async def ask() -> None:
        async with clients.admin(deployment.settings) as client:
            await client.create_partitions({deployment.full_name(name): NewPartitions(partitions) for name in names})

    run(ask())


def delete_records(deployment: Deployment, topic: str, before: Mapping[int, int]) -> None:
    """Delete the records before an offset, by partition, as retention does."""
    wanted = {
        TopicPartition(deployment.full_name(topic), partition): RecordsToDelete(offset)
        for partition, offset in before.items()
    }

    async def ask() -> None:
        async with clients.admin(deployment.settings) as client:
            assert set((await client.delete_records(wanted)).values()) == set(before.values())

    run(ask())


def delete_group(deployment: Deployment) -> None:
    """Delete the workers' group with its offsets, once its last member is given up."""
    group, deadline = deployment.settings.group, time.monotonic() + SECONDS_MAX

    async def ask() -> None:
        async with clients.admin(deployment.settings) as client:
            node = await client.find_coordinator(group)
            while (code := (await _delete(client, node, group))) != 0:
                assert time.monotonic() < deadline, f"the group can't be deleted: error {code}"
                await asyncio.sleep(POLL_SECONDS)

    run(ask())


async def _delete(client: Any, node: int, group: str) -> int:
    answer = await client._send_request(DeleteGroupsRequest([group]), node)
    ((_, code),) = answer.results
    assert isinstance(code, int)
    return code


def commit(deployment: Deployment, offsets: Mapping[int, int]) -> None:
    """Set the group's offsets by hand, once its last member is given up."""
    chosen = {
        TopicPartition(deployment.settings.events_topic, partition): OffsetAndMetadata(offset, "")
        for partition, offset in offsets.items()
    }

    async def ask() -> None:
        setting = clients.consumer(deployment.settings, group_id=deployment.settings.group)
        await setting.start()
        setting.assign(list(chosen))
        deadline = time.monotonic() + SECONDS_MAX
        while not await _is_committed(setting, chosen):
            assert time.monotonic() < deadline, "the group still has members"
            await asyncio.sleep(POLL_SECONDS)
        await setting.stop()

    run(ask())


async def _is_committed(setting: Any, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
    try:
        await setting.commit(offsets)
    except CommitFailedError:
        return False
    return True


def write(deployment: Deployment, topic: str, partition: int, records: Iterable[Pair], *,
          transaction: str | None = None, commits: bool = True) -> None:  # fmt: skip
    """Write records to one partition: plainly, or in a transaction of this id, which commits or aborts."""

    async def ask() -> None:
        producing = await _begun(deployment, topic, partition, records, transaction)
        if transaction is not None:
            await (producing.commit_transaction() if commits else producing.abort_transaction())
        await producing.stop()

    run(ask())


@contextmanager
def open_transaction(deployment: Deployment, topic: str, partition: int, records: Iterable[Pair],
                     transaction: str) -> Iterator[None]:  # fmt: skip
    """While it lasts, a transaction is open that has written these records; then it is aborted."""
    with asyncio.Runner() as runner:
        producing = runner.run(_begun(deployment, topic, partition, records, transaction))
        try:
            yield
        finally:
            runner.run(producing.abort_transaction())
            runner.run(producing.stop())


async def _begun(deployment: Deployment, topic: str, partition: int, records: Iterable[Pair],
                 transaction: str | None) -> AIOKafkaProducer:  # fmt: skip
    producing = AIOKafkaProducer(
        **clients.security(deployment.settings), transactional_id=transaction, transaction_timeout_ms=600_000,
        acks="all", enable_idempotence=True,
    )  # fmt: skip
    await producing.start()
    if transaction is not None:
        await producing.begin_transaction()
    for key, value in records:
        await producing.send_and_wait(deployment.full_name(topic), value, key, partition=partition)
    return producing
