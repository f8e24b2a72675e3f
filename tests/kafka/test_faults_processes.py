"""Workers that halt, block, come and go, or are there twice: whoever was taken for dead finds itself fenced."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from schemas.topics import TOPICS
from tests.kafka.working import AGAIN, RUNS, definitions, got, metric, wait_until
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import SECONDS_MAX, Deployment, Event, events
from tests.support.kafka.worker_process import Process
from worker.operations.commanding import standings

HOUR_MS = 3_600_000
# Nothing is given up because it takes long.
PATIENT: dict[str, Any] = {"commit_deadline_ms": 60_000, "request_timeout_ms": 70_000, "transaction_timeout_ms": 80_000}


def causes(worker: Process) -> set[str]:
    """Why its partitions have started again."""
    return {line["cause"] for line in worker.said(AGAIN)}


def counted(worker: Process, name: str) -> dict[str, float]:
    """One of its metrics, by labels."""
    return metric(got(worker.http_port, "/metrics")[1], name)


def test_a_halt_below_the_session_timeout_is_no_matter(broker: Broker, prefix: str) -> None:
    """The worker stays a member with all its partitions, and nobody else restores anything."""
    with Deployment(
        broker, prefix, definitions=definitions(31), session_timeout_ms=15_000, rebalance_timeout_ms=20_000, **PATIENT
    ) as deployment:
        worker, other = deployment.start_worker("one"), deployment.start_worker("two")
        for each in (worker, other):
            each.wait_for("Successfully synced group", count=2)
        with deployment.feeding(events(31, 8000), per_second=400) as enough:
            worker.wait_for(RUNS)
            other.wait_for(RUNS)
            rebalances = counted(other, "shoal_rebalances_total")
            for _ in range(3):
                worker.freeze()
                time.sleep(1.5)
                worker.thaw()
                time.sleep(0.5)
            enough.set()
        deployment.wait_until_read()
        assert counted(other, "shoal_rebalances_total") == rebalances
        assert causes(worker) == set()
        assert [worker.stop(), other.stop()] == [0, 0]
        check(deployment)


def test_a_halt_beyond_the_session_timeout_ends_in_fencing(broker: Broker, prefix: str) -> None:
    """Halted in a transaction, its partitions taken over and gone on with: it is refused, says so, and joins anew."""
    with Deployment(broker, prefix, definitions=definitions(32), **PATIENT) as deployment:
        deployment.feed(events(32, 3000))
        zombie = deployment.start_worker("zombie", fault="B5:5:stop")
        zombie.wait_until_fired()
        other = deployment.start_worker("other")
        other.wait_for(RUNS, count=2)
        deployment.wait_until_read()
        zombie.thaw()
        wait_until(lambda: "fenced" in causes(zombie), "the zombie isn't fenced")
        assert counted(zombie, "shoal_task_restarts_total")['cause="fenced"'] >= 1
        zombie.wait_for(RUNS, count=3)
        deployment.feed(events(33, 1000))
        deployment.wait_until_read()
        assert [zombie.stop(), other.stop()] == [0, 0]
        check(deployment)


def test_a_halt_before_the_commit_beyond_the_transactions_time_commits_nothing(broker: Broker, prefix: str) -> None:
    """The brokers have aborted it meanwhile: the commit is refused, and all of it is done again."""
    topics = [f"{prefix}{topic.name}" for topic in TOPICS]
    with Deployment(broker, prefix, definitions=definitions(34)) as deployment:
        deployment.feed(events(34, 3000))
        worker = deployment.start_worker(fault="B7:4:stop")
        worker.wait_until_fired()
        assert deployment.unstable(topics) != []
        wait_until(lambda: deployment.unstable(topics) == [], "the brokers don't abort what is left open")
        worker.thaw()
        deployment.wait_until_read()
        assert causes(worker) & {"fenced", "timeout"}
        assert worker.stop() == 0
        check(deployment)


def storm(broker: Broker, prefix: str, rounds: int) -> None:
    """A worker that comes and goes, over and over, under load, while another one stays."""
    with Deployment(broker, prefix, partitions=4, definitions=definitions(35)) as deployment:
        worker = deployment.start_worker("stays")
        with deployment.feeding(events(35, 40_000), per_second=300) as enough:
            worker.wait_for(RUNS, count=4)
            for _ in range(rounds):
                other = deployment.start_worker("comes-and-goes")
                other.wait_for(RUNS, count=2)
                assert other.stop() == 0
            enough.set()
        deployment.wait_until_read()
        assert len(worker.said(RUNS)) <= 4 + 2 * rounds + len(worker.said(AGAIN))
        assert worker.stop() == 0
        check(deployment)


def test_partitions_that_stay_are_not_restored_by_a_rebalance(broker: Broker, prefix: str) -> None:
    """A worker comes and goes three times: the other restores what it gets back, and nothing else."""
    storm(broker, prefix, rounds=3)


@pytest.mark.faults
def test_a_storm_of_rebalances_does_no_harm(broker: Broker, prefix: str) -> None:
    """Twenty times."""
    storm(broker, prefix, rounds=20)


def test_a_rebalance_during_a_restore_moves_it_elsewhere(broker: Broker, prefix: str) -> None:
    """Half of what is being restored goes to another worker; the rest is restored where it was."""
    with Deployment(broker, prefix, partitions=4, definitions=definitions(36)) as deployment:
        deployment.feed(events(36, 3000))
        before = deployment.start_worker("before")
        deployment.wait_until_read()
        assert before.stop() == 0
        deployment.feed(events(37, 1000))
        slow = deployment.start_worker("slow", without=["hold_restore"])
        slow.wait_until_fired(count=4)
        quick = deployment.start_worker("quick")
        quick.wait_for(RUNS, count=2)
        slow.release()
        slow.wait_for(RUNS, count=2)
        deployment.wait_until_read()
        assert {line["partition"] for worker in (slow, quick) for line in worker.said(RUNS)} == {0, 1, 2, 3}
        assert [slow.stop(), quick.stop()] == [0, 0]
        check(deployment)


@pytest.mark.parametrize("seconds", [1, 8])
def test_an_event_loop_that_blocks_does_no_harm(broker: Broker, prefix: str, seconds: int) -> None:
    """Shorter than the session timeout and longer: in a transaction, with somebody there to take over."""
    with Deployment(broker, prefix, definitions=definitions(38)) as deployment:
        worker = deployment.start_worker("blocks", fault=f"B4:5:sleep:{seconds}")
        other = deployment.start_worker("other")
        for each in (worker, other):
            each.wait_for(RUNS)
        deployment.feed(events(38, 4000))
        worker.wait_until_fired()
        deployment.wait_until_read()
        wait_until(lambda: len(worker.said(RUNS)) > 1 or seconds == 1, "the worker doesn't come back")
        assert [worker.stop(), other.stop()] == [0, 0]
        check(deployment)


# The wall's clock.


CARTS = {
    "version": 1,
    "segments": [{"id": "cart_abandoner", "enter": "cart_items > 0 and time_since_cart_add >= 30m"},
                 {"id": "buyer", "enter": "orders_total > 0"}],
    "campaigns": [{"id": "reminder", "trigger": {"entered": "cart_abandoner"}}],
}  # fmt: skip


def of_now(name: str, user: str, **properties: Any) -> Event:
    """An event that happens just now."""
    event = {"type": "track", "event": name, "userId": user, "timestamp": time.time_ns() // 1_000_000,
             "properties": properties}  # fmt: skip
    return user.encode(), msgspec.json.encode(event)


def clocks(deployment: Deployment) -> list[str]:
    """The partitions' clocks, as they say."""
    answers = asyncio.run(standings(deployment.settings, ["worker"], SECONDS_MAX))
    return [str(answer.body["clock"]) for answer in answers.values() if answer is not None]


