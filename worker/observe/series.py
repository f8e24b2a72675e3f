"""The two kinds of series that grow: counts by labels, and how observations spread over buckets.

The rule: a commit brings thousands of things to count, so both take many at once and are turned into what Prometheus
reads only when it asks. Not thread-safe: everything here happens on the event loop.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

__all__ = ["Counts", "Histogram"]

Labels = tuple[str, ...]


class Counts:
    """How many there were of each combination of label values; the name is without its `_total`."""

    def __init__(self, name: str, meaning: str, labels: Labels = (), begin: Iterable[Labels] = ()) -> None:
        """Show the combinations in `begin` as 0 from the start, so that a rate sees their first increase."""
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._counts: Counter[Labels] = Counter(dict.fromkeys(begin, 0))

    def add(self, *values: str, count: int = 1) -> None:
        """Count one combination, `count` times."""
        self._counts[values] += count

    def add_all(self, combinations: Iterable[Labels]) -> None:
        """Count each combination once for every time it comes."""
        self._counts.update(combinations)

    def family(self) -> CounterMetricFamily:
        """The series as Prometheus reads them."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        return family


class Histogram:
    """How many observations, in seconds, were at most each of `bounds`, and their sum."""

    def __init__(self, name: str, meaning: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._meaning = meaning
        self._bounds = np.array(bounds, np.float64)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def observe(self, seconds: npt.ArrayLike) -> None:
        """Take in any number of observations; clocks that disagree may make some negative: they count as 0."""
        values = np.maximum(np.asarray(seconds, np.float64), 0.0).ravel()
        buckets = np.searchsorted(self._bounds, values)  # the first bound that isn't smaller
        self._counts += np.bincount(buckets, minlength=len(self._counts))
        self._sum += float(values.sum())

    def family(self) -> HistogramMetricFamily:
        """The series as Prometheus reads them."""
        ends = [*map(floatToGoString, self._bounds.tolist()), "+Inf"]
        buckets = list(zip(ends, np.cumsum(self._counts).tolist(), strict=True))
        family = HistogramMetricFamily(self._name, self._meaning)
        family.add_metric((), buckets, self._sum)
        return family
