"""The engine held to the contract by hand: time, windows, duplicates, sessions, membership, to the millisecond.

Every expectation is worked out from CONTRACT.md and docs/semantics.md alone, not from the twin.
"""

import hashlib
import json

import pytest

from tests.core.support import CART, DAY, HOUR, MINUTE, SECOND, START_MS, WALL_MS, Story, message

WINDOWS = [("1h", 65 * MINUTE), ("24h", 25 * HOUR), ("7d", 8 * DAY), ("30d", 31 * DAY)]


# Time


def test_a_time_reaches_its_limit_at_that_very_millisecond() -> None:
    """`>= 30m` holds from +1,800,000 ms, `> 30m` from +1,800,001 ms, both by timer, without a source."""
    story = Story(CART, {"id": "later", "enter": "time_since_cart_add > 30m"})
    story.tell(0, "Product Added")
    story.until(30 * MINUTE - 1)
    assert story.changes == []
    story.until(30 * MINUTE + 1)
    assert story.changes == [("+cart", 1_800_000), ("+later", 1_800_001)]
    assert [(t["cause"], t["source"], t["origin"]) for t in story.transitions] == [("timer", None, "live")] * 2


@pytest.mark.parametrize(
    ("condition", "changes"),
    [
        ("time_since_view == 90s", [("+s", 90_000), ("-s", 90_001)]),
        ("time_since_view < 90s", [("+s", 0), ("-s", 90_000)]),
        ("time_since_view <= 90s", [("+s", 0), ("-s", 90_001)]),
        ("60s < time_since_view <= 90s", [("+s", 60_001), ("-s", 90_001)]),
        ("time_since_view != 90s", [("+s", 0), ("-s", 90_000), ("+s", 90_001)]),
        ("time_since_view > 0.0015", [("+s", 2)]),
        ("2s <= age", [("+s", 2_000)]),
    ],
)
def test_every_comparison_of_a_time_changes_where_it_should(condition: str, changes: list[tuple[str, int]]) -> None:
    """A view at 0, then nothing: the comparison's truth changes at the very millisecond."""
    story = Story({"id": "s", "enter": condition})
    story.tell(0, "Product Viewed")
    story.until(HOUR)
    assert story.changes == changes


@pytest.mark.parametrize(("window", "leaves"), WINDOWS)
@pytest.mark.parametrize("moment", [0, 1, 5 * MINUTE - 1])
def test_a_window_lets_an_event_go_at_its_hop_border(window: str, leaves: int, moment: int) -> None:
    """Wherever in the first hop the event lies, it stays for all hops of the window, and not a millisecond longer."""
    story = Story({"id": "s", "enter": f"views_{window} > 0"})
    story.tell(moment, "Product Viewed")
    story.until(leaves - 1)
    assert story.changes == [("+s", moment)]
    story.until(leaves)
    assert story.changes == [("+s", moment), ("-s", leaves)]


