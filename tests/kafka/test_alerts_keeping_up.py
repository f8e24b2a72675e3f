"""Alerts that nothing arrives or is worked on, against the real fault: it fires, what the runbook says is done, and it
is over.
"""

import random
from typing import Any

import pytest

from tests.kafka.working import RUNS, got, wait_until
from tests.support.kafka import meddling
from tests.support.watched_world import CONSENTS, DEFINITIONS, World, event, order, wait_seconds
from worker.kafka.writing import partition_of

pytestmark = pytest.mark.faults


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


def test_a_new_segment_waits_for_a_partition_that_lags(world: World) -> None:
    """A segment is published that only a partition without events knows: ShoalSegmentNotEvaluated, of it alone.

    As the runbook says, it is the definitions that differ; with SHOAL_SLICE_USERS_MAX as usual the other one follows.
    """
    first, second = world.start("first"), world.start("second", slice_users_max=1)
    first.wait_for(RUNS)
    busy = second.wait_for(RUNS)["partition"]
    quiet = 1 - busy
    world.shop.feed([event(number, **CONSENTS) for number in range(6_000)])
    wait_until(lambda: world.prometheus.number("sum(shoal_state_users)") == 6_000, "they aren't read")
    for version in (2, 3):
        fresh = [{"id": "fresh", "enter": "orders_total > 1"}] if version == 3 else []
        world.shop.publish({**DEFINITIONS, "version": version, "segments": [*DEFINITIONS["segments"], *fresh]})
        world.shows(f'max(shoal_definitions_version{{partition="{quiet}"}}) == {version}')
    theirs = [number for number in range(200) if partition_of(f"u-{number}".encode(), 2) == busy]
    with world.fed(lambda number: order(theirs[number % len(theirs)])):
        world.fires("ShoalSegmentNotEvaluated", segment="fresh")
        assert not world.firing("ShoalSegmentNotEvaluated", segment="buyer")
        world.shows("max(shoal_definitions_version) - min(shoal_definitions_version) > 0")
        assert second.stop() == 0
        world.start("second")
        world.is_over("ShoalSegmentNotEvaluated")


def test_a_workers_clock_is_behind(world: World) -> None:
    """By more than the limit: ShoalSegmentNotEvaluated, of all segments; it is set, and the worker started again.

    A worker that runs makes up for a leap at a twentieth of the pace.
    """
    worker = world.start(without=["clock"])
    worker.set_clock(-30_000)
    with world.fed():
        for segment in ("waiting", "buyer"):
            world.fires("ShoalSegmentNotEvaluated", segment=segment)
        assert worker.stop() == 0
        world.start()
        world.is_over("ShoalSegmentNotEvaluated")
