"""The proxy in front of a real broker: every fault does what its name says, and is counted when it does."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CorruptRecordException, KafkaError

from tests.support.kafka.broker import Broker
from tests.support.kafka.frames import Api, commits, error_code
from tests.support.kafka.proxy import Proxy

Work = Callable[[], Awaitable[None]]
INVALID_PRODUCER_EPOCH, PRODUCER_FENCED, NOT_COORDINATOR = 47, 90, 16
REQUEST_TIMEOUT_MS = 1000


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    """A proxy before the shared broker."""
    with Proxy(broker.port) as running:
        yield running


@pytest.fixture
def topic(broker: Broker, prefix: str) -> str:
    """A topic of one partition."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(f"{prefix}records", 1, 1)])
        await admin.close()

    asyncio.run(create())
    return f"{prefix}records"


def run(work: Work) -> None:
    """Run a coroutine that mustn't hang."""
    asyncio.run(asyncio.wait_for(work(), 60))


@asynccontextmanager
async def producer(bootstrap: str, **arguments: Any) -> AsyncIterator[AIOKafkaProducer]:
    """An idempotent producer with a short request timeout."""
    made = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, request_timeout_ms=REQUEST_TIMEOUT_MS, **arguments
    )
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def consumer(bootstrap: str, topic: str, isolation: str = "read_committed") -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer at the beginning of a topic."""
    made = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        fetch_max_wait_ms=100,
    )
    try:
        await made.start()
        made.assign([TopicPartition(topic, 0)])
        yield made
    finally:
        await made.stop()


async def values(bootstrap: str, topic: str) -> list[bytes]:
    """What a reader sees of what is committed, once every transaction that is there has ended."""
    partition, read = TopicPartition(topic, 0), list[bytes]()
    async with consumer(bootstrap, topic, "read_uncommitted") as looking:
        end = (await looking.end_offsets([partition]))[partition]
    async with consumer(bootstrap, topic) as reading:
        while await reading.position(partition) < end:
            read += [record.value for record in (await reading.getmany(timeout_ms=200)).get(partition, [])]
    return read


def test_clients_stay_with_the_proxy(broker: Broker, proxy: Proxy, topic: str) -> None:
    """Brokers' replies name the proxy's port, so all that clients do goes through it, and nothing is changed."""

    async def work() -> None:
        with proxy.rule("delay_request", seconds=0) as every:
            async with producer(proxy.bootstrap, transactional_id=f"{topic}.id") as sending:
                assert {node.port for node in sending.client.cluster.brokers()} == {proxy.port}
                async with sending.transaction():
                    await sending.send_and_wait(topic, bytes(100_000))
            assert await values(proxy.bootstrap, topic) == [bytes(100_000)]
        assert every.fired > 10
        assert await values(broker.bootstrap, topic) == [bytes(100_000)]

    run(work)


def test_a_dropped_commit_never_reaches_the_broker(broker: Broker, proxy: Proxy, topic: str) -> None:
    """The client is left without an answer; the transaction isn't committed."""

    async def work() -> None:
        rule = proxy.rule("drop_request", Api.END_TXN, where=commits, times=1)
        async with producer(proxy.bootstrap, transactional_id=f"{topic}.id") as sending:
            await sending.begin_transaction()
            await sending.send_and_wait(topic, b"dropped")
            committing = asyncio.create_task(sending.commit_transaction())
            await asyncio.to_thread(rule.wait)
            async with producer(broker.bootstrap, transactional_id=f"{topic}.id"):
                assert await values(broker.bootstrap, topic) == []
            with pytest.raises(KafkaError):
                await committing
        assert rule.fired == 1

    run(work)


def test_a_commit_whose_reply_is_dropped_has_happened(broker: Broker, proxy: Proxy, topic: str) -> None:
    """With `close` the client finds its connection broken; asked again the broker says the same once more."""

    async def work() -> None:
        rule = proxy.rule("drop_reply", Api.END_TXN, times=1, close=True)
        async with producer(proxy.bootstrap, transactional_id=f"{topic}.id") as sending:
            await sending.begin_transaction()
            await sending.send_and_wait(topic, b"committed")
            committing = asyncio.create_task(sending.commit_transaction())
            await asyncio.to_thread(rule.wait)
            assert await values(broker.bootstrap, topic) == [b"committed"]
            await committing
        assert rule.fired == 1

    run(work)


def test_a_held_commit_comes_later_from_nowhere(broker: Broker, proxy: Proxy, topic: str) -> None:
    """It is sent when the test says so, on a connection of its own, and fenced if another producer came between."""

    async def work() -> None:
        rule = proxy.rule("hold_request", Api.END_TXN, times=1, close=True, where=commits)
        async with producer(proxy.bootstrap, transactional_id=f"{topic}.id") as sending:
            await sending.begin_transaction()
            await sending.send_and_wait(topic, b"held")
            committing = asyncio.create_task(sending.commit_transaction())
            await asyncio.to_thread(rule.wait)
            async with producer(broker.bootstrap, transactional_id=f"{topic}.id") as successor:
                await successor.begin_transaction()
                await successor.send_and_wait(topic, b"open")
                (reply,) = await asyncio.to_thread(proxy.replay, rule)
                assert error_code(reply) in (INVALID_PRODUCER_EPOCH, PRODUCER_FENCED)
                await successor.abort_transaction()
            with pytest.raises(KafkaError):
                await committing
        assert rule.fired == 1
        assert await values(broker.bootstrap, topic) == []

    run(work)


