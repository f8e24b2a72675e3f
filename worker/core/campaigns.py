"""Campaigns take their turn: what a transition triggers, what waits and is due now, what an event converts.

The rule: every decision, sent or not, is an effect; a trigger waits in the row, at most one per campaign.
"""

import numpy as np

from worker.core.checks import (
    CANCELLED,
    CONSENT,
    DECIDED,
    DEFERRED,
    DUE,
    EXITED_BEFORE,
    FIRED,
    HELD_OUT,
    LAST_OCCURRED,
    LAST_OFFSET,
    LAST_ORIGIN,
    NO_VARIANT,
    NOTHING,
    OCCURRED,
    OFFSET,
    ORIGIN,
    SHADOWED,
    SUPPRESSED,
    WAS_HELD_OUT,
    check,
    count_hour,
    outcome_of,
    variant_of,
)
from worker.core.compiled import compiled
from worker.core.layout import FOREVER, NEVER, SENDS_REMEMBERED
from worker.core.segments import CONVERSIONS, DECISIONS, ENTERED, TIMER, TRANSITIONS, TRIGGERS, write_reasons
from worker.core.tables import Integer, Outputs, Program, Row, StateArrays, Surroundings

__all__ = [
    "ORIGIN_CAUSE", "ORIGIN_DIRECTION", "ORIGIN_SEGMENT", "ORIGIN_VERSION", "SEGMENT_MASK", "cancel_everything",
    "convert", "decide_campaigns",
]  # fmt: skip

# How a transition's version, segment, direction and cause share one word.
ORIGIN_VERSION, ORIGIN_SEGMENT, ORIGIN_DIRECTION, ORIGIN_CAUSE = 36, 4, 3, 7
SEGMENT_MASK = 0xFFFFFFFF


@compiled
def origin_of(version: Integer, segment: Integer, direction: Integer, cause: Integer) -> Integer:
    """Pack what identifies a transition, besides user, time and offset, into one int64."""
    packed = (np.int64(version) << ORIGIN_VERSION) | (np.int64(segment) << ORIGIN_SEGMENT)
    return packed | (np.int64(direction) << ORIGIN_DIRECTION) | np.int64(cause)


@compiled
def segment_of(origin: Integer) -> Integer:
    """Return the text number of the segment of a packed transition."""
    return (origin >> ORIGIN_SEGMENT) & SEGMENT_MASK


@compiled
def _record(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    place: Integer,
    outcome: Integer,
    refusal: Integer,
    variant: Integer,
    due: Integer,
    occurred: Integer,
    offset: Integer,
    origin: Integer,
) -> None:
    """Append a decision; a fired one with the row as it is, from which its trigger is written."""
    entry = o.decisions[o.counts[DECISIONS]]
    o.counts[DECISIONS] += 1
    entry["slot"] = slot
    entry["campaign"] = place
    entry["outcome"] = outcome
    entry["refusal"] = refusal
    entry["variant"] = variant
    entry["at"] = clock
    entry["due"] = due
    entry["occurred"] = occurred
    entry["offset"] = offset
    entry["origin"] = origin
    entry["trigger"] = -1
    if outcome != FIRED:
        return
    first, last = _trigger_clauses(p, place, segment_of(origin), (origin >> ORIGIN_DIRECTION) & 1)
    entry["reasons"] = write_reasons(p, s, o, slot, clock, first, last)
    entry["clauses_first"] = first
    entry["clauses_last"] = last
    entry["trigger"] = o.counts[TRIGGERS]
    for word in range(o.triggers.shape[1]):
        o.triggers[o.counts[TRIGGERS], word] = s.wide[slot, word]
    o.counts[TRIGGERS] += 1


@compiled
def _trigger_clauses(p: Program, place: Integer, segment: Integer, direction: Integer) -> tuple[Integer, Integer]:
    """Return the clauses of the condition that let the user into, or out of, the campaign's segment."""
    unit = p.campaigns[place]["unit"]
    if unit < 0:
        return np.int64(0), np.int64(0)
    first = p.units[unit]["first"]
    for member in range(first, p.units[unit]["last"]):
        if p.members[member]["text"] == segment:
            first = member
    entry = p.members[first]
    if direction == ENTERED or entry["exit_first"] < 0:
        return np.int64(entry["enter_clauses_first"]), np.int64(entry["enter_clauses_last"])
    return np.int64(entry["exit_clauses_first"]), np.int64(entry["exit_clauses_last"])


