"""The naive twin's campaigns: which decisions a user's transitions and due triggers lead to, check by check.

Written from CONTRACT section 4 and docs/semantics.md ("Campaigns"). `Desk` is mixed into the twin; the state of a user
is in `user.User`.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

from worker.naive.calendar import (
    duration_ms,
    first_outside,
    hexdigits,
    instant_ms,
    is_quiet,
    minutes_of,
    random_number,
    written,
)
from worker.naive.conditions import Condition, Expression, Read, Value
from worker.naive.decode import Event
from worker.naive.features import Cart, Interest, Ledgers, Recent
from worker.naive.rules import Rules

__all__ = ["Desk", "Move", "Past", "Pending"]

DAY = "24h"


@dataclass
class Move:
    """A transition of the evaluation under way."""

    id: str
    segment: str
    direction: str
    occurred_ms: int


@dataclass
class Pending:
    """A trigger that waits, for its delay or for quiet hours to end, until it is due."""

    move: Move
    due_ms: int
    channel: str | None = None


@dataclass
class Past:
    """A fired or held-out decision of a campaign."""

    decision_id: str
    decided_ms: int
    variant: str


class Customer(Protocol):
    """What a desk needs of a user."""

    id: str
    zone: str | None
    clock: int
    ledgers: Ledgers
    members: dict[str, int]
    traits: dict[str, str | float]
    consents: dict[str, bool]
    pending: dict[str, Pending]
    past: dict[str, Past]
    sent: list[tuple[int, str | None]]
    reached: list[tuple[int, str]]

    def value(self, expression: Expression) -> Value:
        """The value of an expression at the user's clock."""

    def reason(self, condition: Condition | None) -> list[dict[str, Any]]:
        """The values of a condition's clauses now."""


def share_of(variant: Any) -> float:
    """A variant's share, also where it is a bare number."""
    return float(variant["share"] if isinstance(variant, dict) else variant)


