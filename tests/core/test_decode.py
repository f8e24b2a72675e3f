"""What the decoder makes of bytes: columns, repairs, dead letters; and that it never raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.definitions import Definitions
from schemas.events import IDENTIFY, KIND_NUMBERS
from worker.core import batch as columns
from worker.core.batch import Batch
from worker.core.decode import Decoder
from worker.core.fields import FieldReader
from worker.core.interning import Strings, Users
from worker.core.json_text import depth, parse, parse_slowly
from worker.core.timestamps import time_ms
from worker.core.zones import Zones
from worker.language.mapping import Mapping

NOON = "2026-11-22T12:00:00.250Z"
NOON_MS = 1_795_348_800_250
DAY_MS = 86_400_000
MAPPING = Mapping.load()
DEFINITIONS = Definitions.model_validate(
    {
        "version": 1,
        "segments": [],
        "currency": "EUR",
        "rates": {"USD": 0.92},
        "traits": ["country", "age"],
        "caps": [{"channel": "email", "limit": 1, "per": "1d"}, {"channel": "push", "limit": 1, "per": "1d"}],
    }
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.just(10**400) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def decoder(*, live: bool = False) -> Decoder:
    """Return a decoder with nothing known yet."""
    return Decoder(MAPPING, DEFINITIONS, Users(), Strings(), Zones(), event_clock=not live)


def event(name: str = "Product Viewed", properties: Any = None, **members: Any) -> dict[str, Any]:
    """Return a track event; a member of None is left out of it."""
    whole = {"type": "track", "event": name, "userId": "u-1", "timestamp": NOON, "properties": properties, **members}
    return {member: value for member, value in whole.items() if value is not None}


def read(*payloads: bytes | dict[str, Any], into: Decoder | None = None, **options: Any) -> Batch:
    """Decode payloads as one batch, and check what holds for every batch."""
    raw = [payload if isinstance(payload, bytes) else json.dumps(payload).encode() for payload in payloads]
    batch = (into or decoder()).decode(raw, range(len(raw)), **options)
    assert batch.read == len(raw) == len(batch.records) + len(batch.dead_letters)
    assert len(batch.records) == len(batch.lines_end) == len(batch.details_end)
    return batch


def reason(payload: bytes | dict[str, Any], **options: Any) -> str | None:
    """Return why a payload is a dead letter, None if it isn't."""
    letters = read(payload, **options).dead_letters
    return letters[0].reason if letters else None


def test_a_view_becomes_a_row_and_a_line() -> None:
    """Every column of an ordinary event, and its product's."""
    batch = read(event(properties={"product_id": "p", "category": "c"}, messageId="m", context={"timezone": "UTC"}))
    row = batch.records[0]
    assert row[columns.TIME] == row[columns.CLOCK] == batch.clock_ms == NOON_MS
    zeros = [columns.SLOT, columns.KIND, columns.ORDER, columns.AMOUNT, columns.ZONE, columns.OFFSET]
    assert row[zeros].tolist() == [0] * 6
    assert row[columns.MESSAGE] != 0
    assert row[columns.FLAGS] == columns.ACTIVITY
    assert batch.lines.tolist() == [[0, 1, 0, 0]]
    assert batch.lines_end.tolist() == [1]
    assert batch.new_users == 1


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b" " * 65_537, "too_large"),
        (b"[" * 33, "too_deep"),
        (b"[" * 32, "not_json"),
        (b'"' + b"[" * 40, "not_json"),
        (b"", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": -Infinity}', "not_json"),
        (b'{"a": "\xff"}', "not_json"),
        (b"{} {}", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b"\xff\xfe{\0}\0", "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"9" * 6_000, "not_an_object"),
        (b"{}", "bad_type"),
        (event(type="alias"), "bad_type"),
        (event(type=["track"]), "bad_type"),
        (event(userId=None), "missing_user"),
        (event(userId=""), "bad_user"),
        (event(userId=7), "bad_user"),
        (event(userId="anon:x"), "bad_user"),
        (event(userId="é" * 129), "bad_user"),
        (event(userId=None, anonymousId="é" * 126), "bad_user"),
        (event(userId="\ud800"), "bad_user"),
        (event(name=""), "missing_event"),
        (event(event=5), "missing_event"),
        (event(timestamp="today"), "bad_timestamp"),
        (event(timestamp="0000-01-01T00:00:00Z"), "bad_timestamp"),
        (event(timestamp=10**400), "timestamp_out_of_range"),
        (event(timestamp=-62_135_596_800_001), "timestamp_out_of_range"),
        (event(properties=[]), "bad_field"),
        (event(timestamp=None), "bad_timestamp"),
        (event(type="page", properties=1), "bad_field"),
        (event(messageId=1), "bad_field"),
        (event(context=[]), "bad_field"),
        (event(context={"timezone": 1}), "bad_field"),
        (event("Product Added", {"price": True}), "bad_field"),
        (event("Product Reviewed", {"rating": "5"}), "bad_field"),
        (event("Email Sent", {"decision_id": 1}), "bad_field"),
        (event("Unsubscribed", {"channel": 1}), "bad_field"),
        (event(type="identify", traits={"age": [1]}), "bad_field"),
        (event(type="identify", traits=1), "bad_field"),
        (event(type="identify", traits={"consent": {"email": "yes"}}), "bad_field"),
        (event(properties={"products": [None]}), "bad_field"),
    ],
)
def test_what_cannot_be_understood_is_a_dead_letter(payload: bytes | dict[str, Any], expected: str) -> None:
    """The first reason that applies, with the payload as it came; no user is made of it."""
    batch = read(payload)
    assert [letter.reason for letter in batch.dead_letters] == [expected]
    assert batch.new_users == 0
    assert batch.clock_ms is None


