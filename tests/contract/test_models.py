"""The model snapshot: what it accepts, and what it is named by."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.models import Snapshot

HASH = "9b74c9897bac" + "0" * 52
SNAPSHOT: dict[str, Any] = {
    "version": 3,
    "hash": HASH,
    "features": [
        {"name": "spend_365d", "log": True, "missing": 0, "mean": 3.5, "scale": 2.25},
        {"name": "time_since_order", "log": True, "missing": 31536000, "mean": 12.0, "scale": 1.5},
    ],
    "targets": {"purchase_7d": {"weights": [0.5, -1], "intercept": -2.0, "calibration": [[0, 0.01], [1, 0.97]]}},
    "clusters": {"names": ["loyal", "browsers"], "centres": [[1.0, -0.5], [-0.25, 0.75]]},
    "quantiles": {"spend_365d": [0, 0, 12.5, 80]},
    "evidence": {"purchase_7d": 12000},
}


def test_a_snapshot_survives_json() -> None:
    """Read, written and read again it is the same, from text and from plain objects alike."""
    snapshot = Snapshot.model_validate(SNAPSHOT)
    assert snapshot == Snapshot.model_validate_json(snapshot.model_dump_json())
    assert snapshot == Snapshot.model_validate(snapshot.model_dump(mode="json"))
    assert snapshot.targets["purchase_7d"].calibration == [(0.0, 0.01), (1.0, 0.97)]


def test_a_snapshot_without_anything_learnt_is_valid() -> None:
    """Features, targets, clusters and quantiles may all be missing."""
    snapshot = Snapshot(version=1, hash=HASH)
    assert (snapshot.features, snapshot.targets, snapshot.clusters, snapshot.quantiles) == ([], {}, None, {})


def test_the_label_is_the_version_and_the_hash() -> None:
    """Outputs name a model so."""
    assert Snapshot.model_validate(SNAPSHOT).label == f"3/{HASH}"


def test_the_content_hash_follows_the_numbers_and_not_the_version() -> None:
    """Two versions with the same numbers have one content hash; another number gives another."""
    content = Snapshot.model_validate(SNAPSHOT).content_hash
    assert content == Snapshot.model_validate({**SNAPSHOT, "version": 4, "hash": "0" * 64}).content_hash
    assert content != Snapshot.model_validate({**SNAPSHOT, "quantiles": {}}).content_hash


@pytest.mark.parametrize(
    "members",
    [
        {"hash": "9b74"},
        {"version": "3"},
        {"surprise": 1},
        {"features": SNAPSHOT["features"][:1]},
        {"features": [SNAPSHOT["features"][0]] * 2},
        {"features": [{"name": "spend_365d", "scale": 0}, {"name": "age"}]},
        {"features": [{"name": "spend_365d", "mean": float("nan")}, {"name": "age"}]},
        {"targets": {"purchase_7d": {"weights": [0.5]}}},
        {"targets": {"purchase_7d": {"weights": [0.5, float("inf")]}}},
        {"targets": {"purchase_7d": {"weights": [0.5, 1], "calibration": [[0.5, 0.2], [0.5, 0.3]]}}},
        {"targets": {"purchase_7d": {"weights": [0.5, 1], "calibration": [[0.1, 0.3], [0.5, 0.2]]}}},
        {"clusters": {"names": ["loyal"], "centres": [[1.0, -0.5], [-0.25, 0.75]]}},
        {"clusters": {"names": ["loyal", "loyal"], "centres": [[1.0, -0.5], [-0.25, 0.75]]}},
        {"clusters": {"names": ["loyal"], "centres": [[1.0]]}},
        {"quantiles": {"spend_365d": [0]}},
        {"quantiles": {"spend_365d": [1, 0]}},
    ],
)
def test_a_snapshot_that_could_not_score_is_refused(members: dict[str, Any]) -> None:
    """Widths agree, lists rise, numbers are finite, and no member is unknown."""
    Snapshot.model_validate(SNAPSHOT)
    with pytest.raises(ValidationError):
        Snapshot.model_validate({**SNAPSHOT, **members})
