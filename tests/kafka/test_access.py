"""A broker told what `shoal topics acls` prints: each role can do what the table says, and nothing else."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import OffsetAndMetadata

from schemas.access import ROLES, Role, operations_of
from schemas.topics import TOPICS
from tests.kafka.commands import DEFINITIONS
from tests.kafka.secured import running, shoal, shoal_in_turn, within_a_minute
from tests.support.kafka.acls import kafka_acls
from tests.support.kafka.broker import Broker
from tests.support.kafka.properties import Security
from worker.kafka import topics
from worker.kafka.clients import admin, consumer, producer, reader, security
from worker.settings import Settings, load

USERS = {role: f"the-{role}" for role in ROLES}
TOPIC_REFUSED, GROUP_REFUSED, ID_REFUSED = 29, 30, 53
WORKER_GROUP, CONTROL_GROUP, CONSUMER_GROUP = "shoal.workers", "shoal.workers.control.host-1", "shoal.consumer.mailer"
OPERATORS_COMMANDS = (
    ("topics", "check"),
    ("definitions", "history"),
    ("campaigns", "pause", "cart_reminder"),
    ("campaigns", "resume", "cart_reminder"),
    ("models", "list"),
    ("models", "freeze"),
    ("models", "freeze", "--release"),
    ("explain", "u-7"),
    ("status",),
    ("lift", "report"),
    ("events", "check"),
    ("dead-letters", "list"),
    ("dead-letters", "redrive", "--sinks"),
    ("simulate", "--to", "kafka", "--users", "2", "--days", "1"),
    ("tick", "2026-11-23T00:00:00Z"),
)
REKEYING = "shoal.rekey.clicks.shoal.events"
TRAINER, TRAINER_CONTROL = "shoal.trainer", "shoal.trainer.control.host-1"
LIFT, LIFT_CONTROL = "shoal.lift", "shoal.lift.control.host-1"
SINKS, SINKS_CONTROL, SINKS_ID = "shoal.sinks", "shoal.sinks.control.host-1", "shoal.sinks.0"
GROUPS = {WORKER_GROUP, CONTROL_GROUP, TRAINER, TRAINER_CONTROL, LIFT, LIFT_CONTROL, SINKS, SINKS_CONTROL,
          CONSUMER_GROUP, REKEYING, "shoal.consumer", "shoal2", "elsewhere"}  # fmt: skip
IDS = {"shoal.state.0", TRAINER, LIFT, SINKS_ID, REKEYING, "shoal.other.0", "elsewhere.0"}
EXPECTED_GROUPS: dict[str, dict[str, set[str]]] = {
    "worker": {WORKER_GROUP: {"Read", "Describe"}, CONTROL_GROUP: {"Read", "Describe"}},
    "trainer": {TRAINER: {"Read", "Describe"}, TRAINER_CONTROL: {"Read", "Describe"}},
    "lift": {LIFT: {"Read", "Describe"}, LIFT_CONTROL: {"Read", "Describe"}},
    "sinks": {SINKS: {"Read", "Describe"}, SINKS_CONTROL: {"Read", "Describe"}},
    "auditor": {},
    "operator": {
        WORKER_GROUP: {"Describe"},
        TRAINER: {"Describe"},
        LIFT: {"Describe"},
        SINKS: {"Describe"},
        REKEYING: {"Read", "Describe"},
    },
    "producer": {},
    "consumer": {CONSUMER_GROUP: {"Read", "Describe"}},
    "admin": {},
}
EXPECTED_IDS: dict[str, dict[str, set[str]]] = {
    "worker": {"shoal.state.0": {"Describe", "Write"}},
    "trainer": {TRAINER: {"Describe", "Write"}},
    "lift": {LIFT: {"Describe", "Write"}},
    "sinks": {SINKS_ID: {"Describe", "Write"}},
    "operator": {REKEYING: {"Describe", "Write"}, TRAINER: {"Describe", "Write"}},
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    """A broker that allows what was printed; the topics were made by the role that is to make them."""
    everybody = {user: f"password of {user}" for user in USERS.values()}
    with Broker(security=Security("SASL_SSL", everybody, authorize=True)) as broker:
        allow(broker, {})
        within_a_minute(topics.create(settings_of(broker, "admin"), partitions=1))
        yield broker


def allow(broker: Broker, names: dict[str, str]) -> None:
    """Allow each role what is printed for it, for a deployment of these names."""
    principals = [part for role, user in USERS.items() for part in (f"--{role}-principal", f"User:{user}")]
    for line in shoal(
        {"bootstrap_servers": broker.bootstrap, **names}, "topics", "acls", *principals
    ).stdout.splitlines():
        within_a_minute(kafka_acls(broker, line))


def settings_of(broker: Broker, role: Role) -> Settings:
    """A role's settings, with names as they are by default."""
    return load(**broker.client(USERS[role]))