class Desk:
    """Decides. Needs from the twin: rules, outputs, the wall and the partition."""

    rules: Rules
    event_clock: bool
    wall_ms: int
    topic: str
    partition: int
    partitions: int

    def __init__(self) -> None:
        super().__init__()
        self.decisions: list[dict[str, Any]] = []
        self.triggers: list[dict[str, Any]] = []
        self.conversions: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.fired_by_hour: Counter[tuple[str, int]] = Counter()

    def run_campaigns(self, user: Customer, moves: list[Move], *, by_version: bool) -> None:
        """All decisions of one evaluation, by priority, then file order."""
        known = {campaign["id"] for campaign in self.rules.campaigns}
        for name in [name for name in user.pending if name not in known]:
            case = user.pending.pop(name)
            self.decide(user, {"id": name, "channel": case.channel}, case, "cancelled", None)
        for campaign in self.rules.campaigns:
            waiting = user.pending.get(campaign["id"])
            if waiting and self.was_left(waiting, moves) and campaign.get("on_exit", "cancel") == "cancel":
                self.decide(user, campaign, user.pending.pop(campaign["id"]), "cancelled", "exited")
                waiting = None
            if waiting and waiting.due_ms <= user.clock:
                self.check(user, campaign, user.pending.pop(campaign["id"]))
            elif waiting and campaign.get("channel") is not None and not user.consents.get(campaign["channel"], False):
                self.decide(user, campaign, user.pending.pop(campaign["id"]), "suppressed", "consent")
            move = next((move for move in moves if self.asks_for(campaign, move)), None)
            if move and (not by_version or campaign.get("on_backfill", False)):
                due_ms = move.occurred_ms + duration_ms(campaign.get("delay"))
                self.check(user, campaign, Pending(move, due_ms))

    @staticmethod
    def was_left(waiting: Pending, moves: list[Move]) -> bool:
        """Whether the segment was left (re-entered, for exited triggers) in this evaluation."""
        return any(m.segment == waiting.move.segment and m.direction != waiting.move.direction for m in moves)

    @staticmethod
    def asks_for(campaign: dict[str, Any], move: Move) -> bool:
        """Whether a transition is of the kind that triggers the campaign."""
        wanted = campaign["trigger"].get(move.direction)
        return wanted is not None and wanted in (move.segment, move.segment.split(":")[0])

    def check(self, user: Customer, campaign: dict[str, Any], case: Pending) -> None:
        """All checks in their order; the first that refuses decides."""
        outcome, blocked_by, again_ms = self.verdict(user, campaign, case)
        if outcome == "deferred":
            case = Pending(case.move, again_ms, campaign.get("channel"))
            user.pending[campaign["id"]] = case
        self.decide(user, campaign, case, outcome, blocked_by)

    def verdict(self, user: Customer, campaign: dict[str, Any], case: Pending) -> tuple[str, str | None, int]:
        """The outcome, what refuses, and for deferred ones when to look again."""
        now, name, channel = user.clock, campaign["id"], campaign.get("channel")
        if self.is_paused(campaign, now):
            return "suppressed", "paused", 0
        inside = case.move.segment in user.members
        if campaign.get("on_exit", "cancel") == "cancel" and inside != (case.move.direction == "entered"):
            return "cancelled", "exited", 0
        if not self.event_clock and self.wall_ms - case.due_ms > duration_ms(campaign.get("expires", DAY)):
            return "suppressed", "stale", 0
        if channel is not None and not user.consents.get(channel, False):
            return "suppressed", "consent", 0
        past = user.past.get(name)
        cooling = past is not None and now < past.decided_ms + duration_ms(campaign.get("cooldown"))
        if cooling or name in user.pending:
            return "suppressed", "cooldown", 0
        if now < case.due_ms:
            return "deferred", "delay", case.due_ms
        quiet = campaign.get("quiet_hours")
        if quiet:
            hours = (user.zone or self.rules.timezone, minutes_of(quiet["from"]), minutes_of(quiet["to"]))
            if is_quiet(now, *hours):
                if quiet.get("on_quiet", "defer") == "drop":
                    return "suppressed", "quiet_hours", 0
                return "deferred", "quiet_hours", first_outside(now, *hours)
        if self.is_held_out(user.id, campaign):
            return "held_out", "holdout", 0
        return self.limits(user, campaign)

    def limits(self, user: Customer, campaign: dict[str, Any]) -> tuple[str, str | None, int]:
        """The last two checks, the hour's limit and the caps, and what passes them all."""
        now, channel, per_hour = user.clock, campaign.get("channel"), campaign.get("max_per_hour")
        if per_hour is not None:
            allowed = per_hour // self.partitions + (self.partition < per_hour % self.partitions)
            if self.fired_by_hour[campaign["id"], now // 3_600_000] >= allowed:
                return "suppressed", "rate_limit", 0
        for cap in self.rules.caps:
            if cap["channel"] == channel:
                per_ms = duration_ms(cap["per"])
                counted = [ms for ms, where in user.sent if where == channel and now - per_ms < ms <= now]
                if len(counted) >= cap["limit"]:
                    return "suppressed", "cap", 0
        return ("shadow" if campaign.get("status") == "shadow" else "fired"), None, 0

    @staticmethod
    def is_paused(campaign: dict[str, Any], now: int) -> bool:
        """Paused by its status, or not between its start and its end."""
        starts, ends = campaign.get("starts"), campaign.get("ends")
        outside = (starts is not None and now < instant_ms(starts)) or (ends is not None and now >= instant_ms(ends))
        return outside or campaign.get("status") == "paused"

    def is_held_out(self, user: str, campaign: dict[str, Any]) -> bool:
        """By the global holdout, or by the campaign's."""
        everywhere = float((self.rules.data.get("holdout") or {}).get("share", 0.0))
        own = float(campaign.get("holdout", 0.0))
        salt = self.rules.salt
        if random_number(user, salt, "", "holdout") < everywhere:
            return True
        return random_number(user, salt, campaign["id"], "holdout") < own

    def variant_of(self, user: str, campaign: dict[str, Any]) -> str | None:
        """The user's variant of a campaign; None without variants."""
        number = random_number(user, self.rules.salt, campaign["id"], "variant")
        variants: dict[str, Any] = campaign.get("variants") or {}
        end, last = 0.0, None
        for last, variant in variants.items():
            end += share_of(variant)
            if number < end:
                return last
        return last

    def decide(
        self, user: Customer, campaign: dict[str, Any], case: Pending, outcome: str, blocked_by: str | None
    ) -> None:
        """Record a decision, with all that follows from it."""
        now, move = user.clock, case.move
        decision_id = hexdigits(move.id, campaign["id"])
        variant = self.variant_of(user.id, campaign) if outcome in ("fired", "shadow") else None
        decision = {
            "id": hexdigits(decision_id, outcome, now),
            "decision_id": decision_id,
            "transition_id": move.id,
            "user_id": user.id,
            "campaign": campaign["id"],
            "segment": move.segment,
            "direction": move.direction,
            "outcome": outcome,
            "blocked_by": blocked_by,
            "variant": variant,
            "channel": campaign.get("channel"),
            "occurred_at": written(move.occurred_ms),
            "due_at": written(case.due_ms),
            "decided_at": written(now),
            "definition": self.rules.label,
            "model": self.rules.model_label,
        }
        self.decisions.append(decision)
        counts = outcome in ("fired", "held_out")
        if counts:
            user.past[campaign["id"]] = Past(decision_id, now, "holdout" if outcome == "held_out" else variant or "")
            user.sent.append((now, campaign.get("channel")))
        if outcome == "fired":
            self.fired_by_hour[campaign["id"], now // 3_600_000] += 1
            user.reached.append((now, campaign["id"]))
            self.triggers.append(self.trigger(user, campaign, case, decision))

    def trigger(
        self, user: Customer, campaign: dict[str, Any], case: Pending, decision: dict[str, Any]
    ) -> dict[str, Any]:
        """All that a sender needs but the address."""
        chosen = (campaign.get("variants") or {}).get(decision["variant"])
        sent = (chosen.get("send") or {}) if isinstance(chosen, dict) else {}
        same = ("decision_id", "transition_id", "user_id", "campaign", "variant", "channel", "segment", "direction")
        interest: Interest = user.ledgers["interest"]
        recent: Recent = user.ledgers["recent"]
        return {
            "id": hexdigits(decision["decision_id"], "trigger"),
            **{key: decision[key] for key in (*same, "occurred_at", "due_at", "definition", "model")},
            "anonymous": user.id.startswith("anon:"),
            "expires_at": written(case.due_ms + duration_ms(campaign.get("expires", DAY))),
            "timezone": user.zone or self.rules.timezone,
            "send": {**(campaign.get("send") or {}), **sent},
            "traits": {name: user.traits.get(name) for name in campaign.get("include_traits") or []},
            "cart": self.cart(user.ledgers["cart"]),
            "recent_products": list(recent.products),
            "top_categories": interest.strongest()[:3],
            "reason": self.why(user, case.move),
        }

    def cart(self, cart: Cart) -> dict[str, Any]:
        """The cart as a trigger shows it."""
        products = [{"product_id": name, "quantity": quantity} for name, quantity in cart.products.items()]
        return {
            "items": cart.items,
            "value": cart.value / 100,
            "currency": self.rules.currency,
            "products": products,
            "truncated": cart.truncated,
        }

    def why(self, user: Customer, move: Move) -> list[dict[str, Any]]:
        """The clauses of the condition behind a transition, with their values now."""
        if any(segment.clusters and segment.id == move.segment.split(":")[0] for segment in self.rules.segments):
            return [{"clause": "cluster()", "value": user.value(Read("cluster"))}]
        return user.reason(self.condition(move))

    def condition(self, move: Move) -> Condition | None:
        """The condition of a transition's segment: for entering, or for leaving."""
        leaf = self.rules.leaves.get(move.segment)
        if leaf is None:
            return None
        return leaf.enter if move.direction == "entered" else leaf.exit or leaf.enter

    def convert(self, user: Customer, event: Event) -> None:
        """The conversions of an applied event: of each campaign the user's latest fired or held-out decision."""
        for campaign in self.rules.campaigns_in_file:
            wanted, past = campaign.get("conversion"), user.past.get(campaign["id"])
            if not wanted or past is None or wanted["event"] != event.kind:
                continue
            if past.decided_ms < event.time <= past.decided_ms + duration_ms(wanted["within"]):
                self.conversions.append(
                    {
                        "id": hexdigits(past.decision_id, self.partition, event.offset),
                        "decision_id": past.decision_id,
                        "user_id": user.id,
                        "campaign": campaign["id"],
                        "variant": past.variant or None,
                        "event": event.kind,
                        "amount": event.amount / 100,
                        "currency": self.rules.currency,
                        "decided_at": written(past.decided_ms),
                        "occurred_at": written(event.time),
                        "source": {"topic": self.topic, "partition": self.partition, "offset": event.offset},
                    }
                )

    def join(self, user: Customer, event: Event) -> None:
        """The record of an applied message event that names a decision."""
        if event.decision is None:
            return
        self.messages.append(
            {
                "id": hexdigits(event.decision, event.kind, self.partition, event.offset),
                "decision_id": event.decision,
                "user_id": user.id,
                "event": event.kind,
                "occurred_at": written(event.time),
                "source": {"topic": self.topic, "partition": self.partition, "offset": event.offset},
            }
        )
