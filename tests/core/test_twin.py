"""The naive twin held to the contract by hand: stories whose right end is known from CONTRACT.md alone.

What the engine is compared with has to be right itself. Times are offsets in ms from Monday 2026-03-02T00:00Z.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import random_definitions, streams
from tests.support.pair import BY_USER
from worker.naive.calendar import DAY_MS, blake64, hexdigits, random_number, written
from worker.naive.twin import NULL_KEY, Twin
from worker.naive.user import User

START_MS = 1_772_409_600_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
HASH = "3fa9" * 16
CART = {"id": "cart", "enter": "cart_items > 0 and time_since_cart_add >= 30m"}


class Story:
    """A twin told by one user's events at offsets."""

    def __init__(self, *segments: dict[str, Any], model: dict[str, Any] | None = None, **rest: Any) -> None:
        clock, grace = rest.pop("clock", "event"), rest.pop("grace_ms", 2000)
        definitions = {"version": 7, "segments": list(segments), **rest}
        self.twin = Twin(definitions, HASH, clock=clock, grace_ms=grace, model=model)
        self.offset = 0

    def tell(self, at: int, name: str, user: str = "u", **properties: Any) -> None:
        """A record: `Product Added`, or `identify` with traits; `messageId` and `timezone` go where they belong."""
        record: dict[str, Any] = {"type": "track", "userId": user, "timestamp": START_MS + at}
        record["messageId"] = properties.pop("messageId", None)
        record["context"] = {"timezone": properties.pop("timezone", None)}
        if name == "identify":
            record |= {"type": "identify", "traits": properties}
        else:
            record |= {"event": name, "properties": properties}
        self.raw(json.dumps(record).encode())

    def raw(self, payload: bytes, **keywords: Any) -> None:
        """The next record as bytes."""
        self.twin.record(self.offset, payload, **keywords)
        self.offset += 1

    def until(self, at: int) -> None:
        """Time passes for everyone."""
        self.twin.tick(START_MS + at)

    @property
    def changes(self) -> list[tuple[str, int]]:
        """`+segment` or `-segment`, and when."""
        return [
            (("+" if t["direction"] == "entered" else "-") + t["segment"], at(t["occurred_at"]))
            for t in self.twin.transitions
        ]

    @property
    def outcomes(self) -> list[tuple[str, str | None, int]]:
        """Outcome, what refused, and when."""
        return [(d["outcome"], d["blocked_by"], at(d["decided_at"])) for d in self.twin.decisions]


def at(text: str) -> int:
    """The offset of a time in an output."""
    days = next(day for day in range(-400, 4_000) if written(START_MS + day * DAY_MS)[:10] == text[:10])
    hours, minutes, seconds = text[11:-1].split(":")
    return days * DAY_MS + int(hours) * HOUR + int(minutes) * MINUTE + round(float(seconds) * 1000)


def reminder(**options: Any) -> dict[str, Any]:
    """A campaign on entering the cart segment of these tests."""
    return {"id": "reminder", "trigger": {"entered": "cart"}, **options}


# Time


def test_a_time_reaches_its_limit_at_that_very_millisecond() -> None:
    """`>= 30m` holds from +1,800,000 ms, `> 30m` from +1,800,001 ms, both by timer."""
    story = Story(CART, {"id": "later", "enter": "time_since_cart_add > 30m"})
    story.tell(0, "Product Added")
    story.until(30 * MINUTE + 1)
    assert story.changes == [("+cart", 1_800_000), ("+later", 1_800_001)]
    assert [t["cause"] for t in story.twin.transitions] == ["timer", "timer"]


def test_an_equality_of_a_time_holds_for_one_millisecond() -> None:
    """`== 30m` enters at +1,800,000 ms and leaves one later."""
    story = Story({"id": "s", "enter": "time_since_cart_add == 30m"})
    story.tell(0, "Product Added")
    story.until(HOUR)
    assert story.changes == [("+s", 1_800_000), ("-s", 1_800_001)]


def test_an_order_that_arrives_in_time_keeps_the_reminder_away() -> None:
    """An order at 20 minutes empties the cart before the 30 are over."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(20 * MINUTE, "Order Completed", total=5)
    story.until(DAY_MS)
    assert story.changes == []


def test_a_late_order_empties_the_cart_when_it_is_applied() -> None:
    """The order of minute 10, arriving after minute 40's event, ends the membership then, at the user's clock."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Product Viewed", user="other")
    story.tell(10 * MINUTE, "Order Completed", total=5)
    assert story.changes == [("+cart", 30 * MINUTE), ("-cart", 40 * MINUTE - 2 * SECOND)]
    assert [t["cause"] for t in story.twin.transitions] == ["timer", "event"]


def test_others_follow_only_up_to_the_partition_clock_less_grace() -> None:
    """Another user's record moves the clock; the reminder is due when the clock is two seconds past it."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(30 * MINUTE + 1_999, "Product Viewed", user="other")
    assert story.changes == []
    story.tell(30 * MINUTE + 2_000, "Product Viewed", user="other")
    assert story.changes == [("+cart", 30 * MINUTE)]


def test_a_users_own_record_makes_her_time_pass_up_to_it() -> None:
    """Her view at 31 minutes lets the 30 minutes pass first, by timer, without waiting for grace."""
    story = Story(CART)
    story.tell(0, "Product Added")
    story.tell(30 * MINUTE, "Product Viewed")
    assert story.changes == [("+cart", 30 * MINUTE)]
    assert story.twin.transitions[0]["cause"] == "timer"
    assert story.twin.transitions[0]["source"] is None


def test_a_duplicate_moves_nothing_but_the_partition_clock() -> None:
    """The second copy counts as a duplicate; its arrival lets other users' time pass."""
    story = Story(CART, {"id": "twice", "enter": "views_24h >= 2"})
    story.tell(0, "Product Added", user="other")
    story.tell(0, "Product Viewed", messageId="m")
    story.tell(HOUR, "Product Viewed", messageId="m")
    assert story.changes == [("+cart", 30 * MINUTE)]
    assert story.twin.counts["duplicates"] == 1


