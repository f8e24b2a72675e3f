"""The table of topics: everything that is written to or read from Kafka, one row each.

`shoal topics create` creates what stands here, `docs/topics.md` and `json/asyncapi.yaml` are printed from it, and
CloudEvents headers take their type, id and time from it. The names carry a prefix, `shoal.` by default. Topics
keyed by the user have as many partitions as the input, so that a user's records stay together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from schemas import control, models, outputs

__all__ = ["BY_NAME", "FOREVER_MS", "PREFIX_DEFAULT", "TOPICS", "Topic", "schema_file"]

PREFIX_DEFAULT = "shoal."
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FOREVER_MS = -1

Cleanup = Literal["delete", "compact"]
Partitions = Literal["as the input", "one"]

# What topics hold whose values aren't one model.
BYTES = {"events": "Event", "state": "State", "learner-state": "LearnerState", "lift-state": "LiftState"}
OWN_BYTES = ("state", "learner-state", "lift-state")  # which nobody but their writer can read


def schema_file(record: str) -> str:
    """Return the name of the file that holds a record's JSON Schema.

    >>> schema_file("SegmentChange")
    'segment-change.schema.json'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", record).lower() + ".schema.json"


@dataclass(frozen=True)
class Topic:
    """One row of the table."""

    name: str  # without the prefix
    summary: str
    direction: Literal["read", "written", "both"]  # as the workers see it
    key: str
    cleanup: Cleanup
    retention_ms: int  # FOREVER_MS: as long as the topic exists; compacted topics keep the latest record of each key
    partitions: Partitions
    personal: bool  # holds personal data
    value: type[BaseModel] | None  # None: not one model: the events, and what the product keeps for itself
    event_type: str | None = None  # of CloudEvents; braces name a member of the record; None: no headers
    event_id: tuple[str, ...] = ("id",)  # members that tell one record from all others
    event_time: str | None = None  # member that says when it happened
    settings: Mapping[str, str] = field(default_factory=dict)  # further settings of the topic

    @property
    def record(self) -> str:
        """The name of the topic's record."""
        return self.value.__name__ if self.value is not None else BYTES[self.name]

    @property
    def schema_file(self) -> str | None:
        """The file in `schemas/json` that describes the topic's values; None: bytes for the one who wrote them."""
        return schema_file(self.record) if self.name not in OWN_BYTES else None

    @property
    def configuration(self) -> dict[str, str]:
        """The topic's settings in Kafka, ready for its admin client."""
        return {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention_ms), **self.settings}

    def partitions_for(self, input_partitions: int) -> int:
        """How many partitions the topic has beside an input with `input_partitions`."""
        return input_partitions if self.partitions == "as the input" else 1


# Compacted eagerly, so that a restore reads little.
EAGERLY = {"min.cleanable.dirty.ratio": "0.1", "max.compaction.lag.ms": "3600000"}

