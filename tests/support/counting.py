"""A learning that counts: what the trainer does around the learning is seen on it exactly, and at once.

It remembers every id, and has news whenever it has learnt something. With it, a model's evidence is the number of
different samples that were learnt before it was published, by target.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.models import Snapshot, sealed
from worker.language.observed import OBSERVED_HASH
from worker.language.wanted import Wanted
from worker.learning.figures import Figure
from worker.learning.inputs import Observation, Sample

__all__ = ["FIGURES", "Counting"]


FIGURES = [
    Figure("auc", {"target": "buy", "model": "linear"}, 0.75),
    Figure("log_loss", {"target": "buy", "model": "linear"}, 0.5),
    Figure("calibration_error", {"target": "buy", "model": "linear"}, 0.01),
    Figure("brier", {"target": "buy", "model": "linear"}, 0.2),
    Figure("n", {"target": "buy", "model": "linear"}, 400),
    *(
        Figure(name, {"target": "buy", "model": "linear", "threshold": "0.5"}, 0.6)
        for name in ("precision", "recall", "f1", "accuracy")
    ),
    Figure("trait_calibration", {"target": "buy", "trait": "country", "value": "DE"}, 0.05),
    *(
        Figure(name, {"target": "buy", "trait": "country", "value": "DE", "threshold": "0.5"}, 0.6)
        for name in ("trait_selection_rate", "trait_precision")
    ),
    Figure("feature_psi", {"feature": "spend_365d"}, 0.02),
    Figure("evidence", {"target": "buy", "kind": "samples"}, 7),
    Figure("champion", {"target": "buy", "model": "linear"}, 1),
    Figure("cluster_share", {"cluster": "few_orders"}, 0.4),
    Figure("drift_alarms", {"kind": "psi", "name": "spend_365d"}, 2),
]


class Counting:
    """Counts samples by target; those of targets that the definitions don't have are let go."""

    def __init__(self, wanted: Wanted, *, parts: Mapping[str, bytes] | None = None) -> None:
        assert set(wanted.thresholds) == {target.id for target in wanted.targets}
        known: dict[str, list[str]] = {name: msgspec.json.decode(part) for name, part in (parts or {}).items()}
        self._observed = int((known.pop("observed", None) or ["0"])[0])
        self._ids = {target.id: dict.fromkeys(known.get(target.id, ())) for target in wanted.targets}
        self._told: Counter[str] | None = None

    def learn(self, sample: Sample) -> bool:
        """Count a sample, if it is new."""
        ids = self._ids.setdefault(sample.target, {})
        known = sample.id in ids
        ids[sample.id] = None
        return not known

    def observe(self, _: Observation) -> bool:
        """Count an observation."""
        self._observed += 1
        return True

    def forget(self, _: object) -> int:
        """Forget nobody."""
        return 0

    @property
    def _counts(self) -> Counter[str]:
        return Counter({target: len(ids) for target, ids in self._ids.items()})

    def snapshot(self, version: int) -> Snapshot | None:
        """Return the counts, if they have changed."""
        if self._counts == self._told:
            return None
        self._told = self._counts
        evidence = {target: {"samples": count, "positives": 0} for target, count in self._told.items()}
        return sealed(version, {"feature_schema": OBSERVED_HASH, "evidence": evidence})

    def parts(self) -> dict[str, bytes]:
        """Return the ids by target."""
        found = {target: msgspec.json.encode(list(ids)) for target, ids in self._ids.items() if ids}
        return found | {"observed": msgspec.json.encode([str(self._observed)])}

    def decisions(self) -> list[dict[str, Any]]:
        """Nothing is ever decided."""
        return []

    def report(self) -> list[dict[str, Any]]:
        """Tell nobody apart."""
        return []

    def figures(self, _: object = None) -> list[Figure]:
        """Return one of each kind."""
        return FIGURES