def test_the_33rd_message_back_is_forgotten() -> None:
    """Of 33 remembered ids the first is out: it counts again; the second to last is a duplicate."""
    story = Story({"id": "s", "enter": "views_total >= 34"})
    for number in range(33):
        story.tell(number, "Product Viewed", messageId=f"m{number}")
    story.tell(40, "Product Viewed", messageId="m31")
    story.tell(41, "Product Viewed", messageId="m0")
    assert story.twin.counts["duplicates"] == 1
    assert story.changes == [("+s", 41)]


def test_an_order_id_counts_once_per_kind_and_remembers_eight() -> None:
    """The same order_id is a duplicate among orders, not on a refund; nine orders later it counts again."""
    story = Story({"id": "s", "enter": "orders_total >= 10"})
    story.tell(0, "Order Completed", order_id="o", total=1)
    story.tell(1, "Order Completed", order_id="o", total=1)
    story.tell(2, "Order Refunded", order_id="o", total=1)
    assert story.twin.counts["duplicates"] == 1
    for number in range(8):
        story.tell(3 + number, "Order Completed", order_id=f"o{number}", total=1)
    story.tell(20, "Order Completed", order_id="o", total=1)
    assert story.changes == [("+s", 20)]


# Features


@pytest.mark.parametrize(
    ("window", "leaves"),
    [("1h", 65 * MINUTE), ("24h", 25 * HOUR), ("7d", 8 * DAY_MS), ("30d", 31 * DAY_MS)],
)
def test_a_window_lets_an_event_go_at_its_hop_border(window: str, leaves: int) -> None:
    """An event at an aligned instant (the start is aligned to all of these) stays for all hops of the window."""
    for moment in (0, 4 * MINUTE):
        story = Story({"id": "s", "enter": f"views_{window} > 0"})
        story.tell(moment, "Product Viewed")
        story.until(40 * DAY_MS)
        assert story.changes == [("+s", moment), ("-s", leaves)]


