"""The naive twin's reader: one record's bytes to one event, or the reason why it is a dead letter.

Written from CONTRACT section 1 and docs/semantics.md ("Reading a record") alone. Nothing here is fast: every rule is
a few plain lines in the order in which the page states it. `refuse` raises; `Event.repaired` collects the reasons.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from worker.naive.calendar import known_zone
from worker.naive.mapping import Meaning, Rules, SegmentNames

__all__ = ["NULL_KEY", "Event", "IgnoredError", "Reader", "RefusedError"]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
FAR = float("inf")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z
LAST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
LENIENT = {"order", "refund"}  # the kinds that are never lost over a detail
NULL_KEY = object()  # pass as a key for a record that has none where keys are checked


class RefusedError(Exception):
    """A record that can't be understood; `args[0]` is the dead letter's reason."""


class IgnoredError(Exception):
    """A record of a user who was erased after it."""


@dataclass(frozen=True)
class Line:
    """One product of an event: what interests and carts need of it."""

    product: str | None
    category: str | None
    quantity: float = 1
    value: int = 0  # rint(price x quantity x 100)


@dataclass
class Event:
    """What a record says, after repairs. Times are epoch milliseconds, amounts integer hundredths."""

    kind: str  # a kind of the contract, or "identify"
    user: str
    time: int = 0
    arrival: int = 0
    offset: int = 0
    message: str | None = None
    order: str | None = None
    decision: str | None = None  # the decision of ours that a message names
    amount: int = 0
    zone: str | None = None
    local_zone: str = "UTC"  # the user's, once it is applied
    activity: bool = True
    rating: float | None = None
    lines: list[Line] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    traits: dict[str, str | float | None] = field(default_factory=dict)
    consents: dict[str, bool | None] = field(default_factory=dict)
    repaired: set[str] = field(default_factory=set)


def refuse(reason: str) -> NoReturn:
    """Raise the dead letter's reason."""
    raise RefusedError(reason)


def plain(text: str) -> str:
    """The text with lone surrogates replaced."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def is_number(value: object) -> bool:
    """Whether a JSON value is a number (`true` is not)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def depth(payload: bytes) -> int:
    """The most objects and arrays open at once, counted on the raw bytes outside strings."""
    deepest = open_now = 0
    in_text = skip = False
    for byte in payload:
        if skip:
            skip = False
        elif in_text:
            skip = byte == ord("\\")
            in_text = byte != ord('"')
        elif byte == ord('"'):
            in_text = True
        elif byte in b"{[":
            open_now += 1
            deepest = max(deepest, open_now)
        elif byte in b"}]":
            open_now = max(0, open_now - 1)
    return deepest


def strict_json(payload: bytes) -> Any:
    """The value of strict JSON; anything else is refused as `not_json`."""

    def whole(digits: str) -> float:
        return int(digits) if len(digits) < 400 else float(digits)

    def constant(_name: str) -> NoReturn:
        refuse("not_json")

    try:
        return json.loads(payload.decode("utf-8"), parse_int=whole, parse_constant=constant)
    except ValueError:
        refuse("not_json")


def number_of(value: float) -> float:
    """A JSON number as a double; whole numbers too large for one are infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.copysign(FAR, value)


def read_time(value: object) -> int:
    """Epoch milliseconds of a `timestamp`; refused as `bad_timestamp`."""
    if is_number(value):
        number = value if isinstance(value, int) else float(value)  # type: ignore[arg-type]
        return math.floor(min(max(number, -1e300), 1e300))
    if isinstance(value, str) and FIRST_MS <= (milliseconds := rfc3339(value)) <= LAST_MS:
        return milliseconds
    refuse("bad_timestamp")


def rfc3339(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time with an offset, finer digits cut."""
    found = RFC3339.fullmatch(text)
    if not found:
        refuse("bad_timestamp")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, offset_hour, offset_minute = found.groups()[6:]
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        refuse("bad_timestamp")
    offset = 0
    if sign:
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            refuse("bad_timestamp")
        offset = (int(offset_hour) * 60 + int(offset_minute)) * MINUTE_MS * (-1 if sign == "-" else 1)
    milliseconds = (moment - EPOCH) // timedelta(milliseconds=1)
    return milliseconds + int(((fraction or "") + "000")[:3]) - offset


