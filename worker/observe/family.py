"""What a family of metrics is: a name, a kind, a meaning, and labels with a bound to their values.

The rule: a label's values come from the code or from the definitions, never from what users send. A value that isn't
one of those the code knows, and whatever comes when a family has `SERIES_MAX` series already, counts under `other`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas.access import Role

__all__ = ["ENDINGS", "OTHER", "SERIES_MAX", "Family", "Labels", "Values", "of"]

Kind = Literal["counter", "gauge", "histogram", "info"]
Labels = tuple[str, ...]  # the values of a family's labels, in its order
SERIES_MAX = 5_000  # of one family in one process
OTHER = "other"
ENDINGS: Mapping[Kind, str] = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True)
class Values:
    """Where a label's values come from, how many there may be at a time, and all of them if the code knows them."""

    source: str
    most: int
    names: Labels = ()


def of(*names: str) -> Values:
    """Return the values that the code knows; an empty one stands for none."""
    told = ", ".join(f"`{name}`" for name in names if name)
    return Values(f"{told}, or empty" if "" in names else told, len(names), names)


@dataclass(frozen=True)
class Family:
    """A row of the catalogue: `name` is the one that is scraped, `meaning` the help text, `wrong` what to do then."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    wrong: str
    labels: Mapping[str, Values] = field(default_factory=dict)
    roles: tuple[Role, ...] = ("worker",)
    buckets_seconds: tuple[float, ...] = ()

    @property
    def base(self) -> str:
        """The name without the ending that Prometheus' client gives to its kind."""
        return self.name.removesuffix(ENDINGS.get(self.kind, ""))

    @property
    def series_max(self) -> int:
        """How many series it has at most in one process, those under `other` aside."""
        return min(SERIES_MAX, math.prod(values.most for values in self.labels.values()))

    @property
    def first(self) -> list[Labels]:
        """What is shown as 0 from the start, so that a rate sees the first increase: all that one label can be."""
        if not self.labels:
            return [()]
        (known, *more) = self.labels.values()
        return [] if more else [(name,) for name in known.names]

    def admitted(self, values: Labels, known: int) -> Labels:
        """Return the values under which a combination counts that is new beside `known` others."""
        if known >= self.series_max:
            return (OTHER,) * len(values)
        allowed = zip(values, self.labels.values(), strict=True)
        return tuple(value if not label.names or value in label.names else OTHER for value, label in allowed)