async def refused_topics(settings: Settings) -> dict[str, set[str]]:
    """By operation the topics that the brokers refuse it on, asked in their own protocol."""
    names = [settings.topic(topic.name) for topic in TOPICS]
    async with admin(settings) as client:
        told = (await client._send_request(MetadataRequest(names, allow_auto_topic_creation=False))).to_object()
        configured = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
        created = await client.create_topics([NewTopic(name, 1, 1) for name in names], validate_only=True)
        everything = [(name, [(0, 0, 1_000)]) for name in names]
        fetched = await client._send_request(FetchRequest(0, 0, 100_000, 0, everything))
    codes = {
        "Describe": {topic["topic"]: topic["error_code"] for topic in told["topics"]},
        "DescribeConfigs": {resource[3]: resource[0] for answer in configured for resource in answer.resources},
        "Create": {name: code for name, code, _ in created.topic_errors},
        "Read": {name: partitions[0][1] for name, partitions in fetched.topics},
    }
    assert all(set(by_name) == set(names) for by_name in codes.values())
    refused = {
        operation: {name for name, code in by_name.items() if code == TOPIC_REFUSED}
        for operation, by_name in codes.items()
    }
    return refused | {"Write": await refused_writes(settings, names)}


async def refused_writes(settings: Settings, names: list[str]) -> set[str]:
    """The topics that a record was refused by."""
    producing = AIOKafkaProducer(**security(settings))
    await producing.start()
    sent = [producing.send_and_wait(name, b"value", b"key") for name in names]
    results = await asyncio.gather(*sent, return_exceptions=True)
    await producing.stop()
    refused = {
        name for name, result in zip(names, results, strict=True) if isinstance(result, TopicAuthorizationFailedError)
    }
    assert all(
        name in refused or not isinstance(result, BaseException) for name, result in zip(names, results, strict=True)
    )
    return refused


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_do_with_topics_what_the_table_says_and_nothing_else(guarded: Broker, role: Role) -> None:
    """Every operation on every topic, tried: what is listed works, what isn't is refused."""
    settings = settings_of(guarded, role)
    refused = within_a_minute(refused_topics(settings))
    found = {
        topic.name: {operation for operation, names in refused.items() if settings.topic(topic.name) not in names}
        for topic in TOPICS
    }
    assert found == {topic.name: set(operations_of(role, topic.name)) for topic in TOPICS}


async def allowed_groups(settings: Settings) -> dict[str, set[str]]:
    """By group what may be done with it."""
    allowed: dict[str, set[str]] = {}
    async with admin(settings) as client:
        for group in GROUPS:
            asked = await client._send_request(FindCoordinatorRequest(group, 0))
            beat = await client._send_request(HeartbeatRequest(group, 0, "nobody"))
            codes = {"Describe": asked.error_code, "Read": beat.error_code}
            allowed[group] = {operation for operation, code in codes.items() if code != GROUP_REFUSED}
    return {group: operations for group, operations in allowed.items() if operations}