def test_the_depth_counts_outside_strings_only() -> None:
    """Brackets in texts open nothing; 32 levels are allowed, the event itself being one."""
    nested: Any = "[{" * 50
    for _ in range(30):
        nested = [nested]
    assert reason(event(properties={"x": nested})) is None
    assert reason(event(properties={"x": [nested]})) == "too_deep"
    assert depth(b'"\\"[" [[]]] [') == 2


def test_the_key_must_be_the_bare_id() -> None:
    """A user's key is her id, an anonymous one's without its prefix; no key is a mismatch."""
    anonymous = event(userId=None, anonymousId="a")
    batch = read(event(), anonymous, event(), event(), keys=[b"u-1", b"a", b"a", None])
    assert [letter.reason for letter in batch.dead_letters] == ["key_mismatch"] * 2
    assert batch.new_users == 2


def test_an_anonymous_user_is_never_taken_for_a_known_one() -> None:
    """A userId that begins `anon:` is refused also where that anonymous user exists."""
    batch = read(event(userId=None, anonymousId="a"), event(userId="anon:a"), event(userId=None, anonymousId="a"))
    assert [letter.reason for letter in batch.dead_letters] == ["bad_user"]
    assert batch.records[:, columns.SLOT].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (NOON, NOON_MS),
        ("2026-11-22 12:00:00z", NOON_MS - 250),
        ("2026-11-22t13:00:00.2509+01:00", NOON_MS),
        (NOON_MS, NOON_MS),
        (NOON_MS + 0.9, NOON_MS),
        (-0.5, -1),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2023-02-29T00:00:00Z", None),
        ("2026-11-22T12:00:00", None),
        ("2026-11-22T24:00:00Z", None),
        ("2016-12-31T23:59:60Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+00:01", None),
        ("2026-11-22T12:00:00.Z", None),
        ("２026-11-22T12:00:00Z", None),
        ("2026-11-22T12:00:00.250Z ", None),
        (True, None),
        (float("inf"), 253_402_300_800_000),
        (-(10**400), -62_135_596_800_001),
        ([], None),
        ("", None),
    ],
)
def test_a_time_is_read_strictly_and_cut_to_milliseconds(written: object, expected: int | None) -> None:
    """Twice, since the second reading may come from the memory of the first."""
    assert [time_ms(written), time_ms(written)] == [expected, expected]


