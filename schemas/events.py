"""The input's wire contract: the Segment spec as pydantic models, and what reading an event comes to.

This is the plain statement of which bytes are accepted, repaired or refused, one event at a time and in the order of
the contract. The worker decodes the same input by a quicker way; a test holds the two to each other. Here are Segment's
own events; other vendors' are brought to this form by the mapping.

The models are what a kind is read for: members that aren't named are let through unread, `null` is as good as absent.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

__all__ = [
    "AGE_MS_MAX", "AMOUNT_MAX", "DEPTH_MAX", "EVENTS", "EXACT_MAX", "FUTURE_MS_MAX", "IDENTIFY", "KINDS",
    "KIND_NUMBERS", "LEAP_MS_MAX", "PAYLOAD_BYTES_MAX", "REVOKING", "SEGMENT_KINDS", "TEXT_BYTES_MAX", "TIME_MS_MAX",
    "TIME_MS_MIN", "ConsentEvent", "PlainEvent", "Reading", "Terms", "read_event",
]  # fmt: skip

KINDS: Final = (
    "view", "search", "cart_add", "cart_remove", "wishlist", "checkout", "order", "refund", "review", "complaint",
    "message_sent", "message_clicked", "other",
)  # fmt: skip
KIND_NUMBERS: Final[dict[str, int]] = {name: number for number, name in enumerate(KINDS)}
IDENTIFY: Final = len(KINDS)

PAYLOAD_BYTES_MAX: Final = 65_536
DEPTH_MAX: Final = 32
TEXT_BYTES_MAX: Final = 256
AMOUNT_MAX: Final = 1e9
EXACT_MAX: Final = 2.0**53  # below it a double is exact; the most hundredths, and the most of a cart line's quantity
FUTURE_MS_MAX: Final = 300_000
AGE_MS_MAX: Final = 3_653 * 86_400_000
LEAP_MS_MAX: Final = 400 * 86_400_000
TIME_MS_MIN: Final = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
TIME_MS_MAX: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

SEGMENT_KINDS: Final[dict[str, str]] = {
    "Product Viewed": "view", "Product List Viewed": "view", "Product Clicked": "view",
    "Products Searched": "search",
    "Product Added": "cart_add",
    "Product Removed": "cart_remove",
    "Product Added to Wishlist": "wishlist",
    "Checkout Started": "checkout",
    "Order Completed": "order",
    "Order Refunded": "refund", "Order Cancelled": "refund",
    "Product Reviewed": "review",
    "Complaint Filed": "complaint", "Support Ticket Created": "complaint",
    "Email Sent": "message_sent", "Push Notification Sent": "message_sent", "SMS Sent": "message_sent",
    "Email Link Clicked": "message_clicked", "Push Notification Tapped": "message_clicked",
}  # fmt: skip
REVOKING: Final = ("Unsubscribed", "Email Marked as Spam")

Json = Any


# What a field may be. Validation notes repairs in the set that is its context.


def _repair(info: ValidationInfo, reason: str) -> None:
    if isinstance(info.context, set):
        info.context.add(reason)


def _cut(text: str, info: ValidationInfo) -> str | None:
    encoded = text.encode()
    if len(encoded) > TEXT_BYTES_MAX:
        _repair(info, "too_long")
    return encoded[:TEXT_BYTES_MAX].decode(errors="ignore") or None


def _forgive(reason: str) -> WrapValidator:
    """What fails counts as absent, and the event as repaired."""

    def validate(value: Json, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Json:
        try:
            return handler(value)
        except ValidationError:
            _repair(info, reason)
            return None

    return WrapValidator(validate)


Id = Annotated[str, Field(strict=True)]
Text = Annotated[str, Field(strict=True), AfterValidator(_cut)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
LenientId = Annotated[Id | None, _forgive("bad_field")]
LenientText = Annotated[Text | None, _forgive("bad_field")]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Product(_Wire):
    """A product that was looked at or wished for."""

    product_id: Text | None = None
    category: Text | None = None


class CartProduct(Product):
    """A product put into the cart or taken out."""

    price: Number | None = None
    quantity: Number | None = None

    @model_validator(mode="after")
    def _is_within_bounds(self, info: ValidationInfo) -> CartProduct:
        quantity = 1.0 if self.quantity is None else self.quantity
        if abs(quantity) > EXACT_MAX or not abs((self.price or 0.0) * quantity * 100.0) <= EXACT_MAX:
            _repair(info, "bad_amount")
        return self


class OrderProduct(_Wire):
    """A product bought or given back; price and quantity are judged with the amount."""

    product_id: LenientText = None
    category: LenientText = None
    price: Json = None
    quantity: Json = None


def _products_come_first(properties: Json) -> Json:
    """Where `products` are given, the event's own product isn't read, nor its category if one of them has one."""
    if not isinstance(properties, dict) or properties.get("products") is None:
        return properties
    products = properties["products"] if isinstance(properties["products"], list) else []
    categories = [product.get("category") for product in products if isinstance(product, dict)]
    unread = {"product_id", "price", "quantity"}
    if any(isinstance(category, str) and category for category in categories):
        unread.add("category")
    return {name: value for name, value in properties.items() if name not in unread}


class ProductProperties(Product):
    """Properties of `view` and `wishlist`."""

    products: list[Product] | None = Field(default=None, strict=True)
    _order = model_validator(mode="before")(_products_come_first)


class CartProperties(CartProduct):
    """Properties of `cart_add` and `cart_remove`."""

    products: list[CartProduct] | None = Field(default=None, strict=True)
    _order = model_validator(mode="before")(_products_come_first)


class OrderProperties(_Wire):
    """Properties of `order` and `refund`: nothing in them makes a dead letter."""

    order_id: LenientId = None
    total: Json = None
    revenue: Json = None
    value: Json = None
    currency: Json = None
    products: Annotated[
        list[Annotated[OrderProduct | None, _forgive("bad_product")]] | None, Field(strict=True), _forgive("bad_field")
    ] = None
    category: LenientText = None

    @model_validator(mode="before")
    @classmethod
    def _absent_product_is_no_product(cls, properties: Json) -> Json:
        """Take away a category that isn't read; make `null` in the array as wrong as any other value there."""
        if isinstance(properties, dict) and isinstance(properties.get("products"), list):
            properties = dict(_products_come_first(properties))
            properties["products"] = [False if product is None else product for product in properties["products"]]
        return properties


