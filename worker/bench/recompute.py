"""What the measured segments read, recomputed with pandas from the whole log as of its last event.

Written as a data scientist would: grouped, vectorised, no loop over users. It is the yardstick, not a second opinion:
windows end at the last event rather than at hops, a sampled value is as of now, and the cart is the sum of its changes
since the last order.
"""

from typing import Any

import numpy as np
import pandas as pd

from schemas.events import KIND_NUMBERS

Data = dict[str, Any]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SESSION_MS = 30 * 60_000
WINDOWS = {
    "views": ("view", {"1h": HOUR_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}),
    "cart_adds": ("cart_add", {"7d": 7 * DAY_MS}),
    "orders": ("order", {"24h": DAY_MS, "90d": 90 * DAY_MS, "365d": 365 * DAY_MS, "total": 1 << 60}),
    "refunds": ("refund", {"90d": 90 * DAY_MS, "total": 1 << 60}),
    "complaints": ("complaint", {"90d": 90 * DAY_MS}),
    "messages_sent": ("message_sent", {"30d": 30 * DAY_MS}),
    "messages_clicked": ("message_clicked", {"30d": 30 * DAY_MS}),
}
SPENT = {"30d": 30 * DAY_MS, "365d": 365 * DAY_MS, "total": 1 << 60}
LAST = ("order", "cart_add")
WEIGHTS = {"view": 1.0, "cart_add": 3.0, "wishlist": 2.0, "order": 5.0}
HALF_LIFE_MS = 14 * DAY_MS


def recompute(columns: Data, lines: Data) -> pd.DataFrame:
    """Return a row per user with every feature that the 24 segments and the model read."""
    log = pd.DataFrame(columns)
    products = pd.DataFrame(lines)
    now = int(log["time"].max())
    parts = [
        _counts(log, now),
        _spending(log, now),
        _times(log, now),
        _sessions(log, now),
        _shares(log),
        _cart(log, products),
    ]
    features = pd.concat([*parts, _interests(products, now)], axis=1)
    features["average_order"] = features["spend_total"] / features["orders_total"]
    features["refund_rate"] = features["refunds_total"] / features["orders_total"]
    features["orders_per_month"] = features["orders_total"] / np.maximum(features["age"] / (30 * DAY_MS), 1)
    features["percentile"] = features["spend_365d"].rank(pct=True)
    return features


def _counts(log: pd.DataFrame, now: int) -> pd.DataFrame:
    counts = {}
    for name, (kind, windows) in WINDOWS.items():
        of_kind = log[log["kind"] == KIND_NUMBERS[kind]]
        for window, width in windows.items():
            counts[f"{name}_{window}"] = of_kind[of_kind["time"] > now - width].groupby("user").size()
    return pd.DataFrame(counts, index=pd.RangeIndex(log["user"].max() + 1)).fillna(0)


def _spending(log: pd.DataFrame, now: int) -> pd.DataFrame:
    orders = log[log["kind"] == KIND_NUMBERS["order"]]
    spent = {
        f"spend_{window}": orders[orders["time"] > now - width].groupby("user")["amount"].sum()
        for window, width in SPENT.items()
    }
    return pd.DataFrame(spent)


def _times(log: pd.DataFrame, now: int) -> pd.DataFrame:
    times = {"age": now - log.groupby("user")["time"].min()}
    times["time_since_activity"] = now - log[log["activity"] == 1].groupby("user")["time"].max()
    for kind in LAST:
        times[f"time_since_{kind}"] = now - log[log["kind"] == KIND_NUMBERS[kind]].groupby("user")["time"].max()
    return pd.DataFrame(times)


def _sessions(log: pd.DataFrame, now: int) -> pd.DataFrame:
    active = log[log["activity"] == 1].sort_values(["user", "time"], kind="stable")
    begins = active.groupby("user")["time"].diff().fillna(SESSION_MS) >= SESSION_MS
    number = begins.groupby(active["user"]).cumsum()
    spans = active.groupby([active["user"], number])["time"].agg(["min", "max", "size"])
    latest = spans.groupby(level=0).tail(1).droplevel(1)
    open_ = now - latest["max"] < SESSION_MS
    return pd.DataFrame({
        "sessions_total": begins.groupby(active["user"]).sum(),
        "session_events": latest["size"].where(open_, 0),
        "session_seconds": ((latest["max"] - latest["min"]) / 1e3).where(open_, 0),
    })  # fmt: skip


def _shares(log: pd.DataFrame) -> pd.DataFrame:
    active = log[log["activity"] == 1]
    local = pd.to_datetime(active["time"], unit="ms", utc=True).dt.tz_convert("Europe/Berlin")
    evening, weekend = local.dt.hour >= 18, local.dt.dayofweek >= 5
    return pd.DataFrame(
        {
            "evening_share": evening.groupby(active["user"]).mean(),
            "weekend_share": weekend.groupby(active["user"]).mean(),
        }
    )


def _cart(log: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    bought = log[log["kind"] == KIND_NUMBERS["order"]].groupby("user")["time"].max()
    added, removed = KIND_NUMBERS["cart_add"], KIND_NUMBERS["cart_remove"]
    moves = products[products["kind"].isin([added, removed])]
    moves = moves[moves["time"] > moves["user"].map(bought).fillna(-1)]
    sign = np.where(moves["kind"] == added, 1, -1)
    cart = pd.DataFrame(
        {"user": moves["user"], "cart_items": moves["quantity"] * sign, "cart_value": moves["value"] * sign}
    )
    return cart.groupby("user").sum().clip(lower=0)


def _interests(products: pd.DataFrame, now: int) -> pd.DataFrame:
    weight = products["kind"].map({KIND_NUMBERS[kind]: weight for kind, weight in WEIGHTS.items()}).fillna(0)
    weight = weight * np.exp2((products["time"] - now) / HALF_LIFE_MS)
    by_category = weight.groupby([products["user"], products["category"]]).sum()
    strongest = by_category.sort_values(ascending=False).groupby(level=0).head(8)
    share = strongest / strongest.groupby(level=0).transform("sum")
    return share.unstack().add_prefix("interest_")  # noqa: PD010  a plain series, nothing to aggregate
