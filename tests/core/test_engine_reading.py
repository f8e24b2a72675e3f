"""Records at their limits, read by the whole engine: the first reason in order, sizes, amounts, texts."""

import json
from typing import Any

import pytest

from tests.core.support import CART, HOUR, START_MS, WALL_MS, Story, at, holds, message, reminder


def verdict(payload: bytes, key: bytes = b"u") -> str | None:
    """Why a live record is a dead letter; None if it isn't."""
    story = Story(CART, clock="wall")
    story.take(story.engine.step([payload], 0, [key], [START_MS], wall_ms=WALL_MS))
    return story.dead[0] if story.dead else None


@pytest.mark.parametrize(
    ("changed", "key", "expected"),
    [
        ({"type": "alias", "userId": None}, b"u", "bad_type"),
        ({"userId": "anon:u"}, b"other", "bad_user"),
        ({"event": None, "timestamp": "never", "properties": 5}, b"other", "key_mismatch"),
        ({"event": None, "timestamp": "never", "properties": 5}, b"u", "missing_event"),
        ({"timestamp": "never", "properties": 5}, b"u", "bad_timestamp"),
        ({"timestamp": 0, "properties": 5}, b"u", "timestamp_out_of_range"),
        ({"properties": 5}, b"u", "bad_field"),
        ({"userId": "u" * 256}, b"u" * 256, None),
        ({"userId": "u" * 257}, b"u" * 257, "bad_user"),
    ],
)
def test_the_first_reason_in_the_contracts_order_is_given(
    changed: dict[str, Any], key: bytes, expected: str | None
) -> None:
    """Everything that comes later in the order is wrong as well."""
    record = {"type": "track", "event": "Product Viewed", "userId": "u", "timestamp": START_MS} | changed
    assert verdict(json.dumps(record).encode(), key) == expected


def test_a_record_of_64_kib_is_read_and_a_larger_one_is_too_large_before_too_deep() -> None:
    """65,536 bytes are taken, one more isn't; and a large one that is deep besides is called large."""
    payload = message(0, "Product Viewed").ljust(65_536)
    assert verdict(payload) is None
    assert verdict(payload + b" ") == "too_large"
    assert verdict(b"[" * 65_537) == "too_large"


def test_a_refused_record_leaves_its_repairs_behind() -> None:
    """A dead letter with a wrong zone before the mistake that refuses it: the next record isn't repaired."""
    story = Story(CART)
    spoilt = message(0, "Product Reviewed", zone="Nowhere/Else", rating="five")
    effects = story.engine.step([spoilt, message(0, "Product Viewed")], 0, wall_ms=WALL_MS)
    assert [letter.reason for letter in effects.dead_letters] == ["bad_field"]
    assert (effects.applied, effects.repaired, effects.repaired_counts) == (1, 0, {})


@pytest.mark.parametrize(
    ("properties", "spent", "repairs"),
    [
        ({"total": 1e9}, 1e9, {}),
        ({"revenue": 2, "value": 3}, 2, {}),
        ({"total": 1e9, "currency": "BIG"}, 0, {"bad_amount": 1}),
    ],
)
def test_amounts_at_their_limits(properties: dict[str, Any], spent: float, repairs: dict[str, int]) -> None:
    """1e9 is taken, `revenue` comes before `value`, and what converts to more than 2⁵³ hundredths counts as 0."""
    story = Story({"id": "s", "enter": f"spend_total == {spent}"}, rates={"BIG": 1e6})
    effects = story.engine.step([message(0, "Order Completed", **properties)], 0, wall_ms=WALL_MS)
    assert (len(effects.transitions), effects.repaired_counts) == (1, repairs)


def test_texts_of_256_bytes_are_kept_whole() -> None:
    """They aren't repaired; one byte more is."""
    story = Story(CART)
    payloads = [message(0, "Product Viewed", category="é" * 128 + tail) for tail in ("", "x")]
    effects = story.engine.step(payloads, 0, wall_ms=WALL_MS)
    assert (effects.applied, effects.repaired_counts) == (2, {"too_long": 1})


def test_an_orders_own_category_stands_in_only_where_no_product_has_one() -> None:
    """With a product's category the order's own says nothing."""
    products = [{"product_id": "p", "category": "hats"}, {"product_id": "q"}]
    order = (0, "Order Completed", {"products": products, "category": "shoes"})
    assert holds('interest("hats") == 1', order)


def test_a_cart_line_of_minus_infinitely_many_counts_as_none() -> None:
    """-1e16 items are as far beyond the limit as 1e16: 0, repaired."""
    story = Story({"id": "s", "enter": "cart_items == 2"})
    payloads = [message(0, "Product Removed", quantity=-1e16), message(0, "Product Added", quantity=2)]
    effects = story.engine.step(payloads, 0, wall_ms=WALL_MS)
    assert (len(effects.transitions), effects.repaired_counts) == (1, {"bad_amount": 1})


def test_an_identifys_own_zone_comes_before_its_contexts() -> None:
    """Traits say Tokyo, the context UTC: ten in the morning UTC is evening."""
    story = Story({"id": "s", "enter": "evening_share == 1"})
    story.tell(0, "identify", timezone="Asia/Tokyo", zone="UTC")
    story.tell(10 * HOUR, "Product Viewed")
    assert story.changes == [("+s", 10 * HOUR)]


def test_a_dead_letters_payload_is_its_first_8192_bytes() -> None:
    """Not one more."""
    story = Story(CART)
    effects = story.engine.step([b"x" * 9_000], 0, wall_ms=WALL_MS)
    assert [letter.payload for letter in effects.dead_letters] == ["x" * 8_192]


def test_a_condition_that_names_a_text_does_not_make_it_a_product() -> None:
    """An empty product id is none, and one of 300 bytes is cut, though conditions compare traits with both."""
    long = "x" * 300
    segments = [{"id": name, "enter": f'trait("t") == "{text}"'} for name, text in (("a", ""), ("b", long))]
    story = Story({"id": "cart", "enter": "views_total == 2"}, *segments, traits=["t"], campaigns=[reminder()])
    story.tell(0, "Product Viewed", product_id="", category="")
    story.tell(0, "Product Viewed", product_id=long, category=long)
    assert [(t["recent_products"], t["top_categories"]) for t in story.triggers] == [(["x" * 256], ["x" * 256])]


def test_what_falls_beyond_the_year_9999_is_written_as_its_end() -> None:
    """The first record of a file may be of any year, and a trigger expires after it; so may an instant lie ahead."""
    last = at("9999-12-31T23:00:00Z")
    story = Story({"id": "cart", "enter": "views_total > 0 and time_since_view < 9999d"}, campaigns=[reminder()])
    story.tell(last, "Product Viewed")
    assert [t["expires_at"] for t in story.triggers] == ["9999-12-31T23:59:59.999Z"]
    told = story.engine.explain("u")
    assert told is not None
    assert told["next_instant"] == "9999-12-31T23:59:59.999Z"
