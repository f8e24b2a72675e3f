"""What is learnt from: labelled samples and weekly observations, out of the engine's records.

A feature that is null is NaN here. A record whose features aren't those that models read is refused: it is of another
release, and half of its numbers would be missing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.language.observed import OBSERVED
from worker.learning.settings import TRAIT_LENGTH_MAX

__all__ = ["Observation", "Sample", "observation_of", "sample_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = tuple(feature.name for feature in OBSERVED)


class Sample(NamedTuple):
    """A user's features at one instant, and what came of them."""

    id: str
    user_id: str
    target: str
    sampled_ms: int
    resolved_ms: int
    label: int
    features: NDArray[np.float64]  # [F], in the order of OBSERVED, NaN for null
    probability: float  # the one live at sampled_ms; NaN where there was none
    model: str | None
    exposed: tuple[str, ...]
    traits: Mapping[str, str] = {}  # those declared, as short text; of null `none`


class Observation(NamedTuple):
    """An active user's features at her weekly instant."""

    id: str
    user_id: str
    observed_ms: int
    features: NDArray[np.float64]  # [F], as a sample's
    ranked: dict[str, float]  # every feature of the record by name, those that definitions rank by among them


def _milliseconds(text: str) -> int:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def _number(value: object) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _vector(features: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.array([_number(features[name]) for name in _NAMES])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _trait(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is no trait")
    return str(value)[:TRAIT_LENGTH_MAX]


def _identity(value: object) -> str:
    text = _text(value)
    int(text, 16)
    return text


def _label(value: object) -> int:
    if value not in (0, 1):
        raise ValueError(f"{value!r} is no label")
    return int(value == 1)


def sample_of(record: Mapping[str, Any]) -> Sample:
    """Return the sample of a record of `training-samples`. Raises ValueError where it is malformed."""
    try:
        return Sample(
            id=_identity(record["id"]),
            user_id=_text(record["user_id"]),
            target=_text(record["target"]),
            sampled_ms=_milliseconds(record["sampled_at"]),
            resolved_ms=_milliseconds(record["resolved_at"]),
            label=_label(record["label"]),
            features=_vector(record["features"]),
            probability=_number(record["probability"]),
            model=record["model"],
            exposed=tuple(record["exposed"]),
            traits={name: _trait(value) for name, value in record.get("traits", {}).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no training sample: {error!r}") from None


def observation_of(record: Mapping[str, Any]) -> Observation:
    """Return the observation of a record of `observations`. Raises ValueError where it is malformed."""
    try:
        return Observation(
            id=_identity(record["id"]),
            user_id=_text(record["user_id"]),
            observed_ms=_milliseconds(record["observed_at"]),
            features=_vector(record["features"]),
            ranked={name: _number(value) for name, value in record["features"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no observation: {error!r}") from None