@pytest.mark.parametrize(("window", "width_days", "hops"), [("90d", 7, 14), ("365d", 28, 14)])
def test_weeks_and_months_are_aligned_to_the_epoch(window: str, width_days: int, hops: int) -> None:
    """7-day and 28-day hops begin where multiples of their width since 1970 lie."""
    story = Story({"id": "s", "enter": f"views_{window} > 0"})
    story.tell(0, "Product Viewed")
    story.until(400 * DAY_MS)
    width = width_days * DAY_MS
    assert story.changes[1] == ("-s", (START_MS // width + hops) * width - START_MS)


def test_a_late_event_lands_in_its_own_hop() -> None:
    """A view of 23 hours ago counts in the last 24 hours for its own remaining time only."""
    story = Story({"id": "s", "enter": "views_24h > 0"})
    story.tell(23 * HOUR, "Products Searched")
    story.tell(0, "Product Viewed")
    story.until(2 * DAY_MS)
    assert story.changes == [("+s", 23 * HOUR), ("-s", 25 * HOUR)]


def test_the_cart_stops_at_zero_at_every_step() -> None:
    """Removing more than there is leaves nothing owed: one added after is one item, at its own value."""
    story = Story({"id": "s", "enter": "cart_items == 1 and cart_value == 2.5"})
    story.tell(0, "Product Added", price=1, quantity=2)
    story.tell(1, "Product Removed", price=10, quantity=5)
    story.tell(2, "Product Added", price=2.5)
    assert story.changes == [("+s", 2)]


def test_a_session_ends_thirty_minutes_after_its_last_activity() -> None:
    """At 29:59.999 an activity extends it, at 30:00 a new one begins; values are 0 from the very end on."""
    story = Story({"id": "s", "enter": "session_events >= 2"}, {"id": "t", "enter": "sessions_total >= 2"})
    story.tell(0, "Product Viewed")
    story.tell(30 * MINUTE - 1, "Product Viewed")
    story.tell(60 * MINUTE - 1, "Product Viewed")
    assert story.changes == [("+s", 30 * MINUTE - 1), ("-s", 60 * MINUTE - 1), ("+t", 60 * MINUTE - 1)]
    assert story.twin.transitions[1]["cause"] == "timer"


def test_an_older_activity_counts_in_the_session_and_moves_no_end() -> None:
    """A view from an hour before makes it two events and leaves `session_seconds` at 0."""
    story = Story({"id": "s", "enter": "session_events == 2 and session_seconds == 0"})
    story.tell(HOUR, "Product Viewed")
    story.tell(0, "Product Viewed")
    story.until(DAY_MS)
    assert story.changes == [("+s", HOUR), ("-s", HOUR + 30 * MINUTE)]


def test_identify_and_mail_events_are_no_activity() -> None:
    """`age` starts with any event but identify; the last activity is not moved by mail or refunds."""
    story = Story({"id": "a", "enter": "age >= 0s"}, {"id": "b", "enter": "time_since_activity < 9999d"})
    story.tell(0, "identify", country="DE")
    story.tell(1, "Email Opened")
    story.tell(2, "Order Refunded", total=1)
    story.tell(3, "Email Link Clicked")
    assert story.changes == [("+a", 1), ("+b", 3)]


def test_what_never_happened_is_infinitely_long_ago() -> None:
    """`time_since_order > 30d` holds for who never ordered, and the reason shows null."""
    story = Story({"id": "s", "enter": "time_since_order > 30d"})
    story.tell(0, "Product Viewed")
    assert story.twin.transitions[0]["reason"] == [{"clause": "time_since_order > 30d", "value": None}]


def test_unknown_stays_unknown_under_not() -> None:
    """Without orders the average is null: neither `average_order > 10` nor its `not` is true."""
    story = Story({"id": "s", "enter": "not average_order > 10"}, {"id": "t", "enter": "refund_rate != 7"})
    story.tell(0, "Product Viewed")
    assert story.changes == []


def test_evenings_are_those_of_the_records_own_zone() -> None:
    """17:00 UTC is evening in Berlin (18:00) and not in London, judged after the record's zone is set."""
    for zone, changes in (("Europe/Berlin", [("+s", 17 * HOUR)]), ("Europe/London", [])):
        story = Story({"id": "s", "enter": "evening_share == 1"})
        story.tell(17 * HOUR, "Product Viewed", timezone=zone)
        assert story.changes == changes


def test_interest_is_a_share_that_halves_every_fourteen_days() -> None:
    """A view (1) now and a cart_add (3) of 14 days ago: 1 of 2.5, so 0.4."""
    story = Story({"id": "s", "enter": 'interest("hats") >= 0.4'}, {"id": "t", "enter": 'interest("hats") > 0.4'})
    story.tell(0, "Product Added", category="shoes")
    story.tell(14 * DAY_MS, "Product Viewed", category="hats")
    assert story.changes == [("+s", 14 * DAY_MS)]


def test_only_the_eight_strongest_categories_are_kept() -> None:
    """Nine views in the same millisecond: the last by name goes, and its share is 0."""
    story = Story({"id": "s", "enter": 'interest("i") == 0 and interest("a") == 0.125'})
    story.tell(0, "Product List Viewed", products=[{"category": name} for name in "ihgfedcba"])
    assert story.changes == [("+s", 0)]


def test_arithmetic_on_times_holds_until_the_next_event() -> None:
    """`time_since_view / 60 >= 30` doesn't flow: it is true at the next record of the user, not at 30 minutes."""
    story = Story({"id": "s", "enter": "time_since_view / 60 >= 30"})
    story.tell(0, "Product Viewed")
    story.tell(40 * MINUTE, "Products Searched")
    assert story.changes == [("+s", 40 * MINUTE)]


def test_sampled_values_are_computed_daily_until_ninety_days_after_activity() -> None:
    """A sampled time crosses at the first daily instant after it, and never once 90 days are over."""
    story = Story(
        {"id": "s", "enter": "time_since_view + 0s >= 36h"}, {"id": "t", "enter": "time_since_view + 0s > 90d"}
    )
    story.tell(0, "Product Viewed")
    story.until(200 * DAY_MS)
    ((name, instant),) = story.changes
    assert name == "+s"
    assert 36 * HOUR <= instant < 60 * HOUR


# Conditions and membership


def test_clauses_come_in_order_with_their_values() -> None:
    """Chains are two clauses, white space is single, a literal on the left gives the right side's value."""
    story = Story({"id": "s", "enter": "0 < views_24h <= 5 and not\n views_24h   in (3, 4) and 2 > orders_24h"})
    story.tell(0, "Product Viewed")
    reason = story.twin.transitions[0]["reason"]
    clauses = ["0 < views_24h", "views_24h <= 5", "views_24h in (3, 4)", "2 > orders_24h"]
    assert [part["clause"] for part in reason] == clauses
    assert [part["value"] for part in reason] == [1, 1, 1, 0]


def test_min_dwell_holds_a_member_to_the_millisecond() -> None:
    """The exit is true after one minute; she leaves when ten have passed since her entry."""
    story = Story({"id": "s", "enter": "views_24h > 0", "exit": "time_since_view >= 1m", "min_dwell": "10m"})
    story.tell(0, "Product Viewed")
    story.until(HOUR)
    assert story.changes == [("+s", 0), ("-s", 10 * MINUTE)]


def test_a_true_exit_keeps_from_entering() -> None:
    """Both conditions true: no entry, and none later."""
    story = Story({"id": "s", "enter": "views_24h > 0", "exit": "views_24h > 0"})
    story.tell(0, "Product Viewed")
    assert story.changes == []


def test_a_tier_gives_way_to_an_earlier_one() -> None:
    """Exit of the old tier before entry of the new one, both for the new one's reason."""
    tiers = [{"id": "high", "enter": "spend_365d >= 200"}, {"id": "low", "enter": "spend_365d > 0"}]
    story = Story({"id": "tier", "tiers": tiers})
    story.tell(0, "Order Completed", total=50)
    story.tell(1, "Order Completed", total=150)
    assert story.changes == [("+tier:low", 0), ("-tier:low", 1), ("+tier:high", 1)]
    assert {t["reason"][0]["clause"] for t in story.twin.transitions[1:]} == {"spend_365d >= 200"}
    assert [t["seq"] for t in story.twin.transitions] == [1, 2, 3]


def test_a_tiers_own_exit_is_a_hysteresis() -> None:
    """In `high` by 200 she stays at 150 by its exit of 100, though `mid` would take her."""
    high = {"id": "high", "enter": "cart_value >= 200", "exit": "cart_value < 100"}
    story = Story({"id": "tier", "tiers": [high, {"id": "mid", "enter": "cart_value > 0"}]})
    for moment, price in enumerate((200, -50, -60)):
        story.tell(moment, "Product Added", price=price)
    assert story.changes == [("+tier:high", 0), ("-tier:high", 2), ("+tier:mid", 2)]


def test_member_sees_the_same_evaluation_whatever_the_files_order() -> None:
    """A segment written before the one it asks for is judged after it."""
    story = Story({"id": "b", "enter": 'member("a")'}, {"id": "a", "enter": "views_24h > 0"})
    story.tell(0, "Product Viewed")
    assert story.changes == [("+a", 0), ("+b", 0)]


def test_the_transition_id_is_the_contracts_hash() -> None:
    """SHA-256 over user, segment, direction, hash, ms, cause, partition and offset."""
    story = Story({"id": "a", "enter": "views_24h > 0"})
    story.tell(0, "Product Viewed")
    parts = ("u", "a", "entered", HASH, START_MS, "event", 0, 0)
    assert story.twin.transitions[0]["id"] == hexdigits(*parts)
    assert story.twin.transitions[0]["definition"] == f"7/{HASH}"


# Versions and models


def test_a_version_judges_everyone_at_the_partition_clock() -> None:
    """Removed segments leave first, then the new rules are applied, cause `definition`, origin `backfill`."""
    story = Story({"id": "old", "enter": "views_total > 0"}, {"id": "kept", "enter": "views_total > 0"})
    story.tell(0, "Product Viewed")
    story.tell(HOUR, "Product Viewed", user="other")
    new = {
        "version": 8,
        "segments": [{"id": "new", "enter": 'member("kept")'}, {"id": "kept", "enter": "views_total > 0"}],
    }
    story.twin.publish(new, "b" * 64)
    hers = [t for t in story.twin.transitions[4:] if t["user_id"] == "u"]
    assert [(t["segment"], t["direction"], at(t["occurred_at"])) for t in hers] == [
        ("old", "exited", HOUR),
        ("new", "entered", HOUR),
    ]
    assert {(t["cause"], t["origin"]) for t in hers} == {("definition", "backfill")}


def test_a_window_that_nothing_read_fills_from_its_publication_on() -> None:
    """Two views before and one after: the newly read window knows of one."""
    story = Story({"id": "a", "enter": "orders_24h > 0"})
    story.tell(0, "Product Viewed")
    story.twin.publish({"version": 8, "segments": [{"id": "a", "enter": "views_24h >= 1"}]}, "b" * 64)
    assert story.changes == []
    story.tell(1, "Product Viewed")
    assert story.twin.transitions[0]["reason"][0]["value"] == 1


def model_by(feature: str, **parts: Any) -> dict[str, Any]:
    """A model of one unscaled feature."""
    return {"version": 3, "hash": "c" * 64, "features": [{"name": feature}], **parts}


def test_a_percentile_is_null_until_a_model_and_sampled_after() -> None:
    """150 lies between the quantiles 100 and 200 at 0.5 and 1: 0.75, by cause `model`."""
    story = Story({"id": "s", "enter": 'percentile("spend_total") == 0.75'})
    story.tell(0, "Order Completed", total=150)
    assert story.changes == []
    story.twin.publish(model=model_by("spend_total", quantiles={"spend_total": [0, 100, 200]}))
    assert story.changes == [("+s", 0)]
    assert (story.twin.transitions[0]["cause"], story.twin.transitions[0]["model"]) == ("model", "3/" + 64 * "c")


def test_a_probability_needs_consent_to_profiling() -> None:
    """Weight 1 and intercept -2 at two views: 0.5; with consent withdrawn it is null, so an explicit exit holds her."""
    model = model_by("views_total", targets={"t": {"kind": "linear", "weights": [1.0], "intercept": -2.0}})
    story = Story(
        {"id": "s", "enter": 'probability("t") == 0.5'}, {"id": "n", "enter": 'probability("t") < 2'}, model=model
    )
    story.tell(0, "identify", consent={"profiling": False})
    story.tell(1, "Product Viewed")
    story.tell(2, "Product Viewed")
    assert story.changes == []
    story.tell(3, "identify", consent={"profiling": None})
    assert story.changes == [("+s", 3), ("+n", 3)]


@pytest.mark.parametrize(("feature", "value"), [("spend_trend", 1), ("session_recency", 0.5)])
def test_a_model_reads_what_its_features_stand_for(feature: str, value: float) -> None:
    """`spend_90d / spend_365d` is 1 after an order; an hour's silence in two hours of age, one session, is a half."""
    target = {"kind": "linear", "weights": [1.0], "intercept": -float(value)}
    story = Story({"id": "s", "enter": 'probability("t") == 0.5'}, model=model_by(feature, targets={"t": target}))
    story.tell(0, "Email Opened")
    story.tell(HOUR, "Order Completed", total=5)
    story.tell(2 * HOUR, "identify")
    assert story.changes[0] == ("+s", HOUR if feature == "spend_trend" else 2 * HOUR)


def test_a_cluster_changes_only_if_the_new_centre_is_a_tenth_nearer() -> None:
    """Centres 0 and 10: at 5 and 5.2 she stays where she was (4.8 > 0.9 x 5.2), at 6 she moves."""
    clusters = {"names": ["low", "high"], "centres": [[0.0], [10.0]]}
    story = Story({"id": "b", "clusters": True}, model=model_by("cart_value", clusters=clusters))
    for moment, price in enumerate((5, 0.2, 0.8)):
        story.tell(moment, "Product Added", price=price)
    assert story.changes == [("+b:low", 0), ("-b:low", 2), ("+b:high", 2)]


# Campaigns


def test_consent_is_asked_for_only_with_a_channel() -> None:
    """Without consent an email is suppressed; the campaign without a channel fires."""
    mail = reminder(channel="email", priority=1)
    story = Story(CART, campaigns=[reminder() | {"id": "inner"}, mail])
    story.tell(0, "Product Added")
    story.until(HOUR)
    assert story.outcomes == [("suppressed", "consent", 30 * MINUTE), ("fired", None, 30 * MINUTE)]


def test_an_unsubscription_withdraws_the_channels_consent() -> None:
    """`Unsubscribed` means email unless it names another channel."""
    story = Story(CART, campaigns=[reminder(channel="email")])
    story.tell(0, "identify", consent={"email": True, "push": True})
    story.tell(0, "Product Added")
    story.tell(1, "Unsubscribed")
    story.until(HOUR)
    assert story.outcomes == [("suppressed", "consent", 30 * MINUTE)]


def test_a_delayed_trigger_is_cancelled_when_its_segment_is_left() -> None:
    """Deferred by its delay, cancelled at the exit, and nothing at the time it was due."""
    story = Story(CART, campaigns=[reminder(delay="1h")])
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Order Completed", total=1)
    story.until(DAY_MS)
    assert story.outcomes == [("deferred", "delay", 30 * MINUTE), ("cancelled", "exited", 40 * MINUTE)]
    assert len({d["decision_id"] for d in story.twin.decisions}) == 1


def test_on_exit_continue_fires_all_the_same() -> None:
    """The trigger goes out when due, with its due time and expiry counted from the transition."""
    story = Story(CART, campaigns=[reminder(delay="1h", on_exit="continue", expires="6h")])
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Order Completed", total=1)
    story.until(DAY_MS)
    assert story.outcomes[1:] == [("fired", None, 90 * MINUTE)]
    assert at(story.twin.triggers[0]["expires_at"]) == 90 * MINUTE + 6 * HOUR


def test_a_pending_trigger_refuses_another_as_cooldown() -> None:
    """Re-entry while the first is still delayed: `cooldown`, and only the first fires."""
    story = Story(CART, campaigns=[reminder(delay="2h", on_exit="continue")])
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Product Added")
    story.until(DAY_MS)
    assert story.outcomes == [
        ("deferred", "delay", 30 * MINUTE),
        ("suppressed", "cooldown", 70 * MINUTE),
        ("fired", None, 150 * MINUTE),
    ]


def test_a_cooldown_is_over_after_exactly_its_duration() -> None:
    """Fired at 30 minutes with a cooldown of 2h: refused at 2:29:59.999, fired again at 2:30."""
    for moment, second in ((2 * HOUR - 1, ("suppressed", "cooldown")), (2 * HOUR, ("fired", None))):
        story = Story(CART, campaigns=[reminder(cooldown="2h")])
        story.tell(0, "Product Added")
        story.tell(moment, "Product Added")
        story.until(DAY_MS)
        assert story.outcomes[1][:2] == second


def test_a_cap_counts_over_all_campaigns_of_its_channel() -> None:
    """One a day by email: of two campaigns at once the one with priority has it, and the next is free a day later."""
    caps = [{"channel": "email", "limit": 1, "per": "24h"}]
    first = reminder(channel="email", priority=2) | {"id": "first"}
    story = Story(CART, campaigns=[reminder(channel="email"), first], caps=caps)
    story.tell(0, "identify", consent={"email": True})
    story.tell(0, "Product Added")
    story.tell(DAY_MS, "Product Added")
    story.until(2 * DAY_MS)
    assert [d["campaign"] for d in story.twin.decisions] == ["first", "reminder"] * 2
    assert [outcome[:2] for outcome in story.outcomes] == [("fired", None), ("suppressed", "cap")] * 2


def test_quiet_hours_defer_to_the_first_instant_outside_across_dst() -> None:
    """2026-03-29, 02:00 becomes 03:00 in Berlin: quiet until 02:30 ends at 03:00 local, 01:00 UTC, not later."""
    night = 26 * DAY_MS + 23 * HOUR  # 2026-03-29T00:00 local
    quiet = {"from": "21:00", "to": "02:30"}
    story = Story(CART, timezone="Europe/Berlin", campaigns=[reminder(quiet_hours=quiet)])
    story.tell(night - 30 * MINUTE, "Product Added")
    story.until(night + DAY_MS)
    assert story.outcomes == [("deferred", "quiet_hours", night), ("fired", None, night + 2 * HOUR)]


def test_quiet_hours_may_drop_instead() -> None:
    """`on_quiet: drop` suppresses."""
    quiet = {"from": "00:00", "to": "08:00", "on_quiet": "drop"}
    story = Story(CART, campaigns=[reminder(quiet_hours=quiet)])
    story.tell(0, "Product Added")
    story.until(DAY_MS)
    assert story.outcomes == [("suppressed", "quiet_hours", 30 * MINUTE)]


def test_the_held_out_start_cooldowns_and_convert_but_get_no_trigger() -> None:
    """With a holdout of 1 there is no trigger; an order within the time converts as `holdout`."""
    campaign = reminder(holdout=1.0, cooldown="7d", conversion={"event": "order", "within": "3d"})
    story = Story(CART, campaigns=[campaign])
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Product Added")
    story.tell(3 * HOUR, "Order Completed", total=12.5)
    assert story.outcomes == [("held_out", "holdout", 30 * MINUTE), ("suppressed", "cooldown", 70 * MINUTE)]
    assert story.twin.triggers == []
    assert [(c["variant"], c["amount"]) for c in story.twin.conversions] == [("holdout", 12.5)]


def test_a_conversion_goes_by_the_events_own_time() -> None:
    """Fired at 0:30, within 1h: at that instant no, a ms later yes, at 1:30 yes, after it no; lateness is no matter."""
    campaign = reminder(conversion={"event": "view", "within": "1h"})
    story = Story(CART, campaigns=[campaign])
    story.tell(0, "Product Added")
    story.tell(3 * HOUR, "Products Searched")
    for moment in (30 * MINUTE, 30 * MINUTE + 1, 90 * MINUTE, 90 * MINUTE + 1):
        story.tell(moment, "Product Viewed")
    assert [at(c["occurred_at"]) for c in story.twin.conversions] == [30 * MINUTE + 1, 90 * MINUTE]


def test_shadow_decisions_have_no_consequences() -> None:
    """Every entry is a `shadow` decision in spite of a cooldown, and no trigger leaves."""
    story = Story(CART, campaigns=[reminder(status="shadow", cooldown="7d", variants={"a": 1.0})])
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Product Added")
    story.until(DAY_MS)
    assert [outcome[0] for outcome in story.outcomes] == ["shadow", "shadow"]
    assert story.twin.decisions[0]["variant"] == "a"
    assert story.twin.triggers == []


def test_starts_and_ends_pause_a_campaign() -> None:
    """At the instant of `starts` it is live, at that of `ends` it is not."""
    for key, outcome in (("starts", ("fired", None)), ("ends", ("suppressed", "paused"))):
        story = Story(CART, campaigns=[reminder(**{key: written(START_MS + 30 * MINUTE)})])
        story.tell(0, "Product Added")
        story.until(DAY_MS)
        assert story.outcomes[0][:2] == outcome


def test_max_per_hour_counts_by_the_clock_hour() -> None:
    """Limit 1: of two users at 0:30 and 0:31 the second is refused; at 1:00 it is another hour."""
    story = Story(CART, campaigns=[reminder(max_per_hour=1)])
    for moment, user in ((0, "a"), (MINUTE, "b"), (30 * MINUTE, "c")):
        story.tell(moment, "Product Added", user=user)
    story.until(DAY_MS)
    assert [outcome[:2] for outcome in story.outcomes] == [
        ("fired", None),
        ("suppressed", "rate_limit"),
        ("fired", None),
    ]


def test_a_version_triggers_only_with_on_backfill_and_cancels_removed_campaigns() -> None:
    """A removed campaign's pending trigger is cancelled with nothing blocking; a version's entry asks `on_backfill`."""
    story = Story(CART, campaigns=[reminder(delay="1d")])
    story.tell(0, "Product Added")
    story.tell(HOUR, "Product Viewed")
    told = {"trigger": {"entered": "new"}}
    campaigns = [{"id": "loud", "on_backfill": True, **told}, {"id": "mute", **told}]
    segments = [CART, {"id": "new", "enter": 'member("cart")'}]
    story.twin.publish({"version": 8, "segments": segments, "campaigns": campaigns}, "b" * 64)
    assert [(d["campaign"], d["outcome"], d["blocked_by"]) for d in story.twin.decisions[1:]] == [
        ("reminder", "cancelled", None),
        ("loud", "fired", None),
    ]


def test_a_trigger_carries_all_that_a_sender_needs() -> None:
    """The variant's send over the campaign's, the asked-for traits, the cart, what was seen and liked."""
    variants = {"only": {"share": 1, "send": {"coupon": "X"}}}
    campaign = reminder(send={"template": "t", "coupon": "-"}, variants=variants, include_traits=["country"])
    story = Story(CART, traits=["country"], campaigns=[campaign])
    story.tell(0, "identify", country="DE", timezone="Asia/Kolkata")
    story.tell(0, "Product Viewed", product_id="p-9", category="hats")
    story.tell(1, "Product Added", product_id="p-1", category="shoes", price=49.75, quantity=2)
    story.until(HOUR)
    (trigger,) = story.twin.triggers
    assert trigger["send"] == {"template": "t", "coupon": "X"}
    assert (trigger["traits"], trigger["timezone"]) == ({"country": "DE"}, "Asia/Kolkata")
    products = [{"product_id": "p-1", "quantity": 2}]
    assert trigger["cart"] == {"items": 2, "value": 99.5, "currency": "EUR", "products": products, "truncated": False}
    assert (trigger["recent_products"], trigger["top_categories"]) == (["p-9"], ["shoes", "hats"])


def test_staleness_is_by_the_wall_and_never_with_the_event_clock() -> None:
    """A backlog a day and a millisecond old is stale in live mode; with the event clock the wall doesn't matter."""
    for clock, outcome in (("wall", "suppressed"), ("event", "fired")):
        story = Story(CART, campaigns=[reminder()], clock=clock)
        record = {"type": "track", "event": "Product Added", "userId": "u", "timestamp": START_MS}
        story.raw(json.dumps(record).encode(), arrival_ms=START_MS, wall_ms=START_MS)
        story.twin.tick(START_MS + HOUR, wall_ms=START_MS + 30 * MINUTE + DAY_MS + 1)
        assert story.outcomes[0][0] == outcome


# Samples and observations

TARGETS = [
    {"id": "order", "positive": "order", "horizon": "1h"},
    {"id": "quiet", "positive": "silence", "horizon": "1h"},
]


@pytest.mark.parametrize(("late", "labels"), [(0, [("order", 1), ("quiet", 0)]), (1, [("order", 0), ("quiet", 1)])])
def test_a_sample_waits_from_the_end_of_a_session_to_its_deadlines_millisecond(
    late: int, labels: list[tuple[str, int]]
) -> None:
    """Seen at 0:00, sampled at 0:30, one hour: an order at 1:30:00.000 is in it, one a millisecond later isn't."""
    story = Story(CART, targets=TARGETS)
    story.tell(0, "Product Viewed")
    story.tell(90 * MINUTE + late, "Order Completed", total=5)
    samples = story.twin.samples
    assert [(s["target"], s["label"]) for s in samples] == labels
    assert {(at(s["sampled_at"]), at(s["resolved_at"])) for s in samples} == {(30 * MINUTE, 90 * MINUTE)}
    features = samples[0]["features"]
    assert [features[name] for name in ("views_7d", "orders_total", "time_since_view", "refund_rate")] == [
        1,
        0,
        1800,
        None,
    ]


def test_a_user_is_observed_weekly_while_she_may_be_profiled() -> None:
    """Every week from the instant of her id on, for 90 days; after her consent is withdrawn not at all."""
    for consent, weeks in ((True, 13), (False, 1)):
        story = Story(CART, targets=TARGETS)
        first = (blake64("u") - START_MS) % (7 * DAY_MS)
        story.tell(0, "Product Viewed")
        story.tell(3 * DAY_MS, "identify", consent={"profiling": consent})
        story.until(200 * DAY_MS)
        found = [at(o["observed_at"]) for o in story.twin.observations]
        assert found == [first + week * 7 * DAY_MS for week in range(weeks)]
        assert [s for s in story.twin.samples if at(s["resolved_at"]) > 3 * DAY_MS] == [] or consent


def test_a_sample_names_the_campaigns_that_fired_while_it_waited() -> None:
    """The reminder of 0:30 is named by the sample of 0:30 and not by that of a day later."""
    story = Story(CART, targets=TARGETS[:1], campaigns=[reminder(), reminder(holdout=1.0) | {"id": "held"}])
    story.tell(0, "Product Added")
    story.tell(DAY_MS, "Product Viewed")
    story.until(DAY_MS + 2 * HOUR)
    assert [(at(s["sampled_at"]), s["exposed"]) for s in story.twin.samples] == [
        (30 * MINUTE, ["reminder"]), (DAY_MS + 30 * MINUTE, [])
    ]  # fmt: skip


# Reading


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"x" * 65_537, "too_large"),
        (b"[" * 33, "too_deep"),
        (b'{"type": "track", "x": NaN}', "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"7", "not_an_object"),
        (b'{"type": "group"}', "bad_type"),
        (b'{"type": "page"}', "missing_user"),
        (b'{"type": "page", "userId": ""}', "bad_user"),
        (b'{"type": "page", "userId": "anon:1"}', "bad_user"),
        (b'{"type": "page", "userId": "\\ud800"}', "bad_user"),
        (b'{"type": "track", "userId": "u", "event": ""}', "missing_event"),
        (b'{"type": "page", "userId": "u"}', "bad_timestamp"),
        (b'{"type": "page", "userId": "u", "timestamp": "2026-01-01T00:00:60Z"}', "bad_timestamp"),
        (b'{"type": "page", "userId": "u", "timestamp": 1e999}', "timestamp_out_of_range"),
        (b'{"type": "page", "userId": "u", "timestamp": -62135596800001}', "timestamp_out_of_range"),
        (b'{"type": "page", "anonymousId": "%s", "timestamp": 0}' % (b"a" * 252), "bad_user"),
        (b'{"type": "page", "userId": "u", "timestamp": 0, "properties": []}', "bad_field"),
        (b'{"type": "identify", "userId": "u", "timestamp": 0, "traits": {"consent": 1}}', "bad_field"),
    ],
)
def test_what_cannot_be_understood_is_a_dead_letter_with_its_reason(payload: bytes, reason: str) -> None:
    """The first reason that applies, and nothing else happens."""
    story = Story(CART)
    story.raw(payload)
    assert [letter["reason"] for letter in story.twin.dead_letters] == [reason]
    assert story.twin.counts["dead_letters"] == {reason: 1}
    assert story.twin.clock is None


