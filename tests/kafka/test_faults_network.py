"""Faults on the way between a worker and its broker, done by a proxy: every one of them leaves everything exactly once.

The rule: all of the worker's traffic passes the proxy, each test sees that its rule has struck, and afterwards the
deployment does all that it should (`under_fault`).
"""

import asyncio
import random
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition

from schemas.control import PublishedDefinitions
from tests.kafka.under_fault import AGAIN, RUNS, Scene, definitions, health, scene_on
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, events
from tests.support.kafka.frames import Api, error_code
from tests.support.kafka.proxy import Proxy
from tests.support.random_definitions import text_of
from worker.files.configuration import checked
from worker.kafka import clients
from worker.kafka.control import Control
from worker.kafka.writing import now
from worker.language.mapping import SHIPPED
from worker.settings import Settings

NOT_COORDINATOR = 16
INVALID_PRODUCER_EPOCH = 47


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    """What stands between the worker and the broker."""
    with Proxy(broker.port) as running:
        yield running


@pytest.fixture
def scene(broker: Broker, proxy: Proxy, prefix: str, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A deployment whose worker goes through the proxy."""
    with scene_on(broker, prefix, request, through=proxy.bootstrap) as made:
        yield made


@pytest.mark.parametrize(
    ("act", "close"),
    [
        ("drop_request", False),
        ("drop_reply", True),
        pytest.param("drop_request", True, marks=pytest.mark.faults),
        pytest.param("drop_reply", False, marks=pytest.mark.faults),
    ],
)
def test_a_commit_whose_outcome_is_unknown_is_found_out(scene: Scene, proxy: Proxy, act: str, *, close: bool) -> None:
    """Whether the request or the reply was lost, in silence or with the connection: nothing is lost or done twice."""
    rule = proxy.rule(act, Api.END_TXN, times=2, close=close)
    scene.feed()
    rule.wait(2)
    scene.end()


@pytest.mark.parametrize("close", [False, True])
def test_a_commit_that_comes_late_finds_its_producer_fenced(scene: Scene, proxy: Proxy, *, close: bool) -> None:
    """A request that was given up, or was repeated on another connection, ends no later transaction (KAFKA-17754)."""
    client = f"one.{scene.deployment.settings.transactional_id(0)}"
    late = proxy.rule("hold_request", Api.END_TXN, client=client, times=1, close=close)
    scene.feed()
    late.wait()
    scene.feed()
    scene.worker.wait_for(RUNS, count=3)
    with proxy.rule("stall_request", Api.TXN_OFFSET_COMMIT, client=client) as under_way:
        scene.feed()
        under_way.wait()
        (reply,) = proxy.replay(late)
    assert error_code(reply) == INVALID_PRODUCER_EPOCH
    scene.end()


@pytest.mark.parametrize("close", [True, pytest.param(False, marks=pytest.mark.faults)])
def test_a_write_whose_reply_is_lost_is_there_once(scene: Scene, proxy: Proxy, *, close: bool) -> None:
    """Repeated with its number, or given up with its transaction: what was written is seen once."""
    rule = proxy.rule("drop_reply", Api.PRODUCE, client="one.", times=2, close=close)
    scene.feed()
    rule.wait(2)
    scene.end()


def test_an_offset_that_the_coordinator_does_not_tell_is_asked_for_again(
    broker: Broker, proxy: Proxy, prefix: str
) -> None:
    """An answer with an error and no offsets isn't taken for a group that has read nothing: nothing begins anew."""
    with Deployment(broker, prefix, partitions=1, definitions=definitions(1)) as deployment:
        topic = deployment.settings.events_topic
        deployment.feed(events(1, 50))
        asyncio.run(_commit(deployment, TopicPartition(topic, 0), 50))
        rule = proxy.rule("error_reply", Api.OFFSET_FETCH, where=lambda frame: topic.encode() in frame, times=2,
                          error=NOT_COORDINATOR)  # fmt: skip
        worker = deployment.start_worker(bootstrap_servers=proxy.bootstrap)
        rule.wait(2)
        worker.wait_for("has read partition 0 up to offset 50")
        assert worker.stop() == 0
        assert not deployment.read("state")


async def _commit(deployment: Deployment, place: TopicPartition, offset: int) -> None:
    group = AIOKafkaConsumer(
        bootstrap_servers=deployment.settings.bootstrap_servers, group_id=deployment.settings.group,
        enable_auto_commit=False,
    )  # fmt: skip
    async with group:
        group.assign([place])
        await group.commit({place: OffsetAndMetadata(offset, "partitions=1")})


@pytest.mark.parametrize("act", ["drop_request", "drop_reply"])
def test_a_worker_that_is_cut_off_one_way_gives_way_and_comes_back(scene: Scene, proxy: Proxy, act: str) -> None:
    """Another takes its partitions; whatever of the first one's comes late is refused, and it joins again."""
    two = scene.deployment.start_worker("two")
    two.wait_for(RUNS)
    with proxy.rule(act) as rule:
        scene.feed()
        two.wait_for(RUNS, count=2)
        scene.deployment.wait_until_read()
    assert rule.fired > 5
    scene.worker.wait_for("Successfully synced group", count=3)
    scene.end()


def test_a_link_that_flaps_lets_work_go_on(scene: Scene, proxy: Proxy) -> None:
    """All connections break every two seconds and none can be made for a while: it ends well when that does."""
    scene.feed(2_000)
    with proxy.flap(up_seconds=1.5, down_seconds=0.7) as flapping:
        flapping.wait(3)
        scene.feed()
        flapping.wait(5)
    scene.end()


def test_a_slow_link_is_no_fault(broker: Broker, proxy: Proxy, prefix: str, request: pytest.FixtureRequest) -> None:
    """With the usual deadlines, 200 ms there and back and 64 kB/s time nothing out: no partition starts again."""
    usual = {"commit_deadline_ms": 10_000, "request_timeout_ms": 20_000, "transaction_timeout_ms": 30_000,
             "session_timeout_ms": 30_000, "rebalance_timeout_ms": 60_000}  # fmt: skip
    with scene_on(broker, prefix, request, through=proxy.bootstrap, **usual) as scene:
        slow = [
            proxy.rule(act, **how)
            for side in ("request", "reply")
            for act, how in ((f"delay_{side}", {"seconds": 0.1}), (f"throttle_{side}", {"bytes_per_s": 64_000}))
        ]
        scene.feed()
        scene.end()
        assert all(rule.fired > 20 for rule in slow)
        assert not scene.worker.said(AGAIN)


def test_events_that_arrive_damaged_are_read_again(scene: Scene, proxy: Proxy) -> None:
    """A wrong bit in a reply with events is found by its checksum: nothing is applied of it."""
    topic = scene.deployment.settings.events_topic.encode()
    rule = proxy.rule("flip_reply", Api.FETCH, where=lambda frame: topic in frame, times=2)
    scene.feed()
    rule.wait(2)
    scene.end()


def test_a_state_that_arrives_damaged_is_read_again(scene: Scene, proxy: Proxy) -> None:
    """A wrong bit in a reply with state makes no other state, and stops no partition."""
    assert scene.worker.stop() == 0
    topic = scene.deployment.settings.topic("state").encode()
    rule = proxy.rule("flip_reply", Api.FETCH, where=lambda frame: topic in frame, times=2)
    scene.worker = scene.deployment.start_worker("one", bootstrap_servers=proxy.bootstrap)
    rule.wait(2, seconds=120)
    scene.end()


def test_a_version_that_arrives_damaged_is_read_again(scene: Scene, proxy: Proxy) -> None:
    """The control topics are followed on, and no version that was in force before comes back meanwhile."""
    scene.wait_until_well()
    rule = proxy.rule("flip_reply", Api.FETCH, client="one.control", times=1)
    scene.wait_until_well()
    assert rule.fired == 1
    scene.end()
    assert scene.versions() == [[1, 2, 3, 4]] * 2


@pytest.mark.faults
def test_control_topics_that_nobody_can_follow_are_followed_anew(scene: Scene, proxy: Proxy) -> None:
    """Whoever follows them hears nothing for minutes, and another is made until one does; events go on meanwhile."""
    with proxy.rule("drop_reply", client="one.control") as rule:
        rule.wait(2)
        scene.deployment.publish(definitions(100))
        scene.worker.wait_for("followed anew", count=2, seconds=300)
        scene.feed()
        scene.deployment.wait_until_read()
    scene.version = 100
    scene.end()


def test_a_version_that_is_read_once_more_does_not_come_back() -> None:
    """Who follows the control topics anew reads them from the beginning; only what is new counts."""
    control = Control()
    for offset, version in enumerate((1, 2)):
        control.take("definitions", offset, _published(version))
    control.take("definitions", 0, _published(1))
    assert control.definitions is not None
    assert control.definitions.checked.definitions.version == 2
    control.made_anew("definitions")
    control.take("definitions", 0, _published(1))
    assert control.definitions.checked.definitions.version == 1


def _published(version: int) -> bytes:
    text = text_of(definitions(version))
    found = checked(text, SHIPPED.read_text(encoding="utf-8")).checked
    record = PublishedDefinitions(version=version, hash=found.hash, text=text, mapping=None, published_at=now(),
                                  published_by=None)  # fmt: skip
    return record.model_dump_json().encode()


def test_what_is_written_damaged_is_refused(scene: Scene, proxy: Proxy) -> None:
    """A broker refuses a batch with a wrong bit, and its transaction is done again."""
    rule = proxy.rule("flip_request", Api.PRODUCE, client="one.", times=2)
    scene.feed()
    rule.wait(2)
    scene.end()


@pytest.mark.parametrize("act", ["close_request", pytest.param("close_reply", marks=pytest.mark.faults)])
def test_connections_that_break_at_random_lose_nothing(scene: Scene, proxy: Proxy, act: str) -> None:
    """Whatever was asked or answered when a connection broke."""
    chance = random.Random(7)
    with proxy.rule(act, where=lambda _: chance.random() < 0.03) as rule:
        for _ in range(4):
            scene.feed(200)
            time.sleep(0.5)
        rule.wait(8)
    scene.end()


def test_a_consumer_is_put_away_though_nobody_answers(broker: Broker, proxy: Proxy, prefix: str) -> None:
    """Nothing of it is left in the process, though its coordinator can't be found to say so."""
    with Deployment(broker, prefix, bootstrap_servers=proxy.bootstrap) as deployment:
        asyncio.run(_put_away(deployment.settings, proxy))


async def _put_away(settings: Settings, proxy: Proxy) -> None:
    before = asyncio.all_tasks()
    member = clients.consumer(settings, group_id=settings.group, heartbeat_interval_ms=100)
    member.subscribe([settings.events_topic])
    await member.start()
    with proxy.rule("stall_request", Api.FIND_COORDINATOR) as unfound, proxy.rule("close_request", Api.HEARTBEAT):
        await asyncio.to_thread(unfound.wait)
        await clients.discard_consumer(member)
    assert asyncio.all_tasks() == before


def test_a_broker_that_lets_nobody_in_is_waited_for(
    broker: Broker, proxy: Proxy, prefix: str, request: pytest.FixtureRequest
) -> None:
    """A worker whose connections are all reset at its start lives, isn't ready, and works once it is let in."""
    with Deployment(broker, prefix, definitions=definitions(1)) as deployment:
        with proxy.rule("cut") as rule:
            worker = deployment.start_worker("one", bootstrap_servers=proxy.bootstrap)
            rule.wait(8, seconds=120)
            assert (health(worker, "live"), health(worker, "ready")) == (200, 503)
        worker.wait_for(RUNS, count=2)
        scene = Scene(deployment, worker, request)
        scene.feed()
        scene.end()
