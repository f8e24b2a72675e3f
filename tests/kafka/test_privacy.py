"""`shoal erase` and `shoal export` on a real broker: a user goes from everywhere, and stays gone whatever dies."""

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import TOPICS
from tests.kafka.commands import Deployment as Commands
from tests.kafka.commands import Done
from tests.kafka.working import wait_until
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import SECONDS_MAX, Deployment
from worker.core.pseudonyms import Pseudonyms
from worker.kafka import writing
from worker.kafka.writing import Written

USER = "u-secret"
ONLY_HERS = ("zanzibar", "p-only-hers", "category-only-hers", "p-seen-once")
KEY = "sixteen letters or more"
PARTITIONS = 3
NOW_MS = time.time_ns() // 1_000_000
SIGKILL = -9
DEFINITIONS: dict[str, Any] = {
    "version": 1,
    "traits": ["country"],
    "segments": [
        {"id": "cart", "enter": "cart_items > 0"},
        {"id": "away", "enter": 'trait("country") != "DE"'},
        {"id": "likely", "enter": 'probability("buy") > 0.5'},
    ],
    "targets": [{"id": "buy", "positive": "order", "horizon": "7d"}],
    "campaigns": [{"id": "later", "trigger": {"entered": "cart"}, "channel": "email", "delay": "30d"}],
}
COMPACTED = [topic.name for topic in TOPICS if topic.cleanup == "compact"]
EAGER = {
    "segment_ms": "300", "min_cleanable_dirty_ratio": "0.01", "delete_retention_ms": "0", "max_compaction_lag_ms": "300"
}  # fmt: skip


def event(user: str, before_ms: int, name: str, **properties: Any) -> bytes:
    """An event, so long before now."""
    told = {"type": "identify", "traits": properties} if name == "identify" else {"event": name}
    record = {"type": "track", "userId": user, "timestamp": NOW_MS - before_ms, "properties": properties, **told}
    if name == "identify":
        del record["properties"]
    return json.dumps(record).encode()


def life(user: str, at_ms: int, *texts: str) -> list[bytes]:
    """What somebody does within a second: a trait, a product seen and forgotten, a cart."""
    country, product, category, seen = texts
    return [
        event(user, at_ms, "identify", country=country, consent={"email": True}),
        event(user, at_ms - 1, "Product Viewed", product_id=seen, category=category),
        *(event(user, at_ms - 2 - n, "Product Viewed", product_id=f"p-{n}") for n in range(6)),
        event(user, at_ms - 20, "Product Added", product_id=product, category=category, price=3),
    ]


def write(shop: Deployment, partition: int, payloads: Iterable[bytes], user: str = USER) -> None:
    """Write records to a partition of somebody's choice, as a producer with a partitioner of its own does."""

    async def ask() -> None:
        async with writing.started(shop.settings) as producing:
            made = [Written(user.encode(), payload, partition=partition) for payload in payloads]
            await writing.write(producing, shop.settings.events_topic, PARTITIONS, made)

    asyncio.run(ask())


def others(shop: Deployment, at_ms: int) -> None:
    """Let others do things, in every partition."""
    for partition in range(PARTITIONS):
        for number in range(4):
            name = f"o-{partition}-{number}"
            bought = event(name, at_ms - 30, "Order Completed", order_id=f"o-{at_ms}", total=3)
            write(shop, partition, [*life(name, at_ms, "FR", "p-1", "shoes", "p-2"), bought], name)


def made(broker: Broker, prefix: str) -> Deployment:
    """A deployment whose user is in two partitions."""
    shop = Deployment(broker, prefix, partitions=PARTITIONS, definitions=DEFINITIONS, pseudonym_key=KEY)
    others(shop, 9_000_000)
    for partition in (0, 2):
        write(shop, partition, life(USER, 8_000_000, *ONLY_HERS))
    others(shop, 1_000_000)
    return shop


def shoal(shop: Deployment, *arguments: str | Path, status: int = 0) -> Done:
    """Run a command against it."""
    return Commands(shop.settings).shoal(*arguments, status=status)


def receipts(shop: Deployment) -> list[dict[str, Any]]:
    """The receipts there are."""
    return [json.loads(record.value) for record in shop.read("receipts")]


def found(shop: Deployment, topics: Sequence[str], texts: Iterable[str]) -> dict[str, set[str]]:
    """Which of the texts are in which of the topics, read from the start: in a key or a value."""
    wanted = [text.encode() for text in texts]
    seen: dict[str, set[str]] = {}
    for name, records in shop.read_together(topics).items():
        for record in records:
            held = (record.key or b"") + b"\0" + (record.value or b"")
            seen.setdefault(name, set()).update(text.decode() for text in wanted if text in held)
    return {name: held for name, held in seen.items() if held}