class Reader:
    """Decodes records one at a time, by the Segment spec's names or a mapping file's content.

    `clock` below is the partition clock before the record.
    """

    def __init__(self, mapping: dict[str, Any] | None = None, *, event_clock: bool = True) -> None:
        self.names = SegmentNames() if mapping is None else Rules(mapping)
        self.event_clock = event_clock

    def read(
        self, payload: bytes, definitions: dict[str, Any], *, key: object, arrival_ms: int | None, clock: int | None,
        erased: Mapping[str, float], before: Callable[[Event], None],
    ) -> Event:  # fmt: skip
        """The event; raises `RefusedError`. `definitions` gives the currency, the rates and the declared traits.

        `erased` says up to when users' events are as if they had never come: then `IgnoredError` is raised. `before` is
        called once it is known whose the record is and when, which may be before it is refused.
        """
        source = self.parsed(payload)
        record = self.opened(source)
        user = self.user(record, key, erased)
        name = record.get("event")
        if record["type"] == "track" and (not isinstance(name, str) or not name):
            refuse("missing_event")
        is_identify = record["type"] == "identify"
        meaning = Meaning("identify", activity=False) if is_identify else self.names.meaning(record, source)
        event = Event(meaning.kind, user, activity=meaning.activity)
        self.set_time(event, record, arrival_ms, clock)
        if event.time <= erased.get(user, -math.inf):
            raise IgnoredError
        before(event)
        Body(record, meaning, event, definitions).read()
        return event

    def parsed(self, payload: bytes) -> dict[str, Any]:
        """The JSON object."""
        if len(payload) > 65_536:
            refuse("too_large")
        if depth(payload) > 32:
            refuse("too_deep")
        record = strict_json(payload)
        if not isinstance(record, dict):
            refuse("not_an_object")
        return record

    def opened(self, source: dict[str, Any]) -> dict[str, Any]:
        """The record with a known `type`: as it is, or out of its envelope if it has none."""
        record = self.names.opened(source) if source.get("type") is None else source
        if record is None or record.get("type") not in ("track", "identify", "page", "screen"):
            refuse("bad_type")
        return record

    def user(self, record: dict[str, Any], key: object, erased: Mapping[str, float]) -> str:
        """The user id, checked, and held against the record key where there is one."""
        bare, prefix = record.get("userId"), ""
        if bare is None:
            bare, prefix = record.get("anonymousId"), "anon:"
        if bare is None:
            refuse("missing_user")
        if not isinstance(bare, str) or (not prefix and bare.startswith("anon:")):
            refuse("bad_user")
        try:
            encoded = bare.encode("utf-8")
        except UnicodeEncodeError:
            refuse("bad_user")
        if not encoded or len(prefix.encode() + encoded) > 256:
            refuse("bad_user")
        if erased.get(prefix + bare) == math.inf:
            raise IgnoredError
        if key is not None and key != encoded:
            refuse("key_mismatch")
        return prefix + bare

    def set_time(self, event: Event, record: dict[str, Any], arrival_ms: int | None, clock: int | None) -> None:
        """Set the event's own time and its arrival, or refuse."""
        written = next(
            (v for v in (record.get("timestamp"), record.get("originalTimestamp")) if v not in (None, "")), None
        )
        if written is not None:
            event.time = read_time(written)
        elif self.event_clock or arrival_ms is None:
            refuse("bad_timestamp")
        else:
            event.time = arrival_ms
        if self.event_clock or arrival_ms is None:
            event.arrival = event.time
            if not FIRST_MS <= event.time <= LAST_MS or (clock is not None and event.time > clock + 400 * DAY_MS):
                refuse("timestamp_out_of_range")
            return
        event.arrival = arrival_ms
        if event.time > arrival_ms + 5 * MINUTE_MS:
            event.time = arrival_ms
            event.repaired.add("future_timestamp")
        if event.time < arrival_ms - 3_653 * DAY_MS:
            refuse("timestamp_out_of_range")


