"""Who is in which segment: one evaluation of a row, segment by segment, and its transitions.

The rule: a segment changes at most once in an evaluation, segments come in the order in which their reads are done, and
the evaluation returns the first instant at which time alone could make another one necessary. Null never moves anyone.
"""

import math

import numpy as np

from worker.core.comparisons import FALSE, TRUE
from worker.core.compiled import compiled
from worker.core.conditions import holds, number
from worker.core.contributions import write_contributions
from worker.core.layout import FOREVER, NEVER, SEQ
from worker.core.scoring import may_profile
from worker.core.tables import Integer, Outputs, Program, Row, StateArrays

__all__ = [
    "APPLIED", "CAUSES", "CLUSTERS", "CONVERSIONS", "DECISIONS", "DUPLICATES", "ENTERED", "EVALUATIONS",
    "EVENT", "EXITED", "HEAP", "MESSAGES", "OBSERVATIONS", "OF_CLUSTER", "OF_MEMBER", "OF_MEMBER_CLUSTER", "OF_NUMBER",
    "OF_TRAIT", "REASONS", "RETIRED", "RETIRED_CLUSTERS", "SAMPLES", "SEGMENT", "TIERS", "TIMER", "TRANSITIONS",
    "TRIGGERS", "evaluate_segments", "leave_everything", "write_reasons",
]  # fmt: skip

ENTERED, EXITED = 0, 1
CAUSES = ("event", "timer", "model", "definition", "erasure")  # of transitions, by number
EVENT, TIMER, ERASURE = 0, 1, 4
# Kinds of units.
SEGMENT, TIERS, CLUSTERS, RETIRED, RETIRED_CLUSTERS = range(5)
# Kinds of clauses.
OF_NUMBER, OF_TRAIT, OF_CLUSTER, OF_MEMBER, OF_MEMBER_CLUSTER = range(5)
# Counters of `o.counts`.
(APPLIED, DUPLICATES, EVALUATIONS, TRANSITIONS, REASONS, DECISIONS, CONVERSIONS, TRIGGERS, SAMPLES, OBSERVATIONS,
 MESSAGES, HEAP) = range(12)  # fmt: skip


@compiled
def _write_reason(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, clause: Row) -> None:
    """Append the value of one clause: a number (NaN: null) or a text number."""
    entry = o.reasons[o.counts[REASONS]]
    o.counts[REASONS] += 1
    entry["text"] = -1
    entry["truth"] = -1
    entry["number"] = math.nan
    if clause["target"] >= 0:
        write_contributions(p, s, o, slot, clock, clause["target"], o.counts[REASONS] - 1)
    kind = clause["kind"]
    if kind == OF_NUMBER:
        entry["number"] = number(p, s, o.scratch, slot, clock, clause["first"], clause["last"])
    elif kind == OF_TRAIT:
        entry["number"] = s.real[slot, p.traits[clause["first"]]["number"]]
        entry["text"] = s.narrow[slot, p.traits[clause["first"]]["text"]]
    elif kind == OF_CLUSTER:
        entry["text"] = s.narrow[slot, p.settings[0]["cluster"]]
    elif kind == OF_MEMBER_CLUSTER:
        entry["truth"] = 1 if s.narrow[slot, clause["first"]] == clause["last"] else 0
    else:
        entry["truth"] = 0
        for member in range(clause["first"], clause["last"]):
            if s.wide[slot, p.members[member]["since"]] != NEVER:
                entry["truth"] = 1


@compiled
def write_reasons(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, first: Integer, last: Integer
) -> Integer:
    """Append the values of clauses [first, last) as they are now; return where in `o.reasons` they begin."""
    begin = o.counts[REASONS]
    for place in range(first, last):
        _write_reason(p, s, o, slot, clock, p.clauses[place])
    return begin


@compiled
def _transition(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    cause: Integer,
    offset: Integer,
    unit: Integer,
    segment: Integer,
    direction: Integer,
    first: Integer,
    last: Integer,
) -> None:
    """Append a transition whose reason is clauses [first, last)."""
    begin = write_reasons(p, s, o, slot, clock, first, last)
    s.narrow[slot, SEQ] += 1
    entry = o.transitions[o.counts[TRANSITIONS]]
    o.counts[TRANSITIONS] += 1
    entry["slot"] = slot
    entry["seq"] = s.narrow[slot, SEQ]
    entry["unit"] = unit
    entry["segment"] = segment
    entry["direction"] = direction
    entry["at"] = clock
    entry["cause"] = cause
    entry["offset"] = offset
    entry["reasons"] = begin
    entry["clauses_first"] = first
    entry["clauses_last"] = last


