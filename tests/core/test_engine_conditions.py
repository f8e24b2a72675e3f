"""What is unknown, what is kept of interests, carts and ids, at the borders that random logs rarely touch."""

from typing import Any

import pytest

from tests.core.support import DAY, HOUR, WALL_MS, Story, holds, message, reminder


@pytest.mark.parametrize(
    "condition",
    [
        'views_total > 0 and trait("x") > 0',
        'trait("x") > 0 and views_total > 0',
        'views_total > 9 or trait("x") > 0',
        'not (trait("x") > 0)',
        "not (views_total / orders_total < 1)",
        'interest("hats") < 1',
        "not (evening_share > 0)",
        "not (weekend_share > 0)",
    ],
)
def test_what_is_unknown_lets_nobody_in(condition: str) -> None:
    """A trait that isn't there, a division by zero, an interest and shares of who did nothing: null, never true."""
    name = "Unsubscribed" if "share" in condition else "Product Viewed"
    assert not holds(condition, (0, name, {}), traits=["x"])


def test_an_unknown_part_keeps_a_member_in() -> None:
    """`false or null` is null: she stays while one part is false and the other unknown, leaves once it is known."""
    story = Story({"id": "s", "enter": 'cart_items > 0 or trait("x") > 0'}, traits=["x"])
    story.tell(0, "Product Added")
    story.tell(1, "Product Removed")
    assert story.changes == [("+s", 0)]
    story.tell(2, "identify", x=0)
    assert story.changes == [("+s", 0), ("-s", 2)]


def test_an_exit_that_is_unknown_does_not_keep_from_entering() -> None:
    """Only an exit that is true does."""
    story = Story({"id": "s", "enter": "views_total > 0", "exit": 'trait("x") > 0'}, traits=["x"])
    story.tell(0, "Product Viewed")
    assert story.changes == [("+s", 0)]


def test_a_tier_is_kept_until_its_exit_and_any_tier_makes_a_member() -> None:
    """High from 100 on until below 50; `member` of the group is true in the second tier too, and says so."""
    tiers = [{"id": "high", "enter": "cart_value >= 100", "exit": "cart_value < 50"},
             {"id": "low", "enter": "cart_value > 0"}]  # fmt: skip
    story = Story({"id": "tier", "tiers": tiers}, {"id": "any", "enter": 'member("tier")'})
    story.tell(0, "Product Added", price=10)
    story.tell(1, "Product Added", price=90)
    story.tell(2, "Product Removed", price=40)
    story.tell(3, "Product Removed", price=30)
    up = [("+tier:low", 0), ("+any", 0), ("-tier:low", 1), ("+tier:high", 1)]
    assert story.changes == [*up, ("-tier:high", 3), ("+tier:low", 3)]
    assert story.transitions[1]["reason"] == [{"clause": 'member("tier")', "value": True}]


def test_a_count_may_reach_its_value_from_above() -> None:
    """Two views an hour apart: `== 1` holds for the first hour, and again when the first has left the window."""
    story = Story({"id": "s", "enter": "views_24h == 1"})
    story.tell(0, "Product Viewed")
    story.tell(HOUR, "Product Viewed")
    story.until(3 * DAY)
    assert story.changes == [("+s", 0), ("-s", HOUR), ("+s", 25 * HOUR), ("-s", 26 * HOUR)]


def test_an_interest_halves_in_fourteen_days_and_counts_from_the_events_own_time() -> None:
    """Hats, shoes 14 days later: a third of the interest is hats; shoes 910 days later: next to nothing is."""
    for days, condition in ((14, 'interest("hats") * 3 == 1'), (910, 'interest("hats") < 0.000001')):
        story = Story({"id": "s", "enter": condition})
        story.tell(0, "Product Viewed", category="hats")
        story.until(days * DAY)
        story.tell(days * DAY, "Product Viewed", category="shoes")
        story.tell(days * DAY, "Product Viewed", category="")
        assert story.changes[:1] == [("+s", days * DAY)]


def test_of_nine_equal_interests_the_last_by_name_goes() -> None:
    """Eight kept: one that comes before them by name takes the last's place, one that comes after is not kept."""
    names = "dibcgehf"
    segments = [{"id": name, "enter": f'interest("{name}") > 0'} for name in sorted(names + "az")]
    story = Story(*segments)
    for name in [*names, "a", "z"]:
        story.tell(0, "Product Viewed", category=name)
    held = [name for name, count in story.engine.members().items() if count]
    assert held == sorted("abcdefgh")


def test_an_event_counts_once_per_category() -> None:
    """Two hats and a pair of shoes in one event: half of the interest each."""
    products = [{"product_id": str(place), "category": name} for place, name in enumerate(("hats", "hats", "shoes"))]
    assert holds('interest("hats") == 0.5', (0, "Product Viewed", {"products": products}))


def cart_after(*events: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """The trigger of a view after these events."""
    story = Story({"id": "cart", "enter": "views_total == 100"}, campaigns=[reminder()])
    for name, properties in events:
        story.tell(0, name, **properties)
    while not story.triggers:
        story.tell(0, "Product Viewed")
    trigger: dict[str, Any] = story.triggers[0]
    return trigger


def test_the_carts_products_are_ten_and_leave_at_zero() -> None:
    """An eleventh truncates, its removal alone doesn't; nothing goes below 0; an order, not a refund, empties all."""
    ten = [("Product Added", {"product_id": f"p{place}", "price": 1.5}) for place in range(10)]
    eleventh = {"product_id": "q", "price": 1.5}
    assert cart_after(*ten, ("Product Removed", eleventh))["cart"]["truncated"] is False
    full = [*ten, ("Product Added", eleventh)]
    assert cart_after(*full)["cart"]["truncated"] is True
    assert cart_after(*full, ("Order Refunded", {}))["cart"]["value"] == 16.5
    empty = {"items": 0, "value": 0, "currency": "EUR", "products": [], "truncated": False}
    assert cart_after(*full, ("Order Completed", {}))["cart"] == empty
    more = {"product_id": "p0", "price": 9, "quantity": 9}
    assert cart_after(ten[0], ("Product Removed", {**ten[0][1]}))["cart"] == empty
    assert cart_after(ten[0], ("Product Removed", more))["cart"] == empty


def test_recent_products_are_five_different_ones_newest_first() -> None:
    """Seen again, a product moves to the front; the sixth goes."""
    for seen, recent in (("abcab", "bac"), ("abcadbef", "febda")):
        views = [("Product Viewed", {"product_id": name}) for name in seen]
        assert cart_after(*views)["recent_products"] == list(recent)


def test_orders_and_refunds_are_remembered_apart() -> None:
    """Eight of each, in turn: all sixteen are still duplicates."""
    story = Story({"id": "s", "enter": "views_total > 0"})
    names = ("Order Completed", "Order Refunded")
    for moment in (0, 1):
        for number in range(8):
            for name in names:
                story.tell(moment, name, order_id=f"o{number}")
    assert (story.applied, story.duplicates) == (16, 16)


def test_a_duplicate_is_not_counted_as_repaired() -> None:
    """Repaired once, read twice: one repaired record."""
    story = Story({"id": "s", "enter": "views_total > 0"})
    payload = message(0, "Product Viewed", messageId="m", zone="Nowhere/Else")
    effects = story.engine.step([payload, payload, message(1, "Product Viewed")], 0, wall_ms=WALL_MS)
    assert (effects.applied, effects.duplicates, effects.repaired) == (2, 1, 1)
    assert effects.repaired_counts == {"bad_timezone": 1}
