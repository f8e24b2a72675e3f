"""Alerts and their runbook against the real fault: the alert fires, what the runbook says is done, and it is over.

The rules are the shipped ones in a hurry (a minute is a second); processes, broker and Prometheus are real.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.kafka.learning import feed, samples
from tests.kafka.working import RUNS, got, wait_until
from tests.support.hurried_rules import hurried
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, Event
from tests.support.kafka.worker_process import Process
from tests.support.kafka.worker_trouble import BREAKS_THE_ENGINE
from tests.support.prometheus import Prometheus, free_port
from tests.support.receiver import OK, Answer, Receiver
from tests.support.shop_under_watch import SECRET, watched
from worker.core.effects import iso

pytestmark = pytest.mark.faults
DEFINITIONS: dict[str, Any] = {
    "version": 1,
    "segments": [
        {"id": "waiting", "enter": "cart_items > 0 and time_since_cart_add >= 1s"},
        {"id": "buyer", "enter": "orders_total > 0"},
    ],
    "campaigns": [{"id": "nudge", "trigger": {"entered": "buyer"}, "channel": "email"}],
}
CONSENTS = {"type": "identify", "traits": {"consent": {"email": True}}}


def event(number: int, **members: Any) -> Event:
    """A cart of now, of a user of its own."""
    user = f"u-{number}"
    usual = {
        "messageId": f"m-{random.getrandbits(60)}", "userId": user, "timestamp": iso(time.time_ns() // 1_000_000),
        "type": "track", "event": "Product Added", "properties": {"product_id": "p", "price": 10, "quantity": 1},
    }  # fmt: skip
    return user.encode(), msgspec.json.encode({**usual, **members})


class World:
    """A deployment with a Prometheus that watches it, whose workers keep their ports when they are started again."""

    def __init__(self, prometheus: Prometheus, shop: Deployment) -> None:
        self.prometheus, self.shop = prometheus, shop
        self._ports: dict[tuple[str, str], int] = {}

    def start(self, name: str = "worker", role: str = "worker", **options: Any) -> Process:
        """Start a process, and scrape it."""
        port = self._ports.setdefault((role, name), free_port())
        self.prometheus.scrape([(f"shoal-{role}", "shop", port) for (role, _), port in self._ports.items()])
        return self.shop.start_worker(name, role=role, http_port=port, **options)

    def fires(self, alert: str) -> None:
        """Wait until an alert fires. Raises AssertionError."""
        wait_until(lambda: alert in self.prometheus.firing(), f"{alert} doesn't fire")

    def is_over(self, alert: str) -> None:
        """Wait until it doesn't any more. Raises AssertionError."""
        wait_until(lambda: alert not in self.prometheus.firing(), f"{alert} goes on")

    @contextlib.contextmanager
    def fed(self, make: Callable[[int], Event] = event, per_second: int = 20) -> Iterator[None]:
        """Write events of now for as long as it lasts."""
        enough, numbers = threading.Event(), iter(range(10**6))

        def feed() -> None:
            while not enough.wait(0.5):
                self.shop.feed([make(next(numbers) % 200) for _ in range(per_second // 2)])

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()


@pytest.fixture
def world(broker: Broker, prefix: str) -> Iterator[World]:
    """Nothing runs yet."""
    with (
        Prometheus(hurried()) as prometheus,
        Deployment(broker, prefix, definitions=DEFINITIONS, clock="wall", grace_ms=200) as shop,
    ):
        yield World(prometheus, shop)


def wait_seconds(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)


def test_all_is_quiet_while_all_is_well(world: World) -> None:
    """Two minutes of a shop (in a hurry), with timers and messages: nothing fires."""
    world.start()
    with world.fed():
        wait_seconds(30)
        assert world.prometheus.firing() == set()


def test_no_input(world: World) -> None:
    """Whoever writes stops: ShoalNoInput; and writes again: it is over."""
    world.start()
    with world.fed():
        wait_seconds(60)
    world.fires("ShoalNoInput")
    with world.fed():
        world.is_over("ShoalNoInput")


def test_no_worker(world: World) -> None:
    """The one there is dies: ShoalNoWorker and ShoalTargetDown; it is started again."""
    worker = world.start()
    worker.wait_for(RUNS, count=2)
    wait_until(lambda: world.prometheus.query('up{job="shoal-worker"} == 1') != [], "it isn't scraped")
    worker.kill()
    world.fires("ShoalNoWorker")
    world.fires("ShoalTargetDown")
    world.start()
    world.is_over("ShoalNoWorker")
    world.is_over("ShoalTargetDown")


def test_partitions_unattended(world: World) -> None:
    """One of two workers dies and the group waits for it: ShoalPartitionsUnattended, until the other takes over."""
    patient: dict[str, Any] = {"session_timeout_ms": 40_000, "rebalance_timeout_ms": 40_000}
    first, second = world.start("first", **patient), world.start("second", **patient)
    first.wait_for(RUNS)
    second.wait_for(RUNS)
    running = 'sum(shoal_partitions{state="running"})'
    wait_until(lambda: world.prometheus.number(running) == 2, "not both run")
    second.kill()
    world.fires("ShoalPartitionsUnattended")
    world.start("second", **patient)  # what the runbook says: start what is missing
    world.is_over("ShoalPartitionsUnattended")


def test_a_partition_stopped(world: World) -> None:
    """Retention took records unread: ShoalPartitionStopped, with the sentence at /ready; what it says to do helps."""
    worker = world.start()
    world.shop.feed([event(number) for number in range(50)])
    world.shop.wait_until_read()
    assert worker.stop() == 0
    begin = world.shop.end_of_input(0)
    world.shop.feed([event(number) for number in range(200)])
    meddling.delete_records(world.shop, "events", {0: begin + 10})
    worker = world.start()
    world.fires("ShoalPartitionStopped")
    assert "SHOAL_ACCEPT_LOST_RECORDS=true" in got(worker.http_port, "/ready")[1]
    assert worker.stop() == 0
    world.start(accept_lost_records="true")
    world.is_over("ShoalPartitionStopped")


def test_lag_grows(world: World) -> None:
    """A worker that takes one record at a time, twice a second: ShoalLagGrowing; one that takes more catches up."""
    slow = world.start(batch_records_max=1, commit_interval_ms=400)
    with world.fed(per_second=20):
        world.fires("ShoalLagGrowing")
        assert slow.stop() == 0
        world.start()
        world.is_over("ShoalLagGrowing")


def test_timers_are_late(world: World) -> None:
    """A host that halts the worker again and again: ShoalTimersLate; left alone, it is in time again."""
    worker, patience = world.start(session_timeout_ms=30_000, rebalance_timeout_ms=30_000), 0
    worker.wait_for(RUNS, count=2)
    with world.fed(lambda number: event(random.randrange(10**9) + number)):
        while "ShoalTimersLate" not in world.prometheus.firing():
            worker.freeze()
            wait_seconds(4)
            worker.thaw()
            wait_seconds(1.5)
            patience += 1
            assert patience < 20
        world.is_over("ShoalTimersLate")


def test_dead_letters_and_repairs(world: World) -> None:
    """A flood of what nobody understands, and of currencies that nobody declared: both alerts; the sender is mended."""
    world.start()

    def broken(number: int) -> Event:
        user, payload = event(number)
        return (user, payload[:-9]) if number % 4 == 0 else foreign(number)

    def foreign(number: int) -> Event:
        return event(number, event="Order Completed", properties={"total": 5, "currency": "XAU"})

    with world.fed(broken):
        world.fires("ShoalDeadLetterRate")
        world.fires("ShoalRepairRate")
    with world.fed():
        world.is_over("ShoalDeadLetterRate")
        world.is_over("ShoalRepairRate")


def test_the_engine_fails_over_a_record(world: World) -> None:
    """ShoalEngineErrors, and the rest goes on; an hour later it is over."""
    world.start(without=["marked_records"])
    user, payload = event(7)
    guilty = user, payload[:-1] + b', "context": "' + BREAKS_THE_ENGINE + b'"}'
    world.shop.feed([*(event(number) for number in range(20)), guilty])
    world.fires("ShoalEngineErrors")
    world.is_over("ShoalEngineErrors")


def test_a_restart_loop(world: World) -> None:
    """A worker that is killed as soon as it runs: ShoalRestartLoop; left alone it is over."""
    for _ in range(30):
        worker = world.start()
        worker.wait_for(RUNS)
        wait_seconds(1)
        if "ShoalRestartLoop" in world.prometheus.firing():
            break
        worker.kill()
    world.fires("ShoalRestartLoop")
    world.is_over("ShoalRestartLoop")


def test_fencing_to_and_fro(world: World) -> None:
    """Two workers of one name: ShoalFencingPingPong; one is stopped, and it is over."""
    first = world.start("twin")
    first.wait_for(RUNS)
    with world.fed(per_second=100):
        second = world.shop.start_worker("twin")
        world.fires("ShoalFencingPingPong")
        assert second.said("The partition is fenced over and over") or first.said("The partition is fenced")
        assert second.stop() == 0
        world.is_over("ShoalFencingPingPong")


def test_an_audience_leaps_and_a_campaign_goes_off(world: World) -> None:
    """Hundreds buy at once where a few did: ShoalAudienceSizeJump and ShoalTriggerRateUnusual; both end."""
    world.start()
    numbers = iter(range(10**6))

    def buys(_: int) -> Event:
        return event(next(numbers), event="Order Completed", properties={"total": 5})

    world.shop.feed([event(number, **CONSENTS) for number in range(2_000)])
    with world.fed(buys, per_second=2):
        wait_seconds(150)
        assert world.prometheus.firing() == set()
        world.shop.feed([buys(0) for _ in range(800)])
        world.fires("ShoalAudienceSizeJump")
        world.fires("ShoalTriggerRateUnusual")
        world.is_over("ShoalAudienceSizeJump")
        world.is_over("ShoalTriggerRateUnusual")


def test_a_model_is_refused(world: World) -> None:
    """Something else writes to `models`: ShoalModelsRefused; an hour after the last it is over."""
    world.start().wait_for(RUNS)
    wait_until(lambda: world.prometheus.query("shoal_models_refused_total") != [], "it isn't scraped")
    meddling.write(world.shop, "models", 0, [(b"1", b"{}")])
    world.fires("ShoalModelsRefused")
    world.is_over("ShoalModelsRefused")


def test_records_are_not_accounted_for(world: World) -> None:
    """A release that counts wrong: ShoalConservationBroken; started again with one that doesn't, it is over."""
    worker = world.start(without=["miscount"])
    with world.fed():
        world.fires("ShoalConservationBroken")
        assert worker.stop() == 0
        world.start()
        world.is_over("ShoalConservationBroken")


def test_definitions_differ(world: World) -> None:
    """A worker that takes users one by one: ShoalDefinitionsDiffer; with SHOAL_SLICE_USERS_MAX as usual it follows."""
    first, second = world.start("first"), world.start("second", slice_users_max=1)
    first.wait_for(RUNS)
    second.wait_for(RUNS)
    world.shop.feed([event(number, **CONSENTS) for number in range(6_000)])
    wait_until(lambda: world.prometheus.number("sum(shoal_state_users)") == 6_000, "they aren't read")
    for version in (2, 3):
        world.shop.publish({**DEFINITIONS, "version": version})
        wait_until(lambda: world.prometheus.number("max(shoal_definitions_version)") == version, "it isn't in force")  # noqa: B023
    world.fires("ShoalDefinitionsDiffer")
    assert second.stop() == 0
    world.start("second")
    world.is_over("ShoalDefinitionsDiffer")


def test_a_trainer_stops(world: World) -> None:
    """Its topic takes less than it writes: ShoalTrainerNotLearning, with the sentence at /ready; mended, it learns."""
    definitions = {**DEFINITIONS, "targets": [{"id": "buy", "positive": "order", "horizon": "7d"}], "version": 2}
    world.shop.publish(definitions)
    meddling.configure(world.shop, "learner-state", max_message_bytes="200")
    trainer = world.start("trainer", "trainer", trainer_commit_interval_ms=100, trainer_publish_interval_ms=100)
    feed(world.shop, samples(1, 300))
    world.fires("ShoalTrainerNotLearning")
    assert "takes less at once" in got(trainer.http_port, "/ready")[1]
    meddling.configure(world.shop, "learner-state", max_message_bytes="2000000")
    assert trainer.stop() == 0
    world.start("trainer", "trainer")
    world.is_over("ShoalTrainerNotLearning")


def test_an_endpoint_is_down_and_then_refuses(world: World) -> None:
    """503 for long: ShoalSinkBehind, until it answers; 400: ShoalSinkDeadLetters, which ends by itself."""
    with Receiver(lambda _: Answer(503)) as receiver:
        world.start()
        world.start("sinks", "sinks", webhook_url=receiver.url, webhook_secret=SECRET)
        numbers = iter(range(10**6))

        def buys() -> Event:
            return event(next(numbers), event="Order Completed", properties={"total": 5})

        world.shop.feed([event(number, **CONSENTS) for number in range(50)])
        world.shop.feed([buys() for _ in range(20)])
        world.fires("ShoalSinkBehind")
        receiver.says = lambda _: OK
        world.is_over("ShoalSinkBehind")
        receiver.says = lambda _: Answer(400)
        world.shop.feed([buys() for _ in range(20)])
        world.fires("ShoalSinkDeadLetters")
        receiver.says = lambda _: OK
        world.is_over("ShoalSinkDeadLetters")


def test_a_drift_is_told(broker: Broker) -> None:
    """Shoppers who buy less from one day on: ShoalDrift, over what they put into carts; an hour later it is over."""
    with watched(broker, "drifting.", hurried()) as shop:
        told = 'ALERTS{alertname="ShoalDrift", alertstate="firing", name="cart_adds_7d"}'
        wait_until(lambda: shop.prometheus.query(told) != [], "ShoalDrift doesn't fire")
        wait_until(lambda: shop.prometheus.query(told) == [], "ShoalDrift goes on")
