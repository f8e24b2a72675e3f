"""Models and versions by hand: clusters, percentiles, probabilities, and the point at which a version takes effect."""

from typing import Any

import pytest

from tests.core.support import HOUR, MINUTE, Story, holds, message, told_at_once


def test_a_cluster_dwells_since_the_latest_entry() -> None:
    """Ten minutes in each: the move of minute 1 comes at 10. Who may not be profiled leaves without waiting."""
    model = {"version": 3, "hash": "c" * 64, "features": [{"name": "cart_value"}],
             "clusters": {"names": ["low", "high"], "centres": [[0.0], [10.0]]}}  # fmt: skip
    story = Story({"id": "b", "clusters": True, "min_dwell": "10m"}, model=model)
    story.tell(0, "Product Viewed")
    story.tell(MINUTE, "Product Added", price=10)
    story.tell(11 * MINUTE, "Product Removed", price=10)
    story.tell(12 * MINUTE, "identify", consent={"profiling": False})
    story.tell(15 * MINUTE, "identify", consent={"profiling": True})
    story.until(HOUR)
    steps = [("+b:low", 0), ("-b:low", 10), ("+b:high", 10), ("-b:high", 12), ("+b:low", 15)]
    assert story.changes == [(name, minute * MINUTE) for name, minute in steps]


def test_a_centre_that_is_exactly_a_tenth_nearer_is_near_enough() -> None:
    """Ten from her own, nine from the other: she moves."""
    model = {"version": 3, "hash": "c" * 64, "features": [{"name": "cart_value"}],
             "clusters": {"names": ["low", "high"], "centres": [[0.0], [19.0]]}}  # fmt: skip
    story = Story({"id": "b", "clusters": True}, model=model)
    story.tell(0, "Product Viewed")
    story.tell(1, "Product Added", price=10)
    assert story.changes == [("+b:low", 0), ("-b:low", 1), ("+b:high", 1)]


def test_without_profiling_consent_a_cluster_is_left() -> None:
    """It is unknown then, which in a condition changes nothing; with the consent back she enters the one of now."""
    model = {"version": 3, "hash": "c" * 64, "features": [{"name": "cart_value"}],
             "clusters": {"names": ["low", "high"], "centres": [[0.0], [10.0]]}}  # fmt: skip
    story = Story({"id": "b", "clusters": True}, {"id": "n", "enter": 'cluster() == "low"'}, model=model)
    story.tell(0, "Product Viewed")
    story.tell(1, "identify", consent={"profiling": False})
    story.tell(2, "Product Added", price=10)
    assert story.engine.members() == {"n": 1}
    story.tell(3, "identify", consent={"profiling": None})
    assert story.changes[2:] == [("-b:low", 1), ("+b:high", 3), ("-n", 3)]


def test_a_segment_that_comes_back_is_entered_anew() -> None:
    """Removed by a version and there again with the next: out, and in again, a cluster's segment too."""
    model = {"version": 3, "hash": "c" * 64, "features": [{"name": "cart_value"}],
             "clusters": {"names": ["low", "high"], "centres": [[0.0], [10.0]]}}  # fmt: skip
    segments: list[dict[str, Any]] = [{"id": "a", "enter": "views_total > 0"}, {"id": "b", "clusters": True}]
    story = Story(*segments, model=model)
    story.tell(0, "Product Viewed")
    story.publish({"id": "c", "enter": "views_total > 9"})
    story.publish(*segments)
    names = [name for name, _ in story.changes]
    assert names == ["+a", "+b:low", "-a", "-b:low", "+a", "+b:low"]


def test_a_percentile_is_the_share_of_smaller_values() -> None:
    """Quantiles 0, 100, 100, 200: 0 at the lowest, a third at 100, a half way between, 1 at 200 and beyond."""
    expected = {0: "== 0", 50: "* 6 == 1", 100: "* 3 == 1", 150: "* 6 == 5", 200: "== 1", 300: "== 1"}
    for total, test in expected.items():
        model = {"version": 3, "hash": "c" * 64, "features": [{"name": "spend_total"}],
                 "quantiles": {"spend_total": [0, 100, 100, 200]}}  # fmt: skip
        story = Story({"id": "s", "enter": f'percentile("spend_total") {test}'}, model=model)
        story.tell(0, "Order Completed", total=total)
        assert story.changes == [("+s", 0)], total


