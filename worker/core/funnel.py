"""The funnel: everything that can change a user goes through `evaluate`, whatever set it off.

A record lets time pass for its user first, instant by instant, is applied, and has her evaluated at her clock. A
moment that passes without one, and a version that takes effect, only have her evaluated. Before each record the users
who fall due by the partition clock less the grace are worked off in order of (instant, slot).

The rule: a step that could outgrow the outputs isn't begun. The functions then return early, the caller takes what is
there, and calls again; nothing is half done, because a record's first act, letting time pass, may be repeated.
"""

import numpy as np

from schemas.events import IDENTIFY
from worker.core.batch import ACTIVITY, AMOUNT, DECISION, FLAGS, INDEX, KIND, OFFSET, REPAIRS, SLOT, TIME, WHAT
from worker.core.batch import CLOCK as RECORD_CLOCK
from worker.core.campaigns import cancel_everything, convert, decide_campaigns
from worker.core.compiled import compiled, entry
from worker.core.due_heap import pop, push
from worker.core.features import apply, is_duplicate
from worker.core.layout import CLOCK, FOREVER, NOBODYS, SEEN, VERSION
from worker.core.samples import forget_without_consent, next_hashed, next_sampling, pass_sampling, resolve_by_event
from worker.core.scoring import sample
from worker.core.segments import (
    APPLIED,
    CONVERSIONS,
    DECISIONS,
    DUPLICATES,
    EVALUATIONS,
    EVENT,
    HEAP,
    MESSAGES,
    OBSERVATIONS,
    REASONS,
    SAMPLES,
    TIMER,
    TRANSITIONS,
    TRIGGERS,
    evaluate_segments,
    leave_everything,
)
from worker.core.tables import Integer, Outputs, Program, Row, StateArrays, Surroundings, Table
from worker.core.windows import roll

__all__ = [
    "BLOCK", "COUNTERS", "HORIZON", "REPAIRED", "collect_due", "drain", "forget", "migrate", "run", "take_effect",
]  # fmt: skip

BLOCK = 1024
HORIZON = HEAP + 1
REPAIRED = HEAP + 2  # and a counter per reason behind it
REASONS_FOR_REPAIR = len(REPAIRS)
COUNTERS = REPAIRED + 1 + REASONS_FOR_REPAIR
DAY_MS = 86_400_000


@compiled
def _has_room(p: Program, o: Outputs) -> bool:
    """Return whether one more evaluation surely fits the outputs."""
    settings = p.settings[0]
    return (
        o.counts[TRANSITIONS] + settings["transitions_most"] < len(o.transitions)
        and o.counts[REASONS] + settings["reasons_most"] < len(o.reasons)
        and o.counts[DECISIONS] + settings["decisions_most"] < len(o.decisions)
        and o.counts[TRIGGERS] + settings["decisions_most"] < len(o.triggers)
        and o.counts[CONVERSIONS] + settings["decisions_most"] < len(o.conversions)
        and o.counts[MESSAGES] + 1 < len(o.messages)
        and o.counts[SAMPLES] + settings["samples_most"] < len(o.samples)
        and o.counts[OBSERVATIONS] + settings["samples_most"] < len(o.observations)
        and o.counts[HEAP] + 1 < len(o.heap_due)
    )