def test_a_lost_produce_reply_makes_no_duplicate(broker: Broker, proxy: Proxy, topic: str) -> None:
    """An idempotent producer sends the batch again, and the broker knows it."""

    async def work() -> None:
        rule = proxy.rule("drop_reply", Api.PRODUCE, times=2, close=True)
        async with producer(proxy.bootstrap) as sending:
            await sending.send_and_wait(topic, b"once")
        assert rule.fired == 2
        assert await values(broker.bootstrap, topic) == [b"once"]

    run(work)


@pytest.mark.parametrize("act", ["delay_request", "delay_reply"])
def test_a_delayed_frame_comes_later(proxy: Proxy, topic: str, act: str) -> None:
    """Not before its time, by the clock that it was sent by."""

    async def work() -> None:
        async with producer(proxy.bootstrap) as sending:
            await sending.send_and_wait(topic, b"at once")
            rule = proxy.rule(act, Api.PRODUCE, seconds=0.3, times=1)
            begun_s = asyncio.get_running_loop().time()
            await sending.send_and_wait(topic, b"late")
            assert asyncio.get_running_loop().time() - begun_s >= 0.3
        assert rule.fired == 1

    run(work)


@pytest.mark.parametrize("act", ["throttle_request", "throttle_reply"])
def test_a_slow_line_carries_so_much_and_no_more(proxy: Proxy, topic: str, act: str) -> None:
    """Three frames of 100 kB take at least 0.6 s at 500 kB/s, whichever way they go; frames keep their order."""

    async def work() -> None:
        loop, records = asyncio.get_running_loop(), [bytes([number]) * 100_000 for number in range(3)]
        with proxy.rule(act, bytes_per_s=500_000) as rule:
            begun_s = loop.time()
            async with producer(proxy.bootstrap) as sending:
                for record in records:
                    await sending.send_and_wait(topic, record)
            assert await values(proxy.bootstrap, topic) == records
            assert loop.time() - begun_s >= 0.6
        assert rule.fired >= 3

    run(work)


@pytest.mark.parametrize(("act", "taken"), [("stall_request", []), ("stall_reply", [b"stalled"])])
def test_a_stalled_line_goes_on_when_it_is_mended(
    broker: Broker, proxy: Proxy, topic: str, act: str, taken: list[bytes]
) -> None:
    """One way only: what the client sends arrives or what the broker answers does, until the rule is removed."""

    async def work() -> None:
        async with producer(proxy.bootstrap, client_id="one") as sending:
            await sending.send_and_wait(topic, b"before")
            with proxy.rule(act, client="one") as rule:
                sent = await sending.send(topic, b"stalled")
                await asyncio.to_thread(rule.wait)
                done, _ = await asyncio.wait([sent], timeout=0.3)
                assert not done
                assert await values(broker.bootstrap, topic) == [b"before", *taken]
            await sent
        assert rule.fired >= 1
        assert await values(broker.bootstrap, topic) == [b"before", b"stalled"]

    run(work)


def test_a_swallowed_direction_ends_in_a_timeout(broker: Broker, proxy: Proxy, topic: str) -> None:
    """While requests are lost the client gives up its connections; afterwards it goes on with new ones."""

    async def work() -> None:
        async with producer(proxy.bootstrap, client_id="one") as sending:
            await sending.send_and_wait(topic, b"before")
            with proxy.rule("drop_request", client="one") as rule:
                sent = await sending.send(topic, b"at last")
                await asyncio.to_thread(rule.wait, 2)
            await sent
        assert await values(broker.bootstrap, topic) == [b"before", b"at last"]

    run(work)


def test_only_the_named_client_is_harmed(proxy: Proxy, topic: str) -> None:
    """A rule for a client leaves the others alone."""

    async def work() -> None:
        with proxy.rule("close_request", client="one") as rule:
            async with producer(proxy.bootstrap, client_id="other") as sending:
                await sending.send_and_wait(topic, b"passes")
            assert rule.fired == 0
            with pytest.raises(KafkaError):
                async with producer(proxy.bootstrap, client_id="one"):
                    pass
            assert rule.fired > 0

    run(work)


def test_a_rule_strikes_after_so_many_and_so_many_times(broker: Broker, proxy: Proxy, topic: str) -> None:
    """`after` frames pass, then `times` are struck, then all pass."""

    async def work() -> None:
        rule = proxy.rule("close_reply", Api.PRODUCE, after=1, times=1)
        async with producer(proxy.bootstrap) as sending:
            await sending.send_and_wait(topic, b"first")
            assert rule.fired == 0
            await sending.send_and_wait(topic, b"second")
            assert rule.fired == 1
            await sending.send_and_wait(topic, b"third")
        assert rule.fired == 1
        assert await values(broker.bootstrap, topic) == [b"first", b"second", b"third"]

    run(work)


