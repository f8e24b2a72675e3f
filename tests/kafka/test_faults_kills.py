"""Workers that are killed, at every numbered step and at random: nothing is lost, nothing is done twice."""

import random
import time
from typing import Any

import pytest

from schemas.topics import TOPICS
from tests.kafka.working import RUNS, definitions, wait_until
from tests.support import random_definitions
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import Deployment, events
from worker.kafka.steps import Step

SIGKILL = -9


@pytest.mark.parametrize("step", Step)
def test_a_worker_may_die_at_every_step(broker: Broker, prefix: str, step: Step) -> None:
    """Killed the first time that it gets there, its successor the third time: the next one goes on."""
    with Deployment(broker, prefix, partitions=3, definitions=definitions(list(Step).index(step))) as deployment:
        deployment.feed(events(20, 3000))
        for nth in (1, 3):
            worker = deployment.start_worker(fault=f"{step}:{nth}:kill")
            assert worker.wait_until_ended() == SIGKILL
            assert [fault["step"] for fault in worker.fired] == [step]
        deployment.start_worker()
        deployment.wait_until_read()
        assert check(deployment).counts["records"] == 3000


def kill_at_random(broker: Broker, prefix: str, seed: int, times: int) -> None:
    """Kill one of two workers, over and over, under load; each is started again at once under its name."""
    rng = random.Random(seed)
    log = events(seed, 40_000)
    with Deployment(broker, prefix, partitions=4, definitions=definitions(seed)) as deployment:
        workers = {name: deployment.start_worker(name) for name in ("one", "two")}
        with deployment.feeding(log, per_second=400) as enough:
            workers["one"].wait_for(RUNS)
            for _ in range(times):
                time.sleep(rng.uniform(0, 5))
                name = rng.choice(("one", "one", "two"))
                workers[name].kill()
                workers[name] = deployment.start_worker(name)
            enough.set()
        deployment.wait_until_read()
        assert [worker.stop() for worker in workers.values()] == [0, 0]
        assert check(deployment).counts["records"] > 1000


def test_two_workers_may_be_killed_at_random(broker: Broker, prefix: str) -> None:
    """Five times, whatever they were at."""
    kill_at_random(broker, prefix, seed=21, times=5)


@pytest.mark.faults
@pytest.mark.parametrize("seed", [22, 23, 24])
def test_two_workers_may_be_killed_twenty_times(broker: Broker, prefix: str, seed: int) -> None:
    """Twenty times, whatever they were at."""
    kill_at_random(broker, prefix, seed, times=20)


def test_both_workers_may_die_in_a_transaction_with_nobody_to_take_over(broker: Broker, prefix: str) -> None:
    """The brokers abort what they left open when its time is up; who comes then goes on from the commits before."""
    topics = [f"{prefix}{topic.name}" for topic in TOPICS]
    with Deployment(broker, prefix, definitions=definitions(25)) as deployment:
        workers = [deployment.start_worker(name, fault="B5:4:kill") for name in "ab"]
        for worker in workers:
            worker.wait_for(RUNS)
        deployment.feed(events(25, 4000))
        assert [worker.wait_until_ended() for worker in workers] == [SIGKILL, SIGKILL]
        assert deployment.unstable(topics) != []
        wait_until(lambda: deployment.unstable(topics) == [], "the brokers don't abort what is left open")
        assert sum(offset for offset, _ in deployment.committed().values()) < 4000
        for name in "ab":
            deployment.start_worker(name)
        deployment.wait_until_read()
        check(deployment)


def test_a_worker_may_die_while_a_version_is_worked_off(broker: Broker, prefix: str) -> None:
    """Twice, with users still to be judged: each is judged once, and events meanwhile are taken under the version."""
    before = definitions(26)
    after = random_definitions.changed(random.Random(27), before, new_reads=True)
    log = events(26, 7000, users=3000)
    slowly: dict[str, Any] = {"slice_users_max": 10, "commit_interval_ms": 200}
    with Deployment(broker, prefix, definitions=before) as deployment:
        deployment.feed(log[:6000])
        worker = deployment.start_worker(**slowly)
        deployment.wait_until_read()
        deployment.publish(after)
        worker.wait_for("A version takes effect.", count=2)
        deployment.feed(log[6000:6500])
        worker.kill()
        assert all(left_over(deployment))
        worker = deployment.start_worker(fault="B6:9:kill", **slowly)
        assert worker.wait_until_ended() == SIGKILL
        assert all(left_over(deployment))
        deployment.feed(log[6500:])
        deployment.start_worker()
        deployment.wait_until_read()
        verdict = check(deployment)
        assert verdict.counts["points"] == 4


def left_over(deployment: Deployment) -> list[int]:
    """How many users the version in force has yet to judge, by partition, as the state topic has it."""
    found = [deployment.state(partition).finish() for partition in range(deployment.partitions)]
    return [engine.backlog for engine, _ in filter(None, found)]


@pytest.mark.faults
def test_a_killed_workers_partitions_are_taken_over(broker: Broker, prefix: str, record_property: object) -> None:
    """By a worker that is there already; how long it took from the kill to its first commit is reported."""
    with Deployment(broker, prefix, definitions=definitions(28)) as deployment:
        deployment.feed(events(28, 2000))
        worker = deployment.start_worker("first")
        worker.wait_for(RUNS, count=2)
        other = deployment.start_worker("other")
        other.wait_for(RUNS)
        deployment.wait_until_read()
        worker.kill()
        killed = time.monotonic()
        other.wait_for(RUNS, count=2)
        assert callable(record_property)
        record_property("takeover_seconds", round(time.monotonic() - killed, 2))
        deployment.feed(events(29, 500))
        deployment.wait_until_read()
        check(deployment)