def test_what_is_infinite_counts_as_missing_for_a_model() -> None:
    """Who never ordered has the value that stands for missing: 2, less the intercept, 0.5."""
    features = [{"name": "time_since_order", "missing": 2.0}]
    target = {"t": {"kind": "linear", "weights": [1.0], "intercept": -2.0}}
    targets = [{"id": "t", "positive": "order", "horizon": "7d"}]
    model = {"version": 3, "hash": "c" * 64, "features": features, "targets": target}
    assert holds('probability("t") == 0.5', (0, "Product Viewed", {}), targets=targets, model=model)


@pytest.mark.parametrize(
    ("calibration", "rating", "expected"),
    [
        ([], -1, 0.333333),
        ([], 1, 0.666667),
        ([[0.4, 0.1], [0.6, 0.2]], -1, 0.1),
        ([[0.4, 0.1], [0.6, 0.2]], 0, 0.15),
        ([[0.4, 0.1], [0.6, 0.2]], 1, 0.2),
    ],
)
def test_a_probability_is_calibrated_between_and_flat_beyond_its_points(
    calibration: list[Any], rating: float, expected: float
) -> None:
    """log1p of ±1 keeps its sign: raw odds of 1:2 or 2:1, to six decimals."""
    targets = [{"id": "t", "positive": "order", "horizon": "7d"}]
    target = {"t": {"kind": "linear", "weights": [1.0], "intercept": 0.0, "calibration": calibration}}
    features = [{"name": "average_rating", "log": True}]
    model = {"version": 3, "hash": "c" * 64, "features": features, "targets": target}
    review = (0, "Product Reviewed", {"rating": rating})
    assert holds(f'probability("t") == {expected}', review, targets=targets, model=model)


def test_profiling_may_need_consent_first() -> None:
    """With `opt_in` who said nothing has no probability; with `opt_out`, the default, she has."""
    targets = [{"id": "t", "positive": "order", "horizon": "7d"}]
    target = {"t": {"kind": "linear", "weights": [0.0], "intercept": 0.0}}
    model = {"version": 3, "hash": "c" * 64, "features": [{"name": "views_total"}], "targets": target}
    for profiling in ("opt_in", "opt_out"):
        found = holds('probability("t") == 0.5', (0, "Product Viewed", {}), targets=targets, model=model,
                      profiling=profiling)  # fmt: skip
        assert found is (profiling == "opt_out")


def test_a_version_takes_back_no_clock() -> None:
    """Her own clock is ahead of the partition clock by what was believed of the future: judged at hers."""
    story = Story({"id": "a", "enter": "views_total > 5"}, clock="wall")
    story.arrive(3 * MINUTE, "Product Viewed", 0)
    story.publish({"id": "a", "enter": "views_total > 0"}, {"id": "b", "enter": "time_since_view < 1s"})
    assert story.changes == [("+a", 3 * MINUTE), ("+b", 3 * MINUTE)]


def test_the_outputs_have_room_for_the_instant_before_an_event_and_the_event() -> None:
    """Two groups of tiers that both change at every instant and at every event, up to the last place of the outputs."""
    groups = [
        {"id": name, "tiers": [{"id": "new", "enter": "time_since_view < 1m"}, {"id": "old", "enter": "age >= 0s"}]}
        for name in ("g", "h")
    ]
    story = Story(*groups)
    views = [message(place * 61_000, "Product Viewed") for place in range(1_100)]
    told_at_once(story, message(0, "Product Viewed", "a"), message(0, "Product Viewed", "b"), *views)
    assert len([t for t in story.transitions if t["user_id"] == "u"]) == 2 + 8 * 1_099