@pytest.mark.parametrize(("window", "width_days"), [("90d", 7), ("365d", 28)])
def test_weeks_and_months_are_aligned_to_the_epoch(window: str, width_days: int) -> None:
    """7-day and 28-day hops begin where multiples of their width since 1970 lie; an event stays for 14 of them."""
    story = Story({"id": "s", "enter": f"spend_{window} >= 5"})
    story.tell(0, "Order Completed", total=5)
    story.until(400 * DAY)
    width = width_days * DAY
    assert story.changes == [("+s", 0), ("-s", (START_MS // width + 14) * width - START_MS)]


def test_a_late_event_lands_in_its_own_hop() -> None:
    """A view of 23 hours ago counts in the last 24 hours for its own remaining time; one of 26 hours ago not at all."""
    story = Story({"id": "s", "enter": "views_24h > 0"})
    story.tell(26 * HOUR, "Products Searched")
    story.tell(0, "Product Viewed")
    assert story.changes == []
    story.tell(3 * HOUR, "Product Viewed")
    story.until(3 * DAY)
    assert story.changes == [("+s", 26 * HOUR), ("-s", 28 * HOUR)]


def test_the_oldest_hop_of_a_window_takes_late_events_and_the_one_before_does_not() -> None:
    """At 30:00 the 24 hours cover the hops from 6:00 on: an event of 5:59:59.999 is out, one of 6:00 is in."""
    story = Story({"id": "s", "enter": "views_24h > 0"})
    story.tell(30 * HOUR, "Products Searched")
    story.tell(6 * HOUR - 1, "Product Viewed")
    assert story.changes == []
    story.tell(6 * HOUR, "Product Viewed")
    story.until(DAY * 2)
    assert story.changes == [("+s", 30 * HOUR), ("-s", 31 * HOUR)]


def test_a_session_ends_thirty_minutes_after_its_last_activity() -> None:
    """At 29:59.999 an activity extends it, at 30:00 another begins; values are 0 from the very end on, by timer."""
    story = Story({"id": "s", "enter": "session_events >= 2"}, {"id": "t", "enter": "sessions_total >= 2"})
    story.tell(0, "Product Viewed")
    story.tell(30 * MINUTE - 1, "Product Viewed")
    story.tell(60 * MINUTE - 1, "Product Viewed")
    assert story.changes == [("+s", 30 * MINUTE - 1), ("-s", 60 * MINUTE - 1), ("+t", 60 * MINUTE - 1)]
    assert [t["cause"] for t in story.transitions] == ["event", "timer", "event"]


def test_only_the_threshold_that_is_crossed_matters() -> None:
    """Five orders in as many hours: `orders_24h >= 3` ends when the third-newest leaves its hop."""
    story = Story({"id": "s", "enter": "orders_24h >= 3"})
    for hour in range(5):
        story.tell(hour * HOUR, "Order Completed", total=1)
    story.until(3 * DAY)
    assert story.changes == [("+s", 2 * HOUR), ("-s", 27 * HOUR)]


def test_others_follow_only_up_to_the_partition_clock_less_grace() -> None:
    """Another user's record moves the clock; the reminder is due when the clock is two seconds past it."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(30 * MINUTE + 1_999, "Product Viewed", user="other")
    assert story.changes == []
    story.tell(30 * MINUTE + 2_000, "Product Viewed", user="other")
    assert story.changes == [("+cart", 30 * MINUTE)]


def test_a_users_own_record_makes_her_time_pass_up_to_and_including_it() -> None:
    """Her order at the very instant: the reminder's time passes first, by timer, then the order takes her out."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(30 * MINUTE, "Order Completed", total=1)
    assert story.changes == [("+cart", 30 * MINUTE), ("-cart", 30 * MINUTE)]
    assert [t["cause"] for t in story.transitions] == ["timer", "event"]


def test_an_order_within_the_grace_stops_the_reminder() -> None:
    """Partition clock at 30:01; the order of 29:59 arrives before the clock is past 30:02: no reminder."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(30 * MINUTE + SECOND, "Product Viewed", user="other")
    story.tell(30 * MINUTE - SECOND, "Order Completed", total=5)
    story.until(DAY)
    assert story.changes == []


def test_a_late_order_empties_the_cart_when_it_is_applied() -> None:
    """The order of minute 10, arriving after minute 40's event, ends the membership at the clock less grace."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Product Viewed", user="other")
    story.tell(10 * MINUTE, "Order Completed", total=5)
    assert story.changes == [("+cart", 30 * MINUTE), ("-cart", 40 * MINUTE - 2 * SECOND)]
    assert [t["cause"] for t in story.transitions] == ["timer", "event"]
    assert story.transitions[1]["source"] == {"topic": "shoal.events", "partition": 0, "offset": 2}


def test_events_of_the_same_millisecond_are_evaluated_one_by_one() -> None:
    """In and out at one instant: two transitions with different ids and sequence numbers, in order of offset."""
    story = Story({"id": "s", "enter": "cart_items == 1"})
    story.tell(0, "Product Added")
    story.tell(0, "Product Added")
    story.tell(0, "Product Removed")
    assert story.changes == [("+s", 0), ("-s", 0), ("+s", 0)]
    assert [t["seq"] for t in story.transitions] == [1, 2, 3]
    assert len({t["id"] for t in story.transitions}) == 3


def test_tick_is_inclusive_and_moves_the_partition_clock() -> None:
    """At the instant itself the reminder is there; a record 400 days after the tick is still taken, one later not."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.until(30 * MINUTE)
    assert story.changes == [("+cart", 30 * MINUTE)]
    assert story.engine.clock_ms == START_MS + 30 * MINUTE
    story.tell(30 * MINUTE + 400 * DAY + 1, "Product Viewed")
    story.tell(30 * MINUTE + 400 * DAY, "Product Viewed")
    assert story.dead == ["timestamp_out_of_range"]


def test_a_tick_into_the_past_moves_no_clock_back() -> None:
    """A tick before the partition clock leaves it where it is."""
    story = Story(CART)
    story.tell(HOUR, "Product Added")
    story.until(0)
    assert story.engine.clock_ms == START_MS + HOUR


@pytest.mark.parametrize(
    ("moment", "refused"),
    [(400 * DAY, False), (400 * DAY + 1, True), (-3653 * DAY, False), (-3653 * DAY - 1, True)],
)
def test_a_time_out_of_range_is_a_dead_letter_at_the_exact_millisecond(moment: int, *, refused: bool) -> None:
    """With arrivals at 0: 10 years (3,653 days) old is taken; event clock: 400 days after the clock is taken."""
    story = Story(CART, clock="event" if moment > 0 else "wall")
    if moment > 0:
        story.tell(0, "Product Viewed")
        story.tell(moment, "Product Viewed")
    else:
        story.arrive(moment, "Product Viewed", arrival=0)
    assert story.dead == ["timestamp_out_of_range"] * refused


def test_the_first_record_of_all_sets_the_event_clock() -> None:
    """Without a clock before it nothing is too far ahead; dead letters don't start it."""
    story = Story(CART)
    story.take(story.engine.step([b"{}", b"no"], 0, wall_ms=WALL_MS))
    assert story.engine.clock_ms is None
    story.tell(9_000 * DAY, "Product Viewed")
    assert [story.applied, story.engine.clock_ms] == [1, START_MS + 9_000 * DAY]


def test_sampled_values_are_computed_at_the_users_daily_instant() -> None:
    """Arithmetic on a time flips at BLAKE2b-64(user id) mod a day of the first day on which it holds."""
    of_day = int.from_bytes(hashlib.blake2b(b"u", digest_size=8).digest(), "big") % DAY
    story = Story(
        {"id": "s", "enter": "time_since_view + 0s >= 36h"}, {"id": "t", "enter": "time_since_view / 1 > 90d"}
    )
    story.tell(0, "Product Viewed")
    story.until(200 * DAY)
    day = next(day for day in range(9) if day * DAY + of_day >= 36 * HOUR)
    assert story.changes == [("+s", day * DAY + of_day)]


# Duplicates and identify


def test_a_duplicate_moves_nothing_but_the_partition_clock() -> None:
    """The second copy is a duplicate; its arrival lets time pass for everyone, its own user included."""
    story = Story(CART, {"id": "twice", "enter": "views_24h >= 2"})
    story.tell(0, "Product Added", user="other")
    story.tell(0, "Product Viewed", messageId="m")
    story.tell(HOUR, "Product Viewed", messageId="m")
    assert story.changes == [("+cart", 30 * MINUTE)]
    assert (story.read, story.applied, story.duplicates) == (3, 2, 1)


def test_a_duplicate_leaves_neither_of_its_ids_behind() -> None:
    """An order refused for its order_id doesn't make its messageId known: the next message by that id counts."""
    story = Story({"id": "s", "enter": "views_total == 1"})
    story.tell(0, "Order Completed", order_id="o", messageId="a")
    story.tell(1, "Order Completed", order_id="o", messageId="b")
    story.tell(2, "Product Viewed", messageId="b")
    assert (story.duplicates, story.changes) == (1, [("+s", 2)])


def test_the_33rd_message_back_and_the_9th_order_back_are_forgotten() -> None:
    """Of 33 messages the first counts again; of nine orders too; the last 32 and 8 are duplicates."""
    story = Story({"id": "s", "enter": "views_total >= 34"}, {"id": "o", "enter": "orders_total >= 10"})
    for number in range(33):
        story.tell(number, "Product Viewed", messageId=f"m{number}")
    story.tell(40, "Product Viewed", messageId="m1")
    story.tell(41, "Product Viewed", messageId="m0")
    for number in range(9):
        story.tell(50 + number, "Order Completed", order_id=f"o{number}")
    story.tell(60, "Order Completed", order_id="o1")
    story.tell(61, "Order Refunded", order_id="o1")
    story.tell(62, "Order Completed", order_id="o0")
    assert (story.duplicates, story.changes) == (2, [("+s", 41), ("+o", 62)])


def test_identify_is_never_a_duplicate_and_no_event() -> None:
    """Applied twice, even under an event's messageId, which it doesn't make known; no event, but she is evaluated."""
    story = Story(CART, {"id": "a", "enter": "age >= 0s"}, {"id": "de", "enter": 'trait("country") == "DE"'},
                  traits=["country"])  # fmt: skip
    story.tell(0, "identify", messageId="m", country="FR")
    story.tell(1, "identify", messageId="m", country="DE")
    assert (story.applied, story.duplicates, story.changes) == (2, 0, [("+de", 1)])
    story.tell(2, "Product Added", messageId="m")
    story.tell(31 * MINUTE, "identify", messageId="m", country=None)
    assert (story.applied, story.duplicates) == (4, 0)
    assert story.changes[1:] == [("+a", 2), ("+cart", 30 * MINUTE + 2)]


# Membership


def test_min_dwell_holds_a_member_to_the_millisecond() -> None:
    """The exit is true after one minute; she leaves when ten have passed since her entry, by timer."""
    story = Story({"id": "s", "enter": "views_24h > 0", "exit": "time_since_view >= 1m", "min_dwell": "10m"})
    story.tell(0, "Product Viewed")
    story.until(HOUR)
    assert story.changes == [("+s", 0), ("-s", 10 * MINUTE)]


def test_min_dwell_lets_stay_whose_exit_is_over_by_then() -> None:
    """The cart is empty for a minute only, within the ten: no change at all."""
    story = Story({"id": "s", "enter": "cart_items > 0", "min_dwell": "10m"})
    story.tell(0, "Product Added")
    story.tell(MINUTE, "Product Removed")
    story.tell(2 * MINUTE, "Product Added")
    story.until(HOUR)
    assert story.changes == [("+s", 0)]


def test_tiers_give_way_with_one_reason_in_one_evaluation() -> None:
    """From low to high: the exit and the entry for high's reason; then down again when the window empties."""
    tiers = [{"id": "high", "enter": "spend_7d >= 200"}, {"id": "low", "enter": "spend_total > 0"}]
    story = Story({"id": "tier", "tiers": tiers})
    story.tell(0, "Order Completed", total=50)
    story.tell(1, "Order Completed", total=150)
    story.until(9 * DAY)
    up = [("+tier:low", 0), ("-tier:low", 1), ("+tier:high", 1)]
    assert story.changes == [*up, ("-tier:high", 8 * DAY), ("+tier:low", 8 * DAY)]
    reasons = [t["reason"] for t in story.transitions[1:4]]
    assert reasons == [[{"clause": "spend_7d >= 200", "value": value}] for value in (200, 200, 0)]


def test_a_tier_that_dwells_keeps_the_others_out() -> None:
    """Low may give way to high a minute after her entry only, though high's condition holds at once."""
    tiers = [{"id": "high", "enter": "cart_value >= 200"}, {"id": "low", "enter": "cart_value > 0", "min_dwell": "1m"}]
    story = Story({"id": "tier", "tiers": tiers})
    story.tell(0, "Product Added", price=100)
    story.tell(1, "Product Added", price=100)
    story.until(HOUR)
    assert story.changes == [("+tier:low", 0), ("-tier:low", MINUTE), ("+tier:high", MINUTE)]


def test_a_true_exit_keeps_from_entering_and_unknown_from_leaving() -> None:
    """`exit` true: no entry. Without an exit an unknown `enter` doesn't end a membership."""
    barred = {"id": "barred", "enter": "views_24h > 0", "exit": "views_24h > 0"}
    story = Story(barred, {"id": "x", "enter": 'trait("points") > 3'}, traits=["points"])
    story.tell(0, "identify", points=5)
    story.tell(1, "Product Viewed")
    story.tell(2, "identify", points=None)
    story.tell(3, "identify", points=2)
    assert story.changes == [("+x", 0), ("-x", 3)]


def test_the_transition_id_is_the_contracts_hash() -> None:
    """SHA-256 over user, segment, direction, hash, ms, cause, partition and offset; without the last two for timers."""
    story = Story({"id": "s", "enter": "time_since_view < 1m"}, partition=3, partitions=4)
    story.take(story.engine.step([message(0, "Product Viewed")], 17, wall_ms=WALL_MS))
    story.until(HOUR)
    whole = story.engine.version.checked.hash
    parts = (["u", "s", "entered", whole, str(START_MS), "event", "3", "17"],
             ["u", "s", "exited", whole, str(START_MS + MINUTE), "timer"])  # fmt: skip
    expected = [hashlib.sha256("\x1f".join(part).encode()).hexdigest()[:32] for part in parts]
    assert [t["id"] for t in story.transitions] == expected
    assert story.transitions[0]["definition"] == f"7/{whole}"


def test_memberships_tell_since_when_and_as_of() -> None:
    """Who had a transition has a record: her segments with their entry times, and the clock all time has passed to."""
    story = Story(CART, {"id": "s", "enter": "views_24h > 0"})
    story.tell(0, "Product Added")
    story.tell(0, "Product Searched", user="nobody")
    story.tell(HOUR, "Product Viewed")
    (record,) = story.engine.memberships()
    assert json.loads(json.dumps(record)) == {
        "user_id": "u",
        "segments": [
            {"id": "cart", "since": "2026-03-02T00:30:00.000Z"},
            {"id": "s", "since": "2026-03-02T01:00:00.000Z"},
        ],
        "seq": 2,
        "as_of": "2026-03-02T01:00:00.000Z",
    }
    assert story.engine.members() == {"cart": 1, "s": 1}


# The wall clock


def test_the_wall_clock_lets_time_pass_without_records() -> None:
    """`advance` to 30:01.999 isn't past the grace; to 30:02 it is."""
    story = Story(CART, clock="wall")
    story.arrive(0, "Product Added", arrival=0)
    story.take(story.engine.advance(START_MS + 30 * MINUTE + 1_999, wall_ms=WALL_MS))
    assert story.changes == []
    story.take(story.engine.advance(START_MS + 30 * MINUTE + 2_000, wall_ms=WALL_MS))
    assert story.changes == [("+cart", 30 * MINUTE)]
    story.take(story.engine.advance(START_MS, wall_ms=WALL_MS))
    assert story.engine.clock_ms == START_MS + 30 * MINUTE + 2_000


def test_a_time_in_the_future_is_repaired_to_the_arrival() -> None:
    """Five minutes ahead are believed, a millisecond more is taken for the arrival."""
    story = Story({"id": "s", "enter": "views_24h == 1"}, {"id": "t", "enter": "views_24h == 2"}, clock="wall")
    story.arrive(5 * MINUTE + 1, "Product Viewed", arrival=0)
    story.arrive(5 * MINUTE + 1, "Product Viewed", arrival=1)
    assert story.changes == [("+s", 0), ("-s", 5 * MINUTE + 1), ("+t", 5 * MINUTE + 1)]
