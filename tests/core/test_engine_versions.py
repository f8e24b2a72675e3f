"""Versions by hand: when they take effect, who leaves, what is kept, what triggers; and what a model changes."""

from typing import Any

from schemas.models import Snapshot
from tests.core.support import CART, DAY, HOUR, MINUTE, SECOND, START_MS, WALL_MS, Story, reminder


def spent(steps: list[float]) -> dict[str, Any]:
    """A model that knows the quantiles of `spend_total`."""
    return {"version": 3, "hash": "c" * 64, "features": [{"name": "spend_total"}], "quantiles": {"spend_total": steps}}


def test_time_passes_under_the_old_version_up_to_the_point() -> None:
    """A reminder due before the partition clock, within the grace, is the old version's; then the new judges."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(30 * MINUTE + SECOND, "Product Viewed", user="other")
    assert story.changes == []
    story.publish({"id": "cart", "enter": "cart_items > 5"})
    assert story.changes == [("+cart", 30 * MINUTE), ("-cart", 30 * MINUTE + SECOND)]
    assert [(t["cause"], t["origin"]) for t in story.transitions] == [("timer", "live"), ("definition", "backfill")]
    assert [t["definition"].split("/")[0] for t in story.transitions] == ["7", "8"]


def test_a_version_judges_everyone_at_the_later_of_her_clock_and_its_point() -> None:
    """One user is at the partition clock, the other behind it: both are judged at the clock, in order of appearance."""
    story = Story({"id": "a", "enter": "orders_total > 0"})
    story.tell(0, "Product Viewed")
    story.tell(HOUR, "Product Viewed", user="other")
    story.publish({"id": "a", "enter": "orders_total == 0"})
    assert story.changes == [("+a", HOUR), ("+a", HOUR)]
    assert [t["user_id"] for t in story.transitions] == ["u", "other"]


def test_members_of_removed_segments_leave_first_without_a_reason() -> None:
    """A plain segment, a tier and a cluster are gone: three exits in their old order, then the new rules."""
    clusters = {"names": ["low", "high"], "centres": [[0.0], [100.0]]}
    model = spent([0, 1]) | {"clusters": clusters}
    tiers = {"id": "tier", "tiers": [{"id": "one", "enter": "views_total > 0"}]}
    story = Story({"id": "old", "enter": "views_total > 0"}, tiers, {"id": "b", "clusters": True}, model=model)
    story.tell(0, "Product Viewed")
    assert [name for name, _ in story.changes] == ["+old", "+tier:one", "+b:low"]
    story.publish({"id": "new", "enter": "views_total > 0"})
    assert [name for name, _ in story.changes[3:]] == ["-old", "-tier:one", "-b:low", "+new"]
    assert [t["reason"] for t in story.transitions[3:6]] == [[], [], []]
    assert story.engine.members() == {"new": 1}


def test_members_carry_over_by_id_with_their_entry_time() -> None:
    """Renamed and with another exit she stays in, since her first entry: `min_dwell` counts from there."""
    story = Story({"id": "s", "enter": "views_total > 0"})
    story.tell(0, "Product Viewed")
    story.tell(5 * MINUTE, "Product Viewed")
    story.publish(
        {"id": "s", "name": "Other", "enter": "views_total > 0", "exit": "views_total > 1", "min_dwell": "10m"}
    )
    story.until(HOUR)
    assert story.changes == [("+s", 0), ("-s", 10 * MINUTE)]


def test_a_window_that_nothing_read_fills_from_its_publication_on() -> None:
    """Six daily views are known by the month; a week read first now knows the next one only, and lets it go in time."""
    month, week = {"id": "m", "enter": "views_30d > 0"}, {"id": "w", "enter": "views_7d > 0"}
    story = Story(month)
    for day in range(6):
        story.tell(day * DAY, "Product Viewed")
    story.publish(month, week, {"id": "below", "enter": "views_7d < 0"})
    story.tell(6 * DAY, "Product Viewed")
    story.until(100 * DAY)
    assert story.changes == [("+m", 0), ("+w", 6 * DAY), ("-w", 14 * DAY), ("-m", 37 * DAY)]


def test_what_is_no_window_is_known_before_anything_reads_it() -> None:
    """Totals, times, the cart, ratings, sessions and interests of before are right at the point of the version."""
    story = Story({"id": "a", "enter": "views_24h > 9"})
    story.tell(0, "Product Viewed", category="hats")
    story.tell(MINUTE, "Product Added", price=2.5, quantity=2)
    story.tell(2 * MINUTE, "Product Reviewed", rating=4)
    story.tell(3 * MINUTE, "Order Refunded", total=3)
    conditions = ("views_total == 1", "refunded_total == 3", "time_since_view == 3m", "age == 3m", "cart_items == 2",
                  "cart_value == 5", "average_rating == 4", "session_events == 3", "session_seconds == 120",
                  'interest("hats") == 1', "weekend_share == 0", "time_since_order > 9999d")  # fmt: skip
    story.publish(*({"id": f"s{place}", "enter": text} for place, text in enumerate(conditions)))
    assert story.changes == [(f"+s{place}", 3 * MINUTE) for place in range(len(conditions))]


def test_a_window_that_is_read_on_keeps_its_hops() -> None:
    """The week stays a window when a month is read besides: its events leave when they would have left."""
    month, week = {"id": "m", "enter": "views_30d > 0"}, {"id": "w", "enter": "views_7d >= 2"}
    story = Story(week)
    story.tell(0, "Product Viewed")
    story.tell(DAY, "Product Viewed")
    story.publish(month, week)
    story.until(100 * DAY)
    assert story.changes == [("+w", DAY), ("-w", 8 * DAY)]


def test_who_agreed_before_a_channel_was_used_is_reached() -> None:
    """A first campaign by push comes with the second version; who agreed to push under the first gets it."""
    segment = {"id": "new", "enter": "views_total > 0"}
    story = Story(segment)
    for user, agreed in (("u", True), ("v", False)):
        story.tell(0, "identify", user, consent={"push": agreed})
    story.publish(segment, campaigns=[{"id": "hello", "trigger": {"entered": "new"}, "channel": "push"}])
    for user in ("u", "v"):
        story.tell(1, "Product Viewed", user)
    assert [(each["user_id"], each["outcome"]) for each in story.decisions] == [("u", "fired"), ("v", "suppressed")]


def test_a_version_triggers_only_with_on_backfill() -> None:
    """Entering by a definition leaves no decision, unless the campaign asks for it."""
    new = {"id": "new", "enter": "views_total >= 0"}
    asked = [{"id": name, "trigger": {"entered": "new"}, "on_backfill": name == "loud"} for name in ("mute", "loud")]
    story = Story(CART)
    story.tell(0, "Product Viewed")
    story.publish(CART, new, campaigns=asked)
    assert [(d["campaign"], d["outcome"]) for d in story.decisions] == [("loud", "fired")]


def test_pending_triggers_go_on_or_are_cancelled_with_their_campaign() -> None:
    """A changed campaign's trigger fires when due, under the new version; a removed one's is cancelled, by nothing."""
    delayed = reminder(delay="1d", on_exit="continue")
    story = Story(CART, campaigns=[delayed, delayed | {"id": "gone"}])
    story.tell(0, "Product Added")
    story.tell(HOUR, "Product Viewed")
    story.publish(CART, campaigns=[delayed | {"send": {"template": "new"}}])
    story.until(3 * DAY)
    assert [(d["campaign"], d["outcome"], d["blocked_by"]) for d in story.decisions[2:]] == [
        ("gone", "cancelled", None),
        ("reminder", "fired", None),
    ]
    assert story.outcomes[3][2] == DAY + 30 * MINUTE
    assert story.triggers[0]["send"] == {"template": "new"}
    assert story.decisions[3]["definition"].startswith("8/")


def test_an_exit_by_a_version_cancels_pending_triggers() -> None:
    """The new rule throws her out: her delayed trigger is cancelled, though versions don't trigger."""
    story = Story(CART, campaigns=[reminder(delay="1d")])
    story.tell(0, "Product Added")
    story.tell(HOUR, "Product Viewed")
    story.publish({"id": "cart", "enter": "cart_items > 5"}, campaigns=[reminder(delay="1d")])
    story.until(3 * DAY)
    assert [found[:2] for found in story.outcomes] == [("deferred", "delay"), ("cancelled", "exited")]


