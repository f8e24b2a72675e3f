"""The brokers that tests run against: they keep what they were given, fail as they are told to, and let in who may."""

import asyncio
import gc
import os
import select
import socket
import subprocess
import sys
import textwrap
import warnings
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from tests.support.kafka.acls import kafka_acls
from tests.support.kafka.broker import Broker, Cluster
from tests.support.kafka.properties import Security
from tests.support.kafka.proxy import Proxy
from worker.errors import JobFailed, WrongUsage
from worker.kafka.clients import security
from worker.settings import load

PASSWORD = "a'b c;d=#ü$"  # noqa: S105  what settings files and command lines would stumble over
SASL = Security("SASL_SSL", {"alice": PASSWORD}, authorize=True)


@pytest.fixture(scope="module")
def secured() -> Iterator[Broker]:
    """A broker that asks who one is and what one may."""
    with Broker(security=SASL) as running:
        yield running


def client(given: dict[str, str]) -> dict[str, Any]:
    """The arguments of aiokafka's clients, made from settings."""
    return security(load(**given))


async def create(bootstrap: str, topic: str, replicas: int = 1) -> None:
    """Create a topic of one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    answer = await admin.create_topics([NewTopic(topic, 1, replicas)])
    await admin.close()
    assert [error[1] for error in answer.topic_errors] == [0]


@asynccontextmanager
async def producer(**arguments: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that waits for all replicas."""
    made = AIOKafkaProducer(acks="all", **arguments)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def send(topic: str, value: bytes, **arguments: Any) -> None:
    """Send one record."""
    async with producer(**arguments) as sending:
        await sending.send_and_wait(topic, value)


async def values(topic: str, **arguments: Any) -> list[bytes]:
    """Read all of a topic's one partition."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **arguments)
    try:
        await consumer.start()
        consumer.assign([partition])
        end, read = (await consumer.end_offsets([partition]))[partition], list[bytes]()
        while await consumer.position(partition) < end:
            read += [record.value for record in (await consumer.getmany(timeout_ms=1000)).get(partition, [])]
        return read
    finally:
        await consumer.stop()


def within_a_minute(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that mustn't hang."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))


@contextmanager
def no_connection() -> Iterator[None]:
    """Expect that no connection comes about; aiokafka closes what it began, but the loop ends before TLS has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(KafkaConnectionError):
            yield
        gc.collect()


def test_a_record_comes_back(broker: Broker, prefix: str) -> None:
    """What a producer sends a consumer reads."""

    async def there_and_back() -> list[bytes]:
        await create(broker.bootstrap, f"{prefix}records")
        await send(f"{prefix}records", b"hello", bootstrap_servers=broker.bootstrap)
        return await values(f"{prefix}records", bootstrap_servers=broker.bootstrap)

    assert within_a_minute(there_and_back()) == [b"hello"]


def test_records_outlive_a_kill_and_a_stop(prefix: str) -> None:
    """The broker comes back at the same address with all that was acknowledged, whether it was killed or stopped."""
    topic = f"{prefix}records"
    with Broker() as broker:
        address = broker.bootstrap
        within_a_minute(create(address, topic))
        for end in (broker.kill, broker.stop):
            within_a_minute(send(topic, end.__name__.encode(), bootstrap_servers=address))
            end()
            assert not broker.is_running
            broker.restart()
        assert within_a_minute(values(topic, bootstrap_servers=address)) == [b"kill", b"stop"]


