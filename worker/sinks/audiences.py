"""Segment changes as the track calls `Audience Entered` and `Audience Exited` of Segment's Engage.

As Engage writes them (Twilio Segment documentation, "Using Engage Data"): `properties.audience_key`, and a property of
that name which is true or false. `messageId` is the transition's id, by which Segment, RudderStack and Jitsu drop
what comes twice. They go to the topic `audience-events`, or in batches to a `/v1/batch` endpoint with a write key.

The rule: a user's changes leave in their order, so a batch waits for the one before it.
"""

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from worker.core.effects import iso
from worker.sinks.courier import Courier, Request
from worker.sinks.parcels import Outcome, Parcel, Received, dead, done

__all__ = ["AudienceTopic", "Audiences"]

BATCH_RECORDS_MAX = 100
BATCH_BYTES_MAX = 450_000  # Segment takes 500 KB at once
ANONYMOUS = "anon:"
EVENTS = {"entered": "Audience Entered", "exited": "Audience Exited"}


class Change(msgspec.Struct):
    """What of a segment change becomes an audience event."""

    id: str
    user_id: str
    segment: str
    direction: str
    occurred_at: str


def event_of(change: Change) -> dict[str, Any]:
    """Return the track call of a change."""
    anonymous = change.user_id.startswith(ANONYMOUS)
    key, entered = change.segment, change.direction == "entered"
    return {
        "type": "track",
        "event": EVENTS[change.direction],
        "messageId": change.id,
        "anonymousId" if anonymous else "userId": change.user_id.removeprefix(ANONYMOUS),
        "timestamp": change.occurred_at,
        "context": {
            "library": {"name": "shoal", "version": version("shoal")},
            "personas": {"computation_class": "audience", "computation_key": key},
        },
        "properties": {key: entered, "audience_key": key},
    }


class _Changes:
    """What both ways have in common."""

    name = "audiences"
    topic = "segment-changes"

    def __init__(self, is_erased: Callable[[str, int], bool]) -> None:
        self._is_erased = is_erased
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Begin no request any more."""
        self._closing.set()

    def _event(self, record: Received) -> Outcome:
        """Return the event of a record, or what becomes of it without one."""
        try:
            change = msgspec.json.decode(record.value, type=Change)
            event = event_of(change)
        except (msgspec.DecodeError, KeyError):
            return dead(self.name, record, f"{record.partition}/{record.offset}", "malformed", None, 0, _now())
        if self._is_erased(change.user_id, record.timestamp_ms):
            return done("erased")
        return Outcome("delivered", event=msgspec.json.encode(event), key=record.key)


class AudienceTopic(_Changes):
    """The sink `audiences` of one partition, to `audience-events`: written in the transaction that moves the offset."""

    @property
    def trouble(self) -> None:
        """Nothing but Kafka is in its way."""

    def parcels(self, records: Sequence[Received]) -> list[Parcel]:
        """Return all of them: nothing has to be waited for."""
        return [Parcel(b"", records)] if records else []

    async def deliver(self, parcel: Parcel) -> list[Outcome]:
        """Return the events to write."""
        return [self._event(record) for record in parcel.records]


class Audiences(_Changes):
    """The sink `audiences` of one partition, to a `/v1/batch` endpoint."""

    def __init__(self, courier: Courier, write_key: str, is_erased: Callable[[str, int], bool]) -> None:
        super().__init__(is_erased)
        self._courier = courier
        self._login = "Basic " + base64.b64encode(f"{write_key}:".encode()).decode()

    @property
    def trouble(self) -> str | None:
        """What its endpoint does instead of taking requests."""
        return self._courier.trouble

    def parcels(self, records: Sequence[Received]) -> list[Parcel]:
        """Return batches, each after the one before."""
        return [
            Parcel(b"", records[begin : begin + BATCH_RECORDS_MAX])
            for begin in range(0, len(records), BATCH_RECORDS_MAX)
        ]

    async def deliver(self, parcel: Parcel) -> list[Outcome]:
        """Deliver a batch. Raises Closing."""
        return await self._deliver(parcel.records, [self._event(record) for record in parcel.records])

    async def _deliver(self, records: Sequence[Received], outcomes: list[Outcome]) -> list[Outcome]:
        """Deliver the events among the outcomes; a batch that is refused goes in halves, down to the one at fault."""
        events = [outcome.event for outcome in outcomes if outcome.event is not None]
        if not events:
            return outcomes
        if len(records) > 1 and sum(map(len, events)) > BATCH_BYTES_MAX:
            return await self._in_halves(records, outcomes)
        verdict = await self._courier.bring(lambda: self._request(events), self._closing, None)
        if verdict.result == "taken":
            return [outcome._replace(event=None) for outcome in outcomes]
        if len(records) > 1:
            return await self._in_halves(records, outcomes)
        (record,), (event,) = records, events
        named = msgspec.json.decode(event)["messageId"]
        return [dead(self.name, record, named, verdict.result, verdict.status, verdict.attempts, _now())]

    async def _in_halves(self, records: Sequence[Received], outcomes: list[Outcome]) -> list[Outcome]:
        middle = len(records) // 2
        first = await self._deliver(records[:middle], outcomes[:middle])
        return first + await self._deliver(records[middle:], outcomes[middle:])

    def _request(self, events: Sequence[bytes]) -> Request:
        body = b'{"batch":[%b],"sentAt":"%b"}' % (b",".join(events), _now().encode())
        return Request(body, {"content-type": "application/json", "authorization": self._login})


def _now() -> str:
    return iso(time.time_ns() // 1_000_000)