def test_the_key_must_be_the_bare_id() -> None:
    """An anonymous user's key has no prefix; another key, or none, is a mismatch where keys are looked at."""
    record = json.dumps({"type": "page", "anonymousId": "a", "timestamp": START_MS}).encode()
    story = Story(CART)
    for key in (b"a", b"anon:a", NULL_KEY):
        story.raw(record, key=key)
    assert story.twin.counts["dead_letters"] == {"key_mismatch": 2}
    assert list(story.twin.users) == ["anon:a"]


@pytest.mark.parametrize(
    ("properties", "spend", "reasons"),
    [
        ({"total": 1.005}, 1.0, set()),
        ({"revenue": 7, "value": 9}, 7, set()),
        ({"products": [{"price": 2.5, "quantity": 3}, {"price": 1}]}, 8.5, set()),
        ({"total": 10, "currency": "usd"}, 9.2, set()),
        ({"total": -1}, 0, {"bad_amount"}),
        ({"total": "5"}, 0, {"bad_field"}),
        ({"total": 5, "currency": "XXX"}, 0, {"unknown_currency"}),
        ({"total": 5, "currency": 978}, 0, {"unknown_currency"}),
        ({"total": 5, "currency": ""}, 5, set()),
        ({"products": [5, {"price": "2"}, {"price": 1}]}, 1, {"bad_product"}),
        ({}, 0, set()),
    ],
)
def test_an_order_is_never_lost_over_a_detail(properties: dict[str, Any], spend: float, reasons: set[str]) -> None:
    """It counts; its amount is what can be taken, and the repair is counted by reason."""
    story = Story({"id": "s", "enter": f"orders_total == 1 and spend_total == {spend}"}, rates={"USD": 0.92})
    story.tell(0, "Order Completed", **properties)
    assert story.changes == [("+s", 0)]
    assert set(story.twin.counts["repaired_reasons"]) == reasons
    assert story.twin.counts["repaired"] == bool(reasons)


