"""`shoal topics create` and `check` against real brokers: what is made, what is found wrong; nothing is changed."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import TOPICS
from tests.kafka.secured import shoal, within_a_minute
from tests.support.kafka.broker import Broker, Cluster
from worker.errors import JobFailed, WrongUsage
from worker.kafka import topics
from worker.kafka.clients import admin, reader
from worker.settings import Settings, load

USER_TOPICS = {topic.name for topic in TOPICS if topic.partitions == "as the input"}


@pytest.fixture
def settings(broker: Broker, prefix: str) -> Settings:
    """Those of a deployment without topics yet."""
    return load(bootstrap_servers=broker.bootstrap, topic_prefix=prefix)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three brokers."""
    with Cluster() as running:
        yield running


def findings(settings: Settings) -> list[tuple[str, str]]:
    """Severity and sentence of each finding."""
    return [(found.severity, found.said) for found in within_a_minute(topics.check(settings))]


def findings_soon(settings: Settings, count: int = 1) -> list[tuple[str, str]]:
    """The findings, as soon as there are so many: brokers learn of a change a moment after it is confirmed."""

    async def look() -> list[tuple[str, str]]:
        while True:
            if len(found := await topics.check(settings)) >= count:
                return [(each.severity, each.said) for each in found]
            await asyncio.sleep(0.05)

    return within_a_minute(look())


async def make(settings: Settings, name: str, partitions: int, configuration: dict[str, str] | None = None) -> None:
    """Make a topic as somebody else might have."""
    async with admin(settings) as client:
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configuration)])
    assert [code for _, code, _ in answer.topic_errors] == [0]


async def change(settings: Settings, name: str, configuration: dict[str, str]) -> None:
    """Replace a topic's settings."""
    async with admin(settings) as client:
        answers = await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configuration)])
    assert [resource[0] for answer in answers for resource in answer.resources] == [0]


async def described(settings: Settings) -> dict[str, tuple[int, int, dict[str, str]]]:
    """Every topic of the deployment by its full name: partitions, replicas, settings."""
    async with admin(settings) as client:
        found = [topic for topic in await client.describe_topics() if topic["topic"].startswith(settings.topic_prefix)]
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic["topic"]) for topic in found]
        answers = await client.describe_configs(resources) if resources else []
    configured = {resource[3]: resource[4] for answer in answers for resource in answer.resources}
    return {
        topic["topic"]: (
            len(topic["partitions"]),
            len(topic["partitions"][0]["replicas"]),
            {entry[0]: entry[1] for entry in configured[topic["topic"]]},
        )
        for topic in found
    }


def test_created_topics_are_those_of_the_table(settings: Settings) -> None:
    """Each with its partitions and settings; nothing is wrong with them then, and the input's partitions count."""
    creations = within_a_minute(topics.create(settings, partitions=3))
    there = within_a_minute(described(settings))
    assert {creation.name for creation in creations if creation.made} == set(there)
    assert set(there) == {settings.topic(topic.name) for topic in TOPICS}
    for topic in TOPICS:
        partitions, _, configured = there[settings.topic(topic.name)]
        assert partitions == (3 if topic.name in USER_TOPICS else 1)
        assert {name: configured[name] for name in topic.configuration} == topic.configuration
    assert findings(settings) == []
    assert within_a_minute(topics.input_partitions(settings)) == 3


def test_creating_again_changes_nothing(settings: Settings) -> None:
    """Neither partitions nor settings of what is there, even if they are wrong; other partitions are refused."""
    within_a_minute(topics.create(settings, partitions=2))
    within_a_minute(change(settings, settings.topic("conversions"), {"retention.ms": "1000"}))
    assert [severity for severity, _ in findings_soon(settings)] == ["advice"]
    before = within_a_minute(described(settings))
    again = within_a_minute(topics.create(settings))
    assert not any(creation.made for creation in again)
    assert {creation.name: creation.partitions for creation in again} == {name: row[0] for name, row in before.items()}
    with pytest.raises(WrongUsage, match="has 2 partitions, and that can't be changed: leave --partitions out"):
        within_a_minute(topics.create(settings, partitions=4))
    assert within_a_minute(described(settings)) == before