class ReviewProperties(_Wire):
    """Properties of `review`."""

    rating: Number | None = None


class MessageProperties(_Wire):
    """Properties of `message_sent` and `message_clicked`."""

    decision_id: Id | None = None


class ConsentProperties(_Wire):
    """Properties of an event that takes back a consent."""

    channel: Id | None = None


class Context(_Wire):
    """Where the event came from."""

    timezone: Id | None = None


class _Event(_Wire):
    messageId: Id | None = None  # noqa: N815 - the wire's name
    context: Context | None = None


class PlainEvent(_Event):
    """`search`, `checkout`, `complaint`, `other`: read for nothing but the common members."""


class ProductEvent(_Event):
    """`view`, `wishlist`."""

    properties: ProductProperties | None = None


class CartEvent(_Event):
    """`cart_add`, `cart_remove`: without properties still one item, of no price."""

    properties: CartProperties | None = None


class OrderEvent(_Wire):
    """`order`, `refund`."""

    messageId: LenientId = None  # noqa: N815 - the wire's name
    context: Annotated[Context | None, _forgive("bad_field")] = None
    properties: OrderProperties | None = None


class ReviewEvent(_Event):
    """`review`."""

    properties: ReviewProperties | None = None


class MessageEvent(_Event):
    """`message_sent`, `message_clicked`."""

    properties: MessageProperties | None = None


class ConsentEvent(_Event):
    """Unsubscribed, Email Marked as Spam."""

    properties: ConsentProperties | None = None


class Traits(_Wire):
    """What `identify` says about the user; the declared traits are among the members that are not named here."""

    model_config = ConfigDict(extra="allow", frozen=True)
    timezone: Id | None = None
    consent: dict[str, Annotated[bool, Field(strict=True)] | None] | None = Field(default=None, strict=True)


class IdentifyEvent(_Wire):
    """`identify`."""

    traits: Traits | None = None
    context: Context | None = None