@compiled
def _fall_due(s: StateArrays, o: Outputs, slot: Integer, due: Integer) -> None:
    """Note when a row is due next."""
    s.due[slot] = due
    s.block_due[slot // BLOCK] = min(s.block_due[slot // BLOCK], due)
    if due <= o.counts[HORIZON]:
        push(o, due, slot)


@compiled
def evaluate(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    o: Outputs,
    slot: Integer,
    cause: Integer,
    offset: Integer,
    sampling: Integer,
    wall: Integer,
) -> None:
    """Evaluate a row at its clock, to which its windows have been rolled; note when it is due next.

    Callers wrap constants in `np.int64`: numba would compile the whole funnel once per literal otherwise.
    """
    clock = s.wide[slot, CLOCK]
    o.counts[EVALUATIONS] += 1
    s.changed[slot] = True
    if sampling == 1 and len(p.samples) > 0:
        sample(p, s, o, slot, clock)
    first = o.counts[TRANSITIONS]
    due = evaluate_segments(p, s, o, slot, clock, cause, offset)
    if len(p.turns) > 0:
        due = min(due, decide_campaigns(p, s, z, o, slot, clock, cause, offset, first, wall))
    if p.settings[0]["daily"] == 1:
        due = min(due, next_hashed(s, slot, clock, np.int64(DAY_MS)))
    if p.settings[0]["evaluation_due"] >= 0:
        s.wide[slot, p.settings[0]["evaluation_due"]] = due
        forget_without_consent(p, s, slot)
        due = min(due, next_sampling(p, s, slot, clock))
    _fall_due(s, o, slot, due)


@compiled
def _move_clock(p: Program, s: StateArrays, slot: Integer, clock: Integer) -> None:
    roll(p, s.wide, s.narrow, slot, clock)
    s.wide[slot, CLOCK] = clock


@compiled
def _pass_instant(p: Program, s: StateArrays, z: Surroundings, o: Outputs, slot: Integer, wall: Integer) -> None:
    """Evaluate a row at the instant it is due; if it is due for sampling alone, only sample it.

    That moves its clock too, which shows nowhere: whatever comes later is at no earlier instant than those passed.
    """
    before = s.wide[slot, CLOCK]
    due = s.due[slot]
    daily = p.settings[0]["daily"] == 1 and next_hashed(s, slot, before, np.int64(DAY_MS)) == due
    _move_clock(p, s, slot, due)
    if p.settings[0]["evaluation_due"] >= 0:
        pass_sampling(p, s, o, slot, before, due)
        evaluation = s.wide[slot, p.settings[0]["evaluation_due"]]
        if evaluation > due:
            s.changed[slot] = True
            _fall_due(s, o, slot, min(evaluation, next_sampling(p, s, slot, due)))
            return
    evaluate(p, s, z, o, slot, np.int64(TIMER), np.int64(-1), np.int64(daily), wall)


@compiled
def _pass_time(
    p: Program, s: StateArrays, z: Surroundings, o: Outputs, slot: Integer, limit: Integer, wall: Integer
) -> bool:
    """Let time pass for a row up to and including `limit`; return False if the outputs are full."""
    while s.due[slot] <= limit:
        if not _has_room(p, o):
            return False
        _pass_instant(p, s, z, o, slot, wall)
    return True


@compiled
def _take_effect(p: Program, s: StateArrays, z: Surroundings, o: Outputs, slot: Integer, wall: Integer) -> None:
    """Evaluate a row under the version in force, if it hasn't been yet."""
    settings = p.settings[0]
    if s.narrow[slot, VERSION] == settings["version"] or s.narrow[slot, VERSION] == NOBODYS:
        return
    s.narrow[slot, VERSION] = settings["version"]
    _move_clock(p, s, slot, max(s.wide[slot, CLOCK], settings["version_clock"]))
    evaluate(p, s, z, o, slot, settings["version_cause"], np.int64(-1), np.int64(1), wall)


@compiled
def _count_repairs(o: Outputs, flags: Integer) -> None:
    """Count an applied record under each reason that it was repaired for."""
    o.counts[REPAIRED] += 1
    for place in range(REASONS_FOR_REPAIR):
        if flags & (2 << place):
            o.counts[REPAIRED + 1 + place] += 1


@compiled
def _join(o: Outputs, record: Row, details: Table, first: Integer, last: Integer) -> None:
    """Append the message that a record tells of, if it names a decision of ours."""
    for row in range(first, last):
        if np.int64(details[row, WHAT]) == DECISION:
            entry = o.messages[o.counts[MESSAGES]]
            o.counts[MESSAGES] += 1
            entry["slot"] = record[SLOT]
            entry["decision"] = np.int64(details[row, INDEX])
            entry["time"] = record[TIME]
            entry["kind"] = record[KIND]
            entry["offset"] = record[OFFSET]


@compiled
def _handle(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    o: Outputs,
    record: Row,
    lines: Table,
    lines_first: Integer,
    lines_last: Integer,
    details: Table,
    details_first: Integer,
    details_last: Integer,
    grace: Integer,
    passed: Integer,
    wall: Integer,
) -> bool:
    """Take one record; return False, to be called again with it, if the outputs are full."""
    slot = record[SLOT]
    if not _has_room(p, o):
        return False
    _take_effect(p, s, z, o, slot, wall)
    if record[KIND] != IDENTIFY and is_duplicate(p, s, slot, record):
        o.counts[DUPLICATES] += 1
        return True
    limit = max(record[TIME], record[RECORD_CLOCK] - grace, passed)
    if not _pass_time(p, s, z, o, slot, limit, wall) or not _has_room(p, o):
        return False
    _move_clock(p, s, slot, max(s.wide[slot, CLOCK], limit))
    s.narrow[slot, SEEN] = record[RECORD_CLOCK] // DAY_MS
    apply(p, s, z, slot, record, lines, lines_first, lines_last, details, details_first, details_last)
    if record[KIND] != IDENTIFY:
        _join(o, record, details, details_first, details_last)
        convert(p, s, o, slot, record[KIND], record[TIME], record[AMOUNT], record[OFFSET])
        resolve_by_event(
            p, s, o, slot, s.wide[slot, CLOCK], record[KIND], record[TIME], (record[FLAGS] & ACTIVITY) != 0
        )
    evaluate(p, s, z, o, slot, np.int64(EVENT), record[OFFSET], np.int64(1), wall)
    o.counts[APPLIED] += 1
    if record[FLAGS] > ACTIVITY:
        _count_repairs(o, record[FLAGS])
    return True


@entry
def drain(p: Program, s: StateArrays, z: Surroundings, o: Outputs, until: Integer, wall: Integer) -> bool:
    """Work off what is on the heap up to and including `until`, in order; return False if the outputs are full."""
    while o.counts[HEAP] > 0 and o.heap_due[0] <= until:
        if not _has_room(p, o):
            return False
        due = o.heap_due[0]
        slot = o.heap_slot[0]
        pop(o)
        # A row whose due instant has moved since has another entry, or needs none.
        if s.due[slot] == due:
            _pass_instant(p, s, z, o, slot, wall)
    return True


@entry
def run(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    o: Outputs,
    records: Table,
    lines_end: Table,
    lines: Table,
    details_end: Table,
    details: Table,
    start: Integer,
    grace: Integer,
    passed: Integer,
    wall: Integer,
) -> Integer:
    """Take records from `start` on, each after what falls due before it; return how many are done.

    Nobody comes to an instant before `passed`, up to and including which time has passed for everyone.
    """
    for place in range(start, len(records)):
        record = records[place]
        if not drain(p, s, z, o, record[RECORD_CLOCK] - grace, wall):
            return place
        lines_first = lines_end[place - 1] if place > 0 else 0
        details_first = details_end[place - 1] if place > 0 else 0
        if not _handle(p, s, z, o, record, lines, lines_first, lines_end[place], details, details_first,
                       details_end[place], grace, passed, wall):  # fmt: skip
            return place
    return len(records)


@entry
def collect_due(s: StateArrays, o: Outputs, users: Integer, horizon: Integer, rows_max: Integer) -> bool:
    """Put up to about `rows_max` rows due by `horizon` on the heap; return whether that is all of them."""
    begun = o.counts[HEAP]
    for block in range((users + BLOCK - 1) // BLOCK):
        if s.block_due[block] > horizon:
            continue
        if o.counts[HEAP] - begun >= rows_max or o.counts[HEAP] + BLOCK >= len(o.heap_due):
            return False
        least = FOREVER
        for slot in range(block * BLOCK, min(users, (block + 1) * BLOCK)):
            if s.due[slot] <= horizon:
                push(o, s.due[slot], slot)
            least = min(least, s.due[slot])
        s.block_due[block] = least
    return True


@entry
def take_effect(
    p: Program, s: StateArrays, z: Surroundings, o: Outputs, first: Integer, last: Integer, wall: Integer
) -> Integer:
    """Evaluate rows [first, last) under the version in force; return how far it came before the outputs were full."""
    for slot in range(first, last):
        if not _has_room(p, o):
            return slot
        _take_effect(p, s, z, o, slot, wall)
    return last


@entry
def forget(
    p: Program, s: StateArrays, z: Surroundings, o: Outputs, slots: Table, start: Integer, clock: Integer,
    passed: Integer, wall: Integer,
) -> Integer:  # fmt: skip
    """Take users out of all segments at `clock` or their own, from `start` on; return how many are done.

    What was to happen to them up to `passed`, where time has come for everyone, happens first; what is pending is
    cancelled. Their rows are then to be wiped.
    """
    for place in range(start, len(slots)):
        slot = slots[place]
        if not _has_room(p, o):
            return place
        _take_effect(p, s, z, o, slot, wall)
        if not _pass_time(p, s, z, o, slot, passed, wall) or not _has_room(p, o):
            return place
        _move_clock(p, s, slot, max(s.wide[slot, CLOCK], clock))
        leave_everything(p, s, o, slot, s.wide[slot, CLOCK])
        cancel_everything(p, s, o, slot, s.wide[slot, CLOCK])
    return len(slots)


@entry
def migrate(old: Table, new: Table, moves: Table, blank: Table, scratch: Table, slots: Table) -> None:
    """Carry rows over to another layout, as int32 views; `moves` are (from, to, count), `blank` a new row.

    `old` and `new` may be one array: each row is first copied to `scratch`.
    """
    for slot in slots:
        for place in range(len(scratch)):
            scratch[place] = old[slot, place]
        for place in range(len(blank)):
            new[slot, place] = blank[place]
        for move in range(len(moves)):
            source, target, count = moves[move]
            for place in range(count):
                new[slot, target + place] = scratch[source + place]
