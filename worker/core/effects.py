"""Numbers to records: what the pass wrote becomes what consumers read.

The rule: a record is a function of the numbers, the version in force and the names behind them; nothing is looked up in
a row that later events may have changed (a trigger carries its own copy of the row).
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np

from schemas.events import KINDS, TIME_MS_MAX
from worker.core.campaigns import ORIGIN_CAUSE, ORIGIN_DIRECTION, ORIGIN_SEGMENT, ORIGIN_VERSION, SEGMENT_MASK
from worker.core.checks import NO_VARIANT, WAS_HELD_OUT
from worker.core.interning import Strings
from worker.core.layout import CART_PRODUCTS, INTERESTS, RECENT_PRODUCTS, ZONE, Layout
from worker.core.program import Version
from worker.core.records import (
    ClauseValue,
    Contribution,
    Conversion,
    Decision,
    Effects,
    Message,
    Source,
    Transition,
    Trigger,
    Value,
)
from worker.core.segments import CAUSES, CONVERSIONS, DECISIONS, EVENT, MESSAGES, REASONS, TRANSITIONS
from worker.core.tables import CONTRIBUTIONS, Outputs, Table
from worker.core.zones import Zones

__all__ = ["RecordWriter", "contributions_of", "iso", "short_hash", "trait_of", "value_of"]

DIRECTIONS = ("entered", "exited")
OUTCOMES = ("fired", "suppressed", "deferred", "cancelled", "held_out", "shadow")
REFUSALS = (
    None,
    "paused",
    "exited",
    "stale",
    "consent",
    "cooldown",
    "delay",
    "quiet_hours",
    "holdout",
    "rate_limit",
    "cap",
)
ORIGINS = ("live", "live", "backfill", "backfill", "backfill")
TOP_CATEGORIES = 3

Reason = tuple[ClauseValue, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = tuple(f".{ms:03}Z" for ms in range(1000))


class _Reasons(NamedTuple):
    """The values of all clauses that were written, and the contributions to their probabilities."""

    values: list[tuple[float, int, int]]
    contributions: Table


@lru_cache(maxsize=65_536)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def iso(ms: int) -> str:
    """Return ms since the epoch as RFC 3339 in UTC with three decimals; what is later than the year 9999 as its end.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    second, rest = divmod(min(ms, TIME_MS_MAX), 1000)
    return _second(second) + _MILLISECONDS[rest]


def short_hash(*parts: object) -> str:
    r"""Return the first 32 hex digits of SHA-256 over the parts joined by \x1f."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def _finite(value: float) -> float | int | None:
    """Return a value as it is written: null for null and infinite, whole numbers without a fraction."""
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 1 << 53 else value


def value_of(texts: list[str], number: float, text: int, truth: int) -> Value:
    """Return a clause's value as it is written: true or false, a text, a number, or null."""
    if truth >= 0:
        return truth == 1
    return texts[text] if text >= 0 else _finite(number)


def contributions_of(texts: list[str], contributions: Table, reason: int) -> tuple[Contribution, ...]:
    """Return what moves the probability of a reason most, by its place among the reasons; strongest first."""
    rows = contributions[CONTRIBUTIONS * reason : CONTRIBUTIONS * (reason + 1)].tolist()
    return tuple(
        Contribution(texts[feature], _finite(value), effect) for feature, value, effect in rows if feature >= 0
    )


def trait_of(layout: Layout, texts: list[str], row: np.ndarray[Any, Any], name: str) -> Value:
    """Return a declared trait of a row, int64[words]."""
    text = int(row.view(np.int32)[layout[f"trait_text:{name}"]])
    return value_of(texts, float(row.view(np.float64)[layout[f"trait:{name}"]]), text, -1)


