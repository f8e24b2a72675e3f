"""The series of a family: counts by labels, how observations spread over buckets, and values as they stand.

The rule: a commit brings thousands of things to count, so counts and histograms take many at once and are turned into
what Prometheus reads only when it asks. Not thread-safe: everything here happens on the event loop.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from worker.observe.catalogue import FAMILIES
from worker.observe.family import Family, Labels

__all__ = ["Counts", "Histogram", "cut", "shown"]


L = TypeVar("L", bound=Labels)
BY_BASE = {family.base: family for family in FAMILIES.values()}


class Counts:
    """How many there were of each combination of label values."""

    def __init__(self, name: str) -> None:
        """Begin with the combinations that are shown as 0 from the start."""
        self.family = FAMILIES[name]
        self._counts: Counter[Labels] = Counter(dict.fromkeys(self.family.first, 0))

    def add(self, *values: str, count: int = 1) -> None:
        """Count one combination, `count` times."""
        if values not in self._counts:
            values = self.family.admitted(values, len(self._counts))
        self._counts[values] += count

    def add_all(self, combinations: Iterable[Labels]) -> None:
        """Count each combination once for every time it comes."""
        found: dict[Labels, int] = {}  # for a few, which is usual, quicker than a Counter
        for values in combinations:
            found[values] = found.get(values, 0) + 1
        for values, count in found.items():
            self.add(*values, count=count)

    def collected(self) -> Metric:
        """The series as Prometheus reads them."""
        return shown(self.family.name, self._counts)


class Histogram:
    """How many observations, in seconds, were at most each bound, and their sum."""

    def __init__(self, name: str) -> None:
        self.family = FAMILIES[name]
        self._bounds = np.array(self.family.buckets_seconds, np.float64)
        self._spread: dict[Labels, tuple[npt.NDArray[np.int64], float]] = {
            labels: (self._nothing(), 0.0) for labels in self.family.first
        }

    def _nothing(self) -> npt.NDArray[np.int64]:
        return np.zeros(len(self._bounds) + 1, np.int64)

    def observe(self, seconds: float | npt.NDArray[np.float64], *labels: str) -> None:
        """Take in any number of observations; clocks that disagree may make some negative: they count as 0."""
        counts, total = self._spread.get(labels) or (self._nothing(), 0.0)
        if isinstance(seconds, float):  # one, which is usual, costs a tenth of many
            seconds = max(seconds, 0.0)
            counts[bisect_left(self.family.buckets_seconds, seconds)] += 1
            self._spread[labels] = counts, total + seconds
            return
        values = np.maximum(seconds, 0.0)
        buckets = np.searchsorted(self._bounds, values)  # the first bound that isn't smaller
        counts += np.bincount(buckets, minlength=len(counts))
        self._spread[labels] = counts, total + float(values.sum())

    def collected(self) -> Metric:
        """The series as Prometheus reads them."""
        ends = [*map(floatToGoString, self._bounds.tolist()), "+Inf"]
        family = HistogramMetricFamily(self.family.base, self.family.meaning, labels=tuple(self.family.labels))
        for labels, (counts, total) in self._spread.items():
            family.add_metric(labels, list(zip(ends, np.cumsum(counts).tolist(), strict=True)), total)
        return family


def shown(name: str, values: Mapping[L, float]) -> Metric:
    """Return a family of the catalogue with these series; of an info the values don't matter."""
    family = FAMILIES[name]
    if family.kind == "info":
        return _info(family, values)
    made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = made(family.base, family.meaning, labels=tuple(family.labels))
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def cut(metric: Metric) -> int:
    """Take away the gauges beyond their family's bound; return how many. Counts keep to it by themselves."""
    most = BY_BASE[metric.name].series_max
    if metric.type not in ("gauge", "info") or len(metric.samples) <= most:
        return 0
    left_out = len(metric.samples) - most
    del metric.samples[most:]
    return left_out


def _info(family: Family, values: Iterable[Labels]) -> InfoMetricFamily:
    metric = InfoMetricFamily(family.base, family.meaning)
    for labels in values:
        metric.add_metric((), dict(zip(family.labels, labels, strict=True)))
    return metric
