"""All that is known of a user, in words: every column of her row by name, with times, texts and kinds written out.

The rule: nothing is left out. What a column is called here is what the layout calls it, with the event's kind for its
number; whatever was never set is null.
"""

import math
from typing import Any

import numpy as np

from schemas.events import IDENTIFY, KINDS, TIME_MS_MAX
from worker.core.effects import iso
from worker.core.interning import Strings
from worker.core.layout import FOREVER, NEVER, TEXTS, Layout

__all__ = ["columns_of"]

DAY_MS = 86_400_000
TIMES = frozenset((
    "clock", "earliest", "evaluation_due", "fired", "interest_reference", "last_activity", "member", "sampled", "sends",
    "session_first", "session_last", "since",
))  # fmt: skip
OF_KINDS = frozenset(("since", "count", "amount"))


def columns_of(layout: Layout, row: np.ndarray[Any, Any], strings: Strings) -> dict[str, Any]:
    """Return the values of a row, int64[words], by name; a column of several values is a list."""
    views = {"wide": row, "real": row.view(np.float64), "narrow": row.view(np.int32)}
    return {
        _named(name): _written(
            name, views[column.view][column.offset : column.offset + column.length].tolist(), strings.texts
        )
        for name, column in layout.columns.items()
    }


def _named(name: str) -> str:
    """Put the kind of event in place of its number."""
    what, _, rest = name.partition(":")
    number, _, window = rest.partition(":")
    if what in OF_KINDS and number.isdigit():
        kind = "identify" if int(number) == IDENTIFY else KINDS[int(number)]
        return ":".join(filter(None, (what, kind, window)))
    return name


def _written(name: str, values: list[Any], texts: list[str]) -> Any:
    what = name.partition(":")[0]
    if what in TEXTS:
        told = [texts[value] if value >= 0 else None for value in values]
    elif what == "seen":
        told = [iso(value * DAY_MS) if value * DAY_MS < TIME_MS_MAX else None for value in values]
    else:
        told = [_number(value, is_time=what in TIMES) for value in values]
    return told[0] if len(told) == 1 else told


def _number(value: float, *, is_time: bool) -> float | str | None:
    if value in (NEVER, FOREVER) or not math.isfinite(value):
        return None
    return iso(int(value)) if is_time else value
