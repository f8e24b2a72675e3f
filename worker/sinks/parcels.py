"""What a sink takes and gives: records as they were read, parcels of them, and what became of each record.

The rule: a parcel is delivered as a whole and leaves with one outcome per record, in order; until then its records
count as unread, and whoever takes over begins with the first of them.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

__all__ = ["Closing", "Outcome", "Parcel", "Received", "Sink", "dead", "done"]

Result = Literal["delivered", "expired", "erased", "dead_letter"]
RESULTS: tuple[Result, ...] = ("delivered", "expired", "erased", "dead_letter")
Letter = dict[str, Any]


class Received(NamedTuple):
    """A record of a topic of the table."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes


class Outcome(NamedTuple):
    """What became of a record; `letter` is why it is dead, `event` what is to be written to `audience-events`."""

    result: Result
    letter: Letter | None = None
    event: bytes | None = None
    key: bytes = b""


class Parcel(NamedTuple):
    """Records that are delivered together, after those of an earlier parcel with the same `order`."""

    order: bytes
    records: Sequence[Received]


class Closing(Exception):  # noqa: N818  a verdict, no error
    """The sink was told to end before there was an outcome: the records are delivered by the next one."""


class Sink(Protocol):
    """Where records go."""

    name: str
    topic: str  # of the table, which it reads

    @property
    def trouble(self) -> str | None:
        """What keeps it from delivering just now."""

    def parcels(self, records: Sequence[Received]) -> list[Parcel]:
        """Return records as they are to be delivered."""

    async def deliver(self, parcel: Parcel) -> list[Outcome]:
        """Return what became of a parcel's records, however long that takes. Raises Closing."""

    def close(self) -> None:
        """Begin no request any more."""


def done(result: Result) -> Outcome:
    """Return an outcome of which there is no more to say."""
    return Outcome(result)


def dead(sink: str, record: Received, record_id: str, reason: str, status: int | None, attempts: int,
         at: str) -> Outcome:  # fmt: skip
    """Return the outcome of a record that can't be delivered."""
    letter = {
        "sink": sink, "reason": reason, "status": status, "attempts": attempts, "record_id": record_id,
        "topic": record.topic, "partition": record.partition, "offset": record.offset, "failed_at": at,
    }  # fmt: skip
    return Outcome("dead_letter", letter)
