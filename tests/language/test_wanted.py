"""What is learnt is what definitions read."""

from typing import Any

import pytest

from tests.support.pair import checked_of
from worker.language.wanted import wanted


def of(*segments: dict[str, Any]) -> tuple[list[str], bool]:
    """What definitions with these segments want."""
    targets = [{"id": "purchase", "positive": "order", "horizon": "7d"}]
    document = {"version": 1, "traits": ["country"], "targets": targets, "segments": list(segments)}
    found = wanted(checked_of(document))
    return list(found.ranked), found.clusters


def test_ranked_features_are_found_wherever_a_condition_stands() -> None:
    """In tiers, in exits, within arithmetic, and once each."""
    ranked, clusters = of(
        {"id": "tier", "tiers": [{"id": "high", "enter": 'percentile("spend_365d") >= 0.9'}]},
        {"id": "one", "enter": "orders_30d > 1", "exit": 'percentile("views_7d") * 2 < 1 or member("tier:high")'},
        {"id": "two", "enter": 'percentile("spend_365d") > 0.5 and trait("country") == "DE"'},
        {"id": "three", "enter": 'probability("purchase") > 0.5'},
    )
    assert ranked == ["spend_365d", "views_7d"]
    assert not clusters


@pytest.mark.parametrize("segment", [{"id": "kind", "clusters": True}, {"id": "kind", "enter": 'cluster() == "a"'}])
def test_clusters_are_wanted_by_a_segment_or_a_condition(segment: dict[str, Any]) -> None:
    """Either is enough."""
    assert of(segment) == ([], True)


def test_thresholds_are_read_off_the_conditions_of_all_segments_and_tiers() -> None:
    """Each once, ascending, whichever side it is on; what is compared with something else has none."""
    segments: list[dict[str, Any]] = [
        {"id": "likely", "enter": 'probability("buy") >= 0.7 and orders_total > 3', "exit": 'probability("buy") < 0.5'},
        {"id": "tiers", "tiers": [
            {"id": "high", "enter": '0.9 <= probability("buy")'},
            {"id": "low", "enter": 'not probability("buy") > 0.7'},
        ]},
        {"id": "both", "enter": 'probability("buy") > probability("stay")'},
    ]  # fmt: skip
    targets = [
        {"id": "buy", "positive": "order", "horizon": "7d"},
        {"id": "stay", "positive": "silence", "horizon": "30d"},
    ]
    found = wanted(checked_of({"version": 1, "segments": segments, "targets": targets}))
    assert found.thresholds == {"buy": (0.5, 0.7, 0.9), "stay": ()}
