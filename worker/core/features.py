"""Applying a record to its user's row: duplicates, then what it declares, then what it counts.

The rule: everything here depends on the row and the record alone, and an event counts at its own time, however late.
What only campaigns carry has no column without one; its place in the settings is -1 then.
"""

import math

import numpy as np

from schemas.events import IDENTIFY, KINDS
from worker.core.batch import (
    AMOUNT,
    CONSENT,
    DETAIL_VALUE,
    FLAGS,
    INDEX,
    KIND,
    MESSAGE,
    ORDER,
    PRODUCT,
    PROFILING,
    RATING,
    TIME,
    TRAIT_NONE,
    TRAIT_NUMBER,
    TRAIT_TEXT,
    WHAT,
)
from worker.core.batch import ZONE as RECORD_ZONE
from worker.core.cart import change_cart, empty_cart
from worker.core.comparisons import SESSION_GAP_MS
from worker.core.compiled import compiled
from worker.core.interests import add_interests
from worker.core.layout import (
    ACTIVITIES,
    EARLIEST,
    EVENINGS,
    LAST_ACTIVITY,
    MESSAGE_PLACE,
    MESSAGES_REMEMBERED,
    NEVER,
    ORDER_PLACE,
    ORDERS_REMEMBERED,
    RECENT_PRODUCTS,
    REFUND_PLACE,
    SESSION_EVENTS,
    SESSION_FIRST,
    SESSION_LAST,
    SESSIONS,
    WEEKENDS,
    ZONE,
)
from worker.core.layout import PROFILING as PROFILING_COLUMN
from worker.core.tables import Integer, Program, Row, StateArrays, Surroundings, Table
from worker.core.windows import add
from worker.core.zones import offset_at

__all__ = ["apply", "is_duplicate"]

VIEW, CART_ADD, CART_REMOVE = KINDS.index("view"), KINDS.index("cart_add"), KINDS.index("cart_remove")
WISHLIST, ORDERED, REFUND = KINDS.index("wishlist"), KINDS.index("order"), KINDS.index("refund")
DAY_MS, HOUR_MS = 86_400_000, 3_600_000


@compiled
def _seen(wide: Table, slot: Integer, first: Integer, count: Integer, identity: Integer) -> bool:
    for place in range(first, first + count):
        if wide[slot, place] == identity:
            return True
    return False


@compiled
def is_duplicate(p: Program, s: StateArrays, slot: Integer, record: Row) -> bool:
    """Return whether the user remembers the record's message id, or its order id among those of the same kind."""
    if record[MESSAGE] != 0 and _seen(s.wide, slot, p.settings[0]["messages"], MESSAGES_REMEMBERED, record[MESSAGE]):
        return True
    if record[ORDER] == 0:
        return False
    ring = p.settings[0]["orders"] if record[KIND] == ORDERED else p.settings[0]["refunds"]
    return _seen(s.wide, slot, ring, ORDERS_REMEMBERED, record[ORDER])


@compiled
def remember(p: Program, s: StateArrays, slot: Integer, record: Row) -> None:
    """Remember the record's ids in place of the oldest."""
    if record[MESSAGE] != 0:
        place = s.narrow[slot, MESSAGE_PLACE]
        s.wide[slot, p.settings[0]["messages"] + place] = record[MESSAGE]
        s.narrow[slot, MESSAGE_PLACE] = (place + 1) % MESSAGES_REMEMBERED
    if record[ORDER] != 0:
        column = ORDER_PLACE if record[KIND] == ORDERED else REFUND_PLACE
        ring = p.settings[0]["orders"] if record[KIND] == ORDERED else p.settings[0]["refunds"]
        place = s.narrow[slot, column]
        s.wide[slot, ring + place] = record[ORDER]
        s.narrow[slot, column] = (place + 1) % ORDERS_REMEMBERED


@compiled
def _declare(p: Program, s: StateArrays, slot: Integer, details: Table, first: Integer, last: Integer) -> None:
    """Take over traits, consents and a rating."""
    for row in range(first, last):
        what = np.int64(details[row, WHAT])
        index = np.int64(details[row, INDEX])
        value = details[row, DETAIL_VALUE]
        if what == TRAIT_NUMBER or what == TRAIT_TEXT or what == TRAIT_NONE:
            trait = p.traits[index]
            s.real[slot, trait["number"]] = value if what == TRAIT_NUMBER else math.nan
            s.narrow[slot, trait["text"]] = np.int64(value) if what == TRAIT_TEXT else -1
        elif what == CONSENT:
            s.narrow[slot, p.consents[index]] = np.int64(value)
        elif what == PROFILING:
            s.narrow[slot, PROFILING_COLUMN] = np.int64(value)
        elif what == RATING:
            s.real[slot, p.settings[0]["rating_sum"]] += value
            s.narrow[slot, p.settings[0]["ratings"]] += 1