EVENTS: Final[dict[str, type[_Wire]]] = {
    "view": ProductEvent, "wishlist": ProductEvent, "cart_add": CartEvent, "cart_remove": CartEvent,
    "order": OrderEvent, "refund": OrderEvent, "review": ReviewEvent,
    "message_sent": MessageEvent, "message_clicked": MessageEvent,
    "search": PlainEvent, "checkout": PlainEvent, "complaint": PlainEvent, "other": PlainEvent,
    "identify": IdentifyEvent,
}  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """What an event is read under: parts of the definitions, and the moment.

    Without `arrival_ms` arrival is the event's own time; `clock_ms` is the partition clock before the event.
    """

    is_zone: Callable[[str], bool]
    currency: str = "EUR"
    rates: Mapping[str, float] = field(default_factory=dict)
    traits: tuple[str, ...] = ()
    arrival_ms: int | None = None
    clock_ms: int | None = None


@dataclass(frozen=True)
class Reading:
    """What an event came to: refused for a reason, or accepted with the reasons it was repaired for."""

    outcome: Literal["accepted", "repaired", "refused"]
    reason: str | None = None
    repairs: frozenset[str] = frozenset()
    kind: str | None = None
    user: str | None = None
    time_ms: int | None = None
    amount: int = 0


class _Refused(Exception):  # noqa: N818 - a verdict, not an error
    pass


def _refuse(reason: str) -> NoReturn:
    raise _Refused(reason)


def read_event(payload: bytes, terms: Terms) -> Reading:
    """Read one event. Never raises."""
    repairs: set[str] = set()
    try:
        event = _parse(payload)
        type_ = event.get("type")
        if type_ not in ("track", "identify", "page", "screen"):
            _refuse("bad_type")
        user = _read_user(event)
        event = _without_surrogates(event)
        name = event.get("event") if type_ == "track" else None
        if type_ == "track" and (not isinstance(name, str) or not name):
            _refuse("missing_event")
        time_ms = _read_time(event, terms, repairs)
        kind = "identify" if type_ == "identify" else SEGMENT_KINDS.get(name or "", "other")
        amount = _read_fields(event, kind, name, terms, repairs)
    except _Refused as refused:
        return Reading("refused", reason=str(refused))
    outcome: Literal["accepted", "repaired"] = "repaired" if repairs else "accepted"
    return Reading(outcome, None, frozenset(repairs), kind, user, time_ms, amount)