def test_a_wrong_bit_in_a_request_is_refused(broker: Broker, proxy: Proxy, topic: str) -> None:
    """The broker's check of the batch finds it, and nothing is written."""

    async def work() -> None:
        rule = proxy.rule("flip_request", Api.PRODUCE, times=1)
        async with producer(proxy.bootstrap) as sending:
            with pytest.raises(CorruptRecordException):
                await sending.send_and_wait(topic, b"harmed")
        assert rule.fired == 1
        assert await values(broker.bootstrap, topic) == []

    run(work)


def test_a_wrong_bit_in_a_reply_is_noticed(broker: Broker, proxy: Proxy, topic: str) -> None:
    """The reader's check of the batch finds it; fetches without records don't count as struck."""

    async def work() -> None:
        async with consumer(proxy.bootstrap, topic) as reading:
            rule = proxy.rule("flip_reply", Api.FETCH, times=1)
            await reading.getmany(timeout_ms=300)
            assert rule.fired == 0
            async with producer(broker.bootstrap) as sending:
                await sending.send_and_wait(topic, b"whole")
            with pytest.raises(CorruptRecordException):
                await reading.getone()
        assert rule.fired == 1
        assert await values(proxy.bootstrap, topic) == [b"whole"]

    run(work)


def test_a_reply_becomes_an_error(proxy: Proxy, topic: str, prefix: str) -> None:
    """As one of OffsetFetch's that isn't a partition's: aiokafka overlooks it, and takes it for no offset."""

    async def work() -> None:
        partition = TopicPartition(topic, 0)
        reading = AIOKafkaConsumer(
            bootstrap_servers=proxy.bootstrap, group_id=f"{prefix}group", enable_auto_commit=False
        )
        await reading.start()
        try:
            reading.assign([partition])
            await reading.commit({partition: 7})
            with proxy.rule("error_reply", Api.OFFSET_FETCH, error=NOT_COORDINATOR) as rule:
                assert await reading.committed(partition) is None
                assert rule.fired == 1
            assert await reading.committed(partition) == 7
        finally:
            await reading.stop()

    run(work)


def test_a_cut_line_breaks_what_there_is_and_lets_nothing_new(broker: Broker, proxy: Proxy, topic: str) -> None:
    """Both are counted; mended, the client comes back."""

    async def work() -> None:
        async with producer(proxy.bootstrap) as sending:
            await sending.send_and_wait(topic, b"before")
            with proxy.rule("cut") as rule:
                broken = rule.fired
                assert broken > 0
                sent = await sending.send(topic, b"after")
                await asyncio.to_thread(rule.wait, broken + 1)
                assert not sent.done()
            await sent
        assert await values(broker.bootstrap, topic) == [b"before", b"after"]

    run(work)


def test_a_flapping_line_loses_nothing_and_doubles_nothing(broker: Broker, proxy: Proxy, topic: str) -> None:
    """An idempotent producer gets everything across, in order, in the moments that the line is up."""

    async def work() -> None:
        records = [str(number).encode() for number in range(50)]
        async with producer(proxy.bootstrap, retry_backoff_ms=20) as sending:
            with proxy.flap(up_seconds=0.3, down_seconds=0.1) as flapping:
                for record in records:
                    await sending.send_and_wait(topic, record)
                await asyncio.to_thread(flapping.wait, 3)
        assert await values(broker.bootstrap, topic) == records

    run(work)


def test_a_connection_without_a_broker_is_reset(topic: str, broker: Broker) -> None:
    """When the broker is away the proxy doesn't pretend: whoever connects is reset."""
    del topic, broker

    async def work() -> None:
        with Proxy(1) as alone:
            reader, writer = await asyncio.open_connection("127.0.0.1", alone.port)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()

    run(work)


def test_what_a_rule_cannot_do_is_told(broker: Broker, topic: str) -> None:
    """A fault that is put in force for requests that it doesn't know is an error of the test, raised at its end."""
    proxy = Proxy(broker.port)
    rule = proxy.rule("flip_request", Api.METADATA, times=1)

    async def work() -> None:
        with pytest.raises(KafkaError):
            async with producer(proxy.bootstrap) as sending:
                await sending.send_and_wait(topic, b"")

    run(work)
    assert rule.fired == 0
    with pytest.raises(AssertionError):
        proxy.close()


def test_frames_are_whole_whatever_their_pieces(broker: Broker, proxy: Proxy) -> None:
    """A request that arrives byte by byte is one request."""
    del broker

    async def work() -> None:
        versions = struct.pack(">hhih", Api.API_VERSIONS, 0, 7, -1)
        with proxy.rule("delay_request", Api.API_VERSIONS, seconds=0) as rule:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            for byte in struct.pack(">i", len(versions)) + versions:
                writer.write(bytes([byte]))
                await writer.drain()
            _, correlation, error = struct.unpack(">iih", await reader.readexactly(10))
            writer.close()
        assert (correlation, error, rule.fired) == (7, 0, 1)

    run(work)
