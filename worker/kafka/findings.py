"""What is wrong with the topics of a cluster, as sentences that say what to do. Pure: what was seen comes in.

The rule: `fatal` is what would stop the role that looks or make its results wrong, and only that; all else is advice.
Topics with the same trouble share a sentence.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.access import DELIVERED, LEARNT_FROM, MEASURED_FROM, Role, topics_of
from schemas.topics import BY_NAME, FOREVER_MS, TOPICS, Topic
from worker.core.erasures import ERASED_KEPT_MS
from worker.kafka.clients import BATCH_BYTES_MAX
from worker.settings import Settings

__all__ = ["MESSAGE_BYTES_DEFAULT", "REPLICAS_SAFE", "Finding", "Seen", "full_name", "judge", "looked_at"]

Severity = Literal["fatal", "advice"]


REPLICAS_SAFE = 3  # so that one broker may be away and another be lost
# Topics of which a wrong setting is fatal, by the role that depends on them.
DECISIVE: Mapping[Role, set[str]] = {
    "worker": {"events", "state"},
    "trainer": {"learner-state"},
    "lift": {"lift-state"},
}
AFTER_COMMANDS = {*LEARNT_FROM, *MEASURED_FROM, *DELIVERED}  # read by those who know of erasures from `commands`
MESSAGE_BYTES_DEFAULT = 1_048_588  # Kafka's own
CHANGE = "kafka-configs.sh --alter --entity-type topics --add-config"


class Trouble(NamedTuple):
    """Something that is wrong with a topic, whichever it is."""

    severity: Severity
    text: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, with the full names of the topics that it is wrong with."""

    severity: Severity
    topics: tuple[str, ...]
    trouble: str

    @property
    def said(self) -> str:
        """The sentence, with the topics that it is about."""
        return f"{', '.join(self.topics)}: {self.trouble}"


@dataclass(frozen=True)
class Seen:
    """A topic as the cluster has it."""

    partitions: int
    replicas: int  # of the partition that has fewest
    settings: Mapping[str, str] | None  # in force, the brokers' defaults included; None: this client may not read them


@dataclass(frozen=True)
class Circumstances:
    """What a topic is judged by, besides itself."""

    settings: Settings
    brokers: int
    role: Role  # who looks
    input_partitions: int | None  # None: the input isn't there, or is none of the role's business
    commands_kept_ms: int | None  # None: it isn't known

    def is_decisive(self, topic: Topic) -> bool:
        """Whether a wrong setting of the topic is fatal."""
        return topic.name in DECISIVE.get(self.role, set())


def full_name(settings: Settings, topic: Topic) -> str:
    """Return a topic's name on the cluster."""
    return settings.events_topic if topic.name == "events" else settings.topic(topic.name)


def looked_at(role: Role) -> list[Topic]:
    """Return the topics that a role looks at: a worker, as the deployment's keeper, at all, others at their own."""
    return [topic for topic in TOPICS if role == "worker" or topic.name in topics_of(role)]


def judge(settings: Settings, brokers: int, seen: Mapping[str, Seen | str], role: Role = "worker") -> list[Finding]:
    """Return what is wrong, fatal things first; a topic that wasn't seen comes with the reason instead."""
    events = seen[full_name(settings, BY_NAME["events"])] if BY_NAME["events"] in looked_at(role) else None
    input_partitions = events.partitions if isinstance(events, Seen) else None
    under = Circumstances(settings, brokers, role, input_partitions, _kept_ms(seen.get(settings.topic("commands"))))
    sentences: dict[Trouble, list[str]] = defaultdict(list)
    for topic in looked_at(role):
        name = full_name(settings, topic)
        for trouble in _troubles(topic, seen[name], under):
            if trouble is not None:
                sentences[trouble].append(name)
    found = [Finding(trouble.severity, tuple(names), trouble.text) for trouble, names in sentences.items()]
    return sorted(found, key=lambda finding: finding.severity != "fatal")


def _kept_ms(found: Seen | str | None) -> int | None:
    return int(found.settings["retention.ms"]) if isinstance(found, Seen) and found.settings is not None else None


def _troubles(topic: Topic, found: Seen | str, under: Circumstances) -> Iterator[Trouble | None]:
    if isinstance(found, str):
        yield Trouble("fatal" if topic.name in topics_of(under.role) else "advice", found)
        return
    yield _partitions(topic, found, under)
    yield _replicas(found, under)
    if found.settings is None:
        severity: Severity = "fatal" if under.is_decisive(topic) else "advice"
        yield Trouble(severity, "its settings may not be read: allow DescribeConfigs, as shoal topics acls says.")
        return
    for check in SETTINGS_CHECKS:
        yield check(topic, found.settings, under)