def test_cooldowns_caps_and_hours_outlive_a_version() -> None:
    """Fired at 0:30; after a version at 1:00 the cooldown and the cap still refuse, and convert."""
    campaign = reminder(channel="email", cooldown="1d", conversion={"event": "order", "within": "3d"})
    caps = [{"channel": "email", "limit": 1, "per": "24h"}]
    other = reminder(channel="email") | {"id": "other", "priority": -1}
    story = Story(CART, campaigns=[campaign], caps=caps)
    story.tell(0, "identify", consent={"email": True})
    story.tell(0, "Product Added")
    story.tell(HOUR, "Product Added")
    seen = {"id": "seen", "enter": "views_90d > 0"}
    story.publish(CART, seen, campaigns=[campaign, other], caps=caps)
    story.tell(2 * HOUR, "Order Completed", total=3)
    found = [(d["campaign"], d["outcome"], d["blocked_by"]) for d in story.decisions[1:]]
    assert found == [("reminder", "suppressed", "cooldown"), ("other", "suppressed", "cap")]
    assert [c["amount"] for c in story.conversions] == [3]


def test_an_hours_limit_outlives_a_version() -> None:
    """Limit 1: a at 0:30, then a version, then b at 0:31 in the same hour is refused."""
    limited = reminder(max_per_hour=1)
    story = Story(CART, campaigns=[limited])
    story.tell(0, "Product Added", user="a")
    story.tell(MINUTE, "Product Added", user="b")
    story.tell(30 * MINUTE + 10 * SECOND, "Product Viewed", user="c")
    story.publish(CART, campaigns=[reminder(), limited | {"id": "first"}, limited][1:])
    story.until(HOUR)
    found = [(d["campaign"], d["user_id"], d["outcome"]) for d in story.decisions]
    assert found == [("reminder", "a", "fired"), ("first", "b", "fired"), ("reminder", "b", "suppressed")]