@compiled
def _remember_decision(
    p: Program,
    s: StateArrays,
    slot: Integer,
    clock: Integer,
    place: Integer,
    outcome: Integer,
    variant: Integer,
    occurred: Integer,
    offset: Integer,
    origin: Integer,
) -> None:
    """Start the cooldown, fill the caps, and keep what conversions are held against."""
    campaign = p.campaigns[place]
    last = campaign["last"]
    s.wide[slot, last + DECIDED] = clock
    s.wide[slot, last + LAST_OCCURRED] = occurred
    s.wide[slot, last + LAST_OFFSET] = offset
    s.wide[slot, last + LAST_ORIGIN] = origin
    s.narrow[slot, campaign["last_variant"]] = WAS_HELD_OUT if outcome == HELD_OUT else variant
    if outcome == FIRED and campaign["fired"] >= 0:
        s.wide[slot, campaign["fired"]] = clock
    if campaign["sends"] >= 0:
        cell = s.narrow[slot, campaign["sends_place"]]
        s.wide[slot, campaign["sends"] + cell] = clock
        s.narrow[slot, campaign["sends_place"]] = (cell + 1) % SENDS_REMEMBERED


@compiled
def _decide(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    place: Integer,
    due: Integer,
    occurred: Integer,
    offset: Integer,
    origin: Integer,
    wall: Integer,
) -> None:
    """Decide one trigger, new or due, that isn't pending at this moment."""
    refusal, again = check(p, s, z, slot, clock, place, due, wall)
    if refusal != NOTHING:
        outcome = DEFERRED if again != FOREVER else SUPPRESSED
        if outcome == DEFERRED:
            due = again
            pending = p.campaigns[place]["pending"]
            s.wide[slot, pending + DUE] = due
            s.wide[slot, pending + OCCURRED] = occurred
            s.wide[slot, pending + OFFSET] = offset
            s.wide[slot, pending + ORIGIN] = origin
        _record(p, s, o, slot, clock, place, outcome, refusal, NO_VARIANT, due, occurred, offset, origin)
        return
    outcome, refusal = outcome_of(p, s, slot, clock, place)
    variant = np.int64(NO_VARIANT)
    if outcome == FIRED or outcome == SHADOWED:
        variant = variant_of(p, s, slot, p.campaigns[place])
    _record(p, s, o, slot, clock, place, outcome, refusal, variant, due, occurred, offset, origin)
    if outcome == FIRED:
        count_hour(s, place, clock)
    if outcome == FIRED or outcome == HELD_OUT:
        _remember_decision(p, s, slot, clock, place, outcome, variant, occurred, offset, origin)


@compiled
def _settle_pending(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    place: Integer,
    first: Integer,
    wall: Integer,
) -> None:
    """Cancel the pending trigger if its segment was left in this evaluation, else decide it if it is due.

    One whose channel the user no longer consents to is refused at once, due or not.
    """
    campaign = p.campaigns[place]
    pending = campaign["pending"]
    due = s.wide[slot, pending + DUE]
    occurred = s.wide[slot, pending + OCCURRED]
    offset = s.wide[slot, pending + OFFSET]
    origin = s.wide[slot, pending + ORIGIN]
    if campaign["retired"] == 1:
        s.wide[slot, pending + DUE] = FOREVER
        _record(p, s, o, slot, clock, place, CANCELLED, NOTHING, NO_VARIANT, due, occurred, offset, origin)
        return
    if campaign["cancel"] == 1:
        for entry in range(first, o.counts[TRANSITIONS]):
            transition = o.transitions[entry]
            if (
                transition["segment"] == segment_of(origin)
                and transition["direction"] != (origin >> ORIGIN_DIRECTION) & 1
            ):
                s.wide[slot, pending + DUE] = FOREVER
                _record(
                    p, s, o, slot, clock, place, CANCELLED, EXITED_BEFORE, NO_VARIANT, due, occurred, offset, origin
                )
                return
    if due <= clock:
        s.wide[slot, pending + DUE] = FOREVER
        _decide(p, s, z, o, slot, clock, place, due, occurred, offset, origin, wall)
    elif campaign["consent"] >= 0 and s.narrow[slot, campaign["consent"]] != 1:
        s.wide[slot, pending + DUE] = FOREVER
        _record(p, s, o, slot, clock, place, SUPPRESSED, CONSENT, NO_VARIANT, due, occurred, offset, origin)


