"""Why is she in? Every segment's clauses with their values, as of now, worked out on a copy of the row."""

from typing import Any

import msgspec
import numpy as np

from worker.core.comparisons import UNKNOWN
from worker.core.compiled import entry
from worker.core.conditions import holds
from worker.core.effects import contributions_of, iso, trait_of, value_of
from worker.core.handles import handle
from worker.core.interning import Strings
from worker.core.layout import CLOCK, FOREVER, NEVER, SEQ, ZONE
from worker.core.program import Version
from worker.core.segments import REASONS, write_reasons
from worker.core.state import Rows
from worker.core.tables import Integer, Outputs, Program, StateArrays
from worker.core.windows import roll
from worker.core.zones import Zones

__all__ = ["explain"]


@entry
def _roll(p: Program, s: StateArrays, clock: Integer) -> None:
    roll(p, s.wide, s.narrow, 0, clock)


@entry
def _read_clause(p: Program, s: StateArrays, o: Outputs, clock: Integer, place: Integer) -> Integer:
    """Write the clause's value to `o.reasons[0]`; return its truth."""
    o.counts[REASONS] = 0
    write_reasons(p, s, o, 0, clock, place, place + 1)
    o.counts[REASONS] = 0
    clause = p.clauses[place]
    if clause["truth_first"] < 0:
        return UNKNOWN
    return holds(p, s, o, 0, clock, clause["truth_first"], clause["truth_last"])[0]


def explain(version: Version, rows: Rows, strings: Strings, zones: Zones, outputs: Outputs, user_id: str, slot: int,
            now: int) -> dict[str, Any]:  # fmt: skip
    """Return the user's clock, segments, traits and campaigns; `now` (ms) is how far time has passed for everyone."""
    row = rows.rows[slot].copy().reshape(1, -1)
    copy = rows.arrays()._replace(wide=row, real=row.view(np.float64), narrow=row.view(np.int32))
    clock = max(int(row[0, CLOCK]), now)
    _roll(handle(version.program), handle(copy), clock)
    clauses = _Clauses(version, copy, strings, outputs, clock)
    zone = int(copy.narrow[0, ZONE])
    due = int(rows.due[slot])
    definitions = version.checked.definitions
    return {
        "user_id": user_id,
        "clock": iso(clock),
        "timezone": zones.names[zone] if zone >= 0 else definitions.timezone,
        "transitions": int(copy.narrow[0, SEQ]),
        "next_instant": None if due == FOREVER else iso(due),
        "segments": clauses.segments(),
        "traits": {name: trait_of(version.layout, strings.texts, row[0], name) for name in definitions.traits},
        "campaigns": _campaigns(version, row[0]),
    }


class _Clauses:
    """Reads clauses off one row."""

    def __init__(self, version: Version, state: StateArrays, strings: Strings, outputs: Outputs, clock: int) -> None:
        self.version = version
        self.state = state
        self.strings = strings
        self.outputs = outputs
        self.clock = clock
        self._handles = handle(version.program), handle(state), handle(outputs)

    def segments(self) -> list[dict[str, Any]]:
        """Return a record per segment and tier, in the order of evaluation."""
        found = []
        for name, member in zip(self.version.members, self.version.program.members, strict=True):
            since, shown = int(self.state.wide[0, member["since"]]), name
            cluster = f"cluster_of:{name}"
            if since != NEVER and cluster in self.version.layout:
                shown = self.strings.texts[self.state.narrow[0, self.version.layout[cluster]]]
            found.append({
                "id": shown, "member": since != NEVER, "since": None if since == NEVER else iso(since),
                "enter": self._list(member["enter_clauses_first"], member["enter_clauses_last"]),
                "exit": self._list(member["exit_clauses_first"], member["exit_clauses_last"]),
            })  # fmt: skip
        return found

    def _list(self, first: int, last: int) -> list[dict[str, Any]]:
        return [self._clause(place) for place in range(first, last)] if first >= 0 else []

    def _clause(self, place: int) -> dict[str, Any]:
        truth = _read_clause(*self._handles, self.clock, place)
        found = {
            "clause": self.version.clause_texts[place],
            "value": value_of(self.strings.texts, *self.outputs.reasons[0].tolist()),
            "truth": None if truth == UNKNOWN else bool(truth),
        }
        if self.version.program.clauses[place]["target"] < 0:
            return found
        moved = contributions_of(self.strings.texts, self.outputs.contributions, 0)
        return {**found, "contributions": list(map(msgspec.to_builtins, moved))} if moved else found


def _campaigns(version: Version, row: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """Return what each campaign remembers of the user: a pending trigger, the latest fired or held-out decision."""
    found = []
    for place, campaign in enumerate(version.campaigns):
        entry = version.program.campaigns[place]
        when, decided = int(row[entry["pending"]]), int(row[entry["last"]])
        found.append({
            "id": campaign.id, "pending_until": None if when == FOREVER else iso(when),
            "last_decision": None if decided == NEVER else iso(decided),
        })  # fmt: skip
    return found
