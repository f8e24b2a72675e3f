"""`shoal rekey`: a topic copied under its users' ids, each record exactly once, whatever happens to the process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from tests.kafka.commands import Deployment
from tests.support.kafka.broker import Broker
from worker.kafka import clients
from worker.kafka.writing import Written, partition_of

EVENTS = 12_000
TOGETHER = 100  # records of a transaction, so that a kill falls between many
KILLS = 4
WAIT_SECONDS_MAX = 120


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Deployment:
    """A deployment of the test's own, with topics to copy from and to: three partitions, four, and producers' times."""
    made = Deployment.made(broker, prefix, 3)

    async def create() -> None:
        kept = {"retention.ms": "-1"}  # the records say they are old
        counts = {f"{prefix}raw": 3, f"{prefix}copy": 4}
        async with clients.admin(made.settings) as admin:
            await admin.create_topics([NewTopic(name, count, 1, topic_configs=kept) for name, count in counts.items()])
            there: set[str] = set()
            while not counts.keys() <= there:  # what is made is seen a moment later
                there = set(await admin.list_topics())

    asyncio.run(create())
    return made


def raw(count: int, first: int = 0) -> list[Written]:
    """Events keyed by session, of 50 users, with headers and times of their own; each has its number in it."""
    events = []
    for number in range(first, first + count):
        payload = b'{"type":"page","userId":"u-%d","number":%d}' % (number % 50, number)
        events.append(Written(b"s-%d" % (number % 7), payload, 1_700_000_000_000 + number, [("n", b"%d" % number)]))
    return events


def named(shop: Deployment) -> tuple[str, str, list[str]]:
    """The source, the target, and the command that copies one to the other."""
    source, target = f"{shop.settings.topic_prefix}raw", f"{shop.settings.topic_prefix}copy"
    return source, target, ["rekey", "--from", source, "--to", target]


def copying(shop: Deployment, *options: str) -> subprocess.Popen[str]:
    """The command in a process of its own, with small transactions."""
    command = [sys.executable, "-m", "worker", *shop.arguments(*named(shop)[2], *options)]
    environment = {**os.environ, "SHOAL_BATCH_RECORDS_MAX": str(TOGETHER)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_until_copied(shop: Deployment, more_than: int, process: subprocess.Popen[str]) -> int:
    """Wait until the target has more records than that; return how many it has."""
    given_up = time.monotonic() + WAIT_SECONDS_MAX
    while process.poll() is None and time.monotonic() < given_up:
        if (count := len(shop.read(named(shop)[1]))) > more_than:
            return count
    process.kill()
    raise AssertionError(f"not more than {more_than} were copied: {process.communicate()}")


def seen(records: list[Any]) -> Counter[tuple[Any, ...]]:
    """Each record as (key, value, time, headers), counted."""
    return Counter((record.key, record.value, record.timestamp, tuple(record.headers)) for record in records)


def rightly_keyed(events: list[Written]) -> Counter[tuple[Any, ...]]:
    """The same of what should have come of these events."""
    return Counter(
        (b"u-%d" % (int(event.headers[0][1]) % 50), event.value, event.timestamp_ms, tuple(event.headers))
        for event in events
    )


def test_killed_over_and_over_it_copies_each_record_exactly_once(shop: Deployment) -> None:
    """Ended by kill -9 amid transactions, run again to the end: every record once, under its user's id, as it was."""
    source, target, _ = named(shop)
    events = raw(EVENTS)
    shop.write(source, events)
    copied = 0
    for _ in range(KILLS):
        process = copying(shop)
        copied = wait_until_copied(shop, copied, process)
        process.kill()
        process.communicate()
        assert copied < EVENTS, "it was done before it was killed: copy more"
    finished = copying(shop)
    out, errors = finished.communicate(timeout=300)
    assert (finished.returncode, errors) == (0, "")
    assert 0 < int(out.split()[0].replace(",", "")) < EVENTS
    records = shop.read(target)
    assert seen(records) == rightly_keyed(events)
    assert all(record.partition == partition_of(record.key, 4) for record in records)
    for partition in range(4):
        times = [record.timestamp for record in records if record.partition == partition]
        assert times == sorted(times), "a user's events lay in several partitions, and lost their order"


def test_what_came_since_is_copied_by_the_next_run(shop: Deployment) -> None:
    """And a run with nothing to do copies nothing."""
    source, target, command = named(shop)
    shop.write(source, raw(100))
    assert shop.shoal(*command).stdout.startswith("100 records copied")
    assert shop.shoal(*command).stdout.startswith("0 records copied")
    shop.write(source, raw(50, first=100))
    assert shop.shoal(*command).stdout.startswith("50 records copied")
    assert seen(shop.read(target)) == rightly_keyed(raw(150))


def test_a_record_without_a_readable_user_keeps_its_key(shop: Deployment) -> None:
    """Also one without any key or value; each is counted."""
    source, target, command = named(shop)
    odd = [Written(b"s-1", b"nonsense", 7), Written(None, b"{}", 8), Written(b"s-2", None, 9), Written(None, None, 10)]
    shop.write(source, odd)
    assert "4 without a readable user" in shop.shoal(*command).stdout
    assert seen(shop.read(target)) == Counter((key, value, at, ()) for key, value, at, *_ in odd)


def test_it_follows_until_it_is_told_to_stop(shop: Deployment) -> None:
    """What comes later is copied too; SIGTERM ends it with status 0."""
    source, target, _ = named(shop)
    shop.write(source, raw(10))
    process = copying(shop, "--follow")
    assert wait_until_copied(shop, 9, process) == 10
    shop.write(source, raw(10, first=10))
    assert wait_until_copied(shop, 19, process) == 20
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert out.startswith("20 records copied")
    assert seen(shop.read(target)) == rightly_keyed(raw(20))


def test_a_second_copy_of_the_same_topics_stops_the_first(shop: Deployment) -> None:
    """The first is told why, and nothing is there twice."""
    source, target, command = named(shop)
    shop.write(source, raw(EVENTS))
    first = copying(shop, "--follow")
    wait_until_copied(shop, 0, first)
    shop.shoal(*command)
    shop.write(source, raw(100, first=EVENTS))
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "unless another copy of the same topics has begun" in errors
    assert errors.count("\n") == 1
    shop.shoal(*command)
    assert seen(shop.read(target)) == rightly_keyed(raw(EVENTS + 100))


def test_nothing_is_guessed(shop: Deployment) -> None:
    """A target with records of somebody else's, records that went before their time, a topic onto itself: sentences."""
    source, target, command = named(shop)
    shop.write(source, raw(30))
    shop.write(target, [Written(b"x", b"y")])
    assert "name an empty topic" in shop.shoal(*command, status=2).stderr
    assert "onto itself" in shop.shoal("rekey", "--from", source, "--to", source, status=2).stderr
    assert "no topic nowhere" in shop.shoal("rekey", "--from", "nowhere", status=1).stderr
    assert shop.shoal("rekey", "--from", source).stdout.startswith("30 records copied")
    shop.write(source, [event._replace(partition=0) for event in raw(10, first=30)])
    end = max(record.offset for record in shop.read(source) if record.partition == 0) + 1

    async def delete() -> None:
        async with clients.admin(shop.settings) as admin:
            await admin.delete_records({TopicPartition(source, 0): RecordsToDelete(end - 4)})

    asyncio.run(delete())
    assert "Retention took 6 records" in shop.shoal("rekey", "--from", source, status=1).stderr
    assert len(shop.read(shop.settings.events_topic)) == 30