async def allowed_ids(settings: Settings) -> dict[str, set[str]]:
    """By transactional id what may be done with it."""
    allowed: dict[str, set[str]] = {}
    async with admin(settings) as client:
        for name in IDS:
            asked = await client._send_request(FindCoordinatorRequest(name, 1))
            begun = await client._send_request(InitProducerIdRequest(name, 10_000))
            codes = {"Describe": asked.error_code, "Write": begun.error_code}
            allowed[name] = {operation for operation, code in codes.items() if code != ID_REFUSED}
    return {name: operations for name, operations in allowed.items() if operations}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_its_own_groups_and_transactional_ids(guarded: Broker, role: Role) -> None:
    """Whoever else started a producer under a worker's id would stop the worker."""
    settings = settings_of(guarded, role)
    assert within_a_minute(allowed_groups(settings)) == EXPECTED_GROUPS[role]
    assert within_a_minute(allowed_ids(settings)) == EXPECTED_IDS.get(role, {})


def test_a_worker_does_all_its_work(guarded: Broker) -> None:
    """Checks topics, reads events in its group, writes state, results and offsets in a transaction, and restores."""
    settings = settings_of(guarded, "worker")
    written = [topic.name for topic in TOPICS if "Write" in operations_of("worker", topic.name)]
    events = TopicPartition(settings.events_topic, 0)

    async def work() -> None:
        assert [found.severity for found in await topics.check(settings)] == ["advice", "advice"]
        consuming = consumer(settings, group_id=settings.group, auto_offset_reset="earliest")
        controlling = consumer(settings, group_id=CONTROL_GROUP, auto_offset_reset="earliest")
        producing = producer(settings, settings.transactional_id(0))
        for client in (consuming, controlling, producing):
            await client.start()
        consuming.subscribe([settings.events_topic])
        controlling.subscribe([settings.topic("definitions")])
        assert (await consuming.getone()).topic == settings.events_topic
        assert (await controlling.getone()).topic == settings.topic("definitions")
        async with producing.transaction():
            for name in written:
                await producing.send_and_wait(settings.topic(name), b"from a worker", b"key", partition=0)
            await producing.send_offsets_to_transaction({events: OffsetAndMetadata(1, "")}, settings.group)
        while await consuming.committed(events) != 1:
            pass  # asked again: it is visible a moment after the transaction's end
        for client in (consuming, controlling, producing):
            await client.stop()
        async with reader(settings) as restoring:
            restoring.assign([TopicPartition(settings.topic("state"), 0)])
            await restoring.seek_to_beginning()
            assert (await restoring.getone()).key == b"key"

    within_a_minute(send(guarded, "producer", "events", b"an event"))
    within_a_minute(send(guarded, "operator", "definitions", b"definitions"))
    within_a_minute(work())


async def send(broker: Broker, role: Role, topic: str, value: bytes) -> None:
    """Write a record as the product's own producer does."""
    settings = settings_of(broker, role)
    producing = producer(settings)
    await producing.start()
    await producing.send_and_wait(settings.topic(topic), value, b"key")
    await producing.stop()


def test_results_are_consumed_in_a_group_of_the_consumers(guarded: Broker) -> None:
    """The role that acts upon results reads them and commits how far it is."""
    settings = settings_of(guarded, "consumer")

    async def consume() -> None:
        consuming = consumer(settings, group_id=CONSUMER_GROUP, auto_offset_reset="earliest")
        await consuming.start()
        consuming.subscribe([settings.topic("campaign-triggers")])
        assert (await consuming.getone()).key == b"key"
        await consuming.commit()
        await consuming.stop()

    within_a_minute(write_as_worker(guarded))
    within_a_minute(consume())


async def write_as_worker(broker: Broker) -> None:
    """A trigger, in a transaction of a worker's."""
    settings = settings_of(broker, "worker")
    producing = producer(settings, settings.transactional_id(0))
    await producing.start()
    async with producing.transaction():
        await producing.send_and_wait(settings.topic("campaign-triggers"), b"a trigger", b"key")
    await producing.stop()