def test_the_event_clock_follows_accepted_records_only() -> None:
    """400 days ahead of the partition clock are the limit; a refused record doesn't move it."""
    late, limit = event(timestamp=NOON_MS - DAY_MS), event(timestamp=NOON_MS + 400 * DAY_MS)
    beyond = event(timestamp=NOON_MS + 400 * DAY_MS + 1)
    spoilt = event("Product Reviewed", {"rating": "x"}, timestamp=NOON_MS + DAY_MS)
    batch = read(event(), late, beyond, spoilt, limit)
    assert [letter.reason for letter in batch.dead_letters] == ["timestamp_out_of_range", "bad_field"]
    assert batch.records[:, columns.CLOCK].tolist() == [NOON_MS, NOON_MS, NOON_MS + 400 * DAY_MS]


def test_live_times_are_held_to_arrival() -> None:
    """Up to 5 minutes ahead is believed, more is repaired; 3,653 days back are the limit; no time means arrival."""
    offsets_ms = [300_000, 300_001, -3_653 * DAY_MS, -3_653 * DAY_MS - 1]
    payloads = [event(timestamp=NOON_MS + offset_ms) for offset_ms in offsets_ms]
    payloads += [event(timestamp=None), event(timestamp=10**30), event(timestamp=-(10**30))]
    batch = read(*payloads, into=decoder(live=True), arrivals_ms=[NOON_MS] * 7)
    times_ms = [NOON_MS + 300_000, NOON_MS, NOON_MS - 3_653 * DAY_MS, NOON_MS, NOON_MS]
    assert batch.records[:, columns.TIME].tolist() == times_ms
    assert batch.repaired == {"future_timestamp": 2}
    assert [letter.reason for letter in batch.dead_letters] == ["timestamp_out_of_range"] * 2


@pytest.mark.parametrize(
    ("properties", "amount", "repairs"),
    [
        ({"total": 99.5}, 9_950, set()),
        ({"revenue": 1.005}, 100, set()),
        ({"value": 2, "currency": "eur"}, 200, set()),
        ({"total": 10, "currency": "usd"}, 920, set()),
        ({"total": 10, "currency": "XXX"}, 0, {"unknown_currency"}),
        ({"total": 10, "currency": 978}, 0, {"unknown_currency"}),
        ({"total": 10, "currency": ""}, 1_000, set()),
        ({"total": "10", "value": 5}, 0, {"bad_field"}),
        ({"total": -1}, 0, {"bad_amount"}),
        ({"total": 1_000_000_001}, 0, {"bad_amount"}),
        ({}, 0, set()),
        ({"total": 10**400}, 0, {"bad_amount"}),
        ({"currency": "XXX"}, 0, set()),
        ({"products": []}, 0, set()),
        ({"products": [{"price": 2.5, "quantity": 3}, {"price": 1}]}, 850, set()),
        ({"products": [{"price": "2"}, 7, {"price": 1}]}, 100, {"bad_product"}),
        ({"products": {}, "order_id": 5}, 0, {"bad_field"}),
        ({"total": 1, "products": [{"category": 1}]}, 100, {"bad_field"}),
    ],
)
def test_an_order_is_never_lost_over_its_amount(properties: dict[str, Any], amount: int, repairs: set[str]) -> None:
    """Hundredths of the definitions' currency, and why it was repaired."""
    for name in ("Order Completed", "Order Cancelled"):
        batch = read(event(name, properties))
        assert batch.records[0][columns.AMOUNT] == amount
        assert set(batch.repaired) == repairs
        assert batch.repaired_records == bool(repairs)


def test_cart_lines_carry_quantity_and_value() -> None:
    """Defaults are one item of no price; too large counts as 0; an event without products is one line of its own."""
    own = event("Product Added", {"product_id": "p", "price": 19.99, "quantity": 2})
    listed = event(
        "Product Removed", {"products": [{"price": 1e9, "quantity": 2e9}, {}], "category": "hats", "price": "no"}
    )
    beyond = event("Product Added", {"quantity": 1e16})
    batch = read(own, listed, event("Product Added"), beyond)
    assert batch.lines[:, 2:].tolist() == [[2, 3_998], [2e9, 0], [1, 0], [0, 0], [1, 0], [0, 0]]
    assert batch.lines_end.tolist() == [1, 4, 5, 6]
    assert batch.lines[3].tolist() == [-1, 1, 0, 0], "the event's own category, as no product has one"
    assert batch.repaired == {"bad_amount": 2}


