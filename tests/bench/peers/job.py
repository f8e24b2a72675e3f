"""The job that every peer does, once in plain Python: Quix Streams and Faust run it, the others are checked against it.

Per user, the running hour and the 24 before it (the hops of Shoal's window `24h`), each with four measures by the time
of the event: views, cart adds, orders, and what they came to in hundredths. Every event moves the user's newest hour on
if it is later, is counted in its own hour (nowhere if that hour is gone), and then her tier is judged as of the newest
hour. Only the standard library: it runs in each peer's own environment. `worker/bench/definitions/equivalent.yaml` says
the same to Shoal, `streams/` in Java.
"""

from datetime import datetime
from typing import Any, Final

__all__ = ["NONE", "PARTITIONS", "State", "apply", "change", "fresh", "tier_at"]

State = list[int]  # the newest hour, the tier's number, then HOURS × MEASURES, an hour's at its number modulo HOURS

PARTITIONS: Final = 2
HOURS: Final = 25
MEASURES: Final = 4
FIRST: Final = 2  # where the measures begin
NONE: Final = "none"
TIERS: Final = (NONE, "low", "mid", "high")
VIEWS, CART_ADDS, ORDERS, SPEND = range(MEASURES)
MEASURE_OF: Final = {
    "Product Viewed": VIEWS,
    "Product List Viewed": VIEWS,
    "Product Clicked": VIEWS,
    "Product Added": CART_ADDS,
    "Order Completed": ORDERS,
}
NOTHING: Final = [0] * MEASURES


def fresh() -> State:
    """Return the state of a user of whom nothing is known."""
    return [0] * (FIRST + HOURS * MEASURES)


def apply(state: State, event: dict[str, Any]) -> tuple[bool, str | None]:
    """Count an event; return whether the state has changed, and the user's tier if that has."""
    hour = int(datetime.fromisoformat(event["timestamp"]).timestamp()) // 3600
    newest, tier = state[:FIRST]
    if hour > newest:
        _move_on(state, hour)
    measure = MEASURE_OF.get(event.get("event", ""), -1)
    counted = measure >= 0 and hour > state[0] - HOURS
    if counted:
        place = FIRST + hour % HOURS * MEASURES
        state[place + measure] += 1
        if measure == ORDERS:
            state[place + SPEND] += round(event["properties"]["total"] * 100)
    state[1] = _judged(state)
    return counted or hour > newest, TIERS[state[1]] if state[1] != tier else None


def tier_at(state: State, hour: int) -> str:
    """Return the tier of a user whose time has gone on to an hour without an event."""
    later = list(state)
    if hour > state[0]:
        _move_on(later, hour)
    return TIERS[_judged(later)]


def change(event: dict[str, Any], tier: str) -> dict[str, str]:
    """Return the record of a change of tier, as every peer writes it (as JSON)."""
    return {"user_id": event["userId"], "tier": tier, "at": event["timestamp"]}


def _move_on(state: State, hour: int) -> None:
    """Make it `hour`, and clear the hours that begin anew."""
    for begun in range(max(state[0] + 1, hour - HOURS + 1), hour + 1):
        place = FIRST + begun % HOURS * MEASURES
        state[place : place + MEASURES] = NOTHING
    state[0] = hour


def _judged(state: State) -> int:
    """The tier's number by the sums of all hours."""
    if sum(state[FIRST + SPEND :: MEASURES]) >= 200_00:
        return 3
    if sum(state[FIRST + ORDERS :: MEASURES]) >= 1:
        return 2
    return int(sum(state[FIRST + CART_ADDS :: MEASURES]) >= 1 or sum(state[FIRST + VIEWS :: MEASURES]) >= 5)
