"""Shoppers whose habits are plain: who looks much orders the next day, who looks little doesn't; until it turns over.

The rule: by the event clock, a day after the other, and the same seed gives the same events.
"""

import random
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tests.support.kafka.deployment import Event
from worker.core.effects import iso

__all__ = ["DAY_MS", "HABITS", "day_of"]

USERS: Final = 240
BEGAN_MS: Final = 1_767_225_600_000  # 2026-01-01
DAY_MS, MINUTE_MS = 86_400_000, 60_000
HABITS: Final[dict[str, Any]] = {
    "version": 1,
    "segments": [{"id": "likely", "enter": 'probability("buy") >= 0.5'}],
    "targets": [{"id": "buy", "positive": "order", "horizon": "1d"}],
}


def day_of(day: int, *, turned: bool = False) -> Iterator[Event]:
    """Yield a day's events, in order of time; `turned`: it is those who look little who buy."""
    rng = random.Random(day)
    for number in range(USERS):
        looks_much = number % 2 == 0
        at_ms = BEGAN_MS + day * DAY_MS + number * 5 * MINUTE_MS
        if rng.random() < (0.6 if looks_much != turned else 0.03):
            yield _event(number, at_ms, event="Order Completed", properties={"total": 20})
        for view in range(5 if looks_much else 1):
            yield _event(number, at_ms + (1 + view) * 10_000, event="Product Viewed", properties={"product_id": "p"})


def _event(number: int, at_ms: int, **members: Any) -> Event:
    user = f"u-{number}"
    usual = {"type": "track", "messageId": f"{user}-{at_ms}", "userId": user, "timestamp": iso(at_ms)}
    return user.encode(), msgspec.json.encode({**usual, **members})
