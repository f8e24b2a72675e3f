"""Records about the deployment rather than one user's segments: commands and answers, receipts, results, definitions.

Same rules as in `outputs.py`. Published models are `Snapshot` of `models.py`.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, RootModel

from schemas.outputs import NotNegative, Number, Record, RecordId, Timestamp, UserId, VersionLabel

__all__ = [
    "Answer", "AnyCommand", "CampaignCommand", "CampaignResult", "Command", "EraseCommand", "ExplainCommand",
    "ModelsCommand", "PublishedDefinitions", "Receipt", "StatusCommand", "TickCommand",
]  # fmt: skip


class Lift(Record):
    """The difference to the holdout's conversion rate, with its bounds."""

    estimate: Number
    low: Number
    high: Number


class ResultGroup(Record):
    """One variant of a campaign, or its holdout."""

    variant: str | None = Field(description="`holdout` for those held out; null without variants.")
    decisions: int = Field(ge=0)
    converted: int = Field(ge=0, description="Decisions with a conversion.")
    conversions: int = Field(ge=0)
    amount: NotNegative
    cost: NotNegative
    lift: Lift | None = Field(description="Null for the holdout, and while there is too little to say.")


class CampaignResult(Record):
    """What a campaign brought so far; the topic is compacted by campaign."""

    campaign: str = Field(min_length=1)
    definition: VersionLabel
    currency: str
    as_of: Timestamp
    groups: list[ResultGroup]


class PublishedDefinitions(Record):
    """A version of the definitions file, as it was published."""

    version: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="Over its meaning, in hexadecimal.")
    text: str = Field(description="The file, YAML.")
    mapping: str | None = Field(description="The mapping file, YAML; null: the one shipped.")
    published_at: Timestamp


class _Request(Record):
    """What all commands have."""

    id: RecordId
    requested_at: Timestamp


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


class StatusCommand(_Request):
    """Say how a partition is doing."""

    command: Literal["status"]


AnyCommand = (
    CampaignCommand | ModelsCommand | TickCommand | EraseCommand | ExportCommand | ExplainCommand | StatusCommand
)


class Command(RootModel[Annotated[AnyCommand, Field(discriminator="command")]]):
    """A request from an operator, read by every worker and by the trainer."""


class Answer(Record):
    """What one partition says to a command that asks something; each partition gives its own."""

    id: RecordId
    command_id: RecordId
    partition: int = Field(ge=0)
    partitions: int = Field(ge=1, description="How many the input has, so how many answers there will be.")
    answered_at: Timestamp
    found: bool = Field(description="Whether the partition knows what was asked for.")
    body: dict[str, JsonValue] = Field(description="The answer; empty if nothing was found.")


class Receipt(Record):
    """Proof that a privacy request was carried out in one partition, without naming the user."""

    id: RecordId
    command_id: RecordId
    command: Literal["erase", "export"]
    subject: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the user id, in hexadecimal.")
    partition: int = Field(ge=0)
    requested_at: Timestamp
    completed_at: Timestamp