class Body:
    """The fields of one record, by kind. Wrong types are refused, or on orders and refunds repaired."""

    def __init__(self, record: dict[str, Any], meaning: Meaning, event: Event, definitions: dict[str, Any]) -> None:
        self.record, self.meaning, self.event, self.definitions = record, meaning, event, definitions
        self.properties: dict[str, Any] = {}

    def read(self) -> None:
        """Fill the event from the record."""
        properties = self.record.get("properties")
        if properties is not None and not isinstance(properties, dict):
            refuse("bad_field")
        self.properties = (properties or {}) if self.meaning.properties is None else self.meaning.properties
        kind = self.event.kind
        context = self.object_of(self.record.get("context"))
        zone = self.text(context.get("timezone"))
        if kind == "identify":
            zone = self.identify() or zone
        else:
            self.event.message = self.text(self.record.get("messageId"))
        self.set_zone(zone)
        if self.meaning.revokes_consent:
            self.event.consents[self.text(self.field("channel")) or "email"] = False
        if kind in ("view", "wishlist"):
            self.products(priced=False)
        elif kind in ("cart_add", "cart_remove"):
            self.products(priced=True)
        elif kind in LENIENT:
            self.order()
        elif kind == "review":
            self.event.rating = self.number(self.field("rating"))
        elif kind in ("message_sent", "message_clicked"):
            named = self.text(self.field("decision_id"))
            self.event.decision = named if named and re.fullmatch("[0-9a-f]{32}", named) else None

    def field(self, name: str) -> Any:
        """A field of the event."""
        return self.properties.get(name)

    def wrong(self, reason: str = "bad_field") -> None:
        """A field of the wrong type: repaired on orders and refunds, else a dead letter."""
        if self.event.kind not in LENIENT:
            refuse("bad_field")
        self.event.repaired.add(reason)

    def object_of(self, value: object) -> dict[str, Any]:
        """An object, empty where absent."""
        if value is not None and not isinstance(value, dict):
            self.wrong()
        return value if isinstance(value, dict) else {}

    def text(self, value: object, *, cut: bool = False) -> str | None:
        """Text, None where absent or empty; cut to 256 bytes where asked."""
        if value is not None and not isinstance(value, str):
            self.wrong()
        if not isinstance(value, str) or not value:
            return None
        encoded = plain(value).encode("utf-8")
        if cut and len(encoded) > 256:
            self.event.repaired.add("too_long")
            encoded = encoded[:256]
        return encoded.decode("utf-8", "ignore")

    def number(self, value: Any) -> float | None:
        """A finite number, None where absent."""
        if value is None:
            return None
        if not is_number(value) or not math.isfinite(number_of(value)):
            self.wrong()
            return None
        return number_of(value)

    def set_zone(self, zone: str | None) -> None:
        """The record's zone, if the database knows it."""
        if zone is not None and not known_zone(zone):
            self.event.repaired.add("bad_timezone")
            zone = None
        self.event.zone = zone

    def identify(self) -> str | None:
        """Declared traits and consents; returns `traits.timezone`."""
        traits = self.object_of(self.record.get("traits"))
        for name in self.definitions.get("traits", []):
            if name in traits:
                value = traits[name]
                if value == "":
                    continue
                self.event.traits[name] = self.number(value) if is_number(value) else self.text(value, cut=True)
        for channel, given in self.object_of(traits.get("consent")).items():
            if given is not None and not isinstance(given, bool):
                refuse("bad_field")
            self.event.consents[channel] = given
        return self.text(traits.get("timezone"))

    def products(self, *, priced: bool) -> None:
        """Lines and categories of a view, a wish or a cart event."""
        given = self.field("products")
        if given is not None and not isinstance(given, list):
            self.wrong()
        own = {name: self.field(name) for name in ("product_id", "category", "price", "quantity")}
        present = isinstance(given, list)
        for product in given if present else [own]:
            if not isinstance(product, dict):
                self.wrong("bad_product")
                continue
            self.event.lines.append(self.line(product, priced=priced))
        self.set_categories(own["category"] if present else None)

    def line(self, product: dict[str, Any], *, priced: bool) -> Line:
        """One product, with its cart value where there is one."""
        name = self.text(product.get("product_id"), cut=True)
        category = self.text(product.get("category"), cut=True)
        if not priced:
            return Line(name, category)
        price, quantity = self.number(product.get("price")) or 0.0, self.number(product.get("quantity"))
        quantity = 1.0 if quantity is None else quantity
        if abs(price * quantity * 100) > 2**53:
            self.event.repaired.add("bad_amount")
            value = 0
        else:
            value = round(price * quantity * 100)
        if abs(quantity) > 2**53:
            self.event.repaired.add("bad_amount")
            quantity = 0.0
        return Line(name, category, quantity, value)

    def set_categories(self, own: object) -> None:
        """Distinct categories of the products; the event's own only if none of them has one."""
        found = [line.category for line in self.event.lines if line.category]
        if not found:
            category = self.text(own, cut=True)
            found = [category] if category else []
        self.event.categories = list(dict.fromkeys(found))

    def order(self) -> None:
        """Order id, categories and amount of an order or a refund."""
        self.event.order = self.text(self.field("order_id"))
        given = self.field("products")
        if given is not None and not isinstance(given, list):
            self.wrong()
        total = 0.0
        for product in given if isinstance(given, list) else []:
            if not isinstance(product, dict):
                self.wrong("bad_product")
                continue
            self.event.lines.append(self.line(product, priced=False))
            total += self.product_amount(product)
        self.set_categories(self.field("category"))
        present = [v for v in (self.field(name) for name in ("total", "revenue", "value")) if v is not None]
        if present or self.event.lines or (isinstance(given, list) and given):
            self.event.amount = self.amount(present[0] if present else total)

    def product_amount(self, product: dict[str, Any]) -> float:
        """Price times quantity of one product; 0, repaired, where one of them is wrong."""
        price, quantity = product.get("price"), product.get("quantity")
        for value in (price, quantity):
            if value is not None and not (is_number(value) and math.isfinite(number_of(value))):
                self.event.repaired.add("bad_product")
                return 0.0
        return (number_of(price) if price is not None else 0.0) * (number_of(quantity) if quantity is not None else 1.0)

    def amount(self, given: Any) -> int:
        """Integer hundredths of the definitions' currency; 0, repaired, where the amount can't be taken."""
        if not is_number(given):
            self.event.repaired.add("bad_field")
            return 0
        if not 0 <= number_of(given) <= 1e9:
            self.event.repaired.add("bad_amount")
            return 0
        own = self.definitions.get("currency", "EUR").upper()
        currency = self.field("currency")
        currency = own if currency in (None, "") else currency
        currency = currency.upper() if isinstance(currency, str) else None
        if currency == own:
            return round(number_of(given) * 100)
        rates = {name.upper(): rate for name, rate in self.definitions.get("rates", {}).items()}
        if currency not in rates:
            self.event.repaired.add("unknown_currency")
            return 0
        return round(number_of(given) * float(rates[currency]) * 100)
