"""Campaigns by hand: every check of the contract in its order, quiet hours across DST, caps, limits, conversions.

The trigger of these stories falls due half an hour after something was put into the cart.
"""

from typing import Any

import pytest

from tests.core.support import CART, DAY, HOUR, MINUTE, START_MS, WALL_MS, Story, reminder
from worker.core.effects import iso

FIRED = ("fired", None)


def told(*campaigns: dict[str, Any], **rest: Any) -> Story:
    """A story about the cart and these campaigns; consent for email and push is given."""
    story = Story(CART, campaigns=list(campaigns), **rest)
    story.tell(-1, "identify", consent={"email": True, "push": True})
    return story


def test_consent_is_asked_for_only_with_a_channel_and_taken_back_by_unsubscribing() -> None:
    """Nobody asked: email is refused, no channel fires. `Unsubscribed` means email, or the channel it names."""
    story = Story(CART, campaigns=[reminder(channel="email"), reminder() | {"id": "inner"}])
    story.tell(0, "Product Added")
    story.until(HOUR)
    assert story.outcomes == [("suppressed", "consent", 30 * MINUTE), (*FIRED, 30 * MINUTE)]
    for properties, outcome in (({}, ("suppressed", "consent")), ({"channel": "push"}, FIRED)):
        story = told(reminder(channel="email"))
        story.tell(0, "Product Added")
        story.tell(1, "Unsubscribed", **properties)
        story.until(HOUR)
        assert story.outcomes[0][:2] == outcome


def test_profiling_consent_decides_about_probabilities() -> None:
    """0.5 at two views; null once consent to profiling is withdrawn, so that nothing changes until it is back."""
    target = {"t": {"kind": "linear", "weights": [1.0], "intercept": -2.0}}
    model = {"version": 3, "hash": "c" * 64, "features": [{"name": "views_total"}], "targets": target}
    targets = [{"id": "t", "positive": "order", "horizon": "7d"}]
    story = Story({"id": "s", "enter": 'probability("t") == 0.5'}, targets=targets, model=model)
    story.tell(0, "identify", consent={"profiling": False})
    story.tell(1, "Product Viewed")
    story.tell(2, "Product Viewed")
    assert story.changes == []
    story.tell(3, "identify", consent={"profiling": None})
    assert story.changes == [("+s", 3)]


@pytest.mark.parametrize(("moment", "outcome"), [(2 * HOUR - 1, ("suppressed", "cooldown")), (2 * HOUR, FIRED)])
def test_a_cooldown_is_over_after_exactly_its_duration(moment: int, outcome: tuple[str, str | None]) -> None:
    """Fired at 0:30 with a cooldown of 2h: refused at 2:29:59.999, fired again at 2:30."""
    story = told(reminder(cooldown="2h"))
    story.tell(0, "Product Added")
    story.tell(moment, "Product Added")
    story.until(DAY)
    assert [found[:2] for found in story.outcomes] == [FIRED, outcome]


def test_a_delayed_trigger_is_cancelled_or_goes_on_when_its_segment_is_left() -> None:
    """Left at minute 40: cancelled then, or with `continue` fired at 90 with its expiry from the due time."""
    for on_exit, last in (("cancel", ("cancelled", "exited", 40 * MINUTE)), ("continue", (*FIRED, 90 * MINUTE))):
        story = told(reminder(delay="1h", on_exit=on_exit, expires="6h"))
        story.tell(0, "Product Added")
        story.tell(40 * MINUTE, "Order Completed", total=1)
        story.until(DAY)
        assert story.outcomes == [("deferred", "delay", 30 * MINUTE), last]
        assert len({d["decision_id"] for d in story.decisions}) == 1
        times = [(t["due_at"], t["expires_at"]) for t in story.triggers]
        due = START_MS + 90 * MINUTE
        assert times == ([(iso(due), iso(due + 6 * HOUR))] if on_exit == "continue" else [])


def test_a_pending_trigger_refuses_another_as_cooldown() -> None:
    """Re-entry while the first is still delayed: `cooldown`, and only the first fires."""
    story = told(reminder(delay="2h", on_exit="continue"))
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Product Added")
    story.until(DAY)
    expected = [("deferred", "delay", 30 * MINUTE), ("suppressed", "cooldown", 70 * MINUTE), (*FIRED, 150 * MINUTE)]
    assert story.outcomes == expected


