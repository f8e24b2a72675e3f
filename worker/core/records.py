"""What consumers read, as structs: the fields of each record are the contract's, in its order.

Structs rather than dicts, and closed to the garbage collector: a busy second makes tens of thousands of them, none of
which can be part of a cycle. Times are written out (RFC 3339, UTC, three decimals); `schemas/outputs.py` says what the
fields mean and the tests hold these structs to it.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = [
    "ClauseValue", "Contribution", "Conversion", "DeadLetterRecord", "Decision", "Effects", "Message", "Observation",
    "Sample", "Source", "Transition", "Trigger", "Value",
]  # fmt: skip

Value = float | int | str | bool | None


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """How far a feature's value moves a probability."""

    feature: str
    value: Value
    effect: float


class ClauseValue(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A clause of a condition and what it came to, with what moves the probability that it reads, if it reads one."""

    clause: str
    value: Value
    contributions: tuple[Contribution, ...] = ()


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where the record lies that something came from."""

    topic: str
    partition: int
    offset: int


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A user entered or left a segment."""

    id: str
    user_id: str
    segment: str
    direction: str
    seq: int
    occurred_at: str
    emitted_at: str
    cause: str
    origin: str
    reason: tuple[ClauseValue, ...]
    definition: str
    model: str | None
    source: Source | None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What was decided about a campaign for a user, sent or not."""

    id: str
    decision_id: str
    transition_id: str
    user_id: str
    campaign: str
    segment: str
    direction: str
    outcome: str
    blocked_by: str | None
    variant: str | None
    channel: str | None
    occurred_at: str
    due_at: str
    decided_at: str
    emitted_at: str
    definition: str
    model: str | None


class Trigger(msgspec.Struct, frozen=True, gc=False):
    """A fired decision with all that a sender needs but the address."""

    id: str
    decision_id: str
    transition_id: str
    user_id: str
    anonymous: bool
    campaign: str
    variant: str | None
    channel: str | None
    segment: str
    direction: str
    occurred_at: str
    due_at: str
    expires_at: str
    timezone: str
    send: dict[str, Any]
    traits: dict[str, Value]
    cart: dict[str, Any]
    recent_products: list[str]
    top_categories: list[str]
    reason: tuple[ClauseValue, ...]
    definition: str
    model: str | None


class Conversion(msgspec.Struct, frozen=True, gc=False):
    """An event that a campaign counts as its success."""

    id: str
    decision_id: str
    user_id: str
    campaign: str
    variant: str | None
    event: str
    amount: Value
    currency: str
    decided_at: str
    occurred_at: str
    emitted_at: str
    source: Source


class Message(msgspec.Struct, frozen=True, gc=False):
    """What became of the message that a decision caused."""

    id: str
    decision_id: str
    user_id: str
    event: str
    occurred_at: str
    emitted_at: str
    source: Source


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What a user looked like at an instant, and what came of it."""

    id: str
    user_id: str
    target: str
    sampled_at: str
    resolved_at: str
    label: int
    features: dict[str, float | None]
    probability: float | None
    model: str | None
    exposed: list[str]
    traits: dict[str, Value]


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What a user looked like at an instant."""

    id: str
    user_id: str
    observed_at: str
    features: dict[str, float | None]


class DeadLetterRecord(msgspec.Struct, frozen=True, gc=False):
    """A record that can't be understood, and why."""

    reason: str
    topic: str
    partition: int
    offset: int
    payload: str


@dataclass
class Effects:
    """Everything one step brought about: records by topic, and what to count."""

    transitions: list[Transition] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    conversions: list[Conversion] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    dead_letters: list[DeadLetterRecord] = field(default_factory=list)
    read: int = 0
    applied: int = 0
    duplicates: int = 0
    repaired: int = 0
    evaluations: int = 0
    ignored: int = 0  # of the duplicates, those of erased users
    forgotten: list[str] = field(default_factory=list)  # ids
    forgotten_counts: dict[str, int] = field(default_factory=dict)  # by what they were forgotten for
    keyless: set[int] = field(default_factory=set)  # offsets of dead letters that must not have their record's key
    samples_dropped: int = 0
    texts_dropped: int = 0
    dead_letter_counts: dict[str, int] = field(default_factory=dict)
    repaired_counts: dict[str, int] = field(default_factory=dict)

    def add(self, more: "Effects") -> None:
        """Append what more was brought about."""
        self.transitions += more.transitions
        self.decisions += more.decisions
        self.triggers += more.triggers
        self.conversions += more.conversions
        self.messages += more.messages
        self.samples += more.samples
        self.observations += more.observations
        self.dead_letters += more.dead_letters
        self.read += more.read
        self.applied += more.applied
        self.duplicates += more.duplicates
        self.repaired += more.repaired
        self.evaluations += more.evaluations
        self.ignored += more.ignored
        self.forgotten += more.forgotten
        self.keyless |= more.keyless
        self.samples_dropped += more.samples_dropped
        self.texts_dropped += more.texts_dropped
        for counts, further in (
            (self.dead_letter_counts, more.dead_letter_counts),
            (self.repaired_counts, more.repaired_counts),
            (self.forgotten_counts, more.forgotten_counts),
        ):
            for reason, count in further.items():
                counts[reason] = counts.get(reason, 0) + count
