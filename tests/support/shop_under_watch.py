"""A deployment that is watched as one in production is: simulated shoppers and their incidents, a worker, a trainer, a
Prometheus that scrapes them; and beside it a small deployment that follows the wall.

What the dashboards' test asks of it is what the documentation's pictures are drawn from.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from deploy.alerts import rules
from tests.kafka.working import wait_until
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, run
from tests.support.kafka.worker_process import Process
from tests.support.prometheus import Prometheus
from tests.support.receiver import Receiver
from worker.core.effects import iso
from worker.files.configuration import SHIPPED_DEFINITIONS
from worker.kafka import writing
from worker.kafka.writing import Written
from worker.simulate.shop import DAY_MS, Incident, Settings
from worker.simulate.stream import Simulation

__all__ = ["SECRET", "Watched", "watched"]

DAYS, USERS = 50, 350
INCIDENTS = ("spike@18", "outage@22", "backlog@24", "drift@30")
SETTLE_SECONDS = 5  # so that every rate has seen the end
LARGER = {"holdout: 0.3 ": "holdout: 0.5 ", "{plain: 0.5, discount: {share: 0.5": "{plain: 0.9, discount: {share: 0.1"}
SECRET = "whsec_" + 43 * "A" + "="
LIVE: dict[str, Any] = {
    "version": 1,
    "segments": [{"id": "waiting", "enter": "cart_items > 0 and time_since_cart_add >= 1s"}],
    "campaigns": [{"id": "nudge", "trigger": {"entered": "waiting"}, "channel": "email", "holdout": 0.1}],
}


@dataclass
class Watched:
    """What there is to ask."""

    prometheus: Prometheus
    processes: list[Process]
    shop: Deployment
    live: Deployment


@contextlib.contextmanager
def watched(broker: Broker, prefix: str, rules_text: str | None = None) -> Iterator[Watched]:
    """Have it run for the length of a `with`, under these rules; it has seen everything when it is given."""
    text = _for_few_users(SHIPPED_DEFINITIONS.read_text(encoding="utf-8"))
    quick: dict[str, Any] = {"trainer_commit_interval_ms": 200, "trainer_publish_interval_ms": 1_000}
    with (
        Prometheus(rules_text or rules().replace("interval: 1m", "interval: 1s")) as prometheus,
        Receiver() as receiver,
        Deployment(broker, f"{prefix}shop.", definitions=text) as shop,
        Deployment(broker, f"{prefix}live.", partitions=1, definitions=LIVE, clock="wall", grace_ms=200) as live,
    ):
        worker, trainer = shop.start_worker("worker"), shop.start_worker("trainer", role="trainer", **quick)
        second = live.start_worker("live")
        sinks = live.start_worker("sinks", role="sinks", webhook_url=receiver.url, webhook_secret=SECRET)
        lift = shop.start_worker("lift", role="lift", lift_commit_interval_ms=200, lift_publish_interval_ms=500)
        prometheus.scrape([
            ("shoal-worker", "shop", worker.http_port), ("shoal-trainer", "shop", trainer.http_port),
            ("shoal-lift", "shop", lift.http_port),
            ("shoal-worker", "live", second.http_port), ("shoal-sinks", "live", sinks.http_port),
        ])  # fmt: skip
        wait_until(lambda: len(prometheus.query("up == 1")) == 5, "not everything is scraped")
        _live_through(shop, live, prometheus)
        yield Watched(prometheus, [worker, trainer, lift, sinks], shop, live)


def _for_few_users(text: str) -> str:
    """Return the demo's definitions with arms of campaigns that even so few users fill, as lift needs."""
    for usual, larger in LARGER.items():
        assert usual in text
        text = text.replace(usual, larger)
    return text


def _live_through(shop: Deployment, live: Deployment, prometheus: Prometheus) -> None:
    """Let days pass, faster than a trainer learns, so that it is waited for; then let it all be scraped."""
    simulation = Simulation(Settings(users=USERS, days=DAYS, incidents=tuple(map(Incident.parse, INCIDENTS))))
    written, told = 0, 0
    for day, records in enumerate(_days(simulation)):
        written += run(_write(shop, records))
        feed_live(live, day)
        if day % 10 == 9:
            _wait_for_the_learning(prometheus, written)
            triggers = [msgspec.json.decode(record.value) for record in shop.read("campaign-triggers")]
            simulation.react(triggers[told:])
            told = len(triggers)
    for second in range(SETTLE_SECONDS):
        feed_live(live, DAYS + 1 + second)
        time.sleep(1)


def _days(simulation: Simulation) -> Iterator[list[Written]]:
    """Yield what reaches the topic, day by day."""
    records: list[Written] = []
    ends_ms = simulation.settings.start_ms + DAY_MS
    for batch in simulation.batches():
        records += map(Written, simulation.keys(batch), batch.payloads)
        if batch.until_ms >= ends_ms:
            yield records
            records, ends_ms = [], ends_ms + DAY_MS
    yield records


def feed_live(live: Deployment, number: int) -> None:
    """Write a few carts, of now."""
    now = iso(time.time_ns() // 1_000_000)
    for user in (f"u-{number}-{count}" for count in range(5)):
        usual = {"userId": user, "timestamp": now}
        events = [
            {"messageId": f"i-{user}", "type": "identify", "traits": {"consent": {"email": True}}},
            {"messageId": f"c-{user}", "type": "track", "event": "Product Added",
             "properties": {"product_id": "p-1", "price": 10, "quantity": 1}},
        ]  # fmt: skip
        live.feed([(user.encode(), msgspec.json.encode({**usual, **event})) for event in events])


async def _write(shop: Deployment, records: list[Written]) -> int:
    async with writing.started(shop.settings) as producing:
        return await writing.write(producing, shop.settings.events_topic, shop.partitions, records)


def _wait_for_the_learning(prometheus: Prometheus, written: int) -> None:
    """Wait until everything is read, and learnt from, and the model that came of it is in force."""
    read, unlearnt = (
        "sum(shoal_records_read_total{deployment='shop'})",
        "sum(shoal_learner_lag_records) + sum(shoal_lift_lag_records)",
    )
    wait_until(lambda: prometheus.number(read) == written, "the shop isn't read")
    wait_until(lambda: prometheus.number(unlearnt) == 0, "its samples aren't learnt from")
    behind = "max(shoal_models_published_total) - min(shoal_model_version{deployment='shop'})"
    wait_until(lambda: prometheus.number(behind) == 0, "the model isn't in force")
