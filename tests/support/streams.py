"""Seeded event streams that are unkind on purpose: late by anything, duplicate, out of order, in the same millisecond,
around hop borders and DST changes, of every kind, repaired and malformed, most of them from one hot user if asked.

The same random numbers give the same bytes, whatever the process. `records` makes a stream; `stream_strategy` is the
same for hypothesis. Every record fits both clocks: with the event clock the arrival is simply not looked at.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

START_MS = 1_774_641_600_000  # 2026-03-27T20:00Z, a day and a half before summer time begins in Europe
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
HOPS_MS = (300_000, HOUR_MS, DAY_MS, 7 * DAY_MS, 28 * DAY_MS)
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "UTC",
)
CATEGORIES = ("shoes", "hats", "coats", "bags", "toys", "books", "games", "garden", "music", "Möbel")
PRODUCTS = tuple(f"p-{number}" for number in range(1, 13))
PRICES = (0, 0.125, 1.005, 9.99, 19.5, 49.75, 100, 250.0)
COUNTRIES = ("DE", "FR", "US", "")
EVENTS = {
    "Product Viewed": 20,
    "Product List Viewed": 3,
    "Product Clicked": 3,
    "Products Searched": 4,
    "Product Added": 14,
    "Product Removed": 4,
    "Product Added to Wishlist": 4,
    "Checkout Started": 4,
    "Order Completed": 10,
    "Order Refunded": 3,
    "Order Cancelled": 1,
    "Product Reviewed": 4,
    "Complaint Filed": 2,
    "Support Ticket Created": 1,
    "Email Sent": 3,
    "SMS Sent": 1,
    "Email Link Clicked": 3,
    "Push Notification Tapped": 1,
    "Email Opened": 2,
    "Unsubscribed": 1,
    "Email Marked as Spam": 1,
    "Something Else": 3,
    "page": 2,
    "screen": 1,
    "identify": 14,
}
CARTS = ("Product Added", "Product Removed")
SEEN = ("Product Viewed", "Product List Viewed", "Product Clicked", "Product Added to Wishlist")
DECISIONS = ("d-1", 2 * "0123456789abcdef", None, 32 * "f", "")  # ids in the form of ours, and not
PAID = ("Order Completed", "Order Refunded", "Order Cancelled")


@dataclass(frozen=True)
class Record:
    """A record as Kafka has it; in files only the payload counts."""

    payload: bytes
    key: bytes | None
    arrival_ms: int


@dataclass
class Settings:
    """How unkind a stream is: probabilities, and gaps between arrivals in ms with their weights."""

    users: int = 5
    hot: float = 0.0
    duplicate: float = 0.06
    malformed: float = 0.04
    repaired: float = 0.04
    late: float = 0.2
    border: float = 0.12
    start_ms: int = START_MS
    gaps: dict[int, float] = field(
        default_factory=lambda: {
            0: 3,
            1: 1,
            900: 2,
            20_000: 4,
            4 * MINUTE_MS: 5,
            15 * MINUTE_MS: 4,
            40 * MINUTE_MS: 3,
            5 * HOUR_MS: 2,
            DAY_MS: 1,
            9 * DAY_MS: 0.3,
            45 * DAY_MS: 0.05,
        }
    )


def chosen(rng: random.Random, weights: Mapping[Any, float]) -> Any:
    """One of the keys, by weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def records(rng: random.Random, events: int, settings: Settings | None = None) -> list[Record]:
    """A stream of so many records."""
    return Stream(rng, settings or Settings()).make(events)


def payloads(rng: random.Random, events: int, settings: Settings | None = None) -> list[bytes]:
    """Only the bytes, as in a file."""
    return [record.payload for record in records(rng, events, settings)]


