"""What moves a probability, in words: `time since order 62 days (+0.87), views in 90 days 0 (-0.3)`.

The rule: words follow from a feature's name, so a new feature needs none; units are the contract's, seconds as a span.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from worker.language.catalogue import WINDOWS

__all__ = ["in_words"]

SPANS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
UNITS = {"h": "hour", "d": "day"}


def in_words(contributions: Iterable[Mapping[str, Any]]) -> str:
    """Return contributions as reasons have them in words, each with its effect: log-odds, of trees probability.

    >>> in_words(
    ...     [{"feature": "age", "value": 7200, "effect": -1}, {"feature": "spend_7d", "value": 12.5, "effect": 0.43}]
    ... )
    'age 2 hours (-1), spend in 7 days 12.5 (+0.43)'
    """
    return ", ".join(
        f"{_name(part['feature'])} {_value(part['feature'], part['value'])} ({part['effect']:+.2g})"
        for part in contributions
    )


def _name(feature: str) -> str:
    """Return a feature's name as words.

    >>> [_name(feature) for feature in ("time_since_order", "views_24h", "orders_total", "refund_rate")]
    ['time since order', 'views in 24 hours', 'orders in all', 'refund rate']
    """
    stem, _, last = feature.rpartition("_")
    if last in WINDOWS:
        return f"{_spaced(stem)} in {_counted(int(last[:-1]), UNITS[last[-1]])}"
    return f"{_spaced(stem)} in all" if last == "total" else _spaced(feature)


def _value(feature: str, value: float | None) -> str:
    is_time = feature.startswith("time_since_")
    if value is None:
        return "never" if is_time else "unknown"
    return _span(value) if is_time or feature == "age" else f"{value:.6g}"


def _span(seconds: float) -> str:
    """Return a time in the largest unit of which there are two or more.

    >>> [_span(seconds) for seconds in (0.4, 90, 7_199, 172_800, 5_400_000)]
    ['0 seconds', '90 seconds', '119 minutes', '2 days', '62 days']
    """
    unit, length = next((span for span in SPANS if seconds >= 2 * span[1]), SPANS[-1])
    return _counted(int(seconds // length), unit)


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