def test_a_model_samples_anew_at_its_point() -> None:
    """150 lies between the quantiles 100 and 200 at 0.5 and 1: 0.75, by cause `model`; before it the value is null."""
    story = Story({"id": "s", "enter": 'percentile("spend_total") == 0.75'})
    story.tell(0, "Order Completed", total=150)
    assert story.changes == []
    snapshot = Snapshot.model_validate(spent([0, 100, 200]))
    story.take(story.engine.publish(model=snapshot, wall_ms=WALL_MS))
    assert story.changes == [("+s", 0)]
    (transition,) = story.transitions
    assert (transition["cause"], transition["model"], transition["source"]) == ("model", "3/" + 64 * "c", None)


def test_a_cluster_changes_only_if_the_new_centre_is_a_tenth_nearer() -> None:
    """Centres 0 and 10: at 5 and 5.2 she stays where she was (4.8 > 0.9 × 5.2), at 6 she moves."""
    clusters = {"names": ["low", "high"], "centres": [[0.0], [10.0]]}
    model = spent([0, 1]) | {"features": [{"name": "cart_value"}], "clusters": clusters}
    story = Story({"id": "b", "clusters": True}, {"id": "m", "enter": 'member("b:high")'}, model=model)
    for moment, price in enumerate((5, 0.2, 0.8)):
        story.tell(moment, "Product Added", price=price)
    assert story.changes == [("+b:low", 0), ("-b:low", 2), ("+b:high", 2), ("+m", 2)]


def test_a_version_before_the_first_record_judges_nobody() -> None:
    """Published while there is no clock and nobody: no effects; the first record is judged by the new rules."""
    story = Story({"id": "a", "enter": "views_total > 0"})
    story.publish({"id": "b", "enter": "views_total > 0"})
    assert story.changes == []
    story.tell(0, "Product Viewed")
    assert story.changes == [("+b", 0)]
    assert story.engine.clock_ms == START_MS
