"""How time passes, to the millisecond: daily instants, sessions, late events, borders of windows and of a batch."""

import hashlib

import pytest

from tests.core.support import (
    ALL,
    CART,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    WALL_MS,
    Story,
    holds,
    message,
    told_at_once,
)

OF_DAY = int.from_bytes(hashlib.blake2b(b"u", digest_size=8).digest(), "big") % DAY


@pytest.mark.parametrize(("early", "changes"), [(0, [("+s", OF_DAY + 90 * DAY)]), (1, [])])
def test_the_last_daily_instant_is_at_most_ninety_days_after_the_last_activity(
    early: int, changes: list[tuple[str, int]]
) -> None:
    """Active at her daily instant she is sampled at it 90 days later; active a millisecond earlier she isn't."""
    story = Story({"id": "s", "enter": "time_since_view + 0s >= 90d"})
    story.tell(OF_DAY - early, "Product Viewed")
    story.until(200 * DAY)
    assert story.changes == changes


def test_other_instants_leave_sampled_values_alone() -> None:
    """She falls due 30 minutes after her daily instant: sampled at that of the next day, not then."""
    story = Story(CART, {"id": "d", "enter": "time_since_view + 0s >= 10m"})
    story.tell(OF_DAY + 1, "Product Viewed")
    story.tell(OF_DAY + 1, "Product Added")
    story.until(OF_DAY + 2 * DAY)
    assert story.changes == [("+cart", OF_DAY + 30 * MINUTE + 1), ("+d", OF_DAY + DAY)]


def test_late_events_change_no_latest_time() -> None:
    """A view of an hour before the last one: the time since a view, and daily sampling, count from the last."""
    story = Story({"id": "s", "enter": "time_since_view >= 1h"}, {"id": "d", "enter": "time_since_view + 0s >= 89d"})
    story.tell(2 * DAY, "Product Viewed")
    story.tell(2 * DAY - HOUR, "Product Viewed")
    story.tell(0, "Product Viewed")
    story.until(200 * DAY)
    assert story.changes == [("+s", 2 * DAY + HOUR), ("+d", 91 * DAY + OF_DAY)]


def test_age_counts_from_the_earliest_event_by_its_own_time() -> None:
    """An hour before the first that arrived: she is an hour old at once."""
    story = Story({"id": "s", "enter": "age >= 1h"})
    story.tell(HOUR, "Product Viewed")
    story.tell(0, "Product Viewed")
    assert story.changes == [("+s", HOUR)]


def test_a_late_activity_does_not_shorten_a_session() -> None:
    """Active at 0:00, 0:20 and, late, 0:10: at 0:45 it is the same session, and its seconds are those to 0:45."""
    story = Story({"id": "two", "enter": "sessions_total > 1"}, {"id": "s", "enter": "session_seconds == 2700"})
    for minute in (0, 20, 10, 45):
        story.tell(minute * MINUTE, "Product Viewed")
    assert story.changes == [("+s", 45 * MINUTE)]


def test_session_seconds_end_with_the_session() -> None:
    """Two activities a minute apart: 60 seconds, and 0 from 30 minutes after the second on."""
    story = Story({"id": "s", "enter": "session_seconds > 0"})
    story.tell(0, "Product Viewed")
    story.tell(MINUTE, "Product Viewed")
    story.until(DAY)
    assert story.changes == [("+s", MINUTE), ("-s", 31 * MINUTE)]


@pytest.mark.parametrize(
    ("name", "moment", "expected"),
    [
        ("evening", 18 * HOUR - 1, False),
        ("evening", 18 * HOUR, True),
        ("evening", DAY, False),
        ("weekend", 5 * DAY - 1, False),
        ("weekend", 5 * DAY, True),
        ("weekend", 7 * DAY - 1, True),
        ("weekend", 7 * DAY, False),
    ],
)
def test_evening_begins_at_six_and_the_weekend_is_saturday_and_sunday(
    name: str, moment: int, *, expected: bool
) -> None:
    """To the millisecond, in the definitions' zone."""
    assert holds(f"{name}_share == 1", (moment, "Product Viewed", {})) is expected


