"""What follows: refunds, complaints and reviews days after an order, and the shop's own newsletters.

Each is drawn from the session's key when the order is placed, so nothing has to be remembered but the records to come.
"""

import numpy as np
from numpy.typing import NDArray

from worker.simulate.draws import Integers
from worker.simulate.records import Act, Records, records
from worker.simulate.shop import DAY_MS, HOUR_MS
from worker.simulate.shoppers import ANONYMOUS, TYPES, UNSUBSCRIBED, Population
from worker.simulate.traits import consents

__all__ = ["NEWSLETTERS_PER_HOUR", "follow_up", "send_newsletters"]

NEWSLETTERS_PER_HOUR = 1 / (7 * 24)
OPENED, CLICKED, UNSUBSCRIBES = 0.35, 0.06, 0.003
CANCELLED, PARTIAL = 0.2, 0.3  # shares of refunds
RATES = {
    name: np.array([getattr(kind, name) for kind in TYPES])
    for name in ("refund_per_order", "complaint_per_order", "review_per_order")
}
RATINGS = np.array([kind.ratings for kind in TYPES])


def follow_up(orders: Records, people: Population) -> Records:
    """The refunds, complaints and reviews of these orders, at their times (up to three weeks later)."""
    kinds = people.types(orders["user"])
    made = [_refunds(orders, kinds, people), _complaints(orders, kinds, people), _reviews(orders, kinds, people)]
    return np.concatenate(made)


def _some(
    orders: Records, kinds: NDArray[np.uint8], name: str, days: tuple[int, int], people: Population
) -> tuple[Records, Integers]:
    """The orders that this happens to, and when."""
    chosen = orders[people.dice.uniform(name, orders["key"]) < RATES[name][kinds]]
    delay = days[0] * DAY_MS + people.dice.below((days[1] - days[0]) * DAY_MS, name + " delay", chosen["key"])
    return chosen, chosen["time"] + delay


def _refunds(orders: Records, kinds: NDArray[np.uint8], people: Population) -> Records:
    refunded, times = _some(orders, kinds, "refund_per_order", (2, 15), people)
    lot = people.dice.uniform("refund", refunded["key"])
    cancelled, partial = lot < CANCELLED, lot > 1 - PARTIAL
    made = _after(refunded, Act.REFUND, times)
    made["act"][cancelled] = Act.CANCEL
    made["time"][cancelled] = refunded["time"][cancelled] + (times - refunded["time"])[cancelled] // 24
    basket = refunded["basket"]
    lowest = basket & (~basket + np.uint32(1))
    made["basket"] = np.where(partial, lowest, basket)
    return made


def _complaints(orders: Records, kinds: NDArray[np.uint8], people: Population) -> Records:
    complained, times = _some(orders, kinds, "complaint_per_order", (1, 10), people)
    made = _after(complained, Act.COMPLAINT, times)
    made["act"][people.dice.uniform("ticket", complained["key"]) < 0.5] = Act.TICKET
    return made


def _reviews(orders: Records, kinds: NDArray[np.uint8], people: Population) -> Records:
    reviewed, times = _some(orders, kinds, "review_per_order", (3, 21), people)
    made = _after(reviewed, Act.REVIEW, times)
    low, high = RATINGS[people.types(reviewed["user"])].T
    made["slot"] = low + (people.dice.uniform("rating", reviewed["key"]) * (high - low + 1)).astype(np.int64)
    return made


def _after(orders: Records, act: Act, times: Integers) -> Records:
    """Records about orders. A review's `slot` is its rating, and it is of the basket's first product."""
    same = {name: orders[name] for name in ("key", "user", "scene", "basket")}
    return records(len(orders), act, time=times, **same)


def send_newsletters(users: Integers, times: Integers, people: Population) -> Records:
    """Newsletters to those of the users who agreed to them, with who opens, clicks or has had enough."""
    wanted = consents(users, "email", people.dice) & (people.flags[users] & (UNSUBSCRIBED | ANONYMOUS) == 0)
    users, times = users[wanted], times[wanted]
    key = people.dice.bits("newsletter", users, times)
    sent = records(len(users), Act.EMAIL_SENT, time=times, key=key, user=users)
    lot = people.dice.uniform("opens", key)
    wait = HOUR_MS // 60 + people.dice.below(3 * HOUR_MS, "wait", key)
    leaving = people.dice.uniform("unsubscribes", key) < UNSUBSCRIBES
    people.flags[users[leaving]] |= np.uint8(UNSUBSCRIBED)
    made = [sent]
    for act, which, later in (
        (Act.EMAIL_OPENED, lot < OPENED, 0),
        (Act.EMAIL_CLICKED, lot < CLICKED, 20_000),
        (Act.UNSUBSCRIBED, leaving, 60_000),
    ):
        when = (times + wait + later)[which]
        made.append(records(len(when), act, time=when, key=key[which], user=users[which]))
    return np.concatenate(made)
