"""The naive twin's features: per user one small ledger for each thing that the definitions read.

A ledger is fed the user's events in the order of their application and answers for any instant at or after her clock.
Windows keep the raw times and count; nothing is kept in hops. `next_change` says when time alone next changes the
answer. What is read from the beginning sees every event; what a later version reads first, starts empty then.
"""

import bisect
import math
from collections.abc import Iterable
from typing import Any

from worker.naive.calendar import DAY_MS, is_evening, is_weekend
from worker.naive.conditions import Read, Value
from worker.naive.decode import Event

__all__ = ["LASTING", "SESSION_MS", "Cart", "Interest", "Ledgers", "Recent", "ledgers_of"]

HOUR_MS = 3_600_000
SESSION_MS = 30 * 60_000
HALF_LIFE_MS = 14 * DAY_MS
WINDOWS = {  # hop width, hops
    "1h": (300_000, 13),
    "24h": (HOUR_MS, 25),
    "7d": (DAY_MS, 8),
    "30d": (DAY_MS, 31),
    "90d": (7 * DAY_MS, 14),
    "365d": (28 * DAY_MS, 14),
}
COUNTED = {
    "views": "view",
    "searches": "search",
    "cart_adds": "cart_add",
    "cart_removes": "cart_remove",
    "wishlists": "wishlist",
    "checkouts": "checkout",
    "orders": "order",
    "refunds": "refund",
    "reviews": "review",
    "complaints": "complaint",
    "messages_sent": "message_sent",
    "messages_clicked": "message_clicked",
}
SUMMED = {"spend": "order", "refunded": "refund"}
INTEREST_WEIGHTS = {"view": 1, "cart_add": 3, "wishlist": 2, "order": 5}


class Ledger:
    """What one thing that is read remembers of a user's events."""

    def add(self, event: Event) -> None:
        """Take an applied event."""
        raise NotImplementedError

    def next_change(self, _now: int) -> int | None:
        """When, after now, time alone changes the answer."""
        return None


