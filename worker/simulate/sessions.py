"""What a visit is made of: page, searches, views, cart, checkout, order.

A session is a row of steps: step 0 the arrival, then searches, then two steps per product (the view, then what
becomes of it), then removals, the checkout, the order. A step that doesn't happen leaves a pause. An event's time is
start + step × pace + a jitter below the pace, so it needs to know nothing of the other events.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.simulate.draws import Dice, Floats, Integers, Unsigned, exponential_table, look_up
from worker.simulate.records import Act, Records, records
from worker.simulate.shoppers import ANONYMOUS, ONE_TIME, ORDERED, SEEN, TYPES, UNSUBSCRIBED, Population

__all__ = ["visit"]

VIEWS_MAX = 31  # a basket is 32 bits
PACE_MS_MIN, PACE_MS_MAX = 7_000, 40_000
BROWSING = 4  # first step of the first product
CHECKOUT, ORDER, DONE = 2, 3, 5  # steps after the last product's
PAGE_SHARE, IDENTIFY_AGAIN = 0.5, 0.02
ONE_TIME_GONE_DAYS = 4
VIEWS = exponential_table()
NAMES = (
    "search",
    "views",
    "add_per_view",
    "wishlist_per_view",
    "remove_per_add",
    "checkout_per_cart",
    "order_per_checkout",
)
RATES = {name: np.array([getattr(kind, name) for kind in TYPES], np.float64) for name in NAMES}


@dataclass(frozen=True)
class Visits:
    """Sessions that begin, a row each: `kind` indexes `TYPES`; `scene` and `buying` are the hour's (`incidents.py`)."""

    user: NDArray[np.uint32]
    start: Integers
    key: Unsigned
    kind: NDArray[np.uint8]
    pace: Integers
    views: Integers
    first: NDArray[np.bool_]  # of the user, ever
    scene: int
    buying: float

    def rate(self, name: str) -> Floats:
        """The probability of this name for the shopper of each visit."""
        return RATES[name][self.kind]


def visit(users: Integers, starts: Integers, scene: int, buying: float, people: Population) -> Records:
    """The records of sessions that begin at `starts` (ms), at most one per user; those who are still busy don't come.

    Remembers in `people` who has been seen, has ordered, and until when each is busy.
    """
    came = starts >= people.settings.start_ms + people.busy_until_s[users].astype(np.int64) * 1000
    visits = _begin(users[came], starts[came], scene, buying, people)
    dice = people.dice
    browsing, baskets = _browse(visits, dice)
    made = [_arrive(visits, people), _search(visits, dice), browsing, *_buy(visits, baskets, people)]
    _remember(visits, people)
    return np.concatenate(made)


def _begin(users: Integers, starts: Integers, scene: int, buying: float, people: Population) -> Visits:
    dice = people.dice
    key = dice.bits("session", users, starts)
    kind = people.types(users)
    pace = PACE_MS_MIN + dice.below(PACE_MS_MAX - PACE_MS_MIN, "pace", key)
    more = look_up(VIEWS, dice.uniform("views", key)) * (RATES["views"][kind] - 0.5)
    views = np.minimum(1 + more.astype(np.int64), VIEWS_MAX)
    first = people.flags[users] & SEEN == 0
    return Visits(users.astype(np.uint32), starts, key, kind, pace, views, first, scene, buying)


def _steps(
    visits: Visits, rows: Integers, act: Act, step: Integers, dice: Dice, **columns: NDArray[np.generic]
) -> Records:
    """One record for each of `rows` (indices of visits), at this step of the session."""
    key, pace = visits.key[rows], visits.pace[rows]
    jitter = dice.uniform("jitter", key, step * 32 + act) * (step > 0)
    times = visits.start[rows] + step * pace + (jitter * pace).astype(np.int64)
    return records(len(rows), act, time=times, key=key, user=visits.user[rows], scene=visits.scene, **columns)


