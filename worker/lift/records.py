"""What lift learns from: four kinds of records, as the workers write them, by name of their topic.

The rule: only what lift needs is read, and a record that isn't as the workers write it is refused (ValueError).
"""

import msgspec

__all__ = ["Converted", "Decided", "Observed", "Record", "Told", "read"]


class Decided(msgspec.Struct):
    """A decision."""

    decision_id: str
    user_id: str
    campaign: str
    outcome: str
    blocked_by: str | None
    variant: str | None
    decided_at: str
    definition: str


class Converted(msgspec.Struct):
    """A conversion."""

    id: str
    user_id: str
    campaign: str
    amount: float
    decided_at: str
    occurred_at: str


class Told(msgspec.Struct):
    """What became of a message."""

    decision_id: str
    user_id: str
    event: str
    occurred_at: str


class Observed(msgspec.Struct):
    """A user's features once a week."""

    user_id: str
    observed_at: str
    features: dict[str, float | None]


Record = Decided | Converted | Told | Observed

FROM_TOPICS: dict[str, type[Record]] = {
    "campaign-decisions": Decided,
    "conversions": Converted,
    "messages": Told,
    "observations": Observed,
}


def read(topic: str, value: bytes | None) -> Record:
    """Return a record of a topic. Raises ValueError if it is none."""
    try:
        record: Record = msgspec.json.decode(value or b"", type=FROM_TOPICS[topic])
    except msgspec.DecodeError as error:
        raise ValueError(f"no record of {topic}") from error
    return record