class Windowed(Ledger):
    """The events of a kind, counted or summed over a window."""

    def __init__(self, measure: str, kind: str, window: str) -> None:
        self.measure, self.kind = measure, kind
        self.width_ms, self.hops = WINDOWS[window]
        self.entries: list[tuple[int, int]] = []  # (time, what it counts), by time
        self.remembered: tuple[int, int, int] = (0, 0, 0)

    def add(self, event: Event) -> None:
        """Take an applied event."""
        if event.kind == self.kind:
            bisect.insort(self.entries, (event.time, 1 if self.measure == "count" else event.amount))
            self.remembered = (0, 0, 0)

    def first(self, now: int) -> int:
        """The place of the first event inside the window."""
        return bisect.bisect_left(self.entries, ((now // self.width_ms - self.hops + 1) * self.width_ms, -1))

    def total(self, now: int) -> int:
        """The count, or the hundredths, in the hops of the window."""
        first, size = self.first(now), len(self.entries)
        if self.remembered[:2] != (first, size):
            self.remembered = (first, size, sum(amount for _, amount in self.entries[first:]))
        return self.remembered[2]

    def next_change(self, now: int) -> int | None:
        """When the oldest hop with an event leaves."""
        first = self.first(now)
        if first == len(self.entries):
            return None
        return (self.entries[first][0] // self.width_ms + self.hops) * self.width_ms


class Total(Ledger):
    """The events of a kind, counted or summed from the beginning."""

    def __init__(self, measure: str, kind: str) -> None:
        self.measure, self.kind, self.sum = measure, kind, 0

    def add(self, event: Event) -> None:
        """Take an applied event."""
        if event.kind == self.kind:
            self.sum += 1 if self.measure == "count" else event.amount

    def total(self, _now: int) -> int:
        """The count, or the hundredths."""
        return self.sum


class Latest(Ledger):
    """The latest own time of a kind, or of any activity."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.time: int | None = None

    def add(self, event: Event) -> None:
        """Take an applied event."""
        if (event.activity if self.kind == "activity" else event.kind == self.kind) and (
            self.time is None or event.time > self.time
        ):
            self.time = event.time


class Earliest(Ledger):
    """The earliest own time of any event."""

    def __init__(self) -> None:
        self.time: int | None = None

    def add(self, event: Event) -> None:
        """Take an applied event."""
        self.time = event.time if self.time is None else min(self.time, event.time)


class Cart(Ledger):
    """Items, value and products, in order of application."""

    def __init__(self) -> None:
        self.items, self.value = 0.0, 0
        self.products: dict[str, float] = {}
        self.truncated = False

    def add(self, event: Event) -> None:
        """Take an applied event."""
        if event.kind == "order":
            self.items, self.value, self.products, self.truncated = 0.0, 0, {}, False
        if event.kind not in ("cart_add", "cart_remove"):
            return
        sign = 1 if event.kind == "cart_add" else -1
        for line in event.lines:
            self.items = max(0.0, self.items + sign * line.quantity)
            self.value = max(0, self.value + sign * line.value)
            if line.product is not None:
                self.put(line.product, self.products.get(line.product, 0.0) + sign * line.quantity)

    def put(self, product: str, quantity: float) -> None:
        """Set a product's quantity; at most ten products are kept."""
        if quantity <= 0:
            self.products.pop(product, None)
        elif product in self.products or len(self.products) < 10:
            self.products[product] = quantity
        else:
            self.truncated = True


class Recent(Ledger):
    """The last five different products viewed, newest first."""

    def __init__(self) -> None:
        self.products: list[str] = []

    def add(self, event: Event) -> None:
        """Take an applied event."""
        for line in event.lines if event.kind == "view" else ():
            if line.product is not None:
                self.products = [line.product, *(name for name in self.products if name != line.product)][:5]


class Session(Ledger):
    """The current session and the number of sessions."""

    def __init__(self) -> None:
        self.count = self.events = 0
        self.first = self.last = -(10**18)

    def add(self, event: Event) -> None:
        """Take an applied event."""
        if not event.activity:
            return
        if event.time >= self.last + SESSION_MS:
            self.count += 1
            self.first, self.last, self.events = event.time, event.time, 1
        else:
            self.events += 1
            self.last = max(self.last, event.time)

    def over(self, now: int) -> bool:
        """Whether the session has ended."""
        return now >= self.last + SESSION_MS

    def next_change(self, now: int) -> int | None:
        """When the session ends."""
        return None if self.over(now) else self.last + SESSION_MS


class Share(Ledger):
    """How much of the activity was in the evening, or at the weekend."""

    def __init__(self, which: str) -> None:
        self.inside = is_evening if which == "evening" else is_weekend
        self.counted = self.all = 0

    def add(self, event: Event) -> None:
        """Take an applied event."""
        if event.activity:
            self.all += 1
            self.counted += self.inside(event.time, event.local_zone)


class Interest(Ledger):
    """Weights by category, of the eight strongest."""

    def __init__(self) -> None:
        self.given: dict[str, list[tuple[int, int]]] = {}  # category: (time, weight)
        self.latest = 0

    def add(self, event: Event) -> None:
        """Take an applied event."""
        weight = INTEREST_WEIGHTS.get(event.kind)
        if weight is None:
            return
        for category in event.categories:
            self.latest = max(self.latest, event.time) if self.given else event.time
            self.given.setdefault(category, []).append((event.time, weight))
            if len(self.given) > 8:
                del self.given[self.strongest()[-1]]

    def weight(self, category: str) -> float:
        """The category's weight at the latest time."""
        return math.fsum(w * 2.0 ** ((time - self.latest) / HALF_LIFE_MS) for time, w in self.given[category])

    def strongest(self) -> list[str]:
        """The categories, heaviest first, then by name."""
        weights = {category: self.weight(category) for category in self.given}
        return sorted(weights, key=lambda category: (-weights[category], category))

    def share(self, category: str) -> float | None:
        """The category's share; None without any weight."""
        if not self.given:
            return None
        weights = [self.weight(name) for name in self.given]
        return self.weight(category) / math.fsum(weights) if category in self.given else 0.0


class Rating(Ledger):
    """The ratings of reviews."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, event: Event) -> None:
        """Take an applied event."""
        if event.kind == "review" and event.rating is not None:
            self.sum += event.rating
            self.count += 1


KINDS = (*dict.fromkeys(COUNTED.values()), "other")
LASTING = (
    *(f"latest {kind}" for kind in (*KINDS, "activity")), *(f"count {kind} total" for kind in KINDS),
    "amount order total", "amount refund total", "earliest", "cart", "session", "interest", "rating",
    "share evening", "share weekend",
)  # fmt: skip


def ledgers_of(feature: str) -> list[str]:
    """The names of the ledgers that a feature is computed from."""
    measured = {
        "average_order": ["amount order total", "count order total"],
        "refund_rate": ["count refund total", "count order total"],
        "orders_per_month": ["count order total", "earliest"],
        "age": ["earliest"],
        "average_rating": ["rating"],
        "evening_share": ["share evening"],
        "weekend_share": ["share weekend"],
        "interest": ["interest"],
    }
    if feature in measured:
        return measured[feature]
    if feature.startswith("time_since_"):
        return [f"latest {feature.removeprefix('time_since_')}"]
    if feature in ("cart_items", "cart_value"):
        return ["cart"]
    if feature.startswith("session"):
        return ["session"]
    name, _, window = feature.rpartition("_")
    if name in COUNTED:
        return [f"count {COUNTED[name]} {window}"]
    return [f"amount {SUMMED[name]} {window}"] if name in SUMMED else []


def new_ledger(name: str) -> Ledger:
    """An empty ledger by its name."""
    word, *rest = name.split()
    if word in ("count", "amount"):
        kind, window = rest
        return Total(word, kind) if window == "total" else Windowed(word, kind, window)
    makers: dict[str, Any] = {
        "latest": Latest,
        "share": Share,
        "earliest": Earliest,
        "cart": Cart,
        "recent": Recent,
        "session": Session,
        "interest": Interest,
        "rating": Rating,
    }
    made: Ledger = makers[word](*rest)
    return made


class Ledgers(dict[str, Any]):
    """A user's ledgers by name, and the features computed from them (those that need no model)."""

    def keep(self, names: Iterable[str]) -> None:
        """Keep those of the names, start the others empty, forget the rest."""
        kept = {name: self.get(name) or new_ledger(name) for name in names}
        self.clear()
        self.update(kept)

    def feed(self, event: Event) -> None:
        """Apply an event."""
        for ledger in self.values():
            ledger.add(event)

    def next_change(self, now: int) -> int | None:
        """When time alone next changes a window or a session."""
        found = [ledger.next_change(now) for ledger in self.values()]
        return min((instant for instant in found if instant is not None), default=None)

    def born(self, read: Read) -> int | None:
        """The instant from which a time is counted; None where it is not."""
        time: int | None = self[ledgers_of(read.feature)[0]].time
        return time

    def value(self, read: Read, now: int) -> Value:
        """The value of a feature now."""
        feature = read.feature
        if read.is_time:
            born = self.born(read)
            if born is None:
                return None if feature == "age" else math.inf
            return (now - born) / 1000
        parts = [self[name] for name in ledgers_of(feature)]
        if feature == "interest":
            share: float | None = parts[0].share(read.argument)
            return share
        if feature in ("cart_items", "cart_value"):
            return float(parts[0].items) if feature == "cart_items" else parts[0].value / 100
        if feature.startswith("session"):
            return self.session(feature, now)
        if feature in ("average_rating", "evening_share", "weekend_share"):
            above, below = (
                (parts[0].sum, parts[0].count) if feature == "average_rating" else (parts[0].counted, parts[0].all)
            )
            return above / below if below else None
        if feature in ("average_order", "refund_rate"):
            above, below = parts[0].total(now), parts[1].total(now)
            above = above / 100 if feature == "average_order" else above
            return above / below if below else None
        if feature == "orders_per_month":
            born = parts[1].time
            return None if born is None else parts[0].total(now) / max((now - born) / (30 * DAY_MS), 1.0)
        total = parts[0].total(now)
        return total / 100 if parts[0].measure == "amount" else float(total)

    def session(self, feature: str, now: int) -> float:
        """`sessions_total`, `session_events` or `session_seconds`."""
        session: Session = self["session"]
        if feature == "sessions_total":
            return float(session.count)
        if session.over(now):
            return 0.0
        return float(session.events) if feature == "session_events" else (session.last - session.first) / 1000
