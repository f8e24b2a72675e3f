"""Numbers to records, of samples and observations: many numbers each, so whole tables are turned, not one by one."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from worker.core.effects import iso, short_hash, value_of
from worker.core.interning import Strings
from worker.core.program import Version
from worker.core.records import Effects, Observation, Sample, Value
from worker.core.segments import OBSERVATIONS, SAMPLES
from worker.core.tables import Outputs, Table

__all__ = ["write_samples"]

Features = dict[str, float | None]


def write_samples(outputs: Outputs, version: Version, users: list[str], strings: Strings, effects: Effects) -> None:
    """Append to `effects` the records of all samples and observations in `outputs`."""
    names = version.observed
    samples = _rows(names, outputs.samples, outputs.sample_features, outputs.counts[SAMPLES])
    traits = _traits(version, strings, outputs)
    effects.samples += [
        _sample(version, users, strings, row, features, declared)
        for (row, features), declared in zip(samples, traits, strict=True)
    ]
    seen = _rows(names, outputs.observations, outputs.observation_features, outputs.counts[OBSERVATIONS])
    effects.observations += [_observation(users, row, features) for row, features in seen]


def _rows(names: list[str], rows: Table, features: Table, count: int) -> Iterator[tuple[tuple[Any, ...], Features]]:
    """Yield each row with what was observed, by name; a sample has fewer values than an observation has names."""
    if not count:
        return
    values = features[:count].astype(object)
    values[~np.isfinite(features[:count])] = None
    for row, observed in zip(rows[:count].tolist(), values.tolist(), strict=True):
        yield row, dict(zip(names, observed, strict=False))


def _traits(version: Version, strings: Strings, outputs: Outputs) -> Iterator[dict[str, Value]]:
    """Yield the declared traits of each sample, by name."""
    names, count = version.checked.definitions.traits, outputs.counts[SAMPLES]
    numbers, texts = outputs.sample_numbers[:count].tolist(), outputs.sample_texts[:count].tolist()
    for row in zip(numbers, texts, strict=True):
        yield {name: value_of(strings.texts, number, text, -1) for name, number, text in zip(names, *row, strict=True)}


def _sample(version: Version, users: list[str], strings: Strings, row: tuple[Any, ...], features: Features,
            traits: dict[str, Value]) -> Sample:  # fmt: skip
    slot, place, sampled, resolved, label, model, exposed, probability = row
    definitions = version.checked.definitions
    user_id, target = users[slot], definitions.targets[place].id
    return Sample(
        id=short_hash(user_id, target, sampled),
        user_id=user_id,
        target=target,
        sampled_at=iso(sampled),
        resolved_at=iso(resolved),
        label=label,
        features=features,
        probability=None if math.isnan(probability) else probability,
        model=strings.texts[model] if model >= 0 else None,
        exposed=[campaign.id for at, campaign in enumerate(definitions.campaigns) if exposed >> at & 1],
        traits=traits,
    )


def _observation(users: list[str], row: tuple[int, ...], features: Features) -> Observation:
    slot, at = row
    return Observation(short_hash(users[slot], "observation", at), users[slot], iso(at), features)
