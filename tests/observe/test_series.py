"""Counts and histograms: many at once come to the same as one at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.observe.series import Counts, Histogram

BOUNDS = (0.1, 0.25, 1.0, 10.0)
MILLISECONDS = st.lists(st.integers(-5_000, 20_000), max_size=50)


def buckets(histogram: Histogram) -> dict[str, float]:
    """The cumulative count of each bucket, by its bound."""
    return {s.labels["le"]: s.value for s in histogram.family().samples if s.name.endswith("_bucket")}


@given(MILLISECONDS, MILLISECONDS)
def test_a_histogram_counts_what_is_at_most_each_bound(first: list[int], second: list[int]) -> None:
    """Cumulative, a bound included, in whatever portions they come; what is negative counts as 0."""
    histogram = Histogram("shoal_test_seconds", "Test.", BOUNDS)
    histogram.observe(np.array(first) / 1000)
    histogram.observe(np.array(second) / 1000)
    values = [max(ms, 0) / 1000 for ms in first + second]
    expected = {str(bound): sum(value <= bound for value in values) for bound in BOUNDS}
    assert buckets(histogram) == expected | {"+Inf": len(values)}
    totals = {s.name: s.value for s in histogram.family().samples if not s.labels}
    assert totals["shoal_test_seconds_count"] == len(values)
    assert abs(totals["shoal_test_seconds_sum"] - sum(values)) < 1e-6


def test_one_number_is_an_observation() -> None:
    """A plain float goes in like an array of one."""
    histogram = Histogram("shoal_test_seconds", "Test.", BOUNDS)
    histogram.observe(0.25)
    assert buckets(histogram) == {"0.1": 0, "0.25": 1, "1.0": 1, "10.0": 1, "+Inf": 1}


def test_counts_add_up_by_labels() -> None:
    """One by one, many at once, and what begins at 0."""
    counts = Counts("shoal_test", "Test.", ("kind",), [("never",)])
    counts.add("a", count=2)
    counts.add_all([("a",), ("b",), ("b",)])
    assert {s.labels["kind"]: s.value for s in counts.family().samples} == {"never": 0, "a": 3, "b": 2}
