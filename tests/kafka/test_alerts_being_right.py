"""Alerts that something is wrong, against the real fault: it fires, what the runbook says is done, and it is over."""

import json
import re
from pathlib import Path

import pytest

from tests.kafka.working import RUNS, wait_until
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, Event
from tests.support.kafka.tampering import move_entry
from tests.support.kafka.worker_trouble import BREAKS_THE_ENGINE
from tests.support.textfile_collector import TextfileCollector
from tests.support.watched_world import CONSENTS, DEFINITIONS, World, event, order

pytestmark = pytest.mark.faults


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
    """ShoalEngineErrors, and the rest goes on; a release that mends it takes the record, and in an hour it is over."""
    worker = world.start(without=["marked_records"])
    guilty = event(77, properties={"product_id": "p", "price": 10, "note": BREAKS_THE_ENGINE.decode()})
    world.shop.feed([*(event(number) for number in range(20)), guilty])
    world.fires("ShoalEngineErrors")
    (told,) = [line for line in worker.said("The partition starts again.") if line["cause"] == "engine"][-1:]
    assert "ZeroDivisionError" in told["traceback"]
    assert worker.stop() == 0
    world.start()
    world.shows("sum(shoal_state_users) == 20")
    assert "1 records went back" in world.shoal("dead-letters", "redrive", "--reason", "engine_error")
    world.shows("sum(shoal_state_users) == 21")
    world.is_over("ShoalEngineErrors")


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


def test_a_user_is_other_than_the_log_says(world: World, broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Somebody writes to the state: ShoalVerifyDifferent; more users, who may write there, and all begun anew."""
    metrics, out = tmp_path / "metrics" / "shoal.prom", tmp_path / "out.jsonl"
    metrics.parent.mkdir()
    buyers = [order(number) for number in range(200)]
    worker = world.start()
    world.shop.feed(buyers)
    world.shop.wait_until_read()
    assert worker.stop() == 0
    move_entry(world.shop, "u-7", "buyer")
    world.start()
    check = ("verify", "--metrics", metrics, "--out", out)
    with TextfileCollector(metrics.parent) as collector:
        world.watch("node", collector.port)
        world.shoal(*check, "--users", "400", status=1)
        world.fires("ShoalVerifyDifferent")
        (line,) = map(json.loads, out.read_text().splitlines())
        assert line["user_id"] == "u-7"
        assert "segments" in {found["what"] for found in line["differences"]}
        assert "199 are the same, 1 differ" in world.shoal(*check, "--users", "1000", status=1)
        should = world.shoal("topics", "acls", "--worker-principal", "User:w")
        assert re.search(rf"User:w .*--operation Write .*--topic {re.escape(prefix)}state", should)
        world.shoal("campaigns", "pause", "nudge")
        with begun_anew(world, broker, prefix) as anew:
            world.start("anew", shop=anew)
            anew.wait_until_read()
            assert "200 are the same, 0 differ" in world.shoal(*check, "--users", "1000", shop=anew)
            world.is_over("ShoalVerifyDifferent")


def begun_anew(world: World, broker: Broker, prefix: str) -> Deployment:
    """Return a deployment that reads the same input under another prefix, as docs/operating.md has it."""
    shop = world.shop
    return Deployment(broker, f"{prefix}anew.", definitions=DEFINITIONS, clock="wall", grace_ms=shop.settings.grace_ms,
                      input_topic=shop.settings.events_topic)  # fmt: skip


def test_the_job_that_verifies_ends(world: World, tmp_path: Path) -> None:
    """It ran once and never again: ShoalVerifyOverdue, until it runs; again, until its file is taken away."""
    metrics = tmp_path / "shoal.prom"
    worker = world.start()
    world.shop.feed([order(number) for number in range(20)])
    world.shop.wait_until_read()
    assert worker.stop() == 0
    with TextfileCollector(tmp_path) as collector:
        world.watch("node", collector.port)
        for mend in (lambda: world.shoal("verify", "--metrics", metrics), metrics.unlink):
            world.shoal("verify", "--metrics", metrics)
            world.fires("ShoalVerifyOverdue")
            mend()
            world.is_over("ShoalVerifyOverdue")
