"""Records that nobody expected: of every kind that can't be understood, and of some that only look so.

The rule: every one is applied, counted as a duplicate, or a dead letter with the first reason that applies; none stops
the stream, and what a record says comes out as it went in. One worker reads everything that these tests write.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.consumer import fetcher

from schemas.outputs import PAYLOAD_KEPT
from tests.support.kafka import meddling
from tests.support.kafka.batches import CODECS, batch, produce
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import Deployment, events
from tests.support.streams import START_MS
from worker.kafka import wire
from worker.kafka.writing import partition_of

PARTITIONS = 2
DEFINITIONS = {
    "version": 1,
    "segments": [
        {"id": "viewer", "enter": "views_total >= 3"},
        {"id": "buyer", "enter": "spend_total > 0"},
        {"id": "cart_abandoner", "enter": "cart_items > 0 and time_since_cart_add >= 30m"},
    ],
    "campaigns": [{"id": "cart_reminder", "trigger": {"entered": "cart_abandoner"}, "channel": "email"}],
}
LATER_MS = START_MS + 30 * 86_400_000


@pytest.fixture(scope="module")
def shop(broker: Broker) -> Iterator[Deployment]:
    """A deployment whose worker has something to go on from; the checker looks when all tests are done."""
    strict, fetcher.MemoryRecords = fetcher.MemoryRecords, wire._Records
    try:
        with Deployment(broker, "data.", partitions=PARTITIONS, definitions=DEFINITIONS) as deployment:
            deployment.feed(events(1, 100))
            worker = deployment.start_worker()
            deployment.wait_until_read()
            yield deployment
            assert worker.stop() == 0
            check(deployment, words=NAUGHTY)
    finally:
        fetcher.MemoryRecords = strict


def event(user: str = "u-1", name: str = "Product Viewed", **members: Any) -> dict[str, Any]:
    """A track event; a member of None is left out."""
    whole = {"type": "track", "event": name, "userId": user, "timestamp": LATER_MS, "properties": {}, **members}
    return {member: value for member, value in whole.items() if value is not None}


def nested(depth: int) -> bytes:
    """An event of so many levels."""
    return TEXT.replace(b"{}", b'{"a": ' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}")


Poison = tuple[str | None, bytes | None, bytes | dict[str, Any] | None]  # reason, key, value
TEXT = json.dumps(event()).encode()
POISON: dict[str, Poison] = {
    "no value": ("not_json", b"u-1", None),
    "an empty value": ("not_json", b"u-1", b""),
    "white space": ("not_json", b"u-1", b" \n"),
    "half a record": ("not_json", b"u-1", TEXT[:-1]),
    "two records": ("not_json", b"u-1", TEXT + TEXT),
    "no UTF-8": ("not_json", b"u-1", TEXT.replace(b"{}", b'{"a": "\xff"}')),
    "UTF-16": ("not_json", b"u-1", TEXT.decode().encode("utf-16")),
    "NaN": ("not_json", b"u-1", TEXT.replace(b"{}", b'{"a": NaN}')),
    "a raw tab in a text": ("not_json", b"u-1", TEXT.replace(b"{}", b'{"a": "\t"}')),
    "an unknown escape": ("not_json", b"u-1", TEXT.replace(b"{}", rb'{"a": "\x41"}')),
    "a comma too many": ("not_json", b"u-1", TEXT.replace(b"{}", b'{"a": 1,}')),
    "a number with a leading zero": ("not_json", b"u-1", TEXT.replace(b"{}", b'{"a": 01}')),
    "a comment": ("not_json", b"u-1", TEXT.replace(b"{}", b"{/* */}")),
    "a list": ("not_an_object", b"u-1", b"[" + TEXT + b"]"),
    "a number": ("not_an_object", b"u-1", b"17"),
    "null": ("not_an_object", b"u-1", b"null"),
    "a megabyte": ("too_large", b"u-1", TEXT.replace(b"{}", b'{"a": "' + b"x" * 900_000 + b'"}')),
    "fifty thousand open lists": ("too_deep", b"u-1", b"[" * 50_000),
    "one level too many": ("too_deep", b"u-1", nested(33)),
    "another type": ("bad_type", b"u-1", event(type="group")),
    "nobody": ("missing_user", b"u-1", event(userId=None)),
    "a user who is a number": ("bad_user", b"17", event(userId=17)),
    "a user who would be anonymous": ("bad_user", b"anon:1", event("anon:1")),
    "a user too long": ("bad_user", b"x" * 257, event("x" * 257)),
    "half a character": ("bad_user", b"u-1", event("\ud800")),
    "no key": ("key_mismatch", None, event()),
    "an empty key": ("key_mismatch", b"", event()),
    "another's key": ("key_mismatch", b"u-2", event()),
    "no event": ("missing_event", b"u-1", event(event=None)),
    "no time": ("bad_timestamp", b"u-1", event(timestamp=None)),
    "yesterday": ("bad_timestamp", b"u-1", event(timestamp="yesterday")),
    "the 30th of February": ("bad_timestamp", b"u-1", event(timestamp="2026-02-30T00:00:00Z")),
    "the year 9999": ("timestamp_out_of_range", b"u-1", event(timestamp="9999-12-31T23:59:59Z")),
    "properties in a list": ("bad_field", b"u-1", event(properties=[])),
    "an anonymous visitor": (None, b"a-1", event(userId=None, anonymousId="a-1")),
    "the last level": (None, b"u-1", nested(32)),
    "every escape": (None, b"u-1", TEXT.replace(b"{}", rb'{"a": "\u0000\ud83d\ude00\/\b\f\n\r\t\"\\"}')),
    "numbers without end": (None, b"u-1", TEXT.replace(b"{}", b'{"a": [1e400, -0.0, 9223372036854775808, 1E-400]}')),
    "an amount without end": (None, b"u-1", event(name="Order Completed", properties={"total": 10**400})),
    "seconds for milliseconds": (None, b"u-1", event(timestamp=LATER_MS // 1000)),
    "a moment before the epoch": (None, b"u-1", event(timestamp=-1)),
    "a member twice": (None, b"u-1", TEXT.replace(b'"properties"', b'"properties": 1, "properties"')),
}


def bytes_of(value: bytes | dict[str, Any] | None) -> bytes | None:
    """The value as it is written."""
    return json.dumps(value).encode() if isinstance(value, dict) else value


def test_every_kind_of_poison_is_a_dead_letter_with_its_reason(shop: Deployment) -> None:
    """And what only looks like it is applied; each dead letter names the record, and has its key."""
    shop.feed([(b"u-1", TEXT)])  # the partition clock is where these records are
    names = random.Random(1).sample(list(POISON), len(POISON))
    begins = [shop.end_of_input(partition) for partition in range(PARTITIONS)]
    wanted: dict[tuple[int, int], Poison] = {}
    for partition, begin in enumerate(begins):
        ours = [POISON[name] for name in names if home(POISON[name][1]) == partition]
        meddling.write(shop, "events", partition, [(key, bytes_of(value)) for _, key, value in ours])
        wanted |= {(partition, offset): poison for offset, poison in enumerate(ours, begin) if poison[0]}
    shop.wait_until_read()
    found = {place: letter for place, letter in dead_letters(shop).items() if place[1] >= begins[place[0]]}
    assert {place: letter["reason"] for place, letter in found.items()} == {
        place: reason for place, (reason, _, _) in wanted.items()
    }
    for place, (_, key, value) in wanted.items():
        text = (bytes_of(value) or b"")[:PAYLOAD_KEPT].decode("utf-8", "replace")
        assert (found[place]["key"], found[place]["payload"]) == (key, text)


def home(key: bytes | None) -> int:
    """The partition of a key."""
    return 0 if key is None else partition_of(key, PARTITIONS)


def dead_letters(shop: Deployment) -> dict[tuple[int, int], dict[str, Any]]:
    """The dead letters there are, by the place of their record; `key` is their own."""
    letters = [{**json.loads(record.value or b""), "key": record.key} for record in shop.read("dead-letters")]
    return {(letter["partition"], letter["offset"]): letter for letter in letters}


NAUGHTY = [
    "c", "z", "u", "s", "p\0\0\0\0", "uu-1", "l", "h",  # as keys of the state begin
    " ", "\t", "\n", "\r\n", "\0", "\x1f", "\x7f", "\x85", "\ufeff", "\u2028", "\u2029",
    "\u200b", "\u202e", "\ufffd", "\uffff",
    "null", "undefined", "None", "NaN", "true", "0", "-1", "1e400", "[]", "{}",
    '"', "'", "\\", "\\u0000", "%s%n", "{{7*7}}",
    "../../etc/passwd", "$(reboot)", "'; DROP TABLE users; --", "<script>alert(1)</script>", "a,b;c", "anon", "user id",
    "\u00e9", "e\u0301", "\u0130", "\u1e9e", "\ud55c\uad6d\uc5b4", "\u0627\u0644",
    "Z\u0351\u036b\u0343a\u0335l", "\U0001f469\u200d\U0001f680",
    "\U0001f1e9\U0001f1ea", "\U0010ffff", "x" * 256, "\u20ac" * 85,
]  # fmt: skip


def test_naughty_texts_come_out_as_they_went_in(shop: Deployment) -> None:
    """As user ids, which no two of these share, and as names of events; a line of the log stays a line."""
    moments = iter(range(LATER_MS + 60_000, LATER_MS + 120_000))
    records = [
        (user.encode(), json.dumps(event(user, name, messageId=f"{user} {n}", timestamp=next(moments))).encode())
        for user in NAUGHTY
        for n, name in enumerate([*["Product Viewed"] * 3, user])
    ]
    shop.feed(records)
    shop.wait_until_read()
    for topic in ("segment-changes", "memberships"):
        found = {record.key: json.loads(record.value or b"")["user_id"] for record in shop.read(topic)}
        assert {user.encode(): user for user in NAUGHTY}.items() <= found.items()
    (worker,) = shop.workers
    assert all(line.startswith("{") and line.endswith("}") for line in worker.text.splitlines())


@pytest.mark.parametrize("codec", CODECS)
def test_a_header_that_is_no_text_holds_nothing_up(shop: Deployment, codec: str) -> None:
    """Nor does one that is in every other way odd: the records before, in and after that batch are applied."""
    headers = [[], [(b"\xff\xfe", b"\xff")], [(b"", b""), (b"a", b""), (b"a", b"2"), (b"h" * 5_000, b"v" * 5_000)]]
    users = [f"{codec}-{number}" for number in range(40)]
    users = [user for user in users if home(user.encode()) == 1][:12]
    payloads = {user: json.dumps(event(user, "Order Completed", properties={"total": 5})).encode() for user in users}
    shop.feed([(user.encode(), payloads[user]) for user in users[:3]])
    odd = [(user.encode(), payloads[user], headers[place % 3]) for place, user in enumerate(users[3:9])]
    produce(shop, "events", 1, batch(odd, codec, LATER_MS))
    shop.feed([(user.encode(), payloads[user]) for user in users[9:]])
    shop.wait_until_read()
    entered = [json.loads(record.value or b"")["user_id"] for record in shop.read("segment-changes", 1)]
    assert [user for user in entered if user in payloads] == users


def test_one_user_may_be_nearly_all_of_the_traffic(shop: Deployment) -> None:
    """90 % of the events are one user's, late and twice and out of order as everybody's."""
    shop.feed(events(2, 2_000, hot=0.9))
    shop.wait_until_read()


def test_a_batch_may_bring_more_new_products_than_fit_into_a_message(shop: Deployment) -> None:
    """Their names are stored in several records: the broker refuses none."""
    rng = random.Random(2)
    products = [[{"product_id": f"{rng.getrandbits(900):x}", "quantity": 1} for _ in range(200)] for _ in range(60)]
    carts = [event("u-1", "Product Added", properties={"products": several}) for several in products]
    before = texts_of(shop, home(b"u-1"))
    shop.feed([(b"u-1", json.dumps(cart).encode()) for cart in carts])
    shop.wait_until_read()
    assert texts_of(shop, home(b"u-1")) - before > 10_000


def texts_of(shop: Deployment, partition: int) -> int:
    """How many texts a partition's state has."""
    checkpoint = shop.state(partition).checkpoint
    assert checkpoint is not None
    return checkpoint.texts
