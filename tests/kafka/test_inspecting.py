"""`shoal events check`: what the workers would make of the input, counted by hand on a small topic."""

import asyncio
import json
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record._crc32c import crc

from tests.kafka.commands import Deployment
from tests.support.kafka.broker import Broker
from worker.kafka.writing import Written


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Deployment:
    """A deployment of the test's own, of three partitions."""
    return Deployment.made(broker, prefix, 3)


def event(name: str | None, user: str = "u-1", key: str | None = "u-1", before_s: float = 0, **more: Any) -> Written:
    """An event that happened some seconds ago."""
    timestamp = int((time.time() - before_s) * 1000)
    kind = {"type": "identify"} if name is None else {"type": "track", "event": name}
    payload = {**kind, "userId": user, "timestamp": timestamp, **more}
    return Written(None if key is None else key.encode(), json.dumps(payload).encode())


def test_each_finding_is_counted(shop: Deployment) -> None:
    """Kinds, unmapped names, reasons, keys, lateness and duplicates of ten records, each put there on purpose."""
    shop.write(shop.settings.events_topic, [
        event("Order Completed", messageId="m-1"),
        event("Order Completed", messageId="m-1"),
        event("Product Viewed", messageId="m-1", user="u-2", key="u-2"),
        event("Wheel Spun", key=None),
        event("Wheel Spun", user="u-3", key="session-9", before_s=3600),
        event("Email Opened"),
        event(None),
        event("Product Added", before_s=-900),
        Written(b"u-1", b'{"type":"page","userId":"u-1","timestamp":"yesterday"}'),
        Written(None, b"nonsense"),
    ])  # fmt: skip
    found = json.loads(shop.shoal("events", "check", "--json").stdout)
    assert (found["read"], found["partitions"], found["definitions"]) == (10, 3, None)
    assert found["kinds"] == {"view": 1, "cart_add": 1, "order": 2, "other": 3, "identify": 1}
    assert found["unmapped"] == {"Wheel Spun": 2}
    assert found["dead_letters"] == {"key_mismatch": 2, "bad_timestamp": 1, "not_json": 1}
    assert found["repaired"] == {"future_timestamp": 1}
    assert (found["key_mismatches"]["count"], found["key_mismatches"]["without_key"]) == (2, 1)
    assert found["timestamp_types"] == {"LogAppendTime": 10}
    late = found["lateness"]
    assert (late["with_time"], late["late_share"], late["future_share"]) == (8, 1 / 8, 1 / 8)
    assert late["p99_seconds"] > 3000
    assert found["duplicates"] == {"by_message_id": 1, "without_message_id": 4}


def test_people_are_told_the_same(shop: Deployment) -> None:
    """And what to do about keys; a name that a terminal would obey is spelt out."""
    shop.write(shop.settings.events_topic, [event("Wheel \x1b[31mSpun", key="k"), event("Order Completed")])
    told = shop.shoal("events", "check").stdout
    assert "'Wheel \\x1b[31mSpun'" in told
    assert "1 keys aren't the user's id (0 of them absent" in told
    assert "shoal rekey" in told
    assert "  key_mismatch" in told


def test_only_the_last_records_are_looked_at(shop: Deployment) -> None:
    """So many over all partitions; a partition with few leaves the others more."""
    shop.write(shop.settings.events_topic, [event("Old", user=f"u-{n}", key=f"u-{n}") for n in range(60)])
    shop.write(shop.settings.events_topic, [event("Order Completed", user=f"u-{n}", key=f"u-{n}") for n in range(60)])
    found = json.loads(shop.shoal("events", "check", "--sample", "30", "--json").stdout)
    assert (found["read"], found["kinds"]) == (30, {"order": 30})
    assert json.loads(shop.shoal("events", "check", "--json").stdout)["read"] == 120
    shop.write(shop.settings.events_topic, [event("New")] * 200)
    assert json.loads(shop.shoal("events", "check", "--sample", "260", "--json").stdout)["read"] == 260


def test_an_empty_topic_has_nothing_to_tell(shop: Deployment) -> None:
    """No division by nothing, in either form."""
    assert json.loads(shop.shoal("events", "check", "--json").stdout)["read"] == 0
    assert shop.shoal("events", "check").stdout.startswith("0 records of ")


def test_a_header_that_no_client_can_read_is_a_sentence(shop: Deployment) -> None:
    """Status 1 and where it is, instead of the same error over and over."""

    async def spoil() -> None:
        async with AIOKafkaProducer(bootstrap_servers=shop.settings.bootstrap_servers) as producing:
            batch = producing.create_batch()
            batch.append(key=b"u-1", value=b"{}", timestamp=1, headers=[("name", b"")])
            spoilt = bytearray(batch._build()).replace(b"name", b"\xff\xff\xff\xff")
            spoilt[17:21] = crc(bytes(spoilt[21:])).to_bytes(4, "big")
            batch._buffer = spoilt
            await (await producing.send_batch(batch, shop.settings.events_topic, partition=1))

    asyncio.run(spoil())
    told = shop.shoal("events", "check", status=1).stderr
    assert told.startswith(f"A record in {shop.settings.events_topic} 1 has a header name that isn't UTF-8")
