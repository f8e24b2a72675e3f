"""The features of the contract, as data: what each name measures, over which window.

Everything that must know a feature reads it here: the checker of conditions, the layout, the pass.
"""

from dataclasses import dataclass

from schemas.events import KINDS

__all__ = ["FEATURE_NAMES", "WIDTHS_MS", "WINDOWS", "Feature", "feature"]

KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}

WIDTHS_MS = (300_000, 3_600_000, 86_400_000, 7 * 86_400_000, 28 * 86_400_000)
"""Widths of the hops in ms, narrow to wide; a width is known by its place here."""

WINDOWS = {"1h": (0, 13), "24h": (1, 25), "7d": (2, 8), "30d": (2, 31), "90d": (3, 14), "365d": (4, 14)}
"""Window name -> (place of its hop width, number of hops)."""

_COUNTED = {
    "views": "view", "searches": "search", "cart_adds": "cart_add", "cart_removes": "cart_remove",
    "wishlists": "wishlist", "checkouts": "checkout", "orders": "order", "refunds": "refund", "reviews": "review",
    "complaints": "complaint", "messages_sent": "message_sent", "messages_clicked": "message_clicked",
}  # fmt: skip
_SUMMED = {"spend": "order", "refunded": "refund"}
_PLAIN = (
    "time_since_activity", "age", "cart_items", "cart_value", "average_order", "refund_rate", "orders_per_month",
    "average_rating", "sessions_total", "session_events", "session_seconds", "evening_share", "weekend_share",
)  # fmt: skip


@dataclass(frozen=True)
class Feature:
    """What a name stands for: `count` or `amount` of a kind (over a window, or `None` for the total), `since` a kind,
    or a plain feature, its own name being the measure.
    """

    measure: str
    kind: int = -1
    window: str | None = None


def _catalogue() -> dict[str, Feature]:
    names = {name: Feature(name) for name in _PLAIN}
    for measure, group in (("count", _COUNTED), ("amount", _SUMMED)):
        for stem, kind in group.items():
            names[f"{stem}_total"] = Feature(measure, KIND_NUMBERS[kind])
            for window in WINDOWS:
                names[f"{stem}_{window}"] = Feature(measure, KIND_NUMBERS[kind], window)
    for kind, number in KIND_NUMBERS.items():
        names[f"time_since_{kind}"] = Feature("since", number)
    return names


_FEATURES = _catalogue()
FEATURE_NAMES = tuple(_FEATURES)


def feature(name: str) -> Feature:
    """Return the feature of that name; `KeyError` where the checker should have refused it."""
    return _FEATURES[name]
