"""Where two lists of output records differ: the first place, readable, with floats compared to a relative 1e-9.

Ids, instants, order and everything discrete are compared to the letter; only computed values in reasons, carts and
the like may differ in their last digits, as the engine adds in another order than the twin.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same, but for the last digits of floats.

    >>> same({"value": 0.1 + 0.2}, {"value": 0.3}), same({"value": 1}, {"value": True})
    (True, False)
    """
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def first_difference(
    ours: Sequence[dict[str, Any]],
    theirs: Sequence[dict[str, Any]],
    *,
    per_user: bool = False,
    ignore: Collection[str] = ("emitted_at",),
) -> str | None:
    """The first place where records differ, None if nowhere. `per_user` leaves the order between users free."""
    left, right = ([{k: v for k, v in record.items() if k not in ignore} for record in side] for side in (ours, theirs))
    if per_user:
        left, right = (sorted(side, key=lambda record: str(record["user_id"])) for side in (left, right))
    for place, (a, b) in enumerate(zip(left, right, strict=False)):
        if not same(a, b):
            keys = [key for key in {**a, **b} if not same(a.get(key), b.get(key))]
            return f"record {place} differs in {keys}:\n  {a}\n  {b}"
    if len(left) != len(right):
        longer = left if len(left) > len(right) else right
        return (
            f"{len(left)} records against {len(right)}; the first without a twin: {longer[min(len(left), len(right))]}"
        )
    return None
