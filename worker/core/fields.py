"""The fields an event of each kind is read for, checked, repaired and turned into rows of numbers.

Two rules (docs/semantics.md, "Fields used, by kind"): on an order or refund a field of the wrong type counts as absent
and the event is repaired; on every other kind it makes the event a dead letter (`Refused`). Nothing is written, no text
gets a number before every check of the event has passed.

A reader takes the event's properties and returns (order hash, amount in hundredths).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from schemas.definitions import Definitions, consented_channels
from schemas.events import AMOUNT_MAX, EXACT_MAX, IDENTIFY, KIND_NUMBERS, TEXT_BYTES_MAX
from worker.core.batch import CONSENT, DECISION, PROFILING, RATING, TRAIT_NONE, TRAIT_NUMBER, TRAIT_TEXT, refuse
from worker.core.interning import Strings

__all__ = ["FieldReader", "Reader", "id_hash"]


SHORT: Final = TEXT_BYTES_MAX // 4  # a text of so many characters needs no counting of bytes
NOTHING: Final = (0, 0)
DECISION_ID: Final = re.compile(r"[0-9a-f]{32}")  # the form of ours: others' ids join nothing

Json = Any
Properties = dict[str, Json]
Row = tuple[str | None, str | None, float, float]  # product, category, quantity, value (hundredths, not rounded yet)
Reader = Callable[[Properties], tuple[int, int]]


def id_hash(text: str) -> int:
    """64 bits of an id, as an unsigned number; never 0, which stands for no id."""
    return xxh3_64_intdigest(text.encode()) or 1


class FieldReader:
    """Reads fields into `lines` (flat, 4 a row), `details` (flat, 3 a row), `reasons` (the present event's repairs),
    `decisions` (ids that messages name).
    """

    def __init__(self, definitions: Definitions, strings: Strings) -> None:
        self.lines: list[float] = []
        self.details: list[float] = []
        self.reasons: list[str] = []
        self.decisions: list[str] = []
        self._checked: dict[str, int] = {}  # products and categories met before, not empty and of bounded length
        self._new_number = strings.number
        self._traits = tuple(definitions.traits)
        self._channels = {channel: place for place, channel in enumerate(consented_channels(definitions))}
        self._rates: dict[str, float | None] = {name.upper(): rate for name, rate in definitions.rates.items()}
        self._rates[definitions.currency.upper()] = None
        self.readers: tuple[Reader | None, ...] = self._table()

    def _table(self) -> tuple[Reader | None, ...]:
        """A reader for each kind, None for those with no fields of their own."""
        readers: list[Reader | None] = [None] * (IDENTIFY + 1)
        table: dict[str, Reader] = {
            "view": self._browse,
            "wishlist": self._browse,
            "cart_add": self._cart,
            "cart_remove": self._cart,
            "order": self._order,
            "refund": self._order,
            "review": self._review,
            "message_sent": self._message,
            "message_clicked": self._message,
        }
        for name, reader in table.items():
            readers[KIND_NUMBERS[name]] = reader
        return tuple(readers)

    def begin(self) -> None:
        """Start the next batch with empty lists."""
        self.lines, self.details, self.decisions = [], [], []

    # Kinds on which a field of the wrong type is refused.

    def _browse(self, properties: Properties) -> tuple[int, int]:
        try:  # what has a number has been checked before
            row = (self._checked[properties["product_id"]], self._checked[properties["category"]], 0.0, 0.0)
        except (KeyError, TypeError):
            return self._browse_checked(properties)
        if "products" in properties:
            return self._browse_checked(properties)
        self.lines += row
        return NOTHING

    def _browse_checked(self, properties: Properties) -> tuple[int, int]:
        products = properties.get("products")
        if products is not None:
            self._browse_products(products, properties)
            return NOTHING
        product, category = self._text(properties.get("product_id")), self._text(properties.get("category"))
        if product or category:
            self._line(product, category, 0.0, 0.0)
        return NOTHING

    def _browse_products(self, products: Json, properties: Properties) -> None:
        text = self._text
        rows: list[Row] = [
            (text(product.get("product_id")), text(product.get("category")), 0.0, 0.0)
            for product in self._objects(products)
        ]
        self._write(rows, properties)

    def _cart(self, properties: Properties) -> tuple[int, int]:
        try:  # the usual case at once, any other checked field by field
            product, category = self._checked[properties["product_id"]], self._checked[properties["category"]]
            price, quantity = properties["price"], properties["quantity"]
            usual = type(price) is float and type(quantity) is int and "products" not in properties
        except (KeyError, TypeError):
            return self._cart_checked(properties)
        if not usual or not 0 <= quantity <= 1e6 or not 0 <= price <= 1e3:
            return self._cart_checked(properties)
        self.lines += (product, category, quantity, price * quantity * 100.0)
        return NOTHING

    def _cart_checked(self, properties: Properties) -> tuple[int, int]:
        products = properties.get("products")
        if products is None:
            self._line(*self._cart_row(properties))
        else:
            self._write([self._cart_row(product) for product in self._objects(products)], properties)
        return NOTHING

    def _cart_row(self, source: Properties) -> Row:
        product, category = self._text(source.get("product_id")), self._text(source.get("category"))
        price, quantity = self._number(source.get("price"), 0.0), self._number(source.get("quantity"), 1.0)
        value = price * quantity * 100.0
        if not -EXACT_MAX <= value <= EXACT_MAX:
            self.reasons.append("bad_amount")
            value = 0.0
        if not -EXACT_MAX <= quantity <= EXACT_MAX:
            self.reasons.append("bad_amount")
            quantity = 0.0
        return product, category, quantity, value

    def _review(self, properties: Properties) -> tuple[int, int]:
        rating = properties.get("rating")
        if rating is not None:
            self.details += (RATING, 0.0, self._number(rating, 0.0))
        return NOTHING

    def _message(self, properties: Properties) -> tuple[int, int]:
        decision = self._id(properties.get("decision_id"))
        if decision and DECISION_ID.fullmatch(decision):
            self.details += (DECISION, len(self.decisions), 0.0)
            self.decisions.append(decision)
        return NOTHING

    def revoke_consent(self, properties: Properties) -> tuple[int, int]:
        """Take back the consent for the event's channel, email if it names none."""
        channel = self._id(properties.get("channel")) or "email"
        place = self._channels.get(channel)
        if place is not None:
            self.details += (CONSENT, place, 0.0)
        return NOTHING

    def identify(self, traits: Json) -> None:
        """Declared traits and consents of an `identify`."""
        if traits is None:
            return
        if type(traits) is not dict:
            refuse("bad_field")
        details: list[float | str] = []
        for place, name in enumerate(self._traits):
            if name in traits:
                details += self._trait(place, traits[name])
        details += self._consents(traits.get("consent"))
        number = self._number_of
        self.details += [number(item) if isinstance(item, str) else item for item in details]

    def _trait(self, place: int, value: Json) -> tuple[float | str, ...]:
        if value is None:
            return (TRAIT_NONE, place, 0.0)
        if type(value) is str:
            text = self._text(value)
            return (TRAIT_TEXT, place, text) if text else ()
        return (TRAIT_NUMBER, place, self._number(value, 0.0))

    def _consents(self, consent: Json) -> list[float]:
        if consent is None:
            return []
        if type(consent) is not dict:
            refuse("bad_field")
        given = {name: _consent(value) for name, value in consent.items()}
        details: list[float] = []
        for channel, place in self._channels.items():
            if channel in given:
                details += (CONSENT, place, given[channel])
        if "profiling" in given:
            details += (PROFILING, 0.0, given["profiling"])
        return details

    # Order and refund: a field of the wrong type is repaired.

    def _order(self, properties: Properties) -> tuple[int, int]:
        products, products_sum, has_category = properties.get("products"), None, False
        if type(products) is list:
            if products:
                products_sum, has_category = self._order_products(products)
        elif products is not None:
            self.reasons.append("bad_field")
        if not has_category:
            category = self._lenient_text(properties.get("category"))
            if category:
                self._line(None, category, 0.0, 0.0)
        order_id = properties.get("order_id")
        if type(order_id) is not str:
            order_id = self._lenient_id(order_id)
        return (id_hash(order_id) if order_id else 0), self._amount(properties, products_sum)

    def _order_products(self, products: list[Json]) -> tuple[float, bool]:
        """Write a line for each product; return price × quantity over all, and whether one has a category."""
        checked, total, has_category = self._checked, 0.0, False
        for product in products:
            if type(product) is not dict:
                self.reasons.append("bad_product")
                continue
            try:  # what has a number has been checked before
                self.lines += (checked[product["product_id"]], checked[product["category"]], 0.0, 0.0)
                has_category = True
            except (KeyError, TypeError):
                category = self._lenient_text(product.get("category"))
                self._line(self._lenient_text(product.get("product_id")), category, 0.0, 0.0)
                has_category = has_category or bool(category)
            price, quantity = _finite(product.get("price"), 0.0), _finite(product.get("quantity"), 1.0)
            if price is None or quantity is None:
                self.reasons.append("bad_product")
            else:
                total += price * quantity
        return total, has_category

    def _amount(self, properties: Properties, products_sum: float | None) -> int:
        """Return hundredths of the definitions' currency."""
        for name in ("total", "revenue", "value"):
            value = properties.get(name)
            if value is not None:
                break
        else:
            if products_sum is None:
                return 0
            value = products_sum
        if type(value) is not float and type(value) is not int:
            self.reasons.append("bad_field")
            return 0
        if not 0 <= value <= AMOUNT_MAX:
            self.reasons.append("bad_amount")
            return 0
        return self._converted(value, properties.get("currency"))

    def _converted(self, value: float, currency: Json) -> int:
        rate = None
        if currency is not None and currency != "":
            rates = self._rates
            name = currency.upper() if type(currency) is str else ""  # what isn't text is no currency
            if name not in rates:
                self.reasons.append("unknown_currency")
                return 0
            rate = rates[name]
        hundredths = value * 100.0 if rate is None else value * rate * 100.0
        if not hundredths <= EXACT_MAX:  # a rate beyond all bounds
            self.reasons.append("bad_amount")
            return 0
        return round(hundredths)

    def _lenient_text(self, value: Json) -> str | None:
        if type(value) is str and len(value) > SHORT:
            return self._cut(value)
        return self._lenient_id(value)

    def _lenient_id(self, value: Json) -> str | None:
        """Return a text that nothing keeps, so that it needs no cutting."""
        if type(value) is str:
            return value
        if value is not None:
            self.reasons.append("bad_field")
        return None

    # Common to all.

    def wrong(self, lenient: bool) -> None:
        """Note a field of the wrong type: a repair where that is lenient, else Refused."""
        if not lenient:
            refuse("bad_field")
        self.reasons.append("bad_field")

    def _text(self, value: Json) -> str | None:
        if type(value) is str:
            return value if len(value) <= SHORT else self._cut(value)
        if value is None:
            return None
        return refuse("bad_field")

    def _id(self, value: Json) -> str | None:
        """Return a text that nothing keeps, so that it needs no cutting."""
        if value is not None and type(value) is not str:
            refuse("bad_field")
        return value

    def _cut(self, text: str) -> str:
        encoded = text.encode()
        if len(encoded) <= TEXT_BYTES_MAX:
            return text
        self.reasons.append("too_long")
        return encoded[:TEXT_BYTES_MAX].decode(errors="ignore")

    def _number(self, value: Json, default: float) -> float:
        number = _finite(value, default)
        if number is None:
            refuse("bad_field")
        return number

    def _objects(self, products: Json) -> list[Properties]:
        if type(products) is not list or any(type(product) is not dict for product in products):
            refuse("bad_field")
        return products

    def _write(self, rows: list[Row], properties: Properties) -> None:
        """Write the rows of products; the event's own category stands in where none of them has one."""
        if not any(row[1] for row in rows):
            category = self._text(properties.get("category"))
            if category:
                rows.append((None, category, 0.0, 0.0))
        for row in rows:
            self._line(*row)

    def _line(self, product: str | None, category: str | None, quantity: float, value: float) -> None:
        self.lines += (self._number_of(product), self._number_of(category), quantity, value)

    def _number_of(self, text: str | None) -> int:
        """Return the number of a product or category, which has been checked; -1 for none."""
        if not text:
            return -1
        number = self._checked.get(text)
        if number is None:
            number = self._checked[text] = self._new_number(text)
        return number


def _finite(value: Json, default: float) -> float | None:
    """A finite number as a double, the default for an absent one, None for anything else."""
    if value is None:
        return default
    if type(value) is float:
        return value if -1e308 <= value <= 1e308 or value - value == 0.0 else None
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def _consent(value: Json) -> float:
    if value is True:
        return 1.0
    if value is False:
        return 0.0
    if value is None:
        return -1.0
    return refuse("bad_field")
