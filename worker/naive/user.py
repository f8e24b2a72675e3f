"""The naive twin's user: everything known about her, her conditions' values, her memberships, her next instant.

Written from CONTRACT sections 2 to 4 and docs/semantics.md ("Time", "Conditions", "Membership"). Her clock is the
instant at which everything here is judged.
"""

import math
from collections.abc import Iterator
from typing import Any

from worker.naive import scoring
from worker.naive.calendar import DAY_MS, daily_ms
from worker.naive.campaigns import Past, Pending
from worker.naive.conditions import (
    Comparison,
    Condition,
    Constant,
    Expression,
    OneOf,
    Read,
    Truth,
    Value,
    clauses_of,
    compute,
    is_sampled,
    judge,
    reads_of,
    reason_of,
    sides_of,
)
from worker.naive.decode import Event
from worker.naive.features import Ledgers
from worker.naive.rules import EXPRESSIONS, Leaf, Rules, Segment
from worker.naive.samples import Sample, instants, still_waiting

__all__ = ["Change", "User"]

Change = tuple[str, str, list[dict[str, object]]]  # direction, segment, reason


class User:
    """One user under the rules in force."""

    def __init__(self, user_id: str, appearance: int, rules: Rules, clock: int) -> None:
        self.id, self.appearance, self.rules, self.clock = user_id, appearance, rules, clock
        self.daily_ms = daily_ms(user_id)
        self.seen_day = 0
        self.zone: str | None = None
        self.ledgers = Ledgers()
        self.ledgers.keep(rules.ledger_names())
        self.traits: dict[str, str | float] = {}
        self.consents: dict[str, bool] = {}
        self.profiling: bool | None = None
        self.messages: list[str] = []
        self.orders: dict[str, list[str]] = {"order": [], "refund": []}
        self.held: dict[Expression, Value] = {}
        self.cluster: str | None = None
        self.members: dict[str, int] = {}
        self.seq = 0
        self.pending: dict[str, Pending] = {}
        self.past: dict[str, Past] = {}
        self.sent: list[tuple[int, str | None]] = []
        self.reached: list[tuple[int, str]] = []
        self.waiting: dict[str, Sample] = {}

    # Applying a record

    def is_duplicate(self, event: Event) -> bool:
        """Whether the event has already counted; identify is never one."""
        if event.kind == "identify":
            return False
        return event.message in self.messages or (event.order is not None and event.order in self.orders[event.kind])

    def apply(self, event: Event) -> None:
        """Take what a record says; nothing is evaluated here."""
        if event.zone is not None:
            self.zone = event.zone
        for name, trait in event.traits.items():
            self.traits.pop(name, None) if trait is None else self.traits.update({name: trait})
        for channel, given in event.consents.items():
            if event.kind == "identify" and channel == "profiling":
                self.profiling = given
            elif channel in self.rules.channels:
                self.consents.pop(channel, None) if given is None else self.consents.update({channel: given})
        if event.kind == "identify":
            self.waiting = still_waiting(self)
            return
        if event.message is not None:
            self.messages = [*self.messages, event.message][-32:]
        if event.order is not None:
            self.orders[event.kind] = [*self.orders[event.kind], event.order][-8:]
        event.local_zone = self.zone or self.rules.timezone
        self.ledgers.feed(event)

    def follow(self, rules: Rules) -> None:
        """Come under a new version: what it doesn't read is forgotten, what it reads first starts empty."""
        self.rules = rules
        self.ledgers.keep(rules.ledger_names())
        self.traits = {name: v for name, v in self.traits.items() if name in rules.data.get("traits", [])}
        self.consents = {name: v for name, v in self.consents.items() if name in rules.channels}
        if not rules.reads_clusters:
            self.cluster = None
        self.waiting = still_waiting(self)
        known = {campaign["id"] for campaign in rules.campaigns_in_file}
        self.reached = [(at_ms, name) for at_ms, name in self.reached if name in known and rules.targets]

    # Values

    def may_profile(self) -> bool:
        """Whether she may be scored by the model's targets and clusters."""
        if self.profiling is None:
            return bool(self.rules.data.get("profiling", "opt_out") == "opt_out")
        return self.profiling

    def feature(self, read: Read) -> Value:
        """A feature's value now, computed afresh, sampled or not."""
        model = self.rules.model
        if read.feature == "trait":
            return self.traits.get(read.argument or "")
        if read.feature in ("percentile", "probability", "cluster"):
            if model is None or (read.feature != "percentile" and not self.may_profile()):
                return None
            if read.feature == "percentile":
                name = read.argument or ""
                return scoring.percentile(model, name, self.feature(Read(name)))
            if read.feature == "probability":
                return scoring.probability(model, read.argument or "", self.named)
            return scoring.cluster(model, self.cluster, self.named)
        return self.ledgers.value(read, self.clock)

    def named(self, name: str) -> Value:
        """The value now of what a model knows by name: an observed feature, or one of the contract."""
        return compute(EXPRESSIONS.get(name, Read(name)), self.afresh, top=False)

    def sample(self) -> None:
        """Compute anew all values that hold in between."""
        for expression in self.rules.samples:
            if isinstance(expression, Read):
                self.held[expression] = self.feature(expression)
            else:
                self.held[expression] = compute(expression, self.afresh, top=False)
        self.cluster = self.text(self.held.get(Read("cluster")))

    @staticmethod
    def text(value: Value) -> str | None:
        """A value that is text or null."""
        assert value is None or isinstance(value, str)
        return value

    def afresh(self, expression: Expression) -> Value:
        """The present value of a read inside a sampled expression."""
        assert isinstance(expression, Read)
        return self.feature(expression)

    def value(self, expression: Expression) -> Value:
        """The value of an expression at her clock: held where it is sampled."""
        if is_sampled(expression):
            return self.held.get(expression)
        if isinstance(expression, Read):
            return self.feature(expression)
        return compute(expression, self.value)

    # Memberships

    def is_member(self, name: str) -> bool:
        """Whether she is in a segment, or in any tier or cluster of a group."""
        return any(member == name or member.startswith(name + ":") for member in self.members)

    def truth(self, condition: Condition) -> Truth:
        """The truth of a condition now."""
        return judge(condition, self.value, self.is_member)

    def reason(self, condition: Condition | None) -> list[dict[str, object]]:
        """The values of a condition's clauses now."""
        reason = reason_of(condition, self.value, self.is_member)
        for clause, shown in zip(clauses_of(condition) if condition else (), reason, strict=True):
            reads = [read for side in sides_of(clause) for read in reads_of(side) if read.feature == "probability"]
            moved = self.contributions(reads[0].argument or "") if reads else []
            if moved:
                shown["contributions"] = moved
        return reason

    def contributions(self, target: str) -> list[dict[str, Any]]:
        """What moves a target's probability now."""
        if self.rules.model is None or not self.may_profile():
            return []
        return scoring.contributions(self.rules.model, target, self.named)

    def may_enter(self, leaf: Leaf) -> bool:
        """`enter` is true and an explicit `exit` is not."""
        return self.truth(leaf.enter) is True and not (leaf.exit and self.truth(leaf.exit) is True)

    def must_leave(self, leaf: Leaf) -> bool:
        """`exit` is true, or without one `enter` is false."""
        return self.truth(leaf.exit) is True if leaf.exit else self.truth(leaf.enter) is False

    def dwells(self, member: str, min_dwell_ms: int) -> bool:
        """Whether the minimal stay has not passed yet."""
        return self.clock < self.members[member] + min_dwell_ms

    def leave(self, name: str, reason: list[dict[str, object]]) -> Change:
        """Stop being a member."""
        del self.members[name]
        return "exited", name, reason

    def join(self, name: str, reason: list[dict[str, object]]) -> Change:
        """Become a member."""
        self.members[name] = self.clock
        return "entered", name, reason

    def settle(self, segment: Segment) -> list[Change]:
        """Judge one segment; at most one change, or an exit and its successor's entry."""
        if segment.clusters:
            return self.settle_cluster(segment)
        if segment.tiered:
            return self.settle_tiers(segment)
        leaf = segment.leaves[0]
        if leaf.id not in self.members:
            return [self.join(leaf.id, self.reason(leaf.enter))] if self.may_enter(leaf) else []
        if self.must_leave(leaf) and not self.dwells(leaf.id, leaf.min_dwell_ms):
            return [self.leave(leaf.id, self.reason(leaf.exit or leaf.enter))]
        return []

    def settle_tiers(self, segment: Segment) -> list[Change]:
        """The first tier that she may stay in or enter is hers."""
        present = next((leaf for leaf in segment.leaves if leaf.id in self.members), None)
        wanted = next(
            (
                leaf
                for leaf in segment.leaves
                if (not self.must_leave(leaf) if leaf is present else self.may_enter(leaf))
            ),
            None,
        )
        if wanted is present or (present and self.dwells(present.id, present.min_dwell_ms)):
            return []
        entering = self.reason(wanted.enter) if wanted else []
        changes = []
        if present:
            earlier = wanted is not None and segment.leaves.index(wanted) < segment.leaves.index(present)
            changes.append(self.leave(present.id, entering if earlier else self.reason(present.exit or present.enter)))
        if wanted:
            changes.append(self.join(wanted.id, entering))
        return changes

    def settle_cluster(self, segment: Segment) -> list[Change]:
        """Her cluster's segment; an unknown cluster changes nothing."""
        now_in = self.text(self.value(Read("cluster")))
        present = next((name for name in self.members if name.startswith(segment.id + ":")), None)
        if present and not self.may_profile():
            return [self.leave(present, [{"clause": "cluster()", "value": now_in}])]
        if now_in is None or present == f"{segment.id}:{now_in}":
            return []
        if present and self.dwells(present, segment.min_dwell_ms):
            return []
        reason: list[dict[str, object]] = [{"clause": "cluster()", "value": now_in}]
        return [*([self.leave(present, reason)] if present else []), self.join(f"{segment.id}:{now_in}", reason)]

    # Passing time

    def next_instant(self) -> int | None:
        """The next instant after her clock at which anything could change; more than needed is harmless."""
        return min((instant for instant in self.instants() if instant > self.clock), default=None)

    def instants(self) -> Iterator[int]:
        """Candidates: windows, sessions, times crossing what they are compared with, stays, daily samples, triggers."""
        change = self.ledgers.next_change(self.clock)
        if change is not None:
            yield change
        for clause in self.rules.clauses:
            if isinstance(clause, Comparison):
                yield from self.crossings(clause.left, clause.right)
                yield from self.crossings(clause.right, clause.left)
            elif isinstance(clause, OneOf):
                for value in clause.values:
                    yield from self.crossings(clause.left, Constant(value))
        for segment in self.rules.segments:
            for leaf in segment.leaves:
                if leaf.id in self.members:
                    yield self.members[leaf.id] + leaf.min_dwell_ms
            if segment.clusters:
                yield from (s + segment.min_dwell_ms for m, s in self.members.items() if m.startswith(segment.id + ":"))
        yield from (waiting.due_ms for waiting in self.pending.values())
        yield from instants(self)
        daily = self.next_daily()
        if daily is not None:
            yield daily

    def crossings(self, time: Expression, other: Expression) -> Iterator[int]:
        """When a bare time reaches, and when it passes, what it is compared with."""
        if not (isinstance(time, Read) and time.is_time) or (isinstance(other, Read) and other.is_time):
            return  # two times grow alike
        born, limit = self.ledgers.born(time), self.value(other)
        if born is None or limit is None or isinstance(limit, str) or not 0 <= limit < 1e12:
            return
        around = range(math.floor(limit * 1000) - 2, math.floor(limit * 1000) + 4)
        yield born + next(elapsed for elapsed in around if elapsed / 1000 >= limit)
        yield born + next(elapsed for elapsed in around if elapsed / 1000 > limit)

    def next_daily(self) -> int | None:
        """The next daily instant, until 90 days after her last activity; None where nothing is sampled."""
        last = self.ledgers["latest activity"].time
        if last is None or not self.rules.samples:
            return None
        instant: int = self.clock // DAY_MS * DAY_MS + self.daily_ms
        if instant <= self.clock:
            instant += DAY_MS
        return instant if instant <= last + 90 * DAY_MS else None

    def is_daily(self, instant: int) -> bool:
        """Whether a given instant is the daily one."""
        last = self.ledgers["latest activity"].time
        return instant % DAY_MS == self.daily_ms and last is not None and instant <= last + 90 * DAY_MS

    def as_record(self, as_of: int, written: Any) -> dict[str, Any]:
        """Her memberships as the topic shows them, in the order of the definitions file."""
        places = [segment.id for segment in self.rules.file_order]
        leaves = list(self.rules.leaves)
        key = {
            name: (places.index(name.split(":")[0]), leaves.index(name) if name in leaves else 0)
            for name in self.members
        }
        segments = [
            {"id": name, "since": written(self.members[name])}
            for name in sorted(self.members, key=lambda n: (key[n], n))
        ]
        return {"user_id": self.id, "segments": segments, "seq": self.seq, "as_of": written(as_of)}
