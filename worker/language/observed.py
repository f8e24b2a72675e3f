"""The features that samples and observations carry, and that models read.

The rule: an expression in the language of conditions over the contract's features says all of what a name means; a
model knows names alone, and `OBSERVED_HASH`, the feature schema, tells whether they mean the same to both sides. Null
and infinite values become null.
"""

import hashlib
from functools import cache
from typing import Final, NamedTuple

from worker.language.catalogue import FEATURE_NAMES
from worker.language.clauses import Comparison, Operand, Read
from worker.language.rules import parse
from worker.language.vocabulary import Vocabulary

__all__ = ["OBSERVED", "OBSERVED_HASH", "Observed", "expression_of"]


class Observed(NamedTuple):
    """A name, and what it stands for: of a contract feature its own name."""

    name: str
    expression: str


_PLAIN: Final = (
    "views_24h", "views_7d", "views_90d", "searches_90d", "cart_adds_24h", "cart_adds_7d", "cart_adds_90d",
    "wishlists_90d", "checkouts_90d", "orders_30d", "orders_90d", "orders_365d", "orders_total", "spend_90d",
    "spend_365d", "spend_total", "refund_rate", "average_order", "time_since_view", "time_since_cart_add",
    "time_since_order", "time_since_activity", "age", "cart_items", "cart_value", "sessions_total", "evening_share",
    "weekend_share", "average_rating", "complaints_90d", "messages_sent_90d", "messages_clicked_90d",
    "orders_per_month",
)  # fmt: skip
_DERIVED: Final = (
    Observed("order_recency", "time_since_order * orders_total / age"),
    Observed("session_recency", "time_since_activity * sessions_total / age"),
    Observed("orders_trend", "orders_30d / orders_90d"),
    Observed("views_trend", "views_7d / views_90d"),
    Observed("spend_trend", "spend_90d / spend_365d"),
    Observed("cart_adds_per_view", "cart_adds_90d / views_90d"),
    Observed("searches_per_view", "searches_90d / views_90d"),
    Observed("wishlists_per_view", "wishlists_90d / views_90d"),
)

OBSERVED: Final[tuple[Observed, ...]] = (*(Observed(name, name) for name in _PLAIN), *_DERIVED)
OBSERVED_HASH: Final = hashlib.blake2b(repr([tuple(each) for each in OBSERVED]).encode(), digest_size=8).hexdigest()
"""16 hex digits over names and expressions, in order."""

_EXPRESSIONS: Final = {each.name: each.expression for each in OBSERVED}


@cache
def expression_of(name: str) -> Operand:
    """Return the number that a name stands for, as a tree; KeyError if it is neither observed nor of the contract."""
    if name in _EXPRESSIONS and _EXPRESSIONS[name] != name:
        condition = parse(f"{_EXPRESSIONS[name]} == 0", Vocabulary())  # what the language reads is conditions
        assert isinstance(condition, Comparison)
        return condition.left
    if name not in FEATURE_NAMES:
        raise KeyError(name)
    return Read(name)
