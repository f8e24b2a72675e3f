"""Samples and observations: what a user looked like at an instant, and what came of it.

At the end of a session, and at a weekly instant hashed from her id, each target without a pending sample gets one:
features, probability and the model's label, kept in her row until an event or the deadline resolves it. At the weekly
instant she is also observed. The rule: nothing here evaluates a segment, reads what comes later, or concerns a user
without profiling consent. Of the order within one ms only exposures could tell, so deadlines come first.
"""

import math

import numpy as np

from worker.core.checks import random_number
from worker.core.comparisons import SESSION_GAP_MS
from worker.core.compiled import compiled
from worker.core.conditions import number
from worker.core.layout import FOREVER, LAST_ACTIVITY, NEVER, SESSION_LAST, USER_HASH
from worker.core.scoring import may_profile, probability_of
from worker.core.segments import OBSERVATIONS, SAMPLES
from worker.core.tables import Integer, Outputs, Program, Row, StateArrays

__all__ = [
    "SILENCE", "forget_without_consent", "next_hashed", "next_sampling", "pass_sampling", "resolve_by_event",
]  # fmt: skip

SILENCE = -1  # what is positive, where it is no kind of event
DAY_MS, WEEK_MS = 86_400_000, 604_800_000
ACTIVE_MS = 90 * DAY_MS


