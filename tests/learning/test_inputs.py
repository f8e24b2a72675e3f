"""Records of the engine become samples and observations, or are refused."""

from typing import Any

import numpy as np
import pytest

from worker.language.observed import OBSERVED
from worker.learning.inputs import observation_of, sample_of

FEATURES = {observed.name: place for place, observed in enumerate(OBSERVED)}
SAMPLE = {
    "id": "0" * 31 + "7", "user_id": "u-7", "target": "purchase", "sampled_at": "2026-11-22T10:15:00.250Z",
    "resolved_at": "2026-11-23T10:15:00.000Z", "label": 1, "features": {**FEATURES, "views_7d": None},
    "probability": None, "model": None, "exposed": ["cart_reminder"],
}  # fmt: skip
OBSERVATION = {
    "id": "0" * 32,
    "user_id": "u-7",
    "observed_at": "2026-11-22T10:15:00.250Z",
    "features": {**FEATURES, "spend_30d": 5},
}


def test_a_sample_is_read_from_its_record() -> None:
    """Times are milliseconds, features a vector in OBSERVED's order, null is NaN."""
    sample = sample_of(SAMPLE)
    assert sample.sampled_ms == 1_795_342_500_250
    assert (sample.id, sample.target, sample.label, sample.exposed) == (
        "0" * 31 + "7",
        "purchase",
        1,
        ("cart_reminder",),
    )
    expected = [np.nan if name == "views_7d" else place for name, place in FEATURES.items()]
    np.testing.assert_array_equal(sample.features, expected)
    assert np.isnan(sample.probability)


def test_traits_are_short_texts() -> None:
    """A number is written out, null is `none`, a long text is cut; a record without traits has none."""
    traits = {"country": "DE", "points": 7.5, "plan": None, "story": "x" * 65}
    assert sample_of({**SAMPLE, "traits": traits}).traits == {
        "country": "DE", "points": "7.5", "plan": "none", "story": "x" * 64
    }  # fmt: skip
    assert sample_of(SAMPLE).traits == {}


def test_an_observation_is_read_from_its_record() -> None:
    """Besides OBSERVED it keeps what definitions rank by."""
    observation = observation_of(OBSERVATION)
    assert observation.ranked["spend_30d"] == 5
    assert observation.features.tolist() == list(FEATURES.values())


@pytest.mark.parametrize(
    "change",
    [{"id": "no hex"}, {"id": 7}, {"label": 2}, {"label": "1"}, {"sampled_at": "yesterday"}, {"features": {}},
     {"sampled_at": "2026-11-22T10:15:00"}, {"features": {**FEATURES, "age": "old"}}, {"features": None},
     {"features": {**FEATURES, "age": True}}, {"user_id": None}, {"probability": "high"}, {"exposed": None},
     {"traits": ["DE"]}, {"traits": {"vip": True}}],
)  # fmt: skip
def test_a_malformed_sample_is_refused(change: dict[str, Any]) -> None:
    """Whatever is wrong, it is a ValueError."""
    with pytest.raises(ValueError, match="no training sample"):
        sample_of({**SAMPLE, **change})


def test_a_malformed_observation_is_refused() -> None:
    """As a sample is."""
    with pytest.raises(ValueError, match="no observation"):
        observation_of({**OBSERVATION, "features": [1, 2]})
