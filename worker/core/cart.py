"""The cart: how many items of what value, and which products, as far as there is room to know."""

import numpy as np

from worker.core.batch import PRODUCT, QUANTITY, VALUE
from worker.core.compiled import compiled
from worker.core.layout import CART_PRODUCTS
from worker.core.tables import Integer, Program, StateArrays, Table

__all__ = ["change_cart", "empty_cart"]


@compiled
def _cart_product(p: Program, s: StateArrays, slot: Integer, product: Integer, quantity: float) -> None:
    """Add `quantity` (negative: take away) of a product to the ones the cart is known to hold."""
    ids = p.settings[0]["cart_ids"]
    quantities = p.settings[0]["cart_quantities"]
    place = 0
    while place < CART_PRODUCTS and s.narrow[slot, ids + place] >= 0 and s.narrow[slot, ids + place] != product:
        place += 1
    if place == CART_PRODUCTS:
        if quantity > 0.0:
            s.narrow[slot, p.settings[0]["cart_truncated"]] = 1
        return
    if s.narrow[slot, ids + place] < 0:
        s.real[slot, quantities + place] = 0.0
    s.narrow[slot, ids + place] = product
    s.real[slot, quantities + place] += quantity
    if s.real[slot, quantities + place] > 0.0:
        return
    while place + 1 < CART_PRODUCTS and s.narrow[slot, ids + place + 1] >= 0:
        s.narrow[slot, ids + place] = s.narrow[slot, ids + place + 1]
        s.real[slot, quantities + place] = s.real[slot, quantities + place + 1]
        place += 1
    s.narrow[slot, ids + place] = -1


@compiled
def change_cart(
    p: Program, s: StateArrays, slot: Integer, sign: float, lines: Table, first: Integer, last: Integer
) -> None:
    """Change items and value line by line; each stops at 0 by itself at every step."""
    items = p.settings[0]["cart_items"]
    value = p.settings[0]["cart_value"]
    for row in range(first, last):
        s.real[slot, items] = max(0.0, s.real[slot, items] + sign * lines[row, QUANTITY])
        s.wide[slot, value] = max(0, s.wide[slot, value] + np.int64(sign * lines[row, VALUE]))
        product = np.int64(lines[row, PRODUCT])
        if product >= 0 and p.settings[0]["cart_ids"] >= 0:
            _cart_product(p, s, slot, product, sign * lines[row, QUANTITY])


@compiled
def empty_cart(p: Program, s: StateArrays, slot: Integer) -> None:
    """Forget what is in the cart."""
    s.real[slot, p.settings[0]["cart_items"]] = 0.0
    s.wide[slot, p.settings[0]["cart_value"]] = 0
    if p.settings[0]["cart_ids"] >= 0:
        s.narrow[slot, p.settings[0]["cart_truncated"]] = 0
        for place in range(CART_PRODUCTS):
            s.narrow[slot, p.settings[0]["cart_ids"] + place] = -1