def _arrive(visits: Visits, people: Population) -> Records:
    anonymous = people.flags[visits.user] & ANONYMOUS != 0
    lot = people.dice.uniform("arrival", visits.key)
    known = ~anonymous & (visits.first | (lot < IDENTIFY_AGAIN))
    page = ~known & (visits.first | (lot > 1 - PAGE_SHARE))
    rows, pages = np.flatnonzero(known), np.flatnonzero(page)
    unsubscribed = people.flags[visits.user[rows]] & UNSUBSCRIBED != 0  # told in the slot
    return np.concatenate(
        [
            _steps(visits, rows, Act.IDENTIFY, np.zeros_like(rows), people.dice, slot=unsubscribed),
            _steps(visits, pages, Act.PAGE, np.zeros_like(pages), people.dice),
        ]
    )


def _search(visits: Visits, dice: Dice) -> Records:
    lot = dice.uniform("search", visits.key)
    once, twice = np.flatnonzero(lot < visits.rate("search")), np.flatnonzero(lot < visits.rate("search") / 3)
    return np.concatenate(
        [
            _steps(visits, once, Act.SEARCH, np.full_like(once, 1), dice),
            _steps(visits, twice, Act.SEARCH, np.full_like(twice, 2), dice, slot=np.ones(len(twice), np.uint8)),
        ]
    )


def _browse(visits: Visits, dice: Dice) -> tuple[Records, NDArray[np.uint32]]:
    """Views and what becomes of them, and the slots that are in each visit's cart in the end."""
    if not len(visits.user):
        return records(0, Act.VIEW), np.zeros(0, np.uint32)
    row = np.repeat(np.arange(len(visits.user)), visits.views)
    begins = np.cumsum(visits.views) - visits.views
    slot = np.arange(len(row)) - begins[row]
    lot = dice.uniform("view", visits.key[row], slot)
    add = visits.rate("add_per_view")[row] * visits.buying
    added = lot < add
    wished = ~added & (lot < add + visits.rate("wishlist_per_view")[row])
    removed = added & (dice.uniform("remove", visits.key[row], slot) < visits.rate("remove_per_add")[row])
    bits = np.where(added & ~removed, np.uint32(1) << slot.astype(np.uint32), np.uint32(0))
    baskets = np.bitwise_or.reduceat(bits.astype(np.uint32), begins)

    def happens(act: Act, which: NDArray[np.bool_], step: Integers) -> Records:
        chosen = np.flatnonzero(which)
        return _steps(visits, row[chosen], act, step[chosen], dice, slot=slot[chosen])

    view_step = BROWSING + 2 * slot
    made = [
        happens(Act.VIEW, np.ones(len(row), np.bool_), view_step),
        happens(Act.ADD, added, view_step + 1),
        happens(Act.WISHLIST, wished, view_step + 1),
        happens(Act.REMOVE, removed, BROWSING + 2 * visits.views[row]),
    ]
    return np.concatenate(made), baskets


def _buy(visits: Visits, baskets: NDArray[np.uint32], people: Population) -> list[Records]:
    dice = people.dice
    done_before = (visits.kind == ONE_TIME) & (people.flags[visits.user] & ORDERED != 0)
    lot = dice.uniform("checkout", visits.key)
    starts_checkout = (baskets != 0) & (lot < visits.rate("checkout_per_cart") * visits.buying)
    lot = dice.uniform("order", visits.key)
    orders = starts_checkout & ~done_before & (lot < visits.rate("order_per_checkout"))
    made = []
    for act, which, after in ((Act.CHECKOUT, starts_checkout, CHECKOUT), (Act.ORDER, orders, ORDER)):
        rows = np.flatnonzero(which)
        step = BROWSING + 2 * visits.views[rows] + after
        made.append(_steps(visits, rows, act, step, dice, basket=baskets[rows]))
    _note_orders(visits, orders, people)
    return made


def _note_orders(visits: Visits, orders: NDArray[np.bool_], people: Population) -> None:
    people.flags[visits.user[orders]] |= np.uint8(ORDERED)
    last = orders & (visits.kind == ONE_TIME)
    day = (visits.start[last] - people.settings.start_ms) // 86_400_000
    people.leaves_day[visits.user[last]] = day + 1 + people.dice.below(ONE_TIME_GONE_DAYS, "gone", visits.user[last])


def _remember(visits: Visits, people: Population) -> None:
    people.flags[visits.user] |= np.uint8(SEEN)
    ends = visits.start + (BROWSING + 2 * visits.views + DONE) * visits.pace
    people.busy_until_s[visits.user] = (ends - people.settings.start_ms) // 1000 + 1