@compiled
def next_hashed(s: StateArrays, slot: Integer, clock: Integer, period_ms: Integer) -> Integer:
    """Return the user's next instant after `clock` of those that a period has one of, by the hash of her id.

    FOREVER past 90 days of silence, and before any activity.
    """
    last = s.wide[slot, LAST_ACTIVITY]
    if last == NEVER:
        return FOREVER
    offset = np.int64(np.uint64(s.wide[slot, USER_HASH]) % np.uint64(period_ms))
    instant = ((clock - offset) // period_ms + 1) * period_ms + offset
    return instant if instant <= last + ACTIVE_MS else FOREVER


@compiled
def _session_end(s: StateArrays, slot: Integer, clock: Integer) -> Integer:
    last = s.wide[slot, SESSION_LAST]
    return last + SESSION_GAP_MS if last != NEVER and last + SESSION_GAP_MS > clock else FOREVER


@compiled
def next_sampling(p: Program, s: StateArrays, slot: Integer, clock: Integer) -> Integer:
    """Return the next instant after `clock` at which a sample is to be taken or resolved, or the user observed."""
    instant = FOREVER
    free = False
    for place in range(len(p.pending)):
        sampled = s.wide[slot, p.pending[place]["sampled"]]
        if sampled == NEVER:
            free = True
        else:
            instant = min(instant, sampled + p.pending[place]["horizon"] + 1)
    if not may_profile(p, s, slot):
        return instant
    if free:
        instant = min(instant, _session_end(s, slot, clock))
    return min(instant, next_hashed(s, slot, clock, np.int64(WEEK_MS)))


@compiled
def forget_without_consent(p: Program, s: StateArrays, slot: Integer) -> None:
    """Drop the pending samples of a user who may not be profiled."""
    if may_profile(p, s, slot):
        return
    for place in range(len(p.pending)):
        entry = p.pending[place]
        if s.wide[slot, entry["sampled"]] == NEVER:
            continue
        s.wide[slot, entry["sampled"]] = NEVER
        for column in range(entry["features"], entry["features"] + p.settings[0]["observed"]):
            s.real[slot, column] = math.nan


@compiled
def _exposed(p: Program, s: StateArrays, slot: Integer, since: Integer) -> Integer:
    """Return the campaigns that have reached the user since an instant, a bit each, the first in the file lowest."""
    bits = np.int64(0)
    for place in range(len(p.campaigns)):
        column = p.campaigns[place]["fired"]
        if column >= 0 and s.wide[slot, column] >= since:
            bits |= np.int64(1) << np.int64(place)
    return bits


@compiled
def _resolve(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, place: Integer, resolved: Integer, label: Integer
) -> None:
    """Put out a pending sample with its label; its place in the row is free again."""
    entry = p.pending[place]
    sample = o.samples[o.counts[SAMPLES]]
    sample["slot"] = slot
    sample["target"] = place
    sample["sampled"] = s.wide[slot, entry["sampled"]]
    sample["resolved"] = resolved
    sample["label"] = label
    sample["model"] = s.narrow[slot, entry["model"]]
    sample["exposed"] = _exposed(p, s, slot, s.wide[slot, entry["sampled"]])
    sample["probability"] = s.real[slot, entry["probability"]]
    for feature in range(p.settings[0]["observed"]):
        o.sample_features[o.counts[SAMPLES], feature] = s.real[slot, entry["features"] + feature]
    for trait in range(len(p.traits)):
        o.sample_numbers[o.counts[SAMPLES], trait] = s.real[slot, p.traits[trait]["number"]]
        o.sample_texts[o.counts[SAMPLES], trait] = s.narrow[slot, p.traits[trait]["text"]]
    o.counts[SAMPLES] += 1
    s.wide[slot, entry["sampled"]] = NEVER


@compiled
def resolve_by_event(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, kind: Integer, time: Integer, active: bool
) -> None:
    """Resolve what an event, applied at `clock`, answers by its own time: a positive one, or the end of a silence."""
    for place in range(len(p.pending)):
        entry = p.pending[place]
        sampled = s.wide[slot, entry["sampled"]]
        if sampled == NEVER or time <= sampled or time > sampled + entry["horizon"]:
            continue
        if entry["positive"] == kind:
            _resolve(p, s, o, slot, place, clock, np.int64(1))
        elif entry["positive"] == SILENCE and active:
            _resolve(p, s, o, slot, place, clock, np.int64(0))


@compiled
def _resolve_overdue(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Resolve what nothing has answered by its deadline, which is before `clock`."""
    for place in range(len(p.pending)):
        entry = p.pending[place]
        sampled = s.wide[slot, entry["sampled"]]
        if sampled != NEVER and sampled + entry["horizon"] < clock:
            label = np.int64(1) if entry["positive"] == SILENCE else np.int64(0)
            _resolve(p, s, o, slot, place, sampled + entry["horizon"], label)


@compiled
def _look(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, count: Integer) -> None:
    """Compute the first `count` observed features to `o.observed`."""
    for place in range(count):
        entry = p.observed[place]
        o.observed[place] = number(p, s, o.scratch, slot, clock, entry["first"], entry["last"])


@compiled
def _is_chosen(s: StateArrays, slot: Integer, clock: Integer, entry: Row) -> bool:
    return entry["share"] >= 1.0 or random_number(s.wide[slot, USER_HASH] ^ clock, entry["seed"]) < entry["share"]


@compiled
def _take_samples(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Give each target without a pending sample one."""
    looked = False
    for place in range(len(p.pending)):
        entry = p.pending[place]
        if s.wide[slot, entry["sampled"]] != NEVER or not _is_chosen(s, slot, clock, entry):
            continue
        if not looked:
            _look(p, s, o, slot, clock, p.settings[0]["observed"])
            looked = True
        for feature in range(p.settings[0]["observed"]):
            s.real[slot, entry["features"] + feature] = o.observed[feature]
        s.wide[slot, entry["sampled"]] = clock
        s.real[slot, entry["probability"]] = probability_of(p, s, o, slot, clock, entry["scored"])
        s.narrow[slot, entry["model"]] = p.settings[0]["model"]


@compiled
def _observe(p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer) -> None:
    """Put out what the user looks like."""
    _look(p, s, o, slot, clock, np.int64(len(p.observed)))
    row = o.counts[OBSERVATIONS]
    o.observations[row]["slot"] = slot
    o.observations[row]["at"] = clock
    for feature in range(len(p.observed)):
        o.observation_features[row, feature] = o.observed[feature]
    o.counts[OBSERVATIONS] += 1


@compiled
def pass_sampling(p: Program, s: StateArrays, o: Outputs, slot: Integer, before: Integer, clock: Integer) -> None:
    """Resolve, sample and observe, each if it is due at `clock`, to which a row's windows have been rolled.

    `before` is her clock before that.
    """
    _resolve_overdue(p, s, o, slot, clock)
    if not may_profile(p, s, slot):
        return
    weekly = next_hashed(s, slot, before, np.int64(WEEK_MS)) == clock
    if weekly or _session_end(s, slot, before) == clock:
        _take_samples(p, s, o, slot, clock)
    if weekly:
        _observe(p, s, o, slot, clock)