@compiled
def _move(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    cause: Integer,
    offset: Integer,
    unit: Integer,
    place: Integer,
    direction: Integer,
    first: Integer,
    last: Integer,
) -> None:
    """Take the user into or out of member `place`."""
    member = p.members[place]
    _transition(p, s, o, slot, clock, cause, offset, unit, member["text"], direction, first, last)
    s.wide[slot, member["since"]] = clock if direction == ENTERED else NEVER


@compiled
def _leaves(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, member: Row) -> tuple[bool, Integer]:
    """Return (whether a member's exit holds, instant): without an explicit one, whether `enter` is false."""
    if member["exit_first"] >= 0:
        truth, instant = holds(p, s, o, slot, clock, member["exit_first"], member["exit_last"])
        return truth == TRUE, instant
    truth, instant = holds(p, s, o, slot, clock, member["enter_first"], member["enter_last"])
    return truth == FALSE, instant


@compiled
def _enters(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, member: Row) -> tuple[bool, Integer]:
    """Return (whether a user outside would enter, instant): `enter` is true and an explicit exit isn't."""
    truth, instant = holds(p, s, o, slot, clock, member["enter_first"], member["enter_last"])
    if truth != TRUE or member["exit_first"] < 0:
        return truth == TRUE, instant
    barred, until = holds(p, s, o, slot, clock, member["exit_first"], member["exit_last"])
    if barred == TRUE:
        return False, until
    # Once inside she leaves by the exit alone, so `enter` has nothing more to say.
    return True, until


@compiled
def _exit_clauses(member: Row) -> tuple[Integer, Integer]:
    if member["exit_first"] >= 0:
        return member["exit_clauses_first"], member["exit_clauses_last"]
    return member["enter_clauses_first"], member["enter_clauses_last"]


@compiled
def _segment(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    cause: Integer,
    offset: Integer,
    unit: Integer,
    place: Integer,
) -> Integer:
    member = p.members[place]
    since = s.wide[slot, member["since"]]
    if since == NEVER:
        enters, instant = _enters(p, s, o, slot, clock, member)
        if enters:
            first, last = member["enter_clauses_first"], member["enter_clauses_last"]
            _move(p, s, o, slot, clock, cause, offset, unit, place, ENTERED, first, last)
        return instant
    leaves, instant = _leaves(p, s, o, slot, clock, member)
    if not leaves:
        return instant
    if clock - since < member["dwell"]:
        return since + member["dwell"]
    first, last = _exit_clauses(member)
    _move(p, s, o, slot, clock, cause, offset, unit, place, EXITED, first, last)
    return instant


@compiled
def _tier_choice(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, first: Integer, last: Integer
) -> tuple[Integer, Integer, Integer]:
    """Return (her tier by the rules or -1, her present tier or -1, instant)."""
    chosen = -1
    present = -1
    instant = FOREVER
    for place in range(first, last):
        if s.wide[slot, p.members[place]["since"]] != NEVER:
            present = place
    for place in range(first, last):
        if place == present:
            leaves, until = _leaves(p, s, o, slot, clock, p.members[place])
            fits = not leaves
        else:
            fits, until = _enters(p, s, o, slot, clock, p.members[place])
        instant = min(instant, until)
        if fits:
            chosen = place
            break
    return chosen, present, instant


@compiled
def _tiers(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    cause: Integer,
    offset: Integer,
    unit: Integer,
    first: Integer,
    last: Integer,
) -> Integer:
    chosen, present, instant = _tier_choice(p, s, o, slot, clock, first, last)
    if chosen == present:
        return instant
    if present >= 0:
        member = p.members[present]
        since = s.wide[slot, member["since"]]
        if clock - since < member["dwell"]:
            return min(instant, since + member["dwell"])
        from_clause, to_clause = _exit_clauses(member)
        if chosen >= 0 and chosen < present:
            from_clause = p.members[chosen]["enter_clauses_first"]
            to_clause = p.members[chosen]["enter_clauses_last"]
        _move(p, s, o, slot, clock, cause, offset, unit, present, EXITED, from_clause, to_clause)
    if chosen >= 0:
        member = p.members[chosen]
        from_clause, to_clause = member["enter_clauses_first"], member["enter_clauses_last"]
        _move(p, s, o, slot, clock, cause, offset, unit, chosen, ENTERED, from_clause, to_clause)
    return instant


