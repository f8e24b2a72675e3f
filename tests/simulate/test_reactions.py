"""Shoppers react to triggers with the effect that was set, and do all else as if there had been none."""

from typing import Any

from tests.simulate.shops import Shop, run, time_ms, user_id
from worker.simulate.shop import DAY_MS, HOUR_MS, Settings
from worker.simulate.stream import Batch, Simulation

START_MS = Settings().start_ms
OPTIONS: dict[str, Any] = {"users": 1_000, "days": 3, "seed": 11, "late": 0.0, "duplicates": 0.0, "malformed": 0.0}
OPTIONS |= {"anonymous": 0.0, "slice_minutes": 60}
REACTION = {"effect": 0.3, "effects": {"quiet": 0.0, "split:strong": 0.6}, "within_minutes": 600}


def trigger(user: int, campaign: str = "cart_reminder", variant: str | None = None) -> dict[str, Any]:
    """A record of `campaign-triggers` as far as the shop reads it."""
    return {
        "id": f"t-{user}", "decision_id": f"d-{user}-{campaign}", "user_id": f"u-{user}", "campaign": campaign,
        "variant": variant, "channel": "email", "due_at": "2026-01-06T00:00:00.000Z",
        "cart": {"items": 2, "products": [{"product_id": "p-5", "quantity": 2}]},
    }  # fmt: skip


def after_a_day(triggers: list[dict[str, Any]]) -> Any:
    """Gives the triggers to the shop once its first day is over."""

    def react(simulation: Simulation, batch: Batch) -> None:
        if batch.until_ms == START_MS + DAY_MS and batch.payloads:
            simulation.react(triggers)

    return react


def react_to(triggers: list[dict[str, Any]]) -> Shop:
    """The shop with these triggers at the end of its first day."""
    return run(after_a_day(triggers), **OPTIONS, reaction=REACTION)


def test_the_usual_events_are_untouched_and_the_effect_is_the_one_set() -> None:
    """All payloads without triggers are there with them; orders beyond are 30 % of triggers, within ten hours."""
    usual, shop = run(**OPTIONS), react_to([trigger(user) for user in range(1_000)])
    assert set(usual.payloads) <= set(shop.payloads)
    known = {event["messageId"] for event in usual.events}
    orders = [e for e in shop.events if e["messageId"] not in known and e.get("event") == "Order Completed"]
    assert abs(len(orders) - 300) < 5 * (1_000 * 0.3 * 0.7) ** 0.5
    assert len({user_id(event) for event in orders}) == len(orders)
    assert all(0 < time_ms(e) - (START_MS + DAY_MS) < 10 * HOUR_MS + 60_000 for e in orders)


def test_the_truth_counts_triggers_and_orders_by_variant() -> None:
    """Each with its own effect; a campaign without an effect sells nothing."""
    groups = [("quiet", None), ("split", "strong"), ("split", "weak")]
    shop = react_to([trigger(user, *group) for user in range(300) for group in groups])
    told = shop.truth["reactions"]["campaigns"]
    assert {name: group["effect"] for name, group in told.items()} == {
        "quiet": 0.0, "split:strong": 0.6, "split:weak": 0.3}  # fmt: skip
    assert {group["triggers"] for group in told.values()} == {300}
    assert told["quiet"]["orders"] == 0
    assert abs(told["split:strong"]["orders"] - 180) < 5 * (300 * 0.6 * 0.4) ** 0.5


def test_a_message_event_joins_each_trigger_to_its_decision() -> None:
    """One `Email Sent` per trigger at or after it was due, and a click by all who order."""
    shop = react_to([trigger(user) for user in range(200)])
    joined = [e for e in shop.events if str(e.get("properties", {}).get("decision_id")).startswith("d-")]
    sent = {e["properties"]["decision_id"] for e in joined if e["event"] == "Email Sent"}
    clicked = {e["properties"]["decision_id"] for e in joined if e["event"] == "Email Link Clicked"}
    assert sent == {f"d-{user}-cart_reminder" for user in range(200)}
    assert len(clicked) >= shop.truth["reactions"]["campaigns"]["cart_reminder"]["orders"] > 0
    assert all(time_ms(event) > START_MS + DAY_MS for event in joined)


def test_who_reacts_buys_what_the_trigger_names() -> None:
    """The cart's product in its quantity, when the shop has it."""
    shop = react_to([trigger(user) for user in range(100)])
    lines = [e["properties"]["products"] for e in shop.events if e.get("event") == "Order Completed"]
    bought = [line for (line, *more) in lines if not more and (line["product_id"], line["quantity"]) == ("p-5", 2)]
    assert len(bought) == shop.truth["reactions"]["campaigns"]["cart_reminder"]["orders"]


def test_reactions_repeat_and_do_not_hang_on_the_order_of_triggers() -> None:
    """The same triggers backwards give the same bytes."""
    triggers = [trigger(user) for user in range(100)]
    assert react_to(triggers).payloads == react_to(triggers[::-1]).payloads


def test_strangers_are_passed_over() -> None:
    """Ids of no user of this shop change nothing."""
    strangers = [trigger(1) | {"user_id": name} for name in ("u-1000", "u--1", "u-007", "anon:a-1", "bob", "")]
    assert react_to(strangers).payloads == run(**OPTIONS, reaction=REACTION).payloads
