"""Every record the worker writes about users, as its readers see it.

Strict models: a member that isn't listed is refused, a number is never read from text, and an instant is RFC 3339
in UTC with three decimals and a `Z`. The worker writes these records without passing through the models; tests hold
what it writes to them. Records about the deployment itself (commands, published versions) are in `control.py`.
"""

import operator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from schemas.definitions import Kind

__all__ = [
    "BLOCKED_BY", "PAYLOAD_KEPT", "TIMESTAMP_PATTERN", "AudienceEvent", "CampaignDecision", "CampaignTrigger", "Cause",
    "Check", "Conversion", "DeadLetter", "DeadLetterReason", "Direction", "Membership", "Message", "NotNegative",
    "Number", "Observation", "Outcome", "Record", "RecordId", "SegmentChange", "SinkDeadLetter", "SinkDeadLetterReason",
    "SinkName", "Timestamp",
    "TrainingSample", "UserId",
    "VersionLabel",
]  # fmt: skip

TIMESTAMP_PATTERN = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"
)
ANONYMOUS_PREFIX = "anon:"
PAYLOAD_KEPT = 8_192  # bytes of a refused record in its dead letter, at most

Timestamp = Annotated[
    str,
    Field(
        pattern=TIMESTAMP_PATTERN,
        examples=["2026-11-22T10:45:00.250Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
RecordId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="The first 32 hexadecimal digits of a SHA-256.")]
UserId = Annotated[str, Field(min_length=1, max_length=256, description="`userId`, or `anon:` and the `anonymousId`.")]
VersionLabel = Annotated[
    str, Field(pattern=r"^[0-9]+/[0-9a-f]{64}$", description="`<version>/<hash>`, the hash as in ids of transitions.")
]
Number = Annotated[int | float, Field(allow_inf_nan=False)]
NotNegative = Annotated[int | float, Field(ge=0, allow_inf_nan=False)]

Direction = Literal["entered", "exited"]
Cause = Literal["event", "timer", "model", "definition", "erasure"]
Origin = Literal["live", "backfill"]
Outcome = Literal["fired", "suppressed", "deferred", "cancelled", "held_out", "shadow"]
Check = Literal[
    "paused", "exited", "stale", "consent", "cooldown", "delay", "quiet_hours", "holdout", "rate_limit", "cap"
]
DeadLetterReason = Literal[
    "too_large", "too_deep", "not_json", "not_an_object", "bad_type", "missing_user", "bad_user", "key_mismatch",
    "missing_event", "bad_timestamp", "timestamp_out_of_range", "bad_field", "engine_error",
]  # fmt: skip

# Which checks each outcome may name as the one that refused it; None: no check did.
BLOCKED_BY: dict[Outcome, tuple[Check | None, ...]] = {
    "fired": (None,),
    "shadow": (None,),
    "held_out": ("holdout",),
    "deferred": ("delay", "quiet_hours"),
    "cancelled": ("exited", None),
    "suppressed": ("paused", "stale", "consent", "cooldown", "quiet_hours", "rate_limit", "cap"),
}


class Record(BaseModel):
    """A record, or a part of one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Contribution(Record):
    """How far a feature's value moves a probability."""

    feature: str = Field(min_length=1, max_length=64)
    value: Number | None = Field(description="In the feature's unit; infinite and unknown values are null.")
    effect: Number = Field(description="In log-odds for a linear model, in probability for trees.")


class Clause(Record):
    """One comparison of the condition that decided, with the value it saw."""

    clause: str = Field(min_length=1, description="The comparison's text.")
    value: bool | Number | str | None = Field(description="Its left side; infinite and unknown values are null.")
    contributions: list[Contribution] = Field(
        default=[],
        max_length=5,
        exclude_if=operator.not_,
        description="What moves the probability that it reads most, strongest first; only where there is any.",
    )


class Source(Record):
    """The record of the input that caused this one."""

    topic: str = Field(min_length=1)
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class SegmentChange(Record):
    """A user entered or left a segment."""

    id: RecordId
    user_id: UserId
    segment: str = Field(min_length=1, description="A segment's id; of tiers and clusters `group:member`.")
    direction: Direction
    seq: int = Field(ge=1, description="Counts the user's transitions from 1, in order of evaluation.")
    occurred_at: Timestamp
    emitted_at: Timestamp
    cause: Cause
    origin: Origin = Field(description="`backfill` for the causes model, definition and erasure.")
    reason: list[Clause]
    definition: VersionLabel
    model: VersionLabel | None
    source: Source | None = Field(description="The event; null unless the cause is one.")

    @model_validator(mode="after")
    def _cause_agrees(self) -> Self:
        if (self.cause == "event") != (self.source is not None):
            raise ValueError("source is given for the cause event and for no other")
        if (self.origin == "live") != (self.cause in ("event", "timer")):
            raise ValueError("origin is live for the causes event and timer, else backfill")
        return self


class MembershipSegment(Record):
    """A segment the user is in."""

    id: str = Field(min_length=1)
    since: Timestamp


class Membership(Record):
    """All segments of a user; the topic is compacted, a tombstone means erased."""

    user_id: UserId
    segments: list[MembershipSegment]
    seq: int = Field(ge=1, description="That of the user's latest transition.")
    as_of: Timestamp


class CampaignDecision(Record):
    """What was decided about a trigger, sent or not."""

    id: RecordId
    decision_id: RecordId = Field(description="Shared by a deferred decision and the final one.")
    transition_id: RecordId = Field(description="The segment change that asked for it.")
    user_id: UserId
    campaign: str = Field(min_length=1)
    segment: str = Field(min_length=1)
    direction: Direction
    outcome: Outcome
    blocked_by: Check | None = Field(description="The first check that refused.")
    variant: str | None = Field(description="Set for fired and shadow decisions of campaigns with variants.")
    channel: str | None
    occurred_at: Timestamp = Field(description="The transition's instant.")
    due_at: Timestamp = Field(description="The transition's instant and the campaign's delay.")
    decided_at: Timestamp
    emitted_at: Timestamp
    definition: VersionLabel
    model: VersionLabel | None

    @model_validator(mode="after")
    def _outcome_agrees(self) -> Self:
        if self.blocked_by not in BLOCKED_BY[self.outcome]:
            raise ValueError(f"{self.outcome} can't be blocked by {self.blocked_by}")
        if self.variant is not None and self.outcome not in ("fired", "shadow"):
            raise ValueError("only fired and shadow decisions have a variant")
        return self


class CartProduct(Record):
    """A product in the cart."""

    product_id: str = Field(min_length=1)
    quantity: Number


class Cart(Record):
    """The cart at the decision."""

    items: NotNegative
    value: NotNegative
    currency: str
    products: list[CartProduct] = Field(max_length=10, description="In order of first addition.")
    truncated: bool = Field(description="More than ten products were added.")


class CampaignTrigger(Record):
    """A fired decision with all a sender needs but the address."""

    id: RecordId
    decision_id: RecordId
    transition_id: RecordId
    user_id: UserId
    anonymous: bool = Field(description="The user is known by an `anonymousId` only.")
    campaign: str = Field(min_length=1)
    variant: str | None
    channel: str | None
    segment: str = Field(min_length=1)
    direction: Direction
    occurred_at: Timestamp
    due_at: Timestamp
    expires_at: Timestamp = Field(description="Not to be sent later than this.")
    timezone: str = Field(min_length=1)
    send: dict[str, JsonValue] = Field(description="The campaign's, overridden by the variant's.")
    traits: dict[str, Number | str | None] = Field(description="The campaign's `include_traits`.")
    cart: Cart
    recent_products: list[str] = Field(max_length=5, description="The last viewed, newest first.")
    top_categories: list[str] = Field(max_length=3, description="Strongest first.")
    reason: list[Clause]
    definition: VersionLabel
    model: VersionLabel | None

    @model_validator(mode="after")
    def _anonymous_agrees(self) -> Self:
        if self.anonymous != self.user_id.startswith(ANONYMOUS_PREFIX):
            raise ValueError("anonymous is true for users whose id begins anon: and for no other")
        return self


class Conversion(Record):
    """An event that counts as a success of the user's latest fired or held-out decision."""

    id: RecordId
    decision_id: RecordId
    user_id: UserId
    campaign: str = Field(min_length=1)
    variant: str | None = Field(description="`holdout` for a held-out decision; null without variants.")
    event: Kind
    amount: NotNegative
    currency: str
    decided_at: Timestamp
    occurred_at: Timestamp = Field(description="The event's own time.")
    emitted_at: Timestamp
    source: Source


class Message(Record):
    """What became of the message that a decision caused, as the shop tells it in an event with the decision's id."""

    id: RecordId
    decision_id: RecordId
    user_id: UserId
    event: Literal["message_sent", "message_clicked"]
    occurred_at: Timestamp = Field(description="The event's own time.")
    emitted_at: Timestamp
    source: Source


class TrainingSample(Record):
    """A user's features at one instant and what came of them."""

    id: RecordId
    user_id: UserId
    target: str = Field(min_length=1)
    sampled_at: Timestamp
    resolved_at: Timestamp
    label: Literal[0, 1]
    features: dict[str, Number | None] = Field(description="The same names in every sample of a target.")
    probability: Annotated[int | float, Field(ge=0, le=1)] | None = Field(description="The one live at `sampled_at`.")
    model: VersionLabel | None
    exposed: list[str] = Field(description="Campaigns that reached the user between the two instants.")
    traits: dict[str, Number | str | None] = Field(
        description="The declared traits as they are at `resolved_at`: groups to compare, no features."
    )


class Observation(Record):
    """A user's features at one instant, for what is learnt without labels."""

    id: RecordId
    user_id: UserId
    observed_at: Timestamp
    features: dict[str, Number | None] = Field(
        description="Those of training samples, and what else a `percentile` of the definitions ranks by."
    )


class DeadLetter(Record):
    """A record of the input that could not be understood."""

    reason: DeadLetterReason
    topic: str = Field(min_length=1)
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    payload: str = Field(description="The record's bytes as UTF-8, cut short; what isn't UTF-8 becomes U+FFFD.")


class AudienceLibrary(Record):
    """Who wrote an audience event."""

    name: Literal["shoal"]
    version: str


class AudienceComputation(Record):
    """What it is about, the way Segment's Engage tells."""

    computation_class: Literal["audience"]
    computation_key: str = Field(min_length=1)


class AudienceContext(Record):
    """Where an audience event comes from."""

    library: AudienceLibrary
    personas: AudienceComputation


class AudienceEvent(Record):
    """A segment change as a track call of the Segment spec, the way Segment's Engage writes it."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["track"]
    event: Literal["Audience Entered", "Audience Exited"]
    message_id: RecordId = Field(alias="messageId", description="The segment change's.")
    user_id: str | None = Field(None, alias="userId", min_length=1, max_length=256, exclude_if=operator.not_)
    anonymous_id: str | None = Field(None, alias="anonymousId", min_length=1, max_length=256, exclude_if=operator.not_)
    timestamp: Timestamp = Field(description="When it happened.")
    context: AudienceContext
    properties: dict[str, bool | str] = Field(
        description="`audience_key`, the segment, and a member of that name: whether the user is in it now."
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if (self.user_id is None) == (self.anonymous_id is None):
            raise ValueError("either userId or anonymousId is given")
        return self


SinkDeadLetterReason = Literal["refused", "exhausted", "malformed", "gone"]
SinkName = Literal["webhook", "audiences"]


class SinkDeadLetter(Record):
    """A record that a sink could not deliver; the record itself stays where it is, until retention takes it."""

    sink: SinkName
    reason: SinkDeadLetterReason = Field(
        description="The receiver's answer is final; it failed over and over while others got through; it is no "
        "record; it was to be delivered again, and retention has taken it."
    )
    status: int | None = Field(ge=100, le=999, description="Of HTTP; null where there was no answer.")
    attempts: int = Field(ge=0)
    record_id: str = Field(min_length=1, description="The trigger's `decision_id`, or the segment change's `id`.")
    topic: str = Field(min_length=1, description="Of the table.")
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    failed_at: Timestamp