def test_identify_gives_traits_zone_and_consents() -> None:
    """Declared traits only, null forgets; consents by channel; the traits' zone comes before the context's."""
    traits = {
        "country": "DE",
        "age": None,
        "shoe": 7,
        "timezone": "Europe/Berlin",
        "consent": {"push": True, "fax": False, "email": None, "profiling": False},
    }
    batch = read(event(type="identify", traits=traits, context={"timezone": "UTC"}, messageId=5))
    assert batch.records[0][[columns.KIND, columns.FLAGS, columns.ZONE]].tolist() == [IDENTIFY, 0, 0]
    assert batch.details.tolist() == [
        [columns.TRAIT_TEXT, 0, 0],
        [columns.TRAIT_NONE, 1, 0],
        [columns.CONSENT, 0, -1],
        [columns.CONSENT, 1, 1],
        [columns.PROFILING, 0, 0],
    ]


def test_unsubscribing_takes_back_the_channels_consent_and_is_no_activity() -> None:
    """Email unless the event names a channel; other mail events change nothing."""
    batch = read(event("Unsubscribed"), event("Email Marked as Spam", {"channel": "push"}), event("Email Opened"))
    assert batch.details.tolist() == [[columns.CONSENT, 0, 0], [columns.CONSENT, 1, 0]]
    assert batch.records[:, columns.KIND].tolist() == [KIND_NUMBERS["other"]] * 3
    assert batch.records[:, columns.FLAGS].tolist() == [0, 0, 0]


def test_long_texts_are_cut_to_whole_characters() -> None:
    """256 bytes at most, repaired; a lone surrogate in a text is replaced."""
    users, strings = Users(), Strings()
    into = Decoder(MAPPING, DEFINITIONS, users, strings, Zones(), event_clock=True)
    batch = read(event(properties={"product_id": "x" + "é" * 200, "category": "a\ud800"}), into=into)
    assert strings.texts == ["x" + "é" * 127, "a\ufffd"]
    assert batch.repaired == {"too_long": 1}


def test_an_unknown_zone_is_repaired_and_ignored() -> None:
    """The event counts, its zone doesn't."""
    batch = read(event(context={"timezone": "Mars/Base"}))
    assert batch.records[0][columns.ZONE] == -1
    assert batch.repaired == {"bad_timezone": 1}


def test_a_refused_record_leaves_no_trace() -> None:
    """Neither a user nor a text gets a number from a record with a mistake in its last field."""
    users, strings = Users(), Strings()
    into = Decoder(MAPPING, DEFINITIONS, users, strings, Zones(), event_clock=True)
    read(event(properties={"product_id": "p", "category": 1}), into=into)
    read(event("Product Added", {"products": [{"product_id": "p"}, {"price": "x"}]}), into=into)
    assert users.ids == strings.texts == []


def test_batches_and_splits_give_the_same_columns() -> None:
    """One batch of 600 records, across the borders of its chunks, equals 600 batches of one."""
    payloads = [
        json.dumps(event(properties={"product_id": f"p-{n % 7}"}, userId=f"u-{n % 11}")).encode() for n in range(600)
    ]
    payloads[300] = b'{"a": ' + b"[" * 40
    whole, single = decoder().decode(payloads, range(600)), decoder()
    parts = [single.decode([raw], [n], clock_ms=NOON_MS if n else None) for n, raw in enumerate(payloads)]
    assert [row for part in parts for row in part.records.tolist()] == whole.records.tolist()
    assert [row for part in parts for row in part.lines.tolist()] == whole.lines.tolist()
    assert [letter.offset for letter in whole.dead_letters] == [300]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_raise(payloads: list[bytes]) -> None:
    """Whatever the bytes, each is a record or a dead letter."""
    read(*payloads)