@compiled
def _cluster_segment(p: Program, s: StateArrays, slot: Integer, unit: Integer) -> Integer:
    """Return the text number of the segment of the user's cluster, -1 while it is unknown."""
    cluster = s.narrow[slot, p.settings[0]["cluster"]]
    for centre in range(len(p.clusters)):
        if cluster >= 0 and p.clusters[centre] == cluster:
            return p.cluster_segments[p.units[unit]["clusters"], centre]
    return np.int64(-1)


@compiled
def _clusters(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    cause: Integer,
    offset: Integer,
    unit: Integer,
    place: Integer,
) -> Integer:
    member = p.members[place]
    column = p.units[unit]["column"]
    held = np.int64(s.narrow[slot, column])
    segment = _cluster_segment(p, s, slot, unit)
    first, last = member["enter_clauses_first"], member["enter_clauses_last"]
    if held >= 0 and not may_profile(p, s, slot):
        _transition(p, s, o, slot, clock, cause, offset, unit, held, EXITED, first, last)
        s.narrow[slot, column] = -1
        s.wide[slot, member["since"]] = NEVER
        return FOREVER
    if segment < 0 or segment == held:
        return FOREVER
    if held >= 0:
        since = s.wide[slot, member["since"]]
        if clock - since < member["dwell"]:
            return since + member["dwell"]
        _transition(p, s, o, slot, clock, cause, offset, unit, held, EXITED, first, last)
    _transition(p, s, o, slot, clock, cause, offset, unit, segment, ENTERED, first, last)
    s.narrow[slot, column] = segment
    s.wide[slot, member["since"]] = clock
    return FOREVER


@compiled
def _retire(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    cause: Integer,
    offset: Integer,
    unit: Integer,
    place: Integer,
) -> None:
    """Let a user leave a segment that the version in force no longer has."""
    member = p.members[place]
    if s.wide[slot, member["since"]] == NEVER:
        return
    segment: Integer = member["text"]
    if p.units[unit]["kind"] == RETIRED_CLUSTERS:
        segment = np.int64(s.narrow[slot, p.units[unit]["column"]])
        s.narrow[slot, p.units[unit]["column"]] = -1
    _transition(p, s, o, slot, clock, cause, offset, unit, segment, EXITED, 0, 0)
    s.wide[slot, member["since"]] = NEVER


@compiled
def evaluate_segments(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, cause: Integer, offset: Integer
) -> Integer:
    """Evaluate every segment of a row at `clock`; return the first instant at which time could change one."""
    instant = FOREVER
    for unit in range(len(p.units)):
        entry = p.units[unit]
        kind = entry["kind"]
        first = entry["first"]
        if kind == SEGMENT:
            until = _segment(p, s, o, slot, clock, cause, offset, unit, first)
        elif kind == TIERS:
            until = _tiers(p, s, o, slot, clock, cause, offset, unit, first, entry["last"])
        elif kind == CLUSTERS:
            until = _clusters(p, s, o, slot, clock, cause, offset, unit, first)
        else:
            _retire(p, s, o, slot, clock, cause, offset, unit, first)
            until = FOREVER
        instant = min(instant, until)
    return instant


@compiled
def leave_everything(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Take a user who is forgotten out of every segment, in the order of evaluation, without a reason."""
    for unit in range(len(p.units)):
        entry = p.units[unit]
        clusters = entry["kind"] == CLUSTERS or entry["kind"] == RETIRED_CLUSTERS
        for place in range(entry["first"], entry["last"]):
            member = p.members[place]
            if s.wide[slot, member["since"]] == NEVER:
                continue
            segment = np.int64(s.narrow[slot, entry["column"]]) if clusters else np.int64(member["text"])
            _transition(
                p, s, o, slot, clock, np.int64(ERASURE), np.int64(-1), unit, segment, EXITED, np.int64(0), np.int64(0)
            )
            s.wide[slot, member["since"]] = NEVER