@compiled
def cancel_everything(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Cancel all pending triggers of a user who is forgotten, in the order in which campaigns take their turn."""
    for turn in range(len(p.turns)):
        place = p.turns[turn]
        pending = p.campaigns[place]["pending"]
        due = s.wide[slot, pending + DUE]
        if due == FOREVER:
            continue
        occurred = s.wide[slot, pending + OCCURRED]
        offset = s.wide[slot, pending + OFFSET]
        origin = s.wide[slot, pending + ORIGIN]
        s.wide[slot, pending + DUE] = FOREVER
        _record(p, s, o, slot, clock, place, CANCELLED, NOTHING, NO_VARIANT, due, occurred, offset, origin)


@compiled
def _matches(campaign: Row, transition: Row) -> bool:
    return (
        transition["unit"] == campaign["unit"]
        and transition["direction"] == campaign["direction"]
        and (campaign["segment"] < 0 or campaign["segment"] == transition["segment"])
    )


@compiled
def decide_campaigns(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    o: Outputs,
    slot: Integer,
    clock: Integer,
    cause: Integer,
    offset: Integer,
    first: Integer,
    wall: Integer,
) -> Integer:
    """Take the transitions of one evaluation, from `first` on, and the triggers now due; return the next due instant.

    `wall` is the wall clock in ms, or NEVER where nothing is ever stale.
    """
    instant = FOREVER
    for turn in range(len(p.turns)):
        place = p.turns[turn]
        campaign = p.campaigns[place]
        if s.wide[slot, campaign["pending"] + DUE] != FOREVER:
            _settle_pending(p, s, z, o, slot, clock, place, first, wall)
        if cause <= TIMER or campaign["backfill"] == 1:
            for entry in range(first, o.counts[TRANSITIONS]):
                transition = o.transitions[entry]
                if campaign["retired"] == 0 and _matches(campaign, transition):
                    origin = origin_of(p.settings[0]["version"], transition["segment"], transition["direction"], cause)
                    due = clock + campaign["delay"]
                    _decide(p, s, z, o, slot, clock, place, due, clock, offset, origin, wall)
        instant = min(instant, s.wide[slot, campaign["pending"] + DUE])
    return instant


@compiled
def convert(
    p: Program,
    s: StateArrays,
    o: Outputs,
    slot: Integer,
    kind: Integer,
    time: Integer,
    amount: Integer,
    offset: Integer,
) -> None:
    """Append a conversion for every campaign whose latest decision this event, at its own time, answers."""
    for place in range(len(p.campaigns)):
        campaign = p.campaigns[place]
        if campaign["conversion"] != kind:
            continue
        decided = s.wide[slot, campaign["last"] + DECIDED]
        if decided == NEVER or time <= decided or time > decided + campaign["within"]:
            continue
        entry = o.conversions[o.counts[CONVERSIONS]]
        o.counts[CONVERSIONS] += 1
        entry["slot"] = slot
        entry["campaign"] = place
        entry["variant"] = s.narrow[slot, campaign["last_variant"]]
        entry["decided"] = decided
        entry["occurred"] = s.wide[slot, campaign["last"] + LAST_OCCURRED]
        entry["source"] = s.wide[slot, campaign["last"] + LAST_OFFSET]
        entry["origin"] = s.wide[slot, campaign["last"] + LAST_ORIGIN]
        entry["time"] = time
        entry["kind"] = kind
        entry["amount"] = amount
        entry["offset"] = offset
