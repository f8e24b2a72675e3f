"""One partition's users recomputed from its log, those who were chosen, record by record.

The rule: with the event clock everybody's records move the time, as they did for the worker, and nobody else is kept;
by the wall each record brings its own time, and those of others aren't even read. The naive reader knows the Segment
spec alone: whoever has a record that it can't read, or that only another vendor's rule understands, is in doubt.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from worker.naive.calendar import DAY_MS
from worker.naive.conditions import Read
from worker.naive.decode import NULL_KEY, Event, Names
from worker.naive.twin import Twin
from worker.naive.user import User

__all__ = ["Recomputation"]

OUTPUTS = (
    "transitions", "decisions", "triggers", "conversions", "messages", "samples", "observations", "dead_letters",
)  # fmt: skip
FORGOTTEN_EVERY = 1_000  # records, after which what the twin has written is thrown away: nobody reads it


class Recomputation:
    """A twin that begins with a version's definitions; `foreign` are names of events that only other rules know."""

    def __init__(self, definitions: dict[str, Any], definition_hash: str, model: dict[str, Any] | None, *,
                 chosen: Callable[[str], bool], foreign: Collection[str], erased: Callable[[str], float | None],
                 **place: Any) -> None:  # fmt: skip
        """`erased` says up to when a user's records are ignored (ms), infinite for good, None if she isn't erased."""
        self._users_max = math.inf  # the lowest limit on users there was, which can't be seen in a part of them
        self.twin = Twin(self._unlimited(definitions), definition_hash, model=model, **place)
        self.twin.keeps = self._keeps
        self.twin.erased = _Erased(erased)
        self._chosen = chosen
        self.first_seen: dict[str, int] = {}  # offsets, by key
        self.in_doubt: set[str] = set()
        self._names = _Names(foreign)
        self.twin.reader.names = self._names
        self._records = 0

    def record(self, offset: int, payload: bytes, key: bytes | None, arrival_ms: int) -> None:
        """Take the next record."""
        twin, name = self.twin, (key or b"").decode(errors="replace")
        self.first_seen.setdefault(name, offset)
        users = {name, f"anon:{name}"}
        if not twin.event_clock and not any(map(self._chosen, users)):
            return
        self._names.met, buried = False, len(twin.dead_letters)
        twin.record(offset, payload, NULL_KEY if key is None else key, arrival_ms)
        if len(twin.dead_letters) > buried:
            self.in_doubt |= users
        self._records += 1
        if self._records % FORGOTTEN_EVERY == 0:
            self._forget()

    def _keeps(self, event: Event) -> bool:
        kept = self._chosen(event.user)
        if kept and self._names.met:
            self.in_doubt.add(event.user)
        return kept

    def _unlimited(self, definitions: dict[str, Any]) -> dict[str, Any]:
        retention = dict(definitions.get("retention") or {})
        self._users_max = min(self._users_max, retention.pop("users_max", math.inf))
        return {**definitions, "retention": retention}

    def advance(self, clock_ms: int | None) -> None:
        """Let time pass to where the wall had moved the partition clock."""
        if clock_ms is not None and self.twin.clock is not None:
            before_ms, self.twin.clock = self.twin.clock, max(self.twin.clock, clock_ms)
            self.twin.pass_time(self.twin.clock - self.twin.grace_ms)
            if self.twin.clock // DAY_MS > before_ms // DAY_MS:
                self.twin.begin_day(self.twin.clock // DAY_MS)

    def erase(self, is_hers: Callable[[str], bool]) -> None:
        """Forget the user whose id is the one that is looked for, if she is there."""
        self.twin.forget([user for name, user in self.twin.users.items() if is_hers(name)])

    def publish(self, definitions: dict[str, Any] | None, definition_hash: str | None,
                model: dict[str, Any] | None) -> None:  # fmt: skip
        """Put a version in force."""
        self.twin.publish(None if definitions is None else self._unlimited(definitions), definition_hash, model)

    def tick(self, until_ms: int) -> None:
        """Let time pass for everyone."""
        self.twin.tick(until_ms)

    def may_be_limited(self, *, whole: bool) -> bool:
        """Whether anybody may have been forgotten for a limit on users; `whole`: in a log read from its start."""
        return self._users_max < (len(self.first_seen) if whole else math.inf)

    def memberships(self) -> dict[str, dict[str, Any]]:
        """Return where everybody is who was chosen and has had a transition."""
        return {record["user_id"]: record for record in self.twin.memberships()}

    def clauses(self, user_id: str, at_ms: int) -> Mapping[str, list[dict[str, Any]]]:
        """Return the values of each segment's clauses for a user at an instant: `ID enter`, `ID exit`."""
        user: User = self.twin.users[user_id]
        user.clock = max(user.clock, at_ms)
        found = {}
        for leaf in user.rules.leaves.values():
            found[f"{leaf.id} enter"] = user.reason(leaf.enter)
            if leaf.exit is not None:
                found[f"{leaf.id} exit"] = user.reason(leaf.exit)
        for segment in user.rules.segments:
            if segment.clusters:
                present = next((name for name in user.members if name.startswith(f"{segment.id}:")), segment.id)
                found[f"{present} enter"] = [{"clause": "cluster()", "value": user.value(Read("cluster"))}]
        return found

    def _forget(self) -> None:
        for name in OUTPUTS:
            getattr(self.twin, name).clear()


class _Erased(dict[str, float]):
    """Up to when users' records are ignored, asked of somebody who knows erased users by other names."""

    def __init__(self, until: Callable[[str], float | None]) -> None:
        super().__init__()
        self._until = until

    def get(self, user_id: str, default: Any = None, /) -> Any:
        found = self._until(user_id)
        return default if found is None else found


class _Names(Names):
    """Notes that an event has a name which only another vendor's rule knows."""

    def __init__(self, foreign: Collection[str]) -> None:
        super().__init__()
        self._foreign = foreign
        self.met = False

    def kind(self, record: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.met = record["event"] in self._foreign
        return super().kind(record)
