"""Records about the deployment rather than one user's segments: commands and answers, receipts, results, definitions.

Same rules as in `outputs.py`. Published models are `Snapshot` of `models.py`.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, RootModel

from schemas.outputs import NotNegative, Number, Record, RecordId, SinkName, Timestamp, UserId, VersionLabel

__all__ = [
    "REDELIVERED_MAX",
    "Answer",
    "AnyCommand",
    "CampaignCommand",
    "CampaignResult",
    "Command",
    "EraseCommand",
    "ExplainCommand",
    "ExportCommand",
    "Kept",
    "ModelsCommand",
    "PublishedDefinitions",
    "Receipt",
    "RedeliverCommand",
    "Removed",
    "StatusCommand",
    "TickCommand",
]  # fmt: skip


REDELIVERED_MAX = 100  # by one command: so much comes again if a sink is killed over it

Operator = Annotated[str, Field(min_length=1, max_length=256)]


class Interval(Record):
    """An estimate with two pairs of bounds, each right 95 times in 100.

    `low` and `high` hold at all times together, however often one looks; `fixed_low` and `fixed_high` hold for whoever
    looks once, at a time fixed before.
    """

    estimate: Number
    low: Number
    high: Number
    fixed_low: Number
    fixed_high: Number


class Lift(Record):
    """What an arm brought over its control, by user at her first decision."""

    conversion: Interval = Field(description="Difference of the shares who converted.")
    conversion_relative: Interval | None = Field(description="As a share of the control's; 0.1: a tenth more.")
    revenue: Interval | None = Field(description="Difference of the revenue per user.")
    revenue_relative: Interval | None
    additional_converted: Number = Field(description="Users who converted because of it.")
    additional_revenue: Number | None
    cost: NotNegative = Field(description="Of what these users were sent within their windows.")
    roi: Interval | None = Field(description="(Additional revenue - cost) / cost; null without cost.")
    cost_per_acquisition: NotNegative | None = Field(
        description="Cost by additional converted user; null unless there are any."
    )


class ResultGroup(Record):
    """One arm of a campaign: a variant, its own holdout, or the global holdout."""

    arm: Literal["variant", "holdout", "global_holdout"]
    variant: str | None = Field(description="Null for holdouts, and without variants.")
    share: Annotated[int | float, Field(ge=0, le=1)] = Field(description="Planned, of all users.")
    users: int = Field(ge=0, description="Assigned, each at her first decision.")
    limited: int = Field(ge=0, description="Of these left out of the comparison: a limit stood in the way, in any arm.")
    fired: int = Field(ge=0, description="Users to whom at least one decision fired; likewise below.")
    sent: int = Field(ge=0)
    clicked: int = Field(ge=0)
    converted: int = Field(ge=0, description="Users so far, those whose window is open included.")
    decisions_fired: int = Field(ge=0)
    conversions: int = Field(ge=0)
    revenue: NotNegative
    cost: NotNegative
    judged: int = Field(ge=0, description="Users compared: not limited, and their window is over.")
    judged_converted: int = Field(ge=0)
    conversion_rate: Number | None = Field(description="Of the judged.")
    revenue_per_user: Number | None = Field(description="Of the judged.")
    click_rate: Number | None = Field(description="Clicked by sent.")
    observed: int = Field(ge=0, description="Users compared who were observed four weeks after.")
    retention: Number | None = Field(description="Share of the observed who were still active.")
    lift: Lift | None = Field(description="Null for the control, and while there is too little to say.")


class SampleRatio(Record):
    """Whether users are in the arms by the planned shares."""

    log10_evidence: Number = Field(description="Of a mismatch, log10 of a Bayes factor; 9999 for certain.")
    mismatch: bool = Field(description="3 or more: once in 1,000 sound campaigns, however often one looks.")


class LiftPoint(Record):
    """The lift of an arm as it stood at the end of a day."""

    at: Timestamp
    variant: str | None
    conversion: Interval


class EarlierRun(Record):
    """What the campaign brought under an earlier design."""

    definitions: list[VersionLabel]
    since: Timestamp
    until: Timestamp
    control: Literal["holdout", "global_holdout"] | None
    groups: list[ResultGroup]


class CampaignResult(Record):
    """What a campaign brought so far, under its present design; the topic is compacted by campaign.

    The campaign `*` stands for all campaigns together, against the global holdout.
    """

    campaign: str = Field(min_length=1)
    definition: VersionLabel = Field(description="The latest version under which it decided.")
    definitions: list[VersionLabel] = Field(description="All that had the same design, the latest last.")
    currency: str
    since: Timestamp = Field(description="The first decision.")
    as_of: Timestamp
    conversion_event: str | None = Field(description="What counts as a success; null: nothing, or several.")
    within_seconds: NotNegative | None
    control: Literal["holdout", "global_holdout"] | None = Field(description="What the variants are compared with.")
    groups: list[ResultGroup]
    sample_ratio: SampleRatio | None = Field(description="Null where there is nothing to compare.")
    history: list[LiftPoint] = Field(description="The latest days, oldest first.")
    earlier: list[EarlierRun] = Field(description="Runs under other designs, the latest first.")


class PublishedDefinitions(Record):
    """A version of the definitions file, as it was published."""

    version: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="Over its meaning, in hexadecimal.")
    text: str = Field(description="The file, YAML.")
    mapping: str | None = Field(description="The mapping file, YAML; null: the one shipped.")
    published_at: Timestamp
    published_by: Operator | None = Field(description="Who did it, by the name that the command had.")


class _Request(Record):
    """What all commands have."""

    id: RecordId
    requested_at: Timestamp
    requested_by: Operator | None = Field(description="Who asked, by the name that the command had.")


class CampaignCommand(_Request):
    """Stop a campaign, or let it go on."""

    command: Literal["pause", "resume"]
    campaign: str = Field(min_length=1)


class ModelsCommand(_Request):
    """Have the trainer publish no more models, or let it go on; it learns all the while."""

    command: Literal["freeze", "release"]


class TickCommand(_Request):
    """Let time pass for everyone, up to and including an instant."""

    command: Literal["tick"]
    until: Timestamp


class EraseCommand(_Request):
    """Forget a user; with `suppress`, refuse her later events too."""

    command: Literal["erase"]
    user_id: UserId
    suppress: bool = False


class ExportCommand(_Request):
    """Write down all that is known about a user."""

    command: Literal["export"]
    user_id: UserId


class ExplainCommand(_Request):
    """Say why a user is where she is."""

    command: Literal["explain"]
    user_id: UserId


class RedeliverCommand(_Request):
    """Have a sink deliver records of a partition again, as they stand in the topic that it reads."""

    command: Literal["redeliver"]
    sink: SinkName
    partition: int = Field(ge=0)
    offsets: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=REDELIVERED_MAX)


class StatusCommand(_Request):
    """Say how a partition is doing."""

    command: Literal["status"]


AnyCommand = (
    CampaignCommand
    | ModelsCommand
    | TickCommand
    | EraseCommand
    | ExportCommand
    | ExplainCommand
    | RedeliverCommand
    | StatusCommand
)


class Command(RootModel[Annotated[AnyCommand, Field(discriminator="command")]]):
    """A request from an operator, read by every worker and by the trainer."""


class Answer(Record):
    """What one partition of a role says to a command that asks something; each partition gives its own."""

    id: RecordId
    command_id: RecordId
    role: Literal["worker", "trainer", "lift", "sinks"]
    partition: int = Field(ge=0)
    partitions: int = Field(
        ge=1, description="How many of the role there are, so how many of its answers there will be."
    )
    answered_at: Timestamp
    found: bool = Field(description="Whether the partition knows what was asked for.")
    body: dict[str, JsonValue] = Field(description="The answer; empty if nothing was found.")


class Removed(Record):
    """What went at an erasure, counted."""

    segments: int = Field(ge=0, description="Segments that she left, each with an exit of cause `erasure`.")
    triggers: int = Field(ge=0, description="Pending triggers, each cancelled with a decision.")
    samples: int = Field(ge=0, description="Samples that waited for their label.")
    texts: int = Field(ge=0, description="Texts that nobody else had: products, categories, traits.")
    state_bytes: int = Field(ge=0, description="Of her row.")


class Kept(Record):
    """What a topic still holds of her, and until when."""

    topic: str
    until: Timestamp = Field(description="By the table of topics; other settings of the topic go before it.")


class Receipt(Record):
    """Proof that a privacy request was carried out in one partition, or by the trainer, without naming the user."""

    id: RecordId
    command_id: RecordId
    command: Literal["erase", "export"]
    subject: str = Field(pattern=r"^[0-9a-f]{64}$", description="BLAKE2b-256 of the user id, under a key.")
    key_version: int = Field(ge=0, description="Of the key; 0: without one, so whoever guesses the id can tell.")
    suppress: bool = Field(description="Whether her later events are refused, too.")
    role: Literal["worker", "trainer", "lift"]
    partition: int = Field(ge=0)
    partitions: int = Field(
        ge=1, description="How many of the role there are, so how many of its receipts there will be."
    )
    requested_at: Timestamp
    requested_by: Operator | None
    completed_at: Timestamp
    found: bool = Field(description="Whether there was anything about her.")
    removed: Removed | None = Field(description="Null for an export.")
    kept: list[Kept] = Field(description="Topics that keep what was written for as long as their retention says.")
    not_unlearned: list[str] = Field(description="What she was part of and can't be taken out of.")
