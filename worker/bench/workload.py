"""What the engine is made to do while it is measured: definitions of 1 to 256 segments, and a model.

The 24 segments are of every kind the contract knows (tiers, carts, new users, dormancy, churn, complaints, refunds,
interests, windows of all widths, times, sessions, learnt values), with both a percentile and clusters; more than 24 are
made of windows and thresholds, so that rows grow with them. Plain data, because the naive twin takes it as it is.
"""

import json
from itertools import product
from typing import Any, Final

import numpy as np

from schemas.models import Snapshot, sealed
from worker.language.definitions import Checked, load
from worker.language.mapping import Mapping

__all__ = ["CATEGORIES", "MAPPING", "changed", "checked", "definitions", "snapshot"]

Data = dict[str, Any]

MAPPING: Final = Mapping.load()
CATEGORIES: Final = (
    "shoes", "books", "electronics", "garden", "toys", "beauty", "sports", "food", "music", "office", "pets", "travel",
)  # fmt: skip
SEGMENTS_MAX: Final = 252  # entries; with the tiers counted that is the 256 of the contract

_TIERS: Final = {
    "value_tier": ('percentile("spend_365d") >= 0.9', "spend_365d >= 200", "spend_365d > 0"),
    "new_user": (
        "age < 2w and (orders_total > 0 or cart_adds_7d >= 3)",
        "age < 2w and 3 <= views_7d <= 1000",
        "age < 2w",
    ),
}
_FIRST: Final = (
    ("cart_abandoner", "cart_items > 0 and time_since_cart_add >= 30m", "cart_items == 0 or time_since_cart_add >= 2d"),
    ("dormant", "orders_total > 0 and time_since_activity >= 2w", None),
    ("lost", "time_since_activity >= 90d", None),
    ("churn_risk", 'probability("churn_30d") >= 0.7', 'probability("churn_30d") < 0.5'),
    ("likely_buyer", 'probability("purchase_7d") >= 0.6', 'probability("purchase_7d") < 0.4'),
    ("complainer", "complaints_90d >= 2", "complaints_90d == 0"),
    ("returns_much", "refunds_90d >= 2 and refund_rate >= 0.5", "refunds_90d == 0"),
    ("likes_shoes", 'interest("shoes") >= 0.4 and views_30d >= 5', 'interest("shoes") < 0.3'),
    ("likes_books", 'interest("books") >= 0.4 and views_30d >= 5', None),
    ("likes_electronics", 'interest("electronics") >= 0.4 and views_30d >= 5', None),
    ("busy_hour", "views_1h >= 10", "views_1h < 3"),
    ("frequent", "orders_90d >= 3", None),
    ("recent_spender", "spend_30d >= 100 and time_since_order <= 7d", None),
    ("top_spender", 'percentile("spend_365d") >= 0.95', 'percentile("spend_365d") < 0.9'),
    ("cooling_off", "views_30d >= 20 and views_7d < 0.25 * views_30d * 7 / 30", None),
    ("deep_in_session", "session_events >= 20 and session_seconds > 10m and not orders_24h > 0", None),
    ("weekend_shopper", "sessions_total >= 5 and weekend_share >= 0.5", None),
    ("night_owl", "sessions_total >= 5 and evening_share >= 0.6", None),
    ("regular", "orders_per_month >= 1 and average_order >= 30 and age > 30d", None),
    ("answers_mail", "messages_clicked_30d >= 1 and messages_sent_30d >= 1", None),
    ("vip", '(member("value_tier:high") or member("regular")) and not member("complainer")', None),
)  # fmt: skip
_COUNTS: Final = ("views", "searches", "cart_adds", "wishlists", "checkouts", "orders", "refunds", "complaints")
_WINDOWS: Final = ("1h", "24h", "7d", "30d", "90d", "365d")
_CAMPAIGNS: Final = (
    {
        "id": "cart_reminder", "channel": "email", "send": {"template": "cart-3"}, "expires": "6h",
        "cooldown": "7d", "quiet_hours": {"from": "21:00", "to": "08:00"}, "holdout": 0.1,
        "variants": {"plain": 0.5, "discount": {"share": 0.5, "send": {"coupon": "BACK10"}}},
        "conversion": {"event": "order", "within": "3d"}, "priority": 10, "max_per_hour": 20_000,
    },
    {
        "id": "win_back", "channel": "email", "send": {"template": "we-miss-you"}, "delay": "2h", "cooldown": "60d",
        "holdout": 0.2, "conversion": {"event": "order", "within": "2w"},
    },
)  # fmt: skip

