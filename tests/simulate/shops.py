"""Shops simulated for tests: the payloads, their arrivals, the good events among them, and the truth."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.simulate.shop import Settings
from worker.simulate.stream import Batch, Simulation
from worker.simulate.truth import type_of

__all__ = ["Event", "Shop", "order_counts", "run", "time_ms", "user_id"]

Event = dict[str, Any]


@dataclass(frozen=True)
class Shop:
    """A simulation that has run. `events` are the true events, neither doubled nor malformed, in order of arrival."""

    payloads: list[bytes]
    arrivals_ms: list[int]
    keys: list[bytes]
    events: list[Event]
    truth: dict[str, Any]

    def per_user(self, name: str, event: str) -> float:
        """How many events of this name users of a type sent, per user of the type."""
        count = sum(one.get("event") == event and type_of(self.truth, user_id(one)) == name for one in self.events)
        return float(count / self.truth["user_types"]["counts"][name])


def run(react: Callable[[Simulation, Batch], None] | None = None, **options: Any) -> Shop:
    """Runs a shop of these settings, calling `react` after each batch."""
    simulation = Simulation(Settings(**options))
    payloads, arrivals_ms, keys = [], [], []
    for batch in simulation.batches():
        payloads += batch.payloads
        arrivals_ms += batch.arrivals_ms
        keys += simulation.keys(batch)
        if react is not None:
            react(simulation, batch)
    truth = json.loads(json.dumps(simulation.truth()))
    return Shop(payloads, arrivals_ms, keys, _true_events(payloads), truth)


def user_id(event: Event) -> str:
    """The id under which the worker knows the event's user."""
    return event.get("userId") or f"anon:{event['anonymousId']}"


def time_ms(event: Event) -> int:
    """When the event happened."""
    return round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)


def order_counts(shop: Shop) -> Counter[str]:
    """Orders by user."""
    return Counter(user_id(event) for event in shop.events if event.get("event") == "Order Completed")


def _true_events(payloads: list[bytes]) -> list[Event]:
    """By the first appearance of each message id; a broken record always follows the good one it was made from."""
    seen: set[str] = set()
    orders: set[tuple[str, str]] = set()
    events = []
    for payload in payloads:
        event = _good(payload)
        if event is None or event["messageId"] in seen:
            continue
        seen.add(event["messageId"])
        order = (event.get("event", ""), event.get("properties", {}).get("order_id", event["messageId"]))
        if order not in orders or order[0] in ("Complaint Filed", "Support Ticket Created"):
            events.append(event)
        orders.add(order)
    return events


def _good(payload: bytes) -> Event | None:
    try:
        event = json.loads(payload)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
