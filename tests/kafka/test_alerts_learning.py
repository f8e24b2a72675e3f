"""Alerts about the learning, against the real fault: it fires, what the runbook says is done, and it is over."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.kafka.learning import feed, samples
from tests.kafka.working import RUNS, got, wait_until
from tests.support.habits import HABITS, day_of
from tests.support.hurried_rules import hurried
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.shop_under_watch import watched
from tests.support.watched_world import DEFINITIONS, World, world_on

pytestmark = pytest.mark.faults
EAGER: dict[str, Any] = {"trainer_commit_interval_ms": 200, "trainer_publish_interval_ms": 200}


def test_a_model_is_refused(world: World) -> None:
    """Something else writes to `models`: ShoalModelsRefused; an hour after the last it is over."""
    world.start().wait_for(RUNS)
    wait_until(lambda: world.prometheus.query("shoal_models_refused_total") != [], "it isn't scraped")
    meddling.write(world.shop, "models", 0, [(b"1", b"{}")])
    world.fires("ShoalModelsRefused")
    world.is_over("ShoalModelsRefused")


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


def test_a_drift_is_told(broker: Broker) -> None:
    """Shoppers who buy less from one day on: ShoalDrift, over what they put into carts; an hour later it is over."""
    with watched(broker, "drifting.", hurried()) as shop:
        told = 'ALERTS{alertname="ShoalDrift", alertstate="firing", name="cart_adds_7d"}'
        wait_until(lambda: shop.prometheus.query(told) != [], "ShoalDrift doesn't fire")
        wait_until(lambda: shop.prometheus.query(told) == [], "ShoalDrift goes on")


@pytest.fixture
def regulars(broker: Broker, prefix: str) -> Iterator[World]:
    """A shop of plain habits by the event clock, after two weeks: a model is in force, and somebody likely to buy."""
    with world_on(broker, prefix, definitions=HABITS, clock="event") as world:
        world.start()
        world.start("trainer", "trainer", **EAGER)
        pass_days(world, range(14))
        world.shows('shoal_champion_changes_total{change="promoted"} > 0')
        world.shows("min(shoal_model_version) > 0")
        pass_days(world, range(14, 16))
        world.shows('sum(shoal_members{segment="likely"}) > 0')
        yield world


def pass_days(world: World, days: Iterable[int], *, turned: bool = False) -> None:
    """Let days pass, and be learnt from."""
    world.shop.feed([event for day in days for event in day_of(day, turned=turned)])
    world.shop.wait_until_read()
    wait_until(lambda: world.prometheus.number("max(shoal_learner_lag_records)") == 0, "they aren't learnt from")


def test_models_are_frozen_and_forgotten(regulars: World) -> None:
    """Ten days without a new one: ShoalModelStale; released, the trainer says what it has learnt meanwhile."""
    regulars.shoal("models", "freeze")
    regulars.shows("shoal_models_frozen == 1")
    pass_days(regulars, range(16, 26))
    regulars.fires("ShoalModelStale")
    regulars.shoal("models", "freeze", "--release")
    regulars.is_over("ShoalModelStale")


def test_the_habits_turn_over(regulars: World) -> None:
    """What was learnt is worse than the plain rate: ShoalChampionRolledBack; nobody new is likely; it ends in an hour.

    The segment keeps whom it had: a probability that is unknown changes nothing.
    """
    pass_days(regulars, range(16, 21), turned=True)
    regulars.fires("ShoalChampionRolledBack", target="buy")
    regulars.shows('shoal_champion{target="buy", model="prior"} == 1')
    regulars.shows('shoal_champion_changes_total{change="rolled_back"} == 1')
    wait_until(lambda: "no probability yet" in regulars.shoal("models", "list").splitlines()[-1], "it isn't published")
    regulars.shows("min(shoal_model_version) == on () max(shoal_models_published_total)")
    entered = 'sum(shoal_transitions_total{segment="likely", direction="entered"})'
    members, before = (regulars.prometheus.number(asked) for asked in ("sum(shoal_members)", entered))
    pass_days(regulars, [21], turned=True)
    assert regulars.prometheus.number(entered) == before
    assert regulars.prometheus.number("sum(shoal_members)") == members
    regulars.is_over("ShoalChampionRolledBack")