def _partitions(topic: Topic, found: Seen, under: Circumstances) -> Trouble | None:
    wanted = topic.partitions_for(under.input_partitions or found.partitions)
    if found.partitions == wanted:
        return None
    if topic.partitions == "one":
        return _fatal(f"has {found.partitions} partitions and must have one: delete it and run shoal topics create.")
    return _fatal(
        f"has {found.partitions} partitions and the input {wanted}, but a user's records must stay in their partition: "
        f"copy the events (shoal rekey) to a topic of {found.partitions} and read that, or begin anew under another "
        "SHOAL_TOPIC_PREFIX."
    )


def _replicas(found: Seen, under: Circumstances) -> Trouble | None:
    if under.brokers < REPLICAS_SAFE or found.replicas > 1:
        return None
    return _advice(
        f"is lost with one disk, though there are {under.brokers} brokers: raise its replication factor to "
        f"{REPLICAS_SAFE} with kafka-reassign-partitions.sh."
    )


def _in_sync(_: Topic, settings: Mapping[str, str], under: Circumstances) -> Trouble | None:
    if under.brokers < REPLICAS_SAFE or int(settings["min.insync.replicas"]) > 1:
        return None
    return _advice(f"may lose what one broker alone has confirmed: {CHANGE} min.insync.replicas=2.")


def _unclean(_: Topic, settings: Mapping[str, str], __: Circumstances) -> Trouble | None:
    if settings["unclean.leader.election.enable"] != "true":
        return None
    return _advice(
        "may forget what was committed when a replica that lags takes over: "
        f"{CHANGE} unclean.leader.election.enable=false."
    )


def _cleanup(topic: Topic, settings: Mapping[str, str], under: Circumstances) -> Trouble | None:
    policy = settings["cleanup.policy"]
    if policy == topic.cleanup:
        return None
    loses = "older records, needed or not" if topic.cleanup == "compact" else "all but the latest record of a key"
    severity: Severity = "fatal" if topic.cleanup == "compact" and under.is_decisive(topic) else "advice"
    return Trouble(severity, f"cleanup.policy={policy} deletes {loses}: {CHANGE} cleanup.policy={topic.cleanup}.")


def _timestamps(topic: Topic, settings: Mapping[str, str], under: Circumstances) -> Trouble | None:
    decides = topic.name == "events" and under.settings.clock == "wall"
    if not decides or settings["message.timestamp.type"] == "LogAppendTime":
        return None
    return _fatal(
        "its records carry the time that the producer says, not that of their arrival: "
        f"{CHANGE} message.timestamp.type=LogAppendTime, or start the worker with --clock event."
    )


def _retention(topic: Topic, settings: Mapping[str, str], _: Circumstances) -> Trouble | None:
    kept_ms = int(settings["retention.ms"])
    if FOREVER_MS in {topic.retention_ms, kept_ms} or kept_ms >= topic.retention_ms:
        return None
    return _advice(
        f"keeps records for {kept_ms:,} ms, less than docs/topics.md promises: "
        f"{CHANGE} retention.ms={topic.retention_ms}."
    )


def _erasures(topic: Topic, settings: Mapping[str, str], under: Circumstances) -> Trouble | None:
    """Who was erased must be remembered for as long as what she did before may be read again."""
    if topic.name == "events":
        remembered_ms: int | None = ERASED_KEPT_MS
    else:
        remembered_ms = under.commands_kept_ms if topic.name in AFTER_COMMANDS else None
    kept_ms = int(settings["retention.ms"])
    if remembered_ms in (None, FOREVER_MS) or FOREVER_MS < kept_ms <= remembered_ms:
        return None
    return _advice(
        f"keeps records for longer than erasures are remembered ({remembered_ms:,} ms), so erased users could come "
        f"back where a state is lost: {CHANGE} retention.ms={remembered_ms}."
    )


def _batches(topic: Topic, settings: Mapping[str, str], _: Circumstances) -> Trouble | None:
    taken_bytes = int(settings["max.message.bytes"])
    if topic.direction == "read" or taken_bytes >= BATCH_BYTES_MAX:
        return None
    return _advice(
        f"takes {taken_bytes:,} bytes at once, and up to {BATCH_BYTES_MAX:,} are written: "
        f"{CHANGE} max.message.bytes={MESSAGE_BYTES_DEFAULT}."
    )


def _fatal(text: str) -> Trouble:
    return Trouble("fatal", text)


def _advice(text: str) -> Trouble:
    return Trouble("advice", text)


SETTINGS_CHECKS: tuple[Callable[[Topic, Mapping[str, str], Circumstances], Trouble | None], ...] = (
    _cleanup,
    _timestamps,
    _retention,
    _erasures,
    _in_sync,
    _unclean,
    _batches,
)