def test_an_input_of_somebody_elses_is_taken_as_it_is(settings: Settings, prefix: str) -> None:
    """Its partitions decide those of the others; its producers' timestamps are fatal, but not with the event clock."""
    foreign = f"{prefix}clicks"
    within_a_minute(make(settings, foreign, 5))
    told = {"bootstrap_servers": settings.bootstrap_servers, "topic_prefix": prefix, "input_topic": foreign}
    within_a_minute(topics.create(load(**told)))
    there = within_a_minute(described(settings))
    assert there[foreign][0] == there[f"{prefix}state"][0] == 5
    assert f"{prefix}events" not in there
    ((severity, said), (_, kept)) = findings(load(**told))
    assert severity == "fatal"
    assert said.startswith(f"{foreign}: its records carry the time that the producer says")
    assert f"{foreign}: keeps records for 604,800,000 ms" in kept
    assert [severity for severity, _ in findings(load(**told, clock="event"))] == ["advice"]


@pytest.mark.parametrize(
    ("topic", "configuration", "severity", "words"),
    [
        ("state", {"cleanup.policy": "delete"}, "fatal", "cleanup.policy=delete deletes older records"),
        ("state", {"cleanup.policy": "compact,delete"}, "fatal", "add-config cleanup.policy=compact."),
        ("definitions", {"cleanup.policy": "delete"}, "advice", "cleanup.policy=delete deletes older records"),
        ("campaign-triggers", {"cleanup.policy": "compact"}, "advice", "all but the latest record of a key"),
        ("events", {"message.timestamp.type": "CreateTime"}, "fatal", "message.timestamp.type=LogAppendTime"),
        ("conversions", {"retention.ms": "86400000"}, "advice", "add-config retention.ms=7776000000"),
        ("events", {"retention.ms": "-1"}, "advice", "add-config retention.ms=34560000000"),
        ("segment-changes", {"retention.ms": "7776000001"}, "advice", "erased users could come back"),
        ("memberships", {"max.message.bytes": "100000"}, "advice", "takes 100,000 bytes at once"),
        ("receipts", {"unclean.leader.election.enable": "true"}, "advice", "may forget what was committed"),
    ],
)  # fmt: skip
def test_each_wrong_setting_is_found(
    settings: Settings, topic: str, configuration: dict[str, str], severity: str, words: str
) -> None:
    """One finding, that names the topic and the cure; what makes results wrong is fatal."""
    within_a_minute(topics.create(settings, partitions=1))
    row = next(row for row in TOPICS if row.name == topic)
    within_a_minute(change(settings, settings.topic(topic), {**row.configuration, **configuration}))
    ((found, said),) = findings_soon(settings)
    assert (found, said.partition(": ")[0]) == (severity, settings.topic(topic))
    assert words in said


def test_a_grown_input_is_fatal_for_all_that_has_its_partitions(settings: Settings) -> None:
    """A user's records would come to other partitions than her state."""
    within_a_minute(topics.create(settings, partitions=2))

    async def grow() -> None:
        async with admin(settings) as client:
            await client.create_partitions({settings.events_topic: NewPartitions(4)})

    within_a_minute(grow())
    ((severity, said),) = findings_soon(settings)
    assert severity == "fatal"
    assert set(said.partition(": ")[0].split(", ")) == {settings.topic(name) for name in USER_TOPICS - {"events"}}
    assert "has 2 partitions and the input 4" in said
    assert within_a_minute(topics.input_partitions(settings)) == 4


def test_what_must_be_in_one_partition_is(settings: Settings) -> None:
    """Definitions in two partitions have no order, so that no one knows the newest."""
    within_a_minute(make(settings, settings.topic("definitions"), 2, {"cleanup.policy": "compact"}))
    within_a_minute(topics.create(settings, partitions=2))
    ((severity, said),) = findings(settings)
    assert severity == "fatal"
    assert said.startswith(f"{settings.topic('definitions')}: has 2 partitions and must have one")


def test_looking_makes_nothing_even_where_brokers_make_topics_by_themselves(prefix: str) -> None:
    """Topics that are missing are found missing, those a worker needs fatally, and are still missing afterwards."""
    with Broker({"auto.create.topics.enable": "true"}) as willing:
        settings = load(bootstrap_servers=willing.bootstrap, topic_prefix=prefix)
        assert [severity for severity, _ in findings(settings)] == ["fatal", "advice"]
        with pytest.raises(JobFailed, match="events is missing: run shoal topics create"):
            within_a_minute(topics.input_partitions(settings))
        assert within_a_minute(described(settings)) == {}


