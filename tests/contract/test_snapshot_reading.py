"""Snapshots from outside: whatever the bytes are, they are a sound snapshot or are refused with a reason."""

import json
import pickle
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.models import SNAPSHOT_BYTES_MAX, Refusal, RefusedSnapshot, Snapshot, read_snapshot, sealed

SCHEMA = "0123456789abcdef"
REASONS = get_args(Refusal)
CONTENT: dict[str, Any] = {
    "feature_schema": SCHEMA,
    "features": [{"name": "age", "log": True, "mean": 3.5, "scale": 2.25}, {"name": "orders_total"}],
    "targets": {
        "buys": {"kind": "linear", "weights": [0.5, -1.0], "calibration": [[0.0, 0.01], [1.0, 0.97]]},
        "leaves": {
            "kind": "trees",
            "inputs": [{"name": "cart_value"}],
            "feature": [0, -1, -1],
            "threshold": [12.5, 0.0, 0.0],
            "left": [1, -1, -1],
            "right": [2, -1, -1],
            "value": [0.5, 0.25, 0.75],
            "roots": [0],
        },
    },
    "clusters": {"names": ["one"], "centres": [[1.0, -0.5]], "cards": {"one": {"size": 1.0}}},
    "quantiles": {"spend_365d": [0.0, 12.5, 80.0]},
    "reference": {"age": {"edges": [1.0, 2.0], "shares": [0.25, 0.5, 0.25]}},
    "evidence": {"buys": {"samples": 12000, "positives": 800}},
    "training": {"from_ms": 0, "until_ms": 86400000},
    "metrics": {"buys": {"linear": {"auc": 0.75, "n": 500}}},
    "decisions": [{"kind": "promotion", "at_ms": 1, "live": True, "scores": {"linear": 0.4, "prior": None}}],
}
GOOD = sealed(3, CONTENT).model_dump_json().encode()
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, float("nan"), float("inf"), -1e300, "", "x" * 5000, [], {}, [[]], [0] * 30_000,
    {"a": 1},
)  # fmt: skip


def refusal(data: bytes, newer_than: int | None = None, known: frozenset[str] | None = None) -> str | None:
    """Why the bytes are refused; None if they aren't."""
    try:
        read_snapshot(data, newer_than=newer_than, feature_schema=SCHEMA, known=known)
    except RefusedSnapshot as refused:
        return refused.reason if str(refused).endswith(".") else "no sentence"
    return None


def changed(old: str, new: str) -> bytes:
    """The good bytes with one text in them changed."""
    text = GOOD.decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything in a document."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a document with another value at a path."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def test_a_good_snapshot_is_read_as_it_was_sealed() -> None:
    """The same from its bytes, and with the version that runs before it."""
    assert read_snapshot(GOOD, newer_than=2, feature_schema=SCHEMA) == sealed(3, CONTENT)
    assert refusal(GOOD, known=frozenset({"age", "orders_total", "cart_value"})) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD + b" " * SNAPSHOT_BYTES_MAX, "too_large"),
        (GOOD[:-1], "malformed"),
        (GOOD[: len(GOOD) // 2], "malformed"),
        (b"", "malformed"),
        (b"null", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"a":' * 100_000, "malformed"),
        (pickle.dumps(CONTENT), "malformed"),
        (changed('"weights":[0.5,-1.0]', '"weights":["0.5",-1.0]'), "malformed"),
        (changed('"weights":[0.5,-1.0]', '"weights":[0.5]'), "malformed"),
        (changed('"weights":[0.5,-1.0]', f'"weights":{[0.5] * 300}'), "malformed"),
        (changed('"version":3', '"version":' + "9" * 5000), "malformed"),
        (changed('"version":3', '"version":3.5'), "malformed"),
        (changed('"kind":"trees"', '"kind":"forest"'), "malformed"),
        (changed('"threshold":[12.5', '"threshold":[NaN'), "not_finite"),
        (changed('"threshold":[12.5', '"threshold":[1e999'), "not_finite"),
        (changed('"mean":3.5', '"mean":-Infinity'), "not_finite"),
        (changed('"threshold":[12.5', '"threshold":[13.5'), "wrong_hash"),
        (sealed(3, {**CONTENT, "feature_schema": "f" * 16}).model_dump_json().encode(), "other_schema"),
        (sealed(3, {}).model_dump_json().encode(), "other_schema"),
    ],
)
def test_a_hostile_snapshot_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    """Too large, cut short, no JSON, wrong types and shapes, numbers that aren't finite, changed, of other features."""
    assert refusal(data) == reason


def test_a_snapshot_that_is_not_newer_is_refused() -> None:
    """Version 3 after 3 or 4."""
    assert [refusal(GOOD, newer_than=version) for version in (2, 3, 4)] == [None, "older", "older"]


def test_a_snapshot_that_reads_an_unknown_feature_is_refused() -> None:
    """Known are two of the three that its targets read."""
    assert refusal(GOOD, known=frozenset({"age", "orders_total"})) == "other_schema"


def test_a_refusal_says_where_the_first_mistake_is() -> None:
    """Its place, what is wrong there, and how many there are besides."""
    with pytest.raises(RefusedSnapshot, match=r"^At targets\.buys\.linear\.weights\.0: .*number \(and 1 more\)\.$"):
        read_snapshot(changed("[0.5,-1.0]", '["0.5","1"]'), newer_than=None, feature_schema=SCHEMA)


@given(st.binary(max_size=300))
def test_random_bytes_are_malformed(data: bytes) -> None:
    """Nothing else is raised."""
    assert refusal(data) == "malformed"


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_spoilt_bytes_never_get_through(place: int, put: bytes, taken: int) -> None:
    """Bytes put in and taken out anywhere: refused for one of the reasons, unless they still say the same."""
    data = GOOD[:place] + put + GOOD[place + taken :]
    assert refusal(data) in REASONS or Snapshot.model_validate_json(data) == Snapshot.model_validate_json(GOOD)


@given(st.sampled_from(list(places(json.loads(GOOD)))), st.sampled_from(HOSTILE))
def test_hostile_values_never_get_through(path: tuple[Any, ...], value: Any) -> None:
    """Something else in the place of any part: refused, unless it says the same."""
    data = json.dumps(replaced(json.loads(GOOD), path, value)).encode()
    found = refusal(data)
    assert found in REASONS or Snapshot.model_validate_json(data) == Snapshot.model_validate_json(GOOD)
