"""The checks between a campaign and a user, in the contract's order: the first that refuses is the one that is named.

Windows run [decision, decision + d). Chance is a function of the user and of names, so that it falls the same way every
time.
"""

import numpy as np

from worker.core.compiled import compiled
from worker.core.layout import FOREVER, NEVER, SENDS_REMEMBERED, USER_HASH, ZONE
from worker.core.tables import Integer, Program, Row, StateArrays, Surroundings
from worker.core.zones import defer_quiet, is_quiet

__all__ = [
    "CANCELLED", "CONSENT", "DECIDED", "DEFERRED", "DUE", "EXITED_BEFORE", "FIRED", "HELD_OUT", "HOURS_COUNTED",
    "LAST_OCCURRED", "LAST_OFFSET", "LAST_ORIGIN", "LIVE", "NOTHING", "NO_VARIANT", "OCCURRED", "OFFSET", "ORIGIN",
    "PAUSE", "SHADOW", "SHADOWED", "SUPPRESSED", "WAS_HELD_OUT", "check", "count_hour", "outcome_of", "random_number",
    "variant_of",
]  # fmt: skip

FIRED, SUPPRESSED, DEFERRED, CANCELLED, HELD_OUT, SHADOWED = range(6)
(NOTHING, PAUSED, EXITED_BEFORE, STALE, CONSENT, COOLDOWN, DELAY, QUIET_HOURS, HOLDOUT, RATE_LIMIT, CAP) = range(11)
LIVE, SHADOW, PAUSE = range(3)
# Words of a pending trigger: when it is due, and the transition it stems from.
DUE, OCCURRED, OFFSET, ORIGIN = range(4)
# Words of the latest fired or held-out decision.
DECIDED, LAST_OCCURRED, LAST_OFFSET, LAST_ORIGIN = range(4)
NO_VARIANT, WAS_HELD_OUT = -1, -2
HOURS_COUNTED = 32
HOUR_MS = 3_600_000


@compiled
def random_number(user_hash: Integer, seed: Integer) -> float:
    """Return the user's random number in [0, 1) for a purpose: splitmix64 (Steele, Lea, Flood 2014) of both hashes."""
    # A one-element array, because numpy's scalars warn of the overflow that is meant here.
    z = np.empty(1, np.uint64)
    z[0] = user_hash ^ seed
    z += np.uint64(0x9E3779B97F4A7C15)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.float64(z[0]) / 18446744073709551616.0


@compiled
def _paused(campaign: Row, clock: Integer) -> bool:
    outside = clock < campaign["starts"] or clock >= campaign["ends"]
    return campaign["status"] == PAUSE or campaign["braked"] == 1 or outside


@compiled
def _cooling(s: StateArrays, slot: Integer, clock: Integer, campaign: Row) -> bool:
    decided = s.wide[slot, campaign["last"] + DECIDED]
    return decided != NEVER and clock - decided < campaign["cooldown"]


@compiled
def _capped(p: Program, s: StateArrays, slot: Integer, clock: Integer, campaign: Row) -> bool:
    """Return whether a cap of the campaign's channel is full at `clock`."""
    for place in range(len(p.caps)):
        cap = p.caps[place]
        if cap["channel"] != campaign["channel"]:
            continue
        inside = 0
        for send in range(cap["sends"], cap["sends"] + SENDS_REMEMBERED):
            decided = s.wide[slot, send]
            if decided != NEVER and clock - decided < cap["per"]:
                inside += 1
        if inside >= cap["limit"]:
            return True
    return False


@compiled
def _hour_full(s: StateArrays, place: Integer, campaign: Row, clock: Integer) -> bool:
    if campaign["hour_max"] < 0:
        return False
    hour = clock // HOUR_MS
    cell = hour % HOURS_COUNTED
    if s.hours[place, cell, 0] < hour:
        return campaign["hour_max"] == 0
    return s.hours[place, cell, 0] > hour or s.hours[place, cell, 1] >= campaign["hour_max"]


@compiled
def count_hour(s: StateArrays, place: Integer, clock: Integer) -> None:
    """Count a decision against the campaign's limit of this UTC hour."""
    hour = clock // HOUR_MS
    cell = hour % HOURS_COUNTED
    if s.hours[place, cell, 0] != hour:
        s.hours[place, cell, 0] = hour
        s.hours[place, cell, 1] = 0
    s.hours[place, cell, 1] += 1


@compiled
def _held_out(p: Program, s: StateArrays, slot: Integer, campaign: Row) -> bool:
    user = s.wide[slot, USER_HASH]
    share = p.settings[0]["holdout"]
    if share > 0.0 and random_number(user, p.settings[0]["holdout_seed"]) < share:
        return True
    return campaign["holdout"] > 0.0 and random_number(user, campaign["holdout_seed"]) < campaign["holdout"]


@compiled
def variant_of(p: Program, s: StateArrays, slot: Integer, campaign: Row) -> Integer:
    """Return the text number of the user's variant, by cumulative shares; NO_VARIANT without variants."""
    if campaign["variants_first"] == campaign["variants_last"]:
        return np.int64(NO_VARIANT)
    drawn = random_number(s.wide[slot, USER_HASH], campaign["variant_seed"])
    for place in range(campaign["variants_first"], campaign["variants_last"]):
        if drawn < p.variants[place]["until"]:
            return np.int64(p.variants[place]["text"])
    return np.int64(p.variants[campaign["variants_last"] - 1]["text"])


@compiled
def check(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    slot: Integer,
    clock: Integer,
    place: Integer,
    due: Integer,
    wall: Integer,
) -> tuple[Integer, Integer]:
    """Make the checks before the holdout; return (check that refuses or NOTHING, when it is due instead)."""
    campaign = p.campaigns[place]
    if _paused(campaign, clock):
        return PAUSED, FOREVER
    if wall != NEVER and wall - due > campaign["expires"]:
        return STALE, FOREVER
    if campaign["consent"] >= 0 and s.narrow[slot, campaign["consent"]] != 1:
        return CONSENT, FOREVER
    if _cooling(s, slot, clock, campaign) or s.wide[slot, campaign["pending"] + DUE] != FOREVER:
        return COOLDOWN, FOREVER
    if clock < due:
        return DELAY, due
    if campaign["quiet_from"] >= 0:
        held = s.narrow[slot, ZONE]
        zone = np.int64(held) if held >= 0 else np.int64(p.settings[0]["zone"])
        if is_quiet(z, zone, clock, campaign["quiet_from"], campaign["quiet_to"]):
            if campaign["quiet_drop"] == 1:
                return QUIET_HOURS, FOREVER
            return QUIET_HOURS, defer_quiet(z, zone, clock, campaign["quiet_from"], campaign["quiet_to"])
    return NOTHING, FOREVER


@compiled
def outcome_of(p: Program, s: StateArrays, slot: Integer, clock: Integer, place: Integer) -> tuple[Integer, Integer]:
    """Make the checks from the holdout on; return (outcome, check that refuses or NOTHING)."""
    campaign = p.campaigns[place]
    if _held_out(p, s, slot, campaign):
        return HELD_OUT, HOLDOUT
    if _hour_full(s, place, campaign, clock):
        return SUPPRESSED, RATE_LIMIT
    if _capped(p, s, slot, clock, campaign):
        return SUPPRESSED, CAP
    return (SHADOWED if campaign["status"] == SHADOW else FIRED), NOTHING
