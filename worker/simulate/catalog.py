"""What the shop sells, and who takes what.

Every category has a price level; within it prices are lognormal, and products are numbered from cheap to dear. A
shopper has a favourite category, a second one and a price level of her own, so spending per shopper is skewed too.
The product in a session's slot is a function of (session key, slot, user, scene): see `records.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.simulate.draws import Dice, Integers, Unsigned, lognormal_table, look_up
from worker.simulate.records import Scene
from worker.simulate.shop import Settings

__all__ = ["CATEGORIES", "Catalog", "Lines", "amount_text"]

CATEGORIES = {  # name: (share of shoppers who like it best, median price in hundredths)
    "shoes": (0.18, 7_900),
    "dresses": (0.14, 5_900),
    "electronics": (0.13, 19_900),
    "books": (0.12, 1_400),
    "sports": (0.11, 4_500),
    "beauty": (0.10, 2_200),
    "garden": (0.07, 3_900),
    "kitchen": (0.06, 3_200),
    "toys": (0.05, 2_400),
    "jewelry": (0.04, 9_900),
}
SALE_PERCENT = 70
PRICES = lognormal_table(0.55)
FAVOURITE, SECOND = 0.62, 0.84  # cumulated shares of a shopper's products that are of her first and second category
DRIFT_TO_NEXT = 0.5  # after a drift this share of choices moves to the next category


def amount_text(hundredths: int) -> str:
    """A sum of money as a JSON number with two decimals."""
    return f"{hundredths // 100}.{hundredths % 100:02d}"


@dataclass(frozen=True)
class Lines:
    """Products with how many and at what price in hundredths, a row each."""

    product: Integers
    on_sale: NDArray[np.bool_]
    quantity: Integers
    price: Integers


class Catalog:
    """The products of one shop: `category` (index into `CATEGORIES`) and `price` (hundredths) by product number."""

    def __init__(self, settings: Settings, dice: Dice) -> None:
        self._dice = dice
        count, groups = settings.products, len(CATEGORIES)
        self.first = np.arange(groups + 1) * count // groups  # of each category, and the end
        self.category = np.repeat(np.arange(groups), np.diff(self.first))
        medians = np.array([median for _, median in CATEGORIES.values()])[self.category]
        place = (np.arange(count) - self.first[self.category] + 0.5) / np.diff(self.first)[self.category]
        self.price = (np.rint(medians * look_up(PRICES, place) / 10) * 10 - 1).astype(np.int64)  # 49.99, not 50.00
        self.sale_price = self.price * SALE_PERCENT // 100
        self.viral = int(dice.below(count, "viral", np.zeros(1, np.int64))[0])
        self.fragments = [self._fragment(product, on_sale) for on_sale in (False, True) for product in range(count)]

    def choose(
        self,
        keys: Unsigned,
        slots: NDArray[np.uint8],
        users: NDArray[np.uint32],
        scenes: NDArray[np.uint8],
        sale_share: NDArray[np.float64],
    ) -> Lines:
        """The product in each of these slots; `sale_share` is the user's share of bargains."""
        category = self._categories(keys, slots, users, scenes)
        product = self._products(keys, slots, users, category)
        viral = (scenes & Scene.VIRAL != 0) & (self._dice.uniform("goes viral", keys, slots) < 0.6)
        product = np.where(viral, self.viral, product)
        details = self._dice.bits("details", keys, slots)
        on_sale = (details >> np.uint64(40)) * 2.0**-24 < sale_share
        dozen = (details & np.uint64(0xFFFF)) % np.uint64(12)
        quantity = 1 + (dozen >= 9).astype(np.int64) + (dozen >= 11)
        return Lines(product, on_sale, quantity, np.where(on_sale, self.sale_price[product], self.price[product]))

    def favourites(self, users: NDArray[np.integer]) -> Integers:
        """Each user's favourite category."""
        shares = np.round(np.cumsum([share for share, _ in CATEGORIES.values()]), 9)
        chosen = np.searchsorted(shares, self._dice.uniform("favourite", users), "right")
        return np.minimum(chosen, len(CATEGORIES) - 1).astype(np.int64)

    def fragment(self, product: int, on_sale: bool) -> str:
        """The members of a JSON object that describe a product."""
        return self.fragments[product + on_sale * len(self.price)]

    def _categories(
        self, keys: Unsigned, slots: NDArray[np.uint8], users: NDArray[np.uint32], scenes: NDArray[np.uint8]
    ) -> Integers:
        groups = len(CATEGORIES)
        favourite = self.favourites(users)
        second = (favourite + 1 + self._dice.below(groups - 1, "second", users)) % groups
        mood = self._dice.uniform("mood", keys, slots)
        other = ((mood - SECOND) / (1 - SECOND) * groups).astype(np.int64)
        category = np.where(mood < FAVOURITE, favourite, np.where(mood < SECOND, second, other))
        moved = (scenes & Scene.DRIFTED != 0) & (self._dice.uniform("moved", keys, slots) < DRIFT_TO_NEXT)
        return np.where(moved, (category + 1) % groups, category)

    def _products(
        self, keys: Unsigned, slots: NDArray[np.uint8], users: NDArray[np.uint32], category: Integers
    ) -> Integers:
        level = self._dice.uniform("price level", users)
        near = 0.7 * level + 0.3 * self._dice.uniform("product", keys, slots)
        first, size = self.first[category], self.first[category + 1] - self.first[category]
        return first + (near * size).astype(np.int64)

    def _fragment(self, product: int, on_sale: bool) -> str:
        name = list(CATEGORIES)[self.category[product]]
        price = (self.sale_price if on_sale else self.price)[product]
        return f'"product_id":"p-{product}","category":"{name}","price":{amount_text(int(price))}'
