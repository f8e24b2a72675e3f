"""A deployment that can be harmed while a Prometheus watches it, under the shipped rules in a hurry.

The rule: processes, broker and Prometheus are real, and what the runbook says is done with the commands it names.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.kafka.secured import shoal
from tests.kafka.working import wait_until
from tests.support.hurried_rules import hurried
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, Event
from tests.support.kafka.worker_process import Process
from tests.support.prometheus import Prometheus, free_port
from worker.core.effects import iso

__all__ = ["CONSENTS", "DEFINITIONS", "World", "event", "order", "repeated", "wait_seconds", "world_on"]

DEFINITIONS: dict[str, Any] = {
    "version": 1,
    "segments": [
        {"id": "waiting", "enter": "cart_items > 0 and time_since_cart_add >= 1s"},
        {"id": "buyer", "enter": "orders_total > 0"},
    ],
    "campaigns": [{"id": "nudge", "trigger": {"entered": "buyer"}, "channel": "email"}],
}
CONSENTS = {"type": "identify", "traits": {"consent": {"email": True}}}


def event(number: int | str, **members: Any) -> Event:
    """A cart of now, of a user of its own."""
    user = f"u-{number}"
    usual = {
        "messageId": f"m-{random.getrandbits(60)}", "userId": user, "timestamp": iso(time.time_ns() // 1_000_000),
        "type": "track", "event": "Product Added", "properties": {"product_id": "p", "price": 10, "quantity": 1},
    }  # fmt: skip
    return user.encode(), msgspec.json.encode({**usual, **members})


def order(number: int | str) -> Event:
    """An order of now."""
    return event(number, event="Order Completed", properties={"total": 5})


class World:
    """A deployment with a Prometheus that watches it, whose workers keep their ports when they are started again."""

    def __init__(self, prometheus: Prometheus, shop: Deployment) -> None:
        self.prometheus, self.shop = prometheus, shop
        self._ports: dict[tuple[str, str], int] = {}

    def start(self, name: str = "worker", role: str = "worker", shop: Deployment | None = None,
              **options: Any) -> Process:  # fmt: skip
        """Start a process of the deployment, or of another one under its name, and scrape it."""
        port = self._ports.setdefault((f"shoal-{role}", name), free_port())
        self._scrape()
        return (shop or self.shop).start_worker(name, role=role, http_port=port, **options)

    def watch(self, job: str, port: int) -> None:
        """Scrape something else too."""
        self._ports[job, job] = port
        self._scrape()

    def _scrape(self) -> None:
        self.prometheus.scrape([(job, "shop", port) for (job, _), port in self._ports.items()])

    def shoal(self, *arguments: str | Path, status: int = 0, shop: Deployment | None = None) -> str:
        """Run a command against the deployment, or another one, and return what it says."""
        given = {name: str(value) for name, value in (shop or self.shop).given.items()}
        return shoal(given, *arguments, status=status).stdout

    # What Prometheus says of it.

    def shows(self, expression: str) -> None:
        """Wait until an expression has a series. Raises AssertionError."""
        wait_until(lambda: self.prometheus.query(expression) != [], f"never so: {expression}")

    def firing(self, alert: str, **labels: str) -> bool:
        """Whether an alert fires, with these labels."""
        told = {"alertname": alert, "alertstate": "firing", **labels}
        matched = ", ".join(f'{name}="{value}"' for name, value in told.items())
        return bool(self.prometheus.query(f"ALERTS{{{matched}}}"))

    def fires(self, alert: str, **labels: str) -> None:
        """Wait until an alert fires. Raises AssertionError."""
        wait_until(lambda: self.firing(alert, **labels), f"{alert} doesn't fire")

    def is_over(self, alert: str) -> None:
        """Wait until it doesn't any more. Raises AssertionError."""
        wait_until(lambda: not self.firing(alert), f"{alert} goes on")

    # What shoppers do meanwhile.

    @contextlib.contextmanager
    def fed(self, make: Callable[[int], Event] = event, per_second: int = 20) -> Iterator[None]:
        """Write events of now for as long as it lasts."""
        numbers = iter(range(10**6))
        with repeated(lambda: self.shop.feed([make(next(numbers) % 200) for _ in range(per_second // 2)])):
            yield


@contextlib.contextmanager
def repeated(work: Callable[[], object]) -> Iterator[None]:
    """Do something every half second, in a thread of its own, for as long as a `with` lasts."""
    enough = threading.Event()

    def working() -> None:
        while not enough.wait(0.5):
            work()

    thread = threading.Thread(target=working)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@contextlib.contextmanager
def world_on(broker: Broker, prefix: str, **options: Any) -> Iterator[World]:
    """Have one for the length of a `with`, by the wall's clock unless told otherwise. Nothing runs yet."""
    usual: dict[str, Any] = {"definitions": DEFINITIONS, "clock": "wall", "grace_ms": 200}
    with Prometheus(hurried()) as prometheus, Deployment(broker, prefix, **{**usual, **options}) as shop:
        yield World(prometheus, shop)


def wait_seconds(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)