@pytest.mark.parametrize("offset_ms", [HOUR_MS, -HOUR_MS])
def test_a_host_whose_clock_leaps_lets_no_time_pass(broker: Broker, prefix: str, offset_ms: int) -> None:
    """By an hour, while full carts are less than a minute old: nobody is reminded, and work goes on."""
    users = [f"shopper-{number}" for number in range(40)]
    with Deployment(broker, prefix, definitions=CARTS, clock="wall") as deployment:
        worker = deployment.start_worker(without=["clock"])
        worker.wait_for(RUNS, count=2)
        deployment.feed([of_now("Product Added", user, product_id="p-1", price=5) for user in users])
        deployment.wait_until_read()
        before = clocks(deployment)
        worker.set_clock(offset_ms)
        worker.wait_for("The host's clock leapt")
        wait_until(lambda: min(clocks(deployment)) > max(before), "time stands still")
        deployment.feed([of_now("Order Completed", user, total=5) for user in users])
        deployment.wait_until_read()
        moves = [msgspec.json.decode(record.value) for record in deployment.read("segment-changes")]
        assert sorted((move["user_id"], move["segment"]) for move in moves) == sorted((user, "buyer") for user in users)
        assert worker.stop() == 0
        check(deployment)


# Twice the same.


def test_two_workers_of_one_name_fence_each_other_in_sight_and_do_no_harm(broker: Broker, prefix: str) -> None:
    """A name that two workers were given by mistake: both say so, loudly, and every output is there once."""
    with Deployment(broker, prefix, definitions=definitions(39)) as deployment:
        twins = [deployment.start_worker("twin") for _ in range(2)]
        with deployment.feeding(events(39, 40_000), per_second=200) as enough:
            for twin in twins:
                assert twin.wait_for("The partition is fenced over and over")["instance"] == "twin"
            enough.set()
        assert twins[0].stop() == 0
        deployment.wait_until_read()
        assert twins[1].stop() == 0
        check(deployment)


def test_another_input_under_the_same_ids_is_refused(broker: Broker, prefix: str) -> None:
    """It fences the partitions once, finds a state that isn't its own, stops with a sentence, and writes nothing."""
    with Deployment(broker, prefix, definitions=definitions(40)) as deployment:
        deployment.feed(events(40, 1000))
        worker = deployment.start_worker()
        deployment.wait_until_read()
        Deployment(broker, f"{prefix}other.").close()
        stranger = deployment.start_worker("stranger", input_topic=f"{prefix}other.events")
        stranger.wait_for("belongs to partition", count=2)
        deployment.feed(events(41, 1000))
        deployment.wait_until_read()
        assert causes(worker) >= {"fenced"}
        assert [worker.stop(), stranger.stop()] == [0, 0]
        check(deployment)


def test_a_release_that_lays_rows_out_otherwise_goes_on(broker: Broker, prefix: str) -> None:
    """In the middle of the log, and back again: the state is carried over, and nothing else changes."""
    log = events(42, 3000)
    with Deployment(broker, prefix, definitions=definitions(41)) as deployment:
        for number, without in enumerate([[], ["other_layout"], []]):
            deployment.feed(log[1000 * number : 1000 * number + 1000])
            worker = deployment.start_worker(without=without)
            deployment.wait_until_read()
            assert worker.stop() == 0
        layouts = {len(deployment.state(partition)._layouts) for partition in range(2)}
        assert layouts == {2}
        check(deployment)
