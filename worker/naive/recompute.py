"""One partition's users recomputed from its log, those who were chosen, record by record.

The rule: with the event clock everybody's records move the time, as they did for the worker, and nobody else is kept;
by the wall each record brings its own time, and those of others aren't even read.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from worker.naive.calendar import DAY_MS
from worker.naive.conditions import Read
from worker.naive.decode import NULL_KEY, Event
from worker.naive.mapping import Rules
from worker.naive.twin import Twin
from worker.naive.user import User

__all__ = ["Recomputation"]

OUTPUTS = (
    "transitions", "decisions", "triggers", "conversions", "messages", "samples", "observations", "dead_letters",
)  # fmt: skip
FORGOTTEN_EVERY = 1_000  # records, after which what the twin has written is thrown away: nobody reads it


class Recomputation:
    """A twin that begins with a version's definitions, and reads by the mapping that came with them."""

    def __init__(self, definitions: dict[str, Any], definition_hash: str, model: dict[str, Any] | None, *,
                 mapping: dict[str, Any], chosen: Callable[[str], bool],
                 erased: Callable[[str], float | None], **place: Any) -> None:  # fmt: skip
        """`erased` says up to when a user's records are ignored (ms), infinite for good, None if she isn't erased."""
        self._users_max = math.inf  # the lowest limit on users there was, which can't be seen in a part of them
        self.twin = Twin(self._unlimited(definitions), definition_hash, model=model, mapping=mapping, **place)
        self.twin.keeps = self._keeps
        self.twin.erased = _Erased(erased)
        self._chosen = chosen
        self.first_seen: dict[str, int] = {}  # offsets, by key
        self._records = 0

    def record(self, offset: int, payload: bytes, key: bytes | None, arrival_ms: int) -> None:
        """Take the next record."""
        twin, name = self.twin, (key or b"").decode(errors="replace")
        self.first_seen.setdefault(name, offset)
        if not twin.event_clock and not any(map(self._chosen, (name, f"anon:{name}"))):
            return
        twin.record(offset, payload, NULL_KEY if key is None else key, arrival_ms)
        self._records += 1
        if self._records % FORGOTTEN_EVERY == 0:
            self._forget()

    def _keeps(self, event: Event) -> bool:
        return self._chosen(event.user)

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

    def publish(self, definitions: dict[str, Any] | None, definition_hash: str | None, model: dict[str, Any] | None,
                mapping: dict[str, Any] | None) -> None:  # fmt: skip
        """Put a version in force; what is None stays as it was."""
        if mapping is not None:
            self.twin.reader.names = Rules(mapping)
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