SPRING = 26 * DAY + 23 * HOUR  # 2026-03-29T00:00 in Berlin; at 01:00 UTC 02:00 becomes 03:00
AUTUMN = 236 * DAY + 22 * HOUR  # 2026-10-25T00:00 in Berlin, summer time; at 01:00 UTC 03:00 becomes 02:00


@pytest.mark.parametrize(
    ("night", "hours", "ends"),
    [
        (SPRING, ("21:00", "02:30"), 2 * HOUR),  # 02:30 is skipped: the first instant outside is 03:00 local
        (SPRING, ("21:00", "08:00"), 7 * HOUR),  # the night has an hour less
        (SPRING, ("00:00", "02:00"), 2 * HOUR),
        (AUTUMN, ("21:00", "02:30"), 2 * HOUR + 30 * MINUTE),  # the first 02:30 of two
        (AUTUMN, ("21:00", "08:00"), 9 * HOUR),  # the night has an hour more
        (AUTUMN, ("00:00", "03:00"), 4 * HOUR),
    ],
)
def test_quiet_hours_end_at_the_first_instant_outside(night: int, hours: tuple[str, str], ends: int) -> None:
    """Due at local midnight of a night in which the clocks change: deferred, and fired at that instant."""
    quiet = {"from": hours[0], "to": hours[1]}
    story = told(reminder(quiet_hours=quiet), timezone="Europe/Berlin")
    story.tell(night - 30 * MINUTE, "Product Added")
    story.until(night + DAY)
    assert story.outcomes == [("deferred", "quiet_hours", night), (*FIRED, night + ends)]
    assert story.triggers[0]["due_at"] == iso(START_MS + night + ends)


def test_a_quiet_hour_that_comes_twice_is_quiet_twice() -> None:
    """Deferred to the first 02:30 of the autumn night with quiet hours 02:00 to 02:45: the second is quiet as well."""
    quiet = {"from": "02:00", "to": "02:45"}
    story = told(reminder(quiet_hours=quiet), timezone="Europe/Berlin")
    story.tell(AUTUMN + 3 * HOUR + 10 * MINUTE - 30 * MINUTE, "Product Added")
    story.until(AUTUMN + DAY)
    due = AUTUMN + 3 * HOUR + 10 * MINUTE  # 02:10 for the second time
    assert story.outcomes == [("deferred", "quiet_hours", due), (*FIRED, AUTUMN + 3 * HOUR + 45 * MINUTE)]


def test_quiet_hours_go_by_the_users_zone_of_that_moment_and_may_drop() -> None:
    """At 0:30 UTC it is 6:00 in Kolkata: not quiet there, quiet in Berlin, and `drop` suppresses."""
    quiet = {"from": "21:00", "to": "06:00", "on_quiet": "drop"}
    for zone, outcome in (("Asia/Kolkata", FIRED), ("Europe/Berlin", ("suppressed", "quiet_hours"))):
        story = told(reminder(quiet_hours=quiet))
        story.tell(0, "Product Added", zone=zone)
        story.until(DAY)
        assert [found[:2] for found in story.outcomes] == [outcome]


def test_staleness_is_by_the_wall_and_never_with_the_event_clock() -> None:
    """Due more than a day ago by the wall is stale in live mode, exactly a day isn't; the event clock knows no wall."""
    cases = (("wall", DAY, FIRED), ("wall", DAY + 1, ("suppressed", "stale")), ("event", DAY + 1, FIRED))
    for clock, behind, outcome in cases:
        story = Story(CART, campaigns=[reminder()], clock=clock)
        arrivals = [START_MS] if clock == "wall" else None
        payload = b'{"type": "track", "event": "Product Added", "userId": "u", "timestamp": %d}' % START_MS
        story.take(story.engine.step([payload], 0, None, arrivals, wall_ms=START_MS))
        wall_ms = START_MS + 30 * MINUTE + behind
        story.take(story.engine.advance(START_MS + HOUR, wall_ms=wall_ms))
        assert story.outcomes[0][:2] == outcome


