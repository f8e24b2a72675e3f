"""The events the engine is measured on: Segment track events of some 220 bytes, by skewed users, made beforehand.

Users are drawn by a power law: the user of rank r as often as r^-0.8, so that at a million users half of the events
come from about three users in a hundred; ranks are scattered over the rows, as they are in life. Every user does so
many things a day on average (`per_day`), which says how fast time passes and so how much of the work is time's.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.bench.workload import CATEGORIES
from worker.core.effects import iso

__all__ = ["DAY_MS", "START_MS", "Stream", "user_id"]

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

START_MS: Final = 1_772_445_600_000  # 2026-03-02T10:00:00Z
DAY_MS: Final = 86_400_000
PER_DAY: Final = 5.0
EXPONENT: Final = 0.8
LATE_SHARE: Final = 0.01
PRODUCTS: Final = 5_000
ZONES: Final = ("Europe/Berlin", "Europe/London", "America/New_York")

# name, how often, properties with {n} a product, {c} its category, {m} the message's number, {p} a price
_KINDS: Final = (
    ("Product Viewed", 0.55, '{{"product_id":"p-{n}","category":"{c}","price":{p}}}'),
    ("Page Scrolled", 0.08, '{{"depth":{n},"path":"/{c}/p-{n}"}}'),
    ("Products Searched", 0.08, '{{"query":"{c}"}}'),
    ("Product Added", 0.08, '{{"product_id":"p-{n}","category":"{c}","price":{p},"quantity":1}}'),
    ("Product Removed", 0.02, '{{"product_id":"p-{n}","category":"{c}","price":{p},"quantity":1}}'),
    ("Product Added to Wishlist", 0.03, '{{"product_id":"p-{n}","category":"{c}"}}'),
    ("Checkout Started", 0.03, '{{"order_id":"o-{m}","value":{p}}}'),
    (
        "Order Completed",
        0.04,
        '{{"order_id":"o-{m}","total":{p},"products":[{{"product_id":"p-{n}","category":"{c}","price":{p}}}]}}',
    ),
    ("Order Refunded", 0.004, '{{"order_id":"o-{m}","total":{p}}}'),
    ("Product Reviewed", 0.004, '{{"product_id":"p-{n}","rating":4}}'),
    ("Complaint Filed", 0.002, '{{"topic":"delivery"}}'),
    ("Email Sent", 0.03, '{{"campaign_id":"c-{n}"}}'),
    ("Email Link Clicked", 0.01, '{{"campaign_id":"c-{n}"}}'),
    (None, 0.04, '{{"country":"DE","language":"de","consent":{{"email":true}}}}'),
)
_WEIGHTS: Final = np.array([weight for _, weight, _ in _KINDS])
_QUIET: Final = ("Order Refunded", "Email Sent", None)  # those that begin no session
_ACTIVE: Final = np.array([0.0 if name in _QUIET else weight for name, weight, _ in _KINDS])


class Stream:
    """The events of `users` users from START_MS on; `now_ms` is how far it has come. The same seed, the same bytes."""

    def __init__(self, users: int, seed: int = 1) -> None:
        self.users = users
        self.now_ms = START_MS
        self._chance = np.random.default_rng(seed)
        self._scattered = self._chance.permutation(users)
        self._messages = 0

    def first(self, batch: int) -> Iterator[list[bytes]]:
        """Yield an event for every user, in no order and all within one second."""
        for begin in range(0, self.users, batch):
            slots = self._scattered[begin : begin + batch]
            yield self._written(slots, self.now_ms + (begin + np.arange(len(slots))) * 1_000 // self.users, _ACTIVE)
        self.now_ms += 1_000

    def skewed(
        self, count: int, batch: int, *, hot_share: float = 0.0, per_day: float = PER_DAY
    ) -> Iterator[list[bytes]]:
        """Yield `count` events in batches; one user has `hot_share` of them. One in a hundred is up to an hour late."""
        gap_ms = DAY_MS / (per_day * self.users)
        for begin in range(0, count, batch):
            size = min(batch, count - begin)
            slots = self._scattered[self._ranks(size)]
            slots[self._chance.random(size) < hot_share] = self._scattered[0]
            times = self.now_ms + (np.arange(size) * gap_ms).astype(np.int64)
            late = self._chance.random(size) < LATE_SHARE
            times[late] -= self._chance.integers(0, 3_600_000, int(late.sum()))
            yield self._written(slots, times)
            self.now_ms += round(size * gap_ms)

    def _ranks(self, size: int) -> Integers:
        ranks = self.users * self._chance.random(size) ** (1 / (1 - EXPONENT))
        return ranks.astype(np.int64)

    def _written(self, slots: Integers, times: Integers, weights: Reals = _WEIGHTS) -> list[bytes]:
        size = len(slots)
        kinds = self._chance.choice(len(_KINDS), size, p=weights / weights.sum())
        products = self._chance.integers(0, PRODUCTS, size)
        first = self._messages
        self._messages += size
        columns = zip(slots.tolist(), times.tolist(), kinds.tolist(), products.tolist(), strict=True)
        return [_event(*row, number) for number, row in enumerate(columns, first)]


def _event(slot: int, time_ms: int, kind: int, product: int, number: int) -> bytes:
    name, _, properties = _KINDS[kind]
    filled = properties.format(n=product, c=CATEGORIES[product % 12], m=number, p=f"{5 + product % 97}.9")
    what = f'"type":"track","event":"{name}","properties":{filled}' if name else f'"type":"identify","traits":{filled}'
    text = (
        f'{{"messageId":"m-{number}","userId":"u-{slot:07}","timestamp":"{iso(time_ms)}",'
        f'"context":{{"timezone":"{ZONES[slot % 3]}","library":{{"name":"analytics.js"}}}},{what}}}'
    )
    return text.encode()


def user_id(payload: bytes) -> bytes:
    """Return the user id of one of these events, which is its key on a topic."""
    return payload.partition(b'"userId":"')[2].partition(b'"')[0]
