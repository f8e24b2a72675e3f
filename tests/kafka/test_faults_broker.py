"""Brokers that halt, stop, die or fill up under a worker at work: everything is there exactly once afterwards.

The rule: a broker of a test's own, real signals, and afterwards the deployment does all that it should (`under_fault`).
Waits as long as real ones have the marker `faults`.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType

from tests.kafka.under_fault import AGAIN, RUNS, Scene, definitions, health, scene_on
from tests.support.kafka.broker import Broker, Cluster
from tests.support.kafka.deployment import QUICK, Deployment
from tests.support.kafka.frames import Api
from tests.support.kafka.proxy import Proxy
from worker.errors import WrongUsage
from worker.settings import Settings

# What a worker takes if nothing is set.
USUAL: dict[str, Any] = {name: Settings.model_fields[name].default for name in QUICK}

GRACE_SECONDS = 45  # as in docker-compose.yml


@pytest.fixture
def mortal() -> Iterator[Broker]:
    """A broker that may be harmed."""
    with Broker() as running:
        yield running


@pytest.fixture
def scene(mortal: Broker, prefix: str, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A deployment at work on it."""
    with scene_on(mortal, prefix, request) as made:
        yield made


@pytest.mark.parametrize("seconds", [2.0, 8.0])
def test_a_broker_that_halts_and_goes_on(scene: Scene, mortal: Broker, seconds: float) -> None:
    """Longer than a commit may take, and longer than sessions and transactions last."""
    _halt(scene, mortal, seconds)
    scene.end()


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [5.0, 40.0])
def test_a_broker_that_halts_under_the_usual_deadlines(
    mortal: Broker, prefix: str, request: pytest.FixtureRequest, seconds: float
) -> None:
    """Shorter than a commit may take, and longer than sessions and transactions last."""
    with scene_on(mortal, prefix, request, **USUAL) as scene:
        _halt(scene, mortal, seconds)
        scene.end()


def _halt(scene: Scene, broker: Broker, seconds: float) -> None:
    scene.feed(2_000)
    broker.freeze()
    time.sleep(seconds)
    assert scene.worker.is_running
    assert health(scene.worker, "live") == 200
    broker.thaw()


@pytest.mark.parametrize(
    ("how", "times"),
    [
        ("stop", 2),
        ("kill", 2),
        pytest.param("stop", 5, marks=pytest.mark.faults),
        pytest.param("kill", 5, marks=pytest.mark.faults),
    ],
)
def test_a_broker_that_bounces_under_load(scene: Scene, mortal: Broker, how: str, times: int) -> None:
    """Ended orderly or by a power cut, again and again while there is work to do."""
    for _ in range(times):
        scene.feed(1_500)
        getattr(mortal, how)()
        mortal.start()
    scene.end()


def test_a_broker_that_is_down_at_the_start_is_waited_for(
    mortal: Broker, prefix: str, request: pytest.FixtureRequest
) -> None:
    """The worker lives, isn't ready, and works once the broker is up."""
    with Deployment(mortal, prefix, definitions=definitions(1)) as deployment:
        mortal.stop()
        worker = deployment.start_worker("one")
        worker.wait_for("it is tried again")
        assert (health(worker, "live"), health(worker, "ready")) == (200, 503)
        mortal.start()
        worker.wait_for(RUNS, count=2)
        scene = Scene(deployment, worker, request)
        scene.feed()
        scene.end()


def test_a_worker_that_has_long_read_nothing_is_still_a_member(
    broker: Broker, prefix: str, request: pytest.FixtureRequest
) -> None:
    """Waiting for definitions, or for brokers, nobody polls, for longer than aiokafka takes for alive: work begins."""
    with Deployment(broker, prefix) as deployment:
        worker = deployment.start_worker("one", without=["expected_polls"])
        worker.wait_for("No definitions are published", count=2)
        time.sleep(4.0)
        deployment.publish(definitions(1))
        worker.wait_for(RUNS, count=2)
        scene = Scene(deployment, worker, request)
        scene.feed()
        scene.end()


@pytest.mark.parametrize("how", ["freeze", pytest.param("stop", marks=pytest.mark.faults)])
def test_a_worker_ends_without_its_broker(scene: Scene, mortal: Broker, how: str) -> None:
    """Told to end with work under way and nobody to answer it ends well, and in time; the next one goes on."""
    scene.feed(2_000)
    getattr(mortal, how)()
    assert scene.worker.stop(seconds=GRACE_SECONDS) == 0
    mortal.thaw() if how == "freeze" else mortal.start()
    scene.worker = scene.deployment.start_worker("one")
    scene.end()