@compiled
def _session(s: StateArrays, slot: Integer, time: Integer) -> None:
    """Extend, or begin, the session: one ends 30 minutes after its last activity."""
    last = s.wide[slot, SESSION_LAST]
    if last == NEVER or time >= last + SESSION_GAP_MS:
        s.wide[slot, SESSION_FIRST] = time
        s.wide[slot, SESSION_LAST] = time
        s.narrow[slot, SESSION_EVENTS] = 1
        s.narrow[slot, SESSIONS] += 1
        return
    s.narrow[slot, SESSION_EVENTS] += 1
    s.wide[slot, SESSION_LAST] = max(last, time)


@compiled
def _activity(p: Program, s: StateArrays, z: Surroundings, slot: Integer, time: Integer) -> None:
    s.wide[slot, LAST_ACTIVITY] = max(s.wide[slot, LAST_ACTIVITY], time)
    _session(s, slot, time)
    zone = s.narrow[slot, ZONE]
    local = time + offset_at(z, zone if zone >= 0 else p.settings[0]["zone"], time)
    s.narrow[slot, ACTIVITIES] += 1
    if local % DAY_MS >= 18 * HOUR_MS:
        s.narrow[slot, EVENINGS] += 1
    # The epoch was a Thursday: day 2 was a Saturday.
    if (local // DAY_MS + 5) % 7 <= 1:
        s.narrow[slot, WEEKENDS] += 1


@compiled
def _view(p: Program, s: StateArrays, slot: Integer, lines: Table, first: Integer, last: Integer) -> None:
    """Move the viewed products to the front of the recent ones."""
    ids = p.settings[0]["recent_ids"]
    for row in range(first, last):
        product = np.int64(lines[row, PRODUCT])
        if product < 0:
            continue
        held = np.int64(product)
        for place in range(RECENT_PRODUCTS):
            moved = np.int64(s.narrow[slot, ids + place])
            s.narrow[slot, ids + place] = held
            held = moved
            if moved == product:
                break


@compiled
def _products(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    slot: Integer,
    kind: Integer,
    time: Integer,
    lines: Table,
    first: Integer,
    last: Integer,
) -> None:
    if kind == CART_ADD:
        change_cart(p, s, slot, 1.0, lines, first, last)
    elif kind == CART_REMOVE:
        change_cart(p, s, slot, -1.0, lines, first, last)
    elif kind == ORDERED:
        empty_cart(p, s, slot)
    elif kind == VIEW and p.settings[0]["recent_ids"] >= 0:
        _view(p, s, slot, lines, first, last)
    if p.kinds[kind]["interest"] != 0.0:
        add_interests(p, s, z, slot, kind, time, lines, first, last)


@compiled
def apply(
    p: Program,
    s: StateArrays,
    z: Surroundings,
    slot: Integer,
    record: Row,
    lines: Table,
    first: Integer,
    last: Integer,
    details: Table,
    details_first: Integer,
    details_last: Integer,
) -> None:
    """Apply a record that is no duplicate to a row whose windows have been rolled to its clock."""
    if record[RECORD_ZONE] >= 0:
        s.narrow[slot, ZONE] = record[RECORD_ZONE]
    if details_first < details_last:
        _declare(p, s, slot, details, details_first, details_last)
    kind = record[KIND]
    if kind == IDENTIFY:
        return
    time = record[TIME]
    remember(p, s, slot, record)
    if s.wide[slot, EARLIEST] == NEVER or time < s.wide[slot, EARLIEST]:
        s.wide[slot, EARLIEST] = time
    columns = p.kinds[kind]
    s.wide[slot, columns["since"]] = max(s.wide[slot, columns["since"]], time)
    s.narrow[slot, columns["count"]] += 1
    if columns["amount"] >= 0:
        s.wide[slot, columns["amount"]] += record[AMOUNT]
    add(p, s.wide, s.narrow, slot, kind, time, record[AMOUNT])
    if record[FLAGS] & 1:
        _activity(p, s, z, slot, time)
    _products(p, s, z, slot, kind, time, lines, first, last)
