"""The table of who may do what: the borders that matter, by hand; that it is in force a broker says in tests/kafka."""

import shlex

from schemas.access import GRANTS, ROLES, Deployment, Role, kafka_acls, operations_of
from schemas.topics import BY_NAME, TOPICS

TRUSTED: dict[str, set[Role]] = {  # who may write what others build upon
    "state": {"worker"},
    "segment-changes": {"worker"},
    "campaign-triggers": {"worker"},
    "training-samples": {"worker"},
    "observations": {"worker"},
    "receipts": {"worker", "trainer", "lift"},
    "learner-state": {"trainer"},
    "lift-state": {"lift"},
    "campaign-results": {"lift"},
    "models": {"trainer", "operator"},
    "definitions": {"operator"},
    "commands": {"operator"},
    "events": {"operator", "producer"},
}
PRIVATE: dict[str, set[Role]] = {
    "state": {"worker", "auditor"},
    "learner-state": {"trainer"},
    "lift-state": {"lift"},
    "training-samples": {"trainer"},
    "observations": {"trainer", "lift"},
}


def test_each_topic_is_written_by_those_who_answer_for_it() -> None:
    """Workers can't change what they are told; nobody else can change what they know or say."""
    writers = {topic: {role for role in ROLES if "Write" in operations_of(role, topic)} for topic in map(str, TRUSTED)}
    assert writers == TRUSTED


def test_users_rows_are_read_by_workers_alone() -> None:
    """The state holds every user's history, samples a part of it: not even an operator reads them.

    Whoever audits does, and writes nothing at all.
    """
    readers = {name: {role for role in ROLES if "Read" in operations_of(role, name)} for name in PRIVATE}
    assert readers == PRIVATE
    assert not any("Write" in operations_of("auditor", topic.name) for topic in TOPICS)


def test_producers_and_consumers_stay_on_their_side() -> None:
    """Who writes events reads nothing; who acts upon results writes nothing, and reads neither events nor commands."""
    assert {topic.name for topic in TOPICS if operations_of("producer", topic.name)} == {"events"}
    assert "Read" not in operations_of("producer", "events")
    read = {topic.name for topic in TOPICS if operations_of("consumer", topic.name)}
    kept_from_them = {"events", "commands", "answers", "state", "dead-letters", "receipts"}
    assert read.isdisjoint(kept_from_them | {"training-samples", "observations"})
    assert not any("Write" in operations_of("consumer", topic.name) for topic in TOPICS)


def test_nobody_deletes_or_alters_and_only_the_admin_makes_topics() -> None:
    """No role of the table has an operation that destroys; the workers' transactional ids are theirs alone."""
    operations = {operation for grant in GRANTS for operation in grant.operations}
    assert operations == {"Read", "Write", "Create", "Describe", "DescribeConfigs"}
    assert {grant.role for grant in GRANTS if "Create" in grant.operations} == {"admin"}
    ids = {(grant.role, name) for grant in GRANTS if grant.resource == "transactional-id" for name in grant.names}
    trainer = {("trainer", "{prefix}trainer"), ("operator", "{prefix}trainer")}  # which an operator interrupts
    lift = {("lift", "{prefix}lift")}
    assert (
        ids
        == {("worker", "{prefix}state."), ("operator", "{prefix}rekey."), ("sinks", "{prefix}sinks.")} | trainer | lift
    )


def test_grants_name_topics_of_the_table_and_every_topic_has_a_reader_and_a_writer_among_those_who_use_it() -> None:
    """A topic that is renamed or added is noticed here."""
    assert {name for grant in GRANTS if grant.resource == "topic" for name in grant.names} == set(BY_NAME)


def test_the_commands_carry_a_deployments_own_names_and_survive_a_shell() -> None:
    """Prefix, group and input topic are the deployment's; a principal with blanks is one word."""
    deployment = Deployment("eu.", "blue", "clicks")
    lines = [shlex.split(line) for line in kafka_acls("worker", "User:CN=a b", deployment, "kafka:9093")]
    assert all(line[line.index("--allow-principal") + 1] == "User:CN=a b" for line in lines)
    named = {(line[at], line[at + 1]) for line in lines for at in range(len(line) - 1) if line[at] in {
        "--topic", "--group", "--transactional-id"}}  # fmt: skip
    assert ("--topic", "clicks") in named
    assert ("--topic", "eu.events") not in named
    assert {("--topic", "eu.state"), ("--group", "blue"), ("--transactional-id", "eu.state.")} <= named
    beginnings = {line[line.index("--resource-pattern-type") - 1] for line in lines if line[-1] == "prefixed"}
    assert beginnings == {"blue.control.", "eu.state."}