def test_a_time_in_the_future_is_repaired_in_live_mode() -> None:
    """Five minutes ahead are believed, a millisecond more is taken for the arrival."""
    story = Story({"id": "s", "enter": "views_24h > 0"}, clock="wall")
    for user, ahead in (("a", 5 * MINUTE), ("b", 5 * MINUTE + 1)):
        record = {"type": "track", "event": "Product Viewed", "userId": user, "timestamp": START_MS + ahead}
        story.raw(json.dumps(record).encode(), arrival_ms=START_MS)
    assert story.changes == [("+s", 5 * MINUTE), ("+s", 0)]
    assert story.twin.counts["repaired_reasons"] == {"future_timestamp": 1}


def test_a_clock_does_not_jump_by_more_than_four_hundred_days() -> None:
    """With the event clock a record beyond is refused, and the clock stays."""
    story = Story(CART)
    story.tell(0, "Product Viewed")
    story.tell(400 * DAY_MS + 1, "Product Viewed")
    story.tell(400 * DAY_MS, "Product Viewed")
    assert story.twin.counts["dead_letters"] == {"timestamp_out_of_range": 1}


def test_a_users_random_number_depends_on_salt_campaign_and_purpose() -> None:
    """In [0, 1), spread evenly, and independent from purpose to purpose."""
    numbers = [random_number(f"u{i}", "2026", "c", "variant") for i in range(1_000)]
    other = [random_number(f"u{i}", "2026", "c", "holdout") for i in range(1_000)]
    assert all(0 <= number < 1 for number in numbers)
    assert 400 < sum(number < 0.5 for number in numbers) < 600
    assert 180 < sum(a < 0.5 and b < 0.5 for a, b in zip(numbers, other, strict=True)) < 320