_FEATURES: Final = (
    ("spend_365d", True), ("orders_365d", True), ("spend_30d", True), ("views_30d", True), ("views_7d", True),
    ("cart_adds_7d", True), ("cart_value", True), ("average_order", True), ("time_since_order", True),
    ("time_since_activity", True), ("age", True), ("sessions_total", True),
)  # fmt: skip


def definitions(segments: int = 24) -> Data:
    """Return definitions of so many segments (tiers together and clusters together count as one), two campaigns."""
    return {
        "version": 1,
        "timezone": "Europe/Berlin",
        "rates": {"USD": 0.92},
        "traits": ["country", "language"],
        "holdout": {"share": 0.05, "salt": "2026"},
        "segments": _segments(min(segments, SEGMENTS_MAX)),
        "targets": [
            {"id": "purchase_7d", "positive": "order", "horizon": "7d", "sample": 0.5},
            {"id": "churn_30d", "positive": "silence", "horizon": "30d", "sample": 0.1},
        ],
        "campaigns": [
            {**_CAMPAIGNS[0], "trigger": {"entered": "cart_abandoner"}},
            {**_CAMPAIGNS[1], "trigger": {"entered": "dormant"} if segments > 1 else {"exited": "cart_abandoner"}},
        ],
        "caps": [{"channel": "email", "limit": 2, "per": "24h"}],
    }


def _segments(count: int) -> list[Data]:
    plain: list[Data] = [
        {"id": name, "enter": enter} | ({"exit": leave} if leave else {}) for name, enter, leave in _FIRST
    ]
    tiers: list[Data] = [
        {
            "id": group,
            "tiers": [{"id": name, "enter": enter} for name, enter in zip(("high", "mid", "low"), enters, strict=True)],
        }
        for group, enters in _TIERS.items()
    ]
    whole = [plain[0], *tiers, {"id": "behaviour", "clusters": True}, *plain[1:]]
    return (whole + _more())[:count]


def _more() -> list[Data]:
    """Return further segments, each a count over a window and a second clause."""
    seconds = ("time_since_view < 30d", "spend_365d < 5000", "sessions_total >= 2", "cart_items == 0", "age > 1d")
    return [
        {"id": f"more_{name}_{window}_{least}", "enter": f"{name}_{window} >= {least} and {second}"}
        for second, (least, window, name) in zip(
            seconds * 48, product((1, 3, 6, 10, 20), _WINDOWS, _COUNTS), strict=True
        )
    ]


def changed(segments: int = 24, *, added: str = "") -> Data:
    """Return the next version: other thresholds, and a segment more if `added` is its condition."""
    data = definitions(segments)
    text = (
        json.dumps(data["segments"])
        .replace("spend_365d >= 200", "spend_365d >= 120")
        .replace("views_1h >= 10", "views_1h >= 8")
    )
    data |= {"version": 2, "segments": json.loads(text)}
    if added:
        data["segments"].append({"id": "added", "enter": added})
    return data


def checked(data: Data) -> Checked:
    """Return definitions as the engine takes them."""
    return load(json.dumps(data), MAPPING)


def snapshot() -> Snapshot:
    """Return a model of two linear targets, eight clusters and quantiles over twelve features; the same every time."""
    chance = np.random.default_rng(7)

    def row() -> list[float]:
        return [round(float(number), 3) for number in chance.normal(0, 0.7, len(_FEATURES))]

    draft: Data = {
        "features": [{"name": name, "log": log, "mean": 2.0, "scale": 2.5} for name, log in _FEATURES],
        "targets": {
            "purchase_7d": {"kind": "linear", "weights": row(), "intercept": -2.5},
            "churn_30d": {
                "kind": "linear",
                "weights": row(),
                "intercept": 0.2,
                "calibration": [(0.0, 0.02), (0.5, 0.4), (1.0, 0.95)],
            },
        },
        "clusters": {"names": [f"kind_{place}" for place in range(8)], "centres": [row() for _ in range(8)]},
        "quantiles": {"spend_365d": [0.0] * 60 + [float(25 * place) for place in range(41)]},
    }
    return sealed(1, draft)