def test_a_missing_topic_is_named_with_the_command_that_makes_it(settings: Settings) -> None:
    """Fatal if a worker needs it, advice if it doesn't."""
    within_a_minute(topics.create(settings, partitions=1))

    async def delete() -> None:
        async with admin(settings) as client:
            await client.delete_topics([settings.topic("state"), settings.topic("campaign-results")])

    within_a_minute(delete())
    assert findings_soon(settings, count=2) == [
        ("fatal", f"{settings.topic('state')}: is missing: run shoal topics create."),
        ("advice", f"{settings.topic('campaign-results')}: is missing: run shoal topics create."),
    ]


def test_three_brokers_keep_three_copies_of_which_two_confirm(cluster: Cluster, prefix: str) -> None:
    """By default; whoever wants one copy is told what may be lost."""
    safe = load(bootstrap_servers=cluster.bootstrap, topic_prefix=prefix)
    within_a_minute(topics.create(safe, partitions=2))
    there = within_a_minute(described(safe))
    assert {(replicas, configured["min.insync.replicas"]) for _, replicas, configured in there.values()} == {(3, "2")}
    assert findings(safe) == []
    within_a_minute(change(safe, safe.topic("answers"), {**there_of("answers"), "min.insync.replicas": "1"}))
    ((severity, said),) = findings_soon(safe)
    assert severity == "advice"
    assert said.startswith(f"{safe.topic('answers')}: may lose what one broker alone has confirmed")


def test_one_copy_on_three_brokers_is_advised_against(cluster: Cluster, prefix: str) -> None:
    """In one sentence for all topics."""
    risky = load(bootstrap_servers=cluster.bootstrap, topic_prefix=prefix)
    within_a_minute(topics.create(risky, partitions=1, replication_factor=1))
    ((severity, said),) = findings(risky)
    assert severity == "advice"
    assert said.count(prefix) == len(TOPICS)
    assert "is lost with one disk, though there are 3 brokers" in said


def test_more_copies_than_brokers_are_refused_with_what_to_do(settings: Settings) -> None:
    """The brokers refuse, in an answer that doesn't raise by itself."""
    with pytest.raises(JobFailed, match="too few brokers; give a smaller --replication-factor"):
        within_a_minute(topics.create(settings, partitions=1, replication_factor=3))
    assert within_a_minute(described(settings)) == {}


def test_the_commands_tell_what_they_did_and_what_is_wrong(settings: Settings) -> None:
    """`create` lists, and fails over what is fatal; `check` has one line if all is well, and fails otherwise."""
    given = {"bootstrap_servers": settings.bootstrap_servers, "topic_prefix": settings.topic_prefix}
    missing = shoal(given, "topics", "check", status=1)
    assert missing.stdout.startswith(f"fatal   {settings.events_topic}, ")
    made = shoal(given, "topics", "create", "--partitions", "2", "--replication-factor", "1").stdout.splitlines()
    assert made[0] == f"made       {settings.events_topic}, 2 partitions"
    assert len(made) == len(TOPICS)
    assert shoal(given, "topics", "check").stdout == "The topics are as they should be.\n"
    within_a_minute(change(settings, settings.events_topic, {"retention.ms": str(30 * 86_400_000)}))
    assert [severity for severity, _ in findings_soon(settings)] == ["fatal"]
    again = shoal(given, "topics", "create", status=1)
    assert again.stdout.splitlines()[0] == f"was there  {settings.events_topic}, 2 partitions"
    assert again.stdout.splitlines()[-1].startswith(f"fatal   {settings.events_topic}: its records carry the time")
    assert shoal(given, "topics", "check", status=1).stderr == ""


def test_without_a_number_there_are_as_many_partitions_as_help_says(settings: Settings) -> None:
    """The default is written down twice, for a reason: help must come quickly."""
    assert f"default: {topics.PARTITIONS_DEFAULT}." in shoal({}, "topics", "create", "--help").stdout
    creations = within_a_minute(topics.create(settings))
    assert {creation.partitions for creation in creations} == {1, topics.PARTITIONS_DEFAULT}


def test_a_reader_may_be_put_away_before_it_has_done_anything(settings: Settings) -> None:
    """The library would cancel whoever stops a consumer in the very moment it was started."""

    async def look_in() -> str:
        async with reader(settings):
            pass
        return "still here"

    assert within_a_minute(look_in()) == "still here"


def there_of(topic: str) -> dict[str, str]:
    """A topic's settings as the table has them."""
    return next(row.configuration for row in TOPICS if row.name == topic)
