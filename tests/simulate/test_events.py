"""Every true event is one of the Segment spec as the contract has it, and hangs together with the others."""

import json
import re
from collections import defaultdict
from datetime import UTC, datetime

from tests.simulate.shops import Event, Shop, run, time_ms, user_id
from worker.simulate.calendar import zone
from worker.simulate.records import EVENT_NAMES

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SINGLE_PRODUCT = ("Product Viewed", "Product Added", "Product Removed", "Product Added to Wishlist")
PURCHASES = ("Checkout Started", "Order Completed", "Order Refunded", "Order Cancelled")


def named(shop: Shop, *names: str) -> list[Event]:
    """The true events of these names."""
    return [event for event in shop.events if event.get("event") in names]


def test_every_event_has_an_envelope_of_the_segment_spec(shop: Shop) -> None:
    """Type, name, message id, one user, time and zone."""
    for event in shop.events:
        assert event["type"] in ("track", "identify", "page")
        assert (event["type"] == "track") == ("event" in event)
        assert event.get("event", "Product Viewed") in EVENT_NAMES.values()
        assert re.fullmatch(r"m-[0-9a-f]{16}", event["messageId"])
        assert bool(event["userId"]) != bool(event.get("anonymousId"))
        assert TIMESTAMP.fullmatch(event["timestamp"])
        assert zone(event["context"]["timezone"]).key == event["context"]["timezone"]
        assert isinstance(event["traits" if event["type"] == "identify" else "properties"], dict)


def test_all_kinds_of_events_occur(shop: Shop) -> None:
    """All names but those of push and text messages, which only triggers cause."""
    missing = set(EVENT_NAMES.values()) - {event.get("event") for event in shop.events}
    assert missing <= {"Push Notification Sent", "Push Notification Tapped", "SMS Sent", "Unsubscribed"}


def test_a_product_is_described_where_it_is_viewed_and_carted(shop: Shop) -> None:
    """Id, category and price; in the cart a quantity too."""
    for event in named(shop, *SINGLE_PRODUCT):
        properties = event["properties"]
        assert re.fullmatch(r"p-\d+", properties["product_id"])
        assert isinstance(properties["category"], str)
        assert properties["price"] > 0
        assert ("quantity" in properties) == (event["event"] in ("Product Added", "Product Removed"))


def test_totals_are_what_the_products_cost(shop: Shop) -> None:
    """To the cent, on checkouts, orders, refunds and cancellations."""
    for event in named(shop, *PURCHASES):
        properties = event["properties"]
        cents = sum(round(line["price"] * 100) * line["quantity"] for line in properties["products"])
        assert round(properties["total"] * 100) == cents > 0
        assert properties["currency"] == "EUR"


def test_an_order_is_of_products_put_into_the_cart_before(shop: Shop) -> None:
    """The same product, price and quantity was added by the same user at an earlier time."""
    added = defaultdict(list)
    for event in named(shop, "Product Added"):
        line = event["properties"]
        added[user_id(event), line["product_id"], line["price"], line["quantity"]].append(time_ms(event))
    for event in named(shop, "Order Completed"):
        for line in event["properties"]["products"]:
            times = added[user_id(event), line["product_id"], line["price"], line["quantity"]]
            assert min(times) < time_ms(event)


def test_refunds_and_complaints_are_about_an_order_placed_before(shop: Shop) -> None:
    """By the same user, and no more money comes back than was paid."""
    orders = {event["properties"]["order_id"]: event for event in named(shop, "Order Completed")}
    for event in named(shop, "Order Refunded", "Order Cancelled", "Complaint Filed", "Support Ticket Created"):
        order = orders[event["properties"]["order_id"]]
        assert user_id(order) == user_id(event)
        assert time_ms(order) < time_ms(event)
        assert event["properties"].get("total", 0) <= order["properties"]["total"]


def test_identify_declares_traits_zone_and_consents(shop: Shop) -> None:
    """Once at least for every known user, with the three consents as true or false."""
    identified = [event for event in shop.events if event["type"] == "identify"]
    for event in identified:
        assert set(event["traits"]) == {"country", "language", "age_group", "timezone", "consent"}
        assert set(event["traits"]["consent"]) == {"email", "push", "profiling"}
        assert all(isinstance(value, bool) for value in event["traits"]["consent"].values())
    known = {user_id(event) for event in shop.events if event["userId"]}
    assert {user_id(event) for event in identified} == known


def test_newsletters_go_only_to_who_agreed(shop: Shop) -> None:
    """The consent last told by each recipient is yes."""
    consent = {user_id(e): e["traits"]["consent"]["email"] for e in shop.events if e["type"] == "identify"}
    left = {user_id(event) for event in named(shop, "Unsubscribed")}
    for event in named(shop, "Email Sent"):
        assert consent[user_id(event)] or user_id(event) in left


def test_records_are_keyed_by_their_user(shop: Shop) -> None:
    """The `userId`, or the bare `anonymousId`."""
    for payload, key in zip(shop.payloads, shop.keys, strict=True):
        if payload.startswith(b'{"type":"identify"'):
            assert json.loads(payload)["userId"] == key.decode()
    assert any(key.startswith(b"a-") for key in shop.keys)


def test_everybody_comes_once_at_least_and_all_happens_within_the_days() -> None:
    """Even on a single day; the number of users is exact."""
    for days in (1, 4):
        few = run(users=100, days=days, malformed=0.0)
        assert len({user_id(event) for event in few.events}) == 100
        start_ms = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)
        assert all(start_ms <= time_ms(event) < start_ms + days * 86_400_000 for event in few.events)