def test_a_frozen_broker_answers_when_it_is_thawed(prefix: str) -> None:
    """Nothing comes from a frozen broker, though its connections stand; a thawed one goes on as if nothing had been."""

    async def freeze_and_thaw(broker: Broker) -> None:
        await create(broker.bootstrap, f"{prefix}records")
        async with producer(bootstrap_servers=broker.bootstrap) as sending:
            await sending.send_and_wait(f"{prefix}records", b"before")
            broker.freeze()
            waiting = await sending.send(f"{prefix}records", b"frozen")
            done, _ = await asyncio.wait([waiting], timeout=0.5)
            broker.thaw()
            assert not done
            await waiting
        assert await values(f"{prefix}records", bootstrap_servers=broker.bootstrap) == [b"before", b"frozen"]

    with Broker() as broker:
        within_a_minute(freeze_and_thaw(broker))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_right_password_logs_in_and_a_wrong_one_does_not(
    secured: Broker, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By every mechanism, over TLS, with a password of awkward characters; aiokafka tells why in its log only."""
    settings = secured.client("alice") | {"sasl_mechanism": mechanism}

    async def log_in(password: str) -> None:
        async with producer(**client(settings | {"sasl_password": password})):
            pass

    within_a_minute(log_in(PASSWORD))
    assert "SaslAuthenticationFailed" not in caplog.text
    with no_connection():
        within_a_minute(log_in("wrong"))
    assert "SaslAuthenticationFailed" in caplog.text


def test_who_does_not_know_the_authority_does_not_connect(secured: Broker) -> None:
    """The broker's certificate is checked: it isn't one that the system trusts."""
    untrusting = {name: value for name, value in secured.client("alice").items() if name != "ssl_cafile"}

    async def connect() -> None:
        async with producer(**client(untrusting)):
            pass

    with no_connection():
        within_a_minute(connect())


def test_what_is_not_allowed_is_refused(secured: Broker, prefix: str) -> None:
    """A user may write after a rule says so, and no more after the rule is gone."""
    topic, alice = f"{prefix}records", client(secured.client("alice"))
    rule = f"--allow-principal User:alice --operation Write --operation Describe --topic {topic}"

    async def ask() -> None:
        await create(secured.internal, topic)
        with pytest.raises(TopicAuthorizationFailedError):
            await send(topic, b"no", **alice)
        await kafka_acls(secured, f"kafka-acls.sh --add {rule}")
        await send(topic, b"yes", **alice)
        with pytest.raises(TopicAuthorizationFailedError):
            await values(topic, **alice)
        await kafka_acls(secured, f"kafka-acls.sh --remove {rule}")
        with pytest.raises(TopicAuthorizationFailedError):
            await send(topic, b"no", **alice)
        assert await values(topic, **client(secured.client())) == [b"yes"]

    within_a_minute(ask())


def test_a_certificate_logs_in_where_tls_says_who_one_is(prefix: str) -> None:
    """With SSL a user's certificate names the user, for whom the rules hold; without one there is no connection."""
    topic = f"{prefix}records"

    async def connect(broker: Broker) -> None:
        await create(broker.internal, topic)
        with pytest.raises(TopicAuthorizationFailedError):
            await send(topic, b"no", **client(broker.client("alice")))
        await kafka_acls(
            broker,
            f"--add --allow-principal User:alice --operation Write --topic {prefix} --resource-pattern-type prefixed",
        )
        await send(topic, b"yes", **client(broker.client("alice")))

    with Broker(security=Security("SSL", authorize=True)) as broker:
        within_a_minute(connect(broker))
        nobody = {name: value for name, value in broker.client().items() if name not in ("ssl_certfile", "ssl_keyfile")}
        with no_connection():
            within_a_minute(send(topic, b"no", **client(nobody)))


def test_clients_are_told_the_advertised_port() -> None:
    """They go on where the broker sends them, as to a proxy: nobody listens there here."""

    async def connect(broker: Broker) -> int:
        async with producer(bootstrap_servers=f"127.0.0.1:{broker.port}") as sending:
            (node,) = sending.client.cluster.brokers()
            return int(node.port)

    with Broker(advertised_port=1) as broker:
        assert broker.bootstrap == "127.0.0.1:1"
        assert within_a_minute(connect(broker)) == 1


def test_a_full_disk_refuses_and_a_freed_one_keeps_what_was_taken(prefix: str) -> None:
    """The broker gives up on a disk that is full; started with room again it has what it had acknowledged."""
    topic = f"{prefix}records"

    async def fill(broker: Broker) -> None:
        async with producer(bootstrap_servers=broker.bootstrap, request_timeout_ms=1000) as sending:
            broker.home.fill_disk()
            with pytest.raises(KafkaError):
                await sending.send_and_wait(topic, bytes(100_000))

    if os.geteuid() != 0:
        with pytest.raises(WrongUsage, match="takes root"):
            Broker(disk_bytes=48 * 2**20)
        return  # there is nothing more to see where nobody may mount
    with Broker(disk_bytes=48 * 2**20) as broker:
        within_a_minute(create(broker.bootstrap, topic))
        within_a_minute(send(topic, b"before", bootstrap_servers=broker.bootstrap))
        within_a_minute(fill(broker))
        broker.home.free_disk()
        broker.restart()
        within_a_minute(send(topic, b"after", bootstrap_servers=broker.bootstrap))
        assert within_a_minute(values(topic, bootstrap_servers=broker.bootstrap)) == [b"before", b"after"]


def test_two_of_three_brokers_go_on(prefix: str) -> None:
    """A cluster takes records that all replicas have, also when the leader of their partition has been killed.

    A proxy may stand before all of them: the clients know only its ports.
    """
    topic = f"{prefix}records"

    async def leader(proxy: Proxy) -> int:
        async with producer(bootstrap_servers=proxy.bootstrap) as sending:
            await sending.send_and_wait(topic, b"all")
            assert {node.port for node in sending.client.cluster.brokers()} == set(proxy.ports)
            return int(sending.client.cluster.leader_for_partition(TopicPartition(topic, 0)))

    with Cluster() as cluster, Proxy(*(broker.port for broker in cluster.brokers)) as proxy:
        within_a_minute(create(cluster.bootstrap, topic, replicas=3))
        cluster.brokers[within_a_minute(leader(proxy)) - 1].kill()
        within_a_minute(send(topic, b"two", bootstrap_servers=cluster.bootstrap))
        assert within_a_minute(values(topic, bootstrap_servers=cluster.bootstrap)) == [b"all", b"two"]


def test_a_taken_port_is_left_alone() -> None:
    """Whoever takes a broker's port before its first start keeps it."""
    broker = Broker()
    with socket.create_server(("127.0.0.1", broker.port)) as taker, broker:
        assert broker.port != taker.getsockname()[1]


def test_a_broker_that_does_not_come_up_says_why() -> None:
    """The end of its log is in the error."""
    with pytest.raises(JobFailed, match=r"num\.io\.threads"), Broker({"num.io.threads": "none"}):
        pass


def test_nothing_outlives_the_process_that_started_it() -> None:
    """Not even when that is killed: the broker ends and its files go."""
    script = """
        import sys
        from tests.support.kafka.broker import Broker
        broker = Broker().start()
        print(broker._process.pid, broker.home.guard.pid, broker.home.folder, flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        broker, guard, folder = starter.stdout.readline().split()
        ends = [os.pidfd_open(int(pid)) for pid in (broker, guard)]
        starter.kill()
    for end in ends:
        assert select.select([end], [], [], 30)[0]
        os.close(end)
    assert not Path(folder).exists()
