"""Counts and histograms: many at once come to the same as one at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.observe.catalogue import FAMILIES
from worker.observe.family import OTHER, SERIES_MAX
from worker.observe.series import Counts, Histogram, cut, shown

LATENESS = "shoal_timer_lateness_seconds"
BOUNDS = FAMILIES[LATENESS].buckets_seconds
MILLISECONDS = st.lists(st.integers(-5_000, 20_000), max_size=50)


def written(bound: float) -> str:
    """A bound as Prometheus writes it."""
    return "+Inf" if bound == float("inf") else str(bound)


def buckets(histogram: Histogram) -> dict[str, float]:
    """The cumulative count of each bucket, by its bound."""
    return {s.labels["le"]: s.value for s in histogram.collected().samples if s.name.endswith("_bucket")}


@given(MILLISECONDS, MILLISECONDS)
def test_a_histogram_counts_what_is_at_most_each_bound(first: list[int], second: list[int]) -> None:
    """Cumulative, a bound included, in whatever portions they come; what is negative counts as 0."""
    histogram = Histogram(LATENESS)
    histogram.observe(np.array(first) / 1000)
    histogram.observe(np.array(second) / 1000)
    values = [max(ms, 0) / 1000 for ms in first + second]
    expected = {written(bound): sum(value <= bound for value in values) for bound in BOUNDS}
    assert buckets(histogram) == expected | {"+Inf": len(values)}
    totals = {s.name: s.value for s in histogram.collected().samples if not s.labels}
    assert totals[f"{LATENESS}_count"] == len(values)
    assert abs(totals[f"{LATENESS}_sum"] - sum(values)) < 1e-6


def test_one_number_is_an_observation() -> None:
    """A plain float goes in like an array of one."""
    histogram = Histogram(LATENESS)
    histogram.observe(0.25)
    assert buckets(histogram) == {written(bound): bound >= 0.25 for bound in (*BOUNDS, float("inf"))}


def test_counts_add_up_by_labels() -> None:
    """One by one, many at once, and what begins at 0."""
    counts = Counts("shoal_records_total")
    counts.add("applied", count=2)
    counts.add_all([("applied",), ("duplicate",), ("duplicate",)])
    assert by_label(counts) == {"applied": 3, "duplicate": 2, "dead_letter": 0}


def by_label(counts: Counts) -> dict[str, float]:
    """The values by the first label."""
    return {next(iter(s.labels.values())): s.value for s in counts.collected().samples}


def test_a_value_that_nobody_knows_is_no_label() -> None:
    """It counts under `other`, so that nothing is lost and nothing new appears."""
    counts = Counts("shoal_task_restarts_total")
    counts.add("fenced")
    counts.add("u-7", count=3)
    counts.add_all([("u-8",)])
    found = by_label(counts)
    assert (found["fenced"], found[OTHER]) == (1, 4)
    assert "u-7" not in found


def test_series_are_bounded_and_counts_beyond_are_kept() -> None:
    """As many as the labels allow, and 5,000 at most; what comes then counts under `other` in every label."""
    counts = Counts("shoal_samples_total")
    most = counts.family.series_max
    counts.add_all((f"target_{number}", "1") for number in range(10_000))
    samples = counts.collected().samples
    assert len(samples) == most + 1 <= SERIES_MAX
    assert {tuple(s.labels.values()): s.value for s in samples}[OTHER, OTHER] == 10_000 - most


def test_gauges_beyond_the_bound_are_left_out_and_counted() -> None:
    """As many stay as the family may have."""
    metric = shown("shoal_cluster_share", {(str(number),): 0.1 for number in range(100)})
    assert cut(metric) == 100 - FAMILIES["shoal_cluster_share"].series_max
    assert cut(metric) == 0