def test_who_may_not_make_topics_is_told_what_to_do(guarded: Broker) -> None:
    """One sentence, without the names of the brokers' errors."""
    given = guarded.client(USERS["producer"]) | {"topic_prefix": "shoal.new."}
    told = shoal(given, "topics", "create", status=1)
    assert told.stdout == ""
    assert told.stderr == (
        "shoal: shoal.new.answers can't be made: this client may not create topics; shoal topics acls says what to "
        "allow.\n"
    )


def test_a_worker_that_may_not_see_its_topics_is_stopped(guarded: Broker) -> None:
    """As is one that may not read the settings that decide; with the ACLs to give."""
    found = within_a_minute(topics.check(settings_of(guarded, "consumer")))
    fatal = [finding.said for finding in found if finding.severity == "fatal"]
    assert any("shoal.state" in said and "may not be seen by this client" in said for said in fatal)
    assert all("shoal topics acls" in said for said in fatal)


def test_a_deployment_lives_with_what_its_roles_are_allowed(guarded: Broker, prefix: str, tmp_path: Path) -> None:
    """From topics to a transition that a consumer reads, operators' commands included; and no password is logged."""
    names = {"topic_prefix": prefix, "group": f"{prefix}workers"}
    allow(guarded, names)
    given = {role: guarded.client(user) | names for role, user in USERS.items()}
    file, said = tmp_path / "definitions.yaml", tmp_path / "worker"
    file.write_text(DEFINITIONS, encoding="utf-8")
    shoal(given["admin"], "topics", "create", "--partitions", "1")
    shoal(given["operator"], "definitions", "publish", file)
    order = {"type": "track", "event": "Order Completed", "userId": "u-7", "timestamp": "2026-11-22T10:15:00Z"}
    event = {"clock": "event", "log_level": "DEBUG", "http_port": "0"}
    learns = running(given["trainer"] | event, "trainer", said=tmp_path / "trainer")
    measures = running(given["lift"] | event, "lift", said=tmp_path / "lift")
    with running(given["worker"] | event, "worker", said=said) as worker, learns as trainer, measures as lift:
        within_a_minute(write_event(load(**given["producer"]), order))
        assert within_a_minute(first_change(load(**given["consumer"])))["user_id"] == "u-7"
        shoal_in_turn(given["operator"], OPERATORS_COMMANDS)
        within_a_minute(until_said(tmp_path / "trainer", "The trainer learns."))
        within_a_minute(until_said(tmp_path / "lift", "Lift is measured."))
        for process in (worker, trainer, lift):
            process.terminate()
        assert [worker.wait(60), trainer.wait(60), lift.wait(60)] == [0, 0, 0]
    logged = "".join((tmp_path / role).read_text(encoding="utf-8") for role in ("worker", "trainer", "lift"))
    assert "The worker has ended." in logged
    assert [user for user in USERS.values() if f"password of {user}" in logged] == []


async def until_said(file: Path, words: str) -> None:
    """Wait until a log says something."""
    while words not in file.read_text(encoding="utf-8"):  # noqa: ASYNC110, ASYNC240  another process writes it
        await asyncio.sleep(0.1)


async def write_event(settings: Settings, event: dict[str, str]) -> None:
    """Write an event under its user's id."""
    producing = producer(settings)
    await producing.start()
    await producing.send_and_wait(settings.events_topic, json.dumps(event).encode(), event["userId"].encode())
    await producing.stop()


async def first_change(settings: Settings) -> dict[str, Any]:
    """Wait for a segment change and return it."""
    async with reader(settings) as reading:
        partition = TopicPartition(settings.topic("segment-changes"), 0)
        reading.assign([partition])
        await reading.seek_to_beginning(partition)
        return json.loads((await reading.getone()).value)