TOPICS = (
    Topic(
        name="events",
        summary="The shop's events, in the Segment spec.",
        direction="read",
        key="user id",
        cleanup="delete",
        retention_ms=30 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=None,
        settings={"message.timestamp.type": "LogAppendTime"},
    ),
    Topic(
        name="segment-changes",
        summary="Who entered or left which segment, when and why.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=30 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.SegmentChange,
        event_type="shoal.segment.{direction}.v1",
        event_time="occurred_at",
    ),
    Topic(
        name="memberships",
        summary="Each user's segments now; a tombstone on erasure.",
        direction="written",
        key="user id",
        cleanup="compact",
        retention_ms=FOREVER_MS,
        partitions="as the input",
        personal=True,
        value=outputs.Membership,
        event_type="shoal.membership.updated.v1",
        event_id=("user_id", "seq"),
        event_time="as_of",
    ),
    Topic(
        name="campaign-decisions",
        summary="Every decision about a trigger, sent or not, and what refused it.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=90 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.CampaignDecision,
        event_type="shoal.campaign.decided.v1",
        event_time="decided_at",
    ),
    Topic(
        name="campaign-triggers",
        summary="The fired decisions, with all a sender needs but the address.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=7 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.CampaignTrigger,
        event_type="shoal.campaign.triggered.v1",
        event_time="due_at",
    ),
    Topic(
        name="conversions",
        summary="Events that count as a success of a fired or held-out decision.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=90 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.Conversion,
        event_type="shoal.campaign.converted.v1",
        event_time="occurred_at",
    ),
    Topic(
        name="messages",
        summary="Messages that were sent or clicked, by the decision that caused them.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=90 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.Message,
        event_type="shoal.message.joined.v1",
        event_time="occurred_at",
    ),
    Topic(
        name="training-samples",
        summary="Users' features at an instant and what came of them, for the trainer.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=90 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.TrainingSample,
        event_type="shoal.sample.resolved.v1",
        event_time="resolved_at",
    ),
    Topic(
        name="observations",
        summary="Users' features once a week, for clusters, percentiles and drift.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=30 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.Observation,
        event_type="shoal.user.observed.v1",
        event_time="observed_at",
    ),
    Topic(
        name="dead-letters",
        summary="Records of the input that could not be understood, with the reason.",
        direction="written",
        key="the refused record's key",
        cleanup="delete",
        retention_ms=14 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.DeadLetter,
        event_type="shoal.record.refused.v1",
        event_id=("topic", "partition", "offset"),
    ),
    Topic(
        name="audience-events",
        summary="Segment changes as `Audience Entered` and `Audience Exited`, where a sink is set so.",
        direction="written",
        key="user id",
        cleanup="delete",
        retention_ms=30 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.AudienceEvent,
    ),
    Topic(
        name="sink-dead-letters",
        summary="What a sink could not deliver, and why; users appear by the ids of decisions and changes.",
        direction="written",
        key="record id",
        cleanup="delete",
        retention_ms=14 * DAY_MS,
        partitions="as the input",
        personal=True,
        value=outputs.SinkDeadLetter,
        event_type="shoal.delivery.failed.v1",
        event_id=("sink", "topic", "partition", "offset"),
        event_time="failed_at",
    ),
    Topic(
        name="campaign-results",
        summary="What each campaign brought so far, against its holdout.",
        direction="written",
        key="campaign id",
        cleanup="compact",
        retention_ms=FOREVER_MS,
        partitions="one",
        personal=False,
        value=control.CampaignResult,
        event_type="shoal.campaign.measured.v1",
        event_id=("campaign", "as_of"),
        event_time="as_of",
    ),
    Topic(
        name="models",
        summary="Published model snapshots; those no checkpoint needs any more get a tombstone.",
        direction="both",
        key="version",
        cleanup="compact",
        retention_ms=FOREVER_MS,
        partitions="one",
        personal=False,
        value=models.Snapshot,
        event_type="shoal.model.published.v1",
        event_id=("version", "hash"),
    ),
    Topic(
        name="definitions",
        summary="Published definitions files; those no checkpoint needs any more get a tombstone.",
        direction="both",
        key="version",
        cleanup="compact",
        retention_ms=FOREVER_MS,
        partitions="one",
        personal=False,
        value=control.PublishedDefinitions,
        event_type="shoal.definitions.published.v1",
        event_id=("version", "hash"),
        event_time="published_at",
    ),
    Topic(
        name="commands",
        summary="What operators ask of all workers: pauses, ticks, questions, privacy requests.",
        direction="both",
        key="command id",
        cleanup="delete",
        retention_ms=90 * DAY_MS,
        partitions="one",
        personal=True,
        value=control.Command,
        event_type="shoal.command.requested.v1",
        event_time="requested_at",
    ),
    Topic(
        name="answers",
        summary="What each partition says to a question among the commands.",
        direction="written",
        key="command id",
        cleanup="delete",
        retention_ms=HOUR_MS,
        partitions="one",
        personal=True,
        value=control.Answer,
        event_type="shoal.command.answered.v1",
        event_time="answered_at",
    ),
    Topic(
        name="receipts",
        summary="Proof that privacy requests were carried out; users appear under pseudonyms.",
        direction="written",
        key="command id",
        cleanup="delete",
        retention_ms=1096 * DAY_MS,
        partitions="one",
        personal=True,
        value=control.Receipt,
        event_type="shoal.request.completed.v1",
        event_time="completed_at",
    ),
    Topic(
        name="state",
        summary="The workers' changelog: users' rows, string dictionaries and checkpoints.",
        direction="both",
        key="a type byte and what it names",
        cleanup="compact",
        retention_ms=FOREVER_MS,
        partitions="as the input",
        personal=True,
        value=None,
        settings=EAGERLY,
    ),
    Topic(
        name="learner-state",
        summary="What the trainer has learnt, in parts, and how far it has read.",
        direction="both",
        key="`progress`, or `part/` and the part's name",
        cleanup="compact",
        retention_ms=FOREVER_MS,
        partitions="one",
        personal=True,
        value=None,
        settings=EAGERLY,
    ),
    Topic(
        name="lift-state",
        summary="What is counted of campaigns, by user and in sums, and how far lift has read.",
        direction="both",
        key="`progress`, or a kind and a name: `user/` and the user id, `campaign/` and its id, …",
        cleanup="compact",
        retention_ms=FOREVER_MS,
        partitions="one",
        personal=True,
        value=None,
        settings=EAGERLY,
    ),
)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