class Stream:
    """Makes records one after the other."""

    def __init__(self, rng: random.Random, settings: Settings) -> None:
        self.rng, self.settings, self.now = rng, settings, settings.start_ms
        self.made: list[tuple[dict[str, Any], str]] = []  # what may come again, and whose it is
        self.serial = 0

    def make(self, events: int) -> list[Record]:
        """So many records."""
        return [self.next() for _ in range(events)]

    def next(self) -> Record:
        """One record, of whatever sort."""
        rng, settings = self.rng, self.settings
        gap = chosen(rng, settings.gaps)
        self.now += rng.randint(gap // 2, gap) if gap > 1 else gap
        if self.now > settings.start_ms and rng.random() < settings.border:
            self.now = max(self.now, self.to_border(self.now))
        user = self.user()
        if self.made and rng.random() < settings.duplicate:
            event, user = self.again()
        else:
            event = self.event(user)
            self.made.append((event, user))
        if rng.random() < settings.malformed:
            return Record(self.malformed(event), user.encode(), self.now)
        if rng.random() < settings.repaired:
            event = self.repaired(event)
        key = user.encode() if rng.random() > 0.005 else b"somebody"
        return Record(json.dumps(event, ensure_ascii=rng.random() < 0.5).encode(), key, self.now)

    def to_border(self, time_ms: int) -> int:
        """The nearest border of some hop, or a millisecond beside it."""
        width = self.rng.choice(HOPS_MS[:3] if self.rng.random() < 0.9 else HOPS_MS)
        return (time_ms // width + 1) * width + self.rng.choice((-1, 0, 1))

    def user(self) -> str:
        """Somebody, most often the hot one if there is one."""
        return "u-hot" if self.rng.random() < self.settings.hot else f"u-{self.rng.randrange(self.settings.users)}"

    def again(self) -> tuple[dict[str, Any], str]:
        """An earlier event, whole, or only one of its ids on a new event."""
        event, user = self.made[-self.rng.randint(1, min(60, len(self.made)))]
        if self.rng.random() < 0.6:
            return event, user
        new = self.event(user)
        if event.get("event") == new.get("event") and event.get("event") in PAID and self.rng.random() < 0.8:
            new.setdefault("properties", {})["order_id"] = event.get("properties", {}).get("order_id")
        else:
            new["messageId"] = event.get("messageId")
        return new, user

    def time(self) -> Any:
        """When the event happened, as it may be written."""
        rng, time_ms = self.rng, self.now
        if rng.random() < self.settings.late:
            most = chosen(rng, {1_900: 3, 5_000: 3, HOUR_MS: 4, DAY_MS: 3, 20 * DAY_MS: 2, 500 * DAY_MS: 0.5})
            time_ms -= rng.randint(0, most)
        elif rng.random() < 0.02:
            time_ms += rng.choice((MINUTE_MS, 5 * MINUTE_MS, 5 * MINUTE_MS + 1, HOUR_MS))
        if rng.random() < self.settings.border / 2:
            time_ms = min(time_ms, self.to_border(time_ms) - rng.choice(HOPS_MS[:2]))
        return self.as_written(time_ms)

    def as_written(self, time_ms: int) -> Any:
        """A time as a number, or as RFC 3339 in one of its forms."""
        form = self.rng.randrange(6)
        if form == 0:
            return time_ms
        moment = datetime.fromtimestamp(time_ms // 1000, UTC)
        zulu = f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}"
        if form == 1:
            shifted = datetime.fromtimestamp(time_ms // 1000 + 19_800, UTC)
            return f"{shifted:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}999+05:30"
        return zulu + ("z" if form == 2 else "Z")

    def event(self, user: str) -> dict[str, Any]:
        """A well-formed event of a user."""
        rng, name = self.rng, chosen(self.rng, EVENTS)
        self.serial += 1
        whose = {"anonymousId": user} if user == "u-0" else {"userId": user, "anonymousId": None}
        event: dict[str, Any] = {"type": "track", **whose, "timestamp": self.time()}
        if rng.random() < 0.9:
            event["messageId"] = f"m-{self.serial}"
        if rng.random() < 0.2:
            event["context"] = {"timezone": rng.choice(ZONES)}
        if name in ("page", "screen", "identify"):
            event["type"] = name
        else:
            event["event"] = name
        if name == "identify":
            event["traits"] = self.traits()
        elif rng.random() < 0.97:
            event["properties"] = self.properties(name)
        return event

    def traits(self) -> dict[str, Any]:
        """Traits, consents and a zone, each only sometimes."""
        rng, traits = self.rng, dict[str, Any]()
        if rng.random() < 0.6:
            traits["country"] = rng.choice((*COUNTRIES, None))
        if rng.random() < 0.5:
            traits["points"] = rng.choice((0, 3, 7.5, 100, None, "many"))
        if rng.random() < 0.2:
            traits["undeclared"] = [1, {"two": 3}]
        if rng.random() < 0.2:
            traits["timezone"] = rng.choice(ZONES)
        if rng.random() < 0.8:
            names = [name for name in ("email", "push", "sms", "profiling") if rng.random() < 0.7]
            traits["consent"] = {name: rng.choice((True, True, True, True, False, None)) for name in names}
        return traits

    def product(self, *, priced: bool) -> dict[str, Any]:
        """A product with some of its fields."""
        rng, product = self.rng, dict[str, Any]()
        if rng.random() < 0.95:
            product["product_id"] = rng.choice(PRODUCTS)
        if rng.random() < 0.85:
            product["category"] = rng.choice(CATEGORIES)
        if priced and rng.random() < 0.9:
            product["price"] = rng.choice(PRICES)
        if priced and rng.random() < 0.6:
            product["quantity"] = rng.choice((1, 1, 2, 3, 0.5, 0))
        return product

    def properties(self, name: str) -> dict[str, Any]:
        """What an event of that name says."""
        rng, properties = self.rng, dict[str, Any]()
        if name in SEEN or name in CARTS:
            if rng.random() < 0.3:
                properties["products"] = [self.product(priced=name in CARTS) for _ in range(rng.randrange(4))]
                if rng.random() < 0.3:
                    properties["category"] = rng.choice(CATEGORIES)
            else:
                properties = self.product(priced=name in CARTS)
            if name == "Product Added" and rng.random() < 0.03:
                properties["quantity"] = -1
        elif name in PAID:
            properties = self.paid()
        elif name == "Product Reviewed" and rng.random() < 0.9:
            properties["rating"] = rng.choice((1, 2, 3.5, 4, 5))
        elif name in ("Email Sent", "SMS Sent", "Email Link Clicked", "Push Notification Tapped"):
            properties["decision_id"] = DECISIONS[self.serial % len(DECISIONS)]
        elif name == "Unsubscribed" and rng.random() < 0.5:
            properties["channel"] = rng.choice(("email", "push", "sms"))
        return properties

    def paid(self) -> dict[str, Any]:
        """An order's or a refund's amount in one of its forms."""
        rng, properties = self.rng, dict[str, Any]()
        if rng.random() < 0.9:
            properties["order_id"] = f"o-{self.serial}"
        if rng.random() < 0.8:
            properties[rng.choice(("total", "revenue", "value"))] = rng.choice((*PRICES, 12.345, 400))
        if rng.random() < 0.6:
            properties["products"] = [self.product(priced=True) for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.3:
            properties["currency"] = rng.choice(("EUR", "USD", "usd", "GBP"))
        if rng.random() < 0.2:
            properties["category"] = rng.choice(CATEGORIES)
        return properties

    def repaired(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event with a detail that is repaired (where its kind can be)."""
        rng, event = self.rng, json.loads(json.dumps(event))
        properties = event.get("properties")
        if event.get("event") in PAID and properties is not None:
            change: dict[str, Any] = rng.choice(
                (
                    {"total": -1},
                    {"total": 1e12},
                    {"total": "12"},
                    {"total": True},
                    {"total": 5, "currency": "XXX"},
                    {"order_id": 17},
                    {"total": 7, "products": "none"},
                    {"products": [7, {"product_id": "p-1", "price": 3}]},
                    {"products": [{"product_id": "p-1", "category": "c" * 300, "price": 3}]},
                )
            )
            properties.update(change)
        elif event.get("event") in CARTS and properties is not None and "products" not in properties:
            properties.update(rng.choice(({"price": 1e9, "quantity": 1e6}, {"quantity": 2e16, "price": 0})))
        elif event.get("event") in SEEN and properties is not None and "products" not in properties:
            properties["category"] = "é" * 200
        else:
            event["context"] = {"timezone": "Mars/Olympus_Mons"}
        return event

    def malformed(self, event: dict[str, Any]) -> bytes:
        """Bytes that are a dead letter (for one of the two clocks at least)."""
        rng, event = self.rng, json.loads(json.dumps(event))
        whole = json.dumps(event).encode()
        broken: list[dict[str, Any]] = [
            {"type": "alias"},
            {"type": None},
            {"userId": None, "anonymousId": None},
            {"userId": ""},
            {"userId": "anon:x"},
            {"userId": "\ud800"},
            {"userId": 5},
            {"userId": "u" * 257},
            {"type": "track", "event": ""},
            {"type": "track", "event": 7},
            {"timestamp": "yesterday"},
            {"timestamp": "2026-02-30T00:00:00Z"},
            {"timestamp": "2026-03-28T10:00:00"},
            {"timestamp": None},
            {"timestamp": True},
            {"timestamp": self.now + 500 * DAY_MS},
            {"timestamp": self.now - 3_660 * DAY_MS},
            {"properties": [1]},
            {"type": "track", "event": "Products Searched", "context": "none"},
            {"type": "track", "event": "Product Viewed", "properties": {"product_id": 3}},
            {"type": "track", "event": "Product Added", "properties": {"product_id": "p-1", "price": "3"}},
            {"type": "track", "event": "Product Reviewed", "properties": {"rating": "good"}},
            {"type": "track", "event": "Products Searched", "messageId": 12},
            {"type": "identify", "traits": {"country": True}},
            {"type": "identify", "traits": {"consent": {"profiling": "yes"}}},
        ]
        raw = [
            b"",
            b"   ",
            whole[:-1],
            b"\xff" + whole,
            b"\xef\xbb\xbf" + whole,
            b"[1, 2]",
            b"null",
            b'{"type": NaN}',
            whole[:-1] + b', "deep": ' + b"[" * 33 + b"]" * 33 + b"}",
            whole[:-1] + b', "long": "' + b"x" * 65_536 + b'"}',
        ]
        if rng.random() < 0.4:
            return rng.choice(raw)
        return json.dumps({**event, **rng.choice(broken)}).encode()


HOT = Settings(users=8, hot=0.9)


@st.composite
def stream_strategy(draw: st.DrawFn, events_max: int = 60) -> list[Record]:
    """Streams for hypothesis: small ones first, few users or a hot one, any rate of trouble."""
    rng = draw(st.randoms(use_true_random=False))
    settings = Settings(
        users=draw(st.integers(1, 6)),
        hot=draw(st.sampled_from((0.0, 0.9))),
        late=draw(st.sampled_from((0.0, 0.2, 0.8))),
        malformed=draw(st.sampled_from((0.0, 0.05))),
        duplicate=draw(st.sampled_from((0.0, 0.1, 0.4))),
    )
    return records(rng, draw(st.integers(1, events_max)), settings)