class RecordWriter:
    """Writes the records of one version; `hashes` are the definition hashes of all versions by number."""

    def __init__(self, version: Version, hashes: list[str], users: list[str], strings: Strings, zones: Zones,
                 topic: str, partition: int) -> None:  # fmt: skip
        self.version = version
        self.hashes = hashes
        self.users = users
        self.texts = strings.texts
        self._value = partial(value_of, strings.texts)
        self._explained = frozenset(np.flatnonzero(version.program.clauses["target"] >= 0).tolist())
        self.zones = zones
        self.topic = topic
        self.partition = partition
        self.definition = version.definition
        self.model = version.model.label if version.model else None

    def write(self, outputs: Outputs, effects: Effects, wall_ms: int, decisions: Sequence[str] = ()) -> None:
        """Append to `effects` the records of everything in `outputs`, whose messages name `decisions` by place."""
        emitted = iso(wall_ms)
        reasons = _Reasons(outputs.reasons[: outputs.counts[REASONS]].tolist(), outputs.contributions)
        for row in outputs.transitions[: outputs.counts[TRANSITIONS]].tolist():
            effects.transitions.append(self._transition(row, reasons, emitted))
        for row in outputs.decisions[: outputs.counts[DECISIONS]].tolist():
            self._decision(row, reasons, outputs, effects, emitted)
        for row in outputs.conversions[: outputs.counts[CONVERSIONS]].tolist():
            effects.conversions.append(self._conversion(row, emitted))
        for row in outputs.messages[: outputs.counts[MESSAGES]].tolist():
            effects.messages.append(self._message(row, decisions, emitted))

    def _reason(self, reasons: _Reasons, begin: int, first: int, last: int) -> Reason:
        texts = self.version.clause_texts[first:last]
        values = starmap(self._value, reasons.values[begin : begin + last - first])
        if not self._explained:
            return tuple(map(ClauseValue, texts, values))
        moved = [
            contributions_of(self.texts, reasons.contributions, begin + place - first)
            if place in self._explained
            else ()
            for place in range(first, last)
        ]
        return tuple(map(ClauseValue, texts, values, moved))

    def _transition_id(self, user_id: str, segment: str, direction: int, version: int, at: int, cause: int,
                       offset: int) -> str:  # fmt: skip
        about = (
            f"{user_id}\x1f{segment}\x1f{DIRECTIONS[direction]}\x1f{self.hashes[version]}\x1f{at}\x1f{CAUSES[cause]}"
        )
        return short_hash(about, self.partition, offset) if cause == EVENT else short_hash(about)

    def _transition(self, row: tuple[int, ...], reasons: _Reasons, emitted: str) -> Transition:
        slot, seq, _, segment, direction, at, cause, offset, begin, first, last = row
        user_id, name = self.users[slot], self.texts[segment]
        return Transition(
            id=self._transition_id(user_id, name, direction, self.version.number, at, cause, offset),
            user_id=user_id,
            segment=name,
            direction=DIRECTIONS[direction],
            seq=seq,
            occurred_at=iso(at),
            emitted_at=emitted,
            cause=CAUSES[cause],
            origin=ORIGINS[cause],
            reason=self._reason(reasons, begin, first, last),
            definition=self.definition,
            model=self.model,
            source=Source(self.topic, self.partition, offset) if cause == EVENT else None,
        )

    def _stem(self, slot: int, occurred: int, offset: int, origin: int) -> tuple[str, str, int]:
        """Return (transition id, segment, direction) of the transition that a decision stems from."""
        segment = self.texts[(origin >> ORIGIN_SEGMENT) & SEGMENT_MASK]
        direction = (origin >> ORIGIN_DIRECTION) & 1
        transition = self._transition_id(
            self.users[slot], segment, direction, origin >> ORIGIN_VERSION, occurred, origin & ORIGIN_CAUSE, offset
        )
        return transition, segment, direction

    def _decision(self, row: tuple[int, ...], reasons: _Reasons, outputs: Outputs,
                  effects: Effects, emitted: str) -> None:  # fmt: skip
        slot, place, outcome, refusal, variant, at, due, occurred, offset, origin, trigger, begin, first, last = row
        campaign = self.version.campaigns[place]
        transition, segment, direction = self._stem(slot, occurred, offset, origin)
        decision_id = short_hash(transition, campaign.id)
        decision = Decision(
            id=short_hash(decision_id, OUTCOMES[outcome], at),
            decision_id=decision_id,
            transition_id=transition,
            user_id=self.users[slot],
            campaign=campaign.id,
            segment=segment,
            direction=DIRECTIONS[direction],
            outcome=OUTCOMES[outcome],
            blocked_by=REFUSALS[refusal],
            variant=None if variant == NO_VARIANT else self.texts[variant],
            channel=campaign.channel,
            occurred_at=iso(occurred),
            due_at=iso(due),
            decided_at=iso(at),
            emitted_at=emitted,
            definition=self.definition,
            model=self.model,
        )
        effects.decisions.append(decision)
        if trigger >= 0:
            reason = self._reason(reasons, begin, first, last)
            effects.triggers.append(self._trigger(decision, place, due, outputs.triggers[trigger], reason))

    def _trigger(self, decision: Decision, place: int, due: int, row: np.ndarray[Any, Any], reason: Reason) -> Trigger:
        campaign = self.version.checked.definitions.campaigns[place]
        send = dict(campaign.send)
        if decision.variant is not None:
            send |= campaign.variants[decision.variant].send
        return Trigger(
            id=short_hash(decision.decision_id, "trigger"),
            decision_id=decision.decision_id,
            transition_id=decision.transition_id,
            user_id=decision.user_id,
            anonymous=decision.user_id.startswith("anon:"),
            campaign=decision.campaign,
            variant=decision.variant,
            channel=decision.channel,
            segment=decision.segment,
            direction=decision.direction,
            occurred_at=decision.occurred_at,
            due_at=decision.due_at,
            expires_at=iso(due + campaign.expires),
            timezone=self._timezone(row),
            send=send,
            traits={name: trait_of(self.version.layout, self.texts, row, name) for name in campaign.include_traits},
            cart=self._cart(row),
            recent_products=self._texts(row, "recent_ids", RECENT_PRODUCTS),
            top_categories=self._top_categories(row),
            reason=reason,
            definition=decision.definition,
            model=decision.model,
        )

    def _timezone(self, row: np.ndarray[Any, Any]) -> str:
        zone = int(row.view(np.int32)[ZONE])
        return self.zones.names[zone] if zone >= 0 else self.version.checked.definitions.timezone

    def _texts(self, row: np.ndarray[Any, Any], column: str, length: int) -> list[str]:
        first = self.version.layout[column]
        numbers = row.view(np.int32)[first : first + length].tolist()
        return [self.texts[number] for number in numbers if number >= 0]

    def _cart(self, row: np.ndarray[Any, Any]) -> dict[str, Any]:
        layout = self.version.layout
        first = layout["cart_quantities"]
        quantities = row.view(np.float64)[first : first + CART_PRODUCTS].tolist()
        products = self._texts(row, "cart_ids", CART_PRODUCTS)
        return {
            "items": _finite(float(row.view(np.float64)[layout["cart_items"]])),
            "value": _finite(int(row[layout["cart_value"]]) / 100),
            "currency": self.version.checked.definitions.currency,
            "products": [
                {"product_id": name, "quantity": _finite(quantity)}
                for name, quantity in zip(products, quantities, strict=False)
            ],
            "truncated": bool(row.view(np.int32)[layout["cart_truncated"]]),
        }

    def _top_categories(self, row: np.ndarray[Any, Any]) -> list[str]:
        first = self.version.layout["interest_weights"]
        names = self._texts(row, "interest_ids", INTERESTS)
        weights = row.view(np.float64)[first : first + len(names)].tolist()
        ranked = sorted(zip(names, weights, strict=True), key=lambda pair: (-pair[1], pair[0]))
        return [name for name, _ in ranked[:TOP_CATEGORIES]]

    def _conversion(self, row: tuple[int, ...], emitted: str) -> Conversion:
        slot, place, variant, decided, occurred, source, origin, time, kind, amount, offset = row
        campaign = self.version.campaigns[place]
        transition, _, _ = self._stem(slot, occurred, source, origin)
        decision_id = short_hash(transition, campaign.id)
        named = self.texts[variant] if variant >= 0 else None
        return Conversion(
            id=short_hash(decision_id, self.partition, offset),
            decision_id=decision_id,
            user_id=self.users[slot],
            campaign=campaign.id,
            variant="holdout" if variant == WAS_HELD_OUT else named,
            event=KINDS[kind],
            amount=_finite(amount / 100),
            currency=self.version.checked.definitions.currency,
            decided_at=iso(decided),
            occurred_at=iso(time),
            emitted_at=emitted,
            source=Source(self.topic, self.partition, offset),
        )

    def _message(self, row: tuple[int, ...], decisions: Sequence[str], emitted: str) -> Message:
        slot, decision, time, kind, offset = row
        return Message(
            id=short_hash(decisions[decision], KINDS[kind], self.partition, offset),
            decision_id=decisions[decision],
            user_id=self.users[slot],
            event=KINDS[kind],
            occurred_at=iso(time),
            emitted_at=emitted,
            source=Source(self.topic, self.partition, offset),
        )
