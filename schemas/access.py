"""Who may do what: the least that each role needs of Kafka, as access control lists.

The rule: what isn't listed is refused. Nobody but a worker may write `state` or use a worker's transactional ids: its
rows are what everything is computed from, and whoever starts a producer under its ids stops it. The trainer's state is
its own in the same way; its id an operator has too, to interrupt it when models are frozen or rolled back.
`docs/topics.md` and `shoal topics acls` are printed from here.
"""

import shlex
from dataclasses import dataclass
from typing import Literal, get_args

from schemas.topics import BY_NAME, PREFIX_DEFAULT

__all__ = [
    "DELIVERED", "GRANTS", "LEARNT_FROM", "MEASURED_FROM", "ROLES", "Deployment", "Role", "kafka_acls", "operations_of",
    "topics_of",
]  # fmt: skip

Role = Literal["worker", "trainer", "lift", "sinks", "auditor", "operator", "producer", "consumer", "admin"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]
Resource = Literal["topic", "group", "transactional-id"]

ROLES: dict[Role, str] = {
    "worker": "`shoal worker`, and `shoal points`, which reads the state",
    "trainer": "`shoal trainer`",
    "lift": "`shoal lift`",
    "sinks": "`shoal sinks`",
    "auditor": "runs `shoal verify`",
    "operator": "whoever runs the other commands: publishes definitions, pauses campaigns, freezes models, asks",
    "producer": "the shop, which writes events",
    "consumer": "what acts upon the results",
    "admin": "runs `shoal topics create`",
}


@dataclass(frozen=True)
class Deployment:
    """What names depend on: a prefix, the workers' consumer group, the topic of the events if it has another name."""

    prefix: str = PREFIX_DEFAULT
    group: str = "shoal.workers"
    input_topic: str | None = None

    def topic(self, name: str) -> str:
        """Return the full name of a topic of the table."""
        return self.input_topic if name == "events" and self.input_topic else self.prefix + name


@dataclass(frozen=True)
class Grant:
    """One row: a role may do `operations` on what `names` name."""

    role: Role
    operations: tuple[Operation, ...]
    resource: Resource
    names: tuple[str, ...]  # of topics as in their table; of others in full, with {prefix} and {group}
    prefixed: bool = False  # the names are beginnings

    def full_names(self, deployment: Deployment) -> list[str]:
        """Return the names as a deployment has them."""
        if self.resource == "topic":
            return [deployment.topic(name) for name in self.names]
        return [name.format(prefix=deployment.prefix, group=deployment.group) for name in self.names]


RESULTS = ("segment-changes", "memberships", "campaign-decisions", "campaign-triggers", "conversions", "messages")
LEARNT_FROM = ("training-samples", "observations")
MEASURED_FROM = ("campaign-decisions", "conversions", "messages", "observations")
DELIVERED = ("campaign-triggers", "segment-changes")
ALL_TOPICS = tuple(BY_NAME)

