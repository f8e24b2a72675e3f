"""Campaigns by hand: the order of the checks, caps, hours, holdouts, cancellations and what a trigger tells."""

import hashlib
from typing import Any

import pytest

from tests.core.support import CART, DAY, HOUR, MINUTE, START_MS, Story, at, reminder
from worker.core.effects import iso


@pytest.mark.parametrize(
    ("braked", "wall", "consent", "blocked_by"),
    [
        (True, 9 * DAY, False, "paused"),
        (False, 9 * DAY, False, "stale"),
        (False, 0, False, "consent"),
        (False, 0, True, "cooldown"),
    ],
)
def test_paused_comes_before_stale_before_consent_before_cooldown(
    *, braked: bool, wall: int, consent: bool, blocked_by: str
) -> None:
    """The second entry within the cooldown, consent taken back, looked at nine days later, braked: named in turn."""
    story = Story(CART, campaigns=[reminder(channel="email", cooldown="7d")], clock="wall")
    story.arrive(0, "identify", 0, consent={"email": True})
    story.arrive(0, "Product Added", 0)
    story.arrive(40 * MINUTE, "Product Added", 40 * MINUTE)
    story.arrive(41 * MINUTE, "identify", 41 * MINUTE, consent={"email": consent})
    story.engine.brake("reminder", paused=braked)
    story.take(story.engine.advance(START_MS + 80 * MINUTE, wall_ms=START_MS + 80 * MINUTE + wall))
    assert story.outcomes == [("fired", None, 30 * MINUTE), ("suppressed", blocked_by, 70 * MINUTE)]


def test_staleness_goes_by_the_instant_at_which_a_trigger_is_due() -> None:
    """Six hours' delay, expiring in five: looked at eleven hours after the entry it is fired, later it is stale."""
    due = 6 * HOUR + 30 * MINUTE
    for late, outcomes in ((0, [("deferred", "delay"), ("fired", None)]), (1, [("suppressed", "stale")])):
        story = Story(CART, campaigns=[reminder(delay="6h", on_exit="continue", expires="5h")], clock="wall")
        story.arrive(0, "Product Added", 0)
        story.take(story.engine.advance(START_MS + 12 * HOUR, wall_ms=START_MS + due + 5 * HOUR + late))
        assert [found[:2] for found in story.outcomes] == outcomes
        assert {d["due_at"] for d in story.decisions} == {iso(START_MS + due)}


def test_a_decision_deferred_by_quiet_hours_says_until_when() -> None:
    """Due at 0:30, quiet until 6:00: both decisions are due at 6:00; quiet until 0:30: there is one, due at once."""
    for quiet, due in (("06:00", 6 * HOUR), ("00:30", 30 * MINUTE)):
        story = Story(CART, campaigns=[reminder(quiet_hours={"from": "22:00", "to": quiet})])
        story.tell(0, "Product Added")
        story.until(DAY)
        assert {d["due_at"] for d in story.decisions} == {iso(START_MS + due)}
        assert len(story.decisions) == (2 if quiet == "06:00" else 1)


@pytest.mark.parametrize(
    ("first", "last", "fired"),
    [
        ("00:30", "00:40", 40 * MINUTE),
        ("00:31", "00:40", 30 * MINUTE),
        ("00:20", "00:30", 30 * MINUTE),
        ("22:00", "00:30", 30 * MINUTE),
        ("00:30", "00:10", DAY + 10 * MINUTE),
    ],
)
def test_quiet_hours_begin_with_their_first_minute_and_end_before_their_last(first: str, last: str, fired: int) -> None:
    """Due at 0:30: quiet from 0:30 on, not yet if from 0:31 on, no longer if until 0:30; over midnight alike."""
    story = Story(CART, campaigns=[reminder(quiet_hours={"from": first, "to": last})])
    story.tell(0, "Product Added")
    story.until(2 * DAY)
    assert story.outcomes[-1] == ("fired", None, fired)


def test_quiet_hours_go_by_the_zone_of_the_definitions_in_force() -> None:
    """Quiet from 9:00 to 10:00: with a version for Tokyo 0:30 UTC is within them, for who has no zone."""
    campaign = reminder(quiet_hours={"from": "09:00", "to": "10:00"})
    story = Story(CART, campaigns=[campaign])
    story.tell(0, "Product Added")
    story.publish(CART, campaigns=[campaign], timezone="Asia/Tokyo")
    story.until(DAY)
    assert story.outcomes == [("deferred", "quiet_hours", 30 * MINUTE), ("fired", None, HOUR)]


