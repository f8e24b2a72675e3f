"""From effects and changes of state to the records of a transaction: topic, key, value, headers.

The rule: everything goes to the partition of the input that it came from, so that a user's records stay together and
in order; and a record's headers are those of `schemas.cloudevents`, made without a detour through dicts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas import cloudevents
from schemas.topics import BY_NAME
from worker.core.records import Effects

__all__ = ["Outbox", "Outgoing"]

Headers = list[tuple[str, bytes]]
Outgoing = tuple[bytes | None, bytes | None, Headers]  # key, value (None: a tombstone), headers

BY_USER = {
    "segment-changes": "transitions",
    "campaign-decisions": "decisions",
    "campaign-triggers": "triggers",
    "conversions": "conversions",
    "messages": "messages",
    "training-samples": "samples",
    "observations": "observations",
}


@dataclass
class Outbox:
    """The records of one transaction, by topic of the table, in order."""

    prefix: str
    records: dict[str, list[Outgoing]] = field(default_factory=dict)

    def take(self, effects: Effects, keys: Mapping[int, bytes | None]) -> None:
        """Add what an engine brought about; `keys` are the refused records' own, by offset."""
        encode = msgspec.json.Encoder().encode
        for topic, name in BY_USER.items():
            if made := getattr(effects, name):
                headers = _headers_of(topic, self.prefix)
                self._of(topic).extend((record.user_id.encode(), encode(record), headers(record)) for record in made)
        headers = _headers_of("dead-letters", self.prefix)
        for letter in effects.dead_letters:
            self._of("dead-letters").append((keys.get(letter.offset), encode(letter), headers(letter)))

    def take_memberships(self, memberships: Iterable[dict[str, Any]]) -> None:
        """Add users' segments as they are now."""
        encode = msgspec.json.Encoder().encode
        headers = _headers_of("memberships", self.prefix, dict.__getitem__)
        self._of("memberships").extend(
            (record["user_id"].encode(), encode(record), headers(record)) for record in memberships
        )

    def take_answer(self, answer: dict[str, Any]) -> None:
        """Add the answer to a command."""
        headers = cloudevents.headers(BY_NAME["answers"], answer, self.prefix)
        self._of("answers").append((answer["command_id"].encode(), msgspec.json.encode(answer), headers))

    def take_receipt(self, receipt: dict[str, Any]) -> None:
        """Add the receipt of a privacy request."""
        headers = cloudevents.headers(BY_NAME["receipts"], receipt, self.prefix)
        self._of("receipts").append((receipt["command_id"].encode(), msgspec.json.encode(receipt), headers))

    def take_state(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Add changes of state, the checkpoint last."""
        self._of("state").extend((key, value, []) for key, value in records)

    def take_model(self, snapshot: dict[str, Any]) -> None:
        """Add a model."""
        headers = cloudevents.headers(BY_NAME["models"], snapshot, self.prefix)
        self._of("models").append((str(snapshot["version"]).encode(), msgspec.json.encode(snapshot), headers))

    def take_tombstones(self, topic: str, keys: Iterable[bytes]) -> None:
        """Take keys away from a compacted topic."""
        self._of(topic).extend((key, None, []) for key in keys)

    def take_learnt(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Add changes of what the trainer knows, its progress last."""
        self._of("learner-state").extend((key, value, []) for key, value in records)

    def take_audience_events(self, events: Iterable[tuple[bytes, bytes]]) -> None:
        """Add audience events, each with its user's key."""
        if made := [(key, event, Headers()) for key, event in events]:
            self._of("audience-events").extend(made)

    def take_sink_dead_letters(self, letters: Iterable[dict[str, Any]]) -> None:
        """Add what no sink could deliver."""
        headers = _headers_of("sink-dead-letters", self.prefix, dict.__getitem__)
        for letter in letters:
            self._of("sink-dead-letters").append(
                (letter["record_id"].encode(), msgspec.json.encode(letter), headers(letter))
            )

    def take_results(self, results: Iterable[dict[str, Any]]) -> None:
        """Add what campaigns brought."""
        headers = _headers_of("campaign-results", self.prefix, dict.__getitem__)
        for result in results:
            self._of("campaign-results").append(
                (result["campaign"].encode(), msgspec.json.encode(result), headers(result))
            )

    def take_counted(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Add changes of what lift has counted, its progress last."""
        self._of("lift-state").extend((key, value, []) for key, value in records)

    def _of(self, topic: str) -> list[Outgoing]:
        return self.records.setdefault(topic, [])


def _headers_of(name: str, prefix: str, member: Callable[[Any, str], Any] = getattr) -> Callable[[Any], Headers]:
    """A function from a record of the topic to its headers; `member` reads a member of it by name."""
    topic = BY_NAME[name]
    assert topic.event_type is not None
    constant = [
        ("ce_specversion", cloudevents.SPEC_VERSION.encode()),
        ("ce_source", f"/shoal/{prefix}".encode()),
        ("content-type", cloudevents.CONTENT_TYPE.encode()),
    ]
    varies = "{" in topic.event_type
    event_type, event_id, event_time = topic.event_type, topic.event_id, topic.event_time

    def headers(record: Any) -> Headers:
        kind = event_type.replace("{direction}", member(record, "direction")) if varies else event_type
        made = [
            *constant,
            ("ce_type", kind.encode()),
            ("ce_id", "/".join([str(member(record, name)) for name in event_id]).encode()),
        ]
        if event_time is not None:
            made.append(("ce_time", member(record, event_time).encode()))
        return made

    return headers
