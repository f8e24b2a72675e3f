"""`shoal dead-letters list|redrive`: originals go back whole, into their partition, and none is lost unseen."""

import asyncio
import json
from collections import Counter

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.outputs import PAYLOAD_KEPT
from tests.kafka.commands import Deployment
from tests.support.kafka.broker import Broker
from worker.kafka import clients
from worker.kafka.writing import Written, partition_of

SPUN = b'{"type":"page","userId":"u-1","timestamp":"yesterday"}'
LONG = b'{"type":"page","userId":"u-1","timestamp":"' + b"x" * 2 * PAYLOAD_KEPT + b'"}'
KEYED = b'{"type":"page","userId":"u-5"}'
SPOILT = b'{"type":"page","userId":"\xff"}'


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Deployment:
    """A deployment of the test's own, of three partitions."""
    return Deployment.made(broker, prefix, 3)


def refuse(shop: Deployment, *refused: tuple[str, Written]) -> None:
    """Write records to partition 1 of the input, and the dead letters that workers would make of them."""
    already = sum(record.partition == 1 for record in shop.read(shop.settings.events_topic))
    shop.write(shop.settings.events_topic, [record._replace(partition=1) for _, record in refused])
    letters = []
    for offset, (reason, record) in enumerate(refused, start=already):
        payload = (record.value or b"")[:PAYLOAD_KEPT].decode("utf-8", "replace")
        place = {"topic": shop.settings.events_topic, "partition": 1, "offset": offset}
        letters.append(
            Written(record.key, json.dumps({"reason": reason, **place, "payload": payload}).encode(), partition=1)
        )
    shop.write(shop.settings.topic("dead-letters"), letters)


def again(shop: Deployment, already: int) -> Counter[tuple[int, bytes | None, bytes | None]]:
    """What has been written to the input after its first so many records: partition, key and value."""
    records = sorted(shop.read(shop.settings.events_topic), key=lambda record: (record.timestamp, record.offset))
    return Counter((record.partition, record.key, record.value) for record in records[already:])


def forget(shop: Deployment, before: int) -> None:
    """Let retention take the records of partition 1 before an offset."""

    async def delete() -> None:
        async with clients.admin(shop.settings) as admin:
            await admin.delete_records({TopicPartition(shop.settings.events_topic, 1): RecordsToDelete(before)})

    asyncio.run(delete())


def test_originals_go_back_whole_under_their_keys(shop: Deployment) -> None:
    """Into the partition they came from, longer than a letter or not UTF-8; a wrong key becomes the user's."""
    refused = [("bad_timestamp", Written(b"u-1", SPUN, None, [("a", b"1")])), ("bad_timestamp", Written(b"u-1", LONG)),
               ("not_json", Written(None, SPOILT)), ("key_mismatch", Written(b"session-9", KEYED))]  # fmt: skip
    refuse(shop, *refused)
    assert shop.shoal("dead-letters", "redrive").stdout.startswith("4 records went back")
    back = [(1, b"u-1", SPUN), (1, b"u-1", LONG), (1, None, SPOILT), (partition_of(b"u-5", 3), b"u-5", KEYED)]
    assert again(shop, 4) == Counter(back)
    assert [record.headers for record in shop.read(shop.settings.events_topic) if record.value == SPUN] == [
        (("a", b"1"),)
    ] * 2


def test_where_a_run_ended_the_next_begins(shop: Deployment) -> None:
    """Only letters of the reason, from the printed offsets on."""
    refuse(shop, ("bad_timestamp", Written(b"u-1", SPUN)), ("not_json", Written(b"u-1", b"{")))
    said = shop.shoal("dead-letters", "redrive", "--reason", "not_json").stdout
    assert said.startswith("1 records went back")
    rest = said.partition("from now on: ")[2].split()
    assert "1:2" in rest
    refuse(shop, ("not_json", Written(b"u-1", b"}")))
    assert shop.shoal("dead-letters", "redrive", *rest).stdout.startswith("1 records went back")
    values = [record.value for record in shop.read(shop.settings.events_topic)]
    assert sorted(values) == sorted([SPUN, b"{", b"{", b"}", b"}"])


def test_what_retention_took_is_told(shop: Deployment) -> None:
    """A letter that is whole stands in for its original; one that isn't is a loss, named, and status 1."""
    refuse(shop, ("bad_timestamp", Written(b"u-1", SPUN)), ("bad_timestamp", Written(b"u-1", LONG)),
           ("not_json", Written(b"u-1", SPOILT)), ("not_json", Written(b"u-1", b"{")))  # fmt: skip
    forget(shop, 3)
    with_loss = shop.shoal("dead-letters", "redrive", status=1)
    assert with_loss.stderr.startswith("2 records are lost")
    topic = shop.settings.events_topic
    assert f"{topic} 1:0 is gone: its dead letter's payload went instead" in with_loss.stdout
    assert f"{topic} 1:1 is lost" in with_loss.stdout
    assert f"{topic} 1:2 is lost" in with_loss.stdout
    assert again(shop, 1) == Counter([(1, b"u-1", b"{"), (1, b"u-1", SPUN)])


def test_a_record_at_the_place_of_another_is_not_taken_for_it(shop: Deployment) -> None:
    """A topic made anew has other records at the same offsets: the letter's own payload goes."""
    refuse(shop, ("bad_timestamp", Written(b"u-1", SPUN)))
    letter = {"reason": "not_json", "topic": shop.settings.events_topic, "partition": 1, "offset": 0, "payload": "{"}
    shop.write(shop.settings.topic("dead-letters"), [Written(b"u-1", json.dumps(letter).encode())])
    told = shop.shoal("dead-letters", "redrive", "--reason", "not_json").stdout
    assert "is gone: its dead letter's payload went instead" in told
    assert again(shop, 1) == Counter([(1, b"u-1", b"{")])


def test_the_newest_letters_are_listed_and_all_are_counted(shop: Deployment) -> None:
    """By reason; for people a line with the place and how the record begins."""
    assert "There are no dead letters" in shop.shoal("dead-letters", "list").stdout
    refuse(shop, *[("bad_timestamp", Written(b"u-1", SPUN))] * 3, ("not_json", Written(b"u-1", b'{"a":\x1b')))
    found = json.loads(shop.shoal("dead-letters", "list", "--limit", "2", "--json").stdout)
    assert found["reasons"] == {"bad_timestamp": 3, "not_json": 1}
    assert [letter["offset"] for letter in found["dead_letters"]] == [3, 2]
    text = shop.shoal("dead-letters", "list", "--reason", "not_json").stdout
    assert f"not_json  {shop.settings.events_topic} 1:3" in text
    assert "\\x1b" in text
    assert "the nearest is not_json" in shop.shoal("dead-letters", "list", "--reason", "no_json", status=2).stderr
    assert "no partition 9" in shop.shoal("dead-letters", "redrive", "--from-offset", "9:0", status=2).stderr
    assert "such as 0:1200" in shop.shoal("dead-letters", "redrive", "--from-offset", "all", status=2).stderr
