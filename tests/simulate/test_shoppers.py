"""The types behave as they are named, and people keep the hours of their own clocks."""

from collections import Counter, defaultdict
from statistics import mean, median

import numpy as np
import pytest

from tests.simulate.shops import Shop, order_counts, run, time_ms, user_id
from worker.simulate.draws import Dice
from worker.simulate.shop import Settings
from worker.simulate.shoppers import TYPES, Population
from worker.simulate.truth import type_of

NAMES = [kind.name for kind in TYPES]


@pytest.fixture(scope="module")
def town() -> Shop:
    """900 users over 30 days without faults."""
    return run(users=900, days=30, seed=3, late=0.0, duplicates=0.0, malformed=0.0)


def test_types_have_their_shares(town: Shop) -> None:
    """Within five standard deviations."""
    for kind in TYPES:
        found = town.truth["user_types"]["counts"][kind.name]
        assert abs(found - 900 * kind.share) < 5 * (900 * kind.share * (1 - kind.share)) ** 0.5


def test_loyal_shoppers_order_most_and_browsers_hardly(town: Shop) -> None:
    """Orders per user: loyal above all others, browsers a tenth of that at most; browsers look most per order."""
    orders = {name: town.per_user(name, "Order Completed") for name in NAMES}
    assert max(orders, key=lambda name: orders[name]) == "loyal"
    assert orders["browser"] < orders["loyal"] / 10
    looks = {name: town.per_user(name, "Product Viewed") / orders[name] for name in NAMES}
    assert max(looks, key=lambda name: looks[name]) == "browser"


def test_a_one_time_shopper_orders_once_and_goes(town: Shop) -> None:
    """Never twice, mostly once, and nothing but what follows from the order a week later."""
    ordered = Counter({user: n for user, n in order_counts(town).items() if type_of(town.truth, user) == "one_time"})
    assert set(ordered.values()) == {1}
    assert len(ordered) > 0.3 * town.truth["user_types"]["counts"]["one_time"]
    order_ms = {user_id(e): time_ms(e) for e in town.events if e.get("event") == "Order Completed"}
    for event in town.events:
        if user_id(event) in ordered and event.get("event") == "Product Viewed":
            assert time_ms(event) < order_ms[user_id(event)] + 7 * 86_400_000


def test_churning_shoppers_fade_until_they_are_gone(town: Shop) -> None:
    """No visit begins after the day the truth names; before it come fewer than two weeks earlier."""
    start_ms = min(map(time_ms, town.events)) // 86_400_000 * 86_400_000
    days_left = []
    for event in town.events:
        leaves = town.truth["churning_leave_day"].get(user_id(event).rpartition("-")[2])
        if leaves is not None and event.get("event") == "Product Viewed":
            days_left.append(leaves - (time_ms(event) - start_ms) / 86_400_000)
    assert min(days_left) > -0.1
    assert sum(0 < left <= 4 for left in days_left) < sum(10 < left <= 14 for left in days_left)


def test_bargain_hunters_search_wish_and_buy_on_sale(town: Shop) -> None:
    """More searches, wishes and removals per user than any other type, and fuller, abandoned carts."""
    for event in ("Products Searched", "Product Added to Wishlist", "Product Removed"):
        rates = {name: town.per_user(name, event) for name in NAMES}
        assert max(rates, key=lambda name: rates[name]) == "bargain_hunter"
    added, ordered = (town.per_user("bargain_hunter", name) for name in ("Product Added", "Order Completed"))
    assert added > 10 * ordered


def test_complainers_complain_refund_and_rate_low(town: Shop) -> None:
    """Per order far more often than loyal shoppers; their best rating is below a loyal one's worst."""
    for events in (("Complaint Filed", "Support Ticket Created"), ("Order Refunded", "Order Cancelled")):
        rates = {name: sum(town.per_user(name, one) for one in events) / town.per_user(name, "Order Completed")
                 for name in ("complainer", "loyal")}  # fmt: skip
        assert rates["complainer"] > 5 * rates["loyal"]
    ratings = defaultdict(list)
    for event in town.events:
        if event.get("event") == "Product Reviewed":
            ratings[type_of(town.truth, user_id(event))].append(event["properties"]["rating"])
    assert max(ratings["complainer"]) <= 2
    assert min(ratings["loyal"]) >= 4


def test_people_sleep_at_night_by_their_own_clock(town: Shop) -> None:
    """In Berlin as in Tokyo far less happens from 1 to 5 than from 17 to 21, local time."""
    hours_ahead = {"Europe/Berlin": 1, "Asia/Tokyo": 9, "America/New_York": -5}
    for name, ahead in hours_ahead.items():
        zoned = (e for e in town.events if e["context"]["timezone"] == name and e.get("event") == "Product Viewed")
        hours = Counter((time_ms(event) // 3_600_000 + ahead) % 24 for event in zoned)
        assert sum(hours[hour] for hour in range(1, 5)) < 0.3 * sum(hours[hour] for hour in range(17, 21))


def test_shoppers_have_favourites_and_spend_unequally(town: Shop) -> None:
    """Half of a busy viewer's views are of one category; mean order value lies well above the median."""
    views: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in town.events:
        if event.get("event") == "Product Viewed":
            views[user_id(event)][event["properties"]["category"]] += 1
    favoured = [max(of.values()) / of.total() for of in views.values() if of.total() >= 30]
    assert mean(favoured) > 0.5
    totals = [event["properties"]["total"] for event in town.events if event.get("event") == "Order Completed"]
    assert mean(totals) > 1.3 * median(totals)


def test_some_go_dormant_and_come_back() -> None:
    """A browser is away a quarter of the time, a loyal shopper hardly ever, and most come back."""
    settings = Settings(users=1_000, days=100)
    people = Population(settings, Dice(settings.seed))
    rates = []
    for day in range(100):
        people.begin_day(day)
        rates.append(people.rate.copy())
    away = np.array(rates) == 0
    kinds = people.types(np.arange(1_000))
    assert abs(away[:, kinds == NAMES.index("browser")].mean() - 0.25) < 0.03
    assert away[:, kinds == NAMES.index("loyal")].mean() < 0.04
    returned = (away[:-1] & ~away[1:]).any(axis=0)
    assert returned[kinds == NAMES.index("browser")].mean() > 0.5