@pytest.mark.parametrize(
    ("starts", "waits_seconds"),
    [
        (True, 0.0),
        *(pytest.param(*case, marks=pytest.mark.faults) for case in ((True, 30.0), (False, 0.0), (False, 30.0))),
    ],
)
def test_a_worker_ends_in_time_under_the_usual_deadlines(
    mortal: Broker, prefix: str, request: pytest.FixtureRequest, waits_seconds: float, *, starts: bool
) -> None:
    """Whether it was at work or about to begin when its broker halted, and however long ago that was."""
    with scene_on(mortal, prefix, request, **USUAL) as scene:
        if starts:
            assert scene.worker.stop() == 0
        scene.feed(2_000)
        mortal.freeze()
        if starts:
            scene.worker = scene.deployment.start_worker("one")
            scene.worker.wait_for("The worker starts.")
        time.sleep(waits_seconds)
        assert scene.worker.stop(seconds=GRACE_SECONDS) == 0
        mortal.thaw()
        scene.worker = scene.deployment.start_worker("one")
        scene.end()


def test_a_broker_that_does_not_answer_ends_no_worker(
    mortal: Broker, prefix: str, request: pytest.FixtureRequest
) -> None:
    """Records wait and nothing is committed, but who is stuck is the broker: the watchdog lets the worker live."""
    with (
        Proxy(mortal.port) as proxy,
        scene_on(mortal, prefix, request, through=proxy.bootstrap, stuck_after_ms=6_000) as scene,
    ):
        with proxy.rule("stall_reply", Api.FETCH) as stalled:
            scene.feed()
            stalled.wait()
            time.sleep(1.0)  # the ends are known now, and that there is something to read
            mortal.freeze()
            time.sleep(10.0)
            assert scene.worker.is_running
            mortal.thaw()
        scene.end()


def test_a_worker_that_cannot_read_ends_itself(mortal: Broker, prefix: str, request: pytest.FixtureRequest) -> None:
    """The broker says that there are records, and none come: the watchdog ends the process, and another one works."""
    with (
        Proxy(mortal.port) as proxy,
        scene_on(mortal, prefix, request, through=proxy.bootstrap, stuck_after_ms=3_000) as scene,
    ):
        with proxy.rule("stall_reply", Api.FETCH) as stalled:
            scene.feed()
            stalled.wait()
            assert scene.worker.wait_until_ended() == 1
        assert "is stuck" in scene.worker.text
        scene.worker = scene.deployment.start_worker("one", bootstrap_servers=proxy.bootstrap)
        scene.end()


def test_a_full_disk_ends_when_there_is_room_again(prefix: str, request: pytest.FixtureRequest) -> None:
    """What can't be written isn't done; the worker goes on when the broker can write again."""
    if os.geteuid() != 0:
        with pytest.raises(WrongUsage, match="takes root"):
            Broker(disk_bytes=2**26)
        return  # nobody else may mount
    with (
        Broker({"log.segment.bytes": "1048576"}, disk_bytes=128 * 2**20) as small,
        scene_on(small, prefix, request) as scene,
    ):
        scene.feed(12_000)
        small.home.fill_disk()
        scene.worker.wait_for(AGAIN)
        small.home.free_disk()
        small.restart()
        scene.end()


@pytest.mark.parametrize(
    "whose", ["group", *(pytest.param(whose, marks=pytest.mark.faults) for whose in ("transactions", "input"))]
)
def test_another_broker_takes_over(prefix: str, request: pytest.FixtureRequest, whose: str) -> None:
    """The coordinator of the group, that of a partition's transactions, or the leader of the input is killed."""
    with Cluster() as cluster, scene_on(cluster, prefix, request) as scene:
        killed = cluster.brokers[asyncio.run(_node(scene.deployment.settings, whose)) - 1]
        scene.feed(1_500)
        killed.kill()
        scene.feed(500)
        scene.wait_until_well()
        killed.start()
        scene.end()


@pytest.mark.faults
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_brokers_that_restart_one_after_the_other(prefix: str, request: pytest.FixtureRequest, how: str) -> None:
    """Orderly or not, under load, with a worker that joins while one of them is away."""
    with Cluster() as cluster, scene_on(cluster, prefix, request, partitions=4) as scene:
        for broker in cluster.brokers:
            scene.feed(1_000)
            getattr(broker, how)()
            if broker is cluster.brokers[0]:
                scene.deployment.start_worker("two").wait_for(RUNS)
            scene.feed(500)
            broker.start()
        scene.end()


async def _node(settings: Settings, whose: str) -> int:
    """Which broker is whose coordinator, or leads the input's first partition."""
    client = AIOKafkaClient(bootstrap_servers=settings.bootstrap_servers)
    await client.bootstrap()
    try:
        match whose:
            case "group":
                return int(await client.coordinator_lookup(CoordinationType.GROUP, settings.group))
            case "transactions":
                return int(await client.coordinator_lookup(CoordinationType.TRANSACTION, settings.transactional_id(0)))
            case _:
                metadata = await client.fetch_all_metadata()
                return int(metadata.leader_for_partition(TopicPartition(settings.events_topic, 0)))
    finally:
        await client.close()