def test_a_cap_counts_over_all_campaigns_of_its_channel_in_a_rolling_window() -> None:
    """One a day by email: priority decides; a day less a millisecond later it is full, a day later it isn't."""
    caps = [{"channel": "email", "limit": 1, "per": "24h"}]
    first = reminder(channel="email", priority=2) | {"id": "first"}
    for moment, last in ((DAY - 1, [("suppressed", "cap")] * 2), (DAY, [FIRED, ("suppressed", "cap")])):
        story = told(reminder(channel="email"), first, caps=caps)
        story.tell(0, "Product Added")
        story.tell(moment, "Product Added")
        story.until(3 * DAY)
        assert [d["campaign"] for d in story.decisions] == ["first", "reminder"] * 2
        assert [found[:2] for found in story.outcomes] == [FIRED, ("suppressed", "cap"), *last]


def test_an_hours_limit_is_split_over_partitions_the_rest_to_the_first() -> None:
    """5 an hour over 3 partitions: 2, 2, 1; by the UTC clock hour, so the next hour has its own."""
    for partition, share in ((0, 2), (1, 2), (2, 1)):
        story = Story(CART, campaigns=[reminder(max_per_hour=5)], partition=partition, partitions=3)
        for place, moment in enumerate([0, 0, 0, 30 * MINUTE]):
            story.tell(moment, "Product Added", user=f"u{place}")
        story.until(DAY)
        refused = [("suppressed", "rate_limit")] * (3 - share)
        assert [found[:2] for found in story.outcomes] == [*[FIRED] * share, *refused, FIRED]


def test_the_held_out_cool_down_fill_caps_and_convert_but_get_no_trigger() -> None:
    """With a holdout of 1 there is no trigger, a full cap, and conversions as `holdout`."""
    caps = [{"channel": "email", "limit": 1, "per": "24h"}]
    campaign = reminder(holdout=1.0, cooldown="7d", channel="email", conversion={"event": "order", "within": "3d"})
    story = told(campaign, reminder(channel="email") | {"id": "other"}, caps=caps)
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Product Added")
    story.tell(3 * HOUR, "Order Completed", total=12.5)
    assert [(d["campaign"], d["outcome"], d["blocked_by"]) for d in story.decisions] == [
        ("reminder", "held_out", "holdout"), ("other", "suppressed", "cap"),
        ("reminder", "suppressed", "cooldown"), ("other", "suppressed", "cap"),
    ]  # fmt: skip
    assert story.triggers == []
    assert [(c["variant"], c["amount"]) for c in story.conversions] == [("holdout", 12.5)]


def test_a_conversion_goes_by_the_events_own_time_and_every_one_counts() -> None:
    """Fired at 0:30, within 1h: at that instant no, a ms later yes, at 1:30 yes, after it no; lateness is no matter."""
    story = told(reminder(conversion={"event": "view", "within": "1h"}, variants={"a": 1.0}))
    story.tell(0, "Product Added")
    story.tell(3 * HOUR, "Products Searched")
    for moment in (30 * MINUTE, 30 * MINUTE + 1, 90 * MINUTE, 90 * MINUTE + 1):
        story.tell(moment, "Product Viewed")
    expected = [("a", iso(START_MS + moment)) for moment in (30 * MINUTE + 1, 90 * MINUTE)]
    assert [(c["variant"], c["occurred_at"]) for c in story.conversions] == expected


def test_shadow_decisions_have_no_consequences() -> None:
    """Every entry is a `shadow` decision in spite of a cooldown, a cap and a conversion; no trigger leaves."""
    conversion = {"event": "order", "within": "3d"}
    caps = [{"channel": "email", "limit": 1, "per": "24h"}]
    shadow = reminder(status="shadow", cooldown="7d", channel="email", conversion=conversion, variants={"a": 1.0})
    story = told(shadow, reminder(channel="email") | {"id": "other"}, caps=caps)
    story.tell(0, "Product Added")
    story.tell(40 * MINUTE, "Order Completed", total=1)
    outcomes = [(d["campaign"], d["outcome"], d["variant"]) for d in story.decisions]
    assert outcomes == [("reminder", "shadow", "a"), ("other", "fired", None)]
    assert ([t["campaign"] for t in story.triggers], story.conversions) == (["other"], [])