def test_eight_decisions_fill_a_cap_of_eight() -> None:
    """The ninth within the day is refused."""
    caps = [{"channel": "email", "limit": 8, "per": "24h"}]
    story = Story({"id": "cart", "enter": "cart_items > 0"}, campaigns=[reminder(channel="email")], caps=caps)
    story.tell(0, "identify", consent={"email": True})
    for moment in range(9):
        story.tell(moment, "Product Added")
        story.tell(moment, "Product Removed")
    assert [found[:2] for found in story.outcomes] == [("fired", None)] * 8 + [("suppressed", "cap")]


def random_number(user: str, purpose: str) -> float:
    """The formula of docs/semantics.md, for the campaign of these tests."""
    x = 0
    for text in (user, f"2026\x1freminder\x1f{purpose}"):
        x ^= int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    z = (x + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return (z ^ z >> 31) / 2**64


def test_holdouts_and_variants_are_drawn_by_the_published_formula() -> None:
    """Forty users: held out below 0.3; of the others variant a below 0.6, else b."""
    campaign = reminder(holdout=0.3, variants={"a": 0.6, "b": 0.4})
    story = Story({"id": "cart", "enter": "cart_items > 0"}, campaigns=[campaign], holdout={"share": 0, "salt": "2026"})
    expected: dict[str, str | None] = {}
    for number in range(40):
        user = f"u{number}"
        story.tell(0, "Product Added", user=user)
        variant = "a" if random_number(user, "variant") < 0.6 else "b"
        expected[user] = None if random_number(user, "holdout") < 0.3 else variant
    assert {d["user_id"]: d["variant"] for d in story.decisions} == expected
    assert set(expected.values()) == {None, "a", "b"}


def test_holdout_comes_before_rate_limit_before_cap() -> None:
    """With the cap full and the hour too: `held_out` with a holdout, `rate_limit` without, `cap` without both."""
    caps = [{"channel": "email", "limit": 1, "per": "24h"}]
    cases: tuple[tuple[dict[str, Any], str], ...]
    cases = (({"holdout": 1, "max_per_hour": 0}, "holdout"), ({"max_per_hour": 0}, "rate_limit"), ({}, "cap"))
    for options, blocked_by in cases:
        first = reminder(channel="email", priority=1) | {"id": "first"}
        story = Story(CART, campaigns=[first, reminder(channel="email", **options)], caps=caps)
        story.tell(0, "identify", consent={"email": True})
        story.tell(0, "Product Added")
        story.until(HOUR)
        assert [d["blocked_by"] for d in story.decisions] == [None, blocked_by]


def test_a_cap_is_about_its_own_channel() -> None:
    """One push a day: email goes on, and campaigns without a channel."""
    caps = [{"channel": "push", "limit": 1, "per": "24h"}]
    channels = [{"channel": "push"}, {"channel": "email"}, {"channel": "email"}, {}, {"channel": "push"}]
    campaigns = [reminder(**options) | {"id": f"c{place}"} for place, options in enumerate(channels)]
    story = Story(CART, campaigns=campaigns, caps=caps)
    story.tell(0, "identify", consent={"email": True, "push": True})
    story.tell(0, "Product Added")
    story.until(HOUR)
    assert [d["blocked_by"] for d in story.decisions] == [None, None, None, None, "cap"]


def test_only_fired_decisions_count_in_an_hour() -> None:
    """Half of forty users are held out, or the campaign is a shadow: the limit is for those who get something."""
    for options, expected in (
        ({"holdout": 0.5, "max_per_hour": 9}, "fired"),
        ({"status": "shadow", "max_per_hour": 1}, "shadow"),
    ):
        story = Story(CART, campaigns=[reminder(**options, variants={"a": 1.0})])
        for number in range(40):
            story.tell(0, "Product Added", user=f"u{number}")
        story.until(HOUR)
        outcomes = [d["outcome"] for d in story.decisions]
        assert outcomes.count(expected) == (9 if expected == "fired" else 40)
        assert {d["variant"] for d in story.decisions if d["outcome"] == "held_out"} <= {None}


def test_the_global_holdout_takes_the_same_users_from_every_campaign() -> None:
    """Half of forty users: held out of both campaigns or of none."""
    campaigns = [reminder(), reminder() | {"id": "other"}]
    story = Story(CART, campaigns=campaigns, holdout={"share": 0.5})
    for number in range(40):
        story.tell(0, "Product Added", user=f"u{number}")
    story.until(HOUR)
    held = [{d["user_id"] for d in story.decisions if (d["campaign"], d["outcome"]) == (name, "held_out")}
            for name in ("reminder", "other")]  # fmt: skip
    assert held[0] == held[1]
    assert 5 < len(held[0]) < 35


def test_triggers_of_removed_campaigns_are_cancelled_before_others_take_their_turn() -> None:
    """A version removes one of two campaigns that wait, and throws her out of the segment: first the removed one's."""
    waiting = reminder(delay="1d")
    story = Story(CART, campaigns=[waiting, waiting | {"id": "gone"}])
    story.tell(0, "Product Added")
    story.tell(HOUR, "Product Viewed")
    story.publish({"id": "cart", "enter": "cart_items > 5"}, campaigns=[waiting])
    found = [(d["campaign"], d["outcome"], d["blocked_by"]) for d in story.decisions[2:]]
    assert found == [("gone", "cancelled", None), ("reminder", "cancelled", "exited")]


def test_re_entry_cancels_a_pending_trigger_of_an_exit() -> None:
    """Left at 0:40, in again at 1:20 while the trigger waits for 1:40: cancelled then."""
    campaign = reminder(delay="1h") | {"trigger": {"exited": "cart"}}
    story = Story(CART, campaigns=[campaign])
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Order Completed", total=1)
    story.tell(50 * MINUTE, "Product Added")
    story.until(DAY)
    assert story.outcomes == [("deferred", "delay", 40 * MINUTE), ("cancelled", "exited", 80 * MINUTE)]


def test_an_exits_trigger_tells_why_she_left() -> None:
    """The clauses of the segment's exit, with their values at the decision; of its `enter` where there is no exit."""
    for given, clause in (({"exit": "views_total > 1"}, "views_total > 1"), ({}, "views_total < 2")):
        segment = {"id": "cart", "enter": "views_total < 2"} | given
        story = Story(segment, campaigns=[reminder() | {"trigger": {"exited": "cart"}}])
        story.tell(0, "Product Viewed")
        story.tell(1, "Product Viewed")
        assert [t["reason"] for t in story.triggers] == [[{"clause": clause, "value": 2}]]


def test_a_trigger_on_a_tier_is_for_that_tier_and_on_a_group_for_any() -> None:
    """Into low, then into high: the group's campaign both times with the tier's own reason, high's once."""
    tiers = [{"id": "high", "enter": "orders_total > 1"}, {"id": "low", "enter": "orders_total > 0"}]
    names = {"tier": "tier", "tier-high": "tier:high"}
    campaigns = [{"id": name, "trigger": {"entered": segment}} for name, segment in names.items()]
    story = Story({"id": "tier", "tiers": tiers}, campaigns=campaigns)
    story.tell(0, "Order Completed", total=1)
    story.tell(1, "Order Completed", total=1)
    found = [(t["campaign"], t["segment"], t["reason"][0]["clause"]) for t in story.triggers]
    high = ("tier:high", "orders_total > 1")
    assert found == [("tier", "tier:low", "orders_total > 0"), ("tier", *high), ("tier-high", *high)]


def test_an_event_converts_the_decision_before_the_one_it_causes() -> None:
    """The view that brings her in again answers the first decision: it is applied before she is evaluated."""
    segment = {"id": "cart", "enter": "views_total == 1 or views_total == 3"}
    story = Story(segment, campaigns=[reminder(conversion={"event": "view", "within": "1h"})])
    for minute in range(3):
        story.tell(minute * MINUTE, "Product Viewed")
    assert [(at(c["decided_at"]), at(c["occurred_at"])) for c in story.conversions] == [(0, MINUTE), (0, 2 * MINUTE)]
    assert [at(d["decided_at"]) for d in story.decisions] == [0, 2 * MINUTE]