# Streams


@pytest.mark.parametrize("seed", range(6))
def test_random_streams_conserve_records_and_alternate_memberships(seed: int) -> None:
    """Every record is applied, a duplicate or a dead letter; nobody enters where she is or leaves where she isn't."""
    rng = random.Random(seed)
    definitions, model = random_definitions.definitions(rng), random_definitions.snapshot(rng)
    twin = Twin(definitions, random_definitions.hash_of(definitions), model=model)
    for offset, record in enumerate(streams.records(rng, 250, streams.HOT if seed % 2 else None)):
        twin.record(offset, record.payload)
    counts, inside = twin.counts, set[tuple[str, str]]()
    assert counts["read"] == counts["applied"] + counts["duplicates"] + sum(counts["dead_letters"].values()) == 250
    for t in twin.transitions:
        place = (t["user_id"], t["segment"])
        assert (place in inside) == (t["direction"] == "exited")
        inside ^= {place}
    assert len({t["id"] for t in twin.transitions}) == len(twin.transitions)
    assert inside == {(m["user_id"], s["id"]) for m in twin.memberships() for s in m["segments"]}


@pytest.mark.parametrize("seed", range(6))
def test_evaluating_in_between_shows_nowhere(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping every user every seven minutes besides gives the same outputs: no instant that matters is missed."""
    rng = random.Random(seed)
    definitions, model = random_definitions.definitions(rng), random_definitions.snapshot(rng)
    settings = streams.Settings(users=3, late=0.1, gaps={0: 1, MINUTE: 3, 20 * MINUTE: 4, 5 * HOUR: 1, DAY_MS: 0.2})
    payloads, told, instants = streams.payloads(rng, 80, settings), [], User.instants

    def more(user: User) -> Iterator[int]:
        yield from instants(user)
        yield (user.clock // (7 * MINUTE) + 1) * 7 * MINUTE

    for replacement in (instants, more):
        monkeypatch.setattr(User, "instants", replacement)
        twin = Twin(definitions, HASH, model=model)
        for offset, payload in enumerate(payloads):
            twin.record(offset, payload)
        made = [getattr(twin, topic) for topic in BY_USER]
        told.append([*made, twin.memberships()])
    assert told[0] == told[1]
    assert told[0][0]
