"""What is learnt of all users is what definitions read."""

from typing import Any

import pytest

from schemas.definitions import Definitions
from worker.learning.wanted import wanted


def of(*segments: dict[str, Any]) -> tuple[list[str], bool]:
    """What definitions with these segments want."""
    targets = [{"id": "purchase", "positive": "order", "horizon": "7d"}]
    document = {"version": 1, "traits": ["country"], "targets": targets, "segments": list(segments)}
    return wanted(Definitions.model_validate(document))


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