def test_evenings_go_by_the_zone_of_the_definitions_in_force() -> None:
    """Ten o'clock UTC is no evening; with a version for Tokyo the next one at ten is."""
    segment = {"id": "s", "enter": "evening_share > 0"}
    story = Story(segment)
    story.tell(10 * HOUR, "Product Viewed")
    story.publish(segment, timezone="Asia/Tokyo")
    story.tell(DAY + 10 * HOUR, "Product Viewed")
    assert story.changes == [("+s", DAY + 10 * HOUR)]


@pytest.mark.parametrize(
    ("condition", "enters", "leaves"),
    [
        ("views_24h + orders_24h > 0", 0, 25 * HOUR),
        ("views_24h > 0 or time_since_view < 2h", 0, 25 * HOUR),
        ("views_24h > 0 or time_since_view < 26h", 0, 26 * HOUR),
        ("views_24h > 0 and time_since_view < 26h", 0, 25 * HOUR),
        ("spend_total <= time_since_view < spend_total * 2", 90_000, 180_000),
    ],
)
def test_time_changes_a_condition_of_several_parts_where_it_should(condition: str, enters: int, leaves: int) -> None:
    """An order of 90 and a view at 0, then nothing: in and out at the very millisecond."""
    story = Story({"id": "s", "enter": condition})
    story.tell(0, "Order Completed", total=90)
    story.tell(0, "Product Viewed")
    story.until(9 * DAY)
    assert story.changes[-2:] == [("+s", enters), ("-s", leaves)]


def test_within_a_batch_time_passes_for_others_only_up_to_the_clock_of_each_record_less_grace() -> None:
    """An order within the grace stops the reminder, though a later record of the batch is an hour on."""
    story = Story(CART)
    other = [message(moment, "Product Viewed", "other") for moment in (30 * MINUTE + 1_000, 2 * HOUR)]
    order = message(30 * MINUTE - 1_000, "Order Completed", total=5)
    told_at_once(story, message(0, "Product Added"), other[0], order, other[1])
    assert story.changes == []


@pytest.mark.parametrize("restarted", [False, True])
def test_after_a_tick_nobody_is_judged_at_an_earlier_instant(restarted: bool) -> None:
    """Within the grace after a tick to 1:00 come records of 0:59:59, of one whom it passed and of one who is new."""
    story = Story({"id": "s", "enter": "views_total > 0"})
    story.tell(0, "Product Added", user="old")
    story.until(HOUR)
    if restarted:
        story.restart()
    for user in ("old", "new"):
        story.tell(HOUR - SECOND, "Product Viewed", user=user)
    assert story.changes == [("+s", HOUR), ("+s", HOUR)]


def test_a_tick_counts_for_those_who_come_to_an_empty_partition() -> None:
    """Nobody is there when it comes: the first one is judged at it all the same."""
    story = Story({"id": "s", "enter": "views_total > 0"})
    story.until(HOUR)
    story.tell(HOUR - SECOND, "Product Viewed")
    assert story.changes == [("+s", HOUR)]


def test_who_comes_after_a_version_waits_for_the_grace_like_everybody() -> None:
    """A version takes effect at 1:00. A cart due at 0:59:59 comes after it: an order still stops the reminder."""
    story = Story(CART)
    story.tell(HOUR, "Product Viewed", user="other")
    story.publish(CART)
    story.tell(HOUR - 30 * MINUTE - SECOND, "Product Added")
    story.take(story.engine.catch_up(ALL, wall_ms=WALL_MS))
    story.tell(HOUR - 2 * SECOND, "Order Completed")
    story.until(DAY)
    assert story.changes == []


def test_users_due_at_one_instant_come_in_order_of_first_appearance() -> None:
    """Nine put something into their carts in another order than they first came: by timer in the first one."""
    story = Story(CART)
    names = "abcdefghi"
    carts = [message(1, "Product Added", name) for name in "eichbgadf"]
    told_at_once(story, *(message(0, "Product Viewed", name) for name in names), *carts, message(DAY, "Product Viewed"))
    assert [t["user_id"] for t in story.transitions] == list(names)


def test_grace_is_at_most_a_day() -> None:
    """A day is taken; a millisecond more, or less than none, isn't."""
    assert Story(CART, grace_ms=DAY).engine.grace_ms == DAY
    for grace_ms in (-1, DAY + 1):
        with pytest.raises(ValueError, match="grace is 0 to"):
            Story(CART, grace_ms=grace_ms)