def _parse(payload: bytes) -> dict[str, Json]:
    if len(payload) > PAYLOAD_BYTES_MAX:
        _refuse("too_large")
    if _depth(payload) > DEPTH_MAX:
        _refuse("too_deep")
    try:
        value = json.loads(payload.decode("utf-8"), parse_int=float, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _Refused("not_json") from None
    if not isinstance(value, dict):
        _refuse("not_an_object")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _depth(payload: bytes) -> int:
    deepest = opened = place = 0
    inside = False
    while place < len(payload):
        byte = payload[place]
        if inside:
            if byte == ord("\\"):
                place += 1
            inside = byte != ord('"')
        elif byte == ord('"'):
            inside = True
        elif byte in b"{[":
            opened += 1
            deepest = max(deepest, opened)
        elif byte in b"}]":
            opened = max(opened - 1, 0)
        place += 1
    return deepest


def _without_surrogates(value: Json) -> Json:
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


def _read_user(event: dict[str, Json]) -> str:
    user, anonymous = event.get("userId"), event.get("anonymousId")
    if user is None and anonymous is None:
        _refuse("missing_user")
    bare: Json = anonymous if user is None else user
    if not isinstance(bare, str) or not bare or (user is not None and bare.startswith("anon:")):
        _refuse("bad_user")
    name = f"anon:{bare}" if user is None else bare
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise _Refused("bad_user") from None
    if size > TEXT_BYTES_MAX:
        _refuse("bad_user")
    return name


_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


def _read_time(event: dict[str, Json], terms: Terms, repairs: set[str]) -> int:
    times = (event.get("timestamp"), event.get("originalTimestamp"))
    written = next((time for time in times if time not in (None, "")), None)
    time_ms = terms.arrival_ms if written is None else _milliseconds(written)
    if time_ms is None:
        _refuse("bad_timestamp")
    if terms.arrival_ms is None:
        if not TIME_MS_MIN <= time_ms <= TIME_MS_MAX:
            _refuse("timestamp_out_of_range")
        if terms.clock_ms is not None and time_ms - terms.clock_ms > LEAP_MS_MAX:
            _refuse("timestamp_out_of_range")
    elif time_ms - terms.arrival_ms > FUTURE_MS_MAX:
        repairs.add("future_timestamp")
        return terms.arrival_ms
    elif terms.arrival_ms - time_ms > AGE_MS_MAX:
        _refuse("timestamp_out_of_range")
    return time_ms


def _milliseconds(written: Json) -> int | None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        if isinstance(written, float):
            return math.floor(min(max(written, -1e300), 1e300))
        if isinstance(written, str) and (match := _TIME.fullmatch(written)):
            day, clock, fraction, sign, hours, minutes = match.groups()
            offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
            if offset >= timedelta(days=1) or int(minutes or 0) > 59:
                return None
            zone = timezone(-offset if sign == "-" else offset)
            moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
            moment = moment.astimezone(UTC) + timedelta(milliseconds=int(f"{fraction or 0}000"[:3]))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return (moment - epoch) // timedelta(milliseconds=1)


def _read_fields(event: dict[str, Json], kind: str, name: str | None, terms: Terms, repairs: set[str]) -> int:
    """Check every field the kind is read for; return the amount in hundredths."""
    if not isinstance(event.get("properties"), (dict, type(None))):
        _refuse("bad_field")
    model = ConsentEvent if name in REVOKING else EVENTS[kind]
    if model is CartEvent and event.get("properties") is None:
        event = {**event, "properties": {}}
    try:
        read = model.model_validate(event, context=repairs)
    except ValidationError:
        raise _Refused("bad_field") from None
    context: Context | None = getattr(read, "context", None)
    zone = context.timezone if context else None
    if isinstance(read, IdentifyEvent) and read.traits:
        zone = read.traits.timezone or zone
        _read_traits(read.traits, terms, repairs)
    if zone and not terms.is_zone(zone):
        repairs.add("bad_timezone")
    return _amount(read.properties, terms, repairs) if isinstance(read, OrderEvent) and read.properties else 0


def _read_traits(traits: Traits, terms: Terms, repairs: set[str]) -> None:
    said = {**(traits.model_extra or {}), **traits.model_dump(include={"timezone", "consent"})}
    for name in terms.traits:
        value = said.get(name)
        if isinstance(value, str):
            if len(value.encode()) > TEXT_BYTES_MAX:
                repairs.add("too_long")
        elif value is not None and not _is_number(value):
            _refuse("bad_field")


def _is_number(value: Json) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _amount(properties: OrderProperties, terms: Terms, repairs: set[str]) -> int:
    total = 0.0
    for product in properties.products or []:
        price = 0.0 if product is None or product.price is None else product.price
        quantity = 1.0 if product is None or product.quantity is None else product.quantity
        if _is_number(price) and _is_number(quantity):
            total += price * quantity
        else:
            repairs.add("bad_product")
    absent = None if not properties.products else total
    amount = next((x for x in (properties.total, properties.revenue, properties.value) if x is not None), absent)
    if amount is None:
        return 0
    if not isinstance(amount, float):
        repairs.add("bad_field")
        return 0
    if not 0 <= amount <= AMOUNT_MAX:
        repairs.add("bad_amount")
        return 0
    return _convert(amount, properties.currency, terms, repairs)


def _convert(amount: float, currency: Json, terms: Terms, repairs: set[str]) -> int:
    if currency is None or currency == "":
        return round(amount * 100)
    name = currency.upper() if isinstance(currency, str) else ""  # what isn't text is no currency
    if name == terms.currency.upper():
        return round(amount * 100)
    rates = {code.upper(): rate for code, rate in terms.rates.items()}
    if name not in rates:
        repairs.add("unknown_currency")
        return 0
    return round(amount * rates[name] * 100)
