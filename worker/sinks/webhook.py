"""Triggers as signed webhooks, after Standard Webhooks (standardwebhooks.com, specification 1.0).

    webhook-id          the decision's id: the same at every repetition, and the receiver's key for idempotency
    webhook-timestamp   seconds since 1970, of the attempt
    webhook-signature   `v1,` and base64 of HMAC-SHA256 over "{id}.{timestamp}.{body}", one for each secret

The rule: the trigger goes out byte for byte as it stands in the topic, inside an envelope of type and time; triggers
of one user one after the other, in order; none after its `expires_at`.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

import msgspec

from schemas.topics import BY_NAME
from worker.core.effects import iso
from worker.core.timestamps import instant_ms
from worker.errors import WrongUsage
from worker.sinks.courier import Courier, Request
from worker.sinks.parcels import Outcome, Parcel, Received, dead, done

__all__ = ["Webhook", "secrets_of", "signature"]

SECRET = "whsec_"  # noqa: S105  begins every one
SECRET_BYTES = (24, 64)


class Trigger(msgspec.Struct):
    """What of a trigger the sink itself reads."""

    decision_id: str
    user_id: str
    due_at: str
    expires_at: str


def secrets_of(text: str) -> list[bytes]:
    """Return the secrets in a text, blanks between, the newest first. Raises WrongUsage, without them."""
    found = []
    for number, word in enumerate(text.split(), 1):
        try:
            secret = base64.b64decode(word.removeprefix(SECRET), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not word.startswith(SECRET) or not SECRET_BYTES[0] <= len(secret) <= SECRET_BYTES[1]:
            raise WrongUsage(
                f"SHOAL_WEBHOOK_SECRET: number {number} isn't {SECRET} and base64 of {SECRET_BYTES[0]} to "
                f"{SECRET_BYTES[1]} bytes; echo {SECRET}$(openssl rand -base64 32) makes one."
            )
        found.append(secret)
    if not found:
        raise WrongUsage("SHOAL_WEBHOOK_SECRET: it is empty; a webhook is always signed.")
    return found


def signature(secrets: Sequence[bytes], webhook_id: str, timestamp: str, body: bytes) -> str:
    """Return the value of the header: one signature for each secret, blanks between."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    made = [base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets]
    return " ".join(f"v1,{one}" for one in made)


class Webhook:
    """The sink `webhook` of one partition."""

    name = "webhook"
    topic = "campaign-triggers"

    def __init__(self, courier: Courier, secrets: Sequence[bytes], is_erased: Callable[[str, int], bool]) -> None:
        self._courier, self._secrets, self._is_erased = courier, secrets, is_erased
        self._closing = asyncio.Event()

    @property
    def trouble(self) -> str | None:
        """What its endpoint does instead of taking requests."""
        return self._courier.trouble

    def close(self) -> None:
        """Begin no request any more."""
        self._closing.set()

    def parcels(self, records: Sequence[Received]) -> list[Parcel]:
        """Return each trigger for itself, in its user's order."""
        return [Parcel(record.key, [record]) for record in records]

    async def deliver(self, parcel: Parcel) -> list[Outcome]:
        """Deliver a trigger. Raises Closing."""
        return [await self._deliver(record) for record in parcel.records]

    async def _deliver(self, record: Received) -> Outcome:
        try:
            trigger = msgspec.json.decode(record.value, type=Trigger)
            expires_ms = instant_ms(trigger.expires_at)
        except (msgspec.DecodeError, ValueError):
            return dead(self.name, record, f"{record.partition}/{record.offset}", "malformed", None, 0, _now())
        if self._is_erased(trigger.user_id, record.timestamp_ms):
            return done("erased")
        body = _body(trigger, record.value)
        verdict = await self._courier.bring(lambda: self._request(trigger, body), self._closing, expires_ms)
        if verdict.result in ("taken", "expired"):
            return done("delivered" if verdict.result == "taken" else "expired")
        return dead(self.name, record, trigger.decision_id, verdict.result, verdict.status, verdict.attempts, _now())

    def _request(self, trigger: Trigger, body: bytes) -> Request:
        timestamp = str(int(time.time()))
        return Request(
            body,
            {
                "content-type": "application/json",
                "webhook-id": trigger.decision_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(self._secrets, trigger.decision_id, timestamp, body),
                "idempotency-key": trigger.decision_id,
            },
        )


def _body(trigger: Trigger, value: bytes) -> bytes:
    """The envelope that Standard Webhooks recommends, around the record as it is."""
    kind = BY_NAME[Webhook.topic].event_type
    return b'{"type":"%b","timestamp":"%b","data":%b}' % (str(kind).encode(), trigger.due_at.encode(), value)


def _now() -> str:
    return iso(time.time_ns() // 1_000_000)