@settings(max_examples=300)
@given(st.sampled_from(sorted(MAPPING.rules)), st.data())
def test_no_value_in_any_field_raises(name: str, data: st.DataObject) -> None:
    """Any JSON in any field of any kind: accepted or `bad_field` and the like, never an exception."""
    fields = (
        "product_id",
        "category",
        "price",
        "quantity",
        "products",
        "items",
        "order_id",
        "total",
        "revenue",
        "value",
        "currency",
        "rating",
        "decision_id",
        "channel",
        "action",
        "total_value",
        "transaction_id",
    )
    properties = data.draw(st.dictionaries(st.sampled_from(fields), JSON_VALUES, max_size=6))
    members = data.draw(st.dictionaries(st.sampled_from(("messageId", "context", "timestamp", "traits")), JSON_VALUES))
    payload = json.dumps({**event(name, properties), **members}).encode()
    verdict = reason(payload)
    assert verdict in {None, "bad_field", "bad_timestamp", "timestamp_out_of_range", "not_json"}
    assert verdict is None or b"NaN" in payload or b"Infinity" in payload or verdict != "not_json"
    if name in ("Order Completed", "purchase", "ecommerce.order_placed") and "timestamp" not in members:
        assert verdict in {None, "not_json"}, "an order is never lost over a detail"


@pytest.mark.parametrize(
    "text",
    [
        "1e999",
        "-1e999",
        "1" * 400,
        '"\\ud800"',
        "[1,]",
        "[,1]",
        '{"a":1,}',
        "{,}",
        "[1 2]",
        '{"a" 1}',
        "{1:2}",
        "+1",
        ".1",
        "1.",
        "1e",
        "0x1",
        "01",
        "-",
        "--1",
        "nul",
        "TRUE",
        '"\\x"',
        '"\\u12"',
        '"\t"',
        '"\x00"',
        "'a'",
        "[",
        "]",
        '"',
        "\\",
        "/*c*/1",
        "1//",
        "\u00a01",
        "\ufeff1",
        "[1]]",
        '{"a":1}}',
        '"\\ud83d\\ude00"',
        "-0",
        "1E+2",
        " 1 ",
        "\x0c1",
        '"\x7f"',
        "NaN",
        "[Infinity]",
        '{"a":1,"a":2}',
        '"\\/"',
        "1.5e-400",
        "[1}",
        '{"a":[}',
        "tru",
        '""',
    ],
)
def test_both_parsers_agree_on_what_is_json(text: str) -> None:
    """Whatever the quick parser accepts, the slow one accepts with the same value; the rest is the slow one's alone."""
    raw = text.encode()
    try:
        quick = parse(raw)
    except Exception:  # noqa: BLE001 - any refusal
        return
    assert parse_slowly(raw) == quick


@settings(max_examples=500)
@given(st.text(alphabet='{}[]:,"\\0123456789.eE+-truefalsn u\u00e9\ud7ff', max_size=24))
def test_the_quick_parser_accepts_only_json(text: str) -> None:
    """Random texts of JSON's own characters: what the quick parser accepts the slow one does, with the same value."""
    test_both_parsers_agree_on_what_is_json(text)


@given(st.text(alphabet='{}[]:,"\\0123456789.eE+-truefalsn u\u00e9', max_size=16))
def test_members_that_are_not_read_must_be_json_too(text: str) -> None:
    """An unread member decides nothing but whether the record is JSON."""
    raw = b'{"type": "page", "userId": "u", "timestamp": 0, "unread": ' + text.encode() + b"}"
    try:
        parse_slowly(raw)
    except ValueError:
        assert reason(raw) in {"not_json", "too_deep"}
    else:
        assert reason(raw) != "not_json"


def test_a_mistake_of_ours_makes_a_dead_letter_of_its_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that fails half way on one product: `engine_error`, and the records around it are whole."""
    into = decoder()
    read_line = FieldReader._line

    def failing(reader: FieldReader, product: str | None, *rest: Any) -> None:
        read_line(reader, product, *rest)
        if product == "bad":
            raise ZeroDivisionError

    monkeypatch.setattr(FieldReader, "_line", failing)
    products = ["a", "bad", "b"]
    batch = read(*[event(properties={"product_id": product}) for product in products], into=into)
    assert [(letter.reason, letter.offset) for letter in batch.dead_letters] == [("engine_error", 1)]
    assert batch.lines_end.tolist() == [1, 2]
    assert [into._fields._checked[product] for product in ("a", "b")] == batch.lines[:, columns.PRODUCT].tolist()
