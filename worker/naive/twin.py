"""The naive twin: the whole contract once more, one user and one record at a time, in plain Python.

Written from CONTRACT.md and docs/semantics.md, never from the engine, and meant to be obviously right rather than
fast: the engine is held to it transition by transition, decision by decision, id by id. Only learning is left out.
Outputs are the records of CONTRACT section 5 without `emitted_at`.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from worker.naive.calendar import DAY_MS, duration_ms, hexdigits, written
from worker.naive.campaigns import Desk, Move
from worker.naive.decode import NULL_KEY, Event, IgnoredError, Reader, RefusedError
from worker.naive.rules import Rules
from worker.naive.samples import Watch
from worker.naive.user import Change, User

__all__ = ["NULL_KEY", "Twin"]

PAYLOAD_SHOWN = 1_024  # bytes of a dead letter's payload that the twin shows


class Twin(Desk, Watch):
    """One partition under given definitions.

    `clock` is "event" (only records move time) or "wall" (records come with `arrival_ms`). `model` is a snapshot as a
    plain dict. Outputs: `transitions`, `decisions`, `triggers`, `conversions`, `messages`, `samples`,
    `observations`, `dead_letters`, lists of plain dicts in the order in which they happened; `counts` as below.
    """

    def __init__(
        self,
        definitions: dict[str, Any],
        definition_hash: str,
        *,
        mapping: dict[str, Any] | None = None,
        topic: str = "shoal.events",
        partition: int = 0,
        partitions: int = 1,
        grace_ms: int = 2000,
        clock: str = "event",
        model: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.rules = Rules(definitions, definition_hash, model)
        self.topic, self.partition, self.partitions, self.grace_ms = topic, partition, partitions, grace_ms
        self.event_clock = clock == "event"
        self.reader = Reader(mapping, event_clock=self.event_clock)
        self.users: dict[str, User] = {}
        self.keeps: Callable[[Event], bool] = lambda _: True  # whose records do more than move the clock
        self.erased: dict[str, float] = {}
        self.clock: int | None = None
        self.ticked: int | None = None
        self.wall_ms = 0
        self.due: list[tuple[int, int, str]] = []
        self.transitions: list[dict[str, Any]] = []
        self.dead_letters: list[dict[str, Any]] = []
        self.read = self.applied = self.duplicates = self.repaired = 0
        self.dead_by_reason: Counter[str] = Counter()
        self.repaired_by_reason: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, Any]:
        """`read`, `applied`, `duplicates`, `repaired` (records); `dead_letters` and `repaired_reasons` by reason."""
        return {
            "read": self.read,
            "applied": self.applied,
            "duplicates": self.duplicates,
            "dead_letters": dict(self.dead_by_reason),
            "repaired": self.repaired,
            "repaired_reasons": dict(self.repaired_by_reason),
        }

    # What happens to a partition

    def record(
        self, offset: int, payload: bytes, key: object = None, arrival_ms: int | None = None, wall_ms: int | None = None
    ) -> None:
        """Take the next record. `key` None: not checked (files); `NULL_KEY`: a record without one where keys are."""
        self.wall_ms = self.wall_ms if wall_ms is None else wall_ms
        self.read += 1
        try:
            event = self.reader.read(
                payload, self.rules.data, key=key, arrival_ms=arrival_ms, clock=self.clock, erased=self.erased,
                before=self.make_room,
            )  # fmt: skip
        except IgnoredError:
            self.duplicates += 1
            return
        except RefusedError as refused:
            self.bury(offset, payload, refused.args[0])
            return
        event.offset = offset
        self.clock = event.arrival if self.clock is None else max(self.clock, event.arrival)
        self.pass_time(self.clock - self.grace_ms)
        if not self.keeps(event):
            return
        user = self.users.get(event.user)
        if user and user.is_duplicate(event):
            self.duplicates += 1
            return
        self.applied += 1
        self.repaired += bool(event.repaired)
        self.repaired_by_reason.update(event.repaired)
        self.apply(event, max(event.time, self.passed))
        self.users[event.user].seen_day = self.clock // DAY_MS

    @property
    def passed(self) -> int:
        """Up to where time has passed for everyone: the partition clock less the grace, and every tick."""
        assert self.clock is not None
        passed = self.clock - self.grace_ms
        return passed if self.ticked is None else max(passed, self.ticked)

    def tick(self, until_ms: int, wall_ms: int | None = None) -> None:
        """Time passes for everyone up to and including an instant, and nobody comes later than at it."""
        self.wall_ms = self.wall_ms if wall_ms is None else wall_ms
        self.pass_time(until_ms)
        self.ticked = until_ms if self.ticked is None else max(self.ticked, until_ms)
        before, self.clock = self.clock, until_ms if self.clock is None else max(self.clock, until_ms)
        if before is not None and self.clock // DAY_MS > before // DAY_MS:
            self.begin_day(self.clock // DAY_MS)

    def erase(self, user_id: str, until_ms: int, *, suppress: bool = False, wall_ms: int | None = None) -> None:
        """A user is erased at the present partition clock: what she did until then, or ever does, is ignored."""
        self.wall_ms = self.wall_ms if wall_ms is None else wall_ms
        self.erased[user_id] = math.inf if suppress else max(until_ms, self.erased.get(user_id, -math.inf))
        if user_id in self.users:
            self.forget([self.users[user_id]])

    def publish(
        self,
        definitions: dict[str, Any] | None = None,
        definition_hash: str | None = None,
        model: dict[str, Any] | None = None,
        wall_ms: int | None = None,
    ) -> None:
        """New definitions, or a new model, take effect at the present partition clock."""
        self.wall_ms = self.wall_ms if wall_ms is None else wall_ms
        if self.clock is not None:
            self.pass_time(self.clock)
        old, cause = self.rules, "model" if definitions is None else "definition"
        self.rules = Rules(definitions or old.data, definition_hash or old.hash, model or old.model)
        for user in self.in_place():
            assert self.clock is not None
            user.follow(self.rules)
            user.clock = max(user.clock, self.clock)
            gone = [
                leaf
                for segment in old.segments
                for leaf in self.members_of(user, segment.id)
                if not self.rules.is_leaf(leaf)
            ]
            user.sample()
            self.evaluate(user, cause, changes=[user.leave(name, []) for name in gone])

    def memberships(self) -> list[dict[str, Any]]:
        """The memberships of all users with at least one transition, by first appearance."""
        passed = -(10**18) if self.clock is None else self.passed
        return [user.as_record(max(user.clock, passed), written) for user in self.in_place() if user.seq]

    # Forgetting

    def make_room(self, event: Event) -> None:
        """Before a record: a day may begin, and there may be no room for a new user."""
        if self.clock is None:
            return
        if event.arrival // DAY_MS > self.clock // DAY_MS:
            self.begin_day(event.arrival // DAY_MS)
        most = (self.rules.data.get("retention") or {}).get("users_max")
        if most is not None and event.user not in self.users and len(self.users) >= most:
            longest = sorted(self.users.values(), key=lambda user: (user.seen_day, user.appearance))
            self.forget(longest[: len(longest) - most + max(1, most // 20)])

    def begin_day(self, day: int) -> None:
        """Who has had no record for longer than is allowed is forgotten."""
        idle = (self.rules.data.get("retention") or {}).get("idle")
        if idle is not None:
            self.forget([u for u in self.users.values() if (day - u.seen_day) * DAY_MS > duration_ms(idle)])

    def forget(self, users: list[User]) -> None:
        """Users leave all segments without a reason, what is pending is cancelled, and nothing else is left of them."""
        for user in sorted(users, key=lambda user: user.appearance):
            assert self.clock is not None
            user.clock = max(user.clock, self.clock)
            for segment in self.rules.segments:
                for leaf in self.members_of(user, segment.id):
                    self.transition(user, user.leave(leaf, []), "erasure", None)
            for campaign in self.rules.campaigns:
                if campaign["id"] in user.pending:
                    self.decide(user, campaign, user.pending[campaign["id"]], "cancelled", None)
            del self.users[user.id]

    def in_place(self) -> list[User]:
        """All users by their places."""
        return sorted(self.users.values(), key=lambda user: user.appearance)

    def place(self) -> int:
        """The place of a new user: the lowest that nobody has."""
        taken = {user.appearance for user in self.users.values()}
        return next(place for place in range(len(taken) + 1) if place not in taken)

    # How it happens

    @staticmethod
    def members_of(user: User, segment: str) -> list[str]:
        """Where a user is a member of a segment or a group."""
        return [name for name in user.members if name.split(":")[0] == segment]

    def bury(self, offset: int, payload: bytes, reason: str) -> None:
        """A dead letter, its payload cut."""
        self.dead_by_reason[reason] += 1
        shown = payload[:PAYLOAD_SHOWN].decode("utf-8", "replace")
        self.dead_letters.append(
            {"reason": reason, "topic": self.topic, "partition": self.partition, "offset": offset, "payload": shown}
        )

    def due_users(self, until_ms: int) -> Iterator[tuple[User, int]]:
        """Users and their next instants up to a limit, by (instant, first appearance)."""
        while self.due and self.due[0][0] <= until_ms:
            instant, place, name = heapq.heappop(self.due)
            user = self.users.get(name)
            if (
                user and user.appearance == place and user.next_instant() == instant
            ):  # else she has moved on, or is gone
                yield user, instant

    def pass_time(self, until_ms: int) -> None:
        """Everyone follows up to and including a limit."""
        for user, instant in self.due_users(until_ms):
            self.reach(user, instant)

    def reach(self, user: User, instant: int) -> None:
        """A user's time reaches an instant at which something could change."""
        daily = user.is_daily(instant)
        user.clock = instant
        if daily:
            user.sample()
        self.evaluate(user, "timer")
        self.watch(user)
        self.note(user)

    def apply(self, event: Event, limit: int) -> None:
        """Time passes for the user, the event is applied, the user is evaluated at her clock."""
        user = self.users.get(event.user)
        if user is None:
            user = self.users[event.user] = User(event.user, self.place(), self.rules, limit)
        instant = user.next_instant()
        while instant is not None and instant <= limit:
            self.reach(user, instant)
            instant = user.next_instant()
        user.clock = max(user.clock, limit)
        user.apply(event)
        if event.kind != "identify":
            self.convert(user, event)
            self.join(user, event)
            self.resolve_by(user, event)
        user.sample()
        self.evaluate(user, "event", offset=event.offset)

    def evaluate(
        self, user: User, cause: str, *, offset: int | None = None, changes: list[Change] | None = None
    ) -> None:
        """Judge all segments once, record what changed, let the campaigns decide, note the next instant."""
        found = list(changes or [])
        for segment in self.rules.segments:
            found += user.settle(segment)
        moves = [self.transition(user, change, cause, offset) for change in found]
        self.run_campaigns(user, moves, by_version=cause in ("model", "definition"))
        self.note(user)

    def note(self, user: User) -> None:
        """Note her next instant."""
        instant = user.next_instant()
        if instant is not None:
            heapq.heappush(self.due, (instant, user.appearance, user.id))

    def transition(self, user: User, change: Change, cause: str, offset: int | None) -> Move:
        """Record a transition."""
        direction, segment, reason = change
        place = () if offset is None else (self.partition, offset)
        name = hexdigits(user.id, segment, direction, self.rules.hash, user.clock, cause, *place)
        user.seq += 1
        source = {"topic": self.topic, "partition": self.partition, "offset": offset}
        self.transitions.append(
            {
                "id": name,
                "user_id": user.id,
                "segment": segment,
                "direction": direction,
                "seq": user.seq,
                "occurred_at": written(user.clock),
                "cause": cause,
                "origin": "backfill" if cause in ("model", "definition", "erasure") else "live",
                "reason": reason,
                "definition": self.rules.label,
                "model": self.rules.model_label,
                "source": None if offset is None else source,
            }
        )
        return Move(name, segment, direction, user.clock)