def test_nothing_of_an_erased_user_is_in_a_compacted_topic(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Erased while everything runs, with receipts; exported before; and the others are as one engine has them.

    The state, the memberships and what was learnt are read from their starts, after compaction: neither her id nor a
    text that only she had is there. What she does later begins anew.
    """
    with made(broker, prefix) as shop:
        for topic in COMPACTED:
            meddling.configure(shop, topic, **EAGER)
        shop.start_worker("worker")
        shop.start_worker("trainer", role="trainer", trainer_commit_interval_ms=50)
        shop.wait_until_read()
        assert found(shop, ["state", "memberships"], [USER, *ONLY_HERS])["state"] == {USER, *ONLY_HERS}

        file = tmp_path / "export.json"
        shoal(shop, "export", USER, "--out", file, "--by", "dpo@shop.example")
        exported = json.loads(file.read_text(encoding="utf-8"))
        assert (file.stat().st_mode & 0o777, exported["complete"]) == (0o600, True)
        assert [part["partition"] for part in exported["partitions"]] == [0, 2]
        columns = exported["partitions"][0]["columns"]
        assert (columns["trait_text:country"], columns["cart_ids"][0]) == ("zanzibar", "p-only-hers")
        assert columns["since:cart_add"] is not None

        wait_until(lambda: shop.read("learner-state") != [], "the trainer keeps nothing")
        said = json.loads(shoal(shop, "erase", USER, "--by", "dpo@shop.example", "--json").stdout)
        assert (said["complete"], said["found"], said["silent"]) == (True, True, [])
        erased = {(each["role"], each["partition"]): each for each in said["receipts"]}
        assert [erased["worker", number]["found"] for number in range(PARTITIONS)] == [True, False, True]
        removed = erased["worker", 0]["removed"]
        assert [removed[name] for name in ("segments", "triggers", "samples")] == [2, 1, 1]
        assert removed["texts"] >= len(ONLY_HERS)
        assert removed["state_bytes"] > 0
        assert erased["trainer", 0]["not_unlearned"] != []
        for each in said["receipts"]:
            assert (each["subject"], each["key_version"]) == (Pseudonyms({1: KEY.encode()}).of(USER), 1)
            assert each["requested_by"] == "dpo@shop.example"
        assert {entry["topic"] for entry in erased["worker", 0]["kept"]} >= {f"{prefix}events", f"{prefix}commands"}
        assert len(receipts(shop)) == PARTITIONS + PARTITIONS + 1  # the export's, the erasure's and the trainer's

        others(shop, 500_000)
        shop.wait_until_read()
        check(shop)
        wait_until_compacted(shop)
        assert found(shop, COMPACTED, [USER, *ONLY_HERS]) == {}
        assert found(shop, ["state"], ["o-0-1"]) == {"state": {"o-0-1"}}

        write(shop, 0, life(USER, 700_000, *ONLY_HERS))  # stamped before the erasure
        shop.wait_until_read()
        assert found(shop, ["state", "memberships"], [USER, *ONLY_HERS]) == {}
        write(shop, 1, [event(USER, -3_600_000, "Product Added", product_id="p-1", price=1)])
        shop.wait_until_read()
        check(shop)
        assert found(shop, ["state", "memberships"], [USER, *ONLY_HERS]) == {"state": {USER}, "memberships": {USER}}
        assert "version 1 of the pseudonym key" in shoal(shop, "verify", status=2).stderr
        monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
        verified = json.loads(shoal(shop, "verify", "--json").stdout)
        assert (verified["same"], verified["different"]) == (PARTITIONS * 4 + 1, 0)


def wait_until_compacted(shop: Deployment) -> None:
    """Keep the topics turning until what was replaced or deleted is gone from them."""
    deadline = time.monotonic() + SECONDS_MAX
    at_ms = 400_000
    while found(shop, COMPACTED, [USER, *ONLY_HERS]):
        assert time.monotonic() < deadline, found(shop, COMPACTED, [USER, *ONLY_HERS])
        at_ms -= 1_000
        others(shop, at_ms)
        time.sleep(0.4)


def test_an_erasure_outlives_kills_and_a_lost_state(broker: Broker, prefix: str) -> None:
    """Asked for while nobody runs, killed at it, done by the next; later the state is lost, and the commands with it.

    Then the input is read from its start: she was suppressed, and stays so by the receipts that are left.
    """
    with made(broker, prefix) as shop:
        first = shop.start_worker("first")
        shop.wait_until_read()
        assert first.stop() == 0
        told = shoal(shop, "erase", USER, "--suppress", "--wait", "0.5", status=1).stderr
        assert "partition 0, partition 1, partition 2" in told
        killed = shop.start_worker("killed", fault="B5:1:kill")
        assert killed.wait_until_ended() == SIGKILL
        second = shop.start_worker("second")
        wait_until(lambda: len(receipts(shop)) == PARTITIONS, "not every partition gives its receipt")
        write(shop, 2, [event(USER, -3_600_000, "Product Added", product_id="p-1", price=1)])
        shop.wait_until_read()
        check(shop)
        assert [each["suppress"] for each in receipts(shop)] == [True] * PARTITIONS
        assert second.stop() == 0

        for topic in ("state", "commands"):
            meddling.delete_topic(shop, topic)
        meddling.make_again(shop)
        meddling.delete_group(shop)
        before = shop.ends("segment-changes", "read_committed")
        shop.start_worker("third")
        shop.wait_until_read()
        assert found(shop, ["state"], [USER, *ONLY_HERS]) == {}
        later = [record for record in shop.read("segment-changes") if record.offset >= before[record.partition]]
        assert {record.key for record in later} == {f"o-{p}-{n}".encode() for p in range(PARTITIONS) for n in range(4)}


def test_a_worker_without_the_key_of_an_erasure_stops(broker: Broker, prefix: str) -> None:
    """It could not keep to the erasure; with the key among those before it goes on."""
    with made(broker, prefix) as shop:
        first = shop.start_worker("first")
        shop.wait_until_read()
        shoal(shop, "erase", USER)
        assert first.stop() == 0
        other = shop.start_worker("other", pseudonym_key="another one of sixteen")
        said = other.wait_for("version 1 of the pseudonym key")
        assert "SHOAL_PSEUDONYM_KEYS_BEFORE" in said["event"]
        assert other.stop() == 0
        second = "another one of sixteen"
        shop.start_worker("both", pseudonym_key=second, pseudonym_key_version=2, pseudonym_keys_before=f"1:{KEY}")
        write(shop, 0, life(USER, 700_000, *ONLY_HERS))
        wait_until(lambda: shop.committed()[0][0] == shop.end_of_input(0), "it doesn't go on")
        assert found(shop, ["memberships"], ["nobody-else"]) == {}


ANONYMOUS, LONG = "anon:a-1", "\u00fc" * 128  # 256 bytes of UTF-8


def test_whoever_it_is_goes_however_often_it_is_asked(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Several at once while nobody runs, one of them twice, one whom nobody knows; then one during a backfill.

    An anonymous user is erased under the name that memberships has for her, not under her record's key.
    """
    with Deployment(broker, prefix, partitions=PARTITIONS, definitions=DEFINITIONS, pseudonym_key=KEY) as shop:
        others(shop, 9_000_000)
        visits = [payload.replace(b'"userId"', b'"anonymousId"') for payload in life("a-1", 8_000_000, *ONLY_HERS)]
        write(shop, 0, visits, "a-1")
        write(shop, 1, life(LONG, 8_000_000, *ONLY_HERS), LONG)
        others(shop, 1_000_000)
        worker = shop.start_worker("first")
        shop.wait_until_read()
        assert worker.stop() == 0
        for user in ("a-1", ANONYMOUS, LONG, LONG, "unknown"):
            shoal(shop, "erase", user, "--wait", "0.1", status=1)
        worker = shop.start_worker("second", slice_users_max=1)
        wait_until(lambda: len(receipts(shop)) == 5 * PARTITIONS, "not every partition gives its receipts")
        known = [(each["subject"], each["partition"]) for each in receipts(shop) if each["found"]]
        pseudonym = Pseudonyms({1: KEY.encode()}).of
        assert sorted(known) == sorted([(pseudonym(ANONYMOUS), 0), (pseudonym(LONG), 1)])
        write(shop, 0, visits, "a-1")
        write(shop, 1, life(LONG, 700_000, *ONLY_HERS), LONG)
        viewer = {"id": "viewer", "enter": "views_total > 0"}
        shop.publish({**DEFINITIONS, "version": 2, "segments": [*DEFINITIONS["segments"], viewer]})
        told = shoal(shop, "erase", "o-1-2").stdout
        assert "yes" in told
        assert "anon:" not in told
        assert "known as anon:" in shoal(shop, "erase", "nobody").stdout
        file = tmp_path / "export.json"
        assert "0 of 3 partitions know something" in shoal(shop, "export", ANONYMOUS, "--out", file).stdout
        shop.wait_until_read()
        here = [shop.state(partition).finish() for partition in range(PARTITIONS)]
        kept = {user for engine, _ in filter(None, here) for user in engine.users.slots}
        assert kept == {f"o-{p}-{n}" for p in range(PARTITIONS) for n in range(4)} - {"o-1-2"}
        assert worker.stop() == 0
        check(shop)


@pytest.mark.parametrize("user", ["", "u" * 257, "\u00fc" * 129, "\udcff"])
def test_what_is_no_user_id_is_told(broker: Broker, prefix: str, user: str) -> None:
    """Status 2, and nothing is asked."""
    shop = Commands.made(broker, prefix)
    for arguments in (["erase"], ["export"], ["explain", "--live"]):
        assert "is no user id" in shop.shoal(*arguments, user, status=2).stderr
    assert shop.read(shop.settings.topic("commands")) == []