def test_starts_ends_status_and_brake_pause() -> None:
    """Live at the instant of `starts`, paused at that of `ends`; a brake pauses until it is taken off."""
    moment = iso(START_MS + 30 * MINUTE)
    for options, outcome in (({"starts": moment}, FIRED), ({"ends": moment}, ("suppressed", "paused")),
                             ({"status": "paused"}, ("suppressed", "paused"))):  # fmt: skip
        story = told(reminder(**options))
        story.tell(0, "Product Added")
        story.until(DAY)
        assert story.outcomes[0][:2] == outcome
    story = told(reminder())
    story.engine.brake("reminder", paused=True)
    story.restart()
    story.tell(0, "Product Added")
    story.tell(HOUR, "Product Added")
    story.engine.brake("reminder", paused=False)
    story.until(DAY)
    assert [found[:2] for found in story.outcomes] == [("suppressed", "paused"), FIRED]


@pytest.mark.parametrize(
    ("options", "blocked_by"),
    [
        ({"status": "paused"}, "paused"),
        ({}, "consent"),
        ({"channel": "push"}, "delay"),
        ({"channel": "push", "delay": "0s"}, "quiet_hours"),
        ({"channel": "push", "delay": "0s", "quiet_hours": None}, "holdout"),
        ({"channel": "push", "delay": "0s", "quiet_hours": None, "holdout": 0}, "rate_limit"),
        ({"channel": "push", "delay": "0s", "quiet_hours": None, "holdout": 0, "max_per_hour": 1}, None),
    ],
)
def test_the_first_check_that_refuses_is_named(options: dict[str, Any], blocked_by: str | None) -> None:
    """Everything refuses at once; taken away one by one, in the contract's order, each is named in turn."""
    everything = {"channel": "email", "delay": "1h", "quiet_hours": {"from": "00:00", "to": "08:00"}, "holdout": 1.0,
                  "max_per_hour": 0, "on_exit": "continue"}  # fmt: skip
    campaign = {key: value for key, value in (everything | options).items() if value is not None}
    story = Story(CART, campaigns=[reminder(**campaign)])
    story.tell(-1, "identify", consent={"push": True})
    story.tell(0, "Product Added")
    story.until(30 * MINUTE)
    assert [d["blocked_by"] for d in story.decisions] == [blocked_by]


def test_campaigns_decide_by_priority_then_file_order() -> None:
    """Priorities 0, 5, -1, 5: the fives in file order, then 0, then -1."""
    story = told(*[reminder(priority=priority) | {"id": f"c{n}"} for n, priority in enumerate((0, 5, -1, 5))])
    story.tell(0, "Product Added")
    story.until(HOUR)
    assert [d["campaign"] for d in story.decisions] == ["c1", "c3", "c0", "c2"]


def test_a_trigger_carries_all_that_a_sender_needs() -> None:
    """The variant's send over the campaign's, asked-for traits, the cart, what was seen and liked, the reason."""
    variants = {"only": {"share": 1, "send": {"coupon": "X"}}}
    campaign = reminder(send={"template": "t", "coupon": "-"}, variants=variants, include_traits=["country"])
    story = told(campaign, traits=["country"])
    story.tell(0, "identify", country="DE", timezone="Asia/Kolkata")
    story.tell(0, "Product Viewed", product_id="p-9", category="hats")
    story.tell(1, "Product Added", product_id="p-1", category="shoes", price=49.75, quantity=2)
    story.until(HOUR)
    (trigger,) = story.triggers
    assert (trigger["send"], trigger["anonymous"]) == ({"template": "t", "coupon": "X"}, False)
    assert (trigger["traits"], trigger["timezone"]) == ({"country": "DE"}, "Asia/Kolkata")
    products = [{"product_id": "p-1", "quantity": 2}]
    assert trigger["cart"] == {"items": 2, "value": 99.5, "currency": "EUR", "products": products, "truncated": False}
    assert (trigger["recent_products"], trigger["top_categories"]) == (["p-9"], ["shoes", "hats"])
    clauses = [("cart_items > 0", 2), ("time_since_cart_add >= 30m", 1800)]
    assert [(part["clause"], part["value"]) for part in trigger["reason"]] == clauses


def test_the_wall_shows_in_emitted_at_alone() -> None:
    """Transitions, decisions and conversions say when they were emitted: the wall's time as given."""
    story = told(reminder(conversion={"event": "order", "within": "3d"}))
    story.tell(0, "Product Added")
    story.tell(HOUR, "Order Completed", total=1)
    records = [*story.transitions, *story.decisions, *story.conversions]
    assert [record["emitted_at"] for record in records] == [iso(WALL_MS)] * 4
    assert "emitted_at" not in story.triggers[0]