GRANTS = (
    # DescribeConfigs where a wrong setting stops a worker's start.
    Grant("worker", ("Read", "Describe", "DescribeConfigs"), "topic", ("events",)),
    # Receipts are read where a state was lost: who was suppressed stays so.
    Grant("worker", ("Read", "Describe"), "topic", ("definitions", "models", "commands", "receipts")),
    Grant("worker", ("Read", "Write", "Describe", "DescribeConfigs"), "topic", ("state",)),
    Grant(
        "worker",
        ("Write", "Describe"),
        "topic",
        (*RESULTS, "training-samples", "observations", "dead-letters", "receipts", "answers"),
    ),
    Grant("worker", ("Read", "Describe"), "group", ("{group}",)),
    Grant("worker", ("Read", "Describe"), "group", ("{group}.control.",), prefixed=True),
    Grant("worker", ("Write", "Describe"), "transactional-id", ("{prefix}state.",), prefixed=True),
    Grant("trainer", ("Read", "Describe"), "topic", ("definitions", "commands", *LEARNT_FROM)),
    Grant("trainer", ("Read", "Write", "Describe"), "topic", ("models",)),
    Grant("trainer", ("Read", "Write", "Describe", "DescribeConfigs"), "topic", ("learner-state",)),
    Grant("trainer", ("Write", "Describe"), "topic", ("receipts", "answers")),
    Grant("trainer", ("Read", "Describe"), "group", ("{prefix}trainer",)),
    Grant("trainer", ("Read", "Describe"), "group", ("{prefix}trainer.control.",), prefixed=True),
    Grant("trainer", ("Write", "Describe"), "transactional-id", ("{prefix}trainer",)),
    Grant("lift", ("Read", "Describe"), "topic", ("definitions", "models", "commands", *MEASURED_FROM)),
    Grant("lift", ("Write", "Describe"), "topic", ("campaign-results", "receipts", "answers")),
    Grant("lift", ("Read", "Write", "Describe", "DescribeConfigs"), "topic", ("lift-state",)),
    Grant("lift", ("Read", "Describe"), "group", ("{prefix}lift",)),
    Grant("lift", ("Read", "Describe"), "group", ("{prefix}lift.control.",), prefixed=True),
    Grant("lift", ("Write", "Describe"), "transactional-id", ("{prefix}lift",)),
    # Which group members read the control topics is the process's business; it obeys none but an erasure.
    Grant("sinks", ("Read", "Describe"), "topic", (*DELIVERED, "definitions", "models", "commands")),
    Grant("sinks", ("Write", "Describe"), "topic", ("audience-events", "sink-dead-letters", "answers")),
    Grant("sinks", ("Read", "Describe"), "group", ("{prefix}sinks",)),
    Grant("sinks", ("Read", "Describe"), "group", ("{prefix}sinks.control.",), prefixed=True),
    Grant("sinks", ("Write", "Describe"), "transactional-id", ("{prefix}sinks.",), prefixed=True),
    Grant("auditor", ("Read", "Describe"), "topic", ("events", "state", "memberships")),
    Grant("operator", ("Describe", "DescribeConfigs"), "topic", ALL_TOPICS),
    Grant("operator", ("Read", "Write"), "topic", ("events", "definitions", "models", "commands")),
    Grant(
        "operator",
        ("Read",),
        "topic",
        ("answers", "segment-changes", "dead-letters", "sink-dead-letters", "receipts", "campaign-results"),
    ),
    Grant("operator", ("Describe",), "group", ("{group}", "{prefix}trainer", "{prefix}lift", "{prefix}sinks")),
    Grant("operator", ("Write", "Describe"), "transactional-id", ("{prefix}trainer",)),
    # A copy's progress; of the topic that is copied, if it isn't in the table, its owner allows Read.
    Grant("operator", ("Read", "Describe"), "group", ("{prefix}rekey.",), prefixed=True),
    Grant("operator", ("Write", "Describe"), "transactional-id", ("{prefix}rekey.",), prefixed=True),
    Grant("producer", ("Write", "Describe"), "topic", ("events",)),
    Grant("consumer", ("Read", "Describe"), "topic", (*RESULTS, "audience-events", "campaign-results")),
    Grant("consumer", ("Read", "Describe"), "group", ("{prefix}consumer.",), prefixed=True),
    Grant("admin", ("Create", "Describe", "DescribeConfigs"), "topic", ALL_TOPICS),
)


def topics_of(role: Role) -> set[str]:
    """Return the topics that a role may do anything with."""
    return {name for grant in GRANTS if grant.role == role and grant.resource == "topic" for name in grant.names}


def operations_of(role: Role, topic: str) -> list[Operation]:
    """Return what a role may do with a topic, in the order of Kafka's documentation.

    >>> operations_of("operator", "answers")
    ['Read', 'Describe', 'DescribeConfigs']
    """
    allowed = {
        operation
        for grant in GRANTS
        if grant.role == role and grant.resource == "topic" and topic in grant.names
        for operation in grant.operations
    }
    return [operation for operation in get_args(Operation) if operation in allowed]


def kafka_acls(role: Role, principal: str, deployment: Deployment, bootstrap: str) -> list[str]:
    """Return the commands that grant a role to a principal (`User:name`), for a shell, one a line."""
    begin = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", "admin.properties", "--add"]
    return [
        shlex.join([*begin, "--allow-principal", principal, *_arguments(grant, deployment)])
        for grant in GRANTS
        if grant.role == role
    ]


def _arguments(grant: Grant, deployment: Deployment) -> list[str]:
    operations = [part for operation in grant.operations for part in ("--operation", operation)]
    named = [part for name in grant.full_names(deployment) for part in (f"--{grant.resource}", name)]
    return [*operations, *named, *(["--resource-pattern-type", "prefixed"] if grant.prefixed else [])]
