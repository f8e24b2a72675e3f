"""The model snapshot: what it accepts, and what it is named by."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.models import Snapshot, sealed

HASH = "9b74c9897bac" + "0" * 52
SNAPSHOT: dict[str, Any] = {
    "version": 3,
    "hash": HASH,
    "features": [
        {"name": "spend_365d", "log": True, "missing": 0, "mean": 3.5, "scale": 2.25},
        {"name": "time_since_order", "log": True, "missing": 31536000, "mean": 12.0, "scale": 1.5},
    ],
    "targets": {
        "purchase_7d": {
            "kind": "linear",
            "weights": [0.5, -1],
            "intercept": -2.0,
            "calibration": [[0, 0.01], [1, 0.97]],
        }
    },
    "clusters": {"names": ["loyal", "browsers"], "centres": [[1.0, -0.5], [-0.25, 0.75]]},
    "quantiles": {"spend_365d": [0, 0, 12.5, 80]},
    "evidence": {"purchase_7d": {"samples": 12000, "positives": 800}},
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
        {"targets": {"purchase_7d": {"kind": "linear", "weights": [0.5]}}},
        {"targets": {"purchase_7d": {"kind": "linear", "weights": [0.5, float("inf")]}}},
        {"targets": {"purchase_7d": {"kind": "linear", "weights": [0.5, 1], "calibration": [[0.5, 0.2], [0.5, 0.3]]}}},
        {"targets": {"purchase_7d": {"kind": "linear", "weights": [0.5, 1], "calibration": [[0.1, 0.3], [0.5, 0.2]]}}},
        {"targets": {"purchase_7d": {"weights": [0.5, 1]}}},
        {"targets": {"purchase_7d": {"kind": "linear", "weights": [0.5, 1], "inputs": [{"name": "age"}]}}},
        {"clusters": {"names": ["loyal"], "centres": [[1.0, -0.5], [-0.25, 0.75]]}},
        {"clusters": {"names": ["loyal", "loyal"], "centres": [[1.0, -0.5], [-0.25, 0.75]]}},
        {"clusters": {"names": ["loyal"], "centres": [[1.0]]}},
        {"clusters": {"names": ["loyal"], "centres": [[1.0, 0.5]], "cards": {"other": {"size": 0.5}}}},
        {"reference": {"spend_365d": {"edges": [1, 2], "shares": [0.5, 0.5]}}},
        {"reference": {"spend_365d": {"edges": [2, 1], "shares": [0.5, 0.25, 0.25]}}},
        {"decisions": [{"kind": "promotion"}] * 51},
        {"decisions": [{"kind": {"deep": {"deeper": 1}}}]},
        {"quantiles": {"spend_365d": [0]}},
        {"quantiles": {"spend_365d": [1, 0]}},
    ],
)
def test_a_snapshot_that_could_not_score_is_refused(members: dict[str, Any]) -> None:
    """Widths agree, lists rise, numbers are finite, and no member is unknown."""
    Snapshot.model_validate(SNAPSHOT)
    with pytest.raises(ValidationError):
        Snapshot.model_validate({**SNAPSHOT, **members})


STUMP: dict[str, Any] = {
    "kind": "trees",
    "feature": [0, -1, -1],
    "threshold": [3, 0, 0],
    "left": [1, -1, -1],
    "right": [2, -1, -1],
    "value": [0.5, 0, 1],
    "roots": [0],
}


def chain(depth: int) -> dict[str, Any]:
    """A tree of so many splits, one below the other, each with a leaf at its right."""
    splits = range(depth)
    leaf = [-1] * (depth + 1)
    return {
        "kind": "trees",
        "feature": [*(0 for _ in splits), *leaf],
        "threshold": [1.0] * (2 * depth + 1),
        "left": [*(place + 1 for place in splits), *leaf],
        "right": [*(depth + 1 + place if place + 1 < depth else 2 * depth for place in splits), *leaf],
        "value": [0.5] * (2 * depth + 1),
        "roots": [0],
    }


@pytest.mark.parametrize(
    "members",
    [
        {"left": [0, -1, -1]},
        {"left": [1, 0, -1], "right": [2, 2, -1], "feature": [0, 0, -1]},
        {"left": [3, -1, -1]},
        {"left": [-1, -1, -1]},
        {"feature": [-1, -1, -1]},
        {"feature": [2, -1, -1]},
        {"feature": [0, 1, -1]},
        {"feature": [0, -1]},
        {"threshold": [3]},
        {"value": [0.5, 0, 1.5]},
        {"value": [0.5, 0]},
        {"roots": []},
        {"roots": [3]},
        {"roots": [-1]},
        {"roots": [0] * 101},
        chain(65),
    ],
)
def test_nodes_that_are_no_trees_are_refused(members: dict[str, Any]) -> None:
    """Children that aren't there or come before their parents, splits without a feature, lists of unlike lengths."""
    for good in (STUMP, chain(64)):
        Snapshot.model_validate({**SNAPSHOT, "targets": {"purchase_7d": good}})
    with pytest.raises(ValidationError):
        Snapshot.model_validate({**SNAPSHOT, "targets": {"purchase_7d": {**STUMP, **members}}})


def test_a_sealed_snapshot_is_under_the_hash_of_its_content() -> None:
    """Whatever version it is; and what is at its default isn't part of it."""
    content = {key: value for key, value in SNAPSHOT.items() if key not in ("version", "hash")}
    snapshot = sealed(4, content)
    assert (snapshot.version, snapshot.hash) == (4, snapshot.content_hash)
    assert sealed(5, {**content, "reference": {}}).hash == snapshot.hash
